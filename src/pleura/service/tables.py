"""The tables of the index, and the connection to them."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pleura.errors import ServiceError

FORMAT_VERSION = 2

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO meta VALUES ('format', 2), ('revision', 0);
CREATE TABLE films (
    id TEXT PRIMARY KEY,            -- the first half of its content's SHA-256, hex
    revision INTEGER NOT NULL,      -- of the whole store, when it last changed
    sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
    name TEXT NOT NULL, name_key TEXT NOT NULL,
    received REAL NOT NULL,         -- seconds since 1970
    job TEXT NOT NULL,              -- that first brought it
    state TEXT NOT NULL DEFAULT 'waiting',
    tries INTEGER NOT NULL DEFAULT 0,  -- how often judging it began
    reason TEXT,
    suspicion REAL NOT NULL DEFAULT -1,
    probability REAL, calibrated INTEGER,
    has_regions INTEGER,            -- to draw, were it suspected; NULL where no map was made
    side TEXT, area_fraction REAL, area_mm2 REAL,
    study TEXT NOT NULL, study_instance_uid TEXT, study_date TEXT,
    patient_id TEXT, view TEXT, age_years REAL, sex TEXT, modality TEXT,
    "rows" INTEGER, columns INTEGER,
    "read" INTEGER NOT NULL DEFAULT 0,
    verdict TEXT,
    search TEXT NOT NULL,           -- what words are looked for in, folded
    facts TEXT, finding TEXT, operating_point TEXT  -- JSON
);
CREATE INDEX by_suspicion ON films (-suspicion, id);
CREATE INDEX by_received ON films (-received, id);
CREATE INDEX by_revision ON films (revision);
CREATE INDEX by_state ON films (state);
CREATE INDEX by_study ON films (study);
CREATE TABLE deleted (id TEXT NOT NULL, revision INTEGER PRIMARY KEY);
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, received REAL NOT NULL, refused TEXT NOT NULL, refused_count INTEGER NOT NULL
);
CREATE TABLE job_films (
    job TEXT NOT NULL, number INTEGER NOT NULL, film TEXT NOT NULL, repeated INTEGER NOT NULL,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE INDEX job_of_film ON job_films (film);
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, films TEXT NOT NULL  -- films to judge together, JSON; gone once they are
);
CREATE TABLE corrections (
    film TEXT NOT NULL, number INTEGER NOT NULL,
    verdict TEXT NOT NULL, comment TEXT NOT NULL, reader TEXT NOT NULL, identity TEXT NOT NULL,
    seconds REAL, time REAL NOT NULL, has_mask INTEGER NOT NULL, mask_sha256 TEXT,
    area_fraction REAL, label INTEGER, model_sha256 TEXT,
    PRIMARY KEY (film, number)
) WITHOUT ROWID;
"""
_LATER_TABLES = """
CREATE TABLE IF NOT EXISTS deliveries (
    film TEXT NOT NULL, destination TEXT NOT NULL,  -- TITLE@HOST:PORT
    state TEXT NOT NULL,            -- waiting, sent or dropped
    tries INTEGER NOT NULL, due REAL NOT NULL, said TEXT NOT NULL,
    PRIMARY KEY (film, destination)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delivery_due ON deliveries (state, due);
CREATE TABLE IF NOT EXISTS ended_sessions (
    session TEXT PRIMARY KEY,       -- what its cookie held
    until INTEGER NOT NULL          -- seconds since 1970, when it would have ended by itself
) WITHOUT ROWID;
"""
"""Tables that stores of this format may lack: they are added when they are opened."""
_LATER_COLUMNS = (
    (
        "corrections",
        "state",
        "TEXT",
    ),  # of the finding that was judged; NULL in rows older than the column
    ("corrections", "probability", "REAL"),
)
"""Columns that stores of this format may lack, likewise."""


class Database:
    """One connection to the index, that one thread at a time uses.

    Args:
        path: of the file; made where it is missing.

    Raises:
        ServiceError: it is of another format, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            self._begin(path)
        except ServiceError:
            self._connection.close()
            raise
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise ServiceError(
                f"{path} cannot be used ({error}); restore it, or start with a new store"
            ) from error

    def _begin(self, path: Path) -> None:
        found = self.rows("SELECT name FROM sqlite_master WHERE name = 'meta'")
        if not found:
            self._connection.executescript(f"BEGIN IMMEDIATE;{_TABLES}COMMIT;")
        version = self.rows("SELECT value FROM meta WHERE name = 'format'")[0][0]
        if version != FORMAT_VERSION:
            raise ServiceError(
                f"{path} is of format {version}, this pleura has {FORMAT_VERSION}; "
                "use the pleura that made it"
            )
        self._connection.executescript(_LATER_TABLES)
        for table, column, kind in _LATER_COLUMNS:
            known = {row["name"] for row in self.rows(f"PRAGMA table_info({table})")}
            if column not in known:
                self._connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """All that is done inside is done, or nothing of it.

        Args:
            durable: wait for the disk. What does not survives kill -9, but a power cut may undo it.
        """
        with self._lock:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """What a query finds."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def checkpoint(self) -> None:
        """Empties the log of changes into the file, so that what was deleted stands in neither."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            self._connection.close()


def next_revision(connection: sqlite3.Connection) -> int:
    """A number larger than any before; inside a transaction."""
    query = "UPDATE meta SET value = value + 1 WHERE name = 'revision' RETURNING value"
    return int(connection.execute(query).fetchone()[0])
