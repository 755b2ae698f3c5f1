"""The DICOM node: films that archives and modalities send by C-STORE, like uploads.

A film is on the disk, in the index and in the list of what is to be sent back before C-STORE is answered with
success: a sender that was not answered sends again, and nothing is judged twice.
"""

import logging
import re
import weakref
from collections.abc import Callable, Mapping
from io import BytesIO
from threading import Thread
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pleura.errors import ServiceError
from pleura.pacs.network import SECONDS, guard
from pleura.read.dicom import FOR_DISPLAY, RESULTS_OF
from pleura.service.archives import (
    FAILED,
    NO_FILM,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
    SUCCESS,
)
from pleura.service.audit import Audit
from pleura.service.dicom_network import Server
from pleura.service.node_settings import Caller, NodeSettings, address_of
from pleura.service.problems import Refused
from pleura.service.settings import Bounds
from pleura.service.uploads import Sent

log = logging.getLogger(__name__)

_LENGTH = re.escape(len(RESULTS_OF).to_bytes(2, "little"))  # an even one, as DICOM wants it
_OURS = re.compile(  # Manufacturer, with explicit or implicit VR, its length and no more
    rb"\x08\x00\x70\x00(?:LO%b|%b\0\0)%b" % (_LENGTH, _LENGTH, RESULTS_OF.encode()), re.DOTALL
)
_HEAD_BYTES = 1 << 14
_OVERHEAD_BYTES = 1 << 20  # of a message, beside the film
_STOP_SECONDS = 5.0
_NEGOTIATION_SECONDS = 10.0  # in which who has connected says what for

Receive = Callable[..., tuple[str, dict[str, list[str]]]]


class Node:
    """Takes films; made before it listens.

    Args:
        settings: where it listens and who may send.
        bounds: on what is taken; of each sender, a film is in memory until it is whole.
        receive: keeps films, as `Uploads.receive`.
        keep_going: called with the job and its tasks once the films are safe; what it does is done before
            the sender is told.
        unready: why no film can be taken now; None where they can.
        audit: says who sent.
    """

    def __init__(
        self,
        settings: NodeSettings,
        bounds: Bounds,
        *,
        receive: Receive,
        keep_going: Callable[[str, Mapping[str, list[str]]], None],
        unready: Callable[[], str | None],
        audit: Audit,
    ) -> None:
        self._settings, self._bounds, self._audit = settings, bounds, audit
        self._receive, self._keep_going, self._unready = receive, keep_going, unready
        self._received: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._server: Server | None = None

    def start(self) -> int:
        """Begins to listen, in threads of its own; gives the port.

        Raises:
            ServiceError: it cannot listen there, or the files of TLS cannot be used.
        """
        for library in ("pynetdicom", "pydicom"):  # whose words may be the sender's
            logging.getLogger(library).setLevel(logging.CRITICAL)
        entity = AE(self._settings.title)
        entity.maximum_associations = self._bounds.uploads
        entity.acse_timeout = _NEGOTIATION_SECONDS
        entity.dimse_timeout = entity.network_timeout = SECONDS
        entity.require_called_aet = True
        entity.require_calling_aet = sorted({caller.title for caller in self._settings.callers})
        entity.add_supported_context(Verification)
        for kind in FOR_DISPLAY:
            entity.add_supported_context(kind, ALL_TRANSFER_SYNTAXES)
        handlers: Any = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_CONN_OPEN, guard),
            (evt.EVT_CONN_CLOSE, _gone),
            (evt.EVT_DATA_RECV, self._count),
        ]
        tls, _ = self._settings.contexts()
        place = (self._settings.host, self._settings.port or 0)
        try:
            server: Any = entity.make_server(
                place,
                ssl_context=tls,
                evt_handlers=handlers,
                server_class=Server,
                addresses=frozenset(caller.address for caller in self._settings.callers),
            )
        except OSError as error:
            raise ServiceError(
                f"the DICOM node cannot listen on {place[0]}, port {place[1]} ({error}); take another "
                "--dicom-port"
            ) from None
        Thread(target=server.serve_forever, name="dicom", daemon=True).start()
        self._server = server
        return int(server.server_address[1])

    def stop(self) -> None:
        """Ends it; what was not answered comes again."""
        if self._server is not None:
            ending = Thread(target=self._server.shutdown, daemon=True)
            ending.start()
            ending.join(_STOP_SECONDS)
            self._server = None

    def _count(self, event: Any) -> None:
        """Ends an association that sends more than a film may be."""
        before, most = self._received.get(event.assoc, 0), self._bounds.film.max_bytes
        known = self._received[event.assoc] = before + len(event.data)
        if before <= most + _OVERHEAD_BYTES < known:  # what is under way still comes
            log.warning("a DICOM sender is cut off: its film is larger than the limit")
            event.assoc.abort()

    def _echo(self, event: Any) -> int:
        return SUCCESS if self._may_send(event.assoc) else NOT_AUTHORISED

    def _may_send(self, association: Any) -> bool:
        who, callers = association.requestor, self._settings.callers
        return not callers or Caller(who.ae_title.strip(), address_of(who.address)) in callers

    def _store(self, event: Any) -> Dataset:
        self._received[event.assoc] = 0
        try:
            status, comment = self._kept(event)
        except Refused as error:
            status = NO_FILM if error.status == 422 else OUT_OF_RESOURCES
            comment = str(error)
        except Exception as error:  # of the disk or the index: the sender keeps the film
            log.error("a film that was sent cannot be kept: %s", type(error).__name__)
            status, comment = FAILED, "it cannot be kept; send it again"
        answer = Dataset()
        answer.Status = status
        if status != SUCCESS:
            answer.ErrorComment = comment.encode("ascii", "replace").decode()[:64]
        return answer

    def _kept(self, event: Any) -> tuple[int, str]:
        if not self._may_send(event.assoc):
            return NOT_AUTHORISED, "this sender is not among --dicom-caller"
        data = event.encoded_dataset()
        if _OURS.search(data, 0, _HEAD_BYTES):
            return SUCCESS, ""  # our own result, sent on by the archive: no film
        if (why := self._unready()) is not None:
            return OUT_OF_RESOURCES, why
        name = f"{event.request.AffectedSOPInstanceUID}.dcm"
        job, tasks = self._receive([Sent(name, BytesIO(data))], unpack=False)
        title = event.assoc.requestor.ae_title.strip()
        self._audit.note(f"dicom:{title}", "sent", job, durable=True)
        self._keep_going(job, tasks)
        return SUCCESS, ""


def _gone(event: Any) -> None:
    """Frees the place of who hung up before asking for anything, as the checks of load balancers do.

    pynetdicom would wait for the request until its time is over, and count it among the associations.
    """
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(None)
