"""Turning a film upright, righting its greys, and bringing what was found back to the film as it came."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pleura.extent import Extent
from pleura.finding import Finding
from pleura.frame import Shape
from pleura.orientation import Orientation, turned
from pleura.radiograph import Radiograph

Pixel = TypeVar("Pixel", bound=np.generic)
Box = tuple[int, int, int, int]
Point = tuple[float, float]

_TURNED = {1: "a quarter counter-clockwise", 2: "upside down", 3: "a quarter clockwise"}


@dataclass(frozen=True)
class Mending:
    """What must be done to a film before it is judged.

    Attributes:
        quarters: by which it lies turned, counter-clockwise, 0 to 3.
        inverted: whether its greys are inverted.
    """

    quarters: int = 0
    inverted: bool = False

    def __bool__(self) -> bool:
        return bool(self.quarters or self.inverted)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done, one sentence each, for a person."""
        said = []
        if self.quarters:
            said.append(
                f"The film lies {_TURNED[self.quarters]}: it was judged upright; mask and map are in its own "
                "pixels."
            )
        if self.inverted:
            said.append("The film's greys are inverted: it was judged with bone bright.")
        return tuple(said)

    def mended(self, film: Radiograph) -> Radiograph:
        """The film upright and with bone bright.

        The sides of a film that was turned are by its header, where that has it upright then; else by the
        usual display.
        """
        pixels = 1 - film.pixels if self.inverted else film.pixels
        if not self.quarters:
            return replace(film, pixels=np.ascontiguousarray(pixels, np.float32))
        spacing = film.spacing_mm
        if spacing is not None and self.quarters % 2:
            spacing = spacing[1], spacing[0]
        orientation = film.patient_orientation and turned(film.patient_orientation, -self.quarters)
        if orientation is not None and (orientation[0] not in "LR" or orientation[1] != "F"):
            orientation = None
        return replace(
            film,
            pixels=np.ascontiguousarray(np.rot90(pixels, -self.quarters), np.float32),
            spacing_mm=spacing,
            image_left="left" if orientation and orientation[0] == "R" else "right",
            side_basis="orientation" if orientation else "convention",
            patient_orientation=orientation,
        )

    def finding_back(self, finding: Finding, judged: Radiograph) -> Finding:
        """What was found on the film as it was judged, upright, in the pixels of the film as it came."""
        notes = finding.notes + self.notes
        if not self.quarters:
            return replace(finding, notes=notes)
        upright = judged.shape
        orientation: Orientation = ("L" if judged.image_left == "right" else "R", "F")
        return replace(
            finding,
            probability_map=self.array_back(finding.probability_map),
            mask=self.array_back(finding.mask),
            lung_fields=self.array_back(finding.lung_fields),
            lesions=tuple(
                replace(one, box=self.box_back(one.box, upright)) for one in finding.lesions
            ),
            instances=tuple(
                replace(one, box=self.box_back(one.box, upright)) for one in finding.instances
            ),
            extents=tuple(self._extent_back(one, upright) for one in finding.extents),
            patient_orientation=turned(orientation, self.quarters),
            notes=notes,
        )

    def array_back(self, array: NDArray[Pixel] | None) -> NDArray[Pixel] | None:
        """An array (H, W) on the upright film's matrix, on the film's own."""
        return None if array is None else np.ascontiguousarray(np.rot90(array, self.quarters))

    def box_back(self, box: Box, upright: Shape) -> Box:
        """A box (top, left, bottom, right) on the upright film of that shape, on the film's own matrix."""
        rows, columns = upright
        for _ in range(
            self.quarters
        ):  # np.rot90: (row, column) goes to (columns - 1 - column, row)
            top, left, bottom, right = box
            box = columns - right, top, columns - left, bottom
            rows, columns = columns, rows
        return box

    def _extent_back(self, extent: Extent, upright: Shape) -> Extent:
        lines = [
            line._replace(
                start=self._point_back(line.start, upright), end=self._point_back(line.end, upright)
            )
            for line in extent.lines
        ]
        return replace(extent, lines=tuple(lines))

    def _point_back(self, point: Point, upright: Shape) -> Point:
        """As `box_back`, of a point (row, column) counted from the outer edge of the first pixel."""
        rows, columns = upright
        for _ in range(self.quarters):
            point = columns - point[1], point[0]
            rows, columns = columns, rows
        return point


AS_IT_IS = Mending()
"""Nothing is to be done."""
