"""Masks, heat maps and lungs as the store keeps them: 8-bit grey PNG."""

import cv2
import numpy as np
from numpy.typing import NDArray

HEAT_SIDE = 1024
"""Longer side of a heat map, px: above that of any network's own map."""

_QUICKEST = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # such pictures are small at any level


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """A mask, bool (H, W), as 0 or 255."""
    return _png(np.ascontiguousarray(mask).view(np.uint8) * np.uint8(255))


def heat_png(probability_map: NDArray[np.float32]) -> bytes:
    """A probability map, float32 (H, W) in [0, 1], as 0 to 255; reduced to `HEAT_SIDE` px at most."""
    rows, columns = probability_map.shape
    factor = HEAT_SIDE / max(rows, columns)
    if factor < 1.0:
        size = max(1, round(columns * factor)), max(1, round(rows * factor))
        probability_map = np.asarray(
            cv2.resize(probability_map, size, interpolation=cv2.INTER_AREA), np.float32
        )
    return _png(np.rint(np.clip(probability_map, 0.0, 1.0) * 255.0).astype(np.uint8))


def lungs_png(lung_fields: NDArray[np.uint8]) -> bytes:
    """The lungs' label map, uint8 (H, W), as it is."""
    return _png(lung_fields)


def _png(levels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", levels, _QUICKEST)[1].tobytes()
