"""Results on their way back: what is to be sent where, and the threads that send it until it has arrived.

At least once: a result that was sent when the service died is sent again, and is the same object. Each peer
has a thread of its own, so that none waits for another. A peer that does not answer, or is full, is tried
again, ever less often, as long as the film is kept; what a peer does not take is left out.
"""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from io import BytesIO
from typing import Any

import pydicom

from pleura.errors import ReadError, UnsupportedFilm
from pleura.pacs.lines import MOST_BUSY, Away, Broken, Line
from pleura.pacs.network import SECONDS
from pleura.pacs.open import open_line
from pleura.pacs.peers import Destination
from pleura.read import Limits
from pleura.read.quiet import quiet
from pleura.service import worklist
from pleura.service.audit import Audit
from pleura.service.decoding import Decoders
from pleura.service.folders import HEAT, LUNGS, MASK
from pleura.service.metrics import Metrics
from pleura.service.node_settings import NodeSettings
from pleura.service.outbox import MOST_WAIT_SECONDS
from pleura.service.store import Store

log = logging.getLogger(__name__)

FIRST_SECONDS = 5.0
"""Until a peer that does not answer, or a film that it did not take, is tried again; doubled each time."""
MOST_PEER_SECONDS = 300.0
"""What that comes to at most for a peer; for a film, `MOST_WAIT_SECONDS`."""

_AT_ONCE = 16
_MOST_TRIES_TO_MAKE = 5


class Deliveries:
    """Sends the results of films to peers, in threads of its own.

    Args:
        settings: the peers, and how to reach them.
        store: has the films and the list of what is to be sent.
        decoders: make the results.
        limits: on a film's file.
        metrics, audit: are told what became of them.
    """

    def __init__(
        self,
        settings: NodeSettings,
        store: Store,
        decoders: Decoders,
        limits: Limits,
        metrics: Metrics,
        audit: Audit,
    ) -> None:
        self._settings, self._store, self._decoders = settings, store, decoders
        self._limits, self._metrics, self._audit = limits, metrics, audit
        self._stopping = threading.Event()
        self._unmade: dict[str, int] = {}  # how often in vain, by film
        self._threads = [_Thread(self, peer) for peer in settings.peers]

    def expect(self, films: Iterable[str]) -> None:
        """Has the results of films sent, once they are judged; on the disk when it returns."""
        self._store.outbox.add(films, [str(peer) for peer in self._settings.peers])

    def start(self) -> None:
        """Begins, with what an earlier run left.

        Raises:
            ArchiveError: the files of TLS cannot be used.
        """
        self._open = open_line(self._settings.title, self._settings.credentials)
        self._unlisten = self._store.listen(self._wake)
        for one in self._threads:
            one.thread.start()

    def stop(self) -> None:
        """Ends it, after what it is sending."""
        self._unlisten()
        self._stopping.set()
        self._wake()
        for one in self._threads:
            one.thread.join(SECONDS)

    def _wake(self) -> None:
        for one in self._threads:
            one.news.set()

    def run(self, thread: "_Thread") -> None:
        """Sends to one peer what is due, until it is told to stop."""
        failures = 0
        while not self._stopping.is_set():
            thread.news.clear()
            try:
                sent = self.once(thread.peer)
            except Exception as error:
                if isinstance(error, Away):
                    log.warning("results are not yet at %s: %s", thread.peer, error)
                else:  # of the index, on a full disk, which cannot note that they were sent
                    log.exception("sending results failed")
                wait = min(FIRST_SECONDS * 2.0 ** min(failures, 20), MOST_PEER_SECONDS)
                failures += 1
                self._stopping.wait(wait)
                continue
            failures = 0
            if not sent:
                thread.news.wait(FIRST_SECONDS)

    def once(self, peer: Destination) -> int:
        """Sends what is due at a peer, over one connection; gives how many films that was.

        Raises:
            Away: it cannot be reached, or went away.
        """
        due = self._store.outbox.due(str(peer), time.time(), _AT_ONCE)
        if not due:
            return 0
        line: Line | None = None
        busy = 0
        try:
            for row in due:
                if self._stopping.is_set():
                    break
                results = self._made(row)
                if results:
                    line = line or self._open(peer)
                    try:
                        why = self._send(line, row, results)
                    except Broken as error:  # perhaps over this film: the others go on
                        line.close()
                        line, why = None, str(error)
                        self._later(row, why)
                    busy = 0 if why is None else busy + 1
                    if why is not None and busy >= MOST_BUSY:
                        raise Away(why)
        except Away as error:
            for row in due:
                self._store.outbox.tried(row, "waiting", row["due"], str(error))
            self._metrics.results.labels("tried").inc(len(due))
            raise
        finally:
            if line is not None:
                line.close()
        return len(due)

    def _made(self, row: Any) -> list[pydicom.Dataset]:
        """A film's results; none where it has none, or they have to wait."""
        film = row["film"]
        known = self._store.film(film)
        if known is None or known["finding"] is None or known["state"] == "failed":
            self._settle(row, "dropped", "it could not be judged")
            return []
        folders = self._store.folders
        files = [folders.file(film, name) for name in (MASK, HEAT, LUNGS)]
        request = {
            "do": "dicom",
            "path": str(folders.file(film)),
            "limits": asdict(self._limits),
            "finding": worklist.detail(known)["finding"],
            "kinds": list(self._settings.kinds),
            "geometry": self._settings.geometry,
        }
        try:
            _, parts = self._decoders.ask(
                request, [path.read_bytes() if path.is_file() else b"" for path in files]
            )
            if not parts:
                self._settle(row, "dropped", "it has no result of the kinds that are sent")
            with quiet():
                return [pydicom.dcmread(BytesIO(part)) for part in parts]
        except UnsupportedFilm as error:
            self._settle(row, "dropped", str(error))
        except (ReadError, OSError) as error:  # of a process that was killed, or a full disk
            self._unmade[film] = self._unmade.get(film, 0) + 1
            if self._unmade[film] >= _MOST_TRIES_TO_MAKE:
                del self._unmade[film]
                self._settle(row, "dropped", f"its results could not be made: {error}")
            else:
                self._later(row, f"its results could not be made: {error}")
        return []

    def _send(self, line: Line, row: Any, results: Sequence[pydicom.Dataset]) -> str | None:
        """Sends a film's results, and notes what became of them; gives why the archive takes nothing now.

        Raises:
            Away: the connection broke.
        """
        outcome = line.send(results)
        said = f"it takes no {', '.join(outcome.left)}" if outcome.left else ""
        if outcome.busy is not None:
            self._later(row, outcome.busy)
        elif outcome.refused:
            self._later(row, f"it refused {', '.join(outcome.refused)}")
        else:
            self._settle(row, "sent" if outcome.kept else "dropped", said)
        return outcome.busy

    def _settle(self, row: Any, state: str, said: str) -> None:
        self._store.outbox.tried(row, state, row["due"], said)
        self._metrics.results.labels(state).inc()
        self._audit.note("service", f"{state} results", f"{row['film']} {row['destination']}")

    def _later(self, row: Any, why: str) -> None:
        wait = min(FIRST_SECONDS * 2.0 ** min(row["tries"], 20), MOST_WAIT_SECONDS)
        log.warning(
            "results of film %s are not yet at %s: %s", row["film"], row["destination"], why
        )
        self._metrics.results.labels("tried").inc()
        self._store.outbox.tried(row, "waiting", time.time() + wait, why)


class _Thread:
    """The thread of one peer, and what wakes it."""

    def __init__(self, deliveries: Deliveries, peer: Destination) -> None:
        self.peer, self.news = peer, threading.Event()
        self.thread = threading.Thread(
            target=deliveries.run, args=(self,), name=f"to {peer}", daemon=True
        )
