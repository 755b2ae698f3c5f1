"""`start_share`: what is evaluated and kept lies between where a run began and where it came to."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file
from test_train import RECIPE, same, weights
from typer.testing import CliRunner

from pleura.cli import app
from pleura.data.dataset import FilmSet
from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import RecipeError
from pleura.inference.preprocess import squeeze
from pleura.training.average import between
from pleura.training.fabric import choose_fabric
from pleura.training.loop import Trainer
from pleura.training.recipe import NetworkRecipe, Recipe, read_recipe
from pleura.training.run import RunFolder
from pleura.training.start import build
from pleura.training.train import Report, train


@pytest.fixture(scope="module")
def began(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the whole network, as another run might have left them."""
    path = tmp_path_factory.mktemp("start") / "began.safetensors"
    torch.manual_seed(7)
    save_file(build(RECIPE).state_dict(), path)
    return path


def recipe(began: Path, share: float | None, *, ema_decay: float | None = 0.9) -> Recipe:
    network = NetworkRecipe(RECIPE.network.name, RECIPE.network.options, str(began))
    return replace(RECIPE, network=network, start_share=share, ema_decay=ema_decay, epochs=2)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("ema_decay", [0.9, None])
def test_the_kept_weights_lie_between_and_training_goes_on_as_without(
    began: Path, ema_decay: float | None, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    last = {"monitor": "last", "ema_decay": ema_decay}
    for name, share in (("without", None), ("with", 0.25)):
        made = replace(recipe(began, share), **last)
        train(made, blocks, blocks_split, tmp_path / name, fit=False)
    start, came, kept = load_file(began), weights(tmp_path / "without"), weights(tmp_path / "with")
    for name, tensor in came.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(kept[name], 0.25 * start[name] + 0.75 * tensor)
        else:
            assert torch.equal(kept[name], tensor)
    assert not same(kept, came)
    without, mixed = rows(tmp_path / "without"), rows(tmp_path / "with")
    assert [row["train_loss"] for row in mixed] == [row["train_loss"] for row in without]
    assert mixed[0]["tune_loss"] != without[0]["tune_loss"]  # of the weights that would be kept


def test_interrupted_it_goes_on_the_same_though_the_start_is_gone(
    began: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    moved = tmp_path / "began.safetensors"
    moved.write_bytes(began.read_bytes())
    train(recipe(moved, 0.5), blocks, blocks_split, tmp_path / "whole", fit=False)

    def stop(row: dict[str, object]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe(moved, 0.5), blocks, blocks_split, tmp_path / "cut", report=Report(epoch=stop))
    moved.unlink()
    train(recipe(moved, 0.5), blocks, blocks_split, tmp_path / "cut", fit=False)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_both_ends_lie_where_the_network_is_moved_to(
    began: Path,
    blocks: Dataset,
    blocks_split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = Fabric.setup

    def elsewhere(
        fabric: Fabric, network: torch.nn.Module, *optimizers: torch.optim.Optimizer
    ) -> Any:
        return setup(fabric, network.to("meta"), *optimizers, move_to_device=False)

    monkeypatch.setattr(Fabric, "setup", elsewhere)  # as a GPU would have it
    films = FilmSet(blocks, blocks_split.train, 64, squeeze)
    made = recipe(began, 0.5)
    trainer = Trainer(
        made, build(made), lambda _: (films, films), RunFolder(tmp_path), choose_fabric(made, "cpu")
    )
    assert {tensor.device.type for tensor in trainer.weights().values()} == {"meta"}


def test_counts_are_not_averaged() -> None:
    began = {"weight": torch.tensor([1.0]), "seen": torch.tensor(10)}
    came = {"weight": torch.tensor([2.0]), "seen": torch.tensor(30)}
    mixed = between(began, came, 0.25)
    assert (float(mixed["weight"]), int(mixed["seen"])) == (1.75, 30)
    mixed["seen"] += 1
    assert int(came["seen"]) == 30


def test_what_cannot_be_mixed_is_refused(
    began: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"start_share lies between 0 and 1; got 1\.5"):
        recipe(began, 1.5)
    with pytest.raises(ValueError, match=r"set network\.init to a file"):
        replace(RECIPE, start_share=0.5)
    encoder = {k: v for k, v in load_file(began).items() if k.startswith("encoder.")}
    save_file(encoder, tmp_path / "encoder.safetensors")
    with pytest.raises(
        RecipeError, match="start_share would mix what is learnt with random numbers"
    ):
        train(recipe(tmp_path / "encoder.safetensors", 0.5), blocks, blocks_split, tmp_path / "run")


def test_the_option_init_names_the_start_as_the_recipe_does(
    began: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(replace(RECIPE, epochs=1).to_yaml())
    blocks_split.save(tmp_path / "split.json")
    places = ["--data", blocks.root, "--split", tmp_path / "split.json", "--out", tmp_path / "run"]
    asked = ["train", tmp_path / "recipe.yaml", "start_share=0.5", "--init", began, *places]
    done = CliRunner().invoke(app, list(map(str, asked)))
    assert done.exit_code == 0, done.output
    made = RunFolder(tmp_path / "run").recipe()
    assert (made.network.init, made.start_share) == (str(began), 0.5)


def test_the_how_to_s_recipe_of_training_on_has_a_share() -> None:
    root = Path(__file__).parents[2]
    told = (root / "docs/how-to/own-films.md").read_text(encoding="utf-8")
    place = "weights/training/5-painted-collapses.yaml"
    assert place in told
    assert read_recipe(root / place, ["repeat_corpora={}"]).start_share == 0.5
