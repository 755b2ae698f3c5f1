"""Cross-validation: every film judged once, by a model that never saw it, at another folds' threshold."""

import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pleura.data.manifest import Dataset
from pleura.data.split import Split, make_split
from pleura.errors import EvaluationError, TrainingError
from pleura.evaluation.comparison import read_entrants
from pleura.evaluation.run import count_openings
from pleura.inference.bundle import open_bundle
from pleura.training.cross_validate import cross_validate, export_folds, split_of, train_fold
from pleura.training.out_of_fold import PART
from pleura.training.recipe import find_recipe, read_recipe
from pleura.training.train import train

TINY = (
    "input.size=64",
    "network.init=random",
    "epochs=2",
    "tune_every=2",
    "monitor=auc",
    "patience=1",
    "batch_size=8",
)


def test_every_film_is_judged_by_the_model_that_never_saw_it(
    blocks: Dataset, tmp_path: Path
) -> None:
    split = make_split(blocks, seed=0, test_fraction=0.25, folds=2)
    recipe = read_recipe(find_recipe("light"), TINY)
    began: list[int] = []
    opened = count_openings(blocks.root)
    train_fold(
        recipe, blocks, split, tmp_path / "cv", 1, device="cpu"
    )  # by itself, before the others
    trained = (tmp_path / "cv" / "fold-1" / "best.safetensors").stat().st_mtime_ns
    with pytest.raises(TrainingError, match="no fold 2 to train: the split has 2"):
        train_fold(recipe, blocks, split, tmp_path / "cv", 2, device="cpu")
    found = cross_validate(
        recipe, blocks, split, tmp_path / "cv", device="cpu", fold_begins=began.append
    )
    assert began == [0, 1]
    assert (tmp_path / "cv" / "fold-1" / "best.safetensors").stat().st_mtime_ns == trained
    development = sorted(i for fold in split.folds for i in fold)
    assert sorted(score.film_id for score in found.together.scores) == development
    assert [n.films for n in found.folds] == [len(fold) for fold in split.folds]
    assert found.together.run.provenance.overlap == 0
    assert found.together.run.model.version == "2 folds"
    out = tmp_path / "cv" / PART
    facts = json.loads((out / "evaluation.json").read_text())
    assert len(facts["folds"]) == 2
    point = json.loads((out / "operating_point.json").read_text())
    assert point["n"] == len(development)
    assert point["point"]["fitted_on"] == PART
    assert (out / "report.html").stat().st_size > 10_000
    aims = json.loads((out / "aims.json").read_text())
    by_recipe = next(one for one in aims if one["aim"] == "competition Dice")
    competition = found.together.numbers.metrics["competition_dice"].value
    assert by_recipe["competition_dice"] == pytest.approx(competition)
    assert count_openings(blocks.root) == opened

    fitted_elsewhere = open_bundle(tmp_path / "cv" / "bundles" / "fold-0").manifest
    assert fitted_elsewhere.operating_point.fitted_on == PART
    assert fitted_elsewhere.metrics[PART]["n"] == len(split.folds[1])

    kept = (tmp_path / "cv" / "scores" / "fold-0" / "films.csv").read_bytes()
    again = cross_validate(recipe, blocks, split, tmp_path / "cv", device="cpu")
    assert (tmp_path / "cv" / "scores" / "fold-0" / "films.csv").read_bytes() == kept
    assert again.together.facts() == found.together.facts()
    with pytest.raises(EvaluationError, match="given twice"):
        read_entrants([out, out])


def test_all_folds_make_one_bundle_with_what_was_fitted_out_of_fold(
    blocks: Dataset, tmp_path: Path
) -> None:
    split = make_split(blocks, seed=0, test_fraction=0.25, folds=2)
    recipe = read_recipe(find_recipe("light"), TINY)
    with pytest.raises(TrainingError, match="no finished cross-validation"):
        export_folds(tmp_path / "cv", blocks, split, tmp_path / "bundle")
    cross_validate(recipe, blocks, split, tmp_path / "cv", device="cpu")
    export_folds(tmp_path / "cv", blocks, split, tmp_path / "bundle", name="both")
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert (manifest.name, len(manifest.members), manifest.combination) == ("both", 2, "mean")
    kept = split_of(tmp_path / "cv", blocks.root)  # wherever the split lay that it was made of
    assert Split.load(kept) == split
    assert split_of(tmp_path / "cv" / "fold-0", blocks.root) == blocks.root / "split.json"
    with pytest.raises(TrainingError, match="give that of the hash " + split.sha256[:16]):
        export_folds(tmp_path / "cv", blocks, replace(split, seed=9), tmp_path / "bundle")
    development = {i for fold in split.folds for i in fold}
    point = json.loads((tmp_path / "cv" / PART / "operating_point.json").read_text())
    assert asdict(manifest.operating_point) == point["point"]
    parts = manifest.data_card["parts"]
    assert parts["train"]["films"] == len(development)  # each film trained one of the two
    assert parts["tune"]["films"] == 0
    log = (tmp_path / "cv" / "fold-0" / "log.csv").read_text().splitlines()
    assert len(log) == 3  # neither patience nor the monitor ends or chooses anything
    assert [line.split(",")[7] for line in log] == ["auc", "", log[2].split(",")[7]]
    assert log[2].split(",")[8] == "1"


def weights_of(folder: Path) -> list[dict[str, str]]:
    """The checksums of the weights in the bundle of each fold."""
    places = [folder / "bundles" / f"fold-{fold}" / "bundle.json" for fold in (0, 1)]
    return [json.loads(place.read_text())["files"] for place in places]


def test_folds_trained_anew_are_scored_anew(blocks: Dataset, tmp_path: Path) -> None:
    split, cv = make_split(blocks, seed=0, test_fraction=0.25, folds=2), tmp_path / "cv"
    first, other = (read_recipe(find_recipe("light"), [*TINY, f"seed={n}"]) for n in (0, 1))
    found = cross_validate(first, blocks, split, cv, device="cpu")
    before = weights_of(cv)
    shutil.rmtree(cv / "fold-1")
    train(other.to_the_end(), blocks, split, cv / "fold-1", fold=1, fit=False)
    with pytest.raises(TrainingError, match="is of other weights than the folds hold now"):
        export_folds(cv, blocks, split, tmp_path / "bundle")
    shutil.rmtree(cv / "fold-0")
    again = cross_validate(other, blocks, split, cv, device="cpu")
    best = [(cv / f"fold-{fold}" / "best.safetensors").read_bytes() for fold in (0, 1)]
    hashes = [{"weights.safetensors": hashlib.sha256(one).hexdigest()} for one in best]
    assert weights_of(cv) == hashes != before
    assert again.together.run.model.sha256 != found.together.run.model.sha256
    fresh = cross_validate(other, blocks, split, tmp_path / "fresh", device="cpu")
    scores = [[one.presence_score for one in made.together.scores] for made in (again, fresh)]
    assert scores[0] == scores[1]
    export_folds(cv, blocks, split, tmp_path / "bundle")


def test_a_folder_that_does_not_say_what_it_was_made_of(blocks: Dataset, tmp_path: Path) -> None:
    """One of before: its bundles hold the weights that it was made of."""
    split, cv = make_split(blocks, seed=0, test_fraction=0.25, folds=2), tmp_path / "cv"
    recipe = read_recipe(find_recipe("light"), TINY)
    found = cross_validate(recipe, blocks, split, cv, device="cpu")
    (cv / "bundles" / "made-of.json").unlink()
    export_folds(cv, blocks, split, tmp_path / "bundle")
    again = cross_validate(recipe, blocks, split, cv, device="cpu")
    assert again.together.numbers == found.together.numbers
    (cv / "bundles" / "made-of.json").unlink()
    shutil.copy(cv / "fold-1" / "best.safetensors", cv / "fold-0")
    with pytest.raises(TrainingError, match="is of other weights"):
        export_folds(cv, blocks, split, tmp_path / "other")


def test_a_split_without_folds_is_refused(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    recipe = read_recipe(find_recipe("light"), TINY)
    with pytest.raises(TrainingError, match="no folds to validate across"):
        cross_validate(recipe, blocks, blocks_split, tmp_path / "cv")
