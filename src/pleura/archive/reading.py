"""Films of an archive, read and decoded ahead of the network."""

import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import NamedTuple, TypeVar

import numpy as np

from pleura.archive.rows import Stamp, Task, stamp_of
from pleura.errors import ReadError
from pleura.inference.measurements.posture import why_no_distances
from pleura.inference.stages import stage
from pleura.radiograph import Radiograph
from pleura.read import Limits, read
from pleura.read.source import load, named

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_SAMPLED = 4  # each which pixel, in both directions, is looked at to find what may be the same film


class Opened(NamedTuple):
    """A file that was read: a film, or the error that kept it from being one.

    Attributes:
        task: the file.
        stamp: taken before it was read; None where it could not be.
        content: SHA-256 of its bytes.
        pixels: SHA-256 of the film's geometry and a sample of its pixels: films that are the same agree in
            it, but films that agree in it need not be the same.
        film, error: one of them.
    """

    task: Task
    stamp: Stamp | None = None
    content: bytes | None = None
    pixels: bytes | None = None
    film: Radiograph | None = None
    error: ReadError | None = None


def open_film(task: Task, limits: Limits) -> Opened:
    """Reads and decodes a file; what is wrong with it is returned, not raised."""
    if task.path.is_dir():  # a list's folders are walked: this one could not be
        return Opened(task, error=_unlisted(task))
    stamp = stamp_of(task.path)
    content = None
    try:
        with stage("read"), named(task.source):
            data = load(task.path, limits)
            content = hashlib.sha256(data).digest()
        with stage("decode"):
            film = read(data, limits=limits, name=task.source)
            return Opened(task, stamp, content, sampled(film), film)
    except ReadError as error:
        log.info("%s", error)
        return Opened(task, stamp if content else None, content, error=error)


def _unlisted(task: Task) -> ReadError:
    try:
        os.listdir(task.path)
    except OSError as error:
        why = error.strerror or str(error)
    else:
        if task.path.is_symlink():
            return ReadError(
                f"{task.source}: is a link to a folder, and such links are not followed; name it itself, "
                "beside the folder that it lies in"
            )
        why = "now it can"
    return ReadError(
        f"{task.source}: this folder cannot be listed ({why}), so that films may be missing; see to it, then "
        "run the same command again"
    )


def sampled(film: Radiograph) -> bytes:
    """What films of the same pixels and geometry agree in, and in what their headers let be measured."""
    geometry = (film.shape, film.trusted_spacing_mm, film.image_left, film.side_basis, film.view)
    measurable = (film.spacing_basis, why_no_distances(film))
    digest = hashlib.sha256(repr((geometry, film.patient_orientation, measurable)).encode())
    digest.update(np.ascontiguousarray(film.pixels[::_SAMPLED, ::_SAMPLED]).data)
    return digest.digest()


def in_order(
    task: Callable[[Item], Result], items: Iterable[Item], pool: Executor | None, ahead: int
) -> Iterator[Result]:
    """Yields task(item) for each item, in order, while a pool works on the following ones.

    Args:
        task: what to do; what it raises is raised here.
        items: taken one by one, at most `ahead` before the result that is yielded next.
        pool: where it is done; None does each when its turn comes, here.
        ahead: how many are under way or wait for their turn at most.
    """
    if pool is None:
        yield from map(task, items)
        return
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(task, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
