"""A calibrator for a bundle: fitted, judged on films it was not fitted on, and moved."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_calibration import made_up, table_of

from pleura.data.manifest import Dataset
from pleura.errors import BundleError, EvaluationError
from pleura.evaluation.near_copies import copies_in_card
from pleura.evaluation.recalibrate import check_asked, moved, recalibrate, write_calibrated
from pleura.inference.bundle import (
    CARD_HASH_CHARACTERS,
    Bundle,
    BundleManifest,
    Member,
    open_bundle,
)
from pleura.inference.calibration import Calibrator
from pleura.inference.preprocess import InputSpec


def test_it_is_judged_on_other_films():
    p, y = made_up(1500, slope=0.4)
    found = recalibrate(table_of(p, y, 2).films, part="local")
    assert found.calibrator.slope == pytest.approx(0.4, abs=0.08)
    assert found.before.slope.high < 0.7
    assert found.after.slope.low < 1.0 < found.after.slope.high
    assert found.after.ece < found.before.ece


def test_the_prior_is_moved():
    p, y = made_up(400)
    films = table_of(p, y).films
    rare = recalibrate(films, part="local", prevalence=0.01).calibrator
    usual = recalibrate(films, part="local").calibrator
    assert rare.prevalence == 0.01
    assert float(rare(0.5)) < float(usual(0.5))
    assert moved(usual, 0.01) == rare
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        moved(usual, 1.5)
    with pytest.raises(EvaluationError, match="no calibrator"):
        moved(None, 0.1)
    with pytest.raises(EvaluationError, match="never chosen"):
        recalibrate(films, part="test")


def test_with_few_films_nothing_is_said_of_others():
    p, y = made_up(100, share=0.3)
    films = table_of(p, y).films
    ten = [f for f in films if f.label][:10] + [f for f in films if not f.label]
    found = recalibrate(ten, part="local")
    assert found.before is not None
    assert found.after is None
    (doubt,) = found.doubts
    assert (
        "not known: of the films without a fifth of the patients, none could be fitted (a" in doubt
    )


def test_scores_that_may_not_rise_with_the_target_are_doubted():
    p, y = made_up(400)
    assert recalibrate(table_of(p, y).films, part="local").doubts == ()
    rng = np.random.default_rng(1)
    chance = next(
        found
        for shuffled in (rng.permutation(y) for _ in range(50))
        if (found := fitted(table_of(p, shuffled).films)) is not None
    )
    assert "their slope" in chance.doubts[0]


def fitted(films):
    try:
        return recalibrate(films, part="local")
    except EvaluationError:
        return None


def test_the_card_lists_the_films_of_the_calibrator(blocks: Dataset, tmp_path: Path):
    films = blocks.films[:6]
    hashes = sorted(film.pixel_sha256[:CARD_HASH_CHARACTERS] for film in films)
    calibrator = Calibrator("platt", films=6, positives=2)
    train = {"films": 3, "thumbnails": ""}
    for card in ({}, {"parts": 7}, {"parts": {"train": train}, "seed": 1}):
        manifest = BundleManifest(
            "model", "1", (Member("none", {}, InputSpec(64)),), data_card=card
        )
        write_calibrated(tmp_path / "b", Bundle.in_memory(manifest, [b""]), calibrator, films)
        told = open_bundle(tmp_path / "b").manifest.data_card
        part = told["parts"]["calibrate"]
        assert (part["films"], part["positives"], part["patients"]) == (6, 3, 3)
        assert list(part["pixel_sha256"]) == hashes
        assert ("thumbnails" in part) == ("seed" in card)  # as its maker chose
    assert told["seed"] == 1
    assert told["parts"]["train"] == train
    assert copies_in_card(blocks.films, part["thumbnails"]) == {film.film_id for film in films}
    rare = calibrator.at_prevalence(0.01)  # the same films
    write_calibrated(tmp_path / "rare", open_bundle(tmp_path / "b"), rare)
    assert open_bundle(tmp_path / "rare").manifest.data_card == told


def test_what_could_not_be_written_is_said_before_films_are_scored(tmp_path: Path):
    for wrong in (0.0, 1.0, 1.5, float("nan")):
        with pytest.raises(EvaluationError, match="between 0 and 1"):
            check_asked(tmp_path / "new", wrong)
    (tmp_path / "folder").mkdir()
    check_asked(tmp_path / "folder", 0.1)  # empty
    (tmp_path / "folder" / "thesis.txt").write_text("all of it")
    (tmp_path / "file.zip").write_text("no zip")
    (tmp_path / "mixed").mkdir()
    for name in ("bundle.json", "thesis.txt"):
        (tmp_path / "mixed" / name).write_text("{}")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("photo.jpg", b"mine")
    for name in ("folder", "file.zip", "mixed", "photos.zip"):
        with pytest.raises(BundleError, match="exists and is no bundle"):
            check_asked(tmp_path / name, None)
