"""Many files through one detector: reading runs beside the network, and a broken file stops nothing."""

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pleura.errors import ReadError
from pleura.finding import Finding
from pleura.inference.detector import Detector
from pleura.radiograph import Radiograph
from pleura.read import Limits, read

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What became of one file: a film and its finding, or the error that kept it from being read."""

    path: Path
    film: Radiograph | None = None
    finding: Finding | None = None
    error: ReadError | None = None


def files_in(places: Iterable[Path]) -> Iterator[Path]:
    """The files among `places` and below the folders among them, in order, each once.

    Hidden files and folders are passed over, and links to folders are not followed.

    Raises:
        ReadError: a place does not exist.
    """
    seen: set[Path] = set()
    for place in places:
        if not place.exists():
            raise ReadError(f"{place} does not exist; give files or folders of films")
        for path in _below(place) if place.is_dir() else (place,):
            whole = path.absolute()
            if whole not in seen:
                seen.add(whole)
                yield path


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root) / name for name in sorted(names) if not name.startswith("."))


def predict_files(
    detector: Detector,
    paths: Sequence[Path],
    *,
    batch_size: int = 4,
    readers: int = 2,
    limits: Limits | None = None,
) -> Iterator[Result]:
    """Judges each file, yielding results in the order of `paths` as they come.

    At most `readers + batch_size` decoded films wait at a time, so memory does not grow with the archive.

    Args:
        detector: to judge with.
        paths: files of films.
        batch_size: films the network sees at once.
        readers: threads that read and decode.
        limits: on bytes and pixels of a file.
    """
    limits = limits or Limits()
    waiting: deque[Future[Result]] = deque()
    upcoming = iter(paths)
    with ThreadPoolExecutor(readers) as pool:
        try:
            while True:
                while len(waiting) < readers + batch_size and (path := next(upcoming, None)):
                    waiting.append(pool.submit(_read, path, limits))
                if not waiting:
                    return
                batch = [waiting.popleft().result() for _ in range(min(batch_size, len(waiting)))]
                yield from _judged(detector, batch)
        finally:
            for future in waiting:
                future.cancel()


def _read(path: Path, limits: Limits) -> Result:
    try:
        return Result(path, film=read(path, limits=limits))
    except ReadError as error:
        log.info("%s", error)
        return Result(path, error=error)


def _judged(detector: Detector, batch: Sequence[Result]) -> Iterator[Result]:
    findings = iter(detector.batch([result.film for result in batch if result.film is not None]))
    for result in batch:
        if result.film is None:
            yield result
        else:
            yield Result(result.path, film=result.film, finding=next(findings))
