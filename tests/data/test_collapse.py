"""Painted collapses: in the lung, along the wall, widest above; air without vessels, the rest unchanged."""

import numpy as np
import pytest

from pleura.data.augment import painted_collapse
from pleura.data.augment.collapse import MIN_RIM

SIZE = 256
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE]


def chest() -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """A bright chest with two dark lungs, vessels in them, and the fields of both; by the image's side."""
    fields = {
        side: ((COLUMNS - centre) / 45.0) ** 2 + ((ROWS - 130) / 90.0) ** 2 < 1
        for side, centre in ((1, 75), (2, 180))
    }
    image = np.full((SIZE, SIZE), 0.7, np.float32)
    for field in fields.values():
        image[field] = 0.3
    image[:, 20::7] += np.float32(0.1)  # as thin as vessels
    noise = np.random.default_rng(0).normal(0, 0.01, image.shape).astype(np.float32)
    return image + noise, fields


@pytest.mark.parametrize("side", [1, 2])
def test_a_rim_of_air_lies_in_the_lung_along_its_wall(side: int) -> None:
    image, fields = chest()
    field, shares, heights, offsets = fields[side], [], [], []
    for seed in range(40):
        found = painted_collapse(image, field, np.random.default_rng(seed), at_left=side == 1)
        if found is None:
            continue
        drawn, mask = found
        assert drawn.dtype == np.float32
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 255}
        rim = mask > 0
        assert not (rim & ~field).any()
        assert rim.mean() >= MIN_RIM
        shares.append(rim.sum() / field.sum())
        heights.append(ROWS[rim].mean())
        offsets.append(COLUMNS[rim].mean() - COLUMNS[field].mean())
        away = ~field & (np.abs(drawn - image) > 1e-3)
        assert away.mean() < 0.02  # but for a soft edge, the rest is as it was
    assert len(shares) > 30
    assert 0.01 < np.median(shares) < 0.4
    assert np.mean(heights) < ROWS[field].mean()  # above the middle
    outwards = -1 if side == 1 else 1
    assert outwards * np.mean(offsets) > 5


def test_vessels_are_gone_and_the_grain_stays() -> None:
    image, fields = chest()
    made = (
        painted_collapse(image, fields[1], np.random.default_rng(n), at_left=True)
        for n in range(99)
    )
    drawn, mask = next(found for found in made if found and (found[1] > 0).mean() > 0.03)
    inside = (mask > 0) & (np.roll(mask, 4, 1) > 0) & (np.roll(mask, -4, 1) > 0)
    assert inside.sum() > 200
    vessel = inside & (COLUMNS % 7 == 20 % 7)
    between = inside & (20 % 7 + 3 - 7 * (20 % 7 + 3 >= 7) == COLUMNS % 7)
    before = image[vessel].mean() - image[between].mean()
    after = drawn[vessel].mean() - drawn[between].mean()
    assert before == pytest.approx(0.1, abs=0.01)
    assert after < 0.7 * before
    assert drawn[inside].mean() < image[inside].mean()
    assert drawn[between].std() > 0.004  # no smooth patch that tells where it is


def test_the_generator_decides_and_what_is_too_small_is_none() -> None:
    image, fields = chest()
    kept = image.copy()
    first, again = (
        painted_collapse(image, fields[2], np.random.default_rng(3), at_left=False)
        for _ in range(2)
    )
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(image, kept)
    small = fields[2] & (ROWS < 60)
    assert painted_collapse(image, small, np.random.default_rng(3), at_left=False) is None
    nothing = np.zeros_like(small)
    assert painted_collapse(image, nothing, np.random.default_rng(3), at_left=True) is None
