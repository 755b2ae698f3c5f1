"""A DICOMweb service, asked: search (QIDO-RS), retrieve (WADO-RS) and store (STOW-RS), PS3.18 10."""

import json
import logging
import os
import re
import ssl
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests
import urllib3
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pleura.pacs.peers import LOOPBACK, Credentials

JSON = "application/dicom+json"
DICOM = 'multipart/related; type="application/dicom"'
BUSY = (408, 429, 502, 503, 504)
"""HTTP statuses of a service that may answer later."""

_STORED, _FAILED, _OTHERS = "00081199", "00081198", "0008119A"
_SOP_INSTANCE, _REASON = "00081155", "00081197"
_CONNECT_SECONDS, _SECONDS = 10.0, 60.0
_MOST_FOUND_BYTES, _MOST_SAID_BYTES = 16 << 20, 1 << 20
_MOST_FOUND = 2_000_000
_MOST_PREAMBLE = 1 << 16
_CHUNK = 1 << 16
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_PROCESSING_FAILURE = 0x0110
_BROKEN = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError)

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a line for each odd body


class Unanswered(Exception):
    """A service that did not answer, or cannot now, and why; later it may.

    Args:
        why: in words.
        status: of HTTP, as far as there was an answer.
        reached: whether there was a connection, so that what was asked may be to blame.
    """

    def __init__(self, why: str, status: int | None = None, *, reached: bool = True) -> None:
        super().__init__(why)
        self.status, self.reached = status, reached


class Refusal(Exception):
    """An answer of a service that is no, or no use: its HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status: int = status


@dataclass(frozen=True)
class Stored:
    """What a service answered to instances that it was to store (PS3.18 10.5.3 and I.2).

    Attributes:
        status: of HTTP: 200 all are stored, 202 some, 409 none; others are errors of the request.
        stored: SOP Instance UIDs that it says are; None where it names none.
        failed: why others are not, by UID, where it says so.
        is_told: whether the answer is one to STOW-RS at all.
    """

    status: int
    stored: frozenset[str] | None = None
    failed: Mapping[str, int] | None = None
    is_told: bool = True


def _trusted() -> str | None:
    """The certificates of those whom the machine trusts; None: those that come with requests."""
    said = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return said or ssl.get_default_verify_paths().cafile


def is_uid(text: object) -> bool:
    """Whether it is a UID: digits and dots, 64 at most, and so no path."""
    return isinstance(text, str) and len(text) <= 64 and _UID.fullmatch(text) is not None


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
            rows = [tuple(_text(item, tag) for tag in tags) for item in found]
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
        asked = [*query, *([("offset", str(given))] if given else [])]
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
            part = _Part(answer.headers.get("Content-Type", ""), into, most_bytes)
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
            return stored_in(answer.status_code, kind, _content(answer, _MOST_SAID_BYTES))

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


class _Part:
    """The one part of an answer, written as it comes."""

    def __init__(self, content_type: str, into: BinaryIO, most_bytes: int) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not kind.lower().startswith(b"multipart/") or not boundary:
            raise Refusal(200, "what it gives is not multipart, as an instance should be")
        self._into, self._left = into, most_bytes
        self._parts, self._whole = 0, False
        self._delimiter, self._before = b"--" + boundary, b""
        self._begun = False
        try:
            self._parser = MultipartParser(
                boundary,
                {"on_part_begin": self._begin, "on_part_data": self._write, "on_end": self._end},
            )
        except FormParserError:
            raise Refusal(200, _NO_MULTIPART) from None

    def feed(self, data: bytes) -> None:
        if (
            not self._begun
        ):  # what stands before the first part is to be passed over (RFC 2046, 5.1.1)
            self._before += data
            at = self._before.find(self._delimiter)
            if at < 0 and len(self._before) < _MOST_PREAMBLE:
                return
            self._begun, data = True, self._before[max(at, 0) :]
        try:
            self._parser.write(data)
        except FormParserError:
            raise Refusal(200, _NO_MULTIPART) from None

    def end(self) -> None:
        if not self._begun and self._before:
            raise Refusal(200, _NO_MULTIPART)
        if not self._whole:
            raise Unanswered("its answer ends too early", 200)
        if self._parts != 1:
            raise Refusal(200, f"it gives {self._parts} instances for one")

    def _begin(self) -> None:
        self._parts += 1

    def _write(self, data: bytes, start: int, end: int) -> None:
        self._left -= end - start
        if self._left < 0:
            raise Refusal(200, "it is larger than the limit of a film (--film-limit)")
        self._into.write(data[start:end])

    def _end(self) -> None:
        self._whole = True


_NO_MULTIPART = "what it gives is not the multipart that it says"


def stored_in(status: int, kind: str, content: bytes) -> Stored:
    """What an answer to STOW-RS says.

    Args:
        status, kind: of HTTP, and the content's type.
        content: DICOM JSON, or something else.
    """
    kind = kind.partition(";")[0].strip().lower()
    if not content.strip():
        return Stored(status, is_told=kind != "text/html")
    if kind in (
        "application/dicom+xml",
        "application/xml",
    ):  # of one that speaks no JSON, as it should
        return Stored(
            status, is_told=b"NativeDicomModel" in content and _FAILED.encode() not in content
        )
    try:
        said = json.loads(content) if len(content) <= _MOST_SAID_BYTES else None
    except (ValueError, RecursionError):
        said = None
    one = said[0] if isinstance(said, list) and said else said
    if not isinstance(one, dict) or not all(map(_TAG.fullmatch, one)):
        return Stored(status, is_told=False)
    named = _items(one, _STORED)
    stored = frozenset(_text(item, _SOP_INSTANCE) for item in named) if named else None
    failed = {}
    for item in (*_items(one, _FAILED), *_items(one, _OTHERS)):
        reason = _first(item, _REASON)
        known = isinstance(reason, int) and 0 < reason <= 0xFFFF
        failed[_text(item, _SOP_INSTANCE)] = reason if known else _PROCESSING_FAILURE
    return Stored(status, stored, failed)


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


def _items(item: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return [one for one in values if isinstance(one, Mapping)] if isinstance(values, list) else []


def _first(item: Mapping[str, Any], tag: str) -> Any:
    """The first value of an element of DICOM JSON (PS3.18 F); None without one."""
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values[0] if isinstance(values, list) and values else None


def _text(item: Mapping[str, Any], tag: str) -> str:
    value = _first(item, tag)
    return value.strip(" \0") if isinstance(value, str) else ""
