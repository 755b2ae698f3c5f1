"""Results by STOW-RS, the store transaction of DICOMweb (PS3.18 10.5)."""

from collections.abc import Sequence
from io import BytesIO

import pydicom

from pleura.pacs.lines import Away, Outcome
from pleura.pacs.peers import Credentials, WebPeer
from pleura.pacs.web import Client, Stored, Unanswered

_PROCESSING_FAILURE = 0x0110


class Web:
    """A DICOMweb service that takes results.

    Args:
        peer: where it is.
        credentials: what to show it.
    """

    def __init__(self, peer: WebPeer, credentials: Credentials) -> None:
        self._client = Client(peer.url, credentials)

    def send(self, results: Sequence[pydicom.Dataset]) -> Outcome:
        """As `Line.send`."""
        try:
            return outcome_of(results, self._client.store([_file(one) for one in results]))
        except Unanswered as error:
            raise Away(str(error)) from None

    def close(self) -> None:
        """As `Line.close`."""
        self._client.close()


def _file(result: pydicom.Dataset) -> bytes:
    file = BytesIO()
    pydicom.dcmwrite(file, result)
    return file.getvalue()


def outcome_of(results: Sequence[pydicom.Dataset], stored: Stored) -> Outcome:
    """What an answer says of each result (PS3.18 10.5.3).

    Raises:
        Away: it is none of a service that takes results now.
    """
    status = stored.status
    if status in (401, 403, 407):
        raise Away(f"it does not let us in (HTTP {status}); see to the token, or the certificate")
    if status in (404, 405) or 300 <= status < 400:
        raise Away(f"no DICOMweb service takes results there (HTTP {status}); see to the URL")
    if status in (408, 429) or status >= 500:
        raise Away(f"it takes nothing now (HTTP {status})")
    outcome = Outcome()
    for result in results:
        if status == 415:
            outcome.leave(result)
        elif status in (200, 202) or stored.reasons:
            outcome.add(result, stored.reasons.get(str(result.SOPInstanceUID), 0))
        elif status == 409:  # all failed, it does not say why
            outcome.add(result, _PROCESSING_FAILURE)
        else:
            outcome.refuse(result, f"with HTTP {status}")
    return outcome
