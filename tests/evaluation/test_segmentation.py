"""Surface distances, regions and area bias: by hand, and against scipy's distance transform."""

import numpy as np
import pytest
from made_up_scores import score
from scipy.ndimage import binary_erosion, distance_transform_edt

from pleura.errors import EvaluationError
from pleura.evaluation.localisation import hd95, localise
from pleura.evaluation.resampling import resample
from pleura.evaluation.scores import FilmScore, ScoreTable
from pleura.evaluation.segmentation import SEGMENTATION, area_differences, segmentation_statistics


def square(top, left, side=10, shape=(60, 80)):
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def by_scipy(pred, truth, spacing):
    surfaces = [mask & ~binary_erosion(mask) for mask in (pred, truth)]
    ways = [
        np.percentile(distance_transform_edt(~to, sampling=spacing)[of], 95)
        for of, to in (surfaces, surfaces[::-1])
    ]
    return max(ways)


def test_distance_by_hand():
    # A point against another 3 rows and 4 columns away
    assert hd95(square(5, 5, 1), square(8, 9, 1)) == 5.0
    assert hd95(square(5, 5, 1), square(8, 9, 1), (2.0, 0.5)) == pytest.approx(np.hypot(6, 2))
    assert hd95(square(5, 5), square(5, 5)) == 0.0
    # A column of 21 pixels against one pixel at its end: distances 0 ... 20, the 95th percentile is 19
    line = np.zeros((60, 80), bool)
    line[10:31, 7] = True
    assert hd95(line, square(10, 7, 1)) == pytest.approx(19.0)


def test_an_empty_mask_has_no_distance():
    empty = np.zeros((60, 80), bool)
    for pair in ((empty, empty), (empty, square(1, 1)), (square(1, 1), empty)):
        assert hd95(*pair) is None


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.17, 0.14)])
def test_distance_agrees_with_scipy(spacing):
    rng = np.random.default_rng(0)
    for _ in range(5):
        pred = rng.random((70, 50)) > 0.97
        truth = square(*rng.integers(0, 30, 2), 20, (70, 50))  # at times at the image's edge
        assert hd95(pred, truth, spacing) == pytest.approx(by_scipy(pred, truth, spacing), rel=1e-5)


def test_a_mask_in_very_many_pieces_has_a_distance():
    scattered = np.zeros((1024, 1024), bool)
    scattered[::2, ::2] = True  # 2^18 points
    spot = square(100, 100, 2, scattered.shape)
    assert hd95(spot, scattered) == pytest.approx(by_scipy(spot, scattered, (1, 1)))
    other = np.roll(scattered, 1, axis=1)
    assert hd95(other, scattered, (0.2, 0.1)) == pytest.approx(0.1)


def test_regions_by_hand():
    truth = square(0, 0) | square(30, 0) | square(0, 40)
    pred = (
        square(0, 0, 4)  # 16 of 100 px: found
        | square(30, 0, 3)  # 9 of 100 px: not found, yet not false
        | square(45, 60)  # false
    )
    found = localise(pred, truth, (0.2, 0.2))
    assert (found.truth_regions, found.pred_regions) == (3, 3)
    assert (found.found_regions, found.false_regions) == (1, 1)
    assert found.hd95_mm == pytest.approx(0.2 * found.hd95_px)
    assert localise(pred, truth).hd95_mm is None
    nothing = localise(pred & False, truth & False)
    assert (nothing.truth_regions, nothing.false_regions, nothing.hd95_px) == (0, 0, None)
    with pytest.raises(EvaluationError, match="one shape"):
        localise(pred, truth[:5])


def with_places(n, label, pred, truth, hd95_px=None, regions=(0, 0, 0)):
    made = score(n, label, 0.9, pred=pred, truth=truth, shared=min(pred, truth))
    names = ("truth_regions", "found_regions", "false_regions")
    return FilmScore(**{**made.__dict__, "hd95_px": hd95_px, **dict(zip(names, regions))})  # noqa: B905


def test_numbers_by_hand():
    table = ScoreTable.of(
        [
            with_places(0, 1, 12, 10, 2.0, (2, 1, 1)),
            with_places(1, 1, 10, 20, 4.0, (1, 1, 0)),
            with_places(2, 1, 0, 5, None, (1, 0, 0)),
            with_places(3, 0, 7, 0, None, (0, 0, 2)),
        ]
    )
    found = resample(table, segmentation_statistics, resamples=200)
    assert list(found) == list(SEGMENTATION)
    assert found["hd95_px"].value == 3.0
    assert found["hd95_px"].n == 2
    assert "believable spacing" in found["hd95_mm"].reason
    assert (found["region_sensitivity"].value, found["region_sensitivity"].n) == (0.5, 4)
    assert found["false_regions"].value == 0.75
    # Films are of 100 px: differences +2, -10 and -5 %
    mean, spread = -13 / 3, np.std([2, -10, -5], ddof=1)
    assert found["area_bias"].value == pytest.approx(mean)
    assert found["area_low"].value == pytest.approx(mean - 1.959964 * spread, rel=1e-6)
    assert found["area_high"].value == pytest.approx(mean + 1.959964 * spread, rel=1e-6)
    assert [x.tolist() for x in area_differences(table)] == [[11, 15, 2.5], [2, -10, -5]]


def test_a_model_without_masks_has_none_of_them():
    made = score(0, 1, 0.9)
    silent = FilmScore(**{**made.__dict__, "pred_area": None, "intersection": None})
    found = resample(ScoreTable.of([silent]), segmentation_statistics, resamples=100)
    assert {interval.reason for interval in found.values()} == {"the model does not localise"}


def test_what_is_kept_of_a_film():
    from made_up_scores import finding

    truth = square(0, 60)
    made = FilmScore.of(
        finding("f", square(0, 61)),
        truth,
        film_id="f",
        patient_id="p",
        corpus="a",
        label=1,
        spacing_mm=(0.2, 0.1),
        image_left="right",
    )
    assert made.side == "left"
    assert made.pixel_mm2 == pytest.approx(0.02)
    assert (made.truth_regions, made.found_regions, made.false_regions) == (1, 1, 0)
    assert made.hd95_mm == pytest.approx(0.1)
    both = FilmScore.of(
        finding("f", value=None),
        truth | square(0, 0),
        film_id="f",
        patient_id="p",
        corpus="a",
        label=1,
    )
    assert (both.side, both.found_regions, both.hd95_px) == ("bilateral", 0, None)
