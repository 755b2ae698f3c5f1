"""Predictions of other tools: found by name, scored as any detector's, refused where they do not fit."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pleura.data.manifest import Dataset
from pleura.errors import EvaluationError
from pleura.evaluation.foreign import foreign_predictions
from pleura.evaluation.report import evaluate
from pleura.read.rle import encode_rle

HEAD = "ImageId,EncodedPixels\n"


def ids_of(dataset: Dataset):
    return tuple(film.film_id for film in dataset.films)


def test_a_submission_is_scored(blocks: Dataset, tmp_path):
    lines = []
    for film in blocks.films:
        mask = blocks.mask(film)
        if film.film_id == "film-00":
            mask &= False  # missed
        if film.film_id == "film-01":  # in two rows, as the challenge's annotations were
            upper = mask.copy()
            upper[np.flatnonzero(mask.any(1))[25] :] = False
            lines += [
                f"film-01.dcm,{encode_rle(upper)}",
                f"film-01.dcm,{encode_rle(mask & ~upper)}",
            ]
            continue
        lines.append(f"{film.film_id},{encode_rle(mask)}")
    path = tmp_path / "theirs.csv"
    path.write_text(HEAD + "\n".join(lines) + "\n")
    foreign = foreign_predictions(path, blocks, ids_of(blocks))
    found = evaluate(foreign, blocks, ids_of(blocks), part="tune", resamples=100)
    assert (found.numbers.tp, found.numbers.fn, found.numbers.fp) == (15, 1, 0)
    assert found.numbers.metrics["dice_positives"].value == 15 / 16
    assert found.run.model.name == "theirs"
    assert not found.run.calibrated
    assert "every score is 0 or 1" in " ".join(found.caveats)


def test_a_folder_of_masks_is_scored(blocks: Dataset, tmp_path):
    for film in blocks.films:
        cv2.imwrite(str(tmp_path / f"{film.film_id}.png"), blocks.mask(film).astype(np.uint8) * 255)
    foreign = foreign_predictions(tmp_path, blocks, ids_of(blocks))
    found = evaluate(foreign, blocks, ids_of(blocks), part="tune", resamples=100)
    assert found.numbers.metrics["competition_dice"].value == 1.0
    cv2.imwrite(str(tmp_path / "film-00.png"), np.zeros((20, 20), np.uint8))
    with pytest.raises(EvaluationError, match=r"film-00.*\(20, 20\), the film \(160, 160\)"):
        evaluate(foreign, blocks, ids_of(blocks), part="tune", resamples=100)
    (tmp_path / "film-00.png").write_bytes(b"nothing")
    with pytest.raises(
        EvaluationError, match=r"film-00: its predicted mask cannot be used \(.*film-00\.png"
    ):
        evaluate(foreign, blocks, ids_of(blocks), part="tune", resamples=100)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_masks_of_0_and_1_are_masks(blocks: Dataset, tmp_path, depth):
    for film in blocks.films:  # as nnU-Net writes them, and `pleura export-dataset` its labels
        cv2.imwrite(str(tmp_path / f"{film.film_id}.png"), blocks.mask(film).astype(depth))
    foreign = foreign_predictions(tmp_path, blocks, ids_of(blocks))
    for film in blocks.films:
        mask = foreign(blocks.radiograph(film)).mask
        assert np.array_equal(mask, blocks.mask(film))


@pytest.mark.parametrize(
    ("level", "says"),
    [(2, "neither 0/1 nor"), (60, "neither 0/1 nor"), ((0, 0, 255), "write it as a grey PNG")],
)
def test_masks_of_other_levels_are_refused(blocks: Dataset, tmp_path, level, says):
    film = blocks.by_id["film-00"]
    levels = np.zeros((160, 160, 3) if isinstance(level, tuple) else (160, 160), np.uint8)
    levels[blocks.mask(film)] = level  # a map of several labels, a faint or a red mask
    cv2.imwrite(str(tmp_path / "film-00.png"), levels)
    foreign = foreign_predictions(tmp_path, blocks, ("film-00",))
    with pytest.raises(EvaluationError, match=rf"film film-00: .*film-00\.png: .*{says}"):
        foreign(blocks.radiograph(film))


def test_two_corpora_with_equal_file_names(blocks: Dataset, tmp_path):
    """Films `film-00` and `b_film-00` come from a `film-00.png` each, `film-01` from `scan7.png`."""
    other = replace(blocks.by_id["film-00"], film_id="b_film-00", corpus="b")
    renamed = replace(blocks.by_id["film-01"], source_path="x/scan7.png", sop_instance_uid="1.2.3")
    both = replace(blocks, films=(blocks.by_id["film-00"], other, renamed))
    path = tmp_path / "theirs.csv"
    path.write_text(HEAD + "film-00,-1\nb_film-00,0 1\nscan7,-1\n")
    assert foreign_predictions(path, both, ids_of(both)).masks == {
        "film-00": "-1", "b_film-00": "0 1", "film-01": "-1",
    }  # fmt: skip
    path.write_text(HEAD + "film-00,-1\n1.2.3,-1\n")  # of one corpus only
    assert set(foreign_predictions(path, both, ("film-00", "film-01")).masks) == {
        "film-00", "film-01",
    }  # fmt: skip
    with pytest.raises(EvaluationError, match=r"for 1 of 3 films: b_film-00.*by its film_id"):
        foreign_predictions(path, both, ids_of(both))
    path.write_text(HEAD + "film-01,-1\nscan7,0 1\n")
    with pytest.raises(EvaluationError, match="film-01 is predicted under several names"):
        foreign_predictions(path, both, ("film-01",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "film-00,-1\n", "no prediction for 39 of 40 films: film-01"),
        ("a,b\n1,2\n", "is no submission"),
        (HEAD, "holds no row"),
        (HEAD + 'film-00,"1 2\n', "damaged"),
    ],
)
def test_submissions_that_do_not_fit(blocks: Dataset, tmp_path, text, says):
    path = tmp_path / "theirs.csv"
    path.write_text(text)
    with pytest.raises(EvaluationError, match=says):
        foreign_predictions(path, blocks, ids_of(blocks))


def test_damaged_run_lengths_name_the_film(blocks: Dataset, tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text(HEAD + "film-00,1 999999999\n")
    foreign = foreign_predictions(path, blocks, ("film-00",))
    with pytest.raises(EvaluationError, match="film film-00: its predicted mask"):
        foreign(blocks.radiograph(blocks.by_id["film-00"]))
    with pytest.raises(EvaluationError, match="does not exist"):
        foreign_predictions(tmp_path / "no", blocks, ("film-00",))
