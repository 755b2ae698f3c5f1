"""`Frame`: a rectangle of a film."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int]


@dataclass(frozen=True)
class Frame:
    """A rectangle of a film, in shares of its height and width: 0 at the top and left edge, 1 at the others.

    In shares, so that a film squeezed to a square has the same frame as in its true aspect.

    Attributes:
        top, left, bottom, right: 0 to 1.
    """

    top: float
    left: float
    bottom: float
    right: float

    def __post_init__(self) -> None:
        if not (0 <= self.top < self.bottom <= 1 and 0 <= self.left < self.right <= 1):
            raise ValueError(
                f"a frame's top is above its bottom and its left before its right, from 0 to 1; got {self}"
            )

    def window(self, shape: Shape) -> tuple[slice, slice]:
        """Rows and columns of a matrix of `shape`, to the nearest pixel; one of each at least."""
        rows, columns = shape
        return _pixels(self.top, self.bottom, rows), _pixels(self.left, self.right, columns)

    def cut(self, plane: NDArray[Any], surround: float = 0.0) -> NDArray[Any]:
        """The part of an (H, W) film or mask in the frame, with that share of it more on every side.

        What lies beyond the film is 0, as beyond a collimator.
        """
        rows, columns = self.window(plane.shape)
        margins = [round(surround * (one.stop - one.start)) for one in (rows, columns)]
        if not any(margins):
            return plane[rows, columns]
        padded = np.pad(plane, [(margin, margin) for margin in margins])
        high, wide = (2 * margin for margin in margins)
        return padded[rows.start : rows.stop + high, columns.start : columns.stop + wide]


WHOLE = Frame(0.0, 0.0, 1.0, 1.0)


def _pixels(first: float, last: float, count: int) -> slice:
    begin = min(round(first * count), count - 1)
    return slice(begin, max(round(last * count), begin + 1))
