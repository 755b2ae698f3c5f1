"""Whether two pleural cavities look like those of a chest: outlines that do not are not measured."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.inference.measurements.hemithorax import Mask

# Of 259 films with drawn lungs, in brackets the least or the most.
MIN_SOLIDITY = 0.68
"""Of a cavity's area to its convex hull's (0.70)."""
MIN_HEIGHT = 0.28
"""Of a cavity, as a share of the film's height (0.32)."""
MIN_AREA_RATIO = 0.45
"""Of the smaller cavity's area to the larger one's (0.49)."""
MAX_CUPOLAS_APART = 0.1
"""Difference in height of the two cupolas, as a share of the higher cavity's height (0.38; 0.07 in 99 %)."""

_SIDE_PX = 256  # shapes are compared on a small matrix: none of the numbers depends on its aspect


def why_no_chest(right: Mask, left: Mask) -> str | None:
    """Why two regions cannot be a chest's pleural cavities, in one sentence; None where they can.

    A lung that a network only found in parts is seen so, even where all of the parts are lung.

    Args:
        right, left: bool (H, W), the patient's: the lung's field and the lesions of its side; not empty.
    """
    cavities = {"right": _small(right), "left": _small(left)}
    for side, cavity in cavities.items():
        if not cavity.any() or _solidity(cavity) < MIN_SOLIDITY:
            return f"The {side} lung field does not have the shape of a lung."
        if _height(cavity) < MIN_HEIGHT * _SIDE_PX:
            return f"The {side} lung field is too low to be a whole lung."
    areas = sorted(np.count_nonzero(cavity) for cavity in cavities.values())
    if areas[0] < MIN_AREA_RATIO * areas[1]:
        return "One lung field is too small beside the other."
    highest = max(_height(cavity) for cavity in cavities.values())
    tops = [_top(cavity) for cavity in cavities.values()]
    if abs(tops[0] - tops[1]) > MAX_CUPOLAS_APART * highest:
        return "The cupolas of the two lung fields were found too far apart in height."
    return None


def _small(cavity: Mask) -> NDArray[np.uint8]:
    size = (_SIDE_PX, _SIDE_PX)
    return cv2.resize(cavity.view(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(np.uint8)


def _solidity(cavity: NDArray[np.uint8]) -> float:
    """Area of a region / area of the convex hull of all of its parts."""
    hull = cv2.convexHull(np.argwhere(cavity)[:, ::-1].astype(np.int32))
    filled = cv2.fillConvexPoly(np.zeros_like(cavity), hull, 1)
    return np.count_nonzero(cavity) / np.count_nonzero(filled)


def _top(cavity: NDArray[np.uint8]) -> int:
    return int(np.argmax(cavity.any(axis=1)))


def _height(cavity: NDArray[np.uint8]) -> int:
    rows = np.flatnonzero(cavity.any(axis=1))
    return int(rows[-1] - rows[0] + 1)
