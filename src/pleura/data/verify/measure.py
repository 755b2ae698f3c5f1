"""What one prepared film's own files say: whether they are whole and match, and how the film looks.

Each film is measured by itself, so that many can be at once; `verify` compares them with each other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.duplicates import thumbnail
from pleura.data.manifest import Dataset, Film, mask_sha256
from pleura.data.split.linked import thumbnail_is_whole
from pleura.errors import DatasetError

COMPARED_SIDE = 512
"""Longest side in pixels at which sharpness is measured, so that films of all sizes compare."""

THUMBNAIL_LEVELS = 6.0
"""Mean difference in grey levels (of 255) beyond which a stored image is another than was prepared."""

BLANK_RANGE = 2 / 255
MASK_ON_BLANK_SHARE = 0.5

Pixels = TypeVar("Pixels")

_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


@dataclass(frozen=True)
class Looks:
    """How a film looks, as numbers.

    Attributes:
        brightness: mean of the pixels, 0 to 1.
        contrast: 95th less 5th percentile, 0 to 1.
        noise: standard deviation of the noise in grey levels of 255 (Immerkær 1996), in the
            middle half of the stored matrix.
        sharpness: variance of the Laplacian (Pech-Pacheco et al. 2000), grey levels of 255, at 512 px.
        clipped: share of the pixels that are fully black or fully white.
        aspect: rows by columns of the source matrix.
    """

    brightness: float
    contrast: float
    noise: float
    sharpness: float
    clipped: float
    aspect: float


@dataclass(frozen=True)
class Measured:
    """One film's files: their faults as (code, detail), and its looks where it could be read."""

    film_id: str
    faults: tuple[tuple[str, str], ...] = ()
    looks: Looks | None = None


@dataclass
class _Faults:
    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, code: str, detail: str) -> None:
        self.found.append((code, detail))


def measure(dataset: Dataset, film: Film) -> Measured:
    """Reads the film's image and mask and measures them; never raises for what is wrong with them."""
    faults = _Faults()
    pixels = _read(dataset, film.image, "image", lambda: dataset.pixels(film), faults)
    looks = None
    if pixels is not None:
        _check_image(film, pixels, faults)
        looks = _looks(film, pixels)
    if film.label is not None and film.mask is not None:
        mask = _read(dataset, film.mask, "mask", lambda: dataset.mask(film), faults)
        if mask is not None:
            _check_mask(film, mask, pixels, faults)
    return Measured(film.film_id, tuple(faults.found), looks)


def immerkaer_noise(pixels: NDArray[np.float32]) -> float:
    """The standard deviation of additive noise (J. Immerkær, Fast Noise Variance Estimation, 1996).

    Args:
        pixels: float32 (H, W), at least 3x3.

    Returns:
        in the units of `pixels`; exact in expectation for Gaussian noise on an image without structure.
    """
    response = cv2.filter2D(pixels, cv2.CV_32F, _IMMERKAER)[1:-1, 1:-1]
    return float(np.abs(response).mean(dtype=np.float64) * math.sqrt(math.pi / 2) / 6)


def stays_inside(path: str) -> bool:
    """Whether a path of the manifest is relative and leads nowhere but down."""
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts and "\\" not in path


def _read(
    dataset: Dataset, path: str, kind: str, reader: Callable[[], Pixels], faults: _Faults
) -> Pixels | None:
    if not stays_inside(path):
        faults.add("path-outside", path)
    elif not (dataset.root / path).is_file():
        faults.add(f"{kind}-missing", f"{path} is missing")
    else:
        try:
            return reader()
        except (DatasetError, MemoryError) as error:  # as float32 it takes four times the room
            faults.add(f"{kind}-unreadable", str(error).strip())
    return None


def _check_image(film: Film, pixels: NDArray[np.float32], faults: _Faults) -> None:
    rows, columns = pixels.shape
    if not _same_aspect((rows, columns), (film.rows, film.columns)):
        faults.add("image-size", f"{rows}x{columns} for a source of {film.rows}x{film.columns}")
    elif (rows, columns) != (film.stored_rows, film.stored_columns):
        told = f"{film.stored_rows}x{film.stored_columns}"
        faults.add("image-size", f"{rows}x{columns}, the manifest says {told}")
    elif float(pixels.max() - pixels.min()) <= BLANK_RANGE:
        faults.add("image-blank", f"all pixels are {float(pixels.mean()):.3f}")
    elif thumbnail_is_whole(film):
        stored = np.frombuffer(bytes.fromhex(thumbnail(pixels)), dtype=np.uint8).astype(np.float64)
        known = np.frombuffer(bytes.fromhex(film.thumbnail), dtype=np.uint8)
        difference = float(np.abs(stored - known).mean())
        if difference > THUMBNAIL_LEVELS:
            faults.add("image-changed", f"{difference:.0f} grey levels off its thumbnail")


def _same_aspect(stored: tuple[int, int], source: tuple[int, int]) -> bool:
    """Whether `stored` is `source`, or a reduction of it with each side rounded."""
    if stored == source:
        return True
    if min(source) < 1:
        return False
    scale = max(stored) / max(source)
    return scale < 1 and all(
        abs(n - full * scale) < 1.01 for n, full in zip(stored, source, strict=True)
    )


def _check_mask(
    film: Film,
    mask: NDArray[np.bool_],
    pixels: NDArray[np.float32] | None,
    faults: _Faults,
) -> None:
    area = int(mask.sum())
    if area != film.mask_area_px:
        faults.add("mask-area", f"{area} px, the manifest says {film.mask_area_px}")
    elif mask_sha256(mask) != film.mask_sha256:
        faults.add("mask-changed", f"{film.mask} is of the same area, but another mask")
    if film.label == 1 and area == 0:
        faults.add("mask-empty", "the mask file is all zero")
    if area and pixels is not None:
        rows, columns = pixels.shape
        shown = mask
        if mask.shape != pixels.shape:
            small = cv2.resize(
                mask.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST
            )
            shown = small > 0
        blank = float((pixels[shown] <= BLANK_RANGE).mean()) if shown.any() else 0.0
        if blank > MASK_ON_BLANK_SHARE:
            faults.add("mask-on-blank", f"{blank:.0%} of the mask lies on black")


def _looks(film: Film, pixels: NDArray[np.float32]) -> Looks:
    rows, columns = pixels.shape
    middle = pixels[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    scale = COMPARED_SIDE / max(rows, columns)
    compared = pixels
    if scale < 1:
        size = max(1, round(columns * scale)), max(1, round(rows * scale))
        compared = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = np.percentile(compared, (5, 95))
    return Looks(
        brightness=float(compared.mean(dtype=np.float64)),
        contrast=float(high - low),
        noise=255 * immerkaer_noise(np.ascontiguousarray(middle)) if min(middle.shape) > 2 else 0.0,
        sharpness=float(cv2.Laplacian(compared * 255, cv2.CV_32F).var(dtype=np.float64)),
        clipped=float(((pixels <= 0) | (pixels >= 1)).mean()),
        aspect=film.rows / max(film.columns, 1),
    )
