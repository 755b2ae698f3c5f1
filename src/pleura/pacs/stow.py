"""Results by STOW-RS, the store transaction of DICOMweb (PS3.18 10.5)."""

from collections.abc import Sequence
from io import BytesIO

import pydicom

from pleura.errors import ArchiveError
from pleura.pacs.answers import Stored, Unanswered
from pleura.pacs.lines import Away, Broken, Outcome
from pleura.pacs.peers import Credentials, WebPeer
from pleura.pacs.web import BUSY, Client


class Web:
    """A DICOMweb service that takes results.

    Args:
        peer: where it is.
        credentials: what to show it.

    Raises:
        Away: the file of the token holds none.
    """

    def __init__(self, peer: WebPeer, credentials: Credentials) -> None:
        try:
            self._client = Client(peer.url, credentials)
        except ArchiveError as error:  # of a token's file that is being written anew, for one
            raise Away(str(error)) from None

    def send(self, results: Sequence[pydicom.Dataset]) -> Outcome:
        """As `Line.send`."""
        try:
            return outcome_of(results, self._client.store([_file(one) for one in results]))
        except Unanswered as error:
            raise (Broken if error.reached else Away)(str(error)) from None

    def close(self) -> None:
        """As `Line.close`."""
        self._client.close()


def _file(result: pydicom.Dataset) -> bytes:
    file = BytesIO()
    pydicom.dcmwrite(file, result)
    return file.getvalue()


def outcome_of(results: Sequence[pydicom.Dataset], stored: Stored) -> Outcome:
    """What an answer says of each result (PS3.18 10.5.3).

    Kept is only what the answer says is: of what it passes over in silence, nothing is known.

    Raises:
        Away: it is none of a service that takes results.
    """
    status = stored.status
    if status in (401, 403, 407):
        raise Away(f"it does not let us in (HTTP {status}); see to the token, or the certificate")
    if status in (404, 405, 415) or 300 <= status < 400:
        raise Away(f"no DICOMweb service takes results there (HTTP {status}); see to the URL")
    if status == 200 and not stored.is_told:
        raise Away("its answer is not DICOM JSON; see to the URL")
    outcome = Outcome()
    if status in BUSY or status >= 500:
        outcome.busy = f"it takes nothing now (HTTP {status})"
    for result in results:
        uid = str(result.SOPInstanceUID)
        if stored.stored is not None and uid in stored.stored:
            outcome.add(result, 0)
        elif stored.failed and uid in stored.failed:
            reason = stored.failed[uid]
            if 0xB000 <= reason <= 0xBFFF:  # a warning of what is stored, but here it has failed
                outcome.refuse(result, f"with status 0x{reason:04X}")
            else:
                outcome.add(result, reason)
        elif status == 200 and stored.stored is None and not stored.failed:
            outcome.add(result, 0)
        else:
            outcome.refuse(result, f"with HTTP {status}")
    return outcome
