"""Calibration: against scikit-learn, by hand, and what a perfect model shows."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from made_up_scores import score
from sklearn.calibration import _sigmoid_calibration
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from pleura.errors import EvaluationError
from pleura.evaluation.calibration import assess, cross_fitted, fit_calibrator
from pleura.evaluation.logistic import fit
from pleura.evaluation.scores import ScoreTable
from pleura.inference.calibration import Calibrator, logit, sigmoid


def made_up(n, *, seed=0, slope=1.0, share=0.3):
    """Scores whose true log-odds are `slope` times their own, less what makes about `share` positive."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(np.log(share / (1 - share)), 1.5, n)
    return sigmoid(odds), (rng.random(n) < sigmoid(slope * odds)).astype(int)


def table_of(p, y, per_patient=1):
    return ScoreTable.of(
        score(i, int(y[i]), float(p[i]), patient=f"p{i // per_patient}") for i in range(len(y))
    )


def test_platt_agrees_with_scikit_learn():
    p, y = made_up(400)
    found = fit_calibrator(p, y, part="tune")
    a, b = _sigmoid_calibration(logit(p), y)
    assert (found.slope, found.intercept) == pytest.approx((-a, -b), rel=1e-3)
    assert (found.films, found.positives, found.fitted_on) == (400, int(y.sum()), "tune")
    assert found(p) == pytest.approx(1 / (1 + np.exp(a * logit(p) + b)), rel=1e-3)


def test_temperature_brings_back_the_slope():
    p, y = made_up(20_000, slope=0.5)
    found = fit_calibrator(p, y, part="tune", kind="temperature")
    assert found.intercept == 0.0
    assert found.slope == pytest.approx(0.5, abs=0.03)


def test_isotonic_agrees_with_scikit_learn():
    p, y = made_up(1500)
    p = np.round(p, 2)  # with ties
    found = fit_calibrator(p, y, part="tune", kind="isotonic")
    want = IsotonicRegression(out_of_bounds="clip").fit(p, y)
    grid = np.linspace(0, 1, 301)
    assert found(grid) == pytest.approx(np.clip(want.predict(grid), 1e-6, 1 - 1e-6))
    with pytest.raises(EvaluationError, match="at least 201 films of each class"):
        fit_calibrator(p[:300], y[:300], part="tune", kind="isotonic")


def test_what_cannot_be_calibrated_is_refused():
    p, y = made_up(400)
    with pytest.raises(EvaluationError, match="test films are never chosen on"):
        fit_calibrator(p, y, part="test")
    with pytest.raises(EvaluationError, match="at least 10 films of each"):
        fit_calibrator(p[:12], y[:12], part="tune")
    with pytest.raises(EvaluationError, match="do not rise"):
        fit_calibrator(1 - p, y, part="tune")
    p, y = made_up(1500)
    for wrong in (1 - p, np.full(1500, 0.3)):
        with pytest.raises(EvaluationError, match="do not rise"):
            fit_calibrator(wrong, y, part="tune", kind="isotonic")
    apart = np.repeat([0.1, 0.9], 20)
    found = fit_calibrator(apart, apart > 0.5, part="tune")  # no overlap: still finite
    assert 0.9 < float(found(0.9)) < 1.0


def test_logistic_regression_agrees_with_scikit_learn():
    p, y = made_up(500, slope=0.7)
    x = np.stack([logit(p), np.ones(500)], axis=1)
    found = fit(x, y.astype(float))
    want = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(p)[:, None], y)
    assert found.coefficients == pytest.approx([want.coef_[0, 0], want.intercept_[0]], rel=1e-4)
    assert fit(x, np.ones(500)) is None
    assert fit(x, (p > 0.5).astype(float)) is None  # told apart: no maximum


def test_the_prior_moves_the_log_odds():
    found = Calibrator("platt", slope=2.0, intercept=-1.0, films=100, positives=20)
    assert float(found(0.5)) == pytest.approx(1 / (1 + np.e))
    rare = found.at_prevalence(0.01)
    odds = np.exp(-1.0) * (0.01 / 0.99) / (0.2 / 0.8)
    assert float(rare(0.5)) == pytest.approx(odds / (1 + odds))
    assert float(rare.at_prevalence(None)(0.5)) == pytest.approx(float(found(0.5)))
    assert float(found.at_prevalence(0.2)(0.7)) == pytest.approx(float(found(0.7)))


def test_a_calibrator_goes_through_json_and_is_checked():
    made = Calibrator("isotonic", scores=(0.1, 0.9), values=(0.0, 1.0))
    back = Calibrator(**json.loads(json.dumps(asdict(made))))
    assert back == made
    assert float(made(0.5)) == pytest.approx(0.5)
    for wrong in (
        {"kind": "magic"},
        {"kind": "platt", "slope": -1.0},
        {"kind": "platt", "intercept": float("nan")},
        {"kind": "platt", "slope": "2"},
        {"kind": "platt", "positives": 0},
        {"kind": "platt", "prevalence": 1.0},
        {"kind": "isotonic"},
        {"kind": "isotonic", "scores": [0.5, 0.1], "values": [0.0, 1.0]},
        {"kind": "isotonic", "scores": [0.1, 0.5], "values": [0.5, 0.1]},
    ):
        with pytest.raises(ValueError, match=r"calibrator|knots|prevalence"):
            Calibrator(**wrong)


def test_numbers_by_hand():
    p = np.array([0.1] * 10 + [0.8] * 10)
    y = np.array([0] * 8 + [1] * 2 + [1] * 6 + [0] * 4)
    found = assess(table_of(p, y), resamples=200)
    assert [(b.mean, b.share.value, b.share.n) for b in found.bins] == [
        (pytest.approx(0.1), 0.2, 10),
        (pytest.approx(0.8), 0.6, 10),
    ]
    assert found.ece == pytest.approx(0.5 * 0.1 + 0.5 * 0.2)
    assert found.brier.value == pytest.approx(brier_score_loss(y, p))
    assert found.brier_base == pytest.approx(0.4 * 0.6)
    # Two groups of 2 and 6 in 10: the line through their log-odds
    slope = (np.log(6 / 4) - np.log(2 / 8)) / (np.log(8 / 2) - np.log(1 / 9))
    assert found.slope.value == pytest.approx(slope)
    assert found.slope.low < slope < found.slope.high


def test_without_a_slope_there_is_its_reason():
    for p, says in (
        ([0.3] * 6, "every film has the same score"),
        ([0.1] * 3 + [0.9] * 3, "positive and negative films do not overlap"),
    ):
        found = assess(table_of(p, [0, 0, 0, 1, 1, 1]), resamples=100)
        assert (found.slope.value, found.slope.n, found.slope.reason) == (None, 6, says)
        assert found.intercept.value is not None


def test_two_films_have_a_bin_each():
    found = assess(table_of([0.2, 0.9], [0, 1]), resamples=100)
    assert [(b.mean, b.share.value) for b in found.bins] == [(0.2, 0.0), (0.9, 1.0)]
    assert found.ece == pytest.approx((0.2 + 0.1) / 2)


def test_a_perfect_model_stands_at_its_floor():
    p, y = made_up(3000, seed=4)
    found = assess(table_of(p, y), resamples=200)
    assert found.slope.low < 1.0 < found.slope.high
    assert found.intercept.low < 0.0 < found.intercept.high
    assert 0.2 * found.ece_floor < found.ece < found.ece_floor_95
    p, y = made_up(3000, seed=4, slope=0.4)
    worse = assess(table_of(p, y), resamples=200)
    assert worse.slope.high < 0.7
    assert worse.ece > 2 * worse.ece_floor_95
    after = assess(cross_fitted(table_of(p, y), "platt", part="tune"), resamples=200)
    assert after.slope.low < 1.0 < after.slope.high
    assert after.brier.value < worse.brier.value


def test_films_of_a_patient_widen_the_slope():
    p, y = made_up(150, seed=1)
    once = assess(table_of(p, y), resamples=100).slope
    four = assess(table_of(np.repeat(p, 4), np.repeat(y, 4), 4), resamples=100).slope
    assert (four.value, four.high) == pytest.approx((once.value, once.high))


def test_order_changes_nothing_and_declined_films_are_left_out():
    p, y = made_up(300)
    films = table_of(p, y, 2).films
    mixed = [films[i] for i in np.random.default_rng(0).permutation(300)]
    declined = replace(films[0], film_id="x", decision="declined", presence_score=None)
    once = assess(ScoreTable.of(films), resamples=100)
    again = assess(ScoreTable.of([*mixed, declined]), resamples=100)
    assert again.films == 300
    assert again.brier.high == pytest.approx(once.brier.high)
    assert (again.ece, again.ece_floor) == pytest.approx((once.ece, once.ece_floor))
    assert assess(table_of([0.1, 0.9], [1, 1]), resamples=100) is None
