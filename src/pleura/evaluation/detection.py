"""Detection at named operating points, and what its calls would be worth at other prevalences.

A point at a fixed specificity or sensitivity, and Youden's (1950), is read off the ROC curve of the very
films it describes, as the literature does, and read off anew in each resample of the bootstrap, so that its
interval holds that choice. It tells models apart; it is no threshold to use. `as called` is the bundle's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pleura.errors import EvaluationError
from pleura.evaluation.bootstrap import ratio_of
from pleura.evaluation.interval import Interval, wilson
from pleura.evaluation.metrics import roc_curve
from pleura.evaluation.resampling import Block, Floats, Statistic, per_patient, ratio
from pleura.evaluation.scores import ScoreTable

AS_CALLED = "as called"
POINTS = (
    "specificity 0.95",
    "specificity 0.90",
    "sensitivity 0.95",
    "sensitivity 0.90",
    "Youden",
    AS_CALLED,
)
RATES = ("sensitivity", "specificity", "ppv", "npv", "f1")
PREVALENCES = (0.01, 0.05, 0.2)
_SLACK = 1e-9  # a share of films that equals a target but for rounding reaches it

Rates = tuple[Floats, Floats]  # sensitivity, specificity, of each weighting


@dataclass(frozen=True)
class NamedPoint:
    """What calls at one operating point are worth.

    Attributes:
        name: of `POINTS`.
        threshold: a film is called from this score on; None for `as called`, which is no threshold on the
            score alone, and where no film would be called.
        rates: key of `RATES` -> value with its interval.
        at_prevalence: prevalence -> (PPV, NPV) there, sensitivity and specificity being the same.
    """

    name: str
    threshold: float | None
    rates: Mapping[str, Interval]
    at_prevalence: Mapping[str, tuple[Interval, Interval]]


def detection_statistics(
    prevalences: Sequence[float] = PREVALENCES,
) -> Callable[[ScoreTable], dict[str, Statistic]]:
    """The builder of every statistic of every point, to be resampled.

    Raises:
        EvaluationError: a prevalence does not lie between 0 and 1.
    """
    for prevalence in prevalences:
        if not 0.0 < prevalence < 1.0:
            raise EvaluationError(f"a prevalence lies between 0 and 1; got {prevalence}")

    def build(table: ScoreTable) -> dict[str, Statistic]:
        if table.label.all() or not table.label.any():
            return {}
        found: dict[str, Statistic] = {}
        for name in POINTS:
            found |= _of_point(name, table, prevalences)
        return found

    return build


def named_points(
    table: ScoreTable, found: Mapping[str, Interval], prevalences: Sequence[float] = PREVALENCES
) -> tuple[NamedPoint, ...]:
    """The points out of what `detection_statistics` gave when resampled; none with one class only."""
    if table.label.all() or not table.label.any():
        return ()
    return tuple(_named(name, table, found, prevalences) for name in POINTS)


def _named(
    name: str, table: ScoreTable, found: Mapping[str, Interval], prevalences: Sequence[float]
) -> NamedPoint:
    rates = _rates(table, name, {rate: found[f"{name}: {rate}"] for rate in RATES})
    elsewhere = {
        f"{p:g}": (
            _elsewhere(found[f"{name}: ppv at {p:g}"], _ppv, rates, p),
            _elsewhere(found[f"{name}: npv at {p:g}"], _npv, rates, p),
        )
        for p in prevalences
    }
    return NamedPoint(name, _threshold(table, name), rates, elsewhere)


def _elsewhere(
    resampled: Interval,
    value: Callable[[Floats, Floats, Floats], Floats],
    rates: Mapping[str, Interval],
    prevalence: float,
) -> Interval:
    """A predictive value at a prevalence; where the resamples collapse, from the ends of both intervals.

    That is wider than 95 %: a perfect value out of few films must not look certain.
    """
    if resampled.value is None or resampled.low is not None:
        return resampled
    both = rates["sensitivity"], rates["specificity"]
    ends = np.array([[i.low, i.high] for i in both], np.float64)  # NaN where there is none
    low, high = value(ends[0], ends[1], np.full(2, prevalence)).tolist()
    if not (np.isfinite(low) and np.isfinite(high)):
        return resampled
    return Interval(resampled.value, low, high, resampled.n, "cluster-adjusted Wilson")


def _rates(table: ScoreTable, name: str, resampled: Mapping[str, Interval]) -> dict[str, Interval]:
    """The rates of a point; Wilson's interval as called, and where the resamples collapse at 0 and 100 %."""
    threshold = _threshold(table, name)
    reached = table.score >= (np.inf if threshold is None else threshold)
    call = table.call if name == AS_CALLED else reached
    label, patient = table.label, table.patient
    proportions = {
        "sensitivity": (call[label], patient[label]),
        "specificity": (~call[~label], patient[~label]),
        "ppv": (label[call], patient[call]),
        "npv": (~label[~call], patient[~call]),
    }
    found = dict(resampled)
    for rate, (hits, patients) in proportions.items():
        there = resampled[rate].value is not None
        if there and (name == AS_CALLED or resampled[rate].low is None):
            found[rate] = wilson(hits, patients)
    return found


def _of_point(name: str, table: ScoreTable, prevalences: Sequence[float]) -> dict[str, Statistic]:
    rates = _called(table) if name == AS_CALLED else _read_off(name)
    positives = per_patient(table, table.label)
    share = ratio_of(positives, per_patient(table, np.ones(len(table))))
    none = "no film is called positive there"
    n = len(table)
    found = {
        "sensitivity": Statistic(lambda b: rates(b)[0], int(table.label.sum()), "no positives"),
        "specificity": Statistic(lambda b: rates(b)[1], int((~table.label).sum()), "no negatives"),
        "ppv": Statistic(lambda b: _ppv(*rates(b), share(b)), n, none),
        "npv": Statistic(
            lambda b: _npv(*rates(b), share(b)), n, "no film is called negative there"
        ),
        "f1": Statistic(lambda b: _f1(*rates(b), share(b)), n, none),
    }
    for p in prevalences:
        found[f"ppv at {p:g}"] = Statistic(_at(rates, _ppv, p), n, none)
        found[f"npv at {p:g}"] = Statistic(_at(rates, _npv, p), n, none)
    return {f"{name}: {key}": statistic for key, statistic in found.items()}


def _at(
    rates: Callable[[Block], Rates], value: Callable[[Floats, Floats, Floats], Floats], p: float
) -> Callable[[Block], Floats]:
    return lambda block: value(*rates(block), np.full(len(block.weights), p))


def _called(table: ScoreTable) -> Callable[[Block], Rates]:
    """Sensitivity and specificity of the calls as they were made."""
    hits, positives = per_patient(table, table.call & table.label), per_patient(table, table.label)
    quiet = per_patient(table, ~table.call & ~table.label)
    negatives = per_patient(table, ~table.label)
    return lambda block: (block.ratio(hits, positives), block.ratio(quiet, negatives))


def _read_off(name: str) -> Callable[[Block], Rates]:
    """Sensitivity and specificity where the ROC curve meets what `name` asks for."""

    def rates(block: Block) -> Rates:
        return block.once(name, lambda: _rates_at(_index(name, *block.cumulated), *block.cumulated))

    return rates


def _rates_at(at: NDArray[np.intp], tp: Floats, fp: Floats) -> Rates:
    """Sensitivity and specificity with the distinct score `at` as threshold; -1 calls no film."""
    rows = np.arange(len(at))
    called = at >= 0
    sensitivity = ratio(np.where(called, tp[rows, at], 0.0), tp[:, -1])
    return sensitivity, 1.0 - ratio(np.where(called, fp[rows, at], 0.0), fp[:, -1])


def _index(name: str, tp: Floats, fp: Floats) -> NDArray[np.intp]:
    """Along each row of counts (B, D), which distinct score is the threshold; -1 where no film is called."""
    if name == "Youden":
        gain = tp * fp[:, -1:]
        gain -= fp * tp[:, -1:]
        return np.asarray(gain.argmax(axis=1), np.intp)
    kind, _, target = name.partition(" ")
    if kind == "specificity":
        return _last(fp, (1.0 - float(target) + _SLACK) * fp[:, -1])
    reached = _last(tp, (float(target) - _SLACK) * tp[:, -1]) + 1
    # In a resample without positives no score reaches it.
    return np.asarray(np.minimum(reached, tp.shape[1] - 1), np.intp)


def _last(counts: Floats, limit: Floats) -> NDArray[np.intp]:
    """Along each row, which never falls, the last place not above the row's limit; -1 where all are."""
    pairs = zip(counts, limit, strict=True)
    return np.array([np.searchsorted(row, at, "right") - 1 for row, at in pairs], np.intp)


def _threshold(table: ScoreTable, name: str) -> float | None:
    if name == AS_CALLED:
        return None
    fpr, tpr, thresholds = roc_curve(table.score, table.label)
    positives, negatives = float(table.label.sum()), float((~table.label).sum())
    at = int(
        _index(name, np.rint(positives * tpr[None, 1:]), np.rint(negatives * fpr[None, 1:]))[0]
    )
    return float(thresholds[at + 1]) if at >= 0 else None


def _ppv(sensitivity: Floats, specificity: Floats, share: Floats) -> Floats:
    hits = sensitivity * share
    return ratio(hits, hits + (1.0 - specificity) * (1.0 - share))


def _npv(sensitivity: Floats, specificity: Floats, share: Floats) -> Floats:
    quiet = specificity * (1.0 - share)
    return ratio(quiet, quiet + (1.0 - sensitivity) * share)


def _f1(sensitivity: Floats, specificity: Floats, share: Floats) -> Floats:
    hits = sensitivity * share
    return ratio(2.0 * hits, hits + (1.0 - specificity) * (1.0 - share) + share)
