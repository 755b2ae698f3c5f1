"""One side of the chest in pixels: the pleural cavity, the collapsed lung in it, how far they lie apart."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

SLIVER_MM = 8.0
"""Strips of the cavity narrower than this are no lung."""
STRIP_MM = 15.0
"""What lies above a lesion, or lateral to it, up to this far, is neither lung nor air: air abuts on the chest
wall, and a lung's field that reaches beyond it was drawn too large."""
BAND_MM = 5.0
"""Height over which the median of rims is taken."""


@dataclass(frozen=True, eq=False)
class Hemithorax:
    """The pleural cavity of one side, cut out of the film, with the chest wall at its left.

    Attributes:
        cavity: bool (h, w), the lung's field and the lesions of its side; where a lesion is near the chest
            wall, it ends with that.
        lesions: bool (h, w), those lesions.
        lung: bool (h, w), the collapsed lung: one region, or nothing.
        spacing_mm: (row, column).
    """

    cavity: Mask
    lesions: Mask
    lung: Mask
    spacing_mm: tuple[float, float]

    @classmethod
    def of(cls, field: Mask, lesions: Mask, spacing_mm: tuple[float, float]) -> "Hemithorax":
        """The hemithorax of a lung's field and lesions, both bool (h, w)."""
        cavity = (field & ~_strips(field | lesions, lesions, spacing_mm)) | lesions
        lung = _largest_without_slivers(cavity & ~lesions, spacing_mm)
        return cls(cavity, lesions, lung, spacing_mm)

    @property
    def lung_rows(self) -> tuple[int, int]:
        """First row of the lung, and the one after its last; there must be a lung."""
        rows = np.flatnonzero(self.lung.any(axis=1))
        return int(rows[0]), int(rows[-1]) + 1

    def apex_px(self) -> int:
        """Rows from the lesions' top to the lung's; 0 where less than half of the cavity there is lesion."""
        top = int(self.lesions.any(axis=1).argmax())
        above = slice(top, max(top, self.lung_rows[0]))
        filled = 2 * np.count_nonzero(self.lesions[above]) >= np.count_nonzero(self.cavity[above])
        return above.stop - above.start if filled else 0

    def rims_px(self) -> NDArray[np.int64]:
        """For each row of the lung, columns from the cavity's lateral edge to the lung's.

        0 where less than half of them are lesion; each a median over `BAND_MM`.
        """
        rows = slice(*self.lung_rows)
        wall, edge = self.cavity[rows].argmax(axis=1), self.lung[rows].argmax(axis=1)
        lateral_to_lung = np.arange(self.lung.shape[1]) < edge[:, None]
        filled = np.count_nonzero(self.lesions[rows] & lateral_to_lung, axis=1)
        rims = np.where(2 * filled >= edge - wall, edge - wall, 0)
        return _running_median(rims, round(BAND_MM / 2 / self.spacing_mm[0]))

    def wall_px(self, row: int) -> int:
        """Column of the cavity's lateral edge in a row."""
        return int(self.cavity[row].argmax())


def _strips(cavity: Mask, lesions: Mask, spacing_mm: tuple[float, float]) -> Mask:
    """Where a narrow strip lies between the cavity's upper or lateral edge and a lesion, bool (h, w)."""
    strips = np.zeros_like(cavity)
    for axis, mm in enumerate(spacing_mm):
        first, edge = lesions.argmax(axis=axis), cavity.argmax(axis=axis)
        near = lesions.any(axis=axis) & ((first - edge) * mm <= STRIP_MM)
        before = np.indices(cavity.shape, sparse=True)[axis] < np.expand_dims(first, axis)
        strips |= before & np.expand_dims(near, axis)
    return strips


def _largest_without_slivers(region: Mask, spacing_mm: tuple[float, float]) -> Mask:
    """The largest connected part of `region` that is not held together by slivers only.

    An opening would round the part's corners; what it took there is given back.
    """
    down, along = (2 * round(SLIVER_MM / 2 / mm) + 1 for mm in spacing_mm)
    kernel = np.ones((down, along), np.uint8)
    given = region.astype(np.uint8)
    # Outside of the cut there is no region either.
    core = cv2.erode(given, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    opened = cv2.dilate(core, kernel).astype(np.uint8)
    main = _largest(opened)
    return _largest(given & cv2.dilate(main, kernel).astype(np.uint8)).astype(np.bool_)


def _largest(region: NDArray[np.uint8]) -> NDArray[np.uint8]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(region, connectivity=8)
    if count == 1:
        return np.zeros_like(region)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.equal(labels, largest).astype(np.uint8)


def _running_median(values: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """The median of each value with the `reach` ones before and after it; the ends go on for ever."""
    padded = np.pad(values, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    medians: NDArray[np.int64] = np.median(windows, axis=1).astype(np.int64)
    return medians
