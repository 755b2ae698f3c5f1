"""How a finding was measured: outlines of the lungs and distances on the film, and the same in words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pleura.extent import Extent, Line
from pleura.outputs.drawing import INK, MUTED, STRIP, blend, line_cover, typeface

_LUNG_WEIGHT = np.float32(0.55)
_NAMES = {
    "apex_to_cupola_mm": "apex ",
    "rim_at_hilum_mm": "hilum ",
    "rim_lateral_mm": "lateral ",
}
_GUIDELINES = (
    ("apex", "apex_to_cupola_mm", "ACCP 2001", "accp_2001"),
    ("hilum", "rim_at_hilum_mm", "BTS 2010", "bts_2010"),
    ("lateral", "rim_lateral_mm", "BTS 2023", "bts_2023"),
)

Box = tuple[float, float, float, float]


def draw_lungs(
    picture: NDArray[np.uint8], lung_fields: NDArray[np.uint8], thickness: float = 1.0
) -> None:
    """Draws the outlines of the lungs faintly into `picture`, in place.

    Args:
        picture: uint8 (H', W', 3), RGB.
        lung_fields: uint8 (H, W), as in a `Finding`; of any size.
        thickness: of the line, px of the picture.
    """
    lungs = [lung_fields == value for value in (1, 2)]
    blend(picture, _LUNG_WEIGHT * line_cover(lungs, picture.shape, thickness), MUTED)


def draw_distances(
    drawn: Image.Image, extents: Sequence[Extent], shape: tuple[int, int], thickness: float = 1.0
) -> None:
    """Draws the distances that were taken, each with its mm, into `drawn`, in place.

    Args:
        drawn: the picture of the film.
        extents: the finding's.
        shape: of the film's matrix, whose pixels the lines are in.
        thickness: of the lines, px of the picture.
    """
    pen, size = ImageDraw.Draw(drawn), max(9, min(drawn.size) // 36)
    scale = drawn.width / shape[1], drawn.height / shape[0]
    taken: list[Box] = []
    for line in _told_once([line for extent in extents for line in extent.lines]):
        start, end = ((column * scale[0], row * scale[1]) for row, column in (line.start, line.end))
        _calliper(pen, start, end, size, max(1, round(thickness)))
        taken.append(_label(pen, line, end, start, size, taken))


def words(extent: Extent) -> str:
    """What is known of one side's extent, or why nothing is, in one line."""
    if extent.area_fraction_of_lung is None:
        return extent.reasons["area_fraction_of_lung"]
    share = (
        f"{extent.side.capitalize()}: {100 * extent.area_fraction_of_lung:.0f} % of the lung field"
    )
    told = []
    for place, measure, guideline, size in _GUIDELINES:
        mm, said = getattr(extent, measure), getattr(extent, size)
        if mm is not None:
            told.append(f"{place} {mm:.0f} mm" + (f" ({guideline}: {said})" if said else ""))
    if not told:
        return f"{share}. {next(iter(extent.reasons.values()))}"
    if extent.collins_percent is not None:
        told.append(f"Collins {extent.collins_percent:.0f} %")
    basis = "; mm at the detector" if extent.spacing_basis == "detector" else ""
    return f"{share}; {', '.join(told)}{basis}"


def _told_once(lines: Sequence[Line]) -> list[Line]:
    """Without those that lie where an earlier one does, such as the widest rim, if it is one of Collins'."""
    by_place = {(line.start, line.end): line for line in reversed(lines)}
    return [line for line in lines if by_place[line.start, line.end] is line]


def _calliper(
    pen: ImageDraw.ImageDraw,
    start: tuple[float, float],
    end: tuple[float, float],
    size: int,
    width: int,
) -> None:
    """A line with a bar at each end, on a dark rim."""
    bar = size / 3
    across = (bar, 0.0) if start[0] == end[0] else (0.0, bar)
    strokes = [(*start, *end)]
    for x, y in (start, end):
        strokes.append((x - across[0], y - across[1], x + across[0], y + across[1]))
    for ink, wide in ((STRIP, width + 2), (INK, width)):
        for stroke in strokes:
            pen.line(stroke, ink, wide)


def _label(
    pen: ImageDraw.ImageDraw,
    line: Line,
    end: tuple[float, float],
    start: tuple[float, float],
    size: int,
    taken: Sequence[Box],
) -> Box:
    """Writes a line's mm beyond its end, over the lung, below what stands there; gives where."""
    text = f"{_NAMES.get(line.name, '')}{line.mm:.0f} mm"
    upright = start[0] == end[0]
    x, y = (start[0], (start[1] + end[1]) / 2) if upright else end
    gap = size / 2
    leftwards = not upright and end[0] < start[0]
    anchor, x = ("rm", x - gap) if leftwards else ("lm", x + gap)
    font, rim = typeface(size), max(1, size // 10)
    for _ in range(len(taken) + 1):
        box = pen.textbbox((x, y), text, font, anchor, stroke_width=rim)
        below = [other[3] for other in taken if _meet(box, other)]
        if not below:
            break
        y += max(below) - box[1] + size // 8 + 1
    pen.text((x, y), text, INK, font, anchor, stroke_width=rim, stroke_fill=STRIP)
    return box


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
