"""Results by STOW-RS, the store transaction of DICOMweb (PS3.18 10.5)."""

import json
import re
import uuid
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import requests

from pleura.service.node_settings import WebPeer
from pleura.service.sending import Away, Outcome

_CONNECT_SECONDS, _SECONDS = 10.0, 60.0
_FAILED, _UID, _REASON = "00081198", "00081155", "00081197"
_PROCESSING_FAILURE, _TAKES_NOT = 0x0110, 0x0122
_MOST_BYTES = 1 << 20  # of an answer


class Web:
    """A DICOMweb service that takes results.

    Args:
        peer: where it is.
        token: the bearer's; None: it wants none.
        certificate, key: PEM files that say who we are; None: it does not ask.
        authorities: a PEM file of those who signed its certificate; None: those of the machine, or of
            REQUESTS_CA_BUNDLE.
    """

    def __init__(
        self,
        peer: WebPeer,
        token: str | None,
        certificate: Path | None,
        key: Path | None,
        authorities: Path | None,
    ) -> None:
        self._url = f"{peer.url}/studies"
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/dicom+json"
        # Said with each request: what the session says, the machine's REQUESTS_CA_BUNDLE would replace.
        self._verify = None if authorities is None else str(authorities)
        if certificate is not None and key is not None:
            self._session.cert = (str(certificate), str(key))
        if token is not None:
            self._session.auth = _Bearer(token)

    def send(self, results: Sequence[pydicom.Dataset]) -> Outcome:
        """As `Line.send`."""
        boundary = uuid.uuid4().hex
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        try:
            with self._session.post(
                self._url,
                data=_related(results, boundary),
                headers={"Content-Type": kind},
                timeout=(_CONNECT_SECONDS, _SECONDS),
                verify=self._verify,
                allow_redirects=False,  # what is posted would be asked for instead
                stream=True,
            ) as answer:
                return _outcome(results, answer.status_code, _content(answer))
        except requests.exceptions.SSLError:
            raise Away("its certificate is not one to be trusted") from None
        except (requests.exceptions.RequestException, OSError) as error:
            raise Away(f"it does not answer ({type(error).__name__})") from None

    def close(self) -> None:
        """As `Line.close`."""
        self._session.close()


class _Bearer(requests.auth.AuthBase):
    """Says who we are; unlike a header of the session, no .netrc takes its place."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _related(results: Sequence[pydicom.Dataset], boundary: str) -> bytes:
    body = BytesIO()
    for result in results:
        body.write(f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode())
        file = BytesIO()
        pydicom.dcmwrite(file, result)
        body.write(file.getvalue())
        body.write(b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return body.getvalue()


def _content(answer: requests.Response) -> bytes:
    """The beginning of an answer, of any length."""
    content = bytearray()
    for piece in answer.iter_content(1 << 14):
        content += piece
        if len(content) > _MOST_BYTES:
            break
    return bytes(content)


def _outcome(results: Sequence[pydicom.Dataset], status: int, content: bytes) -> Outcome:
    """What an answer says of each result (PS3.18 10.5.3).

    Raises:
        Away: it is none of a service that takes films now.
    """
    if status in (401, 403, 407):
        raise Away(f"it does not let us in (HTTP {status}); see to the token, or the certificate")
    if status in (404, 405) or 300 <= status < 400:
        raise Away(f"no DICOMweb service takes results there (HTTP {status}); see to the URL")
    if status in (408, 429) or status >= 500:
        raise Away(f"it takes nothing now (HTTP {status})")
    outcome, reasons = Outcome(), _reasons(content)
    for result in results:
        if status == 415:
            outcome.add(result, _TAKES_NOT)
        elif status in (200, 202) or reasons:
            outcome.add(result, reasons.get(str(result.SOPInstanceUID), 0))
        elif status == 409:  # all failed, it does not say why
            outcome.add(result, _PROCESSING_FAILURE)
        else:
            outcome.refused.append(f"{result.Modality} with HTTP {status}")
    return outcome


def _reasons(content: bytes) -> dict[str, int]:
    """Why instances were not stored, by their UIDs, where the answer is DICOM JSON."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    one = said[0] if isinstance(said, list) and said else said
    reasons: dict[str, int] = {}
    for item in _values(one, _FAILED):
        uid, reason = _values(item, _UID), _values(item, _REASON)
        if uid and isinstance(uid[0], str) and re.fullmatch(r"[0-9.]{1,64}", uid[0]):
            known = bool(reason) and isinstance(reason[0], int) and 0 < reason[0] <= 0xFFFF
            reasons[uid[0]] = reason[0] if known else _PROCESSING_FAILURE
    return reasons


def _values(item: Any, tag: str) -> list[Any]:
    element = item.get(tag) if isinstance(item, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []
