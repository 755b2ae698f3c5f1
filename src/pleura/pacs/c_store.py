"""Results by C-STORE (PS3.4 B)."""

import logging
import ssl
from collections.abc import Sequence
from typing import Any

import pydicom
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE, evt

from pleura.pacs.lines import CLASSES, Away, Broken, Outcome
from pleura.pacs.network import SECONDS, guard
from pleura.pacs.peers import Peer
from pleura.read.quiet import quiet


class Association:
    """An association with a peer.

    Args:
        peer: with whom.
        title: our own.
        tls: as a client; None: without.

    Raises:
        Away: there is none to be had.
    """

    def __init__(self, peer: Peer, title: str, tls: ssl.SSLContext | None) -> None:
        logging.getLogger("pynetdicom").setLevel(
            logging.CRITICAL
        )  # its words may be the other end's
        entity = AE(title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = SECONDS
        entity.connection_timeout = 10.0
        for kind in CLASSES.values():
            entity.add_requested_context(kind, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        handlers: Any = [(evt.EVT_CONN_OPEN, guard)]
        try:
            self._made: Any = entity.associate(
                peer.host,
                peer.port,
                ae_title=peer.title,
                tls_args=None if tls is None else (tls, peer.host),
                evt_handlers=handlers,
            )
        except OSError as error:  # no such name, for one
            raise Away(f"it cannot be reached ({error})") from None
        if self._made.is_rejected:
            raise Away("it refused the association")
        if not self._made.is_established:
            raise Away("it does not answer, or takes no results")
        self._taken = {context.abstract_syntax for context in self._made.accepted_contexts}

    def send(self, results: Sequence[pydicom.Dataset]) -> Outcome:
        """As `Line.send`."""
        outcome = Outcome()
        for result in results:
            if result.SOPClassUID in self._taken:
                outcome.add(result, self._status(result))
            else:
                outcome.leave(result)
        return outcome

    def close(self) -> None:
        """As `Line.close`."""
        if self._made.is_established:
            self._made.release()

    def _status(self, result: pydicom.Dataset) -> int:
        with quiet():
            try:
                status = self._made.send_c_store(result).get("Status")
            except (RuntimeError, ValueError, AttributeError, OSError) as error:
                raise Broken(f"the association broke ({type(error).__name__})") from None
        if status is None:
            raise Broken("it went away, or did not answer in time")
        return int(status)
