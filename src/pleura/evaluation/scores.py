"""`FilmScore`: what is kept of one film. Every number of an evaluation is computed from these alone.

A film is a few numbers here, so an evaluation of any size stands in memory, resumes after an interruption
and can be computed again without the images.

The rule for films the model declines: they stay in every denominator, as films called negative, with
an empty mask and a presence score of 0. Declining the hard films cannot raise a score; `coverage` says
how many were judged.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pleura.errors import EvaluationError
from pleura.evaluation.metrics import dice_of, iou_of
from pleura.finding import Decision, Finding


@dataclass(frozen=True)
class FilmScore:
    """The sufficient statistics of one film, areas on its source matrix.

    Attributes:
        film_id, patient_id, corpus, label_quality: as in the manifest.
        label: 1 with the target, 0 without.
        decision: the model's.
        presence_score: 0 to 1, None when declined.
        pixels: of the source matrix.
        truth_area: px of the labelled mask.
        pred_area, intersection: px of the predicted mask, and of what it shares with the truth; None
            where the model judges the film but does not localise.
    """

    film_id: str
    patient_id: str
    corpus: str
    label_quality: str
    label: int
    decision: Decision
    presence_score: float | None
    pixels: int
    truth_area: int
    pred_area: int | None
    intersection: int | None

    def __post_init__(self) -> None:
        declined = self.decision == "declined"
        areas = (self.pred_area or 0, self.truth_area)
        wrong = (
            self.label not in (0, 1)
            or self.decision not in get_args(Decision)
            or (self.presence_score is None) != declined
            or not 0.0 <= (self.presence_score or 0.0) <= 1.0
            or (self.pred_area is None) != (self.intersection is None)
            or not 0 <= (self.intersection or 0) <= min(areas)
            or max(areas) > self.pixels
            or sum(areas) - (self.intersection or 0) > self.pixels
        )
        if wrong:
            raise EvaluationError(f"no film scores like this: {self}")

    @property
    def declined(self) -> bool:
        """Whether the model refused to judge the film."""
        return self.decision == "declined"

    @property
    def dice(self) -> float | None:
        """Dice with empty/empty = 1; None where the model does not localise."""
        if self.pred_area is None or self.intersection is None:
            return None
        return float(dice_of(self.pred_area, self.truth_area, self.intersection))

    @classmethod
    def of(
        cls,
        finding: Finding,
        truth: NDArray[np.bool_],
        *,
        film_id: str,
        patient_id: str,
        corpus: str,
        label: int,
        label_quality: str = "expert",
    ) -> "FilmScore":
        """The score of `finding` against `truth`, a bool mask (H, W) on the same source matrix.

        Raises:
            EvaluationError: the finding's mask is not of the truth's shape.
        """
        pred_area: int | None = None
        intersection: int | None = None
        if finding.decision == "declined":
            pred_area = intersection = 0
        elif finding.mask is not None:
            if finding.mask.shape != truth.shape:
                raise EvaluationError(
                    f"film {film_id}: the finding's mask is {finding.mask.shape}, the labelled one "
                    f"{truth.shape}; both belong on the film's source matrix"
                )
            pred_area = int(finding.mask.sum())
            intersection = int((finding.mask & truth).sum())
        return cls(
            film_id=film_id,
            patient_id=patient_id,
            corpus=corpus,
            label_quality=label_quality,
            label=label,
            decision=finding.decision,
            presence_score=finding.probability,
            pixels=int(truth.size),
            truth_area=int(truth.sum()),
            pred_area=pred_area,
            intersection=intersection,
        )


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Films as arrays, one row a film, in the order given.

    Attributes:
        films: what the arrays were made of.
        patient: int64 (N,), equal for films of one patient, 0 to `patients` - 1.
        label: bool (N,).
        score: float64 (N,), presence scores; 0 where declined.
        call: bool (N,), whether the film was called positive.
        judged: bool (N,), whether the model judged it.
        truth_area: int64 (N,), px.
        pred_area, intersection: int64 (N,), px; 0 where declined; None if any film has no mask.
    """

    films: tuple[FilmScore, ...]
    patient: NDArray[np.int64]
    label: NDArray[np.bool_]
    score: NDArray[np.float64]
    call: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    truth_area: NDArray[np.int64]
    pred_area: NDArray[np.int64] | None
    intersection: NDArray[np.int64] | None

    @classmethod
    def of(cls, films: Iterable[FilmScore]) -> "ScoreTable":
        """The table of `films`.

        Raises:
            EvaluationError: there are none, or one is there twice.
        """
        rows = tuple(films)
        if not rows:
            raise EvaluationError(
                "there are no films to score; check the part or the list of films"
            )
        seen: set[str] = set()
        for film in rows:
            if film.film_id in seen:
                raise EvaluationError(f"film {film.film_id} is scored twice; score each film once")
            seen.add(film.film_id)
        patients = {p: n for n, p in enumerate(dict.fromkeys(f.patient_id for f in rows))}
        localised = all(f.pred_area is not None for f in rows)
        return cls(
            films=rows,
            patient=np.array([patients[f.patient_id] for f in rows], np.int64),
            label=np.array([f.label == 1 for f in rows], np.bool_),
            score=np.array([f.presence_score or 0.0 for f in rows], np.float64),
            call=np.array([f.decision == "positive" for f in rows], np.bool_),
            judged=np.array([not f.declined for f in rows], np.bool_),
            truth_area=np.array([f.truth_area for f in rows], np.int64),
            pred_area=np.array([f.pred_area for f in rows], np.int64) if localised else None,
            intersection=np.array([f.intersection for f in rows], np.int64) if localised else None,
        )

    def __len__(self) -> int:
        return len(self.films)

    @property
    def patients(self) -> int:
        """How many different patients there are."""
        return int(self.patient.max()) + 1

    @cached_property
    def dice(self) -> NDArray[np.float64] | None:
        """Dice a film, empty/empty = 1; None where the model does not localise."""
        if self.pred_area is None or self.intersection is None:
            return None
        return dice_of(self.pred_area, self.truth_area, self.intersection)

    @cached_property
    def iou(self) -> NDArray[np.float64] | None:
        """Intersection over union a film, empty/empty = 1; None where the model does not localise."""
        if self.pred_area is None or self.intersection is None:
            return None
        return iou_of(self.pred_area, self.truth_area, self.intersection)


_COLUMNS = [f.name for f in fields(FilmScore)]
_INTEGERS = {"label", "pixels", "truth_area", "pred_area", "intersection"}


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
    if name == "presence_score":
        return float(text) if text else None
    return text
