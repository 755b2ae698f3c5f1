"""Findings as tables: CSV for people, JSON for programs.

Both take their name only when they are whole. They are written as findings come, to a file beside the target;
a run that breaks off leaves that file, `NAME.partial`, with the rows it had.
"""

import csv
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

from pleura.extent import MEASURES
from pleura.files import PARTIAL, whole

EXTENT_COLUMNS = ("extent_side", *MEASURES, "accp_2001", "bts_2010", "bts_2023")
"""Of the side on which the finding's area is largest: the patient's side, and what `Extent` says of it."""

COLUMNS = (
    "file",
    "sop_instance_uid",
    "probability",
    "decision",
    "area_fraction",
    "side",
    "side_basis",
    "area_mm2",
    *EXTENT_COLUMNS,
    "lesions",
    "calibrated",
    "pixel_threshold",
    "reason",
    "target",
    "model",
    "model_version",
    "model_sha256",
    "notes",
    "mask",
    "overlay",
    "dicom",
    "duplicate_of",
)
"""Columns of the CSV; `lesions` is their number, `notes` are joined by ` | `; `mask` and `overlay` are the
film's pictures and `dicom` the folder of its DICOM results, relative to the table, empty where there are
none; `duplicate_of` is the file that this one repeats, whose finding, pictures and results it shares."""

NO_TEXT = "backslashreplace"
"""How bytes of a file name that are no text are written: as an escape, which JSON reads too."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class Table(Protocol):
    """Takes the facts of findings one by one: those of `Finding.facts()`, and `mask`, `overlay`,
    `dicom`, `duplicate_of`; a context manager that gives the table its name once all are there.
    """

    def __enter__(self) -> Any: ...
    def add(self, facts: Mapping[str, Any]) -> None: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class FindingTable:
    """Writes findings as they come, as CSV and JSON; a `Table`.

    Args:
        csv_path: one finding a row, the columns `COLUMNS`. A text that a spreadsheet would take for a
            formula is led by an apostrophe (OWASP, CSV injection): file names come from outside.
        json_path: a list of the facts, texts as they are.

    Either may be None. Their folders must exist.
    """

    def __init__(self, csv_path: Path | None = None, json_path: Path | None = None) -> None:
        self.csv_path, self.json_path = csv_path, json_path
        self.count = 0

    def __enter__(self) -> "FindingTable":
        self._csv = _partial(self.csv_path) if self.csv_path else None
        try:
            self._json = _partial(self.json_path) if self.json_path else None
        except OSError:
            if self._csv:
                self._csv.close()
            raise
        if self._csv:
            csv.writer(self._csv).writerow(COLUMNS)
        if self._json:
            self._json.write("[")
        return self

    def add(self, facts: Mapping[str, Any]) -> None:
        """Writes one finding."""
        if self._csv:
            csv.writer(self._csv).writerow(csv_row(facts))
        if self._json:
            text = json.dumps(facts, ensure_ascii=False, allow_nan=False)
            self._json.write(("," if self.count else "") + "\n" + text)
        self.count += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._json:
            self._json.write("\n]\n")
        for file, path in ((self._csv, self.csv_path), (self._json, self.json_path)):
            if file and path:
                file.close()
                if kind is None:
                    os.replace(file.name, path)


def csv_row(facts: Mapping[str, Any]) -> list[str]:
    """The cells of `COLUMNS` for the facts of one finding, safe to open in a spreadsheet."""
    flat = dict(facts, lesions=len(facts["lesions"]), notes=" | ".join(facts["notes"]))
    flat |= of_largest_side(facts)
    return [cell(flat[name]) for name in COLUMNS]


def of_largest_side(facts: Mapping[str, Any]) -> dict[str, Any]:
    """`EXTENT_COLUMNS` for the facts of one finding; None where there is no lesion."""
    extents = facts.get("extents")  # older journals hold none
    largest = extents[0] if extents else {}
    return {name: largest.get("side" if name == "extent_side" else name) for name in EXTENT_COLUMNS}


def write_failures(path: Path, failures: Iterable[tuple[str, str]]) -> None:
    """Writes (file, reason) pairs as CSV, whole or not at all."""
    with (
        whole(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors=NO_TEXT) as file,
    ):
        rows = [(cell(source), cell(reason)) for source, reason in failures]
        csv.writer(file).writerows([("file", "reason"), *rows])


def cell(value: object) -> str:
    """A value as a cell of a CSV that is safe to open in a spreadsheet."""
    if value is None:
        return ""
    if isinstance(value, str):
        # NUL and bare carriage returns break readers that are otherwise in order.
        text = value.replace("\0", "").replace("\r", " ")
        return f"'{text}" if text.startswith(_FORMULA) else text
    return str(value)


def _partial(path: Path) -> TextIO:
    # A line at a time, so that who looks at a run under way sees its rows.
    return Path(f"{path}{PARTIAL}").open(
        "w", buffering=1, newline="", encoding="utf-8", errors=NO_TEXT
    )
