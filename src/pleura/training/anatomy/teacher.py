"""Lungs that a trained network draws for its successor: on films like those it will meet, where it is sure.

Drawn lungs come from one hospital, and a network that learns them sees less well on another's films. What it
draws there alike on a film and on its mirror image, and what two lungs may look like, its successor learns
too, under changes of pose and exposure (self-training; Xie et al., CVPR 2020).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pleura.data.dataset import FilmSet
from pleura.inference.lung_fields import LungFields
from pleura.inference.preprocess import InputSpec
from pleura.networks.anatomy import Anatomy
from pleura.radiograph import Radiograph
from pleura.training.anatomy.fit import answers_for

AGREEMENT = 0.9
"""Dice of each lung on a film with that on its mirror image, from which on both are believed."""

_BATCH = 32
_HEART = 3


def teach(
    teacher: Anatomy,
    chests: FilmSet,
    spec: InputSpec,
    count: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, NDArray[np.uint8]]:
    """The planes of those of the first `count` films that the teacher is sure of, by the film's index.

    Args:
        teacher: trained, in evaluation mode.
        chests: films.
        spec: what it takes.
        count: of films to look at.
        progress: called with (films done, films in all).

    Returns:
        uint8 (S, S, 3) of 0 or 255 each: right lung, left lung, heart, by the side of the image.
    """
    total = min(count, len(chests))
    found: dict[int, NDArray[np.uint8]] = {}
    for start in range(0, total, _BATCH):
        numbers = range(start, min(start + _BATCH, total))
        images = [chests.get(i)[0] for i in numbers]
        seen = answers_for(teacher, images, spec)
        mirrored = answers_for(teacher, [image[:, ::-1] for image in images], spec)
        for i, image, one, other in zip(numbers, images, seen, mirrored, strict=True):
            planes = agreed_planes(one.labels, other.labels, image)
            if planes is not None:
                found[i] = planes
        if progress:
            progress(numbers[-1] + 1, total)
    return found


def agreed_planes(
    labels: NDArray[np.uint8], mirrored: NDArray[np.uint8], image: NDArray[np.float32]
) -> NDArray[np.uint8] | None:
    """The planes in a film's label map, or None where they are doubted or its mirror image's are others.

    Args:
        labels, mirrored: label maps, uint8 (h, w), of a film and of its mirror image.
        image: the film, float32 (S, S).
    """
    film = Radiograph(np.ascontiguousarray(image), 8, "dataset", "film")
    swapped = np.array([0, 2, 1, 3], np.uint8)[mirrored[:, ::-1]]
    one, other = LungFields.of(labels, film), LungFields.of(np.ascontiguousarray(swapped), film)
    if one.doubt or other.doubt:
        return None
    pairs = ((one.right, other.right), (one.left, other.left))
    if min(_dice(a, b) for a, b in pairs) < AGREEMENT:
        return None
    heart = np.where((labels == _HEART) & (swapped == _HEART), np.uint8(1), np.uint8(0))
    place = LungFields.of(heart, film).right & ~one.right & ~one.left
    planes = np.stack([one.right, one.left, place], axis=-1)
    return np.where(planes, np.uint8(255), np.uint8(0))


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return 2 * float((one & other).sum()) / max(float(one.sum() + other.sum()), 1.0)
