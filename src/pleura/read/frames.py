"""The decoder of each compressed transfer syntax: the fastest of those that are right on whole frames.

All come from imagecodecs (BSD-3-Clause), which lets other Python threads run while it decodes, so that an
archive is read by as many cores as there are. `benchmarks/read.py` measures them against the others.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from pleura.read.values import text

HTJ2K = tuple(UID(f"1.2.840.10008.1.2.4.20{n}") for n in (1, 2, 3))
JPEG2000 = (*JPEG2000TransferSyntaxes, *HTJ2K)
LOSSLESS_JPEG = (JPEGLossless, JPEGLosslessSV1)
JPEG_LS = tuple(JPEGLSTransferSyntaxes)

Decoded = NDArray[np.generic]


def decode_frame(frame: bytes, syntax: UID, ds: Dataset) -> Decoded | None:
    """The samples of one frame, (H, W) or (H, W, 3) in RGB; None for syntaxes that pydicom decodes as well.

    Args:
        frame: checked against the header; a damaged one makes decoders raise whatever they like, or gives a
            damaged image.
        syntax: its transfer syntax.
        ds: the header.
    """
    decoder = _DECODERS.get(syntax)
    grey = int(ds.SamplesPerPixel) == 1
    if decoder is None or not (grey or syntax in _COLOUR):
        return None
    decoded = decoder(frame, ds)
    if not grey and (text(ds, "PhotometricInterpretation") or "").startswith("YBR_FULL"):
        decoded = convert_color_space(decoded, "YBR_FULL", "RGB")
    return decoded


def _jpeg(frame: bytes, ds: Dataset) -> Decoded:
    import imagecodecs

    # A frame in colour is left as it is: the header says what its components are, never the frame.
    as_stored = None if int(ds.SamplesPerPixel) == 1 else "RGB"
    return imagecodecs.jpeg8_decode(frame, colorspace=as_stored, outcolorspace=as_stored)


def _jpeg_ls(frame: bytes, ds: Dataset) -> Decoded:
    import imagecodecs

    return imagecodecs.jpegls_decode(frame)


def _jpeg_2000(frame: bytes, ds: Dataset) -> Decoded:
    import imagecodecs

    return imagecodecs.jpeg2k_decode(frame, planar=False)


def _run_lengths(frame: bytes, ds: Dataset) -> Decoded:
    import imagecodecs

    dtype = np.dtype(f"<u{int(ds.BitsAllocated) // 8}")
    rows, columns = int(ds.Rows), int(ds.Columns)
    try:
        decoded = imagecodecs.dicomrle_decode(frame, dtype)
    except imagecodecs.DicomrleError:
        decoded = b""
    if len(decoded) != rows * columns * dtype.itemsize:
        decoded = _padded_run_lengths(frame, dtype.itemsize, rows * columns)
    return np.frombuffer(decoded, dtype).reshape(rows, columns)


def _padded_run_lengths(frame: bytes, planes: int, size: int) -> bytes:
    """Segments with more behind their `size` bytes than makes them even (PS3.5 G.3.1), as some write them."""
    import imagecodecs

    header = np.frombuffer(frame[:64], "<u4").tolist()
    if header[0] != planes:
        raise ValueError(f"{header[0]} segments for samples of {planes} bytes")
    ends = pairwise([*header[1 : planes + 1], len(frame)])
    found = [imagecodecs.packbits_decode(frame[at:end], out=2 * size) for at, end in ends]
    least_first = [np.frombuffer(one, np.uint8, count=size) for one in reversed(found)]
    return np.stack(least_first, axis=-1).tobytes()


_DECODERS: dict[UID, Callable[[bytes, Dataset], Decoded]] = {
    RLELossless: _run_lengths,
    JPEGExtended12Bit: _jpeg,
    **dict.fromkeys(LOSSLESS_JPEG, _jpeg),
    **dict.fromkeys(JPEG_LS, _jpeg_ls),
    **dict.fromkeys(JPEG2000, _jpeg_2000),
}
_COLOUR = frozenset({*LOSSLESS_JPEG, *JPEG_LS, *JPEG2000})
