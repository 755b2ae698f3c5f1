"""Intervals that know that films of one patient are alike.

Metrics get a percentile bootstrap over patients (Efron and Tibshirani 1993; Field and Welsh 2007 for
clusters, `pleura.evaluation.resampling`). The bootstrap of a proportion has no width at 0 and 100 %, so
proportions get Wilson's interval (1927) instead, on the number of independent films that the clustering
leaves (Dean and Pagano 2015).
"""

from collections.abc import Callable, Mapping

import numpy as np

from pleura.evaluation.interval import Interval, wilson
from pleura.evaluation.resampling import (
    RESAMPLES,
    Block,
    Floats,
    Statistic,
    per_patient,
    resample,
)
from pleura.evaluation.scores import ScoreTable

_SILENT = "the model does not localise"


def bootstrap(
    table: ScoreTable,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    more: Callable[[ScoreTable], Mapping[str, Statistic]] | None = None,
) -> dict[str, Interval]:
    """Metrics that are not proportions of films, with 95 % intervals by resampling patients.

    Args:
        table: the films; their order changes nothing.
        resamples, seed: as for `resample`.
        more: further statistics of a table, on the same resamples.

    Returns:
        The metrics of `overlap_statistics` and `rank_statistics`, and `more`.

    Raises:
        EvaluationError: `resamples` is below 100.
    """

    def build(ordered: ScoreTable) -> dict[str, Statistic]:
        found = overlap_statistics(ordered) | rank_statistics(ordered)
        return found | dict(more(ordered)) if more else found

    return resample(table, build, resamples=resamples, seed=seed)


def rank_statistics(table: ScoreTable) -> dict[str, Statistic]:
    """`auc`, `average_precision` of the presence score and `f1` of the calls."""
    kind = "with" if table.label.any() else "without"
    one = f"all {len(table)} films are {kind} the target"
    n = len(table)
    call, label = table.call.astype(np.float64), table.label.astype(np.float64)
    both, sides = per_patient(table, 2 * call * label), per_patient(table, call + label)
    return {
        "auc": Statistic(Block.auc, n, one),
        "average_precision": Statistic(Block.average_precision, n, one),
        "f1": Statistic(ratio_of(both, sides), n, "no film is labelled or called positive"),
    }


def overlap_statistics(table: ScoreTable) -> dict[str, Statistic]:
    """`competition_dice`, and over the films with a labelled mask `dice_positives`, `iou_positives`."""
    marked = (table.truth_area > 0).astype(np.float64)
    every, n = np.ones(len(table)), int(marked.sum())
    unmarked = "no film has a labelled mask"
    return {
        "competition_dice": mean_of(table, table.dice, every, _SILENT, len(table)),
        "dice_positives": mean_of(table, table.dice, marked, unmarked, n),
        "iou_positives": mean_of(table, table.iou, marked, unmarked, n),
    }


def mean_of(
    table: ScoreTable, values: Floats | None, chosen: Floats, reason: str, n: int
) -> Statistic:
    """The mean of `values` over the films where `chosen` is 1."""
    if values is None:
        return Statistic(nothing, n, _SILENT)
    sums = per_patient(table, np.where(chosen > 0, values, 0.0))
    return Statistic(ratio_of(sums, per_patient(table, chosen)), n, reason)


def ratio_of(top: Floats, bottom: Floats) -> Callable[[Block], Floats]:
    """What a `Statistic` of the ratio of two sums, given a patient, is `of`."""
    return lambda block: block.ratio(top, bottom)


def nothing(block: Block) -> Floats:
    """What a `Statistic` that does not exist is `of`."""
    return np.full(len(block.weights), np.nan)


__all__ = [
    "RESAMPLES",
    "Interval",
    "bootstrap",
    "mean_of",
    "nothing",
    "overlap_statistics",
    "rank_statistics",
    "ratio_of",
    "wilson",
]
