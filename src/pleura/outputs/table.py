"""Findings as tables: CSV for people, JSON for programs, and the SIIM-ACR challenge's submission.

All take their name only when they are whole. CSV and JSON are written as findings come, to a file beside
the target; a run that breaks off leaves that file, `NAME.partial`, with the rows it had.
"""

import csv
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, TextIO

from pleura.errors import EvaluationError
from pleura.files import PARTIAL, whole
from pleura.finding import Finding
from pleura.read.rle import encode_rle

log = logging.getLogger(__name__)

COLUMNS = (
    "file",
    "sop_instance_uid",
    "probability",
    "decision",
    "area_fraction",
    "side",
    "side_basis",
    "area_mm2",
    "lesions",
    "calibrated",
    "reason",
    "target",
    "model",
    "model_version",
    "model_sha256",
    "notes",
)
"""Columns of the CSV; `lesions` is their number, `notes` are joined by ` | `."""

SIIM_SHAPE = (1024, 1024)
_SAMPLE_BYTES = 64 << 20
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class FindingTable:
    """Writes findings as they come; a context manager.

    Args:
        csv_path: one finding a row, the columns `COLUMNS`. A text that a spreadsheet would take for a
            formula is led by an apostrophe (OWASP, CSV injection): file names come from outside.
        json_path: a list of `Finding.facts()`, texts as they are.

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

    def add(self, finding: Finding) -> None:
        """Writes one finding."""
        facts = finding.facts()
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


def write_findings(
    findings: Iterable[Finding], csv_path: Path | None = None, json_path: Path | None = None
) -> int:
    """Writes `findings` as CSV, JSON or both; gives their number. See `FindingTable`."""
    with FindingTable(csv_path, json_path) as table:
        for finding in findings:
            table.add(finding)
    return table.count


def csv_row(facts: Mapping[str, Any]) -> list[str]:
    """The cells of `COLUMNS` for one `Finding.facts()`, safe to open in a spreadsheet."""
    flat = dict(facts, lesions=len(facts["lesions"]), notes=" | ".join(facts["notes"]))
    return [cell(flat[name]) for name in COLUMNS]


def read_sample_order(path: Path) -> list[str]:
    """The ImageIds of a sample submission, in its order, as often as they stand there.

    Raises:
        EvaluationError: the file cannot be read, is larger than 64 MB, has no column `ImageId`, or no
            row.
    """
    try:
        size = path.stat().st_size
        if size > _SAMPLE_BYTES:
            raise EvaluationError(
                f"{path} has {size:,} bytes, too many for a sample submission; give the CSV with the "
                "columns ImageId and EncodedPixels"
            )
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, strict=True)
            header = [name.strip() for name in next(rows, [])]
            if "ImageId" not in header:
                raise EvaluationError(
                    f"{path} has no column ImageId (it has: {', '.join(header)[:200] or 'none'}); give "
                    "the challenge's sample submission"
                )
            at = header.index("ImageId")
            order = [row[at].strip() for row in rows if len(row) > at and row[at].strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(
            f"the sample submission {path} cannot be read ({error}); give a CSV in UTF-8"
        ) from error
    if not order:
        raise EvaluationError(f"{path} lists no image; give the challenge's sample submission")
    return order


def write_siim_submission(
    path: Path, findings: Iterable[Finding], sample_order: Sequence[str]
) -> int:
    """Writes `ImageId,EncodedPixels` in the order of a sample submission.

    An image is known by its SOP Instance UID or by its file's name without the ending. A declined or negative
    film is `-1`. Findings the sample does not list are left out, and logged.

    Args:
        path: the CSV.
        findings: with masks on the challenge's matrix, 1024 x 1024; taken one at a time.
        sample_order: ImageIds, as `read_sample_order` gives them.

    Returns:
        How many rows were written.

    Raises:
        EvaluationError: an image of the sample has no finding, or two; or a mask is missing or not of
            1024 x 1024.
    """
    wanted = set(sample_order)
    encoded: dict[str, str] = {}
    for finding in findings:
        name = _image_id(finding, wanted)
        if name is None:
            log.warning("%s is not in the sample submission: left out", finding.source)
        elif name in encoded:
            raise EvaluationError(
                f"image {name} has two findings, the second from {finding.source}; give each film once"
            )
        else:
            encoded[name] = _encoded(finding, name)
    missing = [name for name in dict.fromkeys(sample_order) if name not in encoded]
    if missing:
        raise EvaluationError(
            f"{len(missing)} of the {len(wanted)} images of the sample submission have no finding, the "
            f"first is {missing[0]}; predict those films too"
        )
    with (
        whole(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ImageId", "EncodedPixels"))
        writer.writerows((name, encoded[name]) for name in sample_order)
    return len(sample_order)


def _image_id(finding: Finding, wanted: set[str]) -> str | None:
    stem = PurePath(finding.source.replace("\\", "/")).stem
    whole = PurePath(finding.source.replace("\\", "/")).name
    # A UID without an ending looks to `stem` as if its last part were one.
    for name in (finding.sop_instance_uid, stem, whole):
        if name in wanted:
            return name
    return None


def _encoded(finding: Finding, name: str) -> str:
    if finding.decision != "positive":
        return "-1"
    if finding.mask is None or finding.mask.shape != SIIM_SHAPE:
        shape = None if finding.mask is None else finding.mask.shape
        raise EvaluationError(
            f"image {name}: a submission needs a mask of {SIIM_SHAPE}, the finding's is {shape}; predict "
            "on the challenge's own files"
        )
    return encode_rle(finding.mask)


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
    return Path(f"{path}{PARTIAL}").open("w", newline="", encoding="utf-8")
