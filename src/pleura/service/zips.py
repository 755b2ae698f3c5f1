"""What a zip holds, within bounds: nothing in it decides how much is read, or where it is written."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from pleura.errors import DecodeError, FilmTooLarge

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""A zip with members, and one without."""

_CHUNK = 1 << 18
_END, _END_BYTES = b"PK\x05\x06", 22
_MAX_COMMENT = 1 << 16
_DIRECTORY_BYTES = 1024  # that a member's entry in the zip's own list of contents may take
_MAX_NAME = 200
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, ValueError),
    *(NotImplementedError, RuntimeError),  # of a way of packing that is not known
)


@dataclass(frozen=True)
class ZipBounds:
    """How much may come out of a zip.

    Attributes:
        files: how many.
        total_bytes, file_bytes: of them all, and of each.
        ratio: how many times larger than the zip they may be together.
    """

    files: int
    total_bytes: int
    file_bytes: int
    ratio: int


@dataclass(frozen=True)
class Member:
    """A file of a zip: what to call it, and where it was unpacked to; None where it was not: `reason`."""

    name: str
    path: Path | None
    reason: str = ""


def unpack(source: Path, into: Path, bounds: ZipBounds) -> Iterator[Member]:
    """Unpacks the files of a zip to `into/0`, `into/1`, ...; their own names are only told, never used.

    Folders, links, hidden files and a Mac's `__MACOSX` are passed over. A zip in the zip is given as it is.

    Raises:
        FilmTooLarge: the zip as a whole is beyond the bounds; nothing more of it is given.
        DecodeError: its list of contents is damaged.
    """
    _check_directory(source, bounds)
    room = min(bounds.total_bytes, max(bounds.ratio * source.stat().st_size, bounds.ratio << 10))
    try:
        with zipfile.ZipFile(source) as archive:
            for number, info in enumerate(_files_of(archive)):
                if number == bounds.files:
                    raise FilmTooLarge(f"the zip holds more than {bounds.files} files; split it")
                name = name_of(info.filename)
                if info.flag_bits & 1:
                    yield Member(name, None, "is encrypted; zip it without a password")
                    continue
                path = into / str(number)
                try:
                    with archive.open(info) as member:
                        taken = _copy(member, path, min(bounds.file_bytes, room))
                except _DAMAGED:  # the zip's other files are what they are
                    room -= path.stat().st_size if path.exists() else 0
                    path.unlink(missing_ok=True)
                    yield Member(name, None, "is damaged in the zip; zip it again, with deflate")
                    continue
                if taken is None:
                    path.unlink()
                    if room < bounds.file_bytes:
                        raise FilmTooLarge(
                            "the zip holds far more than its size promises; zip the films alone"
                        )
                    yield Member(name, None, f"is larger than {bounds.file_bytes:,} bytes")
                    continue
                room -= taken
                yield Member(name, path)
    except _DAMAGED as error:
        if isinstance(error, FilmTooLarge | DecodeError):
            raise
        raise DecodeError("the zip is damaged or cut short; make it again") from None
    except OSError as error:
        raise DecodeError(
            f"the zip cannot be unpacked ({type(error).__name__}); make it again with deflate"
        ) from None


def name_of(given: str) -> str:
    """A file's own name, without folders and what is no text; for people to read, never a path."""
    name = PurePosixPath(given.replace("\\", "/")).name or "film"
    plain = "".join(c if c.isprintable() else "_" for c in name)
    return plain.encode("utf-8", "replace").decode()[:_MAX_NAME]


def _files_of(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    for info in archive.infolist():
        parts = PurePosixPath(info.filename.replace("\\", "/")).parts
        hidden = any(part.startswith(".") and part not in (".", "..") for part in parts)
        is_link = (info.external_attr >> 28) == 0xA  # S_IFLNK
        if not (info.is_dir() or is_link or hidden or "__MACOSX" in parts or not parts):
            yield info


def _check_directory(source: Path, bounds: ZipBounds) -> None:
    """Bounds the zip's list of contents before it is read, which takes memory for each entry."""
    with source.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END_BYTES - _MAX_COMMENT))
        tail = file.read()
    place = tail.rfind(_END)
    if place < 0 or len(tail) - place < _END_BYTES:
        raise DecodeError("the zip has no list of its contents; it is cut short: make it again")
    entries, directory = struct.unpack("<HI", tail[place + 10 : place + 16])
    most = 2 * bounds.files + 1000  # folders and hidden files count here, too
    if directory != 0xFFFFFFFF and (entries > most or directory > most * _DIRECTORY_BYTES):
        raise FilmTooLarge(f"the zip lists {entries} entries; the limit is {most}: split it")
    if directory == 0xFFFFFFFF and size > bounds.total_bytes:
        raise FilmTooLarge("the zip is too large; split it")
    if directory == 0xFFFFFFFF or entries == 0xFFFF:
        _check_zip64(tail[:place], most)


def _check_zip64(tail: bytes, most: int) -> None:
    place = tail.rfind(b"PK\x06\x06")
    if place < 0 or len(tail) - place < 48:
        raise DecodeError("the zip's list of contents cannot be found; make it again")
    entries, directory = struct.unpack("<QQ", tail[place + 32 : place + 48])
    if entries > most or directory > most * _DIRECTORY_BYTES:
        raise FilmTooLarge(f"the zip lists {entries} entries; the limit is {most}: split it")


def _copy(member: IO[bytes], path: Path, most: int) -> int | None:
    """Bytes written; None where there would be more than `most`."""
    taken = 0
    with path.open("wb") as file:
        while chunk := member.read(_CHUNK):
            taken += len(chunk)
            if taken > most:
                return None
            file.write(chunk)
    return taken
