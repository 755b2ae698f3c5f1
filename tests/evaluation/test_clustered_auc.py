"""The AUC by formula: by hand, against DeLong's own, under clustering, and how often its interval holds."""

import math

import numpy as np
import pytest
from made_up_scores import random_scores
from scipy.stats import t

from pleura.errors import EvaluationError
from pleura.evaluation.clustered_auc import auc_covariance, auc_interval, compare_auc
from pleura.evaluation.interval import student
from pleura.evaluation.scores import ScoreTable


def delong(scores, labels):
    """DeLong 1988, written out as double loops."""
    high, low = scores[labels == 1], scores[labels == 0]
    wins = np.array([[(h > x) + 0.5 * (h == x) for x in low] for h in high])
    return wins.mean(1).var(ddof=1) / high.size + wins.mean(0).var(ddof=1) / low.size


def test_by_hand():
    # Positives 3 and 1, negatives 2 and 0: three of four pairs are won. V10 = 1, 1/2; V01 = 1/2, 1.
    variance = auc_covariance([[3, 1, 2, 0]], [1, 1, 0, 0], [0, 1, 2, 3])[0, 0]
    assert variance == pytest.approx(0.125 / 2 + 0.125 / 2)
    found = auc_interval([3, 1, 2, 0], [1, 1, 0, 0], [0, 1, 2, 3])
    half = student(1) * math.sqrt(0.125) / (0.75 * 0.25)  # two patients of each class
    assert found.value == 0.75
    assert found.low == pytest.approx(1 / (1 + math.exp(half - math.log(3))), rel=1e-6)
    assert found.method == "DeLong"


def test_students_quantile_agrees_with_scipy():
    for freedom, within in ((2, 1e-2), (3, 2e-3), (6, 1e-4), (30, 1e-6), (1000, 1e-6)):
        assert student(freedom) == pytest.approx(t.ppf(0.975, freedom), rel=within)


def test_one_film_a_patient_is_delong():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    scores = np.round(rng.normal(labels, 1.0), 1)  # with ties
    assert auc_covariance([scores], labels, np.arange(60))[0, 0] == pytest.approx(
        delong(scores, labels)
    )


def test_two_patients_by_hand():
    # Clusters: A has a positive 3 and a negative 0, B a positive 1 and a negative 2; AUC 3/4.
    # V10 - AUC: A 1/4, B -1/4; V01 - AUC: A 1/4, B -1/4.
    # S10 = S01 = 2/(1 x 2) x 1/8 = 1/8, S11 = 2 x 1/8 = 1/4; variance 1/16 + 1/16 + 2/4 x 1/4 = 1/4
    variance = auc_covariance([[3, 0, 1, 2]], [1, 0, 1, 0], ["a", "a", "b", "b"])[0, 0]
    assert variance == pytest.approx(0.25)


def test_films_repeated_within_patients_say_nothing_new():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 80)
    scores = rng.normal(labels, 1.0)
    once = auc_interval(scores, labels, np.arange(80))
    thrice = auc_interval(np.repeat(scores, 3), np.repeat(labels, 3), np.repeat(np.arange(80), 3))
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))
    assert thrice.method == "clustered AUC"


def test_the_pair_by_its_three_variances():
    rng = np.random.default_rng(2)
    labels, patients = rng.integers(0, 2, 90), np.arange(90) // 3
    first, second = rng.normal(labels, 1.0), rng.normal(2 * labels, 1.0)
    found = compare_auc(first, second, labels, patients)
    c = auc_covariance([first, second], labels, patients)
    error = math.sqrt(c[0, 0] + c[1, 1] - 2 * c[0, 1])
    assert found.high - found.low == pytest.approx(2 * 1.959964 * error, rel=1e-6)
    assert found.p == pytest.approx(math.erfc(found.difference / error / math.sqrt(2)))
    turned = compare_auc(second, first, labels, patients)
    assert (turned.difference, turned.p) == pytest.approx((-found.difference, found.p))


def test_a_score_against_itself_is_no_difference():
    same = compare_auc([1, 2, 3, 4], [1, 2, 3, 4], [0, 1, 0, 1], [0, 1, 2, 3])
    assert (same.difference, same.p, same.low) == (0.0, None, None)


def test_what_has_no_variance_says_so():
    assert auc_interval([1, 2], [1, 1], [0, 1]).value is None
    perfect = auc_interval([0, 0.1, 0.9, 1], [0, 0, 1, 1], [0, 1, 2, 3])
    assert (perfect.value, perfect.low) == (1.0, None)
    one = auc_interval([3, 1, 2, 0], [1, 1, 0, 0], [0, 0, 1, 2])  # positives of one patient
    assert one.low is None
    assert compare_auc([1, 2], [2, 1], [1, 1], [0, 1]) is None
    with pytest.raises(EvaluationError, match="one length"):
        auc_covariance([[1, 2, 3]], [0, 1], [0, 1])


def test_the_interval_holds_the_truth_as_often_as_it_says():
    area, held = 0.7602, 0  # Phi(1 / sqrt(2))
    for seed in range(300):
        table = ScoreTable.of(random_scores(300, seed=seed, films_per_patient=1))
        found = auc_interval(table.score, table.label, table.patient)
        held += found.low <= area <= found.high
    assert 0.92 <= held / 300 <= 0.98


def test_clustered_films_are_covered_where_delong_fails():
    # Patients with four equal films: taken for independent, 95 % would be far too narrow.
    rng = np.random.default_rng(5)
    clustered = independent = 0
    for _ in range(300):
        labels = np.repeat((rng.random(80) < 0.4).astype(int), 4)
        scores = np.repeat(rng.normal(labels[::4], 1.0), 4)
        patients = np.repeat(np.arange(80), 4)
        found = auc_interval(scores, labels, patients)
        naive = auc_interval(scores, labels, np.arange(320))
        clustered += found.low <= 0.7602 <= found.high
        independent += naive.low <= 0.7602 <= naive.high
    assert 0.91 <= clustered / 300 <= 0.985
    assert independent / 300 < 0.8
