"""The record of a prediction on disk: what is to do and what is done. It makes a run resumable after kill -9.

`journal.sqlite` holds a row for every file, in the order the files were given. What became of a batch is
recorded in one transaction, after its pictures are whole; a run that is killed goes on at the
first batch that is not recorded, with the same films in the same batches, so that its results are those of a
run that was never stopped. Nothing here grows in memory: a million films are a million rows on disk.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from pleura.archive.inputs import Place
from pleura.archive.rows import FOLDERS, JOURNAL, Row, Task, stamp_of, stem_of
from pleura.errors import ArchiveError
from pleura.outputs.dicom import KINDS

FORMAT_VERSION = 1

_PAGE = 256  # rows fetched at once
_JUDGED = "judged"  # beside the facts that a finding's tables have: `Row.judged`
_TABLES = """
CREATE TABLE identity (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE choices (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE films (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,  -- absolute; as bytes, for a file's name need not be text
    source BLOB NOT NULL,       -- as given
    named INTEGER NOT NULL,
    state TEXT,                 -- NULL while it waits
    bytes INTEGER, mtime_ns INTEGER,
    content BLOB, pixels BLOB,  -- what duplicates are found by
    first INTEGER,              -- the film this one repeats
    name TEXT UNIQUE,           -- of its pictures, in lower case
    pictures TEXT,              -- their paths and sizes
    facts TEXT,
    kind TEXT, reason TEXT      -- of a failure
);
CREATE INDEX waiting ON films (id) WHERE state IS NULL;
CREATE INDEX contents ON films (content) WHERE first IS NULL AND state = 'judged';
CREATE INDEX pixels ON films (pixels) WHERE first IS NULL AND state = 'judged';
CREATE INDEX repeats ON films (first) WHERE first IS NOT NULL;
"""


class Journal:
    """The journal of the folder `root`, held by this process alone; a context manager.

    Args:
        root: an existing folder.
        identity: what every finding depends on, by name; a journal of another's findings is refused.

    Raises:
        ArchiveError: films were judged with another identity, another process holds it, it is damaged, or it
            would be begun where pictures lie that are none of its own, or it cannot be written.
    """

    def __init__(self, root: Path, identity: Mapping[str, str]) -> None:
        self.root, self.path = root, root / JOURNAL
        self._database = _opened(self.path)
        try:
            # Exclusive, so that write-ahead logging needs no memory shared between processes and works on
            # network drives; a killed process loses nothing of it, a power cut at most the last films.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._begin({"format": str(FORMAT_VERSION), **identity})
        except sqlite3.OperationalError as error:
            self._database.close()
            if "locked" in str(error):
                raise _held(root) from error
            raise _unwritable(self.path, error) from error
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise _damaged(self.path, error) from error
        except ArchiveError:
            self._database.close()
            raise

    def _begin(self, identity: dict[str, str]) -> None:
        self._database.execute("BEGIN EXCLUSIVE")
        known = self._database.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'identity'"
        ).fetchone()
        if known:
            found = dict(self._database.execute("SELECT name, value FROM identity"))
            of_this_format = found.get("format") == identity["format"]
            if found != identity and of_this_format and not self._has_done_anything():
                self._database.execute("DELETE FROM choices")
                self._database.execute("DELETE FROM identity")
                self._identify(identity)
            elif found != identity:
                raise ArchiveError(
                    f"{self.root} holds findings made with {_differing(found, identity)}, and this is "
                    f"{_differing(identity, found)}; take another folder, or start afresh (--fresh)"
                )
        else:
            self._refuse_pictures()
            for statement in _TABLES.split(";\n"):
                self._database.execute(statement)
            self._identify(identity)
        self._database.execute("COMMIT")

    def _identify(self, identity: Mapping[str, str]) -> None:
        self._database.executemany("INSERT INTO identity VALUES (?, ?)", identity.items())

    def _has_done_anything(self) -> bool:
        done = self._database.execute("SELECT 1 FROM films WHERE state IS NOT NULL LIMIT 1")
        return done.fetchone() is not None

    def _refuse_pictures(self) -> None:
        """What lies where films' pictures go is not this journal's: films themselves, it may be."""
        for name in FOLDERS:
            folder = self.root / name
            if folder.is_dir() and any(folder.iterdir()):
                raise ArchiveError(
                    f"{folder} holds files, and no run is known that wrote them: they would be overwritten. "
                    "Take another folder (--out)"
                )

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind: object = None, error: object = None, trace: object = None) -> None:
        self._database.close()
        if isinstance(error, sqlite3.DatabaseError):  # met only where its damaged part was read
            raise _damaged(self.path, error) from error

    def agree(self, choice: str, wanted: str | None, otherwise: str) -> str:
        """What the films of this journal are done with.

        Args:
            choice: its name.
            wanted: what the user asks for; None leaves it to what the journal was begun with.
            otherwise: what a new journal takes then.

        Raises:
            ArchiveError: it was begun with another, or the journal cannot be written.
        """
        sql = "SELECT value FROM choices WHERE name = ?"
        found = self._database.execute(sql, (choice,)).fetchone()
        if found is None:
            taken = otherwise if wanted is None else wanted
            with self._written():
                self._database.execute("INSERT INTO choices VALUES (?, ?)", (choice, taken))
            return taken
        if wanted not in (None, found[0]):
            raise ArchiveError(
                f"{self.root} was begun with {choice} {found[0]}, and this is {choice} {wanted}; go on "
                "with the same, take another folder, or start afresh (--fresh)"
            )
        return str(found[0])

    def expect(self, places: Iterable[Place]) -> None:
        """Takes down what is to be done: the files that are not done yet, or have changed since, in order.

        What waited from a former run and is not among them waits no more; what is done stays.

        Raises:
            ArchiveError: the journal cannot be written.
        """
        with self._written():
            self._database.execute("DELETE FROM films WHERE state IS NULL")
            unopened = "SELECT id, path FROM films WHERE state = 'failed' AND bytes IS NULL"
            for number, folder in self._paged(unopened):
                if os.path.isdir(folder):  # which could not be listed; it is walked again, if given
                    self._database.execute("DELETE FROM films WHERE id = ?", (number,))
            for place in places:
                path = os.fsencode(os.path.abspath(place.path))
                if self._is_done(path, place):
                    continue
                self._database.execute(
                    "INSERT INTO films (path, source, named) VALUES (?, ?, ?) "
                    "ON CONFLICT (path) DO UPDATE SET named = max(named, excluded.named)",
                    (path, os.fsencode(place.path), place.named),
                )

    def _is_done(self, path: bytes, place: Place) -> bool:
        found = self._database.execute(
            "SELECT id, state, bytes, mtime_ns, named, pictures, first FROM films WHERE path = ?",
            (path,),
        ).fetchone()
        if found is None or found[1] is None:
            return False
        number, state, size, mtime_ns, named, pictures, first = found
        overlooked = state == "passed over" and place.named and not named
        if size is not None and not overlooked and stamp_of(place.path) == (size, mtime_ns):
            if first is not None:  # its pictures are the first film's
                number, pictures = first, self._pictures(first)
            if self._are_whole(pictures):
                return True
        self._undo(number)
        if first is None:
            self._database.execute("DELETE FROM films WHERE id = ?", (number,))
        return False

    def _pictures(self, number: int) -> str:
        sql = "SELECT pictures FROM films WHERE id = ?"
        return str(self._database.execute(sql, (number,)).fetchone()[0])

    def _are_whole(self, pictures: str) -> bool:
        """Whether they are there still, and were not cut by a power failure."""
        return all(
            (stamp := stamp_of(self.root / name)) is not None and stamp.bytes == size
            for name, size in json.loads(pictures).items()
        )

    def _undo(self, number: int) -> None:
        """Has a film wait again, and those that repeat it; its pictures are removed."""
        _remove(self.root, json.loads(self._pictures(number)))
        self._database.execute(
            "UPDATE films SET state = NULL, bytes = NULL, mtime_ns = NULL, content = NULL, pixels = NULL, "
            "first = NULL, name = NULL, pictures = NULL, facts = NULL, kind = NULL, reason = NULL "
            "WHERE id = ? OR first = ?",
            (number, number),
        )

    def waiting(self) -> Iterator[Task]:
        """The films to do, in order; they may be recorded meanwhile."""
        sql = "SELECT id, path, source, named FROM films WHERE state IS NULL"
        for number, path, source, named in self._paged(sql):
            yield Task(number, Path(os.fsdecode(path)), os.fsdecode(source), bool(named))

    def record(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Records what became of a batch, all or nothing; gives the facts of the findings among it.

        Raises:
            ArchiveError: the journal cannot be written.
        """
        with self._written():
            recorded = [self._record(row) for row in rows]
        return [facts for facts in recorded if facts is not None]

    @contextmanager
    def _written(self) -> Iterator[None]:
        """All that is changed inside stays, or nothing of it."""
        try:
            self._database.execute("BEGIN")
            yield
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise ArchiveError(
                f"{self.path} cannot be written ({error}); see to the space of the folder, then run the "
                "same command again: it goes on where it stopped"
            ) from error

    def _record(self, row: Row) -> dict[str, Any] | None:
        facts = None if row.facts is None else dict(row.facts)
        judged = list(row.judged)
        if facts is not None and row.first is not None:
            first = self._facts(row.first)
            judged = first.pop(_JUDGED, [])
            facts = first | facts | {"notes": [*facts["notes"], *judged]}
        size, mtime_ns = row.stamp or (None, None)
        self._database.execute(
            "UPDATE films SET state = ?, bytes = ?, mtime_ns = ?, content = ?, pixels = ?, first = ?, "
            "name = ?, pictures = ?, facts = ?, kind = ?, reason = ? WHERE id = ?",
            (
                *(row.state, size, mtime_ns, row.content, row.pixels, row.first),
                *(row.name and row.name.lower(), json.dumps(dict(row.pictures))),
                facts and json.dumps(facts | {_JUDGED: judged}, allow_nan=False),
                *(row.kind, row.reason, row.task.id),
            ),
        )
        return facts

    def _facts(self, number: int) -> dict[str, Any]:
        (facts,) = self._database.execute(
            "SELECT facts FROM films WHERE id = ?", (number,)
        ).fetchone()
        found: dict[str, Any] = json.loads(facts)
        return found

    def first_with(self, column: Literal["content", "pixels"], digest: bytes) -> Task | None:
        """The first film judged that has this content, or these pixels."""
        found = self._database.execute(
            f"SELECT id, path, source, named FROM films WHERE {column} = ? AND first IS NULL "
            "AND state = 'judged' ORDER BY id LIMIT 1",
            (digest,),
        ).fetchone()
        if found is None:
            return None
        number, path, source, named = found
        return Task(number, Path(os.fsdecode(path)), os.fsdecode(source), bool(named))

    def has_name(self, name: str) -> bool:
        """Whether a film's pictures are called `name`, in whatever case."""
        sql = "SELECT 1 FROM films WHERE name = ?"
        return self._database.execute(sql, (name.lower(),)).fetchone() is not None

    def findings(self) -> Iterator[dict[str, Any]]:
        """The facts of every finding, in order."""
        for _, kept in self._paged("SELECT id, facts FROM films WHERE facts IS NOT NULL"):
            facts = json.loads(kept)
            facts.pop(_JUDGED, None)  # journals of before have none
            yield facts

    def failures(self) -> Iterator[tuple[str, str]]:
        """(file, reason) of every film that failed, in order."""
        sql = "SELECT id, source, reason FROM films WHERE state = 'failed'"
        for _, source, reason in self._paged(sql):
            yield os.fsdecode(source), reason

    def sources(self) -> Iterator[str]:
        """Every file as it was given, in order."""
        for _, source in self._paged("SELECT id, source FROM films WHERE true"):
            yield os.fsdecode(source)

    def counts(self) -> dict[str, int]:
        """How many films are in each state, and `waiting`."""
        sql = "SELECT coalesce(state, 'waiting'), count(*) FROM films GROUP BY state"
        return dict(self._database.execute(sql))

    def reasons(self, limit: int) -> list[tuple[str, str, int]]:
        """(kind, reason, films) of the most frequent failures."""
        sql = (
            "SELECT kind, reason, count(*) FROM films WHERE state = 'failed' "
            "GROUP BY kind, reason ORDER BY count(*) DESC, min(id) LIMIT ?"
        )
        return list(self._database.execute(sql, (limit,)))

    def _paged(self, sql: str) -> Iterator[Any]:
        """The rows of a query that ends in a condition and begins with the id, by id, few at a time."""
        last = 0
        while page := self._database.execute(
            f"{sql} AND id > ? ORDER BY id LIMIT {_PAGE}", (last,)
        ).fetchall():
            yield from page
            last = page[-1][0]


def forget(root: Path) -> None:
    """Removes the journal of a folder and the pictures it knows, so that the next run starts afresh.

    Nothing else is removed; of a damaged journal, no picture.

    Raises:
        ArchiveError: another process holds it, or it cannot be opened.
    """
    if (root / JOURNAL).exists():
        database = _opened(root / JOURNAL)
        try:
            database.execute("BEGIN EXCLUSIVE")
            for pictures, source, number in database.execute(
                "SELECT pictures, source, id FROM films WHERE first IS NULL"
            ):
                _remove(root, json.loads(pictures) if pictures else _perhaps(source, number))
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise _held(root) from error
        except sqlite3.DatabaseError:
            pass
        finally:
            database.close()
    for ending in ("", "-wal", "-shm", "-journal"):
        (root / f"{JOURNAL}{ending}").unlink(missing_ok=True)


def _perhaps(source: bytes, number: int) -> Iterator[str]:
    """What a run that was killed may have written of a film that waits."""
    stem = stem_of(os.fsdecode(source))
    for name in (stem, f"{stem}~{number}"):
        yield from (f"masks/{name}.png", f"overlays/{name}.jpg")
        yield from (f"dicom/{name}/{kind}.dcm" for kind in KINDS)


def _remove(root: Path, pictures: Iterable[str]) -> None:
    """Removes pictures below the folder, and a film's folder of results that is empty then."""
    for name in pictures:
        path = root / name
        if Path(name).parts[0] in FOLDERS and ".." not in Path(name).parts:
            path.unlink(missing_ok=True)
            if path.parent.parent != root:
                with suppress(OSError):
                    path.parent.rmdir()


def _held(root: Path) -> ArchiveError:
    return ArchiveError(
        f"another process is predicting into {root}; wait for it, or take another folder"
    )


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, timeout=0.0, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: Exception) -> ArchiveError:
    return ArchiveError(
        f"{path} cannot be written ({error}); see that its folder can be written and has room, or take "
        "another folder"
    )


def _damaged(path: Path, error: Exception) -> ArchiveError:
    return ArchiveError(f"{path} is damaged ({error}); take another folder")


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    different = [f"{name} {value}" for name, value in one.items() if other.get(name) != value]
    return ", ".join(different) or "no other"
