"""The patient-clustered bootstrap: any statistic over many weightings of the same films at once.

A resample draws patients with replacement, and a film counts as often as its patient was drawn (Field and
Welsh 2007). A `Statistic` is a function of a `Block` of such weightings; with every weight 1 it is the value
itself, so that a number and its interval are one definition.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pleura.errors import EvaluationError
from pleura.evaluation.interval import Interval
from pleura.evaluation.scores import ScoreTable

RESAMPLES = 2000
_CELLS = 1_000_000  # resamples x films held at once, 8 MB of float64 an array
_MIN_SHARE = 0.5  # of the resamples in which a metric must exist to be given an interval

Floats = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Statistic:
    """A number of a set of films, for any weighting of them.

    Attributes:
        of: from a block of B weightings to the B values, NaN where the number does not exist.
        n: films it is computed on.
        reason: why there is no value, where there is none.
    """

    of: Callable[["Block"], Floats]
    n: int
    reason: str


class Ranks:
    """The films in falling order of score, equal scores together.

    Attributes:
        thresholds: the distinct scores, falling, (D,).
    """

    def __init__(self, score: Floats, label: NDArray[np.bool_], patient: NDArray[np.int64]) -> None:
        order = np.argsort(-score, kind="stable")
        ranked = score[order]
        self.patient = patient[order]
        self.starts = np.flatnonzero(np.append(True, np.diff(ranked) != 0))
        self.positive = label[order].astype(np.float64)
        self.thresholds = ranked[self.starts]


class Block:
    """B weightings of the patients of a table.

    Attributes:
        weights: how often each patient counts, float64 (B, patients).
    """

    def __init__(self, weights: Floats, ranks: Ranks) -> None:
        self.weights = weights
        self._ranks = ranks
        self._made: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, made once a block, for what several statistics need."""
        if name not in self._made:
            self._made[name] = make()
        made: T = self._made[name]
        return made

    def ratio(self, top: Floats, bottom: Floats) -> Floats:
        """Weighted ratios (B,) of sums a patient, each (patients,); NaN where the bottom is 0."""
        return ratio(self.weights @ top, self.weights @ bottom)

    @cached_property
    def _counts(self) -> tuple[Floats, Floats]:
        """Weights of the positive and of the negative films at each distinct score, (B, D)."""
        ranks = self._ranks
        ranked = self.weights[:, ranks.patient]  # (B, N)
        every = np.add.reduceat(ranked, ranks.starts, axis=1)
        ranked *= ranks.positive
        hits = np.add.reduceat(ranked, ranks.starts, axis=1)
        return hits, every - hits

    @cached_property
    def cumulated(self) -> tuple[Floats, Floats]:
        """True and false positives at or above each distinct score, falling: each (B, D)."""
        hits, misses = self._counts
        return np.cumsum(hits, axis=1), np.cumsum(misses, axis=1)

    def auc(self) -> Floats:
        """Area under the ROC curve (B,), ties counting half."""
        hits, misses = self._counts
        tp, fp = self.cumulated
        # A positive beats the negatives below it and half of those of equal score.
        beaten = fp[:, -1:] - fp + 0.5 * misses
        return ratio((hits * beaten).sum(axis=1), tp[:, -1] * fp[:, -1])

    def average_precision(self) -> Floats:
        """Mean precision over the recall steps (B,)."""
        hits, _ = self._counts
        tp, fp = self.cumulated
        called = tp + fp
        precision = np.divide(tp, called, out=np.zeros_like(tp), where=called > 0)
        return ratio((hits * precision).sum(axis=1), tp[:, -1])


def ratio(top: Floats, bottom: Floats) -> Floats:
    """Elementwise quotient, NaN where the bottom is 0."""
    result = np.full(np.broadcast_shapes(top.shape, bottom.shape), np.nan)
    np.divide(top, bottom, out=result, where=bottom > 0)
    return result


def per_patient(table: ScoreTable, values: ArrayLike) -> Floats:
    """Sums of `values` (N,) over the films of each patient, (patients,)."""
    given = np.asarray(values, np.float64)
    return np.bincount(table.patient, weights=given, minlength=table.patients).astype(np.float64)


def resample(
    table: ScoreTable,
    build: Callable[[ScoreTable], Mapping[str, Statistic]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Statistics with 95 % percentile intervals by resampling patients.

    Args:
        table: the films; their order changes nothing.
        build: the statistics of a table.
        resamples: at least 100.
        seed: equal seeds give equal intervals.

    Raises:
        EvaluationError: `resamples` is below 100.
    """
    check_resamples(resamples)
    table = ordered(table)
    statistics = build(table)
    ranks = Ranks(table.score, table.label, table.patient)
    every = Block(np.ones((1, table.patients)), ranks)
    values = {name: float(statistic.of(every)[0]) for name, statistic in statistics.items()}
    there = {name: statistics[name] for name, value in values.items() if np.isfinite(value)}
    drawn: dict[str, list[Floats]] = {name: [] for name in there}
    for weights in patient_weights(table.patients, len(table), resamples, seed) if there else ():
        block = Block(weights, ranks)
        for name, statistic in there.items():
            drawn[name].append(statistic.of(block))
    return {
        name: interval(values[name], np.concatenate(drawn[name]), statistic.n)
        if name in there
        else Interval(None, n=statistic.n, reason=statistic.reason)
        for name, statistic in statistics.items()
    }


def check_resamples(resamples: int) -> None:
    """Raises EvaluationError where there are too few for an interval."""
    if resamples < 100:
        raise EvaluationError(f"an interval needs at least 100 resamples; got {resamples}")


def ordered(table: ScoreTable) -> ScoreTable:
    """The same films, patients in a fixed order, so that a seed means the same resamples."""
    return ScoreTable.of(sorted(table.films, key=lambda f: (f.patient_id, f.film_id)))


def patient_weights(patients: int, films: int, resamples: int, seed: int) -> Iterator[Floats]:
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


def interval(value: float, drawn: Floats, n: int) -> Interval:
    """The percentile interval of a value from its resamples; those that are not finite are left out."""
    there = drawn[np.isfinite(drawn)]
    if there.size < _MIN_SHARE * drawn.size:
        return Interval(value, n=n, reason="too few patients of one kind to resample")
    low, high = (float(v) for v in np.percentile(there, (2.5, 97.5)))
    if high - low < 1e-12:
        return Interval(value, n=n, reason="every resample gave this value, which bounds nothing")
    return Interval(value, low, high, n, "patient bootstrap")
