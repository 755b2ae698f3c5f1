"""Frontal films with drawn lungs: a folder with `images/` and `labels/`, whose files have equal stems.

A label map has the film's size and says of each pixel: 0 nothing, 1 the right lung, 2 the left lung, 3 the
heart where it overlaps no lung. One such set is Wingspan's (Dong, 2018).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.corpora.listing import files
from pleura.errors import CorpusError, ReadError
from pleura.read import read
from pleura.read.source import IMAGE_SUFFIXES

LABELS = ("right lung", "left lung", "heart")
MAX_FILMS = 10_000
MAX_SIDE_PX = 512
"""Larger films are kept at this size: outlines of lungs need no more, and all of them stay in memory."""


@dataclass(frozen=True, eq=False)
class LungFilm:
    """One film with its lungs, squeezed to a square of at most `MAX_SIDE_PX`.

    Attributes:
        name: its file's stem.
        pixels: uint8 (S, S), bright is dense.
        planes: uint8 (S, S, 3) of 0 or 255, one for each of `LABELS`.
    """

    name: str
    pixels: NDArray[np.uint8]
    planes: NDArray[np.uint8]


def read_lung_films(
    folder: Path, progress: Callable[[int, int], None] | None = None
) -> tuple[LungFilm, ...]:
    """All films of `folder`, sorted by name.

    Args:
        folder: with `images/` and `labels/`.
        progress: called with (films read, films in all).

    Raises:
        CorpusError: a folder is missing or holds too many films, a film has no label map, one of another
            size, or one with other labels; or a file cannot be read.
    """
    images = {path.stem: path for path, _ in files(folder / "images", IMAGE_SUFFIXES)}
    labels = {path.stem: path for path, _ in files(folder / "labels", IMAGE_SUFFIXES)}
    if not images or len(images) > MAX_FILMS:
        raise CorpusError(
            f"{folder} has {len(images)} films in images/; 1 to {MAX_FILMS} are needed, each with a label "
            "map of the same stem in labels/"
        )
    if images.keys() != labels.keys():
        odd = sorted(images.keys() ^ labels.keys())
        raise CorpusError(
            f"{folder}: {len(odd)} files of images/ and labels/ have no counterpart, such as {odd[0]}; "
            "remove or add what is missing"
        )
    found = []
    for name in sorted(images):
        found.append(_film(name, images[name], labels[name]))
        if progress:
            progress(len(found), len(images))
    return tuple(found)


def _film(name: str, image: Path, label: Path) -> LungFilm:
    try:
        film, drawn = read(image).pixels, np.rint(read(label).pixels * 255)
    except ReadError as error:
        raise CorpusError(f"{error}; repair or remove it, with its counterpart") from error
    if film.shape != drawn.shape:
        raise CorpusError(
            f"{label} is {drawn.shape[0]}x{drawn.shape[1]}, its film {film.shape[0]}x{film.shape[1]}; draw "
            "it on the film's own matrix"
        )
    if drawn.max() > len(LABELS):
        raise CorpusError(
            f"{label} has a label {drawn.max():.0f}; 1 is the right lung, 2 the left lung, 3 the heart"
        )
    planes = np.stack([drawn == number for number in (1, 2, 3)], axis=-1).astype(np.uint8) * 255
    size = min(MAX_SIDE_PX, max(film.shape))
    return LungFilm(
        name, np.rint(255 * _squeezed(film, size)).astype(np.uint8), _cut(_squeezed(planes, size))
    )


def _squeezed(values: NDArray[np.generic], size: int) -> NDArray[np.generic]:
    if values.shape[:2] == (size, size):
        return values
    shrinks = min(values.shape[:2]) >= size
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.asarray(values), (size, size), interpolation=way))


def _cut(planes: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.where(np.asarray(planes) > 127, np.uint8(255), np.uint8(0))
