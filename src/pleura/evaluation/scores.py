"""`FilmScore`: what is kept of one film. Every number of an evaluation is computed from these alone.

A film is a few numbers here, so an evaluation of any size stands in memory, resumes after an interruption
and can be computed again without the images.

The rule for films the model declines: they stay in every denominator, as films called negative, with
an empty mask and a presence score of 0. Declining the hard films cannot raise a score; `coverage` says
how many were judged.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pleura.errors import EvaluationError
from pleura.evaluation.localisation import localise
from pleura.evaluation.metrics import dice_of, iou_of
from pleura.finding import Decision, Finding
from pleura.radiograph import Side as ImageSide

Side = Literal["right", "left", "bilateral"]


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
        hd95_px, hd95_mm: 95th percentile of the distance between the masks' surfaces; None where either is
            empty, in mm also where the film's spacing is not believable.
        truth_regions, found_regions: connected regions of the labelled mask, and those of them found.
        false_regions: regions of the predicted mask that lie outside the labelled one
            (`pleura.evaluation.localisation`).
        pixel_mm2: area of a pixel, None where the spacing is not believable.
        side: the patient's side or sides of the labelled mask, as far as the film's display tells.
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
    hd95_px: float | None = None
    hd95_mm: float | None = None
    truth_regions: int | None = None
    found_regions: int | None = None
    false_regions: int | None = None
    pixel_mm2: float | None = None
    side: Side | None = None

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
            or not 0 <= (self.found_regions or 0) <= (self.truth_regions or 0)
            or (self.false_regions or 0) < 0
            or not all(0.0 <= v < math.inf for v in (self.hd95_px or 0.0, self.hd95_mm or 0.0))
            or not 0.0 < (1.0 if self.pixel_mm2 is None else self.pixel_mm2) < math.inf
            or (self.side is not None and self.side not in get_args(Side))
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
        spacing_mm: tuple[float, float] | None = None,
        image_left: ImageSide = "right",
    ) -> "FilmScore":
        """The score of `finding` against `truth`, a bool mask (H, W) on the same source matrix.

        `spacing_mm` (row, column) is given where it is believable; `image_left` is the patient's side at the
        image's left edge.

        Raises:
            EvaluationError: the finding's mask is not of the truth's shape.
        """
        mask = finding.mask
        if finding.decision == "declined":  # nothing is found on a film that is not judged
            mask = np.zeros_like(truth)
        if mask is not None and mask.shape != truth.shape:
            raise EvaluationError(
                f"film {film_id}: the finding's mask is {mask.shape}, the labelled one "
                f"{truth.shape}; both belong on the film's source matrix"
            )
        placed = None if mask is None else localise(mask, truth, spacing_mm)
        return cls(
            film_id=film_id,
            patient_id=patient_id,
            corpus=corpus,
            label_quality=label_quality,
            label=label,
            decision=finding.decision,
            presence_score=finding.probability,
            pixels=int(truth.size),
            truth_area=int(np.count_nonzero(truth)),
            pred_area=None if mask is None else int(np.count_nonzero(mask)),
            intersection=None if mask is None else int(np.count_nonzero(mask & truth)),
            hd95_px=placed.hd95_px if placed else None,
            hd95_mm=placed.hd95_mm if placed else None,
            truth_regions=placed.truth_regions if placed else None,
            found_regions=placed.found_regions if placed else None,
            false_regions=placed.false_regions if placed else None,
            pixel_mm2=spacing_mm[0] * spacing_mm[1] if spacing_mm else None,
            side=_side(truth, image_left),
        )


def _side(truth: NDArray[np.bool_], image_left: ImageSide) -> Side | None:
    """The side or sides on which a tenth of the mask at least lies."""
    half = truth.shape[1] // 2
    at_left, at_right = (int(np.count_nonzero(m)) for m in (truth[:, :half], truth[:, half:]))
    if not at_left + at_right:
        return None
    if min(at_left, at_right) >= 0.1 * (at_left + at_right):
        return "bilateral"
    other: ImageSide = "left" if image_left == "right" else "right"
    return image_left if at_left > at_right else other


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Films as arrays, one row a film, in the order given.

    Attributes:
        films: what the arrays were made of; where the model does not localise, declined ones have no mask
            either, so that a table of them alone says the same.
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
        if not localised:
            rows = tuple(
                replace(f, pred_area=None, intersection=None) if f.declined else f for f in rows
            )
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
