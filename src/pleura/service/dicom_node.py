"""The DICOM node: films that archives and modalities send by C-STORE, like uploads.

A film is on the disk, in the index and in the list of what is to be sent back before C-STORE is answered with
success: a sender that was not answered sends again, and nothing is judged twice.
"""

import logging
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, _config, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pleura.errors import ServiceError
from pleura.read.dicom import RESULTS_OF
from pleura.service.audit import Audit
from pleura.service.node_settings import Caller, NodeSettings
from pleura.service.problems import Refused
from pleura.service.settings import Bounds
from pleura.service.uploads import Sent

log = logging.getLogger(__name__)

TAKEN = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)
"""The SOP classes of films; others are not accepted when an association is negotiated."""

_LENGTH = re.escape(len(RESULTS_OF).to_bytes(2, "little"))  # an even one, as DICOM wants it
SUCCESS, NOT_AUTHORISED, OUT_OF_RESOURCES, NO_FILM, FAILED = 0x0000, 0x0124, 0xA700, 0xC000, 0x0110
"""Statuses of C-STORE (PS3.4 B.2.3, PS3.7 C)."""

_OURS = re.compile(  # Manufacturer, with explicit or implicit VR, its length and no more
    rb"\x08\x00\x70\x00(?:LO%b|%b\0\0)%b" % (_LENGTH, _LENGTH, RESULTS_OF.encode()), re.DOTALL
)
_HEAD_BYTES = 1 << 14
_OVERHEAD_BYTES = 1 << 20  # of a message, beside the film
_SECONDS = 60.0

Receive = Callable[[Sequence[Sent]], tuple[str, dict[str, list[str]]]]


class Node:
    """Takes films; made before it listens.

    Args:
        settings: where it listens and who may send.
        bounds: on what is taken.
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
        self._server: Any = None

    def start(self) -> int:
        """Begins to listen, in threads of its own; gives the port.

        Raises:
            ServiceError: it cannot listen there, or the files of TLS cannot be used.
        """
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # its words may be the sender's
        _config.STORE_RECV_CHUNKED_DATASET = True  # to a file, not to memory
        entity = AE(self._settings.title)
        entity.maximum_associations = self._bounds.uploads
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _SECONDS
        entity.require_called_aet = True
        entity.require_calling_aet = sorted({caller.title for caller in self._settings.callers})
        entity.add_supported_context(Verification)
        for kind in TAKEN:
            entity.add_supported_context(kind, ALL_TRANSFER_SYNTAXES)
        handlers: Any = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_DATA_RECV, self._count),
        ]
        tls, _ = self._settings.contexts()
        try:
            self._server = entity.start_server(
                (self._settings.host, self._settings.port),
                block=False,
                evt_handlers=handlers,
                ssl_context=tls,
            )
        except OSError as error:
            raise ServiceError(
                f"the DICOM node cannot listen on {self._settings.host}, port {self._settings.port} "
                f"({error}); take another --dicom-port"
            ) from None
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Ends it; what was not answered comes again."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _count(self, event: Any) -> None:
        """Ends an association that sends more than a film may be."""
        known = self._received.get(event.assoc, 0) + len(event.data)
        self._received[event.assoc] = known
        if known > self._bounds.film.max_bytes + _OVERHEAD_BYTES:
            log.warning("a DICOM sender is cut off: its film is larger than the limit")
            event.assoc.abort()

    def _echo(self, event: Any) -> int:
        return SUCCESS if self._may_send(event.assoc) else NOT_AUTHORISED

    def _may_send(self, association: Any) -> bool:
        who = association.requestor
        callers = self._settings.callers
        return not callers or Caller(who.ae_title.strip(), who.address) in callers

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
        path = Path(event.dataset_path)
        with path.open("rb") as file:
            if _OURS.search(file.read(_HEAD_BYTES)):
                return SUCCESS, ""  # our own result, sent on by the archive: no film
            if (why := self._unready()) is not None:
                return OUT_OF_RESOURCES, why
            file.seek(0)
            name = f"{event.request.AffectedSOPInstanceUID}.dcm"
            job, tasks = self._receive([Sent(name, file)])
        title = event.assoc.requestor.ae_title.strip()
        self._audit.note(f"dicom:{title}", "sent", job, durable=True)
        self._keep_going(job, tasks)
        return SUCCESS, ""
