"""Masks, heat maps and lungs as the store keeps them: 8-bit grey PNG."""

import cv2
import numpy as np
from numpy.typing import NDArray

# Masks and labels are flat: without a filter, and as runs, written 3 to 5 times as fast, and smaller.
_FLAT = [
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
]
_SMOOTH = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """A mask, bool (H, W), as 0 or 255."""
    return _png(np.ascontiguousarray(mask).view(np.uint8) * np.uint8(255), _FLAT)


def reduced(probability_map: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """A map, float32 (H, W), whose shorter side is at most `side` px: that of the network that drew it."""
    rows, columns = probability_map.shape
    factor = side / min(rows, columns)
    if factor >= 1.0:
        return probability_map
    size = max(1, round(columns * factor)), max(1, round(rows * factor))
    return np.asarray(cv2.resize(probability_map, size, interpolation=cv2.INTER_AREA), np.float32)


def heat_png(probability_map: NDArray[np.float32]) -> bytes:
    """A probability map, float32 (H, W) in [0, 1], as 0 to 255."""
    levels = np.rint(np.clip(probability_map, 0.0, 1.0) * 255.0).astype(np.uint8)
    return _png(levels, _SMOOTH)


def lungs_png(lung_fields: NDArray[np.uint8]) -> bytes:
    """The lungs' label map, uint8 (H, W), as it is."""
    return _png(lung_fields, _FLAT)


def _png(levels: NDArray[np.uint8], how: list[int]) -> bytes:
    return cv2.imencode(".png", levels, how)[1].tobytes()
