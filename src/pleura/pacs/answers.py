"""What a DICOMweb service answers: a no, instances as multipart, what was stored as DICOM JSON (PS3.18 F)."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

MOST_SAID_BYTES = 1 << 20
"""Of an answer to STOW-RS; more is none."""

_STORED, _FAILED, _OTHERS = "00081199", "00081198", "0008119A"
_SOP_INSTANCE, _REASON = "00081155", "00081197"
_MOST_PREAMBLE = 1 << 16
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_PROCESSING_FAILURE = 0x0110
_NO_MULTIPART = "what it gives is not the multipart that it says"

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


def is_uid(text: object) -> bool:
    """Whether it is a UID: digits and dots, 64 at most, and so no path."""
    return isinstance(text, str) and len(text) <= 64 and _UID.fullmatch(text) is not None


class Part:
    """The one part of an answer to WADO-RS, written as it comes.

    Args:
        content_type: of the answer.
        into: where the part goes.
        most_bytes: of the part.

    Raises:
        Refusal: it is not one part of multipart, or too large; so do `feed` and `end`.
        Unanswered: in `end`: the answer ended too early.
    """

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
        """Takes the next piece."""
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
        """Makes sure that it was one part, and whole."""
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
        said = json.loads(content) if len(content) <= MOST_SAID_BYTES else None
    except (ValueError, RecursionError):
        said = None
    one = said[0] if isinstance(said, list) and said else said
    if not isinstance(one, dict) or not all(map(_TAG.fullmatch, one)):
        return Stored(status, is_told=False)
    named = items_of(one, _STORED)
    stored = frozenset(text_of(item, _SOP_INSTANCE) for item in named) if named else None
    failed = {}
    for item in (*items_of(one, _FAILED), *items_of(one, _OTHERS)):
        reason = first(item, _REASON)
        known = isinstance(reason, int) and 0 < reason <= 0xFFFF
        failed[text_of(item, _SOP_INSTANCE)] = reason if known else _PROCESSING_FAILURE
    return Stored(status, stored, failed)


def items_of(item: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return [one for one in values if isinstance(one, Mapping)] if isinstance(values, list) else []


def first(item: Mapping[str, Any], tag: str) -> Any:
    """The first value of an element of DICOM JSON (PS3.18 F); None without one."""
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values[0] if isinstance(values, list) and values else None


def text_of(item: Mapping[str, Any], tag: str) -> str:
    value = first(item, tag)
    return value.strip(" \0") if isinstance(value, str) else ""
