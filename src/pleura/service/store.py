"""The index of the films: what came, what became of it, who looked at it."""

import hashlib
import json
import math
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pleura.service.folders import Folders
from pleura.service.outbox import Outbox
from pleura.service.tables import Database, next_revision

CHUNK, MOST_TASKS = 8, 32
"""Films that one durable task judges at least, and tasks of one upload at most: the bookkeeping of a task
takes as long as a film."""

MOST_REFUSED = 1000
_ID_CHARACTERS = 32
_COLUMNS = (
    "side", "area_fraction", "area_mm2", "study", "study_instance_uid", "study_date", "patient_id", "view",
    "age_years", "sex", "modality", "rows", "columns", "probability", "calibrated", "has_regions", "reason",
    "state",
)  # fmt: skip


class Arrival(NamedTuple):
    """A film that was received: its id and content's SHA-256 (hex), size, and what to call it."""

    id: str
    sha256: str
    bytes: int
    name: str


@dataclass(frozen=True)
class Judged:
    """What became of a film.

    Attributes:
        state: `positive`, `negative`, `declined` or `failed`.
        reason: why.
        columns: of the table `films`, by name.
        facts, finding, operating_point: as JSON types; None where there are none.
    """

    state: str
    reason: str
    columns: Mapping[str, Any]
    facts: Mapping[str, Any] | None = None
    finding: Mapping[str, Any] | None = None
    operating_point: Mapping[str, Any] | None = None


class Store:
    """The films, their findings and the uploads they came with; safe to call from several threads.

    Args:
        root: a folder; made where it is missing.

    Raises:
        ServiceError: another service works on it, or its index cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self.folders = Folders(root)
        try:
            self.database = Database(self.folders.root / "store.sqlite")
        except BaseException:
            self.folders.close()
            raise
        self.outbox = Outbox(self.database, self.changed)
        self._listeners: list[Callable[[], None]] = []
        self.arriving = threading.RLock()

    def close(self) -> None:
        """Lets another service have it."""
        self.database.close()
        self.folders.close()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Has `listener` called after each change, from any thread; gives what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def changed(self) -> None:
        """Tells the listeners."""
        for listener in list(self._listeners):
            listener()

    @property
    def revision(self) -> int:
        """Of the latest change."""
        return int(self.database.rows("SELECT value FROM meta WHERE name = 'revision'")[0][0])

    # ---- uploads

    def receive(
        self, arrivals: Sequence[Arrival], refused: Sequence[Mapping[str, str]]
    ) -> tuple[str, dict[str, list[str]]]:
        """Records an upload whose films are in their places.

        Returns:
            The job's id, and the tasks: id and films of each, of those that are new.
        """
        job, now = uuid.uuid4().hex, time.time()
        tasks: dict[str, list[str]] = {}
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT INTO jobs VALUES (?, ?, ?, ?)",
                (job, now, json.dumps(list(refused)[:MOST_REFUSED]), len(refused)),
            )
            new = []
            for number, arrival in enumerate(arrivals):
                is_new = _insert(connection, arrival, job, now)
                new += [arrival.id] if is_new else []
                connection.execute(
                    "INSERT INTO job_films VALUES (?, ?, ?, ?)",
                    (job, number, arrival.id, int(not is_new)),
                )
            chunk = max(CHUNK, math.ceil(len(new) / MOST_TASKS))
            for start in range(0, len(new), chunk):
                tasks[f"{job}-{start // chunk}"] = new[start : start + chunk]
            _insert_tasks(connection, tasks)
        self.changed()
        return job, tasks

    def again(self, film_id: str) -> tuple[str, dict[str, list[str]]] | None:
        """Has a film that was judged, or failed, wait for its turn again; None where it waits, or is gone.

        Its finding stays until the new one takes its place, and what readers said of it for good.

        Returns:
            The job's id, and its task, as of `receive`.
        """
        job = uuid.uuid4().hex
        tasks = {f"{job}-0": [film_id]}
        with self.database.transaction() as connection:
            waits = connection.execute(
                "UPDATE films SET state = 'waiting', tries = 0, suspicion = -1, revision = ? "
                "WHERE id = ? AND state != 'waiting'",
                (next_revision(connection), film_id),
            ).rowcount
            if not waits:
                return None
            connection.execute("INSERT INTO jobs VALUES (?, ?, '[]', 0)", (job, time.time()))
            connection.execute("INSERT INTO job_films VALUES (?, 0, ?, 0)", (job, film_id))
            _insert_tasks(connection, tasks)
        self.changed()
        return job, tasks

    def tasks(self) -> dict[str, list[str]]:
        """The tasks that are not done."""
        return {
            row["id"]: json.loads(row["films"]) for row in self.database.rows("SELECT * FROM tasks")
        }

    def done(self, task: str) -> None:
        """A task's films are all judged."""
        with self.database.transaction(durable=False) as connection:
            connection.execute("DELETE FROM tasks WHERE id = ?", (task,))

    def has(self, film_id: str) -> bool:
        """Whether the film is there."""
        return bool(self.database.rows("SELECT 1 FROM films WHERE id = ?", film_id))

    def is_kept(self, arrival: Arrival) -> bool:
        """Whether a film that comes again need not be placed: it can be used, and its file is whole."""
        row, file = self.film(arrival.id), self.folders.file(arrival.id)
        usable = row is not None and row["state"] != "failed"
        return usable and file.is_file() and file.stat().st_size == arrival.bytes

    def remove_orphan(self, film_id: str) -> bool:
        """Removes files of a film that is not there, unless an upload brings it just now."""
        with self.arriving:
            is_orphan = not self.has(film_id)
            if is_orphan:
                self.folders.remove(film_id)
        return is_orphan

    def job(self, job_id: str, most: int = 1000) -> dict[str, Any] | None:
        """What became of an upload."""
        found = self.database.rows("SELECT * FROM jobs WHERE id = ?", job_id)
        if not found:
            return None
        counts = self.database.rows(
            "SELECT count(films.id) AS total, coalesce(sum(state = 'waiting'), 0) AS waiting, "
            "coalesce(sum(state = 'failed'), 0) AS failed, coalesce(sum(repeated), 0) AS repeated "
            "FROM job_films JOIN films ON films.id = film WHERE job_films.job = ?",
            job_id,
        )[0]
        ids = self.database.rows(
            "SELECT film FROM job_films JOIN films ON films.id = film WHERE job_films.job = ? "
            "ORDER BY number LIMIT ?",
            job_id,
            most,
        )
        return {
            "id": job_id,
            "received": found[0]["received"],
            "state": "running" if counts["waiting"] else "done",
            "films": {**dict(counts), "judged": counts["total"] - counts["waiting"]},
            "film_ids": [row["film"] for row in ids],
            "refused": json.loads(found[0]["refused"]),
        }

    # ---- films

    def film(self, film_id: str) -> sqlite3.Row | None:
        """A film's row."""
        found = self.database.rows("SELECT * FROM films WHERE id = ?", film_id)
        return found[0] if found else None

    def begin(self, film_id: str) -> int | None:
        """Notes that a film is being judged; gives how often it was before, None where it does not wait."""
        with self.database.transaction(durable=False) as connection:
            row = connection.execute(
                "UPDATE films SET tries = tries + 1 WHERE id = ? AND state = 'waiting' RETURNING tries",
                (film_id,),
            ).fetchone()
        return None if row is None else int(row["tries"]) - 1

    def was_begun(self, film_id: str) -> bool:
        """Whether a film that waits was being judged when the service died."""
        row = self.film(film_id)
        return row is not None and row["state"] == "waiting" and row["tries"] > 0

    def judge(self, film_id: str, judged: Judged, received: float | None = None) -> bool:
        """Records what became of a film that waits; False where it waits no more, or for another judgement.

        That is so where it was `received` at another time: it was deleted meanwhile, and came again.
        One that was judged before and cannot be judged again is what it was, and its reason says so.
        """
        values = {name: judged.columns.get(name) for name in _COLUMNS if name in judged.columns}
        values |= {"state": judged.state, "reason": judged.reason}
        values["suspicion"] = suspicion(judged.state, values.get("probability"))
        for name in ("facts", "finding", "operating_point"):
            given = getattr(judged, name)
            values[name] = None if given is None else json.dumps(given)
        with self.database.transaction() as connection:
            row = connection.execute(
                "SELECT * FROM films WHERE id = ? AND state = 'waiting'", (film_id,)
            ).fetchone()
            if row is None or received not in (None, row["received"]):
                return False
            if judged.state == "failed" and row["finding"] is not None:
                values = _restored(row, judged.reason)
            else:  # another finding than the one that was sent
                words = (row["name"], values.get("patient_id"), values.get("study_instance_uid"))
                values["search"] = " ".join(word for word in words if word).casefold()
                self.outbox.renew(connection, film_id)
            names = ", ".join(f'"{name}" = ?' for name in values)
            connection.execute(
                f"UPDATE films SET {names}, revision = ? WHERE id = ?",
                (*values.values(), next_revision(connection), film_id),
            )
        self.changed()
        return True

    def mark_read(self, film_id: str, read: bool) -> bool:
        """Marks a film; False where there is none."""
        with self.database.transaction() as connection:
            done = connection.execute(
                'UPDATE films SET "read" = ?, revision = ? WHERE id = ?',
                (int(read), next_revision(connection), film_id),
            ).rowcount
        self.changed()
        return bool(done)

    def delete(self, film_ids: Iterable[str]) -> int:
        """Deletes films with all that belongs to them; gives how many there were."""
        count = 0
        for film_id in film_ids:
            with self.arriving:
                with self.database.transaction() as connection:
                    gone = connection.execute("DELETE FROM films WHERE id = ?", (film_id,)).rowcount
                    if gone:
                        connection.execute("DELETE FROM corrections WHERE film = ?", (film_id,))
                        connection.execute("DELETE FROM job_films WHERE film = ?", (film_id,))
                        connection.execute("DELETE FROM deliveries WHERE film = ?", (film_id,))
                        connection.execute(
                            "INSERT INTO deleted VALUES (?, ?)",
                            (film_id, next_revision(connection)),
                        )
                if gone:  # after a crash here there are files without a row, which are removed
                    self.folders.remove(film_id)
            count += gone
        self.changed()
        self.forget_refused()
        return count

    def forget_refused(self) -> None:
        """Forgets the names of files that were refused with films that are gone."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET refused = '[]' WHERE refused != '[]' "
                "AND NOT EXISTS (SELECT 1 FROM job_films WHERE job_films.job = jobs.id)"
            )

    def changes(self, since: int, most: int) -> list[tuple[int, str, sqlite3.Row | None]]:
        """(revision, film id, row or None where it was deleted) of what changed after `since`, in order."""
        films = self.database.rows(
            "SELECT * FROM films WHERE revision > ? ORDER BY revision LIMIT ?", since, most
        )
        gone = self.database.rows(
            "SELECT * FROM deleted WHERE revision > ? ORDER BY revision LIMIT ?", since, most
        )
        found: list[tuple[int, str, sqlite3.Row | None]]
        found = [(row["revision"], row["id"], row) for row in films]
        found += [(row["revision"], row["id"], None) for row in gone]
        return sorted(found, key=lambda one: one[0])[:most]

    def forget_deletions(self, kept: int) -> None:
        """Forgets all but the latest deletions; who was away longer fetches the list again."""
        with self.database.transaction() as connection:
            connection.execute(
                "DELETE FROM deleted WHERE revision <= "
                "(SELECT revision FROM deleted ORDER BY revision DESC LIMIT 1 OFFSET ?)",
                (kept,),
            )

    def counts(self) -> dict[str, int]:
        """Films by state, and the unread ones."""
        found = {"waiting": 0, "positive": 0, "negative": 0, "declined": 0, "failed": 0}
        for row in self.database.rows("SELECT state, count(*) AS n FROM films GROUP BY state"):
            found[row["state"]] = row["n"]
        unread = self.database.rows('SELECT count(*) AS n FROM films WHERE NOT "read"')
        return {**found, "unread": unread[0]["n"]}

    def stored_bytes(self) -> int:
        """Of all films' files."""
        return int(self.database.rows("SELECT coalesce(sum(bytes), 0) FROM films")[0][0])


def film_id_of(sha256: str) -> str:
    """A film's id, by its content's SHA-256 (hex)."""
    return sha256[:_ID_CHARACTERS]


def study_of(study_instance_uid: str | None, film_id: str) -> str:
    """A study's id: of a film whose header names none, the film's own."""
    if not study_instance_uid:
        return film_id
    return hashlib.sha256(study_instance_uid.encode()).hexdigest()[:_ID_CHARACTERS]


def suspicion(state: str, probability: float | None) -> float:
    """By what a worklist is sorted: positive films first, then those a person must look at."""
    if state == "positive":
        return 2.0 + (probability or 0.0)
    order = {"declined": 1.7, "failed": 1.6, "waiting": -1.0}
    return order.get(state, probability or 0.0)


def _restored(row: sqlite3.Row, reason: str) -> dict[str, Any]:
    """The columns of a film that was judged again in vain, for a reason."""
    finding = json.loads(row["finding"])
    return {
        "state": finding["decision"],
        "reason": f"{finding['reason']} Judging it again was in vain: {reason}",
        "suspicion": suspicion(finding["decision"], row["probability"]),
    }


def _insert_tasks(connection: sqlite3.Connection, tasks: Mapping[str, list[str]]) -> None:
    rows = [(task, json.dumps(films)) for task, films in tasks.items()]
    connection.executemany("INSERT INTO tasks VALUES (?, ?)", rows)


def _insert(connection: sqlite3.Connection, arrival: Arrival, job: str, now: float) -> bool:
    """Adds a film that waits, or has one wait again that failed; False where there is nothing to do."""
    name = arrival.name
    done = connection.execute(
        "INSERT INTO films (id, revision, sha256, bytes, name, name_key, received, job, study, search) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, "
        "received = excluded.received, state = 'waiting', tries = 0, reason = NULL, suspicion = -1 "
        "WHERE state = 'failed'",
        (
            arrival.id, next_revision(connection), arrival.sha256, arrival.bytes, name, name.casefold(), now,
            job, study_of(None, arrival.id), name.casefold(),
        ),
    )  # fmt: skip
    return bool(done.rowcount)
