"""A film's pixels as a viewer needs them: beyond the film's own window, with windows to choose from.

A `Radiograph` is what the film's window shows, and what lies outside that is lost in it. A reader who opens
the window further wants to see the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pleura.errors import UnrecognisedFormat
from pleura.radiograph import Radiograph
from pleura.read import dicom, image
from pleura.read.dicom import is_dicom
from pleura.read.dicom_pixels import Samples
from pleura.read.display import (
    bits_stored,
    is_inverse,
    modality_of,
    padding_of,
    stored_values,
    value_range,
)
from pleura.read.quiet import quiet
from pleura.read.source import DEFAULT_LIMITS, NO_FILM, Limits, Source, load, name_of, named
from pleura.read.values import count, number, numbers, text, texts

MAX_WINDOWS = 16
_TAIL = 0.01  # of the pixels, left out at either end by the window of percentiles


class Window(NamedTuple):
    """Grey is clip((value - (center - width / 2)) / width, 0, 1), in the units of `Viewing.pixels`."""

    name: str
    center: float
    width: float


@dataclass(frozen=True, eq=False)
class Viewing:
    """A film for a viewer.

    Attributes:
        pixels: uint8 or uint16 (H, W), from 0 to the type's largest value, bright is dense.
        windows: never empty; the first is the film's own, and shows what a `Radiograph` holds.
        stage: `stored` where the pixels reach beyond the first window, if it leaves anything out; `displayed`
            where the film's own look-up table is not a line, and has been applied.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    windows: tuple[Window, ...]
    stage: Literal["stored", "displayed"]

    @property
    def maximum(self) -> int:
        """The largest value that the pixels can have."""
        return int(np.iinfo(self.pixels.dtype).max)


def read_for_viewing(
    source: Source, *, limits: Limits = DEFAULT_LIMITS, name: str | None = None
) -> tuple[Radiograph, Viewing]:
    """The film that `read` gives, and the same for a viewer, decoded once.

    Args:
        source, limits, name: as of `read`.

    Raises:
        ReadError: as `read` does.
    """
    name = name_of(source) if name is None else name
    with named(name), quiet():
        data = load(source, limits)
        kind = image.format_of(data[:16])
        if kind is not None and data[128:132] != b"DICM":  # as `read` tells them apart
            film = image.radiograph(data, kind, name, limits)
            return film, displayed(film)
        if not is_dicom(data[:132]):
            raise UnrecognisedFormat(NO_FILM)
        notes: list[str] = []
        ds, samples = dicom.decoded(data, limits, notes)
        linear = _linear(samples, ds)
        film = dicom.film_of(ds, samples, name, notes)
        return film, linear or displayed(film)


def displayed(film: Radiograph) -> Viewing:
    """A film's grey levels as they are shown."""
    dtype = np.uint8 if film.source_bits <= 8 else np.uint16
    peak = float(np.iinfo(dtype).max)
    pixels = np.rint(film.pixels * np.float32(peak)).astype(dtype)
    return Viewing(pixels, tuple(_common_windows(pixels, peak)), "displayed")


def _linear(samples: Samples, ds: Dataset) -> Viewing | None:
    """The whole range of the film's values; None where they are shown by something else than a window."""
    curved = text(ds, "VOILUTFunction") == "SIGMOID" or count(ds, "VOILUTSequence")
    if samples.ndim != 2 or curved or text(ds, "PhotometricInterpretation") == "PALETTE COLOR":
        return None
    stored = stored_values(samples.dtype, ds)
    padding = padding_of(stored, ds, [])
    modality, is_identity = modality_of(stored, ds, [])
    if is_identity and bits_stored(ds) <= 8 and stored.min() >= 0:
        low, high = 0.0, float(2 ** bits_stored(ds) - 1)
        dtype: type[np.uint8] | type[np.uint16] = np.uint8
    else:
        (low, high), dtype = value_range(samples, modality, padding), np.uint16
    peak, inverse = float(np.iinfo(dtype).max), is_inverse(ds, [])
    scale = peak / (high - low) if high > low else 1.0
    table = np.clip((modality - low) * scale, 0.0, peak)
    if inverse:
        table = peak - table
    table[padding] = 0.0
    pixels = np.take(np.rint(table).astype(dtype), samples, mode="clip")

    def sent(window: Window) -> Window:
        center = (window.center - low) * scale
        return Window(window.name, peak - center if inverse else center, window.width * scale)

    own = [sent(window) for window in _windows(ds)]
    return Viewing(pixels, (*own, *_common_windows(pixels, peak)), "stored")


def _windows(ds: Dataset) -> Iterator[Window]:
    """The header's windows in units of the Modality LUT's output, as exact lines (PS3.3 C.11.2.1.2).

    None where the first is one that `display.render` ignores, for it would not be the film's own.
    """
    first = number(ds, "WindowCenter"), number(ds, "WindowWidth")
    if first[0] is None or first[1] is None:
        return
    names = texts(ds, "WindowCenterWidthExplanation")
    shift = 0.0 if text(ds, "VOILUTFunction") == "LINEAR_EXACT" else 1.0
    others = zip(numbers(ds, "WindowCenter")[1:], numbers(ds, "WindowWidth")[1:], strict=False)
    for n, (center, width) in enumerate([(first[0], first[1]), *others][:MAX_WINDOWS]):
        if width <= 0 or width < shift:
            if n == 0:
                return
            continue
        name = names[n][:64] if n < len(names) and names[n] else ""
        default = "Film's own" if n == 0 else f"Window {n + 1}"
        # A window one value wide is a step, which a viewer cannot divide by.
        yield Window(name or default, center - shift / 2, max(width - shift, 1e-3))


def _common_windows(pixels: NDArray[np.generic], peak: float) -> Iterator[Window]:
    yield Window("Whole range", peak / 2, peak)
    size = int(peak) + 1
    histogram = cv2.calcHist([np.asarray(pixels)], [0], None, [size], [0, size]).reshape(-1)
    histogram[0] = 0  # borders and padding are no part of the patient
    share = np.cumsum(histogram, dtype=np.float64)
    if not share[-1]:
        return
    low, high = (int(np.searchsorted(share, part * share[-1])) for part in (_TAIL, 1 - _TAIL))
    if high > low:
        yield Window("1 to 99 % of pixels", (low + high) / 2, float(high - low))
