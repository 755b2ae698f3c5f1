"""Copies of training films in another dataset, by what a data card keeps of them."""

import base64

import cv2
import numpy as np
import pytest
from test_strata import film

from pleura.data.duplicates import thumbnail
from pleura.evaluation.near_copies import card_thumbnails, copies_in_card


def picture(seed):
    """A smooth random picture, float32 (240, 200) in [0, 1]."""
    rng = np.random.default_rng(seed)
    rough = rng.random((9, 7), dtype=np.float32)
    return np.clip(cv2.resize(rough, (200, 240), interpolation=cv2.INTER_CUBIC), 0, 1)


def films(seeds, change=lambda p: p):
    return [
        film(seed).__class__(
            **{**film(seed).__dict__, "thumbnail": thumbnail(change(picture(seed)))}
        )
        for seed in seeds
    ]


def reencoded(pixels):
    small = cv2.resize((pixels * 255).astype(np.uint8), (90, 110), interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255 * 0.9 + 0.05


def test_reencoded_copies_are_found_and_others_are_not():
    card = card_thumbnails(films(range(20)))
    assert len(base64.b64decode(card)) == 20 * 64
    assert copies_in_card(films(range(18, 40), reencoded), card) == {"f18", "f19"}
    assert card == card_thumbnails(films(range(20))[::-1])  # the order tells nothing


def test_flat_films_and_damaged_thumbnails_are_like_nothing():
    even = films([0], lambda p: p * 0 + 0.5)
    assert copies_in_card(even, card_thumbnails(even)) == set()
    assert copies_in_card([film(1)], card_thumbnails(films([1]))) == set()
    assert copies_in_card(films([1]), card_thumbnails([])) == set()


@pytest.mark.parametrize("card", [None, 3, "not base64!", base64.b64encode(b"short").decode()])
def test_a_card_without_them_says_so(card):
    assert copies_in_card(films([1]), card) is None
