"""Results on their way back: what is to be sent where, and the thread that sends it until it has arrived.

At least once: a result that was sent when the service died is sent again, and is the same object. A peer that
does not answer is tried again, ever less often, as long as the film is kept.
"""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from io import BytesIO
from typing import Any

import pydicom
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE

from pleura.errors import ReadError
from pleura.outputs.dicom import KINDS
from pleura.read import Limits
from pleura.read.quiet import quiet
from pleura.service import worklist
from pleura.service.audit import Audit
from pleura.service.decoding import Decoders
from pleura.service.folders import HEAT, LUNGS, MASK
from pleura.service.metrics import Metrics
from pleura.service.node_settings import NodeSettings, Peer
from pleura.service.store import Store

log = logging.getLogger(__name__)

FIRST_SECONDS, MOST_SECONDS = 5.0, 3600.0
"""Until a delivery that failed is tried again: at first, doubled each time, and at most."""

_AT_ONCE = 16
_SECONDS = 60.0
_CLASSES = (SegmentationStorage, ComprehensiveSRStorage, SecondaryCaptureImageStorage)


class _Undelivered(Exception):
    """A peer that did not take a result, and why."""


class Deliveries:
    """Sends the results of films to peers, in a thread of its own.

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
        self._peers = {str(peer): peer for peer in settings.peers}
        self._news, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="deliveries", daemon=True)

    def expect(self, films: Iterable[str]) -> None:
        """Has the results of films sent, once they are judged; on the disk when it returns."""
        self._store.deliver(films, list(self._peers))

    def start(self) -> None:
        """Begins, with what an earlier run left."""
        _, self._tls = self._settings.contexts()
        self._unlisten = self._store.listen(self._news.set)
        self._thread.start()

    def stop(self) -> None:
        """Ends it, after what it is sending."""
        self._unlisten()
        self._stopping.set()
        self._news.set()
        self._thread.join(_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            try:
                sent = self.once(time.time())
            except Exception:  # of the index, on a full disk: later it goes on
                log.exception("sending results failed")
                sent = 0
            if not sent:
                self._news.wait(FIRST_SECONDS)

    def once(self, now: float) -> int:
        """Sends what is due at `now`; gives how many films were tried."""
        due = self._store.due(list(self._peers), now, _AT_ONCE)
        for name in dict.fromkeys(row["destination"] for row in due):
            rows = [row for row in due if row["destination"] == name]
            self._send(self._peers[name], rows, now)
        return len(due)

    def _send(self, peer: Peer, rows: Sequence[Any], now: float) -> None:
        """What is due at one peer, over one association."""
        association: Any = None
        for row in rows:
            if self._stopping.is_set():
                break
            made = self._made(row["film"])
            if not made:
                self._settle(
                    row, "dropped", "it has no results: it could not be judged or is no DICOM"
                )
                continue
            try:
                if association is None or not association.is_established:
                    association = self._associated(peer)
                left = _store_all(association, made)
            except _Undelivered as error:
                self._later(row, str(error), now)
                continue
            self._settle(row, "sent", left)
        if association is not None and association.is_established:
            association.release()

    def _associated(self, peer: Peer) -> Any:
        entity = AE(self._settings.title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _SECONDS
        entity.connection_timeout = 10.0
        for kind in _CLASSES:
            entity.add_requested_context(kind, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        tls = None if self._tls is None else (self._tls, peer.host)
        association = entity.associate(peer.host, peer.port, ae_title=peer.title, tls_args=tls)
        if association.is_established:
            return association
        raise _Undelivered(
            "it refused the association" if association.is_rejected else "it does not answer"
        )

    def _made(self, film: str) -> list[pydicom.Dataset]:
        """A film's results; none where it failed, or is no DICOM film."""
        row = self._store.film(film)
        if row is None or row["finding"] is None or row["state"] == "failed":
            return []
        folders = self._store.folders
        files = [folders.file(film, name) for name in (MASK, HEAT, LUNGS)]
        request = {
            "do": "dicom",
            "path": str(folders.file(film)),
            "limits": asdict(self._limits),
            "finding": worklist.detail(row)["finding"],
            "kinds": list(KINDS),
            "geometry": self._settings.geometry,
        }
        try:
            _, parts = self._decoders.ask(
                request, [path.read_bytes() if path.is_file() else b"" for path in files]
            )
        except ReadError as error:
            log.warning("film %s has no DICOM results: %s", film, error)
            return []
        with quiet():
            return [pydicom.dcmread(BytesIO(part)) for part in parts]

    def _settle(self, row: Any, state: str, said: str) -> None:
        self._store.tried(row, state, row["due"], said)
        self._metrics.results.labels(state).inc()
        self._audit.note("service", f"{state} results", f"{row['film']} {row['destination']}")

    def _later(self, row: Any, why: str, now: float) -> None:
        wait = min(FIRST_SECONDS * 2.0 ** min(row["tries"], 20), MOST_SECONDS)
        log.warning(
            "results of film %s are not yet at %s: %s", row["film"], row["destination"], why
        )
        self._metrics.results.labels("tried").inc()
        self._store.tried(row, "waiting", now + wait, why)


def _store_all(association: Any, results: Sequence[pydicom.Dataset]) -> str:
    """Sends a film's results; says which the peer has no use for.

    Raises:
        _Undelivered: it refused one that it takes in principle, takes none, or went away.
    """
    taken = {context.abstract_syntax for context in association.accepted_contexts}
    left = [result.Modality for result in results if result.SOPClassUID not in taken]
    if len(left) == len(results):
        raise _Undelivered("it takes neither segmentations, reports nor captures")
    for result in results:
        if result.SOPClassUID not in taken:
            continue
        with quiet():
            try:
                status = association.send_c_store(result)
            except (RuntimeError, ValueError, AttributeError) as error:
                raise _Undelivered(f"the association broke ({type(error).__name__})") from None
        code = status.get("Status")
        if code is None:
            raise _Undelivered("it went away, or did not answer in time")
        if code != 0 and not 0xB000 <= code <= 0xBFFF:  # warnings: it has been kept
            raise _Undelivered(f"it answered the {result.Modality} with status 0x{code:04X}")
    return f"it takes no {', '.join(left)}" if left else ""
