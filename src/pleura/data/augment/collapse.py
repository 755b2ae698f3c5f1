"""Collapses painted into films without one: a rim of air with an exact mask, in a real chest."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.augment.step import Image, Mask, clipped

MIN_LUNG, MIN_RIM = 0.02, 0.0008
"""Shares of the image below which a lung is none, and a rim is too thin to be seen."""
_WIDEST = 0.05, 0.45  # of the lung's width, drawn by its logarithm: most collapses are small
_REACH = 0.2, 1.1  # of the lung's height, down from its top
_APEX = 0.12  # of the height: above it the wall is medial, too
_VESSEL = 0.006, 0.010  # of the image's side: half the width of a vessel; ribs are broader

Field = NDArray[np.bool_]


class _Box(NamedTuple):
    top: float
    height: float
    width: float
    centre: float


def painted_collapse(
    image: Image, lung: Field, rng: np.random.Generator, *, at_left: bool
) -> tuple[Image, Mask] | None:
    """A film with a pneumothorax along the chest wall of one lung, widest at the apex.

    In the rim vessels are opened away, while ribs and the film's grain stay, and it is darker; at its edge
    runs the pleura, a faint bright line; what is left of the lung is a little denser. Positive films
    are few, and what a network learns of them it learns by heart: these have new outlines each time. For
    training only: nothing here is measured on anyone.

    Args:
        image: float32 (S, S) in [0, 1], bright is dense.
        lung: bool (S, S), the field of one lung.
        rng: draws everything.
        at_left: whether that lung is at the image's left.

    Returns:
        The film, and the rim as uint8 (S, S) of 0 or 255; None where the lung is too small, or what was drawn
        is too thin to be seen.
    """
    if lung.mean() < MIN_LUNG:
        return None
    box = _box(lung)
    widest = box.width * np.exp(rng.uniform(*np.log(_WIDEST)))
    rim = _rim(lung, box, widest, rng, at_left=at_left)
    if rim is None:
        return None
    return clipped(_drawn(image, lung, rim, widest / box.width, rng)), rim * np.uint8(255)


def _box(lung: Field) -> _Box:
    rows, columns = np.nonzero(lung)
    height, width = int(rows.max() - rows.min()), int(columns.max() - columns.min())
    return _Box(float(rows.min()), max(height, 1), max(width, 1), float(columns.mean()))


def _rim(
    lung: Field, box: _Box, widest: float, rng: np.random.Generator, *, at_left: bool
) -> NDArray[np.uint8] | None:
    """The part of the lung that is nearer to the wall than the collapse is wide at its height; 0 or 1."""
    wall = _wall(lung, box, at_left=at_left)
    distance = cv2.distanceTransform((~wall).astype(np.uint8), cv2.DIST_L2, 5)
    down = (np.arange(len(lung), dtype=np.float32)[:, None] - box.top) / box.height
    reach, steepness = rng.uniform(*_REACH), rng.uniform(0.6, 2.0)
    share = np.clip(1.0 - np.clip(down, 0.0, 1.0) / reach, 0.0, 1.0) ** steepness
    if rng.random() < 0.5:  # a band along the side, too
        share = np.maximum(share, rng.uniform(0.0, 0.35) * (down < reach + 0.3))
    width = widest * share * (1.0 + 0.15 * _waves(lung.shape, 6, rng))
    rim = (lung & (distance < width)).astype(np.uint8)
    rim = cv2.morphologyEx(rim, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(rim, connectivity=8)
    if count < 2:
        return None
    largest = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return None if largest.mean() < MIN_RIM else largest.astype(np.uint8)


def _wall(lung: Field, box: _Box, *, at_left: bool) -> Field:
    """What lies beside the lung, away from the middle of the chest, and above it; not what lies below."""
    rows, columns = (np.arange(n, dtype=np.float32) for n in lung.shape)
    inwards = 0.15 * box.width
    beside = columns < box.centre + inwards if at_left else columns > box.centre - inwards
    above = rows < box.top + _APEX * box.height
    lowest = len(lung) - 1 - np.argmax(lung[::-1], axis=0)
    lowest = np.where(lung.any(axis=0), lowest, len(lung))
    wall: Field = ~lung & (beside[None] | above[:, None]) & (rows[:, None] <= lowest[None])
    return wall


def _drawn(
    image: Image, lung: Field, rim: NDArray[np.uint8], size: float, rng: np.random.Generator
) -> Image:
    """The film with air in the rim; `size` is the collapse's widest, as a share of the lung's width."""
    side = image.shape[1]
    half = max(1, round(side * rng.uniform(*_VESSEL)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * half + 1, 2 * half + 1))
    bare = cv2.morphologyEx(cv2.GaussianBlur(image, (0, 0), 0.7), cv2.MORPH_OPEN, disc)
    bare = cv2.GaussianBlur(bare, (0, 0), 0.004 * side)
    grain = image - cv2.GaussianBlur(image, (0, 0), 1.0)
    air = bare * (1.0 - rng.uniform(0.02, 0.12)) + 0.8 * grain
    left_over = lung & (rim == 0)
    denser = image + left_over * rng.uniform(0.0, 0.06) * min(1.0, size / 0.3)
    soft = cv2.GaussianBlur(rim.astype(np.float32), (0, 0), rng.uniform(0.5, 1.0))
    edge = (cv2.dilate(rim, np.ones((3, 3), np.uint8)) > 0) & left_over
    pleura = cv2.GaussianBlur(edge.astype(np.float32), (0, 0), rng.uniform(0.5, 0.9))
    bright = rng.uniform(0.02, 0.09) * (1.0 + 0.4 * _waves(image.shape, 8, rng))
    drawn: Image = denser + soft * (air - denser) + pleura * bright
    return drawn


def _waves(shape: tuple[int, ...], cells: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of deviation 1, (H, W), of so many waves across."""
    coarse = rng.normal(size=(cells, cells)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC).astype(
        np.float32, copy=False
    )
