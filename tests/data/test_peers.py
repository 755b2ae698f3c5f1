"""A dataset as nnU-Net and COCO want it: what is where, and that masks come back."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pleura.data.manifest import Dataset
from pleura.data.peers import write_coco, write_nnunet
from pleura.data.peers.coco import regions, run_lengths
from pleura.data.split import Split, make_split
from pleura.errors import DatasetError


def from_counts(counts, size):
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(size, order="F")


def test_run_lengths_by_hand():
    mask = np.array([[0, 1], [1, 1], [0, 0]], bool)  # column by column: 0 1 0, 1 1 0
    assert run_lengths(mask) == [1, 1, 1, 2, 1]
    assert run_lengths(~mask) == [0, 1, 1, 1, 2, 1]
    assert run_lengths(mask & False) == [6]
    assert run_lengths(mask | True) == [0, 6]


def test_regions_are_annotations():
    mask = np.zeros((20, 30), bool)
    mask[2:5, 4:10] = True
    mask[10:12, 20:21] = True
    first, second = regions(mask)
    assert (first["bbox"], first["area"]) == ([4, 2, 6, 3], 18)
    assert (second["bbox"], second["area"]) == ([20, 10, 1, 2], 2)
    both = sum(from_counts(r["segmentation"]["counts"], (20, 30)) for r in (first, second))
    assert np.array_equal(both > 0, mask)
    assert regions(mask & False) == []


@pytest.mark.parametrize("write", [write_coco, write_nnunet])
def test_what_was_interrupted_is_not_taken_for_whole_and_is_written_anew(
    blocks: Dataset, blocks_split: Split, tmp_path, write
):
    def interrupt(done: int, _: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(blocks, blocks_split, tmp_path / "out", interrupt)
    finished = tmp_path / "out" / ("Dataset001_Pneumothorax" if write is write_nnunet else "")
    assert not finished.exists()
    assert len(list(tmp_path.rglob("*.partial"))) == 1
    write(blocks, blocks_split, tmp_path / "out")
    assert not list(tmp_path.rglob("*.partial"))
    assert len(list(tmp_path.rglob("*.png"))) >= len(blocks_split.train)


def test_coco(blocks: Dataset, blocks_split: Split, tmp_path):
    written = write_coco(blocks, blocks_split, tmp_path / "coco")
    assert written.films == {n: len(blocks_split.part(n)) for n in ("train", "tune", "test")}
    found = json.loads((tmp_path / "coco" / "instances_tune.json").read_text())
    assert found["categories"] == [{"id": 1, "name": "Pneumothorax"}]
    positives = sum(blocks.by_id[i].label == 1 for i in blocks_split.tune)
    assert len(found["annotations"]) == positives
    note = found["annotations"][0]
    image = next(i for i in found["images"] if i["id"] == note["image_id"])
    film = blocks.by_id[image["file_name"].removesuffix(".png")]
    assert np.array_equal(
        from_counts(note["segmentation"]["counts"], (160, 160)), blocks.mask(film)
    )
    pixels = cv2.imread(str(tmp_path / "coco" / "tune" / image["file_name"]), cv2.IMREAD_UNCHANGED)
    assert pixels == pytest.approx(blocks.pixels(film) * 255)
    with pytest.raises(DatasetError, match="not empty"):
        write_coco(blocks, blocks_split, tmp_path / "coco")
    assert [path.name for path in tmp_path.iterdir()] == ["coco"]
    with pytest.raises(DatasetError, match="without folds"):
        write_coco(blocks, make_split(blocks, seed=0, folds=3), tmp_path / "other")


def test_nnunet(blocks: Dataset, tmp_path):
    split = make_split(blocks, seed=0, folds=3)
    seen = []
    write_nnunet(blocks, split, tmp_path / "raw", lambda *at: seen.append(at))
    folder = tmp_path / "raw" / "Dataset001_Pneumothorax"
    described = json.loads((folder / "dataset.json").read_text())
    assert described["labels"] == {"background": 0, "Pneumothorax": 1}
    assert (
        described["numTraining"]
        == len(list((folder / "imagesTr").iterdir()))
        == 40 - len(split.test)
    )
    assert {p.stem for p in (folder / "labelsTs").iterdir()} == set(split.test)
    folds = json.loads((folder / "splits_final.json").read_text())
    assert [set(f["val"]) for f in folds] == [set(f) for f in split.folds]
    assert not set(folds[0]["train"]) & set(folds[0]["val"])
    film = next(f for f in blocks.films if f.label == 1 and f.film_id not in split.test)
    label = cv2.imread(str(folder / "labelsTr" / f"{film.film_id}.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(label, blocks.mask(film).astype(np.uint8))
    assert (folder / "imagesTr" / f"{film.film_id}_0000.png").exists()
    assert seen[-1] == (40, 40)


def test_a_positive_film_without_a_mask_is_no_negative(
    blocks: Dataset, blocks_split: Split, tmp_path
):
    films = tuple(replace(f, mask=None) if f.film_id == "film-00" else f for f in blocks.films)
    broken = replace(blocks, films=films)
    with pytest.raises(
        DatasetError, match="1 films are labelled positive and have no mask: film-00"
    ):
        write_nnunet(broken, blocks_split, tmp_path / "raw")
