"""An archive's films to a folder: found by QIDO-RS, fetched by WADO-RS, each file whole or not there."""

import csv
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from threading import Event, local
from typing import Any, NamedTuple, TypeVar

from pleura.errors import ArchiveError
from pleura.files import lock, remove_partial, whole
from pleura.pacs.web import Client, Refusal, Unanswered, first, is_uid
from pleura.read.dicom import FOR_DISPLAY

FAILURES = "failures.csv"
WAITS = (1.0, 4.0, 16.0)
"""Seconds until a service that does not answer is asked again; after the last it is given up."""

_STUDY, _SERIES, _INSTANCE, _CLASS = "0020000D", "0020000E", "00080018", "00080016"
_NO_DICOM = "what it gives is no DICOM file"
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
        ArchiveError: the archive does not answer, or lets nobody in, or another call writes to the folder;
            what was fetched stays.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        return _fetched(connect, wanted, out, most_bytes, workers, progress, waits)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    held = os.open(out, os.O_RDONLY)
    try:
        if not lock(held):
            raise ArchiveError(f"another pleura fetch is writing to {out}; wait for it")
        yield
    finally:
        os.close(held)


def _fetched(
    connect: Callable[[], Client],
    wanted: Wanted,
    out: Path,
    most_bytes: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
    waits: Sequence[float],
) -> Fetched:
    made, stop, total = local(), Event(), Fetched()
    clients: list[Client] = []

    def mine() -> Client:
        if not hasattr(made, "client"):
            made.client = connect()
            clients.append(made.client)
        client: Client = made.client
        return client

    def one(study: str) -> Fetched:
        return Fetched() if stop.is_set() else _study(mine(), study, wanted, out, most_bytes, waits)

    pool = ThreadPoolExecutor(workers)
    try:
        studies = _studies(mine(), wanted, waits)
        for done, found in enumerate(pool.map(one, studies), start=1):
            total.add(found)
            if progress:
                progress(done, len(studies))
    except (Unanswered, Refusal) as error:
        raise ArchiveError(
            f"{mine().url}: {error}. What was fetched is in {out}; the same command goes on from there"
        ) from None
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        for client in clients:
            client.close()
        _write_failures(out / FAILURES, total.failed)
    return total


def _studies(client: Client, wanted: Wanted, waits: Sequence[float]) -> list[str]:
    """The studies to look into, each once."""
    if wanted.studies:
        return list(dict.fromkeys(wanted.studies))[: wanted.most]
    query = list(wanted.where.items())
    if wanted.since or wanted.until:
        days = [day.strftime("%Y%m%d") if day else "" for day in (wanted.since, wanted.until)]
        query.append(("StudyDate", "-".join(days)))
    found: dict[str, None] = {}
    for modality in wanted.modalities:
        asked = [*query, ("ModalitiesInStudy", modality)]
        for item in _insisting(partial(client.search, "studies", asked), waits):
            if is_uid(uid := first(item, _STUDY)):
                found[uid] = None
    return list(found)[: wanted.most]


def _study(
    client: Client, study: str, wanted: Wanted, out: Path, most_bytes: int, waits: Sequence[float]
) -> Fetched:
    """Fetches the films of one study."""
    total = Fetched(studies=1)
    path = f"studies/{study}/series"
    try:
        for modality in wanted.modalities:
            of_it = partial(client.search, path, [("Modality", modality)])
            for item in _insisting(of_it, waits):
                if is_uid(series := first(item, _SERIES)):
                    total.add(_series(client, study, series, out, most_bytes, waits))
    except Refusal as error:
        _pass_on(error)
        total.failed.append(Failure(study, "", "", str(error)))
    return total


def _series(
    client: Client, study: str, series: str, out: Path, most_bytes: int, waits: Sequence[float]
) -> Fetched:
    """Fetches the films of one series."""
    total, folder = Fetched(), out / study / series
    path = f"studies/{study}/series/{series}/instances"
    for item in _insisting(partial(client.search, path), waits):
        instance = first(item, _INSTANCE)
        if not is_uid(instance):
            continue
        file = folder / f"{instance}.dcm"
        if first(item, _CLASS) not in (*FOR_DISPLAY, None):
            total.others += 1
        elif file.exists():
            total.there += 1
        else:
            folder.mkdir(parents=True, exist_ok=True)
            remove_partial(folder)
            try:
                _insist(partial(_retrieve, client, file, most_bytes), waits)
                total.films += 1
            except Refusal as error:
                _pass_on(error)
                total.failed.append(Failure(study, series, instance, str(error)))
    return total


def _retrieve(client: Client, file: Path, most_bytes: int) -> None:
    series, study = file.parent, file.parent.parent
    with whole(file) as temporary:
        with temporary.open("wb") as opened:
            client.retrieve(study.name, series.name, file.stem, opened, most_bytes)
        with temporary.open("rb") as opened:
            if opened.read(132)[128:] != b"DICM":
                raise Refusal(200, _NO_DICOM)


def _pass_on(error: Refusal) -> None:
    """A service that lets nobody in refuses everything else, too."""
    if error.status in (401, 403, 407):
        raise error


def _insist(ask: Callable[[], _Given], waits: Sequence[float]) -> _Given:
    """What is asked for, of a service that need not answer at once.

    Raises:
        Unanswered: it did not, however long one waits.
    """
    for seconds in waits:
        try:
            return ask()
        except Unanswered:
            time.sleep(seconds)
    return ask()


def _insisting(
    search: Callable[[], Iterator[Mapping[str, Any]]], waits: Sequence[float]
) -> list[Mapping[str, Any]]:
    """All that a search finds."""
    return _insist(lambda: list(search()), waits)


def _write_failures(path: Path, failed: Sequence[Failure]) -> None:
    """The failures as a table; none where nothing failed."""
    if not failed:
        path.unlink(missing_ok=True)
        return
    with whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Failure._fields)
        writer.writerows(failed)
