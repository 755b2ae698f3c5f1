"""The sweep against drawing masks one by one, and the fit against trying everything."""

import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from made_up_scores import MODEL, finding

from pleura.errors import EvaluationError, PleuraError
from pleura.evaluation.aims import cross_fitted
from pleura.evaluation.metrics import dice
from pleura.evaluation.operating_point import AIMS, Aim, _presence_for, fit_operating_point
from pleura.evaluation.pixel_sweep import PixelSweep, sweep
from pleura.finding import Finding
from pleura.inference.postprocess import OperatingPoint, draw_mask

SHAPE = (40, 50)


def film(seed, positive):
    """A map of blobs, the mask they stand for, and a presence score."""
    generator = np.random.default_rng(seed)
    truth = np.zeros(SHAPE, bool)
    if positive:
        top, left = generator.integers(0, 25, size=2)
        truth[top : top + 12, left : left + 9] = True
    probability = generator.random(SHAPE) * 0.5 + 0.45 * truth
    score = float(np.clip(0.3 + 0.3 * positive + generator.normal(0, 0.15), 0, 1))
    return finding(
        f"f{seed}", truth.copy(), score, probability_map=probability.astype(np.float32)
    ), truth


def swept(films, **grids):
    made = PixelSweep(**grids)
    for n, (found, truth) in enumerate(films):
        made.add(f"f{n}", found, truth, part="tune")
    return made


def predicted(found, point):
    """The mask of a finding at another operating point, by the rule the detector follows."""
    if found.decision == "declined" or found.probability < point.presence_threshold:
        return np.zeros(SHAPE, bool)
    return draw_mask(found.probability_map, point, found.probability)


def mean_dice(films, point):
    return float(np.mean([dice(predicted(found, point), truth) for found, truth in films]))


FILMS = [film(n, n % 3 == 0) for n in range(18)]
FILMS.append((finding("d", value=None), FILMS[0][1]))


def test_areas_are_those_of_the_masks_drawn_one_by_one():
    made = swept(
        FILMS, pixel_thresholds=(0.1, 0.45, 0.6, 0.9), min_area_fractions=(0.0, 0.002, 0.03)
    )
    for t, pixel in enumerate(made.pixel_thresholds):
        for a, smallest in enumerate(made.min_area_fractions):
            areas, shared = made.areas(t, a)
            for n, (found, truth) in enumerate(FILMS[:-1]):
                mask = draw_mask(found.probability_map, OperatingPoint(pixel, smallest, 0.0), 1.0)
                assert areas[n] == mask.sum(), (pixel, smallest, n)
                assert shared[n] == (mask & truth).sum()
            assert areas[-1] == shared[-1] == 0  # declined


def test_calibrated_findings_are_not_swept():
    """Thresholds are on scores, and a calibrated finding no longer has its own."""
    found, truth = FILMS[0]
    with pytest.raises(EvaluationError, match="without its calibrator"):
        PixelSweep().add("a", replace(found, calibrated=True), truth, part="tune")


def test_relative_thresholds_are_shares_of_each_film_s_score():
    made = swept(
        FILMS,
        pixel_thresholds=(0.2, 0.7, 0.95),
        min_area_fractions=(0.0, 0.01, 0.5),
        relative=True,
    )
    for t, share in enumerate(made.pixel_thresholds):
        for a, smallest in enumerate(made.min_area_fractions):
            areas, shared = made.areas(t, a)
            point = OperatingPoint(share, smallest, 0.0, relative=True, keep_largest=True)
            for n, (found, truth) in enumerate(FILMS[:-1]):
                mask = draw_mask(found.probability_map, point, found.probability)
                assert (areas[n], shared[n]) == (mask.sum(), (mask & truth).sum())
                above = found.probability_map >= np.float32(share * found.probability)
                assert mask.any() == above.any()  # the largest region is kept
    fitted = fit_operating_point(swept(FILMS, relative=True), part="tune", rule="relative")
    assert fitted.point.relative
    assert fitted.point.keep_largest
    assert not fit_operating_point(swept(FILMS), part="tune").point.keep_largest
    assert fitted.value == pytest.approx(mean_dice(FILMS, fitted.point))
    other = PixelSweep(relative=True)
    for n, (found, truth) in enumerate(FILMS):
        other.add(f"other{n}", found, truth, part="tune")
    outcomes = cross_fitted([swept(FILMS, relative=True), other], part="tune")
    assert outcomes[0].competition_dice == pytest.approx(fitted.value)


def test_near_the_best_competition_dice_the_best_on_positives():
    """Against every point of the grid, and every threshold between two scores, one by one."""
    aim = "competition Dice 0.8"
    grids = {"pixel_thresholds": (0.3, 0.42), "min_area_fractions": (0.0, 0.001)}
    given = np.random.default_rng(0).random(len(FILMS))  # which tell little, so that calls cost
    films = [
        (replace(found, probability=p), truth)
        for p, (found, truth) in zip(given, FILMS[:-1], strict=False)
    ]
    point = fit_operating_point(swept(films, **grids), part="tune", aim=aim).point
    assert point.aim == aim
    scores = sorted(given[: len(films)])
    cuts = [0.0, *((a + b) / 2 for a, b in pairwise(scores)), 1.0]
    every = [
        OperatingPoint(pixel, smallest, cut)
        for pixel in grids["pixel_thresholds"]
        for smallest in grids["min_area_fractions"]
        for cut in cuts
    ]
    positives = [(found, truth) for found, truth in films if truth.any()]
    worth = [(mean_dice(films, one), mean_dice(positives, one)) for one in every]
    best = max(dice for dice, _ in worth)
    wanted = max(on for dice, on in worth if dice >= 0.8 * best)
    assert mean_dice(films, point) >= 0.8 * best
    assert mean_dice(positives, point) == pytest.approx(wanted)
    plain = fit_operating_point(swept(films, **grids), part="tune").point
    assert wanted > mean_dice(positives, plain)


def test_a_sweep_serves_the_rule_it_was_made_for():
    with pytest.raises(EvaluationError, match="relative"):
        fit_operating_point(swept(FILMS), part="tune", rule="relative")
    for rule in ("threshold", "triplet"):
        with pytest.raises(EvaluationError, match="absolute"):
            fit_operating_point(swept(FILMS, relative=True), part="tune", rule=rule)
    with pytest.raises(EvaluationError, match="one grid"):
        PixelSweep.joined([swept(FILMS), swept(FILMS, relative=True)])


def test_the_value_is_what_the_point_really_gives():
    fitted = fit_operating_point(swept(FILMS), part="tune")
    assert fitted.value == pytest.approx(mean_dice(FILMS, fitted.point))
    assert fitted.n == 19
    assert fitted.positives == 7
    assert fitted.all_empty == pytest.approx(12 / 19)
    assert fitted.point.fitted_on == "tune"
    assert fitted.point.aim == "competition Dice"


def test_no_other_point_is_better():
    grids = {"pixel_thresholds": (0.3, 0.5, 0.7), "min_area_fractions": (0.0, 0.01)}
    fitted = fit_operating_point(swept(FILMS, **grids), part="tune")
    others = [
        mean_dice(FILMS, OperatingPoint(pixel, smallest, presence))
        for pixel in grids["pixel_thresholds"]
        for smallest in grids["min_area_fractions"]
        for presence in np.linspace(0, 1, 101)
    ]
    assert fitted.value >= max(others) - 1e-9


def test_the_triplets_value_is_what_the_point_really_gives():
    fitted = fit_operating_point(swept(FILMS), part="tune", rule="triplet")
    assert fitted.value == pytest.approx(mean_dice(FILMS, fitted.point))
    assert fitted.point.presence_threshold == 0.0
    assert fitted.point.aim == "competition Dice, triplet"


def test_no_other_triplet_is_better():
    grid = (0.3, 0.5, 0.7)
    fitted = fit_operating_point(swept(FILMS, pixel_thresholds=grid), part="tune", rule="triplet")
    others = [
        mean_dice(
            FILMS, OperatingPoint(pixel, 0.0, 0.0, top_threshold=top, min_top_area_fraction=area)
        )
        for pixel in grid
        for top in grid
        for area in (0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008)
        if top >= pixel
    ]
    assert fitted.value == max(others)


def test_a_triplet_by_hand():
    # Both maps draw 4 px at 0.3; that of the film with the target is sure (0.9) of all 4 = 0.2 % of 2000, the
    # other of 3 only. Asking for 0.2 % at a top threshold tells them apart; of those that do, the nearest to
    # the winner's 0.75 is 0.75 itself.
    mask = np.zeros(SHAPE, bool)
    mask[:2, :2] = True
    sure = np.where(mask, 0.9, 0.0).astype(np.float32)
    unsure = sure.copy()
    unsure[0, 0] = 0.35
    films = [
        (finding("a", mask, 0.5, probability_map=sure), mask),
        (finding("b", mask, 0.5, probability_map=unsure), mask & False),
    ]
    fitted = fit_operating_point(swept(films), part="tune", rule="triplet")
    assert fitted.value == 1.0
    assert fitted.point == OperatingPoint(
        0.3, 0.0, 0.0, "competition Dice, triplet", "tune", 0.75, 0.002
    )
    assert mean_dice(films, fitted.point) == 1.0
    # The other rule finds a way too: a pixel threshold of 0.5 and a region of 0.2 %.
    assert fit_operating_point(swept(films), part="tune").value == 1.0


def test_the_fit_by_hand():
    # One film with (score 0.8), one without (0.6), whose maps both draw 4 px: calling only the first
    # gives Dice 1 and 1, and the threshold stands halfway between the scores.
    mask = np.zeros(SHAPE, bool)
    mask[:2, :2] = True
    flat = mask.astype(np.float32)
    films = [
        (finding("a", mask, 0.8, probability_map=flat), mask),
        (finding("b", mask, 0.6, probability_map=flat), mask & False),
    ]
    fitted = fit_operating_point(swept(films), part="fold 0 tune")
    assert fitted.value == 1.0
    assert fitted.all_empty == 0.5
    assert fitted.point == OperatingPoint(
        0.5, 0.0, (0.8 + 0.6) / 2, "competition Dice", "fold 0 tune"
    )
    assert (fitted.youden_threshold, fitted.youden_j) == (0.8, 1.0)


def test_equal_scores_are_called_together():
    films = [film(n, n < 3) for n in range(9)]
    films = [(finding("x", t.copy(), 0.5, probability_map=f.probability_map), t) for f, t in films]
    fitted = fit_operating_point(swept(films), part="tune")
    assert fitted.value == pytest.approx(mean_dice(films, fitted.point))


def scored(scores, positive, level=1.0):
    """Films whose maps all draw the same 4 px, which are the mask of each positive one."""
    mask = np.zeros(SHAPE, bool)
    mask[:2, :2] = True
    flat = mask.astype(np.float32) * np.float32(level)
    return [
        (finding(f"s{n}", mask.copy(), score, probability_map=flat), mask & bool(label))
        for n, (score, label) in enumerate(zip(scores, positive, strict=True))
    ]


@pytest.mark.parametrize(
    ("aim", "threshold", "sensitivity", "specificity", "value"),
    [
        # Positives at 0.9, 0.6, 0.3; negatives at 0.7, 0.4, 0.2, 0.1.
        ("specificity 0.75", 0.5, 2 / 3, 3 / 4, (2 + 3) / 7),  # halfway between 0.4 and 0.6
        ("specificity 1", 0.8, 1 / 3, 1.0, (1 + 4) / 7),
        ("sensitivity 0.6", 0.5, 2 / 3, 3 / 4, (2 + 3) / 7),
        ("sensitivity 1", 0.25, 1.0, 1 / 2, (3 + 2) / 7),
        ("youden", 0.25, 1.0, 1 / 2, (3 + 2) / 7),  # 1.5; at 0.5 it is 2/3 + 3/4
    ],
)
def test_aims_by_hand(aim, threshold, sensitivity, specificity, value):
    films = scored([0.9, 0.6, 0.3, 0.7, 0.4, 0.2, 0.1], [1, 1, 1, 0, 0, 0, 0])
    fitted = fit_operating_point(swept(films), part="tune", aim=aim)
    assert fitted.point.presence_threshold == pytest.approx(threshold)
    assert (fitted.sensitivity, fitted.specificity) == (sensitivity, specificity)
    assert fitted.value == pytest.approx(value) == mean_dice(films, fitted.point)
    assert fitted.point.aim == str(Aim.of(aim))
    assert fitted.point.pixel_threshold == 0.5  # all draw the same: the default


def presence_of_pairs(aim, scores, positive):
    """As `_presence_for`, by setting every film against every cut."""
    ranked = np.unique(scores[scores >= 0])
    cuts = (np.concatenate([[0.0], ranked]) + np.concatenate([ranked, [1.0]])) / 2.0
    if ranked.size and ranked[-1] >= 1.0:
        cuts = cuts[:-1]
    sensitivity = (scores[positive, None] >= cuts).mean(axis=0)
    negatives = scores[~positive, None]
    specificity = (negatives < cuts).mean(axis=0) if negatives.size else np.ones(len(cuts))
    if aim.name == "Youden":
        index = sensitivity + specificity - 1.0
        best = np.flatnonzero(index >= index.max() - 1e-9)[-1]
        return cuts[best], index[best]
    falls = aim.name == "sensitivity"
    reached, left = (sensitivity, specificity) if falls else (specificity, sensitivity)
    able = np.flatnonzero(reached >= aim.value - 1e-9)
    return (cuts[able[-1 if falls else 0]], left[able[-1 if falls else 0]]) if able.size else None


def test_presence_thresholds_are_those_of_every_film_against_every_cut():
    rng = np.random.default_rng(0)
    for number in range(300):
        n = int(rng.integers(1, 60))
        scores = np.round(rng.random(n), int(rng.integers(1, 4)))  # with ties, 0 and 1 among them
        scores[rng.random(n) < 0.2] = -1.0
        positive = rng.random(n) < rng.random()
        positive[0] = True
        if number == 0:
            scores[:] = -1.0
        for text in ("specificity 0.9", "sensitivity 0.8", "sensitivity 1", "Youden"):
            aim = Aim.of(text)
            assert _presence_for(aim, scores, positive) == presence_of_pairs(aim, scores, positive)


def test_memory_does_not_grow_with_the_square_of_the_films():
    rng = np.random.default_rng(0)
    scores, positive = rng.random(6000), rng.random(6000) < 0.5
    tracemalloc.start()
    _presence_for(Aim.of("Youden"), scores, positive)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * scores.nbytes  # 4.8 MB; every pair would be 18


def test_an_aim_counts_films_as_they_are_called():
    # The second positive scores high, but its map is empty: no threshold finds both.
    films = scored([0.9, 0.8, 0.1], [1, 1, 0])
    nothing = np.zeros(SHAPE, np.float32)
    films[1] = finding("s1", nothing > 0, 0.8, probability_map=nothing), films[1][1]
    made = swept(films)
    with pytest.raises(
        EvaluationError, match=r"sensitivity 0.9' cannot be reached on these 3 films"
    ):
        fit_operating_point(made, part="tune", aim="sensitivity 0.9")
    assert fit_operating_point(made, part="tune", aim="sensitivity 0.5").sensitivity == 0.5


def test_an_aim_is_not_reached_by_drawing_nothing():
    # At 0.6 all maps draw the mask; at 0.9 nothing, which is specific, and has the best competition Dice,
    # since most films are negative and the scores tell little.
    films = scored([0.9, 0.3, 0.8, 0.2, 0.25, 0.1], [1, 1, 0, 0, 0, 0], level=0.7)
    made = swept(films, pixel_thresholds=(0.6, 0.9), min_area_fractions=(0.0,))
    fitted = fit_operating_point(made, part="tune", aim="specificity 0.75")
    assert fitted.point.pixel_threshold == 0.6
    assert fitted.point.presence_threshold == pytest.approx((0.25 + 0.3) / 2)
    assert (fitted.sensitivity, fitted.specificity) == (1.0, 0.75)


def test_an_aim_on_blobs_holds_what_it_says():
    for aim, name in (("specificity 0.9", "specificity"), ("sensitivity 0.8", "sensitivity")):
        fitted = fit_operating_point(swept(FILMS), part="tune", aim=aim)
        called = np.array([predicted(f, fitted.point).any() for f, _ in FILMS])
        truth = np.array([t.any() for _, t in FILMS])
        assert fitted.sensitivity == called[truth].mean()
        assert fitted.specificity == (~called[~truth]).mean()
        assert getattr(fitted, name) >= float(aim.split()[1])


@pytest.mark.parametrize(
    ("aim", "says"),
    [
        ("specifity 0.95", "Did you mean"),
        ("", "aim"),
        ("specificity", "needs the specificity to reach"),
        ("sensitivity 95", "at most 1; write sensitivity 0.95"),
        ("sensitivity much", "needs the sensitivity"),
        ("specificity 0.9 0.8", "needs the specificity"),
    ],
)
def test_an_aim_that_is_none(aim, says):
    with pytest.raises(PleuraError, match=says):
        fit_operating_point(swept(FILMS), part="tune", aim=aim)


def test_aims_are_fitted_on_the_other_folds():
    # Fold b's films all score 0.3 higher: what is best on one fold is not on the other.
    a = swept(scored([0.6, 0.3, 0.1], [1, 0, 0]))
    made = PixelSweep()
    for n, (found, truth) in enumerate(scored([0.9, 0.6, 0.4], [1, 0, 0])):
        made.add(f"b{n}", found, truth, part="tune")
    outcomes = {o.aim: o for o in cross_fitted([a, made], part="tune")}
    assert set(outcomes) == set(AIMS)
    # From a: threshold 0.45, which calls b's 0.9 and its negative 0.6. From b: 0.75, which calls none of a.
    best = outcomes["competition Dice"]
    assert (best.sensitivity, best.specificity) == (1 / 2, 3 / 4)
    assert best.dice_positive == 1 / 2
    assert best.competition_dice == pytest.approx((1 + 0 + 1 + 0 + 1 + 1) / 6)
    with pytest.raises(EvaluationError, match="test films are never chosen on"):
        cross_fitted([a, made], part="test")


def test_a_triplet_serves_one_aim():
    with pytest.raises(EvaluationError, match="needs the rule threshold"):
        fit_operating_point(swept(FILMS), part="tune", rule="triplet", aim="Youden")


def test_silence_is_chosen_where_it_is_best():
    # The only positive scores lowest, and its map misses: every call costs.
    truth = np.zeros(SHAPE, bool)
    truth[0, 0] = True
    elsewhere = np.zeros(SHAPE, np.float32)
    elsewhere[20:30, 20:30] = 1.0
    films = [(finding("p", elsewhere > 0, 0.2, probability_map=elsewhere), truth)]
    films += [(finding("n", elsewhere > 0, 0.9, probability_map=elsewhere), truth & False)] * 3
    fitted = fit_operating_point(swept(films), part="tune")
    assert fitted.value == fitted.all_empty == 0.75
    assert mean_dice(films, fitted.point) == 0.75


def test_a_score_of_1_cannot_be_silenced():
    truth = np.zeros(SHAPE, bool)
    truth[0, 0] = True
    full = np.ones(SHAPE, np.float32)
    films = [
        (finding("p", truth, 1.0, probability_map=full), truth & False),
        (finding("n", truth, 0.4, probability_map=truth.astype(np.float32)), truth),
    ]
    fitted = fit_operating_point(swept(films), part="tune")
    assert fitted.value == pytest.approx(mean_dice(films, fitted.point))
    assert fitted.point.presence_threshold < 0.4


@pytest.mark.parametrize("part", ["test", "Test", "fold 1 test"])
def test_nothing_is_chosen_on_test_films(part):
    found, truth = FILMS[0]
    with pytest.raises(EvaluationError, match="never chosen on"):
        PixelSweep().add("f", found, truth, part=part)
    with pytest.raises(EvaluationError, match="never chosen on"):
        fit_operating_point(swept(FILMS), part=part)
    with pytest.raises(EvaluationError, match="never chosen on"):
        sweep(None, None, ["f"], part=part)


def test_films_that_cannot_be_swept():
    found, truth = FILMS[0]
    made = swept([FILMS[0]])
    assert len(made) == 1
    with pytest.raises(EvaluationError, match="f0 is swept twice"):
        made.add("f0", found, truth, part="tune")
    with pytest.raises(EvaluationError, match=r"f1: .*\(3, 3\)"):
        made.add("f1", found, np.ones((3, 3), bool), part="tune")
    no_map = Finding(found.target, "negative", "x", MODEL, "f2", probability=0.1)
    with pytest.raises(EvaluationError, match="has None"):
        made.add("f2", no_map, truth, part="tune")
    assert len(made) == 1  # what failed left nothing behind


def test_a_fit_needs_a_mask():
    with pytest.raises(EvaluationError, match="0 films without one labelled mask"):
        fit_operating_point(PixelSweep(), part="tune")
    with pytest.raises(EvaluationError, match="1 films without one labelled mask"):
        fit_operating_point(swept([film(1, False)]), part="tune")


def test_one_positive_film_and_only_declined_ones():
    assert fit_operating_point(swept([FILMS[0]]), part="tune").youden_threshold is None
    declined = [(finding("d", value=None), FILMS[0][1]), (finding("e", value=None), FILMS[1][1])]
    assert fit_operating_point(swept(declined), part="tune").value == 0.5


@pytest.mark.parametrize("grid", [(), (0.5, 0.5), (0.5, 0.4), (-0.1, 0.5), (0.5, 1.1)])
def test_a_grid_rises_within_0_and_1(grid):
    with pytest.raises(EvaluationError, match="pixel thresholds"):
        PixelSweep(pixel_thresholds=grid)
