"""Lines and words of pictures, in the house's colours."""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont

RGB = tuple[int, int, int]

STRIP: RGB = (18, 22, 25)
"""Behind words, and the dark rim of lines."""
INK: RGB = (236, 240, 242)
"""Words and what measures."""
MUTED: RGB = (160, 172, 180)
"""What is said or drawn beside the finding."""
_OVERSAMPLE = 4
_SUBPIXEL_BITS = 4


def draw_contour(
    picture: NDArray[np.uint8], mask: NDArray[np.bool_], colour: RGB, thickness: float = 1.5
) -> None:
    """Draws the outline of `mask` into `picture`, in place and anti-aliased.

    Args:
        picture: uint8 (H', W', 3), RGB.
        mask: bool (H, W), of any size: its outline is scaled to the picture.
        colour: RGB.
        thickness: of the line, px of the picture.
    """
    # A dark rim below the line keeps it readable on bone and on air alike.
    for ink, line in ((STRIP, thickness + 1.6), (colour, thickness)):
        blend(picture, line_cover([mask], picture.shape, line), ink)


def line_cover(
    masks: Sequence[NDArray[np.bool_]], shape: tuple[int, ...], thickness: float
) -> NDArray[np.float32]:
    """How much of each pixel of a picture the outlines of masks cover.

    Args:
        masks: bool (H, W), all of one size: they are scaled to the picture.
        shape: of the picture, (H', W', ...).
        thickness: of the line, px of the picture.

    Returns:
        float32 (H', W'), 0 to 1.
    """
    height, width = shape[:2]
    over = _OVERSAMPLE if max(height, width) <= 1024 else 2
    contours = [contour for mask in masks for contour in _contours(mask)]
    scale = np.array([width / masks[0].shape[1], height / masks[0].shape[0]]) * over
    # Contour points are pixel centres: half a pixel further on an axis of pixel edges.
    fixed = [
        np.rint(((c.astype(np.float64) + 0.5) * scale - 0.5) * (1 << _SUBPIXEL_BITS)).astype(
            np.int32
        )
        for c in contours
    ]
    canvas = np.zeros((height * over, width * over), np.uint8)
    cv2.polylines(
        canvas, fixed, True, 255, max(1, round(thickness * over)), cv2.LINE_8, _SUBPIXEL_BITS
    )
    cover = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return cover.astype(np.float32) / np.float32(255.0)


def _contours(mask: NDArray[np.bool_]) -> Sequence[NDArray[np.generic]]:
    drawn = mask.astype(np.uint8)
    return cv2.findContours(drawn, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]


def blend(picture: NDArray[np.uint8], cover: NDArray[np.float32], colour: RGB) -> None:
    """Mixes `colour` into `picture`, in place, as much as `cover`, float32 (H', W') of 0 to 1, says."""
    touched = cover > 0
    weight = cover[touched][:, None]
    mixed = picture[touched] * (1.0 - weight) + np.array(colour, np.float32) * weight
    picture[touched] = np.rint(mixed).astype(np.uint8)


def write(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], lines: Sequence[str], size: int, ink: RGB
) -> int:
    """Writes lines below one another; gives the height at which the next would stand."""
    x, y = at
    for line in lines:
        pen.text((x, y), line, ink, typeface(size))
        y += round(size * 1.35)
    return y


def wrapped(text: str, size: int, room: int, most: int = 4) -> list[str]:
    """`text` in lines no wider than `room` px, `most` of them; what is longer ends in an ellipsis."""
    font, lines = typeface(size), [""]
    for word in text[:600].split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1] + "…"]
    return [_clipped(line, font, room) for line in lines]


def _clipped(line: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    while len(line) > 2 and font.getlength(line) > room:
        line = line.rstrip("…")[:-1] + "…"
    return line


@cache
def typeface(size: int) -> ImageFont.FreeTypeFont:
    """The house's typeface, `size` px high."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ValueError("this Pillow was built without FreeType; install Pillow's own wheel")
    return font
