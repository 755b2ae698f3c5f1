"""Decoding the Pixel Data of one frame, whatever its transfer syntax (PS3.5 8 and A.4)."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from pleura.errors import DecodeError, UnsupportedFilm
from pleura.read.codestream import Shape, check_lossless_jpeg, jpeg2000_shape, jpeg_shape
from pleura.read.source import Limits
from pleura.read.values import integer, text

Samples = NDArray[np.uint8] | NDArray[np.uint16]

_HTJ2K = tuple(UID(f"1.2.840.10008.1.2.4.20{n}") for n in (1, 2, 3))
_JPEG2000 = (*JPEG2000TransferSyntaxes, *_HTJ2K)
_LOSSLESS_JPEG = (JPEGLossless, JPEGLosslessSV1, *JPEGLSTransferSyntaxes)
_DECODERS = {
    **dict.fromkeys(_JPEG2000, "pylibjpeg"),
    **dict.fromkeys(_LOSSLESS_JPEG, "gdcm"),
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit), "pillow"),
}
"""One decoder a syntax, the one that takes damaged data best; a second try is a second risk.

For JPEG-LS that is gdcm: pyjpegls takes up to 10 s to find out that a frame of any size is damaged.
"""


def complete_description(ds: Dataset, notes: list[str]) -> None:
    """Checks the Image Pixel attributes (PS3.3 C.7.6.3) and puts in what may be assumed.

    Raises:
        DecodeError: the size of the image or of a sample is missing.
        UnsupportedFilm: a sample is not of 8 or 16 bits.
    """
    rows, columns = integer(ds, "Rows"), integer(ds, "Columns")
    if not rows or not columns or rows < 0 or columns < 0:
        raise DecodeError("its header gives no Rows and Columns; the file is damaged")
    allocated = integer(ds, "BitsAllocated")
    if allocated is None:
        raise DecodeError("its header gives no Bits Allocated; the file is damaged")
    if allocated not in (8, 16):
        raise UnsupportedFilm(
            f"its samples have {allocated} bits; a film for display has 8 or 16 allocated"
        )
    stored = integer(ds, "BitsStored")
    if stored is None or not 1 <= stored <= allocated:
        notes.append(f"Bits Stored is missing or impossible and taken as {allocated}.")
        ds.BitsStored, ds.HighBit = allocated, allocated - 1
    high = integer(ds, "HighBit")
    if high is None or not ds.BitsStored - 1 <= high < allocated:
        ds.HighBit = ds.BitsStored - 1
    if integer(ds, "SamplesPerPixel") not in (1, 3):
        ds.SamplesPerPixel = 1
    if text(ds, "PhotometricInterpretation") is None:
        notes.append("No Photometric Interpretation is given; MONOCHROME2 is assumed.")
        ds.PhotometricInterpretation = "MONOCHROME2"
    if integer(ds, "PixelRepresentation") not in (0, 1):
        ds.PixelRepresentation = 0
    if ds.SamplesPerPixel == 3 and integer(ds, "PlanarConfiguration") not in (0, 1):
        ds.PlanarConfiguration = 0
    if "NumberOfFrames" in ds and integer(ds, "NumberOfFrames") != 1:
        del ds.NumberOfFrames  # more than one was refused before; 0 and nonsense mean one


def transfer_syntax(ds: Dataset, notes: list[str]) -> UID:
    """The file's transfer syntax; where it names none, the one its data set was parsed by.

    Raises:
        DecodeError: it names one that pydicom does not know.
    """
    meta = getattr(ds, "file_meta", None)
    named = text(meta, "TransferSyntaxUID") if meta is not None else None
    if named is None:
        implicit, little = ds.original_encoding
        notes.append("No transfer syntax is given; the pixels are taken as uncompressed.")
        if implicit:
            return ImplicitVRLittleEndian
        return ExplicitVRLittleEndian if little is not False else ExplicitVRBigEndian
    syntax = UID(named)
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise DecodeError("its transfer syntax is unknown; export it uncompressed")
    return syntax


def decode(ds: Dataset, limits: Limits, notes: list[str]) -> Samples:
    """The samples of a single-frame image.

    Args:
        ds: with Pixel Data, through `complete_description`.
        limits: on rows times columns, checked before decoding.
        notes: what was assumed is appended.

    Returns:
        uint8 or uint16 (H, W) as stored (signed values as their bit pattern); (H, W, 3) RGB for colour.

    Raises:
        DecodeError: damaged, or the decoder is not installed.
        FilmTooLarge: beyond `limits`.
    """
    rows, columns = int(ds.Rows), int(ds.Columns)
    limits.check_pixels(rows, columns)
    syntax = transfer_syntax(ds, notes)
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax.is_encapsulated:
        frame = get_frame(ds.PixelData, 0, number_of_frames=1)
        stream = _check_frame(frame, syntax, ds)
        if syntax == JPEGBaseline8Bit and stream and (stream.precision, stream.samples) == (8, 1):
            quick = _decode_grey_jpeg(frame, ds)
            if quick is not None:
                return quick
    decoded = _decode_by_pydicom(ds, syntax)
    if decoded.shape[:2] != (rows, columns) or decoded.dtype.itemsize > 2:
        raise DecodeError(f"its pixels decode to {decoded.shape}, not {rows}x{columns}")
    native = decoded.astype(decoded.dtype.newbyteorder("="), copy=False)
    return native.view(f"u{native.dtype.itemsize}")


def _check_frame(frame: bytes, syntax: UID, ds: Dataset) -> Shape | None:
    """Compares what a compressed frame claims to be with the header, before it is decoded."""
    if syntax == RLELossless:
        _check_rle(frame, ds)
        return None
    if syntax in _JPEG2000:
        start, stream = jpeg2000_shape(frame)
        if start:  # a JP2 file where only its codestream belongs (PS3.5 A.4.4)
            ds.PixelData = encapsulate([frame[start:]])
    elif syntax in _LOSSLESS_JPEG:
        stream = jpeg_shape(frame)
        check_lossless_jpeg(frame)
    elif syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        stream = jpeg_shape(frame)
    else:
        raise DecodeError(f"{syntax.name} is no compression of single images; export it again")
    expected = (int(ds.Rows), int(ds.Columns), int(ds.SamplesPerPixel))
    if (stream.rows, stream.columns, stream.samples) != expected:
        raise DecodeError(
            f"its compressed frame is {stream.rows}x{stream.columns}x{stream.samples}, its header "
            "says {}x{}x{}; the file is damaged".format(*expected)
        )
    if stream.precision > 16 or (stream.precision > 8 and int(ds.BitsAllocated) == 8):
        raise DecodeError(f"its compressed frame has {stream.precision} bits a sample")
    if syntax == JPEGExtended12Bit and stream.precision > 8:
        _need_12_bit_decoder()
    return stream


def _check_rle(frame: bytes, ds: Dataset) -> None:
    """Bounds what run lengths can expand to: each two bytes may stand for 128 (PS3.5 G.3)."""
    raw = int(ds.Rows) * int(ds.Columns) * int(ds.SamplesPerPixel) * int(ds.BitsAllocated) // 8
    if len(frame) > 2 * raw + 64 + 4096:
        raise DecodeError(f"its RLE frame of {len(frame):,} bytes is far larger than the image")


def _need_12_bit_decoder() -> None:
    if "pylibjpeg" not in get_decoder(JPEGExtended12Bit).available_plugins:
        raise DecodeError(
            "it is 12-bit JPEG Extended, for which no decoder is installed; install "
            "pylibjpeg-libjpeg (its licence is GPLv3), or export the film in another syntax"
        )


def _decode_grey_jpeg(frame: bytes, ds: Dataset) -> NDArray[np.uint8] | None:
    """8-bit grey baseline JPEG by OpenCV, or None where the thorough way has to judge.

    OpenCV fills what is missing of a cut file with grey and says nothing, so the end marker must be there.
    """
    whole = frame.rstrip(b"\0").endswith(b"\xff\xd9")
    if not whole or int(ds.BitsStored) != 8:  # 16 allocated bits are wrong here, but harmless
        return None
    decoded = cv2.imdecode(np.frombuffer(frame, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.shape != (int(ds.Rows), int(ds.Columns)):
        return None
    return decoded.astype(np.uint8, copy=False)


def _decode_by_pydicom(ds: Dataset, syntax: UID) -> NDArray[np.generic]:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise DecodeError(f"{syntax.name} is not supported; export it in another syntax") from None
    if not decoder.is_available:
        missing = "; ".join(decoder.missing_dependencies)
        raise DecodeError(f"no decoder for {syntax.name} is installed ({missing})")
    plugin = _DECODERS.get(syntax, "")
    if plugin == "pillow" and "pylibjpeg" in decoder.available_plugins:
        plugin = "pylibjpeg"  # also does 12 bits, where the user has installed it
    if plugin not in decoder.available_plugins:
        plugin = ""  # whichever there is
    options: dict[str, Any] = {
        "raw": int(ds.SamplesPerPixel) == 1,
        "decoding_plugin": plugin,
        "correct_unused_bits": False,  # it takes High Bit for Bits Stored - 1; `display` does not
    }
    try:
        decoded, _ = decoder.as_array(ds, index=0, **options)
    except Exception:  # its plugins raise whatever their libraries do
        raise DecodeError(
            f"its pixels ({syntax.name}) cannot be decoded; the file is damaged or cut short"
        ) from None
    return np.asarray(decoded)
