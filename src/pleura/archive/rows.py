"""What the journal keeps of a file: what it is, and what became of it."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pleura.errors import NoImage, ReadError, UnrecognisedFormat
from pleura.read.source import DICOM_SUFFIXES, IMAGE_SUFFIXES

State = Literal["judged", "failed", "passed over"]

JOURNAL = "journal.sqlite"
"""By which the folder of a prediction is known."""

FOLDERS = ("masks", "overlays", "dicom")
"""Below the folder of a prediction, what is written of each film; its films may not lie there."""

_NAME_BYTES = 180  # of the 255 a file system allows, with room for an ending and a temporary name
_SUFFIXES = DICOM_SUFFIXES | IMAGE_SUFFIXES


class Task(NamedTuple):
    """A film that waits: its row, where it lies, what to call it, and whether the user named it himself."""

    id: int
    path: Path
    source: str
    named: bool


class Stamp(NamedTuple):
    """By which a file is known to be unchanged."""

    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Row:
    """What became of a film.

    Attributes:
        task: the film.
        state: `judged`, `failed`, or `passed over`: a file in a folder that is no film at all.
        stamp: of its file; None where it could not be opened, which is tried again by the next run.
        content: SHA-256 of its bytes.
        pixels: what a film of the same pixels has, too.
        first: the row of the film it repeats, whose finding it carries.
        facts: of its finding, as JSON types; of a repeated film, only its own.
        judged: the notes of its finding that are not the film's own: how it was judged.
        name: of its pictures.
        pictures: their paths below the folder, and sizes in bytes.
        kind, reason: of a failure: the error's class, and its words without the film's name.
    """

    task: Task
    state: State
    stamp: Stamp | None = None
    content: bytes | None = None
    pixels: bytes | None = None
    first: int | None = None
    facts: Mapping[str, Any] | None = None
    judged: Sequence[str] = ()
    name: str | None = None
    pictures: Mapping[str, int] = field(default_factory=dict)
    kind: str | None = None
    reason: str | None = None


def stamp_of(path: Path) -> Stamp | None:
    """A file's stamp; None where it is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None
    return Stamp(status.st_size, status.st_mtime_ns)


def is_named_as_film(source: str) -> bool:
    """Whether a file's suffix says that it is a film: what is in it then is a damaged one."""
    return Path(source).suffix.lower() in _SUFFIXES


def is_passed_over(error: ReadError, source: str, *, named: bool) -> bool:
    """Whether a file that could not be read is no film at all, and was met in a folder rather than named."""
    no_film = isinstance(error, UnrecognisedFormat) and not is_named_as_film(source)
    return (no_film or isinstance(error, NoImage)) and not named


def stem_of(source: str) -> str:
    """A file's name as a picture may bear it, without its ending, cut to what file systems allow."""
    path = Path(source)
    # A UID as a file name has dots, but no ending.
    stem = path.stem if path.suffix.lower() in _SUFFIXES else path.name
    stem = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "_", stem)  # what is no text
    stem = (
        f"_{stem}" if stem in (".", "..") else stem
    )  # a film's results have a folder of this name
    return stem.encode()[:_NAME_BYTES].decode(errors="ignore")
