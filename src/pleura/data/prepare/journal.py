"""The record of finished films that makes `pleura prepare` resumable after anything, kill -9 included.

`journal.jsonl` has one JSON object a line: first the options every film depends on, then the corpora
whenever a run brings others than the one before, and a film each time one is done, flushed at once. A line
that was cut off is ignored; a film counts as done when its files are there at the size that was written.
"""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from pleura.data.manifest import FORMAT_VERSION, Film
from pleura.data.prepare.convert import Converted
from pleura.errors import DatasetError
from pleura.files import PARTIAL, lock

NAME = "journal.jsonl"

Corpus = tuple[str, str]
"""Name and root."""


class Journal:
    """The journal of the dataset in `root`, open for appending; a context manager.

    Attributes:
        done: the films found finished, by their fingerprint.
        corpora: (name, root) of those that films were taken from.
    """

    def __init__(self, root: Path, options: Mapping[str, Any], *, fresh: bool = False) -> None:
        """Opens or begins the journal.

        Args:
            root: the dataset's folder.
            options: what every film depends on.
            fresh: remove what a former run left, once no other process holds the folder.

        Raises:
            DatasetError: it was begun with other options, another process holds it, or it cannot be written.
        """
        self.root = root
        self.path = root / NAME
        header = {"format": FORMAT_VERSION, **options}
        try:
            self._file: IO[bytes] = self.path.open("a+b")
            _lock(self._file, root)
            if fresh:
                self._file.truncate(0)
                forget(root)
            self._file.seek(0)
            lines = self._file.read().splitlines(keepends=True)
        except OSError as error:
            raise DatasetError(
                f"{self.path} cannot be written: {error.strerror or error}"
            ) from error
        whole = [line for line in lines if line.endswith(b"\n")]
        if not whole:
            self._file.truncate(0)
            self._append(header)
            self.done: dict[str, Converted] = {}
            self.corpora: set[Corpus] = set()
            self._latest: set[Corpus] = set()
            return
        began = _parsed(whole[0])
        if began != header:
            self._file.close()
            raise DatasetError(
                f"{root} was begun with {_options(began)}, and this is {_options(header)}; finish it with "
                "the same, take another folder, or start afresh (--fresh)"
            )
        self._file.truncate(sum(len(line) for line in whole))
        self.done, self.corpora, self._latest = {}, set(), set()
        for line in whole[1:]:
            record = _parsed(line) or {}
            self._latest = _corpora(record) or self._latest
            self.corpora |= {c for c in self._latest if c[0] == _corpus_of(record)}
            if (converted := self._finished(record)) is not None:
                self.done[str(record["case"])] = converted

    def begin(self, corpora: Collection[Corpus]) -> None:
        """Takes down which corpora this run prepares, (name, root) each.

        Raises:
            DatasetError: one that films were taken from before is not among them, so that its films would
                silently leave the dataset.
        """
        dropped = sorted(self.corpora - set(corpora))
        if dropped:
            name, place = dropped[0]
            raise DatasetError(
                f"{self.root} was prepared from other corpora: {name} ({place}) is not among those given, "
                "and its films would be lost. Give the former corpora too, take another folder, or start "
                "afresh (--fresh)"
            )
        if set(corpora) != self._latest:
            self._append({"corpora": sorted(corpora)})

    def add(self, fingerprint: str, converted: Converted) -> None:
        """Records a finished film."""
        film = None if converted.film is None else asdict(converted.film)
        self._append(
            {
                "case": fingerprint,
                "film": film,
                "annotations": converted.annotations,
                "sizes": converted.sizes,
            }
        )

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise DatasetError(
                f"{self.path} cannot be written ({error.strerror}); see to the space of the folder, then run "
                "the same command again: it goes on where it stopped"
            ) from error

    def _finished(self, record: dict[str, Any]) -> Converted | None:
        """The film of a record whose files are all there and whole, else None."""
        try:
            sizes = tuple((str(name), int(size)) for name, size in record["sizes"])
            values = record["film"]
            film = Film(**{**values, "also_in": tuple(values["also_in"])})
            annotations = tuple(map(str, record["annotations"]))
            if all((self.root / name).stat().st_size == size for name, size in sizes):
                return Converted(film, annotations, sizes)
        except (OSError, KeyError, TypeError, ValueError):
            pass
        return None


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _corpora(record: Mapping[str, Any]) -> set[Corpus]:
    try:
        return {(str(name), str(root)) for name, root in record.get("corpora", ())}
    except (TypeError, ValueError):
        return set()


def _corpus_of(record: Mapping[str, Any]) -> str | None:
    film = record.get("film")
    return str(film.get("corpus")) if isinstance(film, dict) else None


def _options(header: Mapping[str, Any] | None) -> str:
    if not header:
        return "a damaged journal"
    return ", ".join(f"{k} {'native' if v is None else v}" for k, v in header.items())


def _lock(file: IO[bytes], root: Path) -> None:
    """Keeps a second process off the same folder."""
    if not lock(file.fileno()):
        file.close()
        raise DatasetError(f"{root} is being prepared by another process; wait for it")


def forget(root: Path) -> None:
    """Removes everything that a preparation writes but its journal, and nothing more."""
    for name in ("dataset.json", "manifest.csv", "annotations.csv", "failures.csv"):
        (root / name).unlink(missing_ok=True)
    for folder in ("images", "masks"):
        sweep(root / folder, frozenset())


def sweep(folder: Path, keep: frozenset[str]) -> None:
    """Removes the PNG files of `folder`, partial ones too, whose names are not in `keep`."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        stale = [
            e.path for e in entries if e.name not in keep and e.name.endswith((".png", PARTIAL))
        ]
    for path in stale:
        os.unlink(path)
