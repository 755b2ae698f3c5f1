"""From whatever a caller hands over to bytes of a bounded size, with a name for messages."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from pleura.errors import DecodeError, FilmTooLarge, ReadError

NO_FILM = "is no DICOM, PNG, JPEG, WebP or TIFF file; export it as one of them"

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"})
"""Of files that are films by their names; what they are is told by their content."""

Source = str | os.PathLike[str] | bytes | BinaryIO


@dataclass(frozen=True)
class Limits:
    """How large a film may be; both are checked before anything is decoded.

    Attributes:
        max_bytes: of the file, and of a deflated DICOM data set once inflated.
        max_pixels: rows times columns. The largest detectors in use have about 20 million.
    """

    max_bytes: int = 256 * 2**20
    max_pixels: int = 100_000_000

    def check_pixels(self, rows: int, columns: int) -> None:
        """Raises `FilmTooLarge` where `rows` x `columns` is beyond the limit."""
        if rows * columns > self.max_pixels:
            raise FilmTooLarge(
                f"{rows}x{columns} is {rows * columns:,} pixels, the limit is {self.max_pixels:,}; "
                "raise Limits.max_pixels if the film is genuine"
            )

    def check_bytes(self, size: int, what: str = "the file") -> None:
        """Raises `FilmTooLarge` where `size` bytes are beyond the limit."""
        if size > self.max_bytes:
            raise FilmTooLarge(
                f"{what} is larger than the limit of {self.max_bytes:,} bytes; "
                "raise Limits.max_bytes if the film is genuine"
            )


DEFAULT_LIMITS = Limits()


def name_of(source: Source) -> str:
    """What to call `source` in messages."""
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = getattr(source, "name", None)
    if isinstance(name, str):
        return name
    return "<stream>" if hasattr(source, "read") else f"<{type(source).__name__}>"


def load(source: Source, limits: Limits) -> bytes:
    """All bytes of `source`, a path, bytes or a binary stream (read from where it stands).

    Raises:
        FilmTooLarge: there are more than the limit; a file's size is looked at before it is read.
        ReadError: there is no such file, it is no regular file, or it cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, str | os.PathLike):
        data = _load_file(os.fspath(source), limits)
    else:
        data = _load_stream(source, limits)
    limits.check_bytes(len(data))
    if not data:
        raise ReadError("is empty; copy the file again from where it came")
    return data


def _load_file(path: str, limits: Limits) -> bytes:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # a pipe would block, a device never end
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise ReadError(f"is {kind}; give the path of one film")
        limits.check_bytes(status.st_size)
        with open(path, "rb") as file:
            return file.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        if isinstance(error, ReadError):
            raise
        reason = getattr(error, "strerror", None) or "not a path"
        raise ReadError(f"cannot be read ({reason}); check the path and its permissions") from error


def _load_stream(stream: BinaryIO, limits: Limits) -> bytes:
    if not hasattr(stream, "read"):
        raise ReadError(
            "is no path, bytes or binary stream; give one of these (a pydicom Dataset or an image in memory "
            "is saved to a BytesIO first)"
        )
    try:
        data = stream.read(limits.max_bytes + 1)
    except (
        OSError,
        ValueError,
        AttributeError,
    ) as error:  # ValueError: closed, or undecodable text
        raise ReadError(
            f"cannot be read ({type(error).__name__}); give a path, bytes or a binary stream"
        ) from None
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ReadError("is a text stream; open it in binary mode ('rb')")
    if not data:
        raise ReadError(
            "has nothing to read; a stream is read from where it stands: seek(0) goes back to its start"
        )
    return bytes(data)


@contextmanager
def named(source: Source) -> Iterator[None]:
    """Puts the film's name before every `ReadError`, and turns any other exception into one.

    Damaged files make decoders raise whatever they like. Their own words are left out (and not
    chained), as they may quote values of the header: patient data.
    """
    try:
        yield
    except ReadError as error:
        raise type(error)(f"{name_of(source)}: {error}") from error.__cause__
    except Exception as error:
        raise DecodeError(
            f"{name_of(source)}: cannot be decoded ({type(error).__name__}); "
            "the file is damaged or malformed: export it again"
        ) from None
