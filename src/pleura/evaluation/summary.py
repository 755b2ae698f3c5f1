"""The numbers of an evaluation, computed from film scores alone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pleura.evaluation.bootstrap import RESAMPLES, Interval, bootstrap, wilson
from pleura.evaluation.metrics import confusion
from pleura.evaluation.run import Run
from pleura.evaluation.scores import FilmScore, ScoreTable

FORMAT_VERSION = 2

METRICS: Mapping[str, str] = {
    "competition_dice": "Competition Dice",
    "dice_positives": "Dice on positives",
    "iou_positives": "IoU on positives",
    "auc": "AUC",
    "average_precision": "Average precision",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "coverage": "Coverage",
}
"""The metrics by their keys, in the order they are shown, and as they are written out."""

FEW = 30


@dataclass(frozen=True)
class Numbers:
    """The metrics of a set of films.

    Attributes:
        films, patients, positives, declined: counts; a positive is a film labelled so.
        tp, fp, tn, fn: calls against labels, in films.
        metrics: key of `METRICS` -> value with its interval.
        all_empty: key -> value for a model that calls every film negative; None where it has none.
    """

    films: int
    patients: int
    positives: int
    declined: int
    tp: int
    fp: int
    tn: int
    fn: int
    metrics: Mapping[str, Interval]
    all_empty: Mapping[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        run: what was scored: part, model, dataset.
        scores: of every film, in the order given.
        numbers: of all films.
        by_corpus: of the films of each corpus, where there are several.
        test_openings: how often test films of this dataset have been opened, this time included; None where
            the part is no test part.
        caveats: what to know before believing the numbers, a sentence or two each, the gravest first.
        command: that made it, or None.
    """

    run: Run
    scores: tuple[FilmScore, ...]
    numbers: Numbers
    by_corpus: Mapping[str, Numbers]
    test_openings: int | None
    caveats: tuple[str, ...]
    command: str | None = None

    def table(self) -> list[tuple[str, str, str, str]]:
        """Rows (metric, value with its interval, all-empty baseline, films) for a terminal."""
        rows = []
        for key, name in METRICS.items():
            interval, base = self.numbers.metrics[key], self.numbers.all_empty[key]
            baseline = "–" if base is None else f"{base:.3f}"
            rows.append((name, str(interval), baseline, f"{interval.n:,}"))
        return rows

    def facts(self) -> dict[str, Any]:
        """Everything but the films, as JSON types."""
        return {
            "format_version": FORMAT_VERSION,
            "run": asdict(self.run),
            "numbers": asdict(self.numbers),
            "by_corpus": {name: asdict(numbers) for name, numbers in self.by_corpus.items()},
            "test_openings": self.test_openings,
            "caveats": list(self.caveats),
            "command": self.command,
        }


def summarise(
    run: Run,
    scores: Sequence[FilmScore],
    *,
    test_openings: int | None = None,
    command: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """The evaluation that film scores amount to; no image is needed.

    Raises:
        EvaluationError: there are no scores, one is there twice, or `resamples` is too small.
    """
    table = ScoreTable.of(scores)
    corpora = sorted({film.corpus for film in scores})
    by_corpus = {
        name: numbers_of(
            ScoreTable.of(f for f in scores if f.corpus == name), resamples=resamples, seed=seed
        )
        for name in (corpora if len(corpora) > 1 else ())
    }
    numbers = numbers_of(table, resamples=resamples, seed=seed)
    caveats = _of_provenance(run) + _caveats(table, numbers, corpora, test_openings)
    return Evaluation(run, table.films, numbers, by_corpus, test_openings, caveats, command)


def numbers_of(table: ScoreTable, *, resamples: int = RESAMPLES, seed: int = 0) -> Numbers:
    """Every metric of `METRICS` for the films of `table`."""
    label, call, patient = table.label, table.call, table.patient
    sampled = bootstrap(table, resamples=resamples, seed=seed)
    shares = {
        "sensitivity": wilson(call[label], patient[label], "no film is labelled positive"),
        "specificity": wilson(~call[~label], patient[~label], "no film is labelled negative"),
        "ppv": wilson(label[call], patient[call], "no film was called positive"),
        "npv": wilson(~label[~call], patient[~call], "no film was called negative"),
        "coverage": wilson(table.judged, patient),
    }
    counts = confusion(call, label)
    metrics = {**sampled, **shares}
    return Numbers(
        films=len(table),
        patients=table.patients,
        positives=int(label.sum()),
        declined=int((~table.judged).sum()),
        tp=counts.tp,
        fp=counts.fp,
        tn=counts.tn,
        fn=counts.fn,
        metrics={key: metrics[key] for key in METRICS},
        all_empty=_all_empty(table),
    )


def _all_empty(table: ScoreTable) -> dict[str, float | None]:
    """What a model scores that calls every film negative, all with the same score."""
    both = bool(table.label.any() and not table.label.all())
    share = float(table.label.mean())
    marked = bool((table.truth_area > 0).any())
    return {
        "competition_dice": float((table.truth_area == 0).mean()),
        "dice_positives": 0.0 if marked else None,
        "iou_positives": 0.0 if marked else None,
        "auc": 0.5 if both else None,
        "average_precision": share or None,
        "sensitivity": 0.0 if table.label.any() else None,
        "specificity": None if table.label.all() else 1.0,
        "ppv": None,
        "npv": 1.0 - share,
        "coverage": 1.0,
    }


def _of_provenance(run: Run) -> tuple[str, ...]:
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
    if not known.same_dataset:
        return (
            "The model was made from another dataset. Its films were looked for by their exact pixels: "
            "re-encoded copies of them, and other films of their patients, may be among these.",
        )
    return ()


def _caveats(
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
    if bool(np.all(table.score == table.score[0])) and len(table) > 1:
        said.append("Every film has the same score: the model does not rank films at all.")
    return tuple(said)


def _films(n: int) -> str:
    return "1 film" if n == 1 else f"{n} films"
