"""The files of a folder, in a fixed order, and what each is."""

import errno
import os
import unicodedata
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Literal

from pleura.errors import CorpusError
from pleura.read.source import DICOM_SUFFIXES, IMAGE_SUFFIXES

Kind = Literal["dicom", "image", "none", "unknown"]

_NO_FILMS = frozenset(
    {".csv", ".tsv", ".txt", ".md", ".rst", ".json", ".jsonl", ".yaml", ".yml", ".xml", ".html", ".pdf",
     ".xls", ".xlsx", ".ods", ".doc", ".docx", ".log", ".ini", ".db", ".py", ".sh", ".md5", ".sha256"}
)  # fmt: skip
_NO_FILM_NAMES = frozenset({"readme", "license", "licence", "dicomdir", "checksums", "sha256sums"})
_PREPARED = ({"journal.jsonl", "images", "masks"}, {"dataset.json", "manifest.csv"})


def files(root: Path, suffixes: Collection[str]) -> Iterator[tuple[Path, str]]:
    """Yields (file, path relative to `root` with `/`) at any depth, sorted; hidden ones are skipped.

    A folder that is not there has none. What `pleura prepare` wrote below `root` is left out too. Links to
    folders are not followed, so a loop of links ends.

    Raises:
        CorpusError: a folder cannot be read.
    """
    for path, relative in _walk(root, _refuse):
        if path.suffix.lower() in suffixes:
            yield path, relative


def kinds(root: Path, unread: Callable[[OSError], None]) -> Iterator[tuple[Path, str, Kind]]:
    """Yields each file as `files` does, with what it is.

    A file that its suffix does not tell is `dicom` where it begins as one (PS3.10 7.1). `none` is a table, a
    text or the like, and `unknown` anything else.

    Args:
        root: the folder.
        unread: called with the error of each folder that cannot be read, or is a link; its files are left
            out.
    """
    for path, relative in _walk(root, unread):
        yield path, relative, _kind(path)


def _walk(root: Path, unread: Callable[[OSError], None]) -> Iterator[tuple[Path, str]]:
    for folder, below, names in os.walk(root, onerror=unread):
        if Path(folder) != root and any(own <= {*below, *names} for own in _PREPARED):
            below.clear()  # what `pleura prepare` wrote here is no corpus
            continue
        below[:] = sorted(name for name in below if not name.startswith("."))
        for link in (Path(folder, name) for name in below):
            if link.is_symlink():
                unread(OSError(errno.ELOOP, "it is a link, and links are not followed", str(link)))
        for name in sorted(names):
            if not name.startswith("."):
                path = Path(folder, name)
                yield path, path.relative_to(root).as_posix()


def _refuse(error: OSError) -> None:
    if isinstance(error, FileNotFoundError) or error.errno == errno.ELOOP:
        return
    raise CorpusError(
        f"{error.filename} cannot be read: {error.strerror or error}; see to its rights"
    ) from error


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return "dicom"
    if suffix in IMAGE_SUFFIXES:
        return "image"
    if suffix in _NO_FILMS or path.stem.lower() in _NO_FILM_NAMES:
        return "none"
    try:
        if path.is_file():
            with path.open("rb") as file:
                return "dicom" if file.read(132)[128:] == b"DICM" else "unknown"
    except OSError:  # it is named as a failure
        pass
    return "unknown"


def without_suffix(name: str) -> str:
    """`name`, which may be a path, without the suffix of a film; `1.2.3` has none."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in DICOM_SUFFIXES | IMAGE_SUFFIXES else name


def known_by(name: str) -> str:
    """What a film, its mask and its row share of their names or paths: without suffix, letters composed.

    A Mac and what it zips may take letters apart (o and two dots for ö, Unicode's NFD), which tables do not.
    """
    return unicodedata.normalize("NFC", without_suffix(name))


def place(file: Path, root: Path) -> str:
    """`file` as the manifest names it: relative to `root` with `/`, or whole where it lies elsewhere."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


def first_named(root: Path, names: tuple[str, ...]) -> str | None:
    """The first of `names` that exists in `root`, or None."""
    return next((name for name in names if (root / name).exists()), None)
