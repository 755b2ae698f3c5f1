"""Augmentations: mask and film move together, values stay in range, the generator decides all."""

import cv2
import numpy as np
import pytest

from pleura.data.augment import AUGMENTATIONS, augment
from pleura.data.augment.geometry import (
    Affine,
    Elastic,
    GridDistortion,
    LensDistortion,
    SizedCrop,
    flip_horizontal,
    flip_vertical,
)
from pleura.data.augment.grey import (
    BrightnessContrast,
    Clahe,
    Gamma,
    GaussianNoise,
    Recompression,
)
from pleura.data.augment.step import OneOf, Sometimes
from pleura.errors import UnknownName


def landmark(row: int, column: int, half: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A black film with one bright block, and its mask."""
    image = np.zeros((64, 64), np.float32)
    image[row - half : row + half + 1, column - half : column + half + 1] = 1.0
    return image, (image > 0).astype(np.uint8) * 255


def centre(array: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(array)
    return float(rows.mean()), float(columns.mean())


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_sets_keep_form_and_range(name: str) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((64, 64), dtype=np.float32)
    mask = np.where(rng.random((64, 64)) > 0.5, 255, 0).astype(np.uint8)
    for seed in range(20):
        changed, moved = augment(name, image, mask, np.random.default_rng(seed))
        assert changed.dtype == np.float32
        assert changed.shape == image.shape
        assert 0.0 <= changed.min() <= changed.max() <= 1.0
        assert moved.dtype == np.uint8
        assert set(np.unique(moved)) <= {0, 255}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_generator_decides_everything(name: str) -> None:
    image, mask = landmark(20, 40)
    a = augment(name, image, mask, np.random.default_rng(5))
    b = augment(name, image, mask, np.random.default_rng(5))
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])


def test_the_inputs_are_left_as_they_were() -> None:
    image, mask = landmark(20, 40)
    kept = image.copy(), mask.copy()
    for seed in range(10):
        augment("light", image, mask, np.random.default_rng(seed))
        augment("swin-unet", image, mask, np.random.default_rng(seed))
    np.testing.assert_array_equal(image, kept[0])
    np.testing.assert_array_equal(mask, kept[1])


def test_the_mask_follows_the_film() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        image, mask = landmark(*rng.integers(24, 40, 2))
        step = Affine(shift=0.1, scale=0.2, aspect=0.25, degrees=30)
        changed, moved = step(image, mask, np.random.default_rng(seed))
        np.testing.assert_allclose(centre(changed > 0.5), centre(moved), atol=0.5)


def test_an_affine_of_nothing_changes_nothing() -> None:
    image, mask = landmark(20, 40)
    changed, moved = Affine(0, 0, 0, 0)(image, mask, np.random.default_rng(0))
    np.testing.assert_allclose(changed, image, atol=1e-6)
    np.testing.assert_array_equal(moved, mask)


def test_aspect_changes_width_against_height() -> None:
    image, mask = landmark(32, 32, half=20)
    ratios = []
    for seed in range(40):
        _, moved = Affine(0, 0, 0.25, 0)(image, mask, np.random.default_rng(seed))
        rows, columns = np.nonzero(moved)
        ratios.append(np.ptp(columns) / np.ptp(rows))
    assert min(ratios) < 0.95
    assert max(ratios) > 1.05


def test_flips() -> None:
    image, mask = landmark(20, 40)
    rng = np.random.default_rng(0)
    assert centre(flip_vertical(image, mask, rng)[1]) == (43.0, 40.0)
    assert centre(flip_horizontal(image, mask, rng)[0]) == (20.0, 23.0)


@pytest.mark.parametrize(
    "step", [BrightnessContrast(), Gamma(), GaussianNoise(), Clahe(), Recompression()]
)
def test_grey_level_steps_leave_the_mask(step) -> None:
    rng = np.random.default_rng(0)
    image, mask = rng.random((64, 64), dtype=np.float32), landmark(20, 40)[1]
    changed, same = step(image, mask, np.random.default_rng(3))
    np.testing.assert_array_equal(same, mask)
    assert not np.array_equal(changed, image)


def test_sometimes_is_as_often_as_it_says() -> None:
    image, mask = landmark(20, 40)
    step = Sometimes(0.25, flip_vertical)
    rng = np.random.default_rng(0)
    taken = sum(not np.array_equal(step(image, mask, rng)[1], mask) for _ in range(2000))
    assert 430 < taken < 570  # 500 expected, standard deviation 19


def test_an_unknown_set_is_named() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'swin-unet'"):
        augment("swinunet", *landmark(20, 40), np.random.default_rng(0))


@pytest.mark.parametrize(
    "step",
    [
        Affine(0.2, 0.1, 0.25, 45, edges="mirror"),
        Elastic(120, 6, 3.6),
        Elastic(120, 6, 3.6, edges="black"),
        GridDistortion(5, 0.3),
        LensDistortion(2.0, 0.5),
        SizedCrop(0.7),
    ],
    ids=repr,
)
def test_the_mask_follows_whatever_moves_the_film(step) -> None:
    moved = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        image, mask = landmark(*rng.choice([16, 18, 46, 48], 2), half=5)
        film, region = step(image, mask, rng)
        assert np.mean((film > 0.5) != (region > 0)) < 0.003
        moved += int(not np.array_equal(region, mask))
    assert moved >= 25


def test_an_elastic_step_of_no_strength_changes_nothing() -> None:
    image, mask = landmark(20, 40)
    film, region = Elastic(0.0, 6.0, 0.0)(image, mask, np.random.default_rng(0))
    np.testing.assert_allclose(film, image, atol=1e-3)
    np.testing.assert_array_equal(region, mask)


def test_an_elastic_step_is_smooth_and_of_its_strength() -> None:
    """A ramp shows where each pixel came from: uniform noise smoothed by sigma has a known spread."""
    size = 256
    ramp = np.tile(np.arange(size, dtype=np.float32) / (size - 1), (size, 1))
    empty = np.zeros((size, size), np.uint8)
    shifts = []
    for seed in range(4):
        film, _ = Elastic(120.0, 6.0, 0.0)(ramp, empty, np.random.default_rng(seed))
        shifts.append(((film - ramp) * (size - 1))[32:-32, 32:-32])
    expected = 120 / np.sqrt(3) / (2 * np.sqrt(np.pi) * 6)  # 3.26 px
    assert np.std(shifts) == pytest.approx(expected, rel=0.1)
    assert np.abs(np.diff(shifts, axis=2)).max() < 3.0


def test_a_crop_of_the_whole_changes_nothing_and_a_half_doubles() -> None:
    image, mask = landmark(32, 32, half=8)
    film, region = SizedCrop(1.0)(image, mask, np.random.default_rng(0))
    np.testing.assert_array_equal(film, image)
    np.testing.assert_array_equal(region, mask)

    class Half:
        """Draws half the side, from the middle."""

        def integers(self, low, high, size=None):
            return 32 if size is None else np.array([16, 16])

    _, doubled = SizedCrop(0.5)(image, mask, Half())
    assert (doubled > 0).sum() == 4 * (mask > 0).sum()


def test_one_of_several_is_drawn_by_weight() -> None:
    image, mask = landmark(20, 40)
    step = OneOf((flip_horizontal, flip_vertical), weights=(0.25, 0.75))
    sideways = 0
    for seed in range(400):
        _, region = step(image, mask, np.random.default_rng(seed))
        row, _ = centre(region)
        sideways += row < 32  # the block stayed in the upper half
    assert 70 < sideways < 130


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_masks_follow_films_through_every_set(name: str) -> None:
    """A film that is its own mask: wherever the one goes, the other goes."""
    apart = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        image, mask = landmark(*rng.integers(20, 44, 2), half=9)
        film, region = augment(name, image, mask, rng)
        if not region.any() or region.all():
            continue
        inside = cv2.erode(region, np.ones((5, 5))) > 0
        outside = cv2.dilate(region, np.ones((5, 5))) == 0
        if inside.any():
            apart.append(film[inside].mean() - film[outside].mean())
    assert len(apart) >= 30
    assert min(apart) > 0.3


def test_a_grid_distortion_is_linear_between_its_lines() -> None:
    """A ramp shows where each column came from: five cells, each stretched by its own factor."""
    size = 100
    ramp = np.tile(np.arange(size, dtype=np.float32) / 200, (size, 1))
    empty = np.zeros((size, size), np.uint8)
    film, _ = GridDistortion(5, 0.3)(ramp, empty, np.random.default_rng(3))
    factors = 1 + np.random.default_rng(3).uniform(-0.3, 0.3, 5)
    came_from = film[50] * 200
    assert came_from[10] == pytest.approx(10 * factors[0], abs=0.1)
    assert came_from[20] == pytest.approx(20 * factors[0], abs=0.1)
    assert came_from[50] == pytest.approx(20 * factors[:2].sum() + 10 * factors[2], abs=0.1)


def test_a_lens_takes_points_from_further_out_by_the_formula() -> None:
    class Drawn:
        """k = 0.2, the centre as it is."""

        def uniform(self, low, high, size=None):
            return 0.2 if size is None else np.zeros(size)

    size = 101
    ramp = np.tile(np.arange(size, dtype=np.float32) / 200, (size, 1))
    film, _ = LensDistortion(0.3)(ramp, np.zeros((size, size), np.uint8), Drawn())
    squared = (30 / 101) ** 2
    assert film[50, 80] * 200 == pytest.approx(
        50 + 30 * (1 + 0.2 * squared + 0.2 * squared**2), abs=0.1
    )
    assert film[50, 50] * 200 == pytest.approx(50, abs=0.1)


@pytest.mark.parametrize("size", [64, 65])
@pytest.mark.parametrize(
    "step", [Affine(0.0, 0.2, 0.25, 30.0, edges="mirror"), LensDistortion(0.3, 0.0)]
)
def test_what_moves_about_the_centre_leaves_it_where_it_is(step, size: int) -> None:
    """A film that is the same upside down and mirrored stays so: its centre is between the middle pixels."""
    rough = np.random.default_rng(0).random((size, size), dtype=np.float32)
    image = (rough + rough[::-1, ::-1]) / 2
    mask = np.where(image > 0.5, np.uint8(255), np.uint8(0))
    for seed in range(4):
        moved, _ = step(image, mask, np.random.default_rng(seed))
        # OpenCV takes pixels from 32nds of one.
        assert np.abs(moved - moved[::-1, ::-1]).mean() < 0.02


def test_what_comes_in_from_outside_is_black_or_mirrored() -> None:
    image, mask = np.full((64, 64), 0.5, np.float32), np.full((64, 64), 255, np.uint8)
    turned = {
        edges: Affine(0, 0, 0, 45, edges=edges)(image, mask, np.random.default_rng(0))
        for edges in ("black", "mirror")
    }
    assert turned["black"][0][0, 0] == 0.0
    assert turned["black"][1][0, 0] == 0
    np.testing.assert_allclose(turned["mirror"][0], 0.5, atol=1e-5)
    assert (turned["mirror"][1] == 255).all()


def test_the_cad_projects_numbers() -> None:
    """As its authors give them, in albumentations' terms; a ShiftScaleRotate's limits are its defaults."""
    steps = AUGMENTATIONS["cad"]
    assert [step.probability for step in steps] == [0.5, 0.5, 0.5, 0.3, 0.5]
    flip, affine, elastic, grey, crop_or_clahe = (step.step for step in steps)
    assert flip is flip_horizontal
    assert (affine.shift, affine.scale, affine.aspect, affine.degrees) == (0.0625, 0.1, 0.0, 45.0)
    assert (elastic.alpha, elastic.sigma, elastic.affine) == (120.0, 6.0, 3.6)
    assert grey.weights is None
    contrast, gamma, brightness = grey.steps
    assert (contrast.brightness, contrast.contrast) == (0.0, 0.2)
    assert gamma.most == 1.25
    assert (brightness.brightness, brightness.contrast) == (0.2, 0.0)
    assert crop_or_clahe.weights == (0.25, 0.4)
    crop, clahe = crop_or_clahe.steps
    assert crop.smallest * 256 == 176
    assert (clahe.clip, clahe.tiles) == (2.0, 32)


def test_a_recompressed_film_is_the_same_film() -> None:
    """Smooth structure survives; the finest does not, as in the copies it stands for."""
    y, x = np.mgrid[:128, :128].astype(np.float32)
    smooth = 0.5 + 0.3 * np.sin(x / 15) * np.cos(y / 20)
    noisy = np.clip(smooth + np.random.default_rng(0).normal(0, 0.05, smooth.shape), 0, 1)
    mask = np.zeros((128, 128), np.uint8)
    left = []
    for seed in range(20):
        step, rng = Recompression(), np.random.default_rng(seed)
        film, _ = step(smooth.astype(np.float32), mask, rng)
        assert np.abs(film - smooth).mean() < 0.01
        film, _ = step(noisy.astype(np.float32), mask, np.random.default_rng(seed))
        left.append(np.std(film - smooth) / 0.05)
    assert max(left) < 1.1
    assert min(left) < 0.7


def test_a_recompressed_landmark_stays_where_it_was() -> None:
    """Resizing there and back keeps the grid: not half a pixel is gained or lost."""
    image = np.zeros((96, 96), np.float32)
    image[30:61, 40:71] = 1.0
    for seed in range(30):
        film, _ = Recompression()(image, np.zeros((96, 96), np.uint8), np.random.default_rng(seed))
        weights = np.where(film > 0.2, film, 0)
        rows, columns = np.mgrid[:96, :96]
        assert (weights * rows).sum() / weights.sum() == pytest.approx(45, abs=0.15)
        assert (weights * columns).sum() / weights.sum() == pytest.approx(55, abs=0.15)
