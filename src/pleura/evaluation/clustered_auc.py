"""The AUC's variance by formula, for films that cluster in patients, and the test of two AUCs.

Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data", Biometrics 53:567. With one film a
patient it is the estimate of DeLong et al. 1988, Biometrics 44:837, to which it reduces.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pleura.errors import EvaluationError
from pleura.evaluation.interval import Interval, Method, Z, student
from pleura.evaluation.metrics import auc

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedAUC:
    """Two AUCs of the same films.

    Attributes:
        first, second: the areas.
        difference: second minus first.
        low, high: 95 % interval of the difference; None where it has no variance.
        p: two-sided, that they are equal; None likewise.
        method: `clustered AUC`, or `DeLong` with one film a patient.
    """

    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p: float | None
    method: Method


def auc_interval(scores: ArrayLike, labels: ArrayLike, patients: ArrayLike) -> Interval:
    """The AUC with a 95 % interval by formula, on the logit scale so that it stays within 0 and 1.

    The quantile is Student's, with as many degrees of freedom as the rarer class has patients, less one: with
    the normal's, and more so with a percentile bootstrap, the interval of few patients holds too little.

    Args:
        scores: finite (N,); higher means more likely positive.
        labels: 0 or 1 (N,).
        patients: int (N,), equal for films of one patient.

    Raises:
        EvaluationError: the lengths differ, or a score or label is none.
    """
    value = auc(scores, labels)
    n = np.asarray(labels).size
    if value is None:
        kind = "with" if np.any(labels) else "without"
        return Interval(None, n=n, reason=f"all {n} films are {kind} the target")
    variance = float(auc_covariance([scores], labels, patients)[0, 0])
    if not (math.isfinite(variance) and variance > 1e-15 and 0.0 < value < 1.0):
        return Interval(value, n=n, reason="too few patients, or perfectly told apart: no variance")
    centre = math.log(value / (1.0 - value))
    positive, codes = np.asarray(labels).astype(np.bool_), np.asarray(patients)
    rarer = min(np.unique(codes[positive]).size, np.unique(codes[~positive]).size)
    half = student(rarer - 1) * math.sqrt(variance) / (value * (1.0 - value))
    low, high = (1.0 / (1.0 + math.exp(-x)) for x in (centre - half, centre + half))
    return Interval(value, low, high, n, _method(patients))


def compare_auc(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, patients: ArrayLike
) -> PairedAUC | None:
    """Two scores of the same films compared by their AUCs; None with one class only.

    Args:
        first, second: finite (N,), scores of the same films in the same order.
        labels, patients: as for `auc_interval`.

    Raises:
        EvaluationError: as for `auc_interval`.
    """
    a, b = auc(first, labels), auc(second, labels)
    if a is None or b is None:
        return None
    covariance = auc_covariance([first, second], labels, patients)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1])
    method = _method(patients)
    if not (math.isfinite(variance) and variance > 1e-15):
        return PairedAUC(a, b, b - a, None, None, None, method)
    error = math.sqrt(variance)
    p = math.erfc(abs(b - a) / error / math.sqrt(2.0))
    return PairedAUC(a, b, b - a, b - a - Z * error, b - a + Z * error, p, method)


def auc_covariance(scores: Sequence[ArrayLike], labels: ArrayLike, patients: ArrayLike) -> Floats:
    """Covariance (K, K) of the AUCs of K scores of the same films.

    NaN where a class has films of one patient only, which say nothing of the spread between patients.

    Raises:
        EvaluationError: the lengths differ.
    """
    positive = np.asarray(labels).astype(np.bool_)
    codes = np.unique(np.asarray(patients), return_inverse=True)[1].ravel()
    if any(np.shape(s) != positive.shape for s in scores) or codes.shape != positive.shape:
        raise EvaluationError("scores, labels and patients are 1-D and of one length each")
    clusters = int(codes.max()) + 1 if codes.size else 0
    m, n = int(positive.sum()), int((~positive).sum())
    of_positives = np.bincount(codes[positive], minlength=clusters)
    of_negatives = np.bincount(codes[~positive], minlength=clusters)
    with_positive, with_negative = int((of_positives > 0).sum()), int((of_negatives > 0).sum())
    if with_positive < 2 or with_negative < 2:
        return np.full((len(scores), len(scores)), np.nan)
    tens, ones = [], []
    for score in scores:
        ten, one = _components(np.asarray(score, np.float64), positive)
        area = float(ten.mean())
        sums = np.bincount(codes[positive], weights=ten, minlength=clusters)
        tens.append(sums - of_positives * area)
        sums = np.bincount(codes[~positive], weights=one, minlength=clusters)
        ones.append(sums - of_negatives * area)
    ten_matrix, one_matrix = np.stack(tens), np.stack(ones)  # (K, clusters)
    s10 = with_positive / ((with_positive - 1.0) * m) * (ten_matrix @ ten_matrix.T)
    s01 = with_negative / ((with_negative - 1.0) * n) * (one_matrix @ one_matrix.T)
    s11 = clusters / (clusters - 1.0) * (ten_matrix @ one_matrix.T)
    covariance: Floats = s10 / m + s01 / n + (s11 + s11.T) / (m * n)
    return covariance


def _components(score: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """For each positive the share of negatives it beats; for each negative that of positives it loses to."""
    high, low = score[positive], score[~positive]
    below, above = np.sort(low), np.sort(high)
    beats = np.searchsorted(below, high, "left") + np.searchsorted(below, high, "right")
    loses = np.searchsorted(above, low, "left") + np.searchsorted(above, low, "right")
    return beats / (2.0 * low.size), 1.0 - loses / (2.0 * high.size)


def _method(patients: ArrayLike) -> Method:
    codes = np.asarray(patients)
    return "DeLong" if np.unique(codes).size == codes.size else "clustered AUC"
