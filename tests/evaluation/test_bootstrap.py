"""Intervals: known values, seeds, clusters, and how often they hold what they should."""

import numpy as np
import pytest
from made_up_scores import random_scores, score

from pleura.errors import EvaluationError
from pleura.evaluation.bootstrap import Interval, bootstrap, wilson
from pleura.evaluation.metrics import auc, average_precision
from pleura.evaluation.resampling import Block, Ranks, Statistic, patient_weights, resample
from pleura.evaluation.scores import ScoreTable


def wilson_of(hits, n):
    return wilson(np.arange(n) < hits, np.arange(n))


def test_wilson_of_independent_films_is_the_textbooks():
    # Newcombe 1998, table I, method 3
    for (hits, n), (low, high) in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0000, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        interval = wilson_of(hits, n)
        assert interval.low == pytest.approx(low, abs=6e-5)
        assert interval.high == pytest.approx(high, abs=6e-5)
        assert interval.value == hits / n
        assert interval.n == n


def test_wilson_has_width_at_the_ends():
    none, all_ = wilson_of(0, 20), wilson_of(20, 20)
    assert none.low == 0.0
    assert none.high == pytest.approx(0.1611, abs=1e-4)
    assert all_.high == 1.0
    assert all_.low == pytest.approx(1 - 0.1611, abs=1e-4)
    for n in range(1, 30):  # at some of which rounding would miss the end by an ulp
        assert (wilson_of(0, n).low, wilson_of(n, n).high) == (0.0, 1.0)


def test_films_of_one_patient_are_worth_less():
    hits = np.repeat([1, 0, 1, 1, 0, 1, 0, 1, 1, 1], 5)  # patients all right or all wrong
    alone = wilson(hits, np.arange(50))
    together = wilson(hits, np.repeat(np.arange(10), 5))
    ten = wilson(hits[::5], np.arange(10))
    assert together.value == alone.value == 0.7
    assert together.high - together.low > 1.8 * (alone.high - alone.low)
    assert (together.low, together.high) == pytest.approx((ten.low, ten.high), abs=0.02)
    # at 100 % five films of a patient are one
    sure = wilson(np.ones(50), np.repeat(np.arange(10), 5))
    assert sure.low == pytest.approx(wilson_of(10, 10).low)


def test_clustering_is_never_taken_for_information():
    hits = np.tile([1, 0], 25)  # every patient half right: less varied than chance
    clustered = wilson(hits, np.repeat(np.arange(25), 2))
    alone = wilson_of(25, 50)
    assert clustered.high - clustered.low == pytest.approx(alone.high - alone.low, rel=0.02)


def test_wilson_without_films_says_why():
    nothing = wilson([], [], "no film was called positive")
    assert (nothing.value, nothing.low, nothing.high, nothing.n) == (None, None, None, 0)
    assert nothing.reason == "no film was called positive"
    one = wilson([True], [0])
    assert one.value == 1.0
    assert one.low == pytest.approx(0.2065, abs=1e-4)
    with pytest.raises(EvaluationError, match="one each"):
        wilson([1, 0], [1])


def test_values_by_hand():
    table = ScoreTable.of(
        [
            score(0, 1, 0.9, pred=10, shared=5),  # Dice 0.5, IoU 5/15
            score(1, 1, 0.3),  # missed: 0
            score(2, 0, 0.6, pred=4),  # alarm: 0
            score(3, 0, 0.1),  # 1
        ]
    )
    found = bootstrap(table, resamples=200)
    assert found["competition_dice"].value == pytest.approx(1.5 / 4)
    assert found["dice_positives"].value == pytest.approx(0.25)
    assert found["iou_positives"].value == pytest.approx(1 / 6)
    assert found["auc"].value == pytest.approx(3 / 4)
    assert found["average_precision"].value == pytest.approx((1 + 2 / 3) / 2)
    assert [found[k].n for k in ("competition_dice", "dice_positives", "auc")] == [4, 2, 4]


def test_every_interval_holds_its_value():
    for name, found in bootstrap(ScoreTable.of(random_scores(200)), resamples=300).items():
        assert found.low < found.value < found.high, name
        assert found.method == "patient bootstrap"


def test_the_seed_decides_and_the_order_does_not():
    films = random_scores(120, films_per_patient=3)
    once = bootstrap(ScoreTable.of(films), resamples=200, seed=5)
    mixed = [films[i] for i in np.random.default_rng(1).permutation(len(films))]
    again = bootstrap(ScoreTable.of(mixed), resamples=200, seed=5)
    for name in once:
        assert once[name].low == pytest.approx(again[name].low, abs=1e-12)
        assert once[name].high == pytest.approx(again[name].high, abs=1e-12)
    other = bootstrap(ScoreTable.of(films), resamples=200, seed=6)
    assert once["auc"].low != other["auc"].low


def test_patients_are_drawn_whole_and_with_replacement():
    blocks = list(patient_weights(7, 500_000, 5, seed=0))
    assert [b.shape for b in blocks] == [(2, 7), (2, 7), (1, 7)]
    weights = np.concatenate(blocks)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights > 1).any()


def test_weighted_ranks_are_those_of_films_repeated():
    films = random_scores(40)
    films = [score(i, f.label, round(f.presence_score, 1)) for i, f in enumerate(films)]  # ties
    table = ScoreTable.of(films)
    weights = np.random.default_rng(0).integers(0, 4, size=(6, 40))
    block = Block(weights.astype(float), Ranks(table.score, table.label, table.patient))
    areas, precisions = block.auc(), block.average_precision()
    for row, area, precision in zip(weights, areas, precisions, strict=True):
        scores, labels = np.repeat(table.score, row), np.repeat(table.label, row)
        assert area == pytest.approx(auc(scores, labels))
        assert precision == pytest.approx(average_precision(scores, labels))


@pytest.mark.parametrize(("label", "says"), [(1, "all 5 films are with"), (0, "are without")])
def test_one_class_has_its_reason(label, says):
    films = [score(n, label, 0.1 * n) for n in range(5)]
    found = bootstrap(ScoreTable.of(films), resamples=100)
    assert found["auc"].value is None
    assert says in found["auc"].reason
    assert found["competition_dice"].value == (0.0 if label else 1.0)
    if not label:
        assert found["dice_positives"].reason == "no film has a labelled mask"
        assert found["average_precision"].value is None


def test_a_bootstrap_without_width_is_no_interval():
    one = bootstrap(ScoreTable.of([score(0, 1, 0.9, pred=10, shared=10)]), resamples=100)
    assert one["dice_positives"].value == 1.0
    assert one["dice_positives"].low is None
    assert "bounds nothing" in one["dice_positives"].reason
    apart = [score(n, n % 2, 0.9 if n % 2 else 0.1) for n in range(40)]
    assert bootstrap(ScoreTable.of(apart), resamples=100)["auc"].low is None


def test_a_number_that_most_resamples_lack_has_no_interval():
    table = ScoreTable.of([score(n, int(n < 9), 0.1 * n) for n in range(10)])
    for share, has in ((0.6, False), (0.4, True)):

        def sometimes(block, share=share):
            missing = np.arange(len(block.weights)) < share * len(block.weights)
            return np.where(missing & (len(block.weights) > 1), np.nan, block.weights[:, 0])

        made = {"some": Statistic(sometimes, 10, "none")}
        found = resample(table, lambda _, made=made: made, resamples=100)["some"]
        assert found.value == 1.0
        assert (found.low is not None) == has
        assert has or found.reason == "too few patients of one kind to resample"


def test_a_model_without_masks_has_ranks_only():
    films = random_scores(50)
    table = ScoreTable.of(
        [f.__class__(**{**f.__dict__, "pred_area": None, "intersection": None}) for f in films]
    )
    found = bootstrap(table, resamples=100)
    assert found["competition_dice"].reason == "the model does not localise"
    assert found["auc"].low is not None


def test_too_few_resamples_are_refused():
    with pytest.raises(EvaluationError, match="at least 100"):
        bootstrap(ScoreTable.of(random_scores(10)), resamples=99)


def test_an_interval_reads_well():
    assert str(Interval(0.5, 0.4, 0.6, 10, "patient bootstrap")) == "0.500 (0.400 to 0.600)"
    assert str(Interval(1.0, reason="x")) == "1.000"
    assert str(Interval(None, reason="all 3 films are without the target")).startswith("– (all 3")


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    # Patients with 4 films that are all hits or all misses: taken for independent, 95 % would be about 68 %.
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        hits = np.repeat(generator.random(60) < 0.8, 4)
        found = wilson(hits, np.repeat(np.arange(60), 4))
        held += found.low <= 0.8 <= found.high
    assert 0.91 <= held / 400 <= 0.985

    held = 0
    area = 0.7602  # of two normals 1 standard deviation apart: Phi(1 / sqrt(2))
    for seed in range(80):
        table = ScoreTable.of(random_scores(150, seed=seed, separation=1.0))
        found = bootstrap(table, resamples=200, seed=seed)["auc"]
        held += found.low <= area <= found.high
    assert held / 80 >= 0.87
