"""A DICOMweb service, asked: search (QIDO-RS), retrieve (WADO-RS) and store (STOW-RS), PS3.18 10."""

import json
import os
import ssl
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import urlencode, urlsplit

import requests
import urllib3

from pleura.pacs.answers import (
    MOST_SAID_BYTES,
    Part,
    Refusal,
    Stored,
    Unanswered,
    stored_in,
    text_of,
)
from pleura.pacs.peers import LOOPBACK, Credentials

JSON = "application/dicom+json"
DICOM = 'multipart/related; type="application/dicom"'
BUSY = (408, 429, 502, 503, 504)
"""HTTP statuses of a service that may answer later."""

_PLAIN = "*?,:/@"
"""What a query may hold as it is (RFC 3986, 3.4): some (Orthanc's plugin 1.7) take `%2A` for no wildcard."""
_CONNECT_SECONDS, _SECONDS = 10.0, 60.0
_MOST_FOUND_BYTES = 16 << 20
_MOST_FOUND = 2_000_000
_CHUNK = 1 << 16
_BROKEN = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError)


def _trusted() -> str | None:
    """The certificates of those whom the machine trusts; None: those that come with requests."""
    said = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return said or ssl.get_default_verify_paths().cafile


class Client:
    """A DICOMweb service; for one thread.

    Args:
        url: as `pleura.pacs.peers.checked_url` gives it.
        credentials: what proves to it who we are.

    Raises:
        ArchiveError: the file of the token holds none.
    """

    def __init__(self, url: str, credentials: Credentials | None = None) -> None:
        credentials = credentials or Credentials()
        self.url = url
        self._session = requests.Session()
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname in LOOPBACK:
            self._session.trust_env = False  # a proxy is not this machine
        # Said with each request: what the session says, the machine's REQUESTS_CA_BUNDLE would replace.
        authorities = credentials.authorities
        self._verify = _trusted() if authorities is None else str(authorities)
        if credentials.certificate is not None and credentials.key is not None:
            self._session.cert = (str(credentials.certificate), str(credentials.key))
        if (token := credentials.token()) is not None:
            self._session.auth = _Bearer(token)

    def search(
        self, path: str, tags: Sequence[str], query: Sequence[tuple[str, str]] = ()
    ) -> Iterator[tuple[str, ...]]:
        """What a search finds (QIDO-RS, PS3.18 10.6), each once.

        All is asked for at once, and then what comes after what was given, until nothing does: services give
        as much as they like, and some (Orthanc's plugin 1.7) lose matches where a limit is said.

        Args:
            path: under the service's URL, such as `studies`.
            tags: of the attributes that are wanted of each, the first of which names it.
            query: names and values.

        Yields:
            The first value of each attribute, without padding; empty where there is none.

        Raises:
            Unanswered: the service did not answer, or not as the standard has it.
            Refusal: it says no, or that there is more, which it does not give.
        """
        seen: set[str] = set()
        given, more = 0, False
        while True:
            found, says_more = self._page(path, query, given)
            if found is None:  # it refuses the offset
                break
            if not found:
                return
            rows = [tuple(text_of(item, tag) for tag in tags) for item in found]
            new: dict[str, tuple[str, ...]] = {}
            for row in rows:
                if row[0] not in seen:
                    new.setdefault(row[0], row)
            if not new:  # it knows no offset, and begins anew
                break
            seen |= new.keys()
            given, more = given + len(found), says_more
            if len(seen) > _MOST_FOUND:
                raise Refusal(200, f"it finds more than {_MOST_FOUND:,}; ask for less")
            yield from new.values()
        if more:
            raise Refusal(
                200,
                f"it finds more than the {given} that it gives; ask for less, such as fewer days",
            )

    def _page(
        self, path: str, query: Sequence[tuple[str, str]], given: int
    ) -> tuple[list[Mapping[str, Any]] | None, bool]:
        """What is found after what was given, and whether it says that there is more (PS3.18 8.3.4.4).

        None where it does not say what comes after something.
        """
        pairs = [*query, *([("offset", str(given))] if given else [])]
        asked = urlencode(pairs, safe=_PLAIN)
        with self._asked("GET", path, params=asked, headers={"Accept": JSON}) as answer:
            if answer.status_code == 204:
                return [], False
            if given and answer.status_code in (400, 404):
                return None, False
            _refuse(answer.status_code)
            content = _content(answer, _MOST_FOUND_BYTES)
            more = answer.headers.get("Warning", "").startswith("299")
        if not content.strip():
            return [], False
        if len(content) > _MOST_FOUND_BYTES:
            raise Refusal(
                200,
                f"what it finds is more than {_MOST_FOUND_BYTES >> 20} MiB; ask for less, such as fewer days",
            )
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise Unanswered("its answer to a search is not DICOM JSON; see to the URL")
        return found, more

    def retrieve(
        self, study: str, series: str, instance: str, into: BinaryIO, most_bytes: int
    ) -> None:
        """Writes an instance to a file, as the service has it (WADO-RS, PS3.18 10.4).

        Raises:
            Unanswered: the service did not answer, or its answer ended too early.
            Refusal: it says no, or what it gives is no DICOM file, several, or too large.
        """
        path = f"studies/{study}/series/{series}/instances/{instance}"
        accept = {"Accept": f"{DICOM}; transfer-syntax=*"}
        with self._asked("GET", path, headers=accept) as answer:
            _refuse(answer.status_code)
            part = Part(answer.headers.get("Content-Type", ""), into, most_bytes)
            for piece in answer.iter_content(_CHUNK):
                part.feed(piece)
        part.end()

    def store(self, files: Sequence[bytes]) -> Stored:
        """Has instances stored (STOW-RS, PS3.18 10.5).

        Raises:
            Unanswered: the service did not answer.
        """
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = b"".join(head + data + b"\r\n" for data in files) + f"--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"{DICOM}; boundary={boundary}", "Accept": JSON}
        with self._asked("POST", "studies", data=body, headers=headers) as answer:
            kind = answer.headers.get("Content-Type", "")
            return stored_in(answer.status_code, kind, _content(answer, MOST_SAID_BYTES))

    def close(self) -> None:
        """Ends the connection."""
        self._session.close()

    @contextmanager
    def _asked(self, method: str, path: str, **how: Any) -> Iterator[requests.Response]:
        """The answer to a request; whatever breaks the connection while it is read is `Unanswered`."""
        try:
            answer = self._session.request(
                method,
                f"{self.url}/{path}",
                timeout=(_CONNECT_SECONDS, _SECONDS),
                verify=self._verify,
                allow_redirects=False,  # what is posted would be asked for instead
                stream=True,
                **how,
            )
        except requests.exceptions.SSLError:
            raise Unanswered("its certificate is not one to be trusted", reached=False) from None
        except (*_BROKEN, OSError, UnicodeError) as error:  # no such file, no name of a host
            why, reached = (
                f"it does not answer ({type(error).__name__})",
                not _is_of_connecting(error),
            )
            raise Unanswered(why, reached=reached) from None
        with answer:
            try:
                yield answer
            except _BROKEN as error:
                raise Unanswered(f"its answer broke off ({type(error).__name__})") from None


def _is_of_connecting(error: Exception) -> bool:
    """Whether there was no connection in the first place."""
    if not isinstance(error, requests.exceptions.RequestException):
        return True
    cause = error.args[0] if error.args else None
    cause = getattr(cause, "reason", cause)  # of urllib3's error of too many tries
    never = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.NameResolutionError)
    wrong = (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError)
    odd = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)
    return isinstance(error, (*wrong, *odd)) or isinstance(cause, never)


class _Bearer(requests.auth.AuthBase):
    """Says who we are; unlike a header of the session, no .netrc takes its place."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _refuse(status: int) -> None:
    if status in (401, 403, 407):
        raise Refusal(
            status, f"it does not let us in (HTTP {status}); see to the token, or the certificate"
        )
    if status in BUSY:
        raise Unanswered(f"it cannot answer now (HTTP {status})", status)
    if status != 200:
        raise Refusal(status, f"it answers HTTP {status}")


def _content(answer: requests.Response, most: int) -> bytes:
    """An answer, or a little more of it than may be."""
    content = BytesIO()
    for piece in answer.iter_content(_CHUNK):
        content.write(piece)
        if content.tell() > most:
            break
    return content.getvalue()
