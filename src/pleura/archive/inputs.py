"""What a user names, one path at a time: files, folders, patterns, and lists of them."""

import codecs
import glob
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pleura.archive.rows import FOLDERS, JOURNAL
from pleura.errors import ArchiveError, ReadError

MAX_LINE_BYTES = 1 << 16
"""The longest line of a list of files; paths are far shorter on every system."""

STANDARD_INPUT = "-"


class Place(NamedTuple):
    """A file, and whether it was named itself rather than met in a folder."""

    path: Path
    named: bool


def files_in(arguments: Iterable[str], out: Path | None = None) -> Iterator[Place]:
    """The files that arguments stand for, in order; the same one may come again.

    Args:
        arguments: each a file; a folder, walked in the order of names without hidden files, links to
            folders, and the pictures of predictions; a pattern (`*`, `?`, `[...]`, `**` for folders below)
            where nothing has that very name; `@FILE`, a list with a path on each line, relative ones from the
            current folder; or `-`, such a list on standard input.
        out: the folder of the prediction, whose own pictures are no films: they are left out where they lie
            in a folder that is walked.

    Yields:
        Also folders that cannot be listed, and links to folders that are met in one, each as a film that
        fails.

    Raises:
        ReadError: an argument stands for nothing. A path of a list that does not exist is given all the same:
            it is a film that fails.
        ArchiveError: a list cannot be read, or what is named lies among the pictures of `out`.
    """
    ours = _folders_of(out) if out else frozenset()
    for argument in arguments:
        if os.path.lexists(argument):
            yield from _files(Path(argument), ours)
        elif argument == STANDARD_INPUT:
            yield from _listed(sys.stdin.buffer, "standard input", ours)
        elif argument.startswith("@"):
            try:
                with open(argument[1:], "rb") as file:
                    yield from _listed(file, argument[1:], ours)
            except OSError as error:
                raise ArchiveError(
                    f"the list {argument[1:]} cannot be read ({error.strerror or error}); give a text "
                    "file with a path on each line"
                ) from error
        else:
            yield from _matching(argument, ours)


def _files(path: Path, ours: frozenset[str]) -> Iterator[Place]:
    _refuse_ours(path, ours)
    if not path.is_dir():
        yield Place(path, named=True)
        return
    unlisted: list[OSError] = []
    for root, folders, names in os.walk(path, onerror=unlisted.append):
        pictures = FOLDERS if JOURNAL in names else ()
        folders[:] = sorted(
            name
            for name in folders
            if name not in pictures
            and not name.startswith(".")
            and os.path.abspath(os.path.join(root, name)) not in ours
        )
        for name in sorted(names):
            if not name.startswith("."):
                yield Place(Path(root) / name, named=False)
        for name in folders:
            if os.path.islink(os.path.join(root, name)):  # which os.walk passes over in silence
                yield Place(Path(root) / name, named=True)
        yield from _failing(unlisted)
    yield from _failing(unlisted)


def _folders_of(out: Path) -> frozenset[str]:
    """Where the pictures of a prediction lie, by every name that costs no look at the disk to compare."""
    return frozenset(
        of(out / name) for name in FOLDERS for of in (os.path.abspath, os.path.realpath)
    )


def _failing(unlisted: list[OSError]) -> Iterator[Place]:
    while unlisted:
        yield Place(Path(unlisted.pop(0).filename), named=True)


def _refuse_ours(path: Path, ours: frozenset[str]) -> None:
    here = os.path.abspath(path)
    for folder in ours:
        if here == folder or here.startswith(folder + os.sep):
            raise ArchiveError(
                f"{path} lies in {folder}, where what is found is written; take another folder for it "
                "(--out)"
            )


def _matching(pattern: str, ours: frozenset[str]) -> Iterator[Place]:
    found = sorted(glob.iglob(pattern, recursive=True)) if glob.has_magic(pattern) else []
    if not found:
        raise ReadError(
            f"{pattern} does not exist, or lies where it may not be read; give files or folders of films"
        )
    for match in found:
        yield from _files(Path(match), ours)


def _listed(file: BinaryIO, name: str, ours: frozenset[str]) -> Iterator[Place]:
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES or b"\0" in line:
            raise ArchiveError(
                f"{name} is no list of files; give a text file with a path on each line"
            )
        # Windows begins a text with a mark of its encoding.
        if path := os.fsdecode(line.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")):
            yield from _files(Path(path), ours)
