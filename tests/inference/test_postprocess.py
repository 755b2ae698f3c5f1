"""From maps to decisions, on maps drawn by hand; and the input both training and serving use."""

import numpy as np
import pytest

from pleura.inference.admission import decline_reason
from pleura.inference.postprocess import (
    OperatingPoint,
    draw_mask,
    lesions,
    presence_score,
    to_source_matrix,
)
from pleura.inference.preprocess import InputSpec, network_input, squeeze
from pleura.radiograph import Radiograph


def film(shape: tuple[int, int] = (200, 100), **more) -> Radiograph:
    pixels = np.random.default_rng(0).random(shape, dtype=np.float32)
    return Radiograph(pixels=pixels, source_bits=8, source_format="png", source="f.png", **more)


def test_presence_score_is_the_mean_of_the_top_tenth_of_a_percent() -> None:
    values = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    assert presence_score(values) == pytest.approx(values.ravel()[-10:].mean(), abs=1e-6)
    assert presence_score(np.full((3, 3), 0.25, np.float32)) == pytest.approx(0.25)
    assert presence_score(np.ones((64, 64), np.float32)) == 1.0
    two = np.zeros((40, 40), np.float32)  # 1.6 px are the two brightest
    two[0, 0] = 1.0
    assert presence_score(two) == 0.5


def test_small_regions_are_dropped_at_exactly_the_smallest_area() -> None:
    probability = np.zeros((100, 100), np.float32)
    probability[10:20, 10:20] = 0.9  # 100 px, 1 %
    probability[50:55, 50:55] = 0.9  # 25 px
    probability[80, 80] = 0.5
    assert draw_mask(probability, OperatingPoint(0.5), 1.0).sum() == 126
    assert draw_mask(probability, OperatingPoint(0.6), 1.0).sum() == 125
    assert draw_mask(probability, OperatingPoint(0.5, 0.01), 1.0).sum() == 100
    assert draw_mask(probability, OperatingPoint(0.5, 0.0101), 1.0).sum() == 0
    assert draw_mask(np.zeros((5, 5), np.float32), OperatingPoint(0.5), 1.0).sum() == 0


def test_a_relative_threshold_is_a_share_of_the_presence_score() -> None:
    probability = np.zeros((100, 100), np.float32)
    probability[10:20, 10:20] = 0.3
    probability[50:55, 50:55] = 0.1
    point = OperatingPoint(0.5, relative=True)
    assert point.pixel_threshold_at(0.6) == pytest.approx(0.3)
    assert [int(draw_mask(probability, point, score).sum()) for score in (0.2, 0.5, 0.7)] == [
        125,
        100,
        0,
    ]
    assert OperatingPoint(0.5).pixel_threshold_at(0.6) == 0.5
    with pytest.raises(ValueError, match="relative"):
        OperatingPoint(0.3, relative=True, top_threshold=0.7)


def test_the_largest_region_is_kept_where_the_point_says_so() -> None:
    probability = np.zeros((100, 100), np.float32)
    probability[10:12, 10:15] = 0.6  # 10 px
    probability[50:54, 50:55] = 0.6  # 20 px

    def drawn(smallest: float, *, keep: bool) -> list[int]:
        mask = draw_mask(probability, OperatingPoint(0.5, smallest, 0.0, keep_largest=keep), 1.0)
        return [int(mask[:30].sum()), int(mask[30:].sum())]

    assert drawn(0.0005, keep=True) == drawn(0.0005, keep=False) == [10, 20]
    assert drawn(0.0015, keep=True) == drawn(0.0015, keep=False) == [0, 20]
    assert drawn(0.01, keep=False) == [0, 0]
    assert drawn(0.01, keep=True) == [0, 20]
    nothing = np.zeros((100, 100), np.float32)
    assert not draw_mask(nothing, OperatingPoint(0.5, 0.01, keep_largest=True), 1.0).any()
    with pytest.raises(ValueError, match="keep_largest is true or false; got 1"):
        OperatingPoint(keep_largest=1)  # type: ignore[arg-type]


def test_a_mask_stays_only_where_enough_reaches_the_top_threshold() -> None:
    probability = np.zeros((100, 100), np.float32)
    probability[10:20, 10:20] = 0.4
    probability[10:12, 10:15] = 0.8  # 10 px, 0.1 %
    probability[50, 50:55] = 0.75  # 5 px elsewhere: the area is of all regions together

    def drawn(top: float, area: float, smallest: float = 0.0) -> int:
        point = OperatingPoint(0.3, smallest, 0.0, top_threshold=top, min_top_area_fraction=area)
        return int(draw_mask(probability, point, 1.0).sum())

    assert drawn(0.75, 0.0015) == 105  # drawn at the lower threshold
    assert drawn(0.75, 0.0016) == 0
    assert drawn(0.8, 0.001) == 105
    assert drawn(0.8, 0.0011) == 0
    assert drawn(0.75, 0.0015, smallest=0.001) == 100  # small regions still go
    assert drawn(1.0, 0.0) == 105


def test_diagonal_neighbours_are_one_region() -> None:
    probability = np.zeros((10, 10), np.float32)
    probability[2, 2] = probability[3, 3] = 1.0
    found = lesions(probability > 0.5, probability, film((10, 10)))
    assert [lesion.area_px for lesion in found] == [2]


def test_lesions_largest_first_with_side_box_and_peak() -> None:
    probability = np.zeros((200, 100), np.float32)
    probability[20:30, 60:80] = 0.7
    probability[25, 70] = 0.95
    probability[100:105, 5:15] = 0.6
    spacing = (0.5, 2.0)
    found = lesions(
        probability > 0.5, probability, film(spacing_mm=spacing, spacing_basis="detector")
    )
    assert [lesion.side for lesion in found] == ["left", "right"]
    assert [lesion.area_px for lesion in found] == [200, 50]
    assert found[0].box == (20, 60, 30, 80)
    assert found[0].peak_probability == pytest.approx(0.95)
    assert found[0].area_fraction == pytest.approx(200 / 20_000)
    assert found[0].area_mm2 == pytest.approx(200.0)


def test_side_goes_by_orientation_and_says_so() -> None:
    probability = np.zeros((200, 100), np.float32)
    probability[20:30, 60:80] = 0.7
    mirrored = film(image_left="left", side_basis="orientation")
    (lesion,) = lesions(probability > 0.5, probability, mirrored)
    assert (lesion.side, lesion.side_basis) == ("right", "orientation")


@pytest.mark.parametrize(("columns", "sides"), [(4, "RRLL"), (5, "RRLLL")])
def test_the_halves_of_a_film_meet_in_its_middle(columns: int, sides: str) -> None:
    named = {"R": "right", "L": "left"}
    for column, side in enumerate(sides):
        mask = np.zeros((3, columns), np.bool_)
        mask[1, column] = True
        (lesion,) = lesions(mask, mask.astype(np.float32), film(mask.shape))
        assert lesion.side == named[side]


@pytest.mark.parametrize("basis", ["implausible", "unknown"])
def test_no_area_in_mm2_on_a_spacing_that_is_not_believed(basis) -> None:
    probability = np.zeros((200, 100), np.float32)
    probability[20:30, 60:80] = 0.7
    (lesion,) = lesions(
        probability > 0.5, probability, film(spacing_mm=(0.1, 0.1), spacing_basis=basis)
    )
    assert lesion.area_mm2 is None


def test_maps_come_back_on_the_films_matrix() -> None:
    probability = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    enlarged = to_source_matrix(probability, (200, 100))
    assert enlarged.shape == (200, 100)
    assert enlarged.dtype == np.float32
    assert enlarged.mean() == pytest.approx(probability.mean(), abs=0.01)


def test_input_is_squeezed_and_normalised() -> None:
    pixels = np.zeros((64, 128), np.float32)
    pixels[:, 64:] = 1.0
    spec = InputSpec(32, channels=3, mean=0.5, std=0.25)
    made = network_input(pixels, spec)
    assert made.shape == (3, 32, 32)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made[:, :, :16], -2.0)
    np.testing.assert_allclose(made[:, :, 16:], 2.0)
    assert squeeze(np.full((20, 20), 0.3, np.float32), 64) == pytest.approx(0.3)


@pytest.mark.parametrize(
    "values", [{"size": 16}, {"size": 64, "channels": 2}, {"size": 64, "std": 0}]
)
def test_impossible_inputs(values) -> None:
    with pytest.raises(ValueError, match="got"):
        InputSpec(**values)


def test_impossible_operating_points() -> None:
    with pytest.raises(ValueError, match="pixel_threshold lies in"):
        OperatingPoint(pixel_threshold=1.5)
    with pytest.raises(ValueError, match="top_threshold lies in"):
        OperatingPoint(top_threshold=1.5)
    with pytest.raises(ValueError, match=r"at least pixel_threshold, 0\.5; got 0\.4"):
        OperatingPoint(top_threshold=0.4)
    with pytest.raises(ValueError, match="give both or neither"):
        OperatingPoint(min_top_area_fraction=0.1)


def test_an_operating_point_from_before_there_was_a_top_threshold() -> None:
    old = {"pixel_threshold": 0.5, "min_area_fraction": 0.0, "presence_threshold": 0.6}
    point = OperatingPoint(**old)
    assert (point.top_threshold, point.min_top_area_fraction) == (None, 0.0)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (film(view="lateral"), "view is lateral"),
        (film((100, 150)), "below 128 px"),
        (film((500, 200)), "The film is 200 × 500 px; no frontal chest film is that narrow"),
        (
            Radiograph(
                pixels=np.full((256, 256), 0.5, np.float32),
                source_bits=8,
                source_format="png",
                source="",
            ),
            "no contrast",
        ),
    ],
)
def test_what_is_declined(bad: Radiograph, says: str) -> None:
    reason = decline_reason(bad)
    assert reason is not None
    assert says in reason


@pytest.mark.parametrize("view", ["PA", "AP", None])
def test_frontal_films_are_not(view) -> None:
    assert decline_reason(film((256, 200), view=view)) is None
