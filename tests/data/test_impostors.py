"""Impostors: every kind is a picture, the same again from the same seed, and another from another."""

import cv2
import numpy as np
import pytest

from pleura.data.impostors import KINDS, MADE, SPOILT, apices_cut_off
from pleura.data.phantom import phantom


def made(kind: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind in MADE:
        return MADE[kind](rng, 96)
    return SPOILT[kind](phantom(1, 96).pixels, rng)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_picture(kind: str) -> None:
    one, again, other = made(kind, 5), made(kind, 5), made(kind, 6)
    assert one.shape == (96, 96)
    assert one.dtype == np.float32
    assert 0 <= one.min() < one.max() <= 1
    if kind != "badly exposed":  # may be nearly all white
        assert one.std() > 0.02  # blank films need no network
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_what_is_cut_off() -> None:
    film = np.arange(20, dtype=np.float32)[:, None].repeat(3, axis=1) / 20
    lungs = np.zeros((20, 3), np.bool_)
    lungs[4:15, 1] = True  # rows 4 to 14: a height of 10 between the first and the last
    assert np.array_equal(apices_cut_off(film, lungs, 0.3), film[7:])
    assert np.array_equal(apices_cut_off(film, lungs, 0.0), film[4:])


def test_a_bad_exposure_loses_most_of_the_film() -> None:
    film = phantom(1, 96).pixels
    for seed in range(6):
        spoilt = SPOILT["badly exposed"](film, np.random.default_rng(seed))
        lost = np.mean(spoilt <= 0.001), np.mean(spoilt >= 0.999)
        assert max(lost) > 0.6


def test_shuffled_keeps_the_greys() -> None:
    film = phantom(1, 96).pixels
    spoilt = SPOILT["shuffled"](film, np.random.default_rng(0))
    assert np.allclose(np.sort(spoilt, axis=None), np.sort(film, axis=None))
    assert not np.array_equal(spoilt, film)


def test_a_page_is_paper_and_ink() -> None:
    page = cv2.GaussianBlur(made("text", 1), (0, 0), 0.5)
    middle = np.mean((page > 0.35) & (page < 0.65))
    assert middle < 0.35
