"""The films behind the weights that a run starts from: refused where they are to be scored, else recorded."""

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from pleura.data.manifest import Dataset
from pleura.data.split import Split, divide_folds, make_split
from pleura.errors import LeakError
from pleura.inference.bundle import CARD_HASH_CHARACTERS, open_bundle
from pleura.inference.preprocess import InputSpec
from pleura.networks.encoder import read_shown
from pleura.training.cascade import train_plan
from pleura.training.cross_validate import cross_validate
from pleura.training.export import export
from pleura.training.recipe import Cascade, NetworkRecipe, Recipe
from pleura.training.run import RunFolder
from pleura.training.train import Report, train

RECIPE = Recipe(
    name="small",
    network=NetworkRecipe("unet", {"filters": [4, 8], "padded": True}),
    input=InputSpec(size=32),
    batch_size=4,
    epochs=1,
    keep_checkpoints=2,
    precision="32",
)


def started(init: object, recipe: Recipe = RECIPE) -> Recipe:
    return replace(recipe, network=replace(recipe.network, init=str(init)))


def hashes(dataset: Dataset, film_ids: tuple[str, ...]) -> set[str]:
    return {dataset.by_id[i].pixel_sha256[:CARD_HASH_CHARACTERS] for i in film_ids}


@pytest.fixture(scope="module")
def split(blocks: Dataset) -> Split:
    return make_split(blocks, seed=0, test_fraction=0.25, folds=2)


@pytest.fixture(scope="module")
def first(blocks: Dataset, split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has trained on the films of fold 1."""
    out = tmp_path_factory.mktemp("start") / "first"
    train(RECIPE, blocks, split, out, fold=0)
    return out


def test_weights_say_which_films_trained_them(first: Path, blocks: Dataset, split: Split) -> None:
    shown = hashes(blocks, split.part("train", 0))
    assert read_shown(first / "best.safetensors") == shown
    assert read_shown(first / "kept-0001.safetensors") == shown
    assert set(RunFolder(first).films_shown()) == shown


def test_films_that_trained_the_start_are_not_tuned_or_tested_on(
    first: Path, blocks: Dataset, split: Split, tmp_path: Path
) -> None:
    leaky, out = started(first / "best.safetensors"), tmp_path / "run"
    films = len(split.folds[1]) + len(split.test)
    with pytest.raises(LeakError, match=f"on {len(split.folds[1])} of the {films} films that tune"):
        train(leaky, blocks, split, out, fold=1)
    with pytest.raises(LeakError, match="that tune or test here"):
        train_plan(Cascade("c", RECIPE, leaky), blocks, split, out, fold=1)
    assert not out.exists()
    other = make_split(blocks, seed=3, test_fraction=0.25, folds=2)
    with pytest.raises(LeakError, match="that tune or test here"):
        train(leaky, blocks, other, out, fold=0)


def test_another_film_of_their_patients_is_theirs_too(
    first: Path, blocks: Dataset, split: Split, tmp_path: Path
) -> None:
    film_id = split.folds[1][0]
    patient = {f.film_id for f in blocks.films if f.patient_id == blocks.by_id[film_id].patient_id}
    both = patient & set(split.folds[1])
    assert len(both) == 2
    RunFolder(tmp_path, hashes(blocks, (film_id,))).save_best(load_file(first / "best.safetensors"))
    with pytest.raises(LeakError, match=f"on 2 of the {len(split.folds[1]) + len(split.test)}"):
        train(started(tmp_path / "best.safetensors"), blocks, split, tmp_path / "run", fold=1)


def test_they_stand_on_the_card_as_training_films(
    first: Path, blocks: Dataset, split: Split, tmp_path: Path
) -> None:
    """Even those of a run that has not trained on them itself, and of weights started from it."""
    weights = load_file(first / "best.safetensors")
    elsewhere = {"0123456789abcdef"}
    RunFolder(tmp_path, elsewhere).save_best(weights)
    train(started(tmp_path / "best.safetensors"), blocks, split, tmp_path / "a", fold=0)
    shown = hashes(blocks, split.part("train", 0)) | elsewhere
    assert read_shown(tmp_path / "a" / "best.safetensors") == shown
    train(started(tmp_path / "a" / "best.safetensors"), blocks, split, tmp_path / "b", fold=0)
    export([tmp_path / "b"], blocks, split, tmp_path / "bundle", device="cpu")
    part = open_bundle(tmp_path / "bundle").manifest.data_card["parts"]["train"]
    assert set(part["pixel_sha256"]) == shown
    assert part["films"] == len(split.part("train", 0))


def test_a_run_that_goes_on_knows_them_though_its_start_is_gone(
    first: Path, blocks: Dataset, split: Split, tmp_path: Path
) -> None:
    RunFolder(tmp_path, {"0123456789abcdef"}).save_best(load_file(first / "best.safetensors"))
    recipe = replace(started(tmp_path / "best.safetensors"), epochs=2, monitor="last")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, blocks, split, tmp_path / "run", fold=0, report=Report(epoch=_stop))
    (tmp_path / "best.safetensors").unlink()
    assert train(recipe, blocks, split, tmp_path / "run", fold=0).epoch == 2
    assert "0123456789abcdef" in read_shown(tmp_path / "run" / "best.safetensors")


def _stop(row: dict[str, object]) -> None:
    raise KeyboardInterrupt


def test_weights_that_do_not_say_it_start_as_before(
    first: Path, blocks: Dataset, split: Split, tmp_path: Path
) -> None:
    save_file(load_file(first / "best.safetensors"), tmp_path / "w.safetensors")
    assert read_shown(tmp_path / "w.safetensors") == set()
    train(started(tmp_path / "w.safetensors"), blocks, split, tmp_path / "run", fold=1)


def test_finer_folds_go_on_from_the_weights_that_saw_none_of_theirs(
    blocks: Dataset, split: Split, tmp_path: Path
) -> None:
    cross_validate(RECIPE, blocks, split, tmp_path / "two", device="cpu")
    fine = divide_folds(blocks, split, 2, seed=0)
    init = tmp_path / "two" / "fold-{fold//2}" / "best.safetensors"
    found = cross_validate(started(init), blocks, fine, tmp_path / "four", device="cpu")
    assert found.together.run.provenance.overlap == 0
    shown = hashes(blocks, fine.part("train", 1))
    assert read_shown(tmp_path / "four" / "fold-1" / "best.safetensors") == shown
