"""From stored values to grey levels for display (PS3.3 C.7.6.3.1.2, C.11.1, C.11.2; PS3.4 N.2).

Every step (Modality LUT, VOI LUT or window, inversion, padding) depends on the stored value alone. So it is
worked out once for each of the 256 or 65,536 values a sample can have, and the film is one look-up.
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pleura.errors import DecodeError
from pleura.read.values import count, integer, item, number, numbers, text, value

Values = NDArray[np.float64]
Grey = NDArray[np.uint8] | NDArray[np.uint16]


class _Lut(NamedTuple):
    """A LUT item: `data[0]` is for the input `first` and below; outputs have `bits` bits."""

    first: int
    bits: int
    data: Values

    def __call__(self, inputs: Values) -> Values:
        index = np.clip(np.floor(inputs) - self.first, 0, self.data.size - 1)
        return np.asarray(self.data[index.astype(np.intp)])


def render(samples: Grey, ds: Dataset, notes: list[str]) -> NDArray[np.float32]:
    """The film as its header wants it displayed.

    Args:
        samples: (H, W) as decoded; bits above Bits Stored may hold anything.
        ds: its header. Bits Stored, High Bit and Pixel Representation are taken as valid.
        notes: what was chosen is appended.

    Returns:
        float32 (H, W) in [0, 1], bright is dense.

    Raises:
        DecodeError: a look-up table of the header is not as its descriptor says.
    """
    stored = stored_values(samples.dtype, ds)
    padding = padding_of(stored, ds, notes)
    modality, is_identity = modality_of(stored, ds, notes)
    grey = _voi(modality, ds, notes)
    if grey is None:
        used: tuple[float, float] | None = None
        if not is_identity or bits_stored(ds) > 8 or stored.min() < 0:
            used = value_range(samples, modality, padding)
        grey = _stretch(modality, used, bits_stored(ds), notes)
    if is_inverse(ds, notes):
        grey = 1.0 - grey
    grey[padding] = 0.0
    return _look_up(samples, grey.astype(np.float32))


def bits_stored(ds: Dataset) -> int:
    return integer(ds, "BitsStored") or 16


def stored_values(dtype: np.dtype[np.uint8] | np.dtype[np.uint16], ds: Dataset) -> Values:
    """The stored value that each content of a sample's 8 or 16 bits means (PS3.5 8.1.1)."""
    bits, high = bits_stored(ds), integer(ds, "HighBit")
    contents = np.arange(2 ** (8 * dtype.itemsize))
    shift = max(0, high + 1 - bits) if high is not None else 0
    stored = (contents >> shift) & (2**bits - 1)
    if integer(ds, "PixelRepresentation") == 1:
        stored = np.where(stored >= 2 ** (bits - 1), stored - 2**bits, stored)
    return np.asarray(stored, dtype=np.float64)


def padding_of(stored: Values, ds: Dataset, notes: list[str]) -> NDArray[np.bool_]:
    """Which stored values stand for no X-ray at all (PS3.3 C.7.5.1.1.2)."""
    low = number(ds, "PixelPaddingValue")
    if low is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    high = number(ds, "PixelPaddingRangeLimit")
    low, high = sorted((low, low if high is None else high))
    if integer(ds, "PixelRepresentation") == 1 and low >= 2 ** (bits_stored(ds) - 1):
        low, high = (
            low - 2 ** bits_stored(ds),
            high - 2 ** bits_stored(ds),
        )  # signed, written as unsigned
    notes.append("Pixels of the padding value are drawn as air.")
    return (stored >= low) & (stored <= high)


def modality_of(stored: Values, ds: Dataset, notes: list[str]) -> tuple[Values, bool]:
    """The Modality LUT's outputs, and whether they are the stored values themselves."""
    lut = _lut(ds, "ModalityLUTSequence", stored)
    if lut is not None:
        notes.append("Modality LUT applied.")
        return lut(stored), False
    slope, intercept = number(ds, "RescaleSlope"), number(ds, "RescaleIntercept")
    if slope == 0.0:
        notes.append("A rescale slope of 0 is ignored.")
        return stored, True
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    return stored * slope + intercept, (slope, intercept) == (1.0, 0.0)


def _voi(modality: Values, ds: Dataset, notes: list[str]) -> Values | None:
    """Grey levels in [0, 1] by the first VOI LUT, else the first usable window, else None."""
    center, width = number(ds, "WindowCenter"), number(ds, "WindowWidth")
    if _is_emptied(ds, "VOILUTSequence") and center is not None and width is not None:
        notes.append("A VOI LUT without its data is ignored.")  # the window is as good (C.11.2.1)
    elif (lut := _lut(ds, "VOILUTSequence", modality)) is not None:
        notes.append(f"VOI LUT 1 of {count(ds, 'VOILUTSequence')} applied.")
        return np.asarray(lut(modality) / (2**lut.bits - 1))
    if center is None or width is None:
        return None
    kind = text(ds, "VOILUTFunction") or "LINEAR"
    if kind not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        notes.append("The VOI LUT function is unknown and taken as LINEAR.")
        kind = "LINEAR"
    if width <= 0 or (kind == "LINEAR" and width < 1):
        notes.append(f"A window of width {width:g} is ignored.")
        return None
    notes.append(
        f"Window 1 of {count(ds, 'WindowCenter')} applied ({kind}, "
        f"center {center:g}, width {width:g})."
    )
    return window(modality, center, width, kind)


def window(values: Values, center: float, width: float, kind: str = "LINEAR") -> Values:
    """Grey levels in [0, 1] by a window (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Args:
        values: outputs of the Modality LUT.
        center: of the window, in their units.
        width: likewise; at least 1 for `LINEAR`, above 0 otherwise.
        kind: `LINEAR`, `LINEAR_EXACT` or `SIGMOID`.
    """
    if kind == "SIGMOID":
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (values - center) / width)))
    if kind == "LINEAR":  # the standard's own half-pixel shift, for integer inputs
        center, width = center - 0.5, width - 1.0
    if width == 0.0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def _stretch(
    modality: Values, used: tuple[float, float] | None, bits: int, notes: list[str]
) -> Values:
    if used is None:
        notes.append(f"No window: the whole range of {bits} bits is shown.")
        return np.asarray(np.clip(modality / (2**bits - 1), 0.0, 1.0))
    low, high = used
    notes.append(f"No window: shown from the least to the largest value ({low:g} to {high:g}).")
    if high == low:
        return np.zeros_like(modality)
    return np.asarray(np.clip((modality - low) / (high - low), 0.0, 1.0))


def value_range(samples: Grey, modality: Values, padding: NDArray[np.bool_]) -> tuple[float, float]:
    """The least and largest output of the Modality LUT among the film's pixels that are no padding."""
    size = modality.size
    histogram = cv2.calcHist([samples], [0], None, [size], [0, size])
    found = modality[(histogram.reshape(-1) > 0) & ~padding]
    return (float(found.min()), float(found.max())) if found.size else (0.0, 0.0)


def is_inverse(ds: Dataset, notes: list[str]) -> bool:
    """Whether low values are to be shown bright: said by either of two attributes, done once."""
    inverse = text(ds, "PresentationLUTShape") == "INVERSE"
    monochrome1 = text(ds, "PhotometricInterpretation") == "MONOCHROME1"
    if inverse or monochrome1:
        said = "MONOCHROME1" if monochrome1 else "PresentationLUTShape INVERSE"
        notes.append(f"Inverted for display ({said}).")
    return inverse or monochrome1


def _look_up(samples: Grey, table: NDArray[np.float32]) -> NDArray[np.float32]:
    try:
        return np.asarray(cv2.LUT(np.ascontiguousarray(samples), table), dtype=np.float32)
    except cv2.error:  # older OpenCV looks up 8-bit samples only
        return np.take(table, samples, mode="clip")


def _is_emptied(ds: Dataset, keyword: str) -> bool:
    """Whether the first item of a LUT sequence is there, but not its values."""
    lut = item(ds, keyword)
    return lut is not None and not (count(lut, "LUTDescriptor") and count(lut, "LUTData"))


def _lut(ds: Dataset, keyword: str, inputs: Values) -> _Lut | None:
    """The first item of a LUT sequence, for `inputs`, or None where there is none (PS3.3 C.11.1.1)."""
    lut = item(ds, keyword)
    if lut is None:
        return None
    descriptor = numbers(lut, "LUTDescriptor")
    data = value(lut, "LUTData")
    if len(descriptor) != 3 or data is None:
        raise DecodeError(f"its {keyword} has no valid LUT Descriptor and LUT Data")
    entries, first, bits = (int(n) for n in descriptor)
    # PS3.3 C.11.1.1.1: 0 means 65,536, and this one is unsigned, whatever its VR.
    entries = entries & 0xFFFF or 2**16
    # C.11.2.1.1: the first value is signed where its inputs can be, as after a rescale; with signed samples
    # they can be though none is, unless a Modality LUT has made unsigned values of them.
    can_be = integer(ds, "PixelRepresentation") == 1 and inputs.max() < 2**15
    if (inputs.min() < 0 or can_be) and first >= 2**15:
        first -= 2**16
    if not 1 <= bits <= 16:
        raise DecodeError(f"its {keyword} describes {entries} entries of {bits} bits")
    found = _lut_data(data, entries, bits, "big" if ds.original_encoding[1] is False else "little")
    if found.size < entries:
        raise DecodeError(f"its {keyword} has {found.size} of {entries} entries")
    return _Lut(first, bits, np.clip(found[:entries], 0, 2**bits - 1).astype(np.float64))


def _lut_data(
    data: object, entries: int, bits: int, order: Literal["little", "big"]
) -> NDArray[np.int64]:
    """LUT Data, whether parsed as numbers or left as bytes (OW): words, or bytes where those suffice."""
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF
    if bits <= 8 and len(data) <= entries + 1:  # one for an even length
        return np.frombuffer(data, dtype="u1").astype(np.int64)
    word = ">u2" if order == "big" else "<u2"
    return np.frombuffer(data[: len(data) // 2 * 2], dtype=word).astype(np.int64)
