"""`Numbers`: the metrics of a set of films, each with its interval, beside a model that finds nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from pleura.evaluation.bootstrap import RESAMPLES, bootstrap
from pleura.evaluation.clustered_auc import auc_interval
from pleura.evaluation.interval import Interval, wilson
from pleura.evaluation.metrics import confusion
from pleura.evaluation.scores import ScoreTable

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
    "f1": "F1",
    "coverage": "Coverage",
}
"""The metrics by their keys, in the order they are shown, and as they are written out."""

EMPTY_RULES: Mapping[str, str] = {
    "competition_dice": "all films, 1 where label and prediction are empty",
    "dice_positives": "films with a labelled mask, 0 where nothing is found",
    "iou_positives": "films with a labelled mask, 0 where nothing is found",
}
"""Over which films a number of the masks is taken, and what an empty mask is worth."""


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


def numbers_of(table: ScoreTable, *, resamples: int = RESAMPLES, seed: int = 0) -> Numbers:
    """Every metric of `METRICS` for the films of `table`."""
    return numbers_from(table, bootstrap(table, resamples=resamples, seed=seed))


def numbers_from(table: ScoreTable, sampled: Mapping[str, Interval]) -> Numbers:
    """As `numbers_of`, from what `bootstrap` gave for the same films.

    The AUC's interval is the one by formula, which holds the truth more often than its bootstrap does.
    """
    label, call, patient = table.label, table.call, table.patient
    shares = {
        "sensitivity": wilson(call[label], patient[label], "no film is labelled positive"),
        "specificity": wilson(~call[~label], patient[~label], "no film is labelled negative"),
        "ppv": wilson(label[call], patient[call], "no film was called positive"),
        "npv": wilson(~label[~call], patient[~call], "no film was called negative"),
        "coverage": wilson(table.judged, patient),
    }
    counts = confusion(call, label)
    area = auc_interval(table.score, label, patient)
    metrics = {**sampled, **shares, "auc": area}
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
        "f1": 0.0 if table.label.any() else None,
        "coverage": 1.0,
    }
