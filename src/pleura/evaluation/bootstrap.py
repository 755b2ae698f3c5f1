"""Intervals that know that films of one patient are alike.

Metrics get a percentile bootstrap over patients (Efron and Tibshirani 1993; Field and Welsh 2007 for
clusters): a resample draws patients, and a film counts as often as its patient was drawn. The bootstrap of a
proportion has no width at 0 and 100 %, so proportions get Wilson's interval (1927) instead, on the number of
independent films that the clustering leaves (Dean and Pagano 2015).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pleura.errors import EvaluationError
from pleura.evaluation.metrics import auc, average_precision
from pleura.evaluation.scores import ScoreTable

Z = 1.959963984540054  # of a two-sided 95 % interval
RESAMPLES = 2000
_CELLS = 1_000_000  # resamples x films held at once, 8 MB of float64 an array
_MIN_SHARE = 0.5  # of the resamples in which a metric must exist to be given an interval

Method = Literal["patient bootstrap", "cluster-adjusted Wilson", "none"]


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval.

    Attributes:
        value: the metric, or None where it does not exist; `reason` says why.
        low, high: of the interval, or None where there is none; `reason` says why.
        n: films it was computed on (the denominator of a proportion).
        method: how the interval was made.
        reason: why something above is None, or None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    method: Method = "none"
    reason: str | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"– ({self.reason})"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def wilson(hits: ArrayLike, clusters: ArrayLike, reason: str = "no such films") -> Interval:
    """A proportion with its 95 % Wilson interval, adjusted for clusters.

    The effective number of films is n over the design effect, the variance of the proportion between
    clusters over that of independent films (never below 1: clustering is not taken for information).
    At 0 and 100 % it cannot be estimated, and each cluster is taken as worth one film of its average
    size (Kish 1965): the widest it can be.

    Args:
        hits: bool (N,), whether each film is a hit.
        clusters: int (N,), equal for films of one patient.
        reason: why there is no proportion, where N is 0.
    """
    hit = np.asarray(hits, dtype=np.float64).ravel()
    codes = np.unique(np.asarray(clusters).ravel(), return_inverse=True)[1]
    if hit.size != codes.size:
        raise EvaluationError(f"{hit.size} films cannot have {codes.size} patients; one each")
    n = hit.size
    if not n:
        return Interval(None, reason=reason)
    sizes = np.bincount(codes).astype(np.float64)
    sums = np.bincount(codes, weights=hit)
    p, k = float(hit.mean()), sizes.size
    widest = float((sizes**2).sum()) / n  # the design effect of films all alike within a cluster
    effect = widest
    if 0.0 < p < 1.0 and k > 1:
        variance = k / (k - 1) * float(((sums - p * sizes) ** 2).sum()) / n**2
        effect = max(1.0, variance * (n - 1) / (p * (1.0 - p)))
    m = n / effect
    middle = (p + Z**2 / (2 * m)) / (1 + Z**2 / m)
    half = Z / (1 + Z**2 / m) * float(np.sqrt(p * (1 - p) / m + Z**2 / (4 * m**2)))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    # At 0 and 100 % one end is the value itself, which rounding would miss by an ulp.
    low, high = (0.0 if p == 0.0 else low), (1.0 if p == 1.0 else high)
    return Interval(p, low, high, n, "cluster-adjusted Wilson")


def bootstrap(
    table: ScoreTable, *, resamples: int = RESAMPLES, seed: int = 0
) -> Mapping[str, Interval]:
    """Metrics that are not proportions of films, with 95 % intervals by resampling patients.

    Returns:
        `competition_dice`, `dice_positives`, `iou_positives` (means over films), `auc` and
        `average_precision`. Equal seeds give equal intervals, whatever the order of the films.

    Raises:
        EvaluationError: `resamples` is below 100.
    """
    if resamples < 100:
        raise EvaluationError(f"an interval needs at least 100 resamples; got {resamples}")
    table = _ordered(table)
    means = _means(table)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in means}
    drawn |= {"auc": [], "average_precision": []}
    ranks = _Ranks(table)
    for weights in _patient_weights(table.patients, len(table), resamples, seed):
        for name, (top, bottom) in means.items():
            drawn[name].append(_ratio(weights @ top, weights @ bottom))
        areas, precisions = ranks.metrics(weights[:, table.patient])
        drawn["auc"].append(areas)
        drawn["average_precision"].append(precisions)
    return {
        name: _interval(value, n, np.concatenate(drawn[name]) if name in drawn else None, reason)
        for name, (value, n, reason) in _values(table).items()
    }


def _ordered(table: ScoreTable) -> ScoreTable:
    """The same films, patients in a fixed order, so that a seed means the same resamples."""
    return ScoreTable.of(sorted(table.films, key=lambda f: (f.patient_id, f.film_id)))


def _values(table: ScoreTable) -> dict[str, tuple[float | None, int, str]]:
    """name -> (value, films, why there is none)."""
    marked = table.truth_area > 0
    silent = "the model does not localise"
    values: dict[str, tuple[float | None, int, str]] = {}
    for name, per_film, chosen in (
        ("competition_dice", table.dice, np.ones_like(marked)),
        ("dice_positives", table.dice, marked),
        ("iou_positives", table.iou, marked),
    ):
        n = int(chosen.sum())
        value = float(per_film[chosen].mean()) if per_film is not None and n else None
        values[name] = (value, n, silent if per_film is None else "no film has a labelled mask")
    kind = "with" if table.label.any() else "without"
    one = f"all {len(table)} films are {kind} the target"
    values["auc"] = (auc(table.score, table.label), len(table), one)
    values["average_precision"] = (average_precision(table.score, table.label), len(table), one)
    return values


def _means(table: ScoreTable) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """name -> sums and counts a patient, of which a resample's mean is the weighted ratio."""
    if table.dice is None or table.iou is None:
        return {}
    marked = (table.truth_area > 0).astype(np.float64)
    every = np.ones(len(table))

    def by_patient(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.bincount(table.patient, weights=values, minlength=table.patients)
        return sums.astype(np.float64, copy=False)

    return {
        "competition_dice": (by_patient(table.dice), by_patient(every)),
        "dice_positives": (by_patient(table.dice * marked), by_patient(marked)),
        "iou_positives": (by_patient(table.iou * marked), by_patient(marked)),
    }


def _patient_weights(
    patients: int, films: int, resamples: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """How often each patient is drawn: (B, patients), rows summing to `patients`, in blocks."""
    generator = np.random.default_rng(seed)
    left = resamples
    while left:
        # The size of a block depends on the films alone, so that it never changes the draw.
        block = min(left, max(1, _CELLS // films))
        draws = generator.integers(0, patients, size=(block, patients))
        draws += np.arange(block)[:, None] * patients
        counts = np.bincount(draws.ravel(), minlength=block * patients)
        yield counts.reshape(block, patients).astype(np.float64)
        left -= block


class _Ranks:
    """AUC and average precision of films that count with weights, many weightings at once."""

    def __init__(self, table: ScoreTable) -> None:
        self.order = np.argsort(-table.score, kind="stable")
        ranked = table.score[self.order]
        self.starts = np.flatnonzero(np.append(True, np.diff(ranked) != 0))
        self.positive = table.label[self.order].astype(np.float64)

    def metrics(
        self, weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """AUC (B,) and average precision (B,) for weights (B, N); NaN where they do not exist."""
        ranked = weights[:, self.order]
        hits = np.add.reduceat(ranked * self.positive, self.starts, axis=1)  # (B, distinct scores)
        misses = np.add.reduceat(ranked, self.starts, axis=1) - hits
        tp, fp = np.cumsum(hits, axis=1), np.cumsum(misses, axis=1)
        # A positive beats the negatives below it and half of those of equal score.
        beaten = fp[:, -1:] - fp + 0.5 * misses
        areas = _ratio((hits * beaten).sum(axis=1), tp[:, -1] * fp[:, -1])
        precision = np.divide(tp, tp + fp, out=np.zeros_like(tp), where=tp + fp > 0)
        return areas, _ratio((hits * precision).sum(axis=1), tp[:, -1])


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    result = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=result, where=bottom > 0)
    return result


def _interval(
    value: float | None, n: int, drawn: NDArray[np.float64] | None, reason: str
) -> Interval:
    if value is None or drawn is None:
        return Interval(None, n=n, reason=reason)
    there = drawn[np.isfinite(drawn)]
    if there.size < _MIN_SHARE * drawn.size:
        return Interval(value, n=n, reason="too few patients of one kind to resample")
    low, high = (float(v) for v in np.percentile(there, (2.5, 97.5)))
    if high - low < 1e-12:
        return Interval(value, n=n, reason="every resample gave this value, which bounds nothing")
    return Interval(value, low, high, n, "patient bootstrap")
