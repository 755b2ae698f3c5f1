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
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pleura.data.dataset import FilmSet
from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import LeakError, NonFiniteLoss, RecipeError, TrainingError, UnknownName
from pleura.inference.bundle import open_bundle
from pleura.inference.preprocess import InputSpec, squeeze
from pleura.networks import Output, create
from pleura.training import loop
from pleura.training.export import export
from pleura.training.fabric import choose_fabric
from pleura.training.loop import Average, Trainer
from pleura.training.recipe import LossTerm, NetworkRecipe, OptimizerRecipe, Recipe
from pleura.training.run import RunFolder
from pleura.training.sampling import epoch_size
from pleura.training.train import Report, repeated, train, trained_on

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


def test_corpora_that_a_recipe_does_without_are_not_trained_on(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    first, *others = blocks_split.part("train")
    films = {i: SimpleNamespace(corpus="far" if i == first else "near") for i in blocks.by_id}
    dataset = cast(Dataset, SimpleNamespace(by_id=films))
    assert trained_on(RECIPE, dataset, blocks_split, None) == (first, *others)
    without = replace(RECIPE, without_corpora=("far",))
    assert trained_on(without, dataset, blocks_split, None) == tuple(others)
    with pytest.raises(UnknownName, match="fra"):
        trained_on(replace(RECIPE, without_corpora=("fra",)), dataset, blocks_split, None)
    everything = replace(RECIPE, without_corpora=("blocks",))
    with pytest.raises(TrainingError, match="0 positive of 0"):
        train(everything, blocks, blocks_split, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_films_of_a_corpus_can_be_repeated(blocks: Dataset, blocks_split: Split) -> None:
    first, second, *_ = blocks_split.part("train")
    films = {i: SimpleNamespace(corpus="far" if i == first else "near") for i in blocks.by_id}
    dataset = cast(Dataset, SimpleNamespace(by_id=films))
    recipe = replace(RECIPE, repeat_corpora={"far": 3})
    assert repeated(recipe, dataset, (second, first)) == (second, first, first, first)
    with pytest.raises(UnknownName, match="fra"):
        repeated(replace(RECIPE, repeat_corpora={"fra": 3}), dataset, (first,))
    with pytest.raises(ValueError, match="far is at least 1; got 0"):
        replace(RECIPE, repeat_corpora={"far": 0})


def test_repeats_are_trained_on_and_not_counted_as_films(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=1, pictures_every=9, batch_size=1, repeat_corpora={"blocks": 2})
    shown = []
    train(
        recipe,
        blocks,
        blocks_split,
        tmp_path / "run",
        report=Report(films=lambda done, total: shown.append((done, total))),
    )
    films = blocks_split.part("train")
    once = epoch_size([int(blocks.by_id[i].label or 0) for i in films], 0.5)
    assert shown[-1] == (2 * once, 2 * once)
    assert trained_on(recipe, blocks, blocks_split, None) == films


def test_the_same_seed_gives_the_same_weights(
    whole: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    left = tmp_path / "again/.run.json.9999999.partial"  # of one that was killed as it began
    left.parent.mkdir()
    left.touch()
    train(RECIPE, blocks, blocks_split, tmp_path / "again")
    assert same(weights(whole), weights(tmp_path / "again"))
    assert not left.exists()


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
    env = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # as `whole` had
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env)
    deadline = time.monotonic() + 120
    while not (out / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert RunFolder(out).load_checkpoint() is not None
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert same(weights(whole), weights(out))


def test_ctrl_c_in_the_first_epoch_leaves_usable_weights(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, blocks, blocks_split, out, report=Report(films=interrupt))
    assert all(t.isfinite().all() for t in weights(out).values())
    with pytest.raises(TrainingError, match="--finish"):
        export([out], blocks, blocks_split, tmp_path / "bundle")
    train(RECIPE, blocks, blocks_split, out, finish=True)
    export([out], blocks, blocks_split, tmp_path / "bundle")
    training = open_bundle(tmp_path / "bundle").manifest.members[0].training
    assert training["start"] == {
        "encoder": "random",
        "sha256": None,
        "pretraining": None,
        "whole": False,
    }
    assert training["parameters"] > 1_000_000


def test_a_run_finished_early_goes_on_and_ends_the_same(
    whole: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    def interrupt(row: dict[str, Any]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, blocks, blocks_split, out, report=Report(epoch=interrupt))
    assert train(RECIPE, blocks, blocks_split, out, finish=True).epoch == 2
    assert (out / "operating_point.json").exists()
    assert train(RECIPE, blocks, blocks_split, out).epoch == 4
    assert same(weights(whole), weights(out))
    assert (out / "operating_point.json").read_text() == (
        whole / "operating_point.json"
    ).read_text()


def test_bf16_resumes_exactly_too(blocks: Dataset, blocks_split: Split, tmp_path: Path) -> None:
    recipe = replace(RECIPE, precision="bf16", epochs=2)

    def interrupt(row: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    train(recipe, blocks, blocks_split, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, blocks, blocks_split, tmp_path / "b", report=Report(epoch=interrupt))
    train(recipe, blocks, blocks_split, tmp_path / "b")
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_what_the_network_started_from_is_on_record(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    encoder = create("unet_timm", channels=1, size=64, **RECIPE.network.options).encoder
    recipe = replace(
        RECIPE,
        network=replace(RECIPE.network, init=str(tmp_path / "secret" / "e.safetensors")),
        epochs=1,
    )
    out = tmp_path / "run"
    with pytest.raises(RecipeError, match="does not exist"):
        train(recipe, blocks, blocks_split, out)
    assert not out.exists()  # so the same command works once the file is there
    (tmp_path / "secret").mkdir()
    save_file(encoder.state_dict(), tmp_path / "secret" / "e.safetensors")
    train(recipe, blocks, blocks_split, out)
    (tmp_path / "secret" / "e.safetensors").unlink()  # no longer needed to resume or export
    train(recipe, blocks, blocks_split, out)
    export([out], blocks, blocks_split, tmp_path / "bundle")
    training = open_bundle(tmp_path / "bundle").manifest.members[0].training
    assert training["start"]["encoder"] == "e.safetensors"
    assert len(training["start"]["sha256"]) == 64
    assert "secret" not in (tmp_path / "bundle" / "bundle.json").read_text()


def test_a_split_with_one_class_to_tune_on_is_refused_at_once(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    negatives = tuple(i for i in blocks_split.tune if blocks.by_id[i].label == 0)
    positives = tuple(i for i in blocks_split.tune if blocks.by_id[i].label == 1)
    lame = replace(blocks_split, tune=negatives, aside=(*blocks_split.aside, *positives))
    with pytest.raises(TrainingError, match="to tune on are 0 positive of"):
        train(RECIPE, blocks, lame, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_threads_are_told_where_it_trains_on(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    recipe, path = replace(RECIPE, epochs=2), tmp_path / "run" / "run.json"

    def stop(row: dict[str, object]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, blocks, blocks_split, path.parent, report=Report(epoch=stop))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"threads": 77}))

    def notes(*, finish: bool = False) -> list[str]:
        told: list[str] = []
        report = Report(note=told.append)
        train(recipe, blocks, blocks_split, path.parent, finish=finish, report=report)
        return told

    assert notes(finish=True) == []
    assert "OMP_NUM_THREADS=77" in notes()[0]
    assert notes() == []  # it has ended


class Pixelwise(torch.nn.Module):
    """A network without batch norm, so that a film's gradient does not depend on its batch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 1)
        )

    def forward(self, images: torch.Tensor) -> Output:
        return Output(self.layers(images))


def trainer(recipe: Recipe, blocks: Dataset, split: Split, out: Path) -> Trainer:
    out.mkdir()
    films = FilmSet(blocks, split.train, 64, squeeze)
    fabric = choose_fabric(recipe, "cpu")
    return Trainer(recipe, Pixelwise(), lambda _: (films, films), RunFolder(out), fabric)


@pytest.mark.parametrize("micro", [1, 2, 4, 5])
def test_micro_batches_give_the_gradient_of_the_whole_batch(
    micro: int,
    blocks: Dataset,
    blocks_split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gradients, totals = [], []
    for size in (None, micro):
        recipe = replace(RECIPE, micro_batch=size, clip_norm=None, ema_decay=None)
        made = trainer(recipe, blocks, blocks_split, tmp_path / f"micro-{size}")
        batch = next(iter(made.loader(np.arange(6))))
        monkeypatch.setattr(
            made.optimizer, "zero_grad", lambda: None
        )  # leaves them to be looked at
        totals.append(made.step(*batch))
        gradients.append([p.grad.clone() for p in made.network.module.parameters()])
    assert totals[0] == pytest.approx(totals[1], rel=1e-5)
    for whole_batch, summed in zip(*gradients, strict=True):
        assert float(whole_batch.abs().max()) > 0
        torch.testing.assert_close(whole_batch, summed, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_gradient_that_is_not_finite_stops_before_it_reaches_the_weights(
    clip_norm: float | None, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, clip_norm=clip_norm, ema_decay=None)
    made = trainer(recipe, blocks, blocks_split, tmp_path / "run")
    made.network.module.layers[2].weight.register_hook(lambda grad: grad * float("nan"))
    before = {k: v.clone() for k, v in made.network.module.state_dict().items()}
    with pytest.raises(NonFiniteLoss, match=r"gradient is not finite in epoch 1, step 1; .*film-"):
        made.step(*next(iter(made.loader(np.arange(6)))))
    assert same(before, made.network.module.state_dict())


def test_early_stopping(blocks: Dataset, blocks_split: Split, tmp_path: Path) -> None:
    slow = replace(RECIPE.optimizer, learning_rate=1e-12)
    recipe = replace(RECIPE, optimizer=slow, epochs=20, patience=2, monitor="dice_positive")
    state = train(recipe, blocks, blocks_split, tmp_path / "run")
    assert state.epoch - state.best_epoch == 2
    assert state.epoch < 20


def test_a_run_that_diverges_says_so(
    blocks: Dataset, blocks_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer(replace(RECIPE, ema_decay=None), blocks, blocks_split, tmp_path / "run")
    with torch.no_grad():
        made.network.module.layers[2].bias.fill_(float("nan"))
    monkeypatch.setattr(made, "step", lambda *_: 0.0)  # the last one went too far
    with pytest.raises(NonFiniteLoss, match=r"has diverged; lower optimizer\.learning_rate"):
        next(made.epochs())


def test_a_finished_run_is_not_trained_again(
    whole: Path, blocks: Dataset, blocks_split: Split
) -> None:
    before = (whole / "last.ckpt").stat().st_mtime_ns
    assert train(RECIPE, blocks, blocks_split, whole).epoch == 4
    assert (whole / "last.ckpt").stat().st_mtime_ns == before


def test_another_recipe_in_the_same_folder_is_refused(
    whole: Path, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"another run: epochs is 4 there and 5 here; give"):
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


@pytest.mark.parametrize("broken", [1, 3])
def test_a_score_that_is_not_finite_is_none(
    broken: int,
    blocks: Dataset,
    blocks_split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, calls = loop.tune, []

    def tune(*given: Any, **named: Any) -> Any:
        calls.append(1)
        found = real(*given, **named)
        return replace(found, loss=float("nan")) if len(calls) <= broken else found

    monkeypatch.setattr(loop, "tune", tune)
    recipe = replace(RECIPE, epochs=3, monitor="loss")
    if broken == 3:
        with pytest.raises(NonFiniteLoss, match="not finite in epoch 3, nor in any before"):
            train(recipe, blocks, blocks_split, tmp_path / "run")
        return
    state = train(recipe, blocks, blocks_split, tmp_path / "run")
    losses = [row["tune_loss"] for row in state.history]
    assert state.best_epoch == 2 + losses[1:].index(min(losses[1:]))
    assert state.best == -min(losses[1:])


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
    from pleura.training import start as module

    monkeypatch.setattr(module, "imagenet_weights", lambda name: None)
    notes: list[str] = []
    recipe = replace(RECIPE, network=replace(RECIPE.network, init="imagenet"), epochs=1)
    train(recipe, blocks, blocks_split, tmp_path / "run", report=Report(note=notes.append))
    assert "cannot be had from timm's hub" in notes[1]
    assert "--init FILE.safetensors" in notes[1]


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
