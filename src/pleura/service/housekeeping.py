"""Retention, room on the disk, and what crashes left behind."""

import logging
import math
import threading
import time
from collections.abc import Callable

from pleura.files import remove_partial
from pleura.service.audit import Audit
from pleura.service.deletion import delete
from pleura.service.store import Store

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0
_DAY = 86400.0
_DELETIONS_KEPT = 10_000
_AT_ONCE = 200
_JOBS_DAYS = 7
_ID_CHARACTERS = 32


def _since_boot() -> float:
    """Seconds, those included in which the machine slept: Linux leaves them out of `time.monotonic`."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Clock:
    """Tells whether the machine's clock was set while the service ran: films must not grow old by that.

    Args:
        now, ticked: the time, s since 1970, and a steady count of seconds, in which a sleeping machine's are.
        was_set: when it was set in an earlier run of the service, by its own time.
        note: called with that time, where it is set now.
    """

    JUMP_SECONDS = 3600.0

    def __init__(
        self,
        now: Callable[[], float] = time.time,
        ticked: Callable[[], float] = _since_boot,
        was_set: float = -math.inf,
        note: Callable[[float], None] = lambda at: None,
    ) -> None:
        self._now, self._ticked, self._note = now, ticked, note
        self._apart = now() - ticked()
        self._was_set = was_set

    def may_be_believed(self) -> bool:
        """Not for a day after it jumped, in which somebody may see to it."""
        now = self._now()
        jumped = now - self._ticked() - self._apart
        self._apart += jumped
        if abs(jumped) > self.JUMP_SECONDS:
            log.warning("the machine's clock was set: no film is deleted for its age for a day")
            self._was_set = now
            self._note(now)
        return not 0.0 <= now - self._was_set < _DAY


class Housekeeping:
    """Does every few minutes what keeps the store in order.

    Args:
        keep_days: films received earlier are deleted, unless a reader corrected them; None keeps all.
        tidy: called with a time, ms since 1970, before which ended tasks need not be known.
        reserve: bytes of the disk that stay free, for which what can be made again is given up.
    """

    def __init__(
        self,
        store: Store,
        audit: Audit,
        keep_days: float | None,
        tidy: Callable[[int], None],
        reserve: int = 0,
    ) -> None:
        self._store, self._audit, self._reserve = store, audit, reserve
        self._keep_days, self._tidy = keep_days, tidy
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begins in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it, after what it is doing."""
        self._stop.set()
        self._thread.join(60.0)

    def _run(self) -> None:
        try:
            self._store.folders.keep_reserve(self._reserve)
            self.remove_orphans()
        except Exception:
            log.exception("looking for files without a film failed")
        clock = self.clock()
        while not self._stop.wait(EVERY_SECONDS):
            try:
                self.once(time.time(), retain=not clock.may_be_believed())
            except Exception:  # a full disk now is no reason not to try later
                log.exception("housekeeping failed")

    def clock(
        self, now: Callable[[], float] = time.time, ticked: Callable[[], float] = _since_boot
    ) -> Clock:
        """The machine's clock, of which the index knows when it was set: the service may have died since."""
        database = self._store.database

        def note(at: float) -> None:
            with database.transaction() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO meta VALUES ('clock set', ?)", (int(at),)
                )

        found = database.rows("SELECT value FROM meta WHERE name = 'clock set'")
        return Clock(now, ticked, found[0]["value"] if found else -math.inf, note)

    def once(self, now: float, *, retain: bool = False) -> None:
        """All of it, as of the time `now`; but films grow no older where they are to be retained."""
        self._store.folders.trim_cache(room=self._reserve)  # first: the rest needs room
        self.clear_cache()
        if self._keep_days is not None and not retain:
            keep = self._keep_days * _DAY
            self.delete_before(now - keep, now - 2 * keep)
        self._store.forget_refused()
        self._store.forget_deletions(_DELETIONS_KEPT)
        self._tidy(int((now - _JOBS_DAYS * _DAY) * 1000))
        self._store.database.checkpoint()
        self._store.folders.keep_reserve(self._reserve)

    def delete_before(self, moment: float, at_last: float | None = None) -> None:
        """Deletes films received before `moment` (s since 1970) that are judged and not corrected.

        Those whose results are still to be sent only where they were received before `at_last`.
        """
        at_last = moment if at_last is None else at_last
        query = (
            "SELECT id FROM films WHERE received < ? AND verdict IS NULL AND state != 'waiting' "
            "AND (received < ? OR NOT EXISTS (SELECT 1 FROM deliveries WHERE film = films.id "
            "AND deliveries.state = 'waiting')) LIMIT ?"
        )
        while rows := self._store.database.rows(query, moment, at_last, _AT_ONCE):
            films = [row["id"] for row in rows]
            delete(self._store, self._audit, films, "retention", durable=False)

    def remove_orphans(self) -> None:
        """Removes films' files that have no row, of an upload never answered, and those half written."""
        for group in sorted((self._store.folders.root / "films").iterdir()):
            for folder in group.iterdir():
                if self._store.remove_orphan(folder.name):
                    log.info("%s had no film and is removed", folder.name)
                else:
                    remove_partial(folder, shared=True)  # films are judged meanwhile

    def clear_cache(self) -> None:
        """Removes what was made of films that are gone, and half of it that a crash left."""
        for path in self._store.folders.cache.iterdir():
            if not self._store.has(path.name.lstrip(".")[:_ID_CHARACTERS]):
                path.unlink(missing_ok=True)
