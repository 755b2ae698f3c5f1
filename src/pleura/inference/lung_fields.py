"""`LungFields`: where the two lungs lie on one film, from a network's label map."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.frame import WHOLE, Frame
from pleura.radiograph import Radiograph, Side

IMAGE_LEFT, IMAGE_RIGHT, HEART = 1, 2, 3
"""Values of a label map: the lung at the image's left (as films are usually displayed, the patient's right
one), the lung at its right, the heart where it overlaps no lung; 0 elsewhere."""
AREA_FRACTION = (0.02, 0.40)
"""Share of the image that one lung field may have. In 259 films with drawn lungs: 0.05 to 0.22."""
MIN_RATIO = 0.2
"""Of the smaller lung field's area to the larger one's. In the same films at least 0.49; a collapsed lung,
whose air the field leaves out, makes less."""
BESIDE, ABOVE, BELOW = 0.06, 0.08, 0.15
"""By how much a frame is larger than the lungs in it: on either side in shares of their breadth, above and
below in shares of their height. Air lies outside of a lung's field where the field stops at the visceral
line, and in a deep sulcus below it."""


@dataclass(frozen=True, eq=False)
class LungFields:
    """The lung fields of one film, on its own matrix.

    Attributes:
        right, left: bool (H, W), the patient's right and left lung; they do not overlap.
        doubt: why they cannot be believed, in one sentence; None where they can. In doubt, nothing is to be
            measured by them.
    """

    right: NDArray[np.bool_]
    left: NDArray[np.bool_]
    doubt: str | None = None

    def __post_init__(self) -> None:
        for lung in (self.right, self.left):
            if lung.dtype != np.bool_ or lung.ndim != 2 or lung.shape != self.right.shape:
                raise ValueError(
                    "lung fields are bool (H, W) of one shape; "
                    f"got {self.right.dtype} {self.right.shape} and {self.left.dtype} {self.left.shape}"
                )

    @classmethod
    def of(cls, labels: NDArray[np.uint8], film: Radiograph) -> "LungFields":
        """The lung fields in a network's label map.

        Of each lung the largest connected region is kept (8-neighbourhood), its holes are filled, and its
        outline is enlarged smoothly to the film's matrix. Which of the two is the patient's right
        lung follows from `film.image_left`; the film's view plays no part.

        Args:
            labels: uint8 (h, w), of any size, over the whole film: `IMAGE_LEFT`, `IMAGE_RIGHT`, `HEART` or 0.
            film: the film.

        Raises:
            ValueError: `labels` is no such map.
        """
        if labels.dtype != np.uint8 or labels.ndim != 2 or labels.size == 0 or labels.max() > HEART:
            raise ValueError(
                f"a label map is uint8 (h, w) of 0 to {HEART}; got {labels.dtype} {labels.shape}"
            )
        at_left, at_right = (_cleaned(labels == value) for value in (IMAGE_LEFT, IMAGE_RIGHT))
        doubt = _doubt(at_left, at_right, film.image_left)
        enlarged, other = (_enlarged(lung, film.shape) for lung in (at_left, at_right))
        # Smooth outlines may touch: a pixel is the lung's that covers more of it.
        first, second = (enlarged >= 128) & (enlarged >= other), (other >= 128) & (other > enlarged)
        right, left = (first, second) if film.image_left == "right" else (second, first)
        return cls(right, left, doubt)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """uint8 (H, W): 1 in the patient's right lung, 2 in the left one, 0 elsewhere."""
        drawn = self.right.astype(np.uint8)
        drawn[self.left] = 2
        return drawn

    def lung(self, side: Side) -> NDArray[np.bool_]:
        """bool (H, W): the patient's lung of that side."""
        return self.right if side == "right" else self.left

    def side_of(self, region: NDArray[np.bool_], top: int, left: int) -> Side:
        """The patient's side that a region of the film lies on, by the lung field that it shares most with.

        Where it meets neither, it is on the side of the nearer lung's middle column.

        Args:
            region: bool (h, w), not empty: a cut-out of the film.
            top, left: where the cut-out begins, source pixels.
        """
        rows, columns = region.shape
        window = (slice(top, top + rows), slice(left, left + columns))
        of_right, of_left = (
            np.count_nonzero(region & lung[window]) for lung in (self.right, self.left)
        )
        if of_right != of_left:
            return "right" if of_right > of_left else "left"
        column = left + float(np.nonzero(region)[1].mean())
        right_column, left_column = (_middle(lung) for lung in (self.right, self.left))
        return "right" if abs(column - right_column) <= abs(column - left_column) else "left"


def lung_frame(labels: NDArray[np.uint8] | None) -> Frame:
    """The part of a film that its two lungs lie in, with a margin: what some networks see of it.

    Of each lung the largest connected region counts. Where a lung was not found, it is the whole film.

    Args:
        labels: a label map, uint8 (h, w), over the whole film; None: of no network.
    """
    if labels is None:
        return WHOLE
    boxes = [_box(labels == value) for value in (IMAGE_LEFT, IMAGE_RIGHT)]
    if not all(boxes):
        return WHOLE
    (top, left, bottom, right) = (
        pick(box[i] for box in boxes) for i, pick in enumerate((min, min, max, max))
    )
    height, width = labels.shape
    beside, above, below = BESIDE * (right - left), ABOVE * (bottom - top), BELOW * (bottom - top)
    return Frame(
        max(0.0, (top - above) / height),
        max(0.0, (left - beside) / width),
        min(1.0, (bottom + below) / height),
        min(1.0, (right + beside) / width),
    )


def _box(lung: NDArray[np.bool_]) -> tuple[int, int, int, int] | tuple[()]:
    """Top, left, bottom and right of a lung's largest region, px; nothing where there is no lung."""
    largest = _largest(lung)
    if largest is None:
        return ()
    _, (left, top, width, height) = largest
    return top, left, top + height, left + width


def _largest(
    lung: NDArray[np.bool_],
) -> tuple[NDArray[np.uint8], tuple[int, int, int, int]] | None:
    """The largest region of a lung, 0 or 1, and its left, top, width and height; None without a lung."""
    count, regions, stats, _ = cv2.connectedComponentsWithStats(
        lung.astype(np.uint8), connectivity=8
    )
    if count < 2:
        return None
    index = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    left, top, width, height = (int(v) for v in stats[index, : cv2.CC_STAT_AREA])
    return (regions == index).astype(np.uint8), (left, top, width, height)


def _cleaned(lung: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The largest region of a lung, 0 or 255, without holes."""
    drawn = np.zeros(lung.shape, np.uint8)
    largest = _largest(lung)
    if largest is not None:
        outline, _ = cv2.findContours(largest[0], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outline, -1, 255, cv2.FILLED)
    return drawn


def _enlarged(lung: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """How much of each pixel of a matrix of `shape` a lung (0 or 255) covers, 0 to 255."""
    shrinks = lung.shape[0] >= shape[0] and lung.shape[1] >= shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(lung, shape[::-1], interpolation=how).astype(np.uint8, copy=False)


def _doubt(at_left: NDArray[np.uint8], at_right: NDArray[np.uint8], image_left: Side) -> str | None:
    """Why the two lungs of a label map cannot be those of a frontal film."""
    other: Side = "left" if image_left == "right" else "right"
    shares = [np.count_nonzero(lung) / lung.size for lung in (at_left, at_right)]
    low, high = AREA_FRACTION
    for side, share in zip((image_left, other), shares, strict=True):
        if share == 0:
            return f"The {side} lung was not found."
        if not low <= share <= high:
            size = "small" if share < low else "large"
            return f"What was found of the {side} lung is too {size}: {100 * share:.1f} % of the image."
    if min(shares) < MIN_RATIO * max(shares):
        return f"One lung was found {max(shares) / min(shares):.0f} times as large as the other."
    if _middle(at_left) >= _middle(at_right):
        return "The two lungs were found on each other's side."
    return None


def _middle(lung: NDArray[np.uint8] | NDArray[np.bool_]) -> float:
    """Mean column of a lung's pixels."""
    return float(np.nonzero(lung)[1].mean())
