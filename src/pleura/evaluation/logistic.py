"""Logistic regression of one variable by Newton's method, with errors that know clusters."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pleura.inference.calibration import sigmoid

_STEPS, _CLOSE = 50, 1e-10
_SEPARATED = 1e3  # a coefficient beyond this runs away to infinity: the classes do not overlap

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """Coefficients in the order of the columns, and their variance between clusters (NaN without any)."""

    coefficients: Floats
    covariance: Floats


def fit(
    columns: Floats, targets: Floats, offset: Floats | None = None, clusters: Floats | None = None
) -> Fit | None:
    """Maximum likelihood of `targets` in [0, 1], (N,), on `columns`, (N, K), besides `offset`, (N,).

    Args:
        columns: with a column of ones where there is to be an intercept.
        targets: 0 or 1, or shares between.
        offset: log-odds that are taken as they are.
        clusters: int (N,): rows of one cluster depend on each other (Liang and Zeger 1986).

    Returns:
        The fit, or None where there is none: one class only, or classes that do not overlap.
    """
    base = np.zeros(len(targets)) if offset is None else offset
    found = np.zeros(columns.shape[1])
    loss = _loss(base, targets)  # so that the first step is halved, too, where it goes too far
    for _ in range(_STEPS):
        p = sigmoid(base + columns @ found)
        information = (columns * (p * (1.0 - p))[:, None]).T @ columns
        gradient = columns.T @ (targets - p)
        try:
            step = np.asarray(np.linalg.solve(information, gradient), np.float64)
        except np.linalg.LinAlgError:
            return None
        found, loss = _descend(columns, targets, base, found, step, loss)
        if not np.isfinite(found).all() or np.abs(found).max() > _SEPARATED:
            return None
        if np.abs(step).max() < _CLOSE * (1.0 + np.abs(found).max()):
            return Fit(found, _sandwich(columns, targets - p, information, clusters))
    return None


def _descend(
    columns: Floats, targets: Floats, base: Floats, found: Floats, step: Floats, loss: float
) -> tuple[Floats, float]:
    """A Newton step, halved until the loss no longer rises."""
    for _ in range(30):
        tried = found + step
        now = _loss(base + columns @ tried, targets)
        if now <= loss + 1e-12 * abs(now):
            return tried, now
        step = step / 2.0
    return found, loss


def _loss(odds: Floats, targets: Floats) -> float:
    """The negative log likelihood of `targets` at these log-odds."""
    return float((np.logaddexp(0.0, odds) - targets * odds).sum())


def _sandwich(
    columns: Floats, residuals: Floats, information: Floats, clusters: Floats | None
) -> Floats:
    if clusters is None:
        return np.full(information.shape, np.nan)
    codes = np.unique(clusters, return_inverse=True)[1].ravel()
    count = int(codes.max()) + 1
    if count < 2:
        return np.full(information.shape, np.nan)
    scores = np.zeros((count, columns.shape[1]))
    np.add.at(scores, codes, columns * residuals[:, None])
    bread = np.linalg.inv(information)
    result: Floats = count / (count - 1.0) * bread @ (scores.T @ scores) @ bread
    return result
