"""Metrics against numbers worked out by hand, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    f1_score,
    jaccard_score,
    roc_auc_score,
)
from sklearn.metrics import roc_curve as sklearn_roc

from pleura.errors import EvaluationError
from pleura.evaluation.metrics import (
    all_empty_dice,
    auc,
    average_precision,
    competition_dice,
    confusion,
    dice,
    iou,
    roc_curve,
    youden,
)

EMPTY = np.zeros((2, 3), bool)
FULL = np.ones((2, 3), bool)
LEFT = np.array([[1, 0, 0], [1, 0, 0]], bool)
TOP = np.array([[1, 1, 1], [0, 0, 0]], bool)


@pytest.mark.parametrize(
    ("pred", "truth", "expected_dice", "expected_iou"),
    [
        (EMPTY, EMPTY, 1.0, 1.0),
        (EMPTY, FULL, 0.0, 0.0),
        (FULL, EMPTY, 0.0, 0.0),
        (FULL, FULL, 1.0, 1.0),
        (LEFT, TOP, 2 / 5, 1 / 4),  # 2 px and 3 px share 1
        (LEFT, FULL, 4 / 8, 2 / 6),
    ],
)
def test_overlap_of_two_masks(pred, truth, expected_dice, expected_iou):
    assert dice(pred, truth) == pytest.approx(expected_dice)
    assert iou(pred, truth) == pytest.approx(expected_iou)


def test_the_value_of_empty_on_empty_is_the_callers_choice():
    assert dice(EMPTY, EMPTY, empty=0.0) == 0.0
    assert iou(EMPTY, EMPTY, empty=0.5) == 0.5
    assert dice(EMPTY, FULL, empty=0.7) == 0.0


@pytest.mark.parametrize("wrong", [np.ones((3, 2), bool), np.ones((2, 3)), np.ones((2, 3), int)])
def test_masks_that_do_not_compare(wrong):
    with pytest.raises(EvaluationError, match="bool masks of one shape"):
        dice(wrong, FULL)


def test_competition_dice_is_the_mean_with_empty_hits():
    # Dice 1 (both empty), 0 (alarm), 0 (missed), 2*30/(40+60) = 0.6
    assert competition_dice([0, 9, 0, 40], [0, 0, 7, 60], [0, 0, 0, 30]) == pytest.approx(0.4)
    assert all_empty_dice([0, 0, 7, 60]) == 0.5
    assert competition_dice(0, 0, 0) == 1.0  # one film
    assert competition_dice([], [], []) is None
    with pytest.raises(EvaluationError, match="pair up"):
        competition_dice([9], [9, 0], [9, 0])
    for shared in (301, -1, float("nan")):
        with pytest.raises(EvaluationError, match="no larger than either mask"):
            competition_dice([300, 0], [400, 0], [shared, 0])
    assert all_empty_dice([]) is None


def test_auc_by_hand():
    # pairs (positive, negative): .9>.8, .9>.1, .4<.8, .4>.1 -> 3 of 4
    assert auc([0.9, 0.8, 0.4, 0.1], [1, 0, 1, 0]) == 0.75
    assert auc([0.5, 0.5], [1, 0]) == 0.5  # a tie counts half
    assert auc([0.1, 0.9], [1, 0]) == 0.0
    assert auc([0.5, 0.5, 0.9, 0.1], [1, 0, 1, 0]) == pytest.approx(3.5 / 4)


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], []])
def test_one_class_has_no_auc(labels):
    scores = [0.5] * len(labels)
    assert auc(scores, labels) is None
    assert youden(scores, labels) is None
    with pytest.raises(EvaluationError, match="both classes"):
        roc_curve(scores, labels)


def test_average_precision_by_hand():
    # Falling: + - + -: precision 1 at recall 1/2, 2/3 at recall 1
    assert average_precision([4, 3, 2, 1], [1, 0, 1, 0]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([1, 1, 1, 1], [1, 0, 0, 0]) == 0.25  # no information: the prevalence
    assert average_precision([1, 2], [0, 0]) is None
    assert average_precision([1, 2], [1, 1]) == 1.0


@pytest.mark.parametrize(
    ("scores", "labels", "says"),
    [
        ([0.5, float("nan")], [0, 1], "score number 1 is nan"),
        ([float("inf"), 0.5], [0, 1], "score number 0 is inf"),
        ([0.5, 0.5], [0, 2], "label number 1 is 2"),
        ([0.5], [0, 1], "pair up"),
        ([[0.5]], [[0]], "1-D"),
    ],
)
def test_what_cannot_be_scored_is_named(scores, labels, says):
    for metric in (auc, average_precision, roc_curve, youden):
        with pytest.raises(EvaluationError, match=says):
            metric(scores, labels)


def test_confusion_by_hand():
    counts = confusion([1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0])
    assert (counts.tp, counts.fp, counts.tn, counts.fn) == (2, 1, 3, 1)
    assert counts.sensitivity == pytest.approx(2 / 3)
    assert counts.specificity == pytest.approx(3 / 4)
    assert counts.ppv == pytest.approx(2 / 3)
    assert counts.npv == pytest.approx(3 / 4)


def test_a_share_of_nothing_is_none():
    counts = confusion([0, 0], [0, 0])
    assert (counts.sensitivity, counts.ppv) == (None, None)
    assert (counts.specificity, counts.npv) == (1.0, 1.0)


def test_youden_by_hand():
    # At 0.6: sensitivity 1, specificity 1/2 -> J 1/2; at 0.9: 1/2, 1 -> 1/2: the higher of the two
    assert youden([0.9, 0.8, 0.6, 0.1], [1, 0, 1, 0]) == (0.9, 0.5)
    assert youden([0.9, 0.8, 0.2], [1, 1, 0]) == (0.8, 1.0)


scored = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@given(scored)
def test_agrees_with_scikit_learn(rows):
    scores, labels = np.array([s for s, _ in rows]) / 6, np.array([y for _, y in rows])
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    expected = average_precision_score(labels, scores)
    assert average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)
    fpr, tpr, thresholds = roc_curve(scores, labels)
    theirs = sklearn_roc(labels, scores, drop_intermediate=False)
    for ours, expected in zip((fpr, tpr, thresholds), theirs, strict=True):
        np.testing.assert_allclose(ours, expected)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_overlap_and_counts_agree_with_scikit_learn(seed, share):
    rng = np.random.default_rng(seed)
    pred, truth = rng.random((5, 7)) < share, rng.random((5, 7)) < 0.4
    truth[0, 0] = True  # scikit-learn has no value for two empty masks
    flat = truth.ravel(), pred.ravel()
    assert dice(pred, truth) == pytest.approx(f1_score(*flat))
    assert iou(pred, truth) == pytest.approx(jaccard_score(*flat))
    counts = confusion(pred.ravel(), truth.ravel())
    expected = confusion_matrix(*flat, labels=[False, True]).ravel().tolist()
    assert [counts.tn, counts.fp, counts.fn, counts.tp] == expected


@given(scored, st.randoms())
def test_the_order_of_films_does_not_matter(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    for metric in (auc, average_precision):
        assert metric(*zip(*rows, strict=True)) == pytest.approx(
            metric(*zip(*shuffled, strict=True)), abs=1e-12
        )
