"""How well a mask is placed: distances between surfaces, and regions found, missed and made up.

Distances are exact and anisotropic, from every surface pixel to the nearest of the other mask: within each
column first, then the least over the columns, as distance transforms go about it. OpenCV's own knows square
pixels only.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.errors import EvaluationError

_CELLS = 1 << 18  # points x columns looked at once, 1 MB of float32 an array

MIN_OVERLAP = 0.1
"""Share of a labelled region that is covered where it is found, and of a predicted one that is true."""


@dataclass(frozen=True)
class Localisation:
    """A predicted mask against the labelled one.

    Attributes:
        hd95_px, hd95_mm: 95th percentile of the Hausdorff distance; None where a mask is empty, in mm also
            where the spacing is not known.
        truth_regions, pred_regions: connected regions (8-neighbourhood) of either mask.
        found_regions: labelled regions of which at least `MIN_OVERLAP` is covered.
        false_regions: predicted regions of which less than `MIN_OVERLAP` lies in the label.
    """

    hd95_px: float | None
    hd95_mm: float | None
    truth_regions: int
    pred_regions: int
    found_regions: int
    false_regions: int


def localise(
    pred: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing_mm: tuple[float, float] | None = None,
) -> Localisation:
    """Compares `pred` with `truth`, bool (H, W), pixels `spacing_mm` (row, column) apart.

    Raises:
        EvaluationError: the masks are not bool or not of one shape.
    """
    if pred.shape != truth.shape or pred.dtype != np.bool_ or truth.dtype != np.bool_:
        raise EvaluationError(
            f"two bool masks of one shape are compared; got {pred.dtype} {pred.shape} and "
            f"{truth.dtype} {truth.shape}"
        )
    covered = _covered(truth, pred)
    true = _covered(pred, truth)
    return Localisation(
        hd95_px=hd95(pred, truth),
        hd95_mm=None if spacing_mm is None else hd95(pred, truth, spacing_mm),
        truth_regions=covered.size,
        pred_regions=true.size,
        found_regions=int((covered >= MIN_OVERLAP).sum()),
        false_regions=int((true < MIN_OVERLAP).sum()),
    )


def hd95(
    pred: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: tuple[float, float] = (1.0, 1.0)
) -> float | None:
    """The larger of the two directed 95th percentiles of surface distance (Huttenlocher et al. 1993).

    The surface of a mask is what an erosion by the four neighbours takes away; outside of the image is empty.

    Args:
        pred, truth: bool (H, W).
        spacing: distance of rows and of columns, in the unit of the result.

    Returns:
        The distance, or None where either mask is empty.
    """
    if not pred.any() or not truth.any():
        return None
    box = _box(pred | truth)
    first, second = _surface(pred[box]), _surface(truth[box])
    return max(_percentile(first, second, spacing), _percentile(second, first, spacing))


def _percentile(
    of: NDArray[np.bool_], to: NDArray[np.bool_], spacing: tuple[float, float]
) -> float:
    """The 95th percentile of the distances from the points of `of` to the nearest of `to`, bool (h, w)."""
    columns = np.flatnonzero(to.any(axis=0))
    down = np.square(_rows_away(to[:, columns]) * np.float32(spacing[0]))  # (h, columns)
    row, column = np.nonzero(of)
    nearest = np.empty(len(row), np.float32)
    step = max(1, _CELLS // len(columns))
    for first in range(0, len(row), step):
        part = slice(first, first + step)
        across = (column[part, None] - columns).astype(np.float32) * np.float32(spacing[1])
        nearest[part] = (np.square(across) + down[row[part]]).min(axis=1)
    return float(np.percentile(np.sqrt(nearest), 95))


def _rows_away(points: NDArray[np.bool_]) -> NDArray[np.int32]:
    """For each place, (h, w), how many rows away the nearest point of its column is; each column has one."""
    rows, far = np.arange(len(points), dtype=np.int32)[:, None], np.int32(1 << 24)
    above = np.maximum.accumulate(np.where(points, rows, -far), axis=0)
    below = np.minimum.accumulate(np.where(points, rows, far)[::-1], axis=0)[::-1]
    return np.minimum(rows - above, below - rows)


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The surface's pixels, bool (h, w)."""
    inside = np.pad(mask.astype(np.uint8), 1)  # and a rim of nothing
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    surface: NDArray[np.bool_] = ((inside > 0) & (cv2.erode(inside, cross) == 0))[1:-1, 1:-1]
    return surface


def _covered(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each region of `mask`, the share of it that lies in `other`."""
    if not mask.any():
        return np.zeros(0)
    box = _box(mask)
    count, labels = cv2.connectedComponents(mask[box].astype(np.uint8), connectivity=8)
    areas = np.bincount(labels.ravel(), minlength=count)[1:]
    shared = np.bincount(labels[other[box]], minlength=count)[1:]
    return np.asarray(shared / areas, np.float64)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns that hold the mask; the rest of the film would only cost time."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return slice(top, top + height), slice(left, left + width)
