"""Training: learns, resumes exactly, stops where it should, and leaves what a person needs."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from safetensors.torch import load_file

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import LeakError, NonFiniteLoss, RecipeError, TrainingError, UnknownName
from pleura.inference.preprocess import InputSpec
from pleura.training.loop import Average
from pleura.training.recipe import LossTerm, NetworkRecipe, OptimizerRecipe, Recipe
from pleura.training.run import RunFolder
from pleura.training.train import Report, train

RECIPE = Recipe(
    name="blocks",
    network=NetworkRecipe(
        "unet_timm", {"encoder": "resnet10t", "decoder_channels": [16, 16, 8, 8, 8]}
    ),
    input=InputSpec(size=64),
    optimizer=OptimizerRecipe(learning_rate=3e-3, schedule="cosine"),
    augmentation="light",
    positive_share=0.5,
    batch_size=6,
    epochs=4,
    patience=None,
    ema_decay=0.9,
    precision="32",
    pictures_every=2,
)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "best.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def whole(blocks: Dataset, blocks_split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never interrupted."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(RECIPE, blocks, blocks_split, out)
    return out


def test_a_run_leaves_what_a_person_needs(whole: Path) -> None:
    with (whole / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert {"curves.png", "tuning-0001.png", "tuning-0002.png", "tuning-0004.png"} <= {
        path.name for path in whole.iterdir()
    }
    assert cv2.imread(str(whole / "tuning-0004.png")).shape[1] > 4 * 200
    point = json.loads((whole / "operating_point.json").read_text())
    assert point["point"]["fitted_on"] == "tune"
    assert list((whole / "tensorboard").iterdir())
    assert not list(whole.rglob("*.partial"))
    modes = {(whole / name).stat().st_mode for name in ("best.safetensors", "last.ckpt", "log.csv")}
    assert len(modes) == 1  # whoever may read the log may read the weights


def test_the_same_seed_gives_the_same_weights(
    whole: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    train(RECIPE, blocks, blocks_split, tmp_path / "again")
    assert same(weights(whole), weights(tmp_path / "again"))


def test_interrupted_and_resumed_is_the_same_as_never_interrupted(
    whole: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    out = tmp_path / "run"

    def interrupt(row: dict[str, Any]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, blocks, blocks_split, out, report=Report(epoch=interrupt))
    assert (out / "best.safetensors").exists()
    assert not (out / "operating_point.json").exists()
    state = train(RECIPE, blocks, blocks_split, out)
    assert state.epoch == 4
    assert same(weights(whole), weights(out))
    last, last_whole = (RunFolder(f).load_checkpoint() for f in (out, whole))
    assert last is not None
    assert last_whole is not None
    assert same(last["network"], last_whole["network"])
    kept = [[{k: v for k, v in row.items() if "second" not in k} for row in s["history"]]
            for s in (last, last_whole)]  # fmt: skip
    assert kept[0] == kept[1]


@pytest.mark.slow
def test_killed_and_resumed_is_the_same_as_never_killed(
    whole: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    out, recipe, split = tmp_path / "run", tmp_path / "blocks.yaml", tmp_path / "split.json"
    recipe.write_text(RECIPE.to_yaml())
    blocks_split.save(split)
    command = [sys.executable, "-m", "pleura.cli", "train", str(recipe), "--data", str(blocks.root)]
    command += ["--out", str(out), "--split", str(split)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert RunFolder(out).load_checkpoint() is not None
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert same(weights(whole), weights(out))


def test_ctrl_c_in_the_first_epoch_leaves_usable_weights(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, blocks, blocks_split, tmp_path / "run", report=Report(films=interrupt))
    assert all(t.isfinite().all() for t in weights(tmp_path / "run").values())


def test_micro_batches_give_the_gradient_of_the_whole_batch(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    # Batch norm sees each micro-batch by itself, so a network without it shows the rest is equal.
    options = {"encoder": "convnext_atto", "decoder_channels": [8, 8, 8, 8, 8]}
    recipe = replace(RECIPE, network=NetworkRecipe("unet_timm", options), epochs=1, ema_decay=None)
    losses = []
    for micro in (None, 2):
        out = tmp_path / f"micro-{micro}"
        state = train(replace(recipe, micro_batch=micro), blocks, blocks_split, out)
        losses.append(state.history[0]["train_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_early_stopping(blocks: Dataset, blocks_split: Split, tmp_path: Path) -> None:
    slow = replace(RECIPE.optimizer, learning_rate=1e-12)
    recipe = replace(RECIPE, optimizer=slow, epochs=20, patience=2, monitor="dice_positive")
    state = train(recipe, blocks, blocks_split, tmp_path / "run")
    assert state.epoch - state.best_epoch == 2
    assert state.epoch < 20


def test_a_finished_run_is_not_trained_again(
    whole: Path, blocks: Dataset, blocks_split: Split
) -> None:
    before = (whole / "last.ckpt").stat().st_mtime_ns
    assert train(RECIPE, blocks, blocks_split, whole).epoch == 4
    assert (whole / "last.ckpt").stat().st_mtime_ns == before


def test_another_recipe_in_the_same_folder_is_refused(
    whole: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"another run \(its recipe differ"):
        train(replace(RECIPE, epochs=5), blocks, blocks_split, whole)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    with pytest.raises(TrainingError, match="is not empty and holds no run"):
        train(RECIPE, blocks, blocks_split, tmp_path / "mine")


def test_a_leak_makes_training_refuse(blocks: Dataset, leaky_split: Split, tmp_path: Path) -> None:
    with pytest.raises(LeakError, match="leaks between its parts"):
        train(RECIPE, blocks, leaky_split, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_names_the_films(
    blocks: Dataset, blocks_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pleura.training import losses

    def broken(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        return logits.mean(dim=(1, 2, 3)) * torch.tensor(float("nan"))

    monkeypatch.setitem(losses.LOSSES, "broken", broken)  # type: ignore[arg-type]
    recipe = replace(RECIPE, loss=(LossTerm("broken"),))
    with pytest.raises(NonFiniteLoss, match=r"epoch 1, step 1; .*film-\d\d \(nan\)"):
        train(recipe, blocks, blocks_split, tmp_path / "run")


def test_names_are_checked_before_any_work(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    for recipe, says in (
        (replace(RECIPE, augmentation="ligth"), "Did you mean 'light'"),
        (replace(RECIPE, loss=(LossTerm("dicee"),)), "Did you mean 'dice'"),
    ):
        with pytest.raises(UnknownName, match=says):
            train(recipe, blocks, blocks_split, tmp_path / "run")
    with pytest.raises(UnknownName, match="device"):
        train(RECIPE, blocks, blocks_split, tmp_path / "run", device="tpu")
    missing = replace(RECIPE, network=replace(RECIPE.network, init="none.safetensors"))
    with pytest.raises(RecipeError, match="does not exist"):
        train(missing, blocks, blocks_split, tmp_path / "run")


def test_without_a_hub_imagenet_becomes_random_and_says_so(
    blocks: Dataset, blocks_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pleura.training import train as module

    monkeypatch.setattr(module, "imagenet_weights", lambda name: None)
    notes: list[str] = []
    recipe = replace(RECIPE, network=replace(RECIPE.network, init="imagenet"), epochs=1)
    train(recipe, blocks, blocks_split, tmp_path / "run", report=Report(note=notes.append))
    assert "timm's hub is out of reach" in notes[0]
    assert "--init FILE.safetensors" in notes[0]


def test_a_damaged_checkpoint_is_named(whole: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.load_checkpoint() is None
    folder.last.write_bytes((whole / "last.ckpt").read_bytes()[:1000])
    with pytest.raises(TrainingError, match="is damaged"):
        folder.load_checkpoint()


def test_the_average_rises_to_its_decay() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 0.0)
    average = Average(layer, 0.5)
    torch.nn.init.constant_(layer.weight, 1.0)
    average.update(layer, 1)  # decay 2/11
    assert float(average.tensors["weight"]) == pytest.approx(9 / 11)
    average.update(layer, 100)  # decay 0.5
    assert float(average.tensors["weight"]) == pytest.approx(9 / 11 + (1 - 9 / 11) / 2)
