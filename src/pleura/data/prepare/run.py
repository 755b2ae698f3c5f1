"""Corpora -> one prepared dataset: in parallel, resumable, every film once, every failure named."""

import csv
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, count
from pathlib import Path

from pleura.cores import usable_cores
from pleura.data.corpora import Case, CorpusSpec, find_cases
from pleura.data.duplicates import keep_once
from pleura.data.manifest import Dataset, Film, dataset_description, films_sha256, write_manifest
from pleura.data.prepare.convert import Converted, convert
from pleura.data.prepare.journal import NAME as JOURNAL
from pleura.data.prepare.journal import Journal, sweep
from pleura.data.workers import each
from pleura.errors import CorpusError, DatasetError
from pleura.files import remove_partial, whole, write_json
from pleura.finding import Target

_log = logging.getLogger(__name__)

MAX_NAME = 120  # characters of a film_id
_FILMS_A_PROCESS = 32  # below this a worker costs more to start than it saves
Progress = Callable[[int, int], None]
Failures = list[tuple[str, str]]


@dataclass(frozen=True)
class _Job:
    """A case with the name it gets, and a hash over all that its files depend on."""

    case: Case
    film_id: str
    fingerprint: str


def prepare(
    specs: Sequence[CorpusSpec],
    out: Path | str,
    *,
    size: int | None = None,
    channels: int = 1,
    processes: int | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Prepares corpora into the dataset folder `out` (its layout: `pleura.data.manifest`).

    Films that a former run finished, in this folder and with the same options, are not done again; corpora
    may be added to the former ones, and none may be left out. What cannot be prepared is listed with its
    reason in `failures.csv`, and the rest go on. The same film in two sources is kept once
    (`pleura.data.duplicates`).

    Args:
        specs: the corpora, in order of preference among equals.
        out: an empty or new folder, or one that a former run has begun.
        size: longer side of the stored films in pixels; smaller ones are not enlarged. None keeps all as they
            are. Masks always stay on the source matrix.
        channels: of the stored films, 1, or 3 equal ones for other tools that want colour; pleura reads
            either as grey.
        processes: worker processes; None takes the cores there are. Workers are spawned: a script that
            calls this needs its ``if __name__ == "__main__"``.
        fresh: remove what a former run left in `out` first.
        progress: called with (films done, films in all).

    Raises:
        CorpusError: a corpus cannot be used, or not one film of all could be prepared.
        DatasetError: `out` holds something else, was begun with other options or with a corpus that is not
            among `specs`, or cannot be written.
    """
    out = Path(out)
    target = _checked(specs, size, channels, processes)
    jobs, failures = _plan(specs)
    _claim(out)
    options = {"size": size} | ({"channels": channels} if channels != 1 else {})
    with Journal(out, options, fresh=fresh) as journal:
        _make(out / "images", out / "masks")  # after the journal, by which a killed run is known
        journal.begin([(spec.name, str(spec.root.resolve())) for spec in specs])
        finished = {
            job.fingerprint: journal.done[job.fingerprint]
            for job in jobs
            if job.fingerprint in journal.done
        }
        todo = [job for job in jobs if job.fingerprint not in finished]
        if todo:  # from here on the folder is no dataset until all is done
            (out / "dataset.json").unlink(missing_ok=True)
        if progress and not todo:
            progress(len(jobs), len(jobs))
        work = partial(_convert_job, out=out, size=size, channels=channels)
        workers = processes or max(1, min(usable_cores(), len(todo) // _FILMS_A_PROCESS))
        for job, converted in each(work, todo, workers):
            if converted is None:
                reason = "the process that read it died, twice; a decoder crashes on this file"
                converted = Converted(None, reason=reason)
            if converted.film is not None:
                journal.add(job.fingerprint, converted)
            finished[job.fingerprint] = converted
            if progress:
                progress(len(finished), len(jobs))
        description = dataset_description(target, [spec.to_dict() for spec in specs])
        _finish(out, {**description, **options}, jobs, finished, failures)
    return Dataset.open(out)


def read_failures(root: Path | str) -> Failures:
    """The (source, reason) rows of a dataset's `failures.csv`."""
    path = Path(root) / "failures.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [(row["source"], row["reason"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read ({error}); prepare the dataset again") from error


def _checked(
    specs: Sequence[CorpusSpec], size: int | None, channels: int, processes: int | None
) -> Target:
    """The target that all corpora share; nothing is touched before this."""
    if not specs:
        raise CorpusError("there is no corpus to prepare; give at least one folder")
    names = [spec.name for spec in specs]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise CorpusError(
            f"two corpora are called {doubled[0]!r}; give each a name of its own in a corpora file"
        )
    targets = {spec.target for spec in specs}
    if len(targets) > 1:
        words = " and ".join(sorted(f"{t.name} ({t.scheme} {t.code})" for t in targets))
        raise CorpusError(f"the corpora show different targets: {words}; prepare them apart")
    if size is not None and not 8 <= size <= 65535:
        raise CorpusError(f"size is {size}; give a side of 8 to 65535 pixels")
    if channels not in (1, 3):
        raise CorpusError(f"channels is {channels}; give 1, or 3 for equal red, green and blue")
    if processes is not None and processes < 1:
        raise CorpusError(f"processes is {processes}; give 1 or more")
    return targets.pop()


def _plan(specs: Sequence[CorpusSpec]) -> tuple[list[_Job], Failures]:
    """The jobs of all corpora in their order, and what is already known to fail."""
    jobs: list[_Job] = []
    failures: Failures = []
    taken: set[str] = set()
    for spec in specs:
        cases, missing = find_cases(spec)
        failures += missing
        for case in cases:
            if not _storable(case):
                name = case.path.encode("ascii", "backslashreplace").decode()
                failures.append(
                    (f"{case.corpus}:{name}", "the file name is no Unicode text; rename it")
                )
                continue
            film_id = _film_id(case, taken)
            jobs.append(_Job(case, film_id, _fingerprint(case, film_id)))
    return jobs, failures


def _storable(case: Case) -> bool:
    try:
        f"{case.path}{case.key}{case.mask_file}".encode()
    except UnicodeEncodeError:
        return False
    return True


def _film_id(case: Case, taken: set[str]) -> str:
    """The case's key where that is free and fit for a file name, else as near as can be.

    Names that differ only in case count as equal: some file systems cannot hold both.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", case.key).strip("._") or "film"
    if len(plain) > MAX_NAME:
        plain = f"{plain[: MAX_NAME - 13]}-{hashlib.sha256(plain.encode()).hexdigest()[:12]}"
    place = f"{case.corpus}:{case.path}".encode()
    names = chain(
        (plain, f"{case.corpus}_{plain}"),
        (f"{plain}-{hashlib.sha256(place + b'%d' % n).hexdigest()[:12]}" for n in count()),
    )
    name = next(name for name in names if name.lower() not in taken)
    taken.add(name.lower())
    return name


def _fingerprint(case: Case, film_id: str) -> str:
    stamps = []
    for path in (case.file, case.mask_file):
        try:
            stat = path.stat() if path else None
        except OSError:  # reading it will name the reason
            stat = None
        stamps.append([stat.st_size, stat.st_mtime_ns] if stat else None)
    told = json.dumps([film_id, stamps, asdict(case)], sort_keys=True, default=str)
    return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()


def _claim(out: Path) -> None:
    """Makes the folder, in an empty place or one that a former run has begun."""
    try:
        there = {path.name for path in out.iterdir()} if out.exists() else set()
        if there and JOURNAL not in there:
            raise DatasetError(
                f"{out} holds other files ({min(there)}, ...); name a folder that is empty or new"
            )
    except OSError as error:
        raise _unwritable(out, error) from error
    _make(out)


def _make(*folders: Path) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{folder} cannot be written: {error.strerror or error}")


def _convert_job(job: _Job, out: Path, size: int | None, channels: int) -> Converted:
    return convert(job.case, job.film_id, out, size, channels)


def _finish(
    out: Path,
    description: dict[str, object],
    jobs: Sequence[_Job],
    finished: dict[str, Converted],
    failures: Failures,
) -> None:
    """Writes the tables, in the jobs' order and so the same however they were done; `dataset.json` last."""
    films: list[Film] = []
    annotations: dict[str, tuple[str, ...]] = {}
    for job in jobs:
        converted = finished[job.fingerprint]
        if converted.film is None:
            failures.append((f"{job.case.corpus}:{job.case.path}", converted.reason))
        else:
            films.append(converted.film)
            annotations[job.film_id] = converted.annotations
    kept, contradictions = keep_once(films)
    failures += contradictions
    rows = (
        (film.film_id, number, text)
        for film in kept
        for number, text in enumerate(annotations[film.film_id])
    )
    _write_csv(out / "failures.csv", ("source", "reason"), failures)
    for source, reason in failures:
        _log.info("not prepared: %s: %s", source, reason)
    if not kept:
        first = f"; the first: {failures[0][0]}: {failures[0][1]}" if failures else ""
        raise CorpusError(
            f"not one of {len(jobs)} films could be prepared, see {out}/failures.csv{first}"
        )
    _write_csv(out / "annotations.csv", ("film_id", "number", "rle"), rows)
    write_manifest(out / "manifest.csv", kept)
    counted = {"film_count": len(kept), "sha256": films_sha256(kept)}
    write_json(out / "dataset.json", {**description, **counted}, durable=True)
    remove_partial(out)
    sweep(out / "images", frozenset(Path(film.image).name for film in kept))
    sweep(out / "masks", frozenset(Path(film.mask).name for film in kept if film.mask))


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with (
        whole(path, durable=True) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
