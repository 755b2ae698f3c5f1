"""`Interval`, a number with its uncertainty, and Wilson's interval for proportions of clustered films."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from pleura.errors import EvaluationError

Z = 1.959963984540054  # of a two-sided 95 % interval

Method = Literal[
    "patient bootstrap",
    "cluster-adjusted Wilson",
    "clustered AUC",
    "DeLong",
    "logistic regression",
    "none",
]


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


def student(freedom: int) -> float:
    """The 97.5th percentile of Student's t with so many degrees of freedom, at least 1.

    By its expansion about the normal's (Abramowitz and Stegun 1964, 26.7.5): within 1 % from 2 on, and within
    0.2 % from 3 on.
    """
    z = Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** n for n, term in enumerate(terms, start=1))


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
