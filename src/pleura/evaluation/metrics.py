"""Metrics by their definitions, on masks and on scores; numpy only.

Two conventions run through all of them. Empty against empty is a full hit: Dice and IoU 1, as the
SIIM-ACR challenge scores it. And a metric that does not exist for what was given (AUC of one class, PPV with
nothing called positive) is None, never a number that stands in for it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pleura.errors import EvaluationError


def dice(pred: ArrayLike, truth: ArrayLike, empty: float = 1.0) -> float:
    """Dice coefficient of two masks, 2|A∩B| / (|A| + |B|) (Dice 1945).

    Args:
        pred, truth: bool, of one shape.
        empty: the value where both are empty.

    Raises:
        EvaluationError: the shapes differ or the masks are not bool.
    """
    areas = _areas(pred, truth)
    return float(dice_of(*areas, empty=empty))


def iou(pred: ArrayLike, truth: ArrayLike, empty: float = 1.0) -> float:
    """Intersection over union of two masks, |A∩B| / |A∪B| (Jaccard 1901); arguments as for `dice`."""
    areas = _areas(pred, truth)
    return float(iou_of(*areas, empty=empty))


def dice_of(
    pred_area: ArrayLike, truth_area: ArrayLike, intersection: ArrayLike, empty: float = 1.0
) -> NDArray[np.float64]:
    """Dice from areas in pixels, elementwise; `empty` where both areas are 0."""
    total = np.asarray(pred_area, np.float64) + np.asarray(truth_area, np.float64)
    shared = 2.0 * np.asarray(intersection, np.float64)
    return _quotient(shared, total, empty)


def iou_of(
    pred_area: ArrayLike, truth_area: ArrayLike, intersection: ArrayLike, empty: float = 1.0
) -> NDArray[np.float64]:
    """Intersection over union from areas in pixels, elementwise; `empty` where both areas are 0."""
    shared = np.asarray(intersection, np.float64)
    union = np.asarray(pred_area, np.float64) + np.asarray(truth_area, np.float64) - shared
    return _quotient(shared, union, empty)


def competition_dice(
    pred_area: ArrayLike, truth_area: ArrayLike, intersection: ArrayLike
) -> float | None:
    """Mean Dice over films with empty/empty = 1, the score of the SIIM-ACR challenge (Kaggle 2019).

    Predicting nothing at all already scores the share of films without the target: 0.778 on the
    challenge's labelled set. Show it only beside `all_empty_dice`.

    Args:
        pred_area, truth_area: of each film's masks, in pixels.
        intersection: pixels that lie in both.

    Returns:
        0 to 1, or None without films.

    Raises:
        EvaluationError: they do not pair up, or an intersection is larger than one of its masks.
    """
    pred, truth, shared = (np.asarray(x) for x in (pred_area, truth_area, intersection))
    if not pred.shape == truth.shape == shared.shape:
        raise EvaluationError(
            "areas and intersections pair up, a number a film; got shapes "
            f"{pred.shape}, {truth.shape} and {shared.shape}"
        )
    if not ((shared >= 0) & (shared <= np.minimum(pred, truth))).all():
        raise EvaluationError(
            "an intersection is at least 0 and no larger than either mask; give areas predicted, true, shared"
        )
    scores = np.atleast_1d(dice_of(pred, truth, shared))
    return float(scores.mean()) if scores.size else None


def all_empty_dice(truth_area: ArrayLike) -> float | None:
    """`competition_dice` of predicting nothing: the share of films whose mask is empty."""
    areas = np.atleast_1d(np.asarray(truth_area))
    return float((areas == 0).mean()) if areas.size else None


def auc(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """Area under the ROC curve by midranks: the Mann-Whitney statistic (Hanley and McNeil 1982).

    Args:
        scores: finite, 1-D; higher means more likely positive.
        labels: 0 or 1 (or bool), of the same length.

    Returns:
        0 to 1, ties counting half; None where only one class is there.

    Raises:
        EvaluationError: lengths differ, a score is not finite, or a label is neither 0 nor 1.
    """
    values, positive = _checked(scores, labels)
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return None
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    midranks = np.cumsum(sizes) - (sizes - 1) / 2.0
    return float((midranks[group][positive].sum() - m * (m + 1) / 2.0) / (m * n))


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """Mean precision over the recall steps, Σ (R_k - R_(k-1)) P_k, films of equal score taken together.

    Its value for a score without information is the share of positives. Arguments and errors as for
    `auc`; None where there is no positive film.
    """
    values, positive = _checked(scores, labels)
    if not positive.any():
        return None
    tp, fp = _cumulated(values, positive)[1:]
    steps = np.diff(tp, prepend=0.0)
    return float((steps * tp / (tp + fp)).sum() / tp[-1])


def roc_curve(
    scores: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """False positive rate, true positive rate, threshold: one point a distinct score, from (0, 0).

    A film is called positive where its score is at or above the threshold; the first is infinite.

    Raises:
        EvaluationError: as for `auc`, and where only one class is there.
    """
    values, positive = _checked(scores, labels)
    if positive.all() or not positive.any():
        raise EvaluationError(_one_class(positive, "a ROC curve"))
    thresholds, tp, fp = _cumulated(values, positive)
    zero = np.zeros(1)
    return (
        np.concatenate([zero, fp / fp[-1]]),
        np.concatenate([zero, tp / tp[-1]]),
        np.concatenate([np.full(1, np.inf), thresholds]),
    )


def precision_recall_curve(
    scores: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Recall, precision, threshold: one point a distinct score, falling. Join them by steps, not by slopes.

    A film is called positive where its score is at or above the threshold (Davis and Goadrich 2006).

    Raises:
        EvaluationError: as for `auc`, and where there is no positive film.
    """
    values, positive = _checked(scores, labels)
    if not positive.any():
        raise EvaluationError(_one_class(positive, "a precision-recall curve"))
    thresholds, tp, fp = _cumulated(values, positive)
    return tp / tp[-1], tp / (tp + fp), thresholds


@dataclass(frozen=True)
class Confusion:
    """Calls against labels, as counts of films."""

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def sensitivity(self) -> float | None:
        """Share of the positive films that were called positive; None without such films."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        """Share of the negative films that were called negative; None without such films."""
        return _share(self.tn, self.tn + self.fp)

    @property
    def ppv(self) -> float | None:
        """Share of the positive calls that are right; None without such calls."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def npv(self) -> float | None:
        """Share of the negative calls that are right; None without such calls."""
        return _share(self.tn, self.tn + self.fn)


def confusion(calls: ArrayLike, labels: ArrayLike) -> Confusion:
    """Counts of `calls` (bool) against `labels` (0 or 1).

    Raises:
        EvaluationError: lengths differ, or a label is neither 0 nor 1.
    """
    called = np.asarray(calls, dtype=np.bool_)
    _, positive = _checked(called.astype(np.float64), labels)
    return Confusion(
        tp=int((called & positive).sum()),
        fp=int((called & ~positive).sum()),
        tn=int((~called & ~positive).sum()),
        fn=int((~called & positive).sum()),
    )


def youden(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float] | None:
    """The threshold of the largest sensitivity + specificity - 1, and that value (Youden 1950).

    Returns:
        (threshold, J), the highest such threshold among equals; None where only one class is there.
    """
    values, positive = _checked(scores, labels)
    if positive.all() or not positive.any():
        return None
    fpr, tpr, thresholds = roc_curve(values, positive)
    best = 1 + int(np.argmax(tpr[1:] - fpr[1:]))
    return float(thresholds[best]), float(tpr[best] - fpr[best])


def _quotient(
    top: NDArray[np.float64], bottom: NDArray[np.float64], empty: float
) -> NDArray[np.float64]:
    result = np.full(np.broadcast_shapes(top.shape, bottom.shape), empty, dtype=np.float64)
    np.divide(top, bottom, out=result, where=bottom > 0)
    return result


def _areas(pred: ArrayLike, truth: ArrayLike) -> tuple[int, int, int]:
    p, t = np.asarray(pred), np.asarray(truth)
    if p.shape != t.shape or p.dtype != np.bool_ or t.dtype != np.bool_:
        raise EvaluationError(
            f"two bool masks of one shape are compared; got {p.dtype} {p.shape} and {t.dtype} {t.shape}"
        )
    return int(p.sum()), int(t.sum()), int((p & t).sum())


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values = np.asarray(scores, dtype=np.float64)
    given = np.asarray(labels)
    if values.ndim != 1 or values.shape != given.shape:
        raise EvaluationError(
            f"scores and labels are 1-D and pair up; got shapes {values.shape} and {given.shape}"
        )
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise EvaluationError(f"score number {bad} is {values[bad]}; scores must be finite numbers")
    if not np.isin(given, (0, 1)).all():
        bad = int(np.flatnonzero(~np.isin(given, (0, 1)))[0])
        raise EvaluationError(f"label number {bad} is {given[bad]}; labels are 0 or 1")
    return values, given.astype(np.bool_)


def _cumulated(
    values: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Distinct scores, falling, with the positive and negative films at or above each."""
    order = np.argsort(-values, kind="stable")
    ranked, hits = values[order], positive[order]
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    tp = np.cumsum(hits, dtype=np.float64)[last]
    return ranked[last], tp, last + 1.0 - tp


def _one_class(positive: NDArray[np.bool_], what: str) -> str:
    kind = "positive" if positive.any() else "negative"
    return f"{what} needs films of both classes; all {positive.size} are {kind}"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
