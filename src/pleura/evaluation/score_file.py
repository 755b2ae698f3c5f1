"""Film scores as a CSV: appended as they come, read again after an interruption or for a comparison."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pleura.errors import EvaluationError
from pleura.evaluation.scores import FilmScore

_COLUMNS = [f.name for f in fields(FilmScore)]
_INTEGERS = {
    "label", "pixels", "truth_area", "pred_area", "intersection",
    "truth_regions", "found_regions", "false_regions",
}  # fmt: skip
_FLOATS = {"presence_score", "hd95_px", "hd95_mm", "pixel_mm2"}
_TEXT_OR_NONE = {"side"}


class ScoreWriter:
    """Appends film scores to a CSV, a whole row at a time, so that an interruption loses at most one.

    Use as a context manager; a new or empty file gets its header first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "ScoreWriter":
        new = not self.path.exists() or not self.path.stat().st_size
        self._file = self.path.open("a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        if new:
            self._writer.writerow(_COLUMNS)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, scores: Sequence[FilmScore]) -> None:
        """Writes `scores` and hands them to the operating system."""
        for score in scores:
            row = asdict(score)
            self._writer.writerow(["" if row[c] is None else row[c] for c in _COLUMNS])
        self._file.flush()


def read_scores(path: Path) -> Iterator[FilmScore]:
    """The film scores in a CSV.

    Raises:
        EvaluationError: a column is missing or a row is damaged; names the line.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        missing = set(_COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise EvaluationError(
                f"{path} lacks the columns {', '.join(sorted(missing))}; evaluate into a new folder"
            )
        try:
            for row in reader:
                yield FilmScore(**{name: _cell(name, row[name]) for name in _COLUMNS})
        except (ValueError, TypeError, csv.Error) as error:
            raise EvaluationError(
                f"{path}, line {reader.line_num}: {error}; evaluate into a new folder"
            ) from error


def _cell(name: str, text: str | None) -> Any:
    if text is None:
        raise ValueError("the row is cut short")
    if name in _INTEGERS:
        return int(text) if text else None
    if name in _FLOATS:
        return float(text) if text else None
    if name in _TEXT_OR_NONE:
        return text or None
    return text
