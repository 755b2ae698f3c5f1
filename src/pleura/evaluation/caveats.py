"""What to know before believing the numbers of an evaluation, a sentence or two each."""

from collections.abc import Sequence

import numpy as np

from pleura.evaluation.numbers import Numbers
from pleura.evaluation.run import Run
from pleura.evaluation.scores import ScoreTable

FEW = 30


def of_provenance(run: Run) -> tuple[str, ...]:
    """What follows from the films that made the model."""
    return _of_films(run) + _of_fitting(run) + _of_pretraining(run)


def _of_fitting(run: Run) -> tuple[str, ...]:
    known = run.provenance
    said = []
    if run.part == "tune" and known.same_dataset:
        both = run.calibrated and known.calibrated_on is None
        what = "operating point and its calibrator were" if both else "operating point was"
        said.append(
            f"The model's {what} fitted on tuning films such as these: what depends on them (calls, Dice"
            f"{', calibration' if both else ''}) is optimistic here."
        )
    if known.calibrated_on:
        said.append(
            f"{_films(known.calibrated_on)} of {run.films} fitted the model's calibrator, or belong with "
            "films that did: calibration is optimistic here."
        )
    return tuple(said)


def _of_pretraining(run: Run) -> tuple[str, ...]:
    known = run.provenance
    if known.pretraining is None:
        return ()
    if known.pretraining_overlap:
        return (
            "Pretraining overlap: the weights this model started from were trained on "
            f"{known.pretraining}, where films scored here come from. It may have seen these films with the "
            "labels of their reports, so these numbers are optimistic.",
        )
    return (
        f"The weights this model started from were trained on {known.pretraining}. Whether films scored here "
        "are among those cannot be told.",
    )


def _of_films(run: Run) -> tuple[str, ...]:
    known = run.provenance
    if known.overlap is None:
        return (
            "The training films of this model are unknown: whether it has seen these films, or others of "
            "their patients, cannot be told.",
        )
    if known.overlap:
        return (
            f"{_films(known.overlap)} of {run.films} made this model (trained or tuned it), or belong with "
            "films that did. These numbers are no estimate for other films.",
        )
    if not known.same_dataset and known.copies_sought:
        return (
            "The model was made from another dataset. Its films were looked for by their pixels and, "
            "re-encoded, by small thumbnails: cropped copies, and other films of their patients, may be "
            "among these.",
        )
    if not known.same_dataset:
        return (
            "The model was made from another dataset. Its films were looked for by their exact pixels: "
            "re-encoded copies of them, and other films of their patients, may be among these.",
        )
    return ()


def caveats_of(
    table: ScoreTable, numbers: Numbers, corpora: Sequence[str], openings: int | None
) -> tuple[str, ...]:
    said = [
        "Labels of chest films are noisy: readers disagree on small collapses, so no model reaches 1 "
        "against them, and some of the false alarms below may be right.",
        "Competition Dice rewards silence: predicting nothing already scores the all-empty baseline. "
        "Read it beside Dice on positives.",
    ]
    if numbers.positives < FEW or numbers.films - numbers.positives < FEW:
        said.append(
            f"Few films of one kind ({numbers.positives} with, {numbers.films - numbers.positives} "
            "without the target): the intervals are wide, and may be too narrow still."
        )
    silver = sum(film.label_quality != "expert" for film in table.films)
    if silver:
        said.append(
            f"{_films(silver)} of {numbers.films} with labels that no person checked: they measure agreement "
            "with another model, not truth."
        )
    if numbers.declined:
        said.append(
            f"The model declined {_films(numbers.declined)}. Declined films stay in every denominator, as "
            "called negative with an empty mask and a score of 0."
        )
    if numbers.patients == numbers.films:
        said.append(
            "Every film counts as a patient of its own. Where that is only for want of a patient table, the "
            "intervals are too narrow."
        )
    odd = sum(film.label == 1 and film.truth_area == 0 for film in table.films)
    if odd:
        said.append(
            f"{_films(odd)} labelled positive without a mask: positive for detection, empty for "
            "competition Dice."
        )
    if len(corpora) > 1:
        said.append(
            "Several corpora are pooled. Where they differ in their share of positives, a model can score by "
            "telling the corpora apart: read the numbers by corpus."
        )
    if openings is not None and openings > 1:
        said.append(
            f"Test films of this dataset have been opened {openings} times. Each look that led to a choice "
            "makes these numbers more optimistic."
        )
    if bool(np.isin(table.score, (0.0, 1.0)).all()) and np.unique(table.score).size > 1:
        said.append(
            "Here every score is 0 or 1, as of a model that only draws: the AUC is then the mean of "
            "sensitivity and specificity, and is not to be compared with that of a model that ranks."
        )
    if bool(np.all(table.score == table.score[0])) and len(table) > 1:
        said.append("Every film has the same score: the model does not rank films at all.")
    return tuple(said)


def _films(n: int) -> str:
    return "1 film" if n == 1 else f"{n} films"
