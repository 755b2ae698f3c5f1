"""A film with its finding drawn on it, and sheets of many such pictures.

The film is drawn on its source matrix, scaled evenly: a picture for looking at, whose proportions are the
source's own even where its pixels are not square in mm. Nothing is drawn on the film but contours, the side
markers, distances that were taken, and the boxes and scores of a network that finds instances; words stand on
a strip below.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pleura.finding import Finding, Instance
from pleura.orientation import Orientation, edges
from pleura.outputs.drawing import INK, MUTED, RGB, STRIP, draw_contour, typeface, wrapped, write
from pleura.outputs.measures import draw_distances, draw_lungs, words
from pleura.radiograph import Radiograph

_NOT_FRONTAL = ("lateral", "other")  # whose edges are not the patient's right and left

FINDING = (255, 176, 32)
"""Colour of the finding's contour, RGB."""
TRUTH = (64, 208, 255)
"""Colour of the labelled contour, RGB; tells from `FINDING` with any colour vision."""
_DECLINED = (214, 120, 110)


def overlay(
    film: Radiograph,
    finding: Finding,
    truth: NDArray[np.bool_] | None = None,
    size: int | None = None,
    *,
    heat: bool = False,
    caption: bool = True,
    measures: bool = True,
) -> NDArray[np.uint8]:
    """The film with its finding.

    Args:
        film: the film.
        finding: what a model found on it; its mask and map are on the film's matrix.
        truth: bool (H, W), the labelled mask, drawn in another colour; None where there is none.
        size: longer side of the film in the picture, px; the film's own by default.
        heat: whether to tint the film faintly by the probability map, where there is one.
        caption: whether to add the strip of words below.
        measures: whether to draw the lungs and the distances that were taken, where the finding has them.

    Returns:
        uint8 (H', W', 3), RGB.

    Raises:
        ValueError: a mask or a map is not of the film's shape, or `size` is below 16.
    """
    _check(film, finding, truth, size)
    height, width = _scaled(film.shape, size)
    picture = _grey(film.pixels, (height, width))
    if heat and finding.probability_map is not None:
        picture = _tinted(picture, finding.probability_map)
    thickness = max(1.0, min(height, width) / 300.0)
    if measures and finding.lung_fields is not None:
        draw_lungs(picture, finding.lung_fields, 0.6 * thickness)
    if truth is not None and truth.any():
        draw_contour(picture, truth, TRUTH, thickness)
    if finding.mask is not None and finding.mask.any():
        draw_contour(picture, finding.mask, FINDING, thickness)
    drawn = Image.fromarray(picture)
    _boxes(drawn, finding.instances, film.shape, thickness)
    if measures:
        draw_distances(drawn, finding.extents, film.shape, 0.5 * thickness)
    if _has_sides(film, finding):
        _side_markers(drawn, _orientation(film, finding))
    if finding.decision == "declined":
        _frame(drawn, max(2, round(2 * thickness)))
    if caption:
        drawn = _captioned(drawn, film, finding, truth, measures=measures)
    return np.asarray(drawn, dtype=np.uint8)


def contact_sheet(
    images: Sequence[NDArray[np.uint8]],
    columns: int,
    captions: Sequence[str] = (),
    *,
    tile: int | None = None,
) -> NDArray[np.uint8]:
    """Pictures side by side, row after row, each with its caption below.

    Args:
        images: uint8 (H, W) or (H, W, 3) RGB; of different sizes if need be. Each is scaled to fit a
            square tile.
        columns: pictures a row; fewer where there are fewer pictures.
        captions: one a picture, or none at all.
        tile: side of a tile, px; the largest picture's longer side, 512 at most, by default.

    Returns:
        uint8 (H', W', 3), RGB.

    Raises:
        ValueError: there are no pictures, captions do not pair up, or a picture is of another type.
    """
    if not images or columns < 1:
        raise ValueError(
            f"a sheet needs a picture and a column; got {len(images)} pictures, {columns} columns"
        )
    if captions and len(captions) != len(images):
        raise ValueError(f"{len(images)} pictures cannot have {len(captions)} captions; one each")
    side = tile or min(512, max(max(image.shape[:2]) for image in images))
    if side < 16:
        raise ValueError(f"a tile has at least 16 px a side; got {side}")
    columns = min(columns, len(images))
    rows, gap = math.ceil(len(images) / columns), max(2, side // 50)
    type_size = max(9, side // 18)
    lines = [wrapped(text, type_size, side) for text in captions]
    below = max((len(text) for text in lines), default=0) * round(type_size * 1.3)
    below += gap if below else 0
    step = side + gap, side + below + gap
    sheet = Image.new("RGB", (columns * step[0] + gap, rows * step[1] + gap), STRIP)
    pen = ImageDraw.Draw(sheet)
    for n, image in enumerate(images):
        x, y = gap + n % columns * step[0], gap + n // columns * step[1]
        fitted = Image.fromarray(_fitted(image, side))
        sheet.paste(fitted, (x + (side - fitted.width) // 2, y + (side - fitted.height) // 2))
        if lines:
            write(pen, (x, y + side + gap // 2), lines[n], type_size, INK)
    return np.asarray(sheet, dtype=np.uint8)


def _check(
    film: Radiograph, finding: Finding, truth: NDArray[np.bool_] | None, size: int | None
) -> None:
    if size is not None and size < 16:
        raise ValueError(f"a picture of a film has at least 16 px on its longer side; got {size}")
    for what, array in (
        ("finding's mask", finding.mask),
        ("finding's probability map", finding.probability_map),
        ("finding's lung fields", finding.lung_fields),
        ("labelled mask", truth),
    ):
        if array is not None and array.shape != film.shape:
            raise ValueError(
                f"the {what} is {array.shape}, the film {film.shape}; give what belongs to this film"
            )


def _scaled(shape: tuple[int, int], size: int | None) -> tuple[int, int]:
    factor = size / max(shape) if size else 1.0
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _grey(pixels: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The film as uint8 RGB (H', W', 3), which may be written to."""
    if shape != pixels.shape:
        shrinks = shape[0] < pixels.shape[0]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = np.asarray(cv2.resize(pixels, shape[::-1], interpolation=how), np.float32)
    grey = np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.repeat(grey.reshape(*shape, 1), 3, axis=2)


def _tinted(picture: NDArray[np.uint8], probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    resized = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
    weight = 0.45 * np.clip(resized, 0.0, 1.0).reshape(height, width, 1)
    tinted = picture * (1.0 - weight) + np.array(FINDING, np.float32) * weight
    return np.asarray(np.rint(tinted), dtype=np.uint8)


def _orientation(film: Radiograph, finding: Finding) -> Orientation:
    """How the film lies, as the finding's sides have it."""
    return finding.patient_orientation or ("L" if film.image_left == "right" else "R", "F")


def _has_sides(film: Radiograph, finding: Finding) -> bool:
    """Whether R and L stand at its edges: of frontal films, by convention only of those that were judged."""
    assumed = (finding.side_basis or film.side_basis) == "convention"
    return film.view not in _NOT_FRONTAL and not (assumed and finding.decision == "declined")


def _side_markers(drawn: Image.Image, orientation: Orientation) -> None:
    """R and L at the picture's edges: the patient's sides."""
    size = max(9, min(drawn.size) // 22)
    inset = max(3, size // 3)
    right, bottom = drawn.width - inset, drawn.height - inset
    places = {
        "left": ((inset, inset), "la"),
        "right": ((right, inset), "ra"),
        "top": ((drawn.width // 2, inset), "ma"),
        "bottom": ((drawn.width // 2, bottom), "md"),
    }
    pen, font = ImageDraw.Draw(drawn), typeface(size)
    rim = max(1, size // 10)
    for letter, edge in edges(orientation).items():
        if letter in "RL":
            place, anchor = places[edge]
            pen.text(place, letter, INK, font, anchor=anchor, stroke_width=rim, stroke_fill=STRIP)


def _boxes(
    drawn: Image.Image, found: Sequence[Instance], shape: tuple[int, int], thickness: float
) -> None:
    """The instances' boxes, in thin lines, each with its score above it, or below where there is no room."""
    pen, size = ImageDraw.Draw(drawn), max(9, min(drawn.size) // 32)
    down, along = drawn.height / shape[0], drawn.width / shape[1]
    rim = max(1, size // 10)
    for instance in reversed(found):  # the best on top
        top, left, bottom, right = instance.box
        corners = (left * along, top * down, right * along - 1, bottom * down - 1)
        pen.rectangle(corners, outline=STRIP, width=max(3, round(1.5 * thickness)))
        pen.rectangle(corners, outline=FINDING, width=max(1, round(0.5 * thickness)))
        above = corners[1] > 1.4 * size
        place = (corners[0], corners[1] - rim) if above else (corners[0], corners[3] + 2 * rim)
        text, anchor = _shown(instance.score), "lb" if above else "la"
        pen.text(place, text, FINDING, typeface(size), anchor, stroke_width=rim, stroke_fill=STRIP)


def _frame(drawn: Image.Image, thickness: int) -> None:
    edge = (0, 0, drawn.width - 1, drawn.height - 1)
    ImageDraw.Draw(drawn).rectangle(edge, outline=_DECLINED, width=thickness)


def _captioned(
    drawn: Image.Image,
    film: Radiograph,
    finding: Finding,
    truth: NDArray[np.bool_] | None,
    *,
    measures: bool,
) -> Image.Image:
    size = max(10, min(30, drawn.width // 28))
    inset, step = max(4, size // 2), round(size * 1.35)
    room = drawn.width - 2 * inset
    paragraphs: list[tuple[str, RGB]] = [
        (_headline(finding), _DECLINED if finding.decision == "declined" else INK)
    ]
    if finding.decision == "declined":
        paragraphs.append((finding.reason, INK))
    elif finding.side is not None:
        paragraphs.append((f"Side: {_side_words(finding, _orientation(film, finding))}", INK))
        if measures and finding.lung_fields is not None:
            paragraphs += [(words(extent), MUTED) for extent in finding.extents]
    elif film.side_basis == "convention" and film.view not in _NOT_FRONTAL:
        paragraphs.append(("R and L by convention", MUTED))
    legend = [(FINDING, "finding")] if finding.decision == "positive" else []
    if truth is not None:
        legend.append((TRUTH, "labelled" if truth.any() else "labelled: none"))
    told = [(wrapped(text, size, room), ink) for text, ink in paragraphs]
    count = sum(len(lines) for lines, _ in told) + bool(legend)
    strip = Image.new("RGB", (drawn.width, count * step + 2 * inset), STRIP)
    pen, y = ImageDraw.Draw(strip), inset
    for lines, ink in told:
        y = write(pen, (inset, y), lines, size, ink)
    _legend(pen, (inset, y), legend, size)
    whole = Image.new("RGB", (drawn.width, drawn.height + strip.height))
    whole.paste(drawn, (0, 0))
    whole.paste(strip, (0, drawn.height))
    return whole


def _headline(finding: Finding) -> str:
    name = finding.target.name
    if finding.probability is None:
        return f"{name}: declined"
    word = "probability" if finding.calibrated else "score"
    area = f", {100 * finding.area_fraction:.1f} % of the image" if finding.area_fraction else ""
    return f"{name}: {finding.decision}, {word} {_shown(finding.probability)}{area}"


def _shown(score: float) -> str:
    """Two digits, or four where two would say that it is certain."""
    two = f"{score:.2f}"
    return f"{score:.4f}" if two in ("0.00", "1.00") else two


def _side_words(finding: Finding, orientation: Orientation) -> str:
    """The patient's side, where that is on the picture, and whether it is assumed."""
    if finding.side == "bilateral":
        where = "right and left"
    else:
        edge = edges(orientation)["R" if finding.side == "right" else "L"]
        where = f"{finding.side} (image {edge})"
    return f"{where}, by convention" if finding.side_basis == "convention" else where


def _legend(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], entries: list[tuple[RGB, str]], size: int
) -> None:
    x, y = at
    for colour, text in entries:
        pen.line((x, y + size * 0.62, x + size * 1.2, y + size * 0.62), colour, max(2, size // 6))
        pen.text((x + size * 1.6, y), text, MUTED, typeface(size))
        x += round(size * 2.8 + typeface(size).getlength(text))


def _fitted(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture as RGB, scaled evenly to fit a square of `side`."""
    colour = image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or not (image.ndim == 2 or colour) or image.size == 0:
        raise ValueError(
            f"a picture is uint8 (H, W) or (H, W, 3) RGB; got {image.dtype} {image.shape}"
        )
    rgb = image if colour else np.repeat(image[:, :, None], 3, axis=2)
    height, width = _scaled((rgb.shape[0], rgb.shape[1]), side)
    if (height, width) == rgb.shape[:2]:
        return rgb
    how = cv2.INTER_AREA if height < rgb.shape[0] else cv2.INTER_LINEAR
    resized: NDArray[np.uint8] = cv2.resize(rgb, (width, height), interpolation=how).astype(
        np.uint8
    )
    return resized
