"""The guidelines' distances on one side of an erect film, as `pleura.extent.Extent` defines them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from pleura.extent import MEASURES, Line
from pleura.inference.measurements.hemithorax import Hemithorax, Mask

HILUM_LEVEL = 0.45
"""Of the height of field and lesions, from the top down. The hila lie in the middle third; in 259 films with
drawn lungs and hearts the heart's outline, which begins right below them, begins at 0.43 (median; half
of them between 0.41 and 0.46)."""
APART_MM = 10.0
"""A lesion farther from the lung's field than this, along rows or columns, is not in that pleural cavity."""

_DISTANCES = MEASURES[1:]
_UPPER, _LOWER = 0.25, 0.75  # the midpoints of the collapsed lung's halves


class Distances(NamedTuple):
    """Values by measure, why the others are None, and the lines that were drawn for them."""

    values: Mapping[str, float]
    reasons: Mapping[str, str]
    lines: tuple[Line, ...] = ()


def refused(why: str) -> Distances:
    """No distance at all, for one reason."""
    return Distances({}, dict.fromkeys(_DISTANCES, why))


def distances(
    lesions: Mask, lung: Mask, spacing_mm: tuple[float, float], *, wall_at_left: bool
) -> Distances:
    """The distances of one side.

    Args:
        lesions: bool (H, W), the lesions of the side; not empty.
        lung: bool (H, W), the field of its lung; not empty.
        spacing_mm: (row, column).
        wall_at_left: whether this side's chest wall is towards the left edge of the image.
    """
    cut = _Cut.around(lesions | lung, wall_at_left=wall_at_left)
    edge = cut.edge_of_film
    if edge is not None:
        return refused(
            f"The pleural cavity reaches the {edge} edge of the film and may be cut off."
        )
    lesions, lung = cut(lesions), cut(lung)
    if _apart(lesions, lung, spacing_mm):
        return refused("A lesion lies apart from the lung field of its side.")
    side = Hemithorax.of(lung, lesions, spacing_mm)
    if not side.lung.any():
        return refused("The lesions fill the pleural cavity: no lung is left to measure to.")
    return _of_hemithorax(side, cut)


def _of_hemithorax(side: Hemithorax, cut: "_Cut") -> Distances:
    rims = _Rims(side, cut)
    first, after = side.lung_rows
    upper, lower = (first + int(level * (after - first)) for level in (_UPPER, _LOWER))
    hilum = int(HILUM_LEVEL * side.cavity.shape[0])
    apex = _apex(side, cut)
    levels = [*range(upper, lower + 1), *([hilum] if first <= hilum < after else [])]
    lateral = max(levels, key=rims.mm)
    lines = [apex, rims.line("rim_lateral_mm", lateral)]
    values, reasons = {apex.name: apex.mm, "rim_lateral_mm": rims.mm(lateral)}, {}
    if first <= hilum < after:
        lines.append(rims.line("rim_at_hilum_mm", hilum))
        values["rim_at_hilum_mm"] = rims.mm(hilum)
    else:
        reasons["rim_at_hilum_mm"] = "No lung is left at the level of the hilum."
    sum_mm = apex.mm + rims.mm(upper) + rims.mm(lower)
    if sum_mm > 0:
        values["collins_percent"] = collins_percent(sum_mm)
        lines += [rims.line("collins_upper", upper), rims.line("collins_lower", lower)]
    else:
        reasons["collins_percent"] = "There is no air at the three places that it is reckoned from."
    return Distances(values, reasons, tuple(line for line in lines if line.mm > 0))


def collins_percent(sum_mm: float) -> float:
    """Percentage of the hemithorax, from the sum of Collins' three distances; at most 100."""
    return min(100.0, 4.2 + 4.7 * sum_mm / 10.0)


def _apart(lesions: Mask, lung: Mask, spacing_mm: tuple[float, float]) -> bool:
    """Whether one of the lesions is nowhere near the lung's field."""
    down, along = (2 * round(APART_MM / mm) + 1 for mm in spacing_mm)
    near = cv2.dilate(lung.astype(np.uint8), np.ones((down, along), np.uint8)) > 0
    count, regions = cv2.connectedComponents(lesions.astype(np.uint8), connectivity=8)
    meets = np.zeros(count, np.bool_)
    meets[0] = True  # the background
    meets[regions[near & lesions]] = True
    return not meets.all()


def _apex(side: Hemithorax, cut: "_Cut") -> Line:
    """From the lesions' topmost row straight down to the middle of the lung's."""
    top, rows = side.lung_rows[0], side.apex_px()
    column = float(np.flatnonzero(side.lung[top]).mean()) + 0.5
    return Line(
        "apex_to_cupola_mm",
        cut.place(top - rows, column),
        cut.place(top, column),
        rows * side.spacing_mm[0],
    )


class _Rims:
    """The rims of a hemithorax, by the row of the cut."""

    def __init__(self, side: Hemithorax, cut: "_Cut") -> None:
        self.side, self.cut = side, cut
        self.first = side.lung_rows[0]
        self.px = side.rims_px()

    def mm(self, row: int) -> float:
        """The rim in a row."""
        return float(self.px[row - self.first]) * self.side.spacing_mm[1]

    def line(self, name: str, row: int) -> Line:
        """The rim in a row, from the chest wall inwards."""
        wall = self.side.wall_px(row)
        inner = wall + int(self.px[row - self.first])
        start, end = (self.cut.place(row + 0.5, column) for column in (wall, inner))
        return Line(name, start, end, self.mm(row))


@dataclass(frozen=True)
class _Cut:
    """A box of the film, seen with the chest wall at its left."""

    top: int
    left: int
    bottom: int
    right: int
    shape: tuple[int, int]
    wall_at_left: bool

    @classmethod
    def around(cls, region: Mask, *, wall_at_left: bool) -> "_Cut":
        """The smallest box around a region."""
        rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
        top, left, bottom, right = (
            int(v) for v in (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
        )
        shape = region.shape[0], region.shape[1]
        return cls(top, left, bottom, right, shape, wall_at_left)

    def __call__(self, array: Mask) -> Mask:
        cut = array[self.top : self.bottom, self.left : self.right]
        return np.ascontiguousarray(cut if self.wall_at_left else cut[:, ::-1])

    def place(self, row: float, column: float) -> tuple[float, float]:
        """A point of the cut on the film."""
        along = self.left + column if self.wall_at_left else self.right - column
        return float(self.top + row), float(along)

    @property
    def edge_of_film(self) -> str | None:
        """The edge of the film that the box touches, if any but the inner one."""
        if self.top == 0:
            return "upper"
        if self.bottom == self.shape[0]:
            return "lower"
        lateral = self.left == 0 if self.wall_at_left else self.right == self.shape[1]
        return "lateral" if lateral else None
