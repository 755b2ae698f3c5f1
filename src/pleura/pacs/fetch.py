"""An archive's films to a folder: found by QIDO-RS, fetched by WADO-RS, each file whole or not there."""

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from threading import Event, Lock, local
from typing import NamedTuple, TypeVar

from pleura.errors import ArchiveError
from pleura.files import lock, remove_partial, whole
from pleura.pacs.answers import Refusal, Unanswered, is_uid
from pleura.pacs.lines import WAITS
from pleura.pacs.web import Client
from pleura.read.dicom import FOR_DISPLAY

FAILURES = "failures.csv"

_STUDY, _SERIES, _INSTANCE, _CLASS = "0020000D", "0020000E", "00080018", "00080016"
_MOST_TROUBLES = 5  # one after another: it is not the films, then
_Given = TypeVar("_Given")


@dataclass(frozen=True)
class Wanted:
    """Which films of an archive.

    Attributes:
        modalities: of series, such as CR and DX.
        since, until: the study's date, both days included; None: any.
        studies: Study Instance UIDs; empty: all that are found.
        where: further attributes of studies by keyword or tag, and their values, as QIDO-RS has them.
        most: studies, in the order of the service; None: all.
    """

    modalities: Sequence[str] = ("CR", "DX")
    since: date | None = None
    until: date | None = None
    studies: Sequence[str] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    most: int | None = None


class Failure(NamedTuple):
    """What could not be fetched, and why; no series or instance where it is more than one."""

    study: str
    series: str
    instance: str
    reason: str


@dataclass
class Fetched:
    """What came of it.

    Attributes:
        studies: looked into.
        films: fetched.
        there: that had been fetched before.
        others: instances that are no films, and were left.
        failed: those that could not be fetched.
    """

    studies: int = 0
    films: int = 0
    there: int = 0
    others: int = 0
    failed: list[Failure] = field(default_factory=list)

    def add(self, other: "Fetched") -> None:
        """Counts another's with its own."""
        self.studies += other.studies
        self.films += other.films
        self.there += other.there
        self.others += other.others
        self.failed += other.failed


def fetch(
    connect: Callable[[], Client],
    wanted: Wanted,
    out: Path,
    *,
    most_bytes: int = 256 << 20,
    workers: int = 4,
    progress: Callable[[int, int], None] | None = None,
    waits: Sequence[float] = WAITS,
) -> Fetched:
    """Fetches the films that are wanted and not yet there, to `OUT/STUDY/SERIES/INSTANCE.dcm`.

    Files are as the archive has them, byte by byte. The same call again goes on where an earlier one ended,
    however it ended. What cannot be fetched stands in `OUT/failures.csv`, and the rest goes on.

    Args:
        connect: gives a connection of its own to each worker.
        wanted: which films.
        out: the folder; made where it is missing.
        most_bytes: of one film.
        workers: studies that are looked into at once.
        progress: called with (studies done, studies found).
        waits: as `WAITS`.

    Raises:
        ArchiveError: the archive does not answer, lets nobody in or fails over one film after another; or
            another call writes to the folder. What was fetched stays.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        return _Fetching(connect, wanted, out, most_bytes, waits).run(workers, progress)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    held = os.open(out, os.O_RDONLY)
    try:
        if not lock(held):
            raise ArchiveError(f"another pleura fetch is writing to {out}; wait for it")
        remove_partial(out)
        yield
    finally:
        os.close(held)


class _Stopped(Exception):
    """Somebody wants it to end."""


class _Fetching:
    """One call of `fetch`."""

    def __init__(
        self,
        connect: Callable[[], Client],
        wanted: Wanted,
        out: Path,
        most_bytes: int,
        waits: Sequence[float],
    ) -> None:
        self._connect, self._wanted, self._out = connect, wanted, out
        self._most_bytes, self._waits = most_bytes, waits
        self._own, self._stop = local(), Event()
        self._clients: list[Client] = []
        self._troubles, self._counting = 0, Lock()
        self._failed: list[Failure] = []
        self._looked_into: set[str] = set()
        self._before = _read_failures(out / FAILURES)

    def run(self, workers: int, progress: Callable[[int, int], None] | None) -> Fetched:
        total, complete = Fetched(), False
        pool = ThreadPoolExecutor(workers)
        try:
            studies = self._studies()
            for done, found in enumerate(pool.map(self._study, studies), start=1):
                total.add(found)
                if progress:
                    progress(done, len(studies))
            complete = True
            total.failed = self._failed
        except (Unanswered, Refusal) as error:
            raise ArchiveError(
                f"{self._client().url}: {error}. What was fetched is in {self._out}; the same command goes "
                "on from there"
            ) from None
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
            for client in self._clients:
                client.close()
            self._write_failures(complete=complete)
        return total

    def _client(self) -> Client:
        """This thread's."""
        if not hasattr(self._own, "client"):
            self._own.client = self._connect()
            self._clients.append(self._own.client)
        client: Client = self._own.client
        return client

    def _studies(self) -> list[str]:
        """The studies to look into, each once."""
        wanted = self._wanted
        if wanted.studies:
            return list(dict.fromkeys(wanted.studies))
        query = list(wanted.where.items())
        if wanted.since or wanted.until:
            days = [day.strftime("%Y%m%d") if day else "" for day in (wanted.since, wanted.until)]
            query.append(("StudyDate", "-".join(days)))
        found: dict[str, None] = {}
        for modality in wanted.modalities:
            asked = [*query, ("ModalitiesInStudy", modality)]
            for (uid,) in self._found("studies", (_STUDY,), asked):
                found[uid] = None
        named = [uid for uid in found if is_uid(uid)]
        for uid in found:
            if not is_uid(uid):
                self._fail(_shown(uid), "", "", _NO_UID)
        return named[: wanted.most]

    def _study(self, study: str) -> Fetched:
        """Fetches the films of one study."""
        total, seen = Fetched(studies=1), set[str]()
        try:
            for modality in self._wanted.modalities:
                query = [("Modality", modality)]
                for (series,) in self._found(f"studies/{study}/series", (_SERIES,), query):
                    if series in seen:  # of a service that passes over what it does not know
                        continue
                    seen.add(series)
                    if is_uid(series):
                        total.add(self._series(study, series))
                    else:
                        self._fail(study, _shown(series), "", _NO_UID)
            with self._counting:
                self._looked_into.add(study)
        except _Stopped:
            pass
        except (Refusal, Unanswered) as error:
            self._excuse(error, study, "", "")
        return total

    def _series(self, study: str, series: str) -> Fetched:
        """Fetches the films of one series."""
        total, folder = Fetched(), self._out / study / series
        path = f"studies/{study}/series/{series}/instances"
        for instance, sop_class in self._found(path, (_INSTANCE, _CLASS), ()):
            file = folder / f"{instance}.dcm"
            if not is_uid(instance):
                self._fail(study, series, _shown(instance), _NO_UID)
            elif sop_class not in (*FOR_DISPLAY, ""):
                total.others += 1
            elif file.exists():
                total.there += 1
                self._fine()
            else:
                folder.mkdir(parents=True, exist_ok=True)
                remove_partial(folder)
                try:
                    self._insist(partial(self._retrieve, file))
                    total.films += 1
                    self._fine()
                except (Refusal, Unanswered) as error:
                    self._excuse(error, study, series, instance)
        return total

    def _retrieve(self, file: Path) -> None:
        series, study = file.parent, file.parent.parent
        with whole(file) as temporary:
            with temporary.open("wb") as opened:
                names = (study.name, series.name, file.stem)
                self._client().retrieve(*names, opened, self._most_bytes)
            with temporary.open("rb") as opened:
                if opened.read(132)[128:] != b"DICM":
                    raise Refusal(200, "what it gives is no DICOM file")

    def _found(
        self, path: str, tags: Sequence[str], query: Sequence[tuple[str, str]]
    ) -> list[tuple[str, ...]]:
        """All that a search finds."""
        return self._insist(lambda: list(self._client().search(path, tags, query)))

    def _insist(self, ask: Callable[[], _Given]) -> _Given:
        """What is asked for, of a service that need not answer at once.

        Raises:
            Unanswered: it did not, however long one waits.
        """
        for seconds in (*self._waits, None):
            if self._stop.is_set():
                raise _Stopped
            try:
                return ask()
            except Unanswered:
                if seconds is None:
                    raise
                self._stop.wait(seconds)
        raise AssertionError

    def _excuse(self, error: Refusal | Unanswered, study: str, series: str, instance: str) -> None:
        """Takes down a failure; raises the error itself where it is not of that thing alone.

        A service that lets nobody in, is gone, or fails over one thing after another refuses everything else,
        too. Over what it failed before, it may fail again.
        """
        if error.status in (401, 407) or (isinstance(error, Unanswered) and not error.reached):
            raise error
        self._fail(study, series, instance, str(error))
        is_trouble = isinstance(error, Unanswered) or error.status == 403 or error.status >= 500
        if is_trouble and (study, series, instance) not in self._before:
            with self._counting:
                self._troubles += 1
                if self._troubles >= _MOST_TROUBLES:
                    raise error

    def _fail(self, study: str, series: str, instance: str, why: str) -> None:
        with self._counting:
            self._failed.append(Failure(study, series, instance, why))

    def _write_failures(self, *, complete: bool) -> None:
        """The failures as a table, with those of earlier calls that this one says nothing of."""
        done = self._looked_into if complete else ()
        kept = {
            key: one
            for key, one in self._before.items()
            if one.study not in done and self._lacks(one)
        }
        rows = kept | {tuple(one[:3]): one for one in self._failed}
        path = self._out / FAILURES
        if not rows:
            path.unlink(missing_ok=True)
            return
        with whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(Failure._fields)
            writer.writerows(rows.values())

    def _lacks(self, failure: Failure) -> bool:
        """Whether what failed before is not there by now."""
        study, series, instance, _ = failure
        named = all(map(is_uid, (study, series, instance)))
        return not named or not (self._out / study / series / f"{instance}.dcm").exists()

    def _fine(self) -> None:
        with self._counting:
            self._troubles = 0


_NO_UID = "the archive gives it a UID that is none, and it cannot be asked for"


def _shown(text: str) -> str:
    """A strange UID as a table can hold it."""
    return repr(text[:80])


def _read_failures(path: Path) -> dict[tuple[str, ...], Failure]:
    """The failures of earlier calls, by what failed."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = [
            Failure(*row) for row in list(csv.reader(file))[1:] if len(row) == len(Failure._fields)
        ]
    return {tuple(one[:3]): one for one in rows}
