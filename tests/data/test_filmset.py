"""The film cache: what training sees is what the detector sees."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pleura.data.dataset import Beforehand, FilmSet
from pleura.data.manifest import Dataset
from pleura.errors import DatasetError
from pleura.frame import Frame
from pleura.inference.preprocess import squeeze

IDS = ("film-00", "film-04", "film-11")


def test_films_are_what_serving_resizes_them_to(blocks: Dataset) -> None:
    films = FilmSet(blocks, IDS, 64, squeeze)
    assert films.labels == (1, 0, 1)
    for i, film_id in enumerate(IDS):
        image, mask = films.get(i)
        film = blocks.by_id[film_id]
        served = squeeze(blocks.radiograph(film).pixels, 64)
        assert np.abs(image - served).max() <= 0.5 / 255 + 1e-6
        share = (mask > 0).mean()
        assert share == pytest.approx(film.mask_area_fraction, abs=0.01)


def test_the_cache_is_made_once_and_told_apart(blocks: Dataset) -> None:
    calls: list[int] = []

    def counting(pixels: np.ndarray, size: int) -> np.ndarray:
        calls.append(size)
        return squeeze(pixels, size)

    FilmSet(blocks, IDS, 48, counting)
    assert len(calls) == 3
    FilmSet(blocks, IDS, 48, counting)
    assert len(calls) == 3
    FilmSet(blocks, IDS[:2], 48, counting)
    FilmSet(blocks, IDS, 40, counting)
    assert len(calls) == 8
    FilmSet(blocks, IDS, 48, counting, squeeze_version=2)
    assert len(calls) == 11
    assert not list(Path(blocks.root / "cache").glob("*.partial"))


def test_of_a_frame_only_what_is_in_it(blocks: Dataset) -> None:
    """The films' quarter at the lower left, 80 x 80, at its own size; and not in the cache of whole films."""
    whole = FilmSet(blocks, IDS, 80, squeeze)
    frames = dict.fromkeys(IDS, Frame(0.5, 0.0, 1.0, 0.5))
    framed = FilmSet(blocks, IDS, 80, squeeze, frames=frames)
    for i, film_id in enumerate(IDS):
        film = blocks.by_id[film_id]
        image, mask = framed.get(i)
        assert np.abs(image - blocks.pixels(film)[80:, :80]).max() <= 0.5 / 255 + 1e-6
        np.testing.assert_array_equal(mask > 0, blocks.mask(film)[80:, :80])
        assert not np.array_equal(image, whole.get(i)[0])
    other = FilmSet(blocks, IDS, 80, squeeze, frames=dict.fromkeys(IDS, Frame(0.0, 0.0, 0.5, 0.5)))
    assert not np.array_equal(other.get(0)[0], framed.get(0)[0])


def test_augmentation_moves_what_lies_around_a_frame_into_sight(
    blocks: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lower left quarter with 10 px around it, shifted by 10 px up and left: what was below and right."""

    def shifted(name: str, image, mask, rng):
        return image[10:, 10:], mask[10:, 10:]

    frames = dict.fromkeys(IDS, Frame(0.5, 0.0, 1.0, 0.5))
    films = FilmSet(blocks, IDS, 80, squeeze, frames=frames, surround=0.125)
    alone = FilmSet(blocks, IDS, 80, squeeze, frames=frames)
    monkeypatch.setattr("pleura.data.dataset.augment", shifted)
    for i, film_id in enumerate(IDS):
        for one, other in zip(films.get(i), alone.get(i), strict=True):
            np.testing.assert_array_equal(one, other)
        pixels = blocks.pixels(blocks.by_id[film_id])
        image, mask = films.augmented(i, "any", (0, 0))
        assert image.shape == mask.shape == (80, 80)
        assert np.abs(image[:70] - pixels[90:, 10:90]).max() <= 0.5 / 255 + 1e-6
        assert not image[70:].any()  # beyond the film


def test_a_worker_gets_the_file_not_its_contents(blocks: Dataset) -> None:
    films = FilmSet(blocks, IDS, 64, squeeze)
    sent = pickle.dumps(films)
    assert len(sent) < 3 * 64 * 64
    np.testing.assert_array_equal(pickle.loads(sent).get(1)[0], films.get(1)[0])


def test_augmentation_is_seeded_by_film_and_epoch(blocks: Dataset) -> None:
    films = FilmSet(blocks, IDS, 64, squeeze)
    first = films.augmented(0, "light", (1, 0))[0]
    np.testing.assert_array_equal(first, films.augmented(0, "light", (1, 0))[0])
    assert not np.array_equal(first, films.augmented(0, "light", (1, 1))[0])


def test_films_that_are_not_there_are_named(blocks: Dataset) -> None:
    with pytest.raises(DatasetError, match="film-99"):
        FilmSet(blocks, ("film-00", "film-99"), 64, squeeze)


def test_a_positive_film_without_a_mask_is_not_learnt_as_negative(blocks: Dataset) -> None:
    films = tuple(replace(f, mask=None) if f.film_id == "film-01" else f for f in blocks.films)
    unmasked = replace(blocks, films=films)
    assert unmasked.by_id["film-01"].label == 1
    with pytest.raises(DatasetError, match=r"positive and have no mask.*film-01"):
        FilmSet(unmasked, ("film-00", "film-01"), 32, squeeze)


def test_a_half_of_another_film_takes_the_place_of_its_own(blocks: Dataset) -> None:
    films = FilmSet(blocks, IDS, 80, squeeze)
    image, mask = films.augmented(0, "none", (0, 0), Beforehand(other=1))
    own, others = films.get(0), films.get(1)
    halves = [(slice(None), slice(0, 30)), (slice(None), slice(50, 80))]
    kept = [np.array_equal(image[half], own[0][half]) for half in halves]
    assert sorted(kept) == [False, True]
    for half, is_own in zip(halves, kept, strict=True):
        np.testing.assert_array_equal(mask[half], (own if is_own else others)[1][half])
