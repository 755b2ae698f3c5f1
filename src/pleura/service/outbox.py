"""Results on their way back, in the index: where each film's go, and how far they are."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pleura.service.tables import Database

MOST_WAIT_SECONDS = 3600.0
"""Until a film is tried again, at most."""


class Outbox:
    """What is to be sent where; safe to call from several threads.

    Args:
        database: the index.
        changed: called when something is to be sent.
    """

    def __init__(self, database: Database, changed: Callable[[], None]) -> None:
        self._database, self._changed = database, changed
        self._destinations: tuple[str, ...] = ()

    def add(self, film_ids: Iterable[str], destinations: Sequence[str]) -> None:
        """Notes that the results of films are to be sent; what is known already, or was sent, stays so."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT INTO deliveries SELECT id, ?, 'waiting', 0, ?, '' FROM films WHERE id = ? "
                "ON CONFLICT DO UPDATE SET state = 'waiting', tries = 0, due = excluded.due, said = '' "
                "WHERE deliveries.state = 'dropped'",
                [(name, time.time(), film) for film in film_ids for name in destinations],
            )
        self._changed()

    def keep_to(self, destinations: Sequence[str]) -> None:
        """Gives up deliveries that wait for other destinations than these, now and later on."""
        self._destinations = tuple(destinations)
        marks = ", ".join("?" * len(destinations))
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET state = 'dropped', said = 'results are no longer sent there' "
                f"WHERE state = 'waiting' AND destination NOT IN ({marks})",
                tuple(destinations),
            )

    def renew(self, connection: sqlite3.Connection, film_id: str) -> None:
        """Has a film's results sent again, of another finding; inside a transaction."""
        marks = ", ".join("?" * len(self._destinations))
        connection.execute(
            "UPDATE deliveries SET state = 'waiting', tries = 0, due = ? "
            f"WHERE film = ? AND destination IN ({marks})",
            (time.time(), film_id, *self._destinations),
        )

    def due(self, destination: str, now: float, most: int) -> list[sqlite3.Row]:
        """Deliveries that wait no more for their films' findings nor for their time, the oldest first.

        Nothing waits longer than `MOST_WAIT_SECONDS`: where it seems so, the clock was set back meanwhile.
        """
        return self._database.rows(
            "SELECT film, destination, deliveries.tries AS tries, due FROM deliveries "
            "JOIN films ON films.id = film WHERE deliveries.state = 'waiting' AND (due <= ? OR due > ?) "
            "AND films.state != 'waiting' AND destination = ? ORDER BY due, film LIMIT ?",
            now,
            now + MOST_WAIT_SECONDS,
            destination,
            most,
        )

    def tried(self, delivery: sqlite3.Row, state: str, due: float, said: str) -> None:
        """What became of a delivery of `due`: an end, or a time, s since 1970, to try it again.

        One that came to its end, or was asked for anew of another finding meanwhile, stays as it is.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET state = ?, due = ?, said = ?, tries = tries + 1 "
                "WHERE film = ? AND destination = ? AND due = ? AND state = 'waiting'",
                (state, due, said, delivery["film"], delivery["destination"], delivery["due"]),
            )

    def of(self, film_id: str) -> list[dict[str, Any]]:
        """Where a film's results go, and how far they are."""
        found = self._database.rows(
            "SELECT destination, state, tries, said FROM deliveries WHERE film = ? ORDER BY destination",
            film_id,
        )
        return [dict(row) for row in found]

    def waiting(self) -> int:
        """Deliveries that wait."""
        query = "SELECT count(*) FROM deliveries WHERE state = 'waiting'"
        return int(self._database.rows(query)[0][0])
