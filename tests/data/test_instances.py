"""Instances: rows where there are several, else connected regions; moved as their film is."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pleura.data.dataset import FilmSet
from pleura.data.instances import InstanceSet, components, padded, read_rows
from pleura.data.manifest import Dataset, dataset_description, mask_sha256, write_manifest
from pleura.errors import DatasetError
from pleura.finding import PNEUMOTHORAX
from pleura.inference.preprocess import squeeze
from pleura.read import encode_rle


@pytest.fixture
def marked(blocks: Dataset, tmp_path: Path) -> Dataset:
    """Three films of 160x160: two overlapping rows, one row of two regions and a speck, and none."""
    square = np.zeros((4, 160, 160), np.bool_)
    square[0, 20:60, 20:60] = True
    square[1, 40:80, 40:80] = True
    square[2, 10:50, 10:50] = True
    square[3, 100:130, 100:130] = True
    speck = np.zeros((160, 160), np.bool_)
    speck[150:152, 10:12] = True
    rows = {"two-rows": [square[0], square[1]], "one-row": [square[2] | square[3] | speck]}
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    films, table = [], []
    for name in ("two-rows", "one-row", "negative"):
        masks = rows.get(name, [])
        union = np.any(masks, axis=0) if masks else np.zeros((160, 160), np.bool_)
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), union.astype(np.uint8) * 200)
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), union.astype(np.uint8) * 255)
        table += [(name, n, encode_rle(mask)) for n, mask in enumerate(masks)] or [(name, 0, "-1")]
        films.append(
            replace(
                blocks.films[0],
                film_id=name,
                label=int(bool(masks)),
                image=f"images/{name}.png",
                mask=f"masks/{name}.png" if masks else None,
                mask_sha256=mask_sha256(union) if masks else None,
                annotations=len(masks),
            )
        )
    write_manifest(tmp_path / "manifest.csv", films)
    with (tmp_path / "annotations.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("film_id", "number", "rle"), *table])
    (tmp_path / "dataset.json").write_text(json.dumps(dataset_description(PNEUMOTHORAX, [])))
    return Dataset.open(tmp_path)


def made(dataset: Dataset, size: int = 80, min_px: int = 50) -> InstanceSet:
    names = [film.film_id for film in dataset.films]
    return InstanceSet(dataset, names, size, squeeze, min_px=min_px)


def areas(planes: np.ndarray) -> list[int]:
    return sorted((planes > 0).sum(axis=(1, 2)).tolist())


def test_several_rows_are_an_instance_each_and_may_overlap(marked: Dataset) -> None:
    planes = made(marked).planes(0)
    assert planes.dtype == np.uint8
    assert areas(planes) == [400, 400]  # 40 x 40 at half the size each, and 100 of them shared
    assert int((planes > 0).all(axis=0).sum()) == 100


def test_a_pixel_that_is_half_covered_is_in_the_mask_of_a_row_as_in_the_film_s(
    marked: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 21 to 60 of 160 px a side: at half the size the first row and column are covered by half."""
    mask = np.zeros((160, 160), np.bool_)
    mask[21:60, 20:60] = True
    cv2.imwrite(str(marked.root / "masks" / "two-rows.png"), mask.astype(np.uint8) * 255)
    rows = [encode_rle(mask & (np.arange(160) < 40)), encode_rle(mask & (np.arange(160) >= 40))]
    monkeypatch.setattr("pleura.data.instances.read_rows", lambda *_: {"two-rows": rows})
    films = made(marked)
    assert areas(films.planes(0)) == [200, 200]
    np.testing.assert_array_equal((films.planes(0) > 0).any(axis=0), films.get(0)[1] > 0)


def test_one_row_is_its_regions_without_the_specks(marked: Dataset) -> None:
    assert areas(made(marked).planes(1)) == [225, 400]
    assert areas(made(marked, min_px=1).planes(1)) == [1, 225, 400]
    assert areas(made(marked, min_px=300).planes(1)) == [400]
    assert areas(made(marked, min_px=9999).planes(1)) == [400]  # the largest is one all the same


def test_a_negative_film_has_none(marked: Dataset) -> None:
    assert made(marked).planes(2).shape == (0, 80, 80)


def test_instances_move_as_their_film_does(marked: Dataset) -> None:
    films = made(marked)
    names = [film.film_id for film in marked.films]
    plain = FilmSet(marked, names, 80, squeeze)
    for index in (0, 1):
        for seed in range(4):
            image, planes = films.augmented_planes(index, "light", (seed,))
            same, mask = plain.augmented(index, "light", (seed,))
            np.testing.assert_array_equal(image, same)
            union = (planes > 0).any(axis=0)
            off = union != (mask > 0)  # but for a pixel's rounding where rows meet, and the specks
            assert int(off.sum()) <= 12
    flipped = films.augmented_planes(0, "none", ())[1]
    np.testing.assert_array_equal(flipped, films.planes(0))


def test_a_film_set_without_instances_has_its_one_mask(marked: Dataset) -> None:
    films = FilmSet(marked, ["two-rows", "negative"], 80, squeeze)
    assert areas(films.planes(0)) == [700]
    assert areas(films.planes(1)) == [0]
    assert films.augmented_planes(0, "none", ())[1].shape == (1, 80, 80)


def test_regions_touching_at_a_corner_are_one() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[1:3, 1:3] = mask[3:5, 3:5] = 255
    assert areas(components(mask, 1)) == [8]
    assert components(np.zeros((8, 8), np.uint8), 1).shape == (0, 8, 8)
    assert areas(components(np.full((8, 8), 255, np.uint8), 1)) == [64]


def test_padding_makes_films_of_one_shape() -> None:
    two, none = np.full((2, 4, 4), 255, np.uint8), np.zeros((0, 4, 4), np.uint8)
    batch = padded([two, none])
    assert batch.shape == (2, 2, 4, 4)
    assert batch.dtype == np.float32
    assert batch.sum(axis=(1, 2, 3)).tolist() == [32.0, 0.0]
    assert padded([none]).shape == (1, 1, 4, 4)


def test_rows_that_contradict_the_manifest_are_an_error(marked: Dataset) -> None:
    path = marked.root / "annotations.csv"
    assert set(read_rows(marked, ["two-rows", "one-row"])) == {"two-rows"}
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:2]))
    with pytest.raises(DatasetError, match="has 1 rows of film two-rows, the manifest says 2"):
        made(marked)
    path.write_text("film_id,number\ntwo-rows,0\n")
    with pytest.raises(DatasetError, match="prepare the dataset again"):
        made(marked)
    path.unlink()
    with pytest.raises(DatasetError, match=r"annotations\.csv cannot be read"):
        made(marked)
    assert read_rows(marked, ["one-row"]) == {}
