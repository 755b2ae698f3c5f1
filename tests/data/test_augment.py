"""Augmentations: mask and film move together, values stay in range, the generator decides all."""

import numpy as np
import pytest

from pleura.data.augment import (
    AUGMENTATIONS,
    Affine,
    BrightnessContrast,
    Clahe,
    Elastic,
    Gamma,
    GaussianNoise,
    OneOf,
    SizedCrop,
    Sometimes,
    augment,
    flip_horizontal,
    flip_vertical,
)
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


@pytest.mark.parametrize("step", [BrightnessContrast(), Gamma(), GaussianNoise(), Clahe()])
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


@pytest.mark.parametrize("step", [Elastic(alpha=120, sigma=6, affine=3.6), SizedCrop(0.7)])
def test_the_mask_follows_elastic_and_cropped_films(step) -> None:
    moved = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        image, mask = landmark(*rng.integers(24, 40, 2), half=5)
        film, region = step(image, mask, rng)
        assert np.mean((film > 0.5) != (region > 0)) < 0.002
        moved += int(not np.array_equal(region, mask))
    assert moved >= 28


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
