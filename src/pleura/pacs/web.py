"""A DICOMweb service, asked: search (QIDO-RS), retrieve (WADO-RS) and store (STOW-RS), PS3.18 10."""

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import requests
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pleura.pacs.peers import Credentials

JSON = "application/dicom+json"
DICOM = 'multipart/related; type="application/dicom"'
FAILED_SOPS, SOP_INSTANCE, FAILURE_REASON = "00081198", "00081155", "00081197"

_CONNECT_SECONDS, _SECONDS = 10.0, 60.0
_MOST_JSON = 64 << 20
_CHUNK = 1 << 16
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_PROCESSING_FAILURE = 0x0110
_BUSY = (408, 429)


class Unanswered(Exception):
    """A service that did not answer, or cannot now, and why; later it may."""


class Refusal(Exception):
    """An answer of a service that is no: its HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Stored:
    """What a service answered to instances that it was to store.

    Attributes:
        status: of HTTP: 200 all are stored, 202 some, 409 none; others are errors of the request.
        reasons: why instances were not stored (PS3.18 I.2.2), by SOP Instance UID, where it says so.
    """

    status: int
    reasons: Mapping[str, int]


def is_uid(text: object) -> bool:
    """Whether it is a UID: digits and dots, 64 at most, and so no path."""
    return isinstance(text, str) and len(text) <= 64 and _UID.fullmatch(text) is not None


def first(item: Mapping[str, Any], tag: str) -> Any:
    """The first value of an element of DICOM JSON (PS3.18 F); None without one."""
    values = _values(item, tag)
    return values[0] if values else None


class Client:
    """A DICOMweb service; for one thread.

    Args:
        url: as `pleura.pacs.peers.checked_url` gives it.
        credentials: what proves to it who we are.
    """

    def __init__(self, url: str, credentials: Credentials = Credentials()) -> None:  # noqa: B008
        self.url = url
        self._session = requests.Session()
        # Said with each request: what the session says, the machine's REQUESTS_CA_BUNDLE would replace.
        authorities = credentials.authorities
        self._verify = None if authorities is None else str(authorities)
        if credentials.certificate is not None and credentials.key is not None:
            self._session.cert = (str(credentials.certificate), str(credentials.key))
        if credentials.token is not None:
            self._session.auth = _Bearer(credentials.token)

    def search(
        self, path: str, query: Sequence[tuple[str, str]] = ()
    ) -> Iterator[Mapping[str, Any]]:
        """What a search finds, as DICOM JSON (QIDO-RS, PS3.18 10.6).

        All is asked for at once, and then what comes after what was given, until nothing does: services give
        as much as they like, and some (Orthanc's plugin 1.7) lose matches where a limit is said.

        Args:
            path: under the service's URL, such as `studies`.
            query: names and values.

        Raises:
            Unanswered: the service did not answer, or not as the standard has it.
            Refusal: it says no, or that there is more, which it does not give.
        """
        begun: set[str] = set()
        offset, more = 0, False
        while True:
            after = [("offset", str(offset))] if offset else []
            found, says_more = self._page(path, [*query, *after])
            mark = json.dumps(found[:1])
            if not found or mark in begun:  # which knows no offset, and begins anew
                break
            begun.add(mark)
            offset, more = offset + len(found), says_more
            yield from found
        if more:
            raise Refusal(
                200,
                f"it finds more than the {offset} that it gives; ask for less, such as fewer days",
            )

    def _page(
        self, path: str, query: list[tuple[str, str]]
    ) -> tuple[list[Mapping[str, Any]], bool]:
        """What is found, and whether the service says that there is more (PS3.18 8.3.4.4)."""
        with self._asked("GET", path, params=query, headers={"Accept": JSON}) as answer:
            if answer.status_code == 204:
                return [], False
            _refuse(answer.status_code)
            content = _content(answer, _MOST_JSON)
            more = answer.headers.get("Warning", "").startswith("299")
        if len(content) > _MOST_JSON:
            raise Refusal(
                200,
                f"what it finds is more than {_MOST_JSON >> 20} MiB; ask for less, such as fewer days",
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
            return Stored(answer.status_code, reasons_in(_content(answer, _MOST_JSON)))

    def close(self) -> None:
        """Ends the connection."""
        self._session.close()

    @contextmanager
    def _asked(self, method: str, path: str, **how: Any) -> Iterator[requests.Response]:
        """The answer to a request; whatever breaks the connection while it is read is `Unanswered`."""
        try:
            with self._session.request(
                method,
                f"{self.url}/{path}",
                timeout=(_CONNECT_SECONDS, _SECONDS),
                verify=self._verify,
                allow_redirects=False,  # what is posted would be asked for instead
                stream=True,
                **how,
            ) as answer:
                yield answer
        except requests.exceptions.SSLError:
            raise Unanswered("its certificate is not one to be trusted") from None
        except requests.exceptions.RequestException as error:
            raise Unanswered(f"it does not answer ({type(error).__name__})") from None


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
        if not kind.lower().startswith(b"multipart/") or not options.get(b"boundary"):
            raise Refusal(200, "what it gives is not multipart, as an instance should be")
        self._into, self._left = into, most_bytes
        self._parts, self._whole = 0, False
        self._parser = MultipartParser(
            options[b"boundary"],
            {"on_part_begin": self._begin, "on_part_data": self._write, "on_end": self._end},
        )

    def feed(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError:
            raise Refusal(200, "what it gives is not the multipart that it says") from None

    def end(self) -> None:
        if not self._whole:
            raise Unanswered("its answer ends too early")
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


def reasons_in(content: bytes) -> dict[str, int]:
    """Why instances were not stored, by their UIDs, where an answer is DICOM JSON and says so."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    one = said[0] if isinstance(said, list) and said else said
    reasons: dict[str, int] = {}
    for item in _values(one, FAILED_SOPS):
        uid, reason = first(item, SOP_INSTANCE), first(item, FAILURE_REASON)
        if is_uid(uid):
            known = isinstance(reason, int) and 0 < reason <= 0xFFFF
            reasons[uid] = reason if known else _PROCESSING_FAILURE
    return reasons


def _refuse(status: int) -> None:
    if status in (401, 403, 407):
        raise Refusal(
            status, f"it does not let us in (HTTP {status}); see to the token, or the certificate"
        )
    if status in _BUSY or status >= 500:
        raise Unanswered(f"it cannot answer now (HTTP {status})")
    if status != 200:
        raise Refusal(status, f"it answers HTTP {status}")


def _content(answer: requests.Response, most: int) -> bytes:
    """An answer, or as much of it as may be."""
    content = BytesIO()
    for piece in answer.iter_content(_CHUNK):
        content.write(piece)
        if content.tell() > most:
            break
    return content.getvalue()


def _values(item: Any, tag: str) -> list[Any]:
    element = item.get(tag) if isinstance(item, Mapping) else None
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values if isinstance(values, list) else []
