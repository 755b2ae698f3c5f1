"""Films of two halves: one side of each, sides kept, masks alike, greys matched in the middle."""

import numpy as np
import pytest

from pleura.data.augment import hemithorax_cutmix
from pleura.data.augment.hemithorax import SEAM

SIZE = 200


def chest(left: float, right: float, mask_column: int) -> tuple[np.ndarray, np.ndarray]:
    """A film of two plain halves with a textured middle, and a mask around a column."""
    image = np.full((SIZE, SIZE), left, np.float32)
    image[:, SIZE // 2 :] = right
    image[::2, 80:120] = 0.6
    image[1::2, 80:120] = 0.4
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[40:60, mask_column - 10 : mask_column + 10] = 255
    return image, mask


def test_each_half_is_one_films_own_and_its_mask_goes_along() -> None:
    one, other = chest(0.1, 0.2, 30), chest(0.7, 0.8, 170)
    taken = set()
    for seed in range(20):
        image, mask = hemithorax_cutmix(*one, *other, np.random.default_rng(seed))
        assert image.dtype == np.float32
        assert mask.dtype == np.uint8
        assert image.shape == mask.shape == (SIZE, SIZE)
        left, right = image[:, :70], image[:, 130:]
        if left[0, 0] == pytest.approx(0.1):  # its own left half with the other's right
            np.testing.assert_allclose(right, 0.8, atol=1e-5)
            np.testing.assert_array_equal(mask, np.maximum(one[1], other[1]))
            taken.add("left")
        else:
            np.testing.assert_allclose(left, 0.7, atol=1e-5)
            np.testing.assert_allclose(right, 0.2, atol=1e-5)
            assert not mask.any()  # two healthy halves
            taken.add("right")
    assert taken == {"left", "right"}


def test_the_seam_is_soft() -> None:
    flat = np.zeros((SIZE, SIZE), np.uint8)
    dark, bright = np.full((SIZE, SIZE), 0.3, np.float32), np.full((SIZE, SIZE), 0.3, np.float32)
    dark[:, :40], bright[:, -40:] = 0.1, 0.9
    image, _ = hemithorax_cutmix(dark, flat, bright, flat, np.random.default_rng(3))
    steps = np.abs(np.diff(image[0, 60:140]))
    assert steps.max() <= 1.0 / (SEAM * SIZE)


def test_the_mask_is_cut_where_the_films_are_half_of_each() -> None:
    one = np.random.default_rng(0).random((SIZE, SIZE), dtype=np.float32)
    other, none = one.copy(), np.zeros((SIZE, SIZE), np.uint8)
    one[0], other[0] = 0.0, 1.0  # above where greys are compared: it shows the other film's share
    for seed in range(6):
        image, mask = hemithorax_cutmix(one, none, other, none + 255, np.random.default_rng(seed))
        np.testing.assert_array_equal(mask[0] > 0, image[0] > 0.5)
        assert 0.4 < (mask > 0).mean() < 0.6


def test_an_exposure_of_its_own_does_not_show_in_the_middle() -> None:
    one, mask = chest(0.3, 0.3, 30)
    faint = (one * 0.6 + 0.3).astype(np.float32)
    image, _ = hemithorax_cutmix(one, mask, faint, mask, np.random.default_rng(0))
    np.testing.assert_allclose(image, one, atol=1e-5)


def test_the_generator_decides_everything() -> None:
    one, other = chest(0.1, 0.2, 30), chest(0.7, 0.8, 170)
    first, again, another = (
        hemithorax_cutmix(*one, *other, np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, another)


def test_a_blank_film_gives_no_more_than_a_blank_half() -> None:
    one, mask = chest(0.1, 0.2, 30)
    blank = np.zeros_like(one)
    for films in ((one, mask, blank, mask), (blank, mask, one, mask)):
        image, _ = hemithorax_cutmix(*films, np.random.default_rng(0))
        assert np.isfinite(image).all()
        assert 0.0 <= image.min() <= image.max() <= 1.0
