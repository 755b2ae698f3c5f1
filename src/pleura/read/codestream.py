"""What a compressed frame says of itself, read from its first markers without decoding it.

A frame that claims another size than its DICOM header is damaged or hostile: decoders allocate what the
frame claims.
"""

from typing import NamedTuple

from pleura.errors import DecodeError

_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})  # SOF0-15; F7 is JPEG-LS
_JPEG_SCAN = 0xDA
_JPEG2000_START = b"\xff\x4f\xff\x51"  # SOC, SIZ


class Shape(NamedTuple):
    """Bits a sample, rows, columns and samples a pixel."""

    precision: int
    rows: int
    columns: int
    samples: int


def jpeg_shape(frame: bytes) -> Shape:
    """The frame header of JPEG (ITU-T T.81 B.2.2) or JPEG-LS (T.87 C.2.2).

    Raises:
        DecodeError: `frame` has none.
    """
    at = 2
    if frame[:2] == b"\xff\xd8":
        while at + 10 <= len(frame) and frame[at] == 0xFF:
            marker = frame[at + 1]
            if marker == 0xFF:  # fill byte
                at += 1
                continue
            if marker in _JPEG_FRAMES:
                body = frame[at + 4 : at + 10]
                rows, columns = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
                return Shape(body[0], rows, columns, body[5])
            if marker == _JPEG_SCAN:
                break
            at += 2 + int.from_bytes(frame[at + 2 : at + 4])
    raise DecodeError("its compressed frame has no JPEG frame header; the file is damaged")


def jpeg2000_shape(frame: bytes) -> tuple[int, Shape]:
    """Where the codestream starts in `frame`, and its SIZ marker (ISO/IEC 15444-1 A.5.1).

    Raises:
        DecodeError: `frame` has none.
    """
    start = frame.find(_JPEG2000_START, 0, 1 << 16)
    body = frame[start + 8 : start + 43]
    if start < 0 or len(body) < 35:
        raise DecodeError("its compressed frame has no JPEG 2000 header; the file is damaged")
    right, bottom, left, top = (int.from_bytes(body[i : i + 4]) for i in (0, 4, 8, 12))
    samples, depth = int.from_bytes(body[32:34]), body[34]
    return start, Shape((depth & 0x7F) + 1, bottom - top, right - left, samples)
