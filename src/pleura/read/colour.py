"""Grey films stored in colour."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.errors import UnsupportedFilm

TOLERANCE = 16 / 255
"""Channels may differ by this much in a grey pixel: what JPEG's chroma leaves behind."""

COLOURED_SHARE = 0.01
"""A grey film may have this share of coloured pixels: a marker, a date, a logo."""


def luminance(rgb: NDArray[np.uint8] | NDArray[np.uint16], peak: int) -> NDArray[np.float32]:
    """The grey levels of a grey film stored in colour.

    Args:
        rgb: (H, W, 3), 0 to `peak`.
        peak: the value of full white.

    Returns:
        float32 (H, W) in [0, 1], ITU-R BT.601 luma.

    Raises:
        UnsupportedFilm: more than a hundredth of the pixels is coloured, so it is a photograph, a
            screenshot or a colour map, and its brightness is not density.
    """
    red, green, blue = cv2.split(np.ascontiguousarray(rgb))
    spread = cv2.max(cv2.max(red, green), blue) - cv2.min(cv2.min(red, green), blue)
    coloured = float(np.mean(spread > TOLERANCE * peak))
    if coloured > COLOURED_SHARE:
        raise UnsupportedFilm(
            f"{coloured:.0%} of its pixels are coloured, so it is no radiograph for display but a "
            "photograph, screenshot or colour map; export the film itself"
        )
    grey = cv2.cvtColor(rgb.astype(np.float32), cv2.COLOR_RGB2GRAY)
    return np.asarray(np.clip(grey / np.float32(peak), 0.0, 1.0), dtype=np.float32)
