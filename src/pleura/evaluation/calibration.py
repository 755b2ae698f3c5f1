"""Fitting a `Calibrator`, and telling how well probabilities are calibrated.

An expected calibration error is never 0 on a finite set of films, not even of a perfect model: it is shown
beside what a perfect model would show on as many films. Slope, intercept and Brier score need no bins.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pleura.errors import EvaluationError
from pleura.evaluation.bootstrap import ratio_of
from pleura.evaluation.interval import Interval, Z, wilson
from pleura.evaluation.logistic import Fit, fit
from pleura.evaluation.parts import refuse_test
from pleura.evaluation.resampling import RESAMPLES, Statistic, per_patient, resample
from pleura.evaluation.scores import FilmScore, ScoreTable
from pleura.inference.calibration import Calibrator, Kind, logit

MIN_POSITIVES, MIN_ISOTONIC = 10, 200
BINS, FLOOR_DRAWS = 10, 1000
FOLDS = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """Films of neighbouring probability: their mean probability, and the share with the target."""

    mean: float
    share: Interval


@dataclass(frozen=True)
class CalibrationNumbers:
    """How well probabilities agree with what is seen, over the films that were judged.

    Attributes:
        films, positives: counts.
        bins: at most `BINS`, of about as many films each.
        brier: mean squared difference of probability and label (Brier 1950).
        brier_base: the same for telling every film the share of positives.
        slope: of the label's log-odds on the probability's, 1 at best; below 1 is overconfident (Cox 1958).
        intercept: log-odds by which all probabilities are too low, 0 at best.
        ece: expected calibration error over `bins` (Naeini et al. 2015).
        ece_floor, ece_floor_95: mean and 95th percentile of it for a perfect model on as many films.
    """

    films: int
    positives: int
    bins: tuple[Bin, ...]
    brier: Interval
    brier_base: float
    slope: Interval
    intercept: Interval
    ece: float
    ece_floor: float
    ece_floor_95: float


def fit_calibrator(
    scores: ArrayLike, labels: ArrayLike, *, part: str, kind: Kind = "platt"
) -> Calibrator:
    """A calibrator of raw presence scores.

    Platt's and the temperature are fitted to his softened targets, so that classes that do not overlap leave
    them finite. Platt's tells also whether scores rise with the target at all, where a curve is fitted.

    Args:
        scores: in [0, 1], (N,), of films that were judged.
        labels: 0 or 1, (N,).
        part: what the films are called; it is put on record.
        kind: see `Calibrator`.

    Raises:
        EvaluationError: `part` is a test part, there are too few positive or negative films, or the scores
            rank films the wrong way.
    """
    refuse_test(part)
    score, label = np.asarray(scores, np.float64), np.asarray(labels).astype(np.bool_)
    n, positives = label.size, int(label.sum())
    check_enough(positives=positives, negatives=n - positives, kind=kind)
    common = {"fitted_on": part, "films": n, "positives": positives}
    softened = np.where(label, (positives + 1) / (positives + 2), 1 / (n - positives + 2))
    x = logit(score)[:, None]
    columns = x if kind == "temperature" else np.hstack([x, np.ones_like(x)])
    found = fit(columns, softened)
    if found is None or found.coefficients[0] <= 0:
        raise EvaluationError(
            "these scores do not rise with the share of positive films, so nothing can calibrate them: "
            "the model ranks these films no better than chance, or the labels are not its target"
        )
    if kind == "isotonic":
        knots, values = _isotonic(score, label)
        return Calibrator("isotonic", scores=knots, values=values, **common)  # type: ignore[arg-type]
    slope, intercept = (*found.coefficients.tolist(), 0.0)[:2]
    return Calibrator(kind, slope=slope, intercept=intercept, **common)  # type: ignore[arg-type]


def check_enough(*, positives: int, negatives: int, kind: Kind) -> None:
    """Raises EvaluationError where so many films are too few for a calibrator of this kind."""
    least = MIN_ISOTONIC + 1 if kind == "isotonic" else MIN_POSITIVES
    if min(positives, negatives) < least:
        advice = " or use platt" if kind == "isotonic" else ""
        raise EvaluationError(
            f"a calibrator of the kind {kind} needs at least {least} films of each class; got {positives} "
            f"with and {negatives} without the target: give more films{advice}"
        )


def assess(
    table: ScoreTable, *, resamples: int = RESAMPLES, seed: int = 0
) -> CalibrationNumbers | None:
    """How well the presence scores of `table` are calibrated; None with one class only.

    Films the model declined have no probability, and are left out.
    """
    judged = ScoreTable.of(film for film in table.films if not film.declined)
    judged = ScoreTable.of(sorted(judged.films, key=lambda f: (f.patient_id, f.film_id)))
    label, p = judged.label, judged.score
    if label.all() or not label.any():
        return None
    starts, order = _binned(p)
    bins = tuple(
        Bin(float(p[chosen].mean()), wilson(label[chosen], judged.patient[chosen]))
        for chosen in np.split(order, starts[1:])
    )
    floor = _floor(p[order], starts, seed)
    errors = _binned_errors(p[order], label[order][None].astype(np.float64), starts)
    one = np.ones((len(judged), 1))
    odds, target = logit(p), label.astype(np.float64)
    clusters = judged.patient.astype(np.float64)
    large = fit(one, target, odds, clusters)
    line = fit(np.hstack([odds[:, None], one]), target, None, clusters)
    share = float(target.mean())
    return CalibrationNumbers(
        films=len(judged),
        positives=int(label.sum()),
        bins=bins,
        brier=_brier(judged, resamples, seed),
        brier_base=share * (1.0 - share),
        slope=Interval(None, n=len(judged), reason="every film has the same score")
        if np.ptp(odds) == 0
        else _coefficient(line, len(judged)),
        intercept=_coefficient(large, len(judged)),
        ece=float(errors[0]),
        ece_floor=float(floor.mean()),
        ece_floor_95=float(np.percentile(floor, 95)),
    )


def cross_fitted(table: ScoreTable, kind: Kind, *, part: str, seed: int = 0) -> ScoreTable:
    """The judged films with probabilities of calibrators that were fitted without their patients.

    Raises:
        EvaluationError: as `fit_calibrator` says.
    """
    films = [film for film in table.films if not film.declined]
    patients = sorted({film.patient_id for film in films})
    dealt = np.random.default_rng(seed).permutation(len(patients)) % FOLDS
    fold = dict(zip(patients, dealt.tolist(), strict=True))
    made: dict[str, FilmScore] = {}
    for number in range(FOLDS):
        inside = [film for film in films if fold[film.patient_id] == number]
        rest = [film for film in films if fold[film.patient_id] != number]
        if not inside:
            continue
        fitted = fit_calibrator(
            [film.presence_score or 0.0 for film in rest],
            [film.label for film in rest],
            part=part,
            kind=kind,
        )
        for film in inside:
            made[film.film_id] = replace(
                film, presence_score=float(fitted(film.presence_score or 0.0))
            )
    return ScoreTable.of(made[film.film_id] for film in films)


def _brier(table: ScoreTable, resamples: int, seed: int) -> Interval:
    def build(ordered: ScoreTable) -> dict[str, Statistic]:
        squares = per_patient(ordered, (ordered.score - ordered.label) ** 2)
        films = per_patient(ordered, np.ones(len(ordered)))
        return {"brier": Statistic(ratio_of(squares, films), len(ordered), "no films")}

    return resample(table, build, resamples=resamples, seed=seed)["brier"]


def _coefficient(found: Fit | None, n: int) -> Interval:
    if found is None:
        return Interval(None, n=n, reason="positive and negative films do not overlap")
    value, variance = float(found.coefficients[0]), float(found.covariance[0, 0])
    if not (math.isfinite(variance) and variance > 0):
        return Interval(value, n=n, reason="films of one patient only")
    half = Z * math.sqrt(variance)
    return Interval(value, value - half, value + half, n, "logistic regression")


def _binned(p: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each bin begins among the films by rising probability, and that order.

    Films of equal probability stay in one bin.
    """
    order = np.argsort(p, kind="stable")
    ranked = p[order]
    wanted = ranked[np.linspace(0, p.size, BINS, endpoint=False).astype(int)]
    starts = np.unique(np.searchsorted(ranked, wanted, side="left"))
    return starts, order


def _binned_errors(ranked: Floats, labels: Floats, starts: NDArray[np.intp]) -> Floats:
    """Expected calibration error of each row of `labels`, (B, N), of films in the order of `ranked`."""
    gaps = np.add.reduceat(labels, starts, axis=1) - np.add.reduceat(ranked, starts)
    errors: Floats = np.abs(gaps).sum(axis=1) / ranked.size
    return errors


def _floor(ranked: Floats, starts: NDArray[np.intp], seed: int) -> Floats:
    """Expected calibration errors of labels drawn from the probabilities themselves."""
    generator = np.random.default_rng(seed)
    rows = max(1, 1_000_000 // ranked.size)
    found, left = [], FLOOR_DRAWS
    while left:
        block = min(rows, left)
        drawn = (generator.random((block, ranked.size)) < ranked).astype(np.float64)
        found.append(_binned_errors(ranked, drawn, starts))
        left -= block
    return np.concatenate(found)


def _isotonic(
    score: Floats, label: NDArray[np.bool_]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of the non-decreasing fit of least squares, by pooling adjacent violators."""
    distinct, index = np.unique(score, return_inverse=True)
    weight = np.bincount(index).astype(np.float64)
    mean = np.bincount(index, weights=label) / weight
    blocks: list[tuple[float, float, int]] = []  # mean, weight, distinct scores
    for value, mass in zip(mean.tolist(), weight.tolist(), strict=True):
        blocks.append((value, mass, 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, wa, na), (b, wb, nb) = blocks[-2:]
            blocks[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, na + nb)]
    values = np.repeat([b[0] for b in blocks], [b[2] for b in blocks])
    # Between two knots of equal value a third says nothing.
    inner = (values[1:-1] != values[:-2]) | (values[1:-1] != values[2:])
    keep = np.concatenate([[True], inner, [True]])[: values.size]
    return tuple(distinct[keep].tolist()), tuple(values[keep].tolist())
