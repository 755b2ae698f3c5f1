"""Operating points read off a ROC curve, and predictive values elsewhere: by hand."""

import numpy as np
import pytest
from made_up_scores import random_scores, score
from sklearn.metrics import precision_recall_curve as reference

from pleura.errors import EvaluationError
from pleura.evaluation.detection import POINTS, detection_statistics, named_points
from pleura.evaluation.metrics import precision_recall_curve
from pleura.evaluation.resampling import resample
from pleura.evaluation.scores import ScoreTable


def points_of(films, prevalences=(0.1,), resamples=200):
    table = ScoreTable.of(films)
    found = resample(table, detection_statistics(prevalences), resamples=resamples)
    return {point.name: point for point in named_points(table, found, prevalences)}


def twenty():
    """Ten positives and ten negatives: one negative at 0.95, six positives at 0.9, nine negatives at 0.2,
    four positives at 0.1. Films are called from 0.5 on."""
    films = [score(0, 0, 0.95, pred=1)]
    films += [score(n, 1, 0.9, pred=1) for n in range(1, 7)]
    films += [score(n, 0, 0.2) for n in range(7, 16)]
    return films + [score(n, 1, 0.1) for n in range(16, 20)]


def test_points_by_hand():
    points = points_of(twenty())
    assert list(points) == list(POINTS)

    def rates(name):
        return {key: i.value for key, i in points[name].rates.items()}

    # One alarm in ten: specificity 0.95 cannot be had but by calling nothing.
    assert points["specificity 0.95"].threshold is None
    assert rates("specificity 0.95")["sensitivity"] == 0.0
    assert rates("specificity 0.95")["ppv"] is None
    assert points["specificity 0.90"].threshold == 0.9
    expected = {"sensitivity": 0.6, "specificity": 0.9, "ppv": 6 / 7, "npv": 9 / 13, "f1": 12 / 17}
    for name in ("specificity 0.90", "Youden", "as called"):
        assert rates(name) == pytest.approx(expected)
    assert points["as called"].threshold is None
    assert points["sensitivity 0.90"].threshold == 0.1
    assert rates("sensitivity 0.95")["specificity"] == 0.0
    assert rates("sensitivity 0.95")["npv"] is None


def test_predictive_values_elsewhere_by_bayes():
    ppv, npv = points_of(twenty(), (0.1, 0.01))["as called"].at_prevalence["0.1"]
    assert ppv.value == pytest.approx(0.6 * 0.1 / (0.6 * 0.1 + 0.1 * 0.9))
    assert npv.value == pytest.approx(0.9 * 0.9 / (0.9 * 0.9 + 0.4 * 0.1))
    assert ppv.low < ppv.value < ppv.high
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        detection_statistics((1.0,))


def test_intervals_hold_the_choice_of_the_point():
    points = points_of(random_scores(400, separation=2.0), resamples=400)
    fixed = points["specificity 0.95"].rates
    assert fixed["specificity"].value == pytest.approx(0.95, abs=0.01)
    width = fixed["sensitivity"].high - fixed["sensitivity"].low
    called = points["as called"].rates["sensitivity"]
    assert width > called.high - called.low  # the threshold is not known either
    assert fixed["sensitivity"].low < fixed["sensitivity"].value < fixed["sensitivity"].high


def test_resamples_without_a_positive_film_count_for_what_they_can():
    """Two of twelve patients: a resample in nine draws neither."""
    films = [score(n, int(n < 2), 0.9 - 0.05 * n) for n in range(12)]
    rates = points_of(films)["sensitivity 0.95"].rates
    assert (rates["sensitivity"].value, rates["specificity"].value) == (1.0, 1.0)
    assert rates["specificity"].low is not None


def test_one_class_has_no_points():
    assert points_of([score(n, 1, 0.1 * n) for n in range(5)]) == {}


def test_precision_and_recall_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 100)
    scores = np.round(rng.normal(labels, 1.0), 1)
    recall, precision, thresholds = precision_recall_curve(scores, labels)
    want_precision, want_recall, want_thresholds = reference(labels, scores)
    assert recall[::-1] == pytest.approx(want_recall[:-1])
    assert precision[::-1] == pytest.approx(want_precision[:-1])
    assert thresholds[::-1] == pytest.approx(want_thresholds)
    with pytest.raises(EvaluationError, match="all 2 are negative"):
        precision_recall_curve([0.1, 0.2], [0, 0])


def test_proportions_of_0_and_100_per_cent_have_width():
    films = [score(n, n % 2, 0.9 if n % 2 else 0.1, pred=n % 2) for n in range(40)]
    points = points_of(films)
    for name in ("as called", "Youden"):
        for rate in ("sensitivity", "specificity", "ppv", "npv"):
            found = points[name].rates[rate]
            assert (found.value, found.high) == (1.0, 1.0)
            assert found.low == pytest.approx(0.8389, abs=1e-4)  # 20 of 20
            assert found.method == "cluster-adjusted Wilson"
        ppv, npv = points[name].at_prevalence["0.1"]
        # From the ends: sensitivity and specificity of 0.8389 each
        assert (ppv.value, ppv.high) == (1.0, 1.0)
        assert ppv.low == pytest.approx(0.08389 / (0.08389 + 0.1611 * 0.9), abs=1e-3)
        assert npv.low == pytest.approx(0.8389 * 0.9 / (0.8389 * 0.9 + 0.1611 * 0.1), abs=1e-3)
