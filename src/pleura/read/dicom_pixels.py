"""Decoding the Pixel Data of one frame, whatever its transfer syntax (PS3.5 8 and A.4)."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import generate_fragments
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from pleura.errors import DecodeError, UnsupportedFilm
from pleura.read.codestream import Shape, check_lossless_jpeg, jpeg2000_shape, jpeg_shape
from pleura.read.frames import JPEG2000, JPEG_LS, LOSSLESS_JPEG, decode_frame
from pleura.read.source import Limits
from pleura.read.values import integer, text

Samples = NDArray[np.uint8] | NDArray[np.uint16]

_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
_END_OF_IMAGE = b"\xff\xd9"
_MOST_BEHIND = 16


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


def ends_whole(frame: bytes) -> bool:
    """Whether a frame of JPEG, JPEG-LS or JPEG 2000 ends as it must, with what may have been put behind."""
    return frame.rstrip(b"\0").rfind(_END_OF_IMAGE, -_MOST_BEHIND) >= 0


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
    decoded, stream = _decode_frame(ds, syntax) if syntax.is_encapsulated else (None, None)
    if decoded is None:
        decoded = _decode_by_pydicom(ds, syntax)
    if decoded.shape[:2] != (rows, columns) or decoded.dtype.itemsize > 2:
        raise DecodeError(f"its pixels decode to {decoded.shape}, not {rows}x{columns}")
    native = decoded.astype(decoded.dtype.newbyteorder("="), copy=False)
    samples: Samples = native.view(f"u{native.dtype.itemsize}")
    if stream is not None:
        _describe_by_stream(ds, stream.precision, samples, notes)
    return samples


def _describe_by_stream(ds: Dataset, precision: int, samples: Samples, notes: list[str]) -> None:
    """Bits Stored and High Bit, where a compressed frame's own bits a sample belie them (PS3.5 8.2).

    Many frames claim 16 bits for samples of 12: what counts is whether these need more than Bits Stored.
    """
    is_deeper = precision > ds.BitsStored and _exceeds(samples, precision, ds)
    if precision <= ds.HighBit or not is_deeper:
        ds.HighBit = ds.BitsStored - 1
    elif ds.HighBit == ds.BitsStored - 1 and not _has_overlay_bits(ds):
        notes.append(
            f"The compressed pixels have {precision} bits, not the {ds.BitsStored} of Bits Stored; all are "
            "shown."
        )
        ds.BitsStored, ds.HighBit = precision, precision - 1


def _exceeds(samples: Samples, precision: int, ds: Dataset) -> bool:
    """Whether any sample needs more than Bits Stored; the bits above may also just repeat its sign."""
    bits = int(ds.BitsStored)
    beyond = samples[samples >> bits > 0].astype(np.int64) & (2**precision - 1)
    if ds.PixelRepresentation == 1:
        beyond = beyond[beyond < 2**precision - 2 ** (bits - 1)]
    return bool(beyond.size)


def _has_overlay_bits(ds: Dataset) -> bool:
    """Whether an overlay is drawn in the samples' upper bits (PS3.3 C.9.2, retired)."""
    positions = (f"0x{group:04X}0102" for group in range(0x6000, 0x6020, 2))
    return any(integer(ds, position) for position in positions)


def _decode_frame(ds: Dataset, syntax: UID) -> tuple[NDArray[np.generic] | None, Shape | None]:
    """The samples of a compressed frame, None where pydicom is to decode it, and what the frame claims."""
    _, *fragments = generate_fragments(ds.PixelData)  # all behind the offset table are the frame's
    frame, stream = _checked_frame(b"".join(fragments), syntax, ds)
    if syntax in _JPEG and not ends_whole(frame):
        # libjpeg would fill what is missing with grey and say nothing.
        raise DecodeError("its compressed frame is cut short; copy or export the file again")
    if syntax == JPEGBaseline8Bit:
        quick = stream is not None and (stream.precision, stream.samples) == (8, 1)
        return (_decode_grey_jpeg(frame, ds) if quick else None), stream
    try:
        return decode_frame(frame, syntax, ds), stream
    except Exception:  # decoders raise whatever they do
        raise _damaged(syntax) from None


def _damaged(syntax: UID) -> DecodeError:
    return DecodeError(
        f"its pixels ({syntax.name}) cannot be decoded; the file is damaged or cut short"
    )


def _checked_frame(frame: bytes, syntax: UID, ds: Dataset) -> tuple[bytes, Shape | None]:
    """A compressed frame, and what it claims to be, which must be what the header says."""
    if syntax == RLELossless:
        _check_rle(frame, ds)
        return frame, None
    if syntax in JPEG2000:
        start, stream = jpeg2000_shape(frame)
        frame = frame[start:]  # of a JP2 file where only its codestream belongs (PS3.5 A.4.4)
    elif syntax in (*LOSSLESS_JPEG, *JPEG_LS):
        stream = jpeg_shape(frame)
        check_lossless_jpeg(frame)
    elif syntax in _JPEG:
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
    return frame, stream


def _check_rle(frame: bytes, ds: Dataset) -> None:
    """Bounds what run lengths can expand to: each two bytes may stand for 128 (PS3.5 G.3)."""
    raw = int(ds.Rows) * int(ds.Columns) * int(ds.SamplesPerPixel) * int(ds.BitsAllocated) // 8
    if len(frame) > 2 * raw + 64 + 4096:
        raise DecodeError(f"its RLE frame of {len(frame):,} bytes is far larger than the image")


def _decode_grey_jpeg(frame: bytes, ds: Dataset) -> NDArray[np.uint8] | None:
    """8-bit grey baseline JPEG by OpenCV, or None where Pillow, which is stricter, has to judge.

    Always whole: at half size, as libjpeg can, it takes 0.3 of 1.3 ms less, but a mask then agrees with the
    whole film's to a Dice of 0.98 only.
    """
    if int(ds.BitsStored) != 8:  # 16 allocated bits are wrong here, but harmless
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
    plugin = "pillow" if syntax == JPEGBaseline8Bit else ""  # else pydicom's own
    options: dict[str, Any] = {
        "raw": int(ds.SamplesPerPixel) == 1,
        "decoding_plugin": plugin,
        "correct_unused_bits": False,  # it takes High Bit for Bits Stored - 1; `display` does not
    }
    try:
        decoded, _ = decoder.as_array(ds, index=0, **options)
    except Exception:  # its plugins raise whatever their libraries do
        raise _damaged(syntax) from None
    return np.asarray(decoded)
