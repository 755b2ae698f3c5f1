"""What a compressed frame says of itself, read from its first markers without decoding it.

A frame that claims another size than its DICOM header is damaged or hostile: decoders allocate what the
frame claims.
"""

import re
from typing import NamedTuple

from pleura.errors import DecodeError

_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})  # SOF0-15; F7 is JPEG-LS
_JPEG_LOSSLESS = frozenset({0xC3, 0xF7})
_JPEG_TABLES = frozenset({0xC4, 0xDD, *range(0xE0, 0xF0), 0xF8, 0xFE})  # DHT DRI APP LSE COM
_JPEG_SCAN = 0xDA
_JPEG_END = 0xD9
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # T.81 B.1.1.5: FF 00 and restarts are data
_AFTER_LS_SCAN = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")  # T.87 C.1: FF and a clear bit are data
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


def check_lossless_jpeg(frame: bytes) -> None:
    """Walks all markers of a lossless JPEG or JPEG-LS frame, from start to end of image.

    The lossless decoder ends the whole process where markers do not follow each other as they
    must; so none but well-formed frames may reach it.

    Raises:
        DecodeError: a marker is missing, unknown or out of place.
    """
    at, frames, scans = 2, 0, 0
    pattern = _AFTER_LS_SCAN if b"\xff\xf7" in frame[:4096] else _AFTER_SCAN
    while frame[at : at + 1] == b"\xff":
        marker = frame[at + 1] if at + 1 < len(frame) else 0
        length = int.from_bytes(frame[at + 2 : at + 4])
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == _JPEG_END and scans:
            return
        frames += marker in _JPEG_LOSSLESS
        known = marker in _JPEG_LOSSLESS or marker in _JPEG_TABLES or marker == _JPEG_SCAN
        if not known or frames > 1 or length < 2 or (marker == _JPEG_SCAN and not frames):
            break
        at += 2 + length
        if marker == _JPEG_SCAN:
            scans += 1
            following = pattern.search(frame, at)
            at = following.end() - 2 if following else len(frame)
    raise DecodeError("its compressed frame is damaged or cut short; copy or export the file again")


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
