"""Runs in phases, and the checkpoints they keep."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pleura.data.manifest import Dataset
from pleura.data.split import Split, make_split
from pleura.inference.bundle import open_bundle
from pleura.inference.preprocess import InputSpec
from pleura.training.cross_validate import cross_validate, export_folds
from pleura.training.export import export
from pleura.training.loop import Trainer
from pleura.training.recipe import LossTerm, NetworkRecipe, OptimizerRecipe, Phase, Recipe
from pleura.training.run import RunFolder
from pleura.training.train import Report, train

SMALL = {
    "encoder": "mobilenetv3_small_050",
    "decoder_channels": [8, 8, 8, 8, 8],
    "presence_head": True,
}
RECIPE = Recipe(
    name="phases",
    network=NetworkRecipe("unet_timm", SMALL),
    input=InputSpec(size=64),
    batch_size=6,
    epochs=5,
    ema_decay=0.9,
    precision="32",
    pictures_every=99,
    phases=(
        Phase(
            "presence",
            2,
            size=96,
            loss=(LossTerm("bce", on="presence"),),
            optimizer=OptimizerRecipe(learning_rate=3e-3),
            positive_share=0.5,
            monitor="loss",
        ),
        Phase(
            "mask",
            3,
            loss=(LossTerm("bce_dice"), LossTerm("bce", 0.1, on="presence")),
            optimizer=OptimizerRecipe("adam", 1e-3, schedule="cosine"),
            monitor="competition_dice",
            frozen_stages=1,
        ),
    ),
)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open() as file:
        return list(csv.DictReader(file))


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class Snapshots:
    """The best weights after each epoch, and a Ctrl-C after one of them."""

    def __init__(self, out: Path, stop_after: int | None = None) -> None:
        self.out, self.stop_after = out, stop_after
        self.best: dict[int, dict[str, torch.Tensor]] = {}

    def __call__(self, row: dict[str, Any]) -> None:
        self.best[row["epoch"]] = load_file(self.out / "best.safetensors")
        if row["epoch"] == self.stop_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module", autouse=True)
def _no_curves() -> Iterator[None]:
    """Drawing them takes longer than these epochs."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pleura.training.train.draw_curves", lambda history, path: None)
        yield


@pytest.fixture(scope="module")
def whole(
    blocks: Dataset, blocks_split: Split, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Snapshots]:
    out = tmp_path_factory.mktemp("phases") / "whole"
    seen = Snapshots(out)
    train(RECIPE, blocks, blocks_split, out, report=Report(epoch=seen))
    return out, seen


def test_what_the_second_phase_freezes_is_as_the_first_left_it(
    whole: tuple[Path, Snapshots],
) -> None:
    first, last = whole[1].best[2], whole[1].best[5]
    stem = [name for name in first if name.startswith("encoder.conv_stem")]
    assert stem
    assert all(torch.equal(first[name], last[name]) for name in stem)
    later = "encoder.blocks.3.0.conv_pw.weight"
    assert not torch.equal(first[later], last[later])


def test_each_phase_has_its_own_films_rate_and_loss(
    whole: tuple[Path, Snapshots], blocks: Dataset, blocks_split: Split
) -> None:
    out, seen = whole
    log = rows(out)
    assert [row["phase"] for row in log] == ["presence"] * 2 + ["mask"] * 3
    assert [int(row["epoch"]) for row in log] == [1, 2, 3, 4, 5]
    rates = [float(row["learning_rate"]) for row in log]
    assert rates[:2] == [3e-3, 3e-3]
    assert 1e-3 >= rates[2] > rates[3] > rates[4]
    decoder = [k for k in seen.best[2] if k.startswith("decoder") and k.endswith("conv.weight")]
    decoder = decoder or [k for k in seen.best[2] if "decoder" in k and "weight" in k]
    moved = [not torch.equal(seen.best[1][k], seen.best[2][k]) for k in decoder]
    assert decoder
    assert not any(moved)  # presence alone says nothing of the mask
    assert any(not torch.equal(seen.best[2][k], seen.best[5][k]) for k in decoder)


def test_each_phase_sees_films_at_its_size_and_the_model_at_the_last(
    blocks: Dataset, blocks_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    step = Trainer.step

    def recorded(self: Trainer, images: Tensor, masks: Tensor, indices: Tensor) -> float:
        seen.append((self.state.phase, images.shape[-1]))
        assert masks.shape[-1] == images.shape[-1]
        return step(self, images, masks, indices)

    monkeypatch.setattr(Trainer, "step", recorded)
    train(RECIPE, blocks, blocks_split, tmp_path / "run")
    assert set(seen) == {(0, 96), (1, 64)}
    export([tmp_path / "run"], blocks, blocks_split, tmp_path / "bundle", graph=None)
    assert open_bundle(tmp_path / "bundle").manifest.members[0].input.size == 64


def test_progress_counts_the_films_of_all_phases(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    calls: list[tuple[int, int]] = []
    report = Report(films=lambda done, total: calls.append((done, total)))
    train(RECIPE, blocks, blocks_split, tmp_path / "run", report=report)
    done = [each for each, _ in calls]
    assert done == sorted(done)
    assert calls[-1][0] == calls[-1][1]
    assert len({total for _, total in calls}) == 1


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_interrupted_anywhere_and_resumed_is_the_same(
    stop_after: int,
    whole: tuple[Path, Snapshots],
    blocks: Dataset,
    blocks_split: Split,
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, blocks, blocks_split, out, report=Report(epoch=Snapshots(out, stop_after)))
    train(RECIPE, blocks, blocks_split, out)
    assert same(load_file(out / "best.safetensors"), load_file(whole[0] / "best.safetensors"))
    networks = [RunFolder(folder).load_checkpoint() for folder in (out, whole[0])]
    assert all(networks)
    assert same(networks[0]["network"], networks[1]["network"])  # type: ignore[index]


def test_killed_after_a_new_phase_replaced_the_best_weights(
    whole: tuple[Path, Snapshots],
    blocks: Dataset,
    blocks_split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The phase's start must not be sought in a file that its own first epoch writes."""
    out, save = tmp_path / "run", RunFolder.save_checkpoint

    def killed(self: RunFolder, state: dict[str, Any]) -> None:
        if state["epoch"] == 3:
            raise KeyboardInterrupt
        save(self, state)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            train(RECIPE, blocks, blocks_split, out)
    assert not same(load_file(out / "best.safetensors"), whole[1].best[2])
    train(RECIPE, blocks, blocks_split, out)
    assert same(load_file(out / "best.safetensors"), load_file(whole[0] / "best.safetensors"))


def test_a_phase_that_no_longer_improves_makes_way_for_the_next(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    still = replace(
        RECIPE.phases[0],
        epochs=6,
        patience=2,
        optimizer=OptimizerRecipe(learning_rate=1e-12),
        monitor="competition_dice",
    )
    recipe = replace(RECIPE, epochs=7, phases=(still, replace(RECIPE.phases[1], epochs=1)))
    state = train(recipe, blocks, blocks_split, tmp_path / "run")
    names = [row["phase"] for row in rows(tmp_path / "run")]
    assert names[-1] == "mask"
    assert names.count("mask") == 1
    assert 3 <= names.count("presence") < 6
    assert state.phase == 1


def test_patience_begins_when_a_phase_is_first_scored(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    """Films are scored after epochs 4 and 5 of the first phase, 8 of the second, and its last."""
    still = OptimizerRecipe(learning_rate=1e-12)
    phases = tuple(
        replace(phase, epochs=5, size=64, patience=2, optimizer=still, monitor="loss")
        for phase in RECIPE.phases
    )
    recipe = replace(RECIPE, epochs=10, phases=phases, tune_every=4)
    out = tmp_path / "run"
    state = train(recipe, blocks, blocks_split, out)
    assert [int(row["epoch"]) for row in rows(out) if row["tune_loss"]][:3] == [4, 5, 8]
    assert [row["phase"] for row in rows(out)][:6] == ["presence"] * 5 + ["mask"]
    assert state.best_epoch >= 8
    assert (out / "operating_point.json").exists()


def test_patience_ends_with_an_epoch_that_was_scored(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    """Films are scored after epochs 3 and 6; that 4 and 5 were no better, nobody knows."""
    still = OptimizerRecipe(learning_rate=1e-12)
    recipe = replace(
        PLAIN, optimizer=still, monitor="competition_dice", ema_decay=None, patience=1, tune_every=3
    )
    state = train(replace(recipe, epochs=8), blocks, blocks_split, tmp_path / "run", fit=False)
    assert (state.best_epoch, state.epoch) == (3, 6)


PLAIN = replace(RECIPE, phases=(), loss=(LossTerm("bce_dice"),), keep_checkpoints=2, patience=None)


def kept(out: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("kept-")) for path in out.glob("kept-*.safetensors"))


def test_the_best_checkpoints_are_kept_and_averaged(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    recipe = replace(PLAIN, monitor="loss", flip=True)
    train(recipe, blocks, blocks_split, out)
    losses = [float(row["tune_loss"]) for row in rows(out)]
    best = sorted(range(5), key=losses.__getitem__)[:2]
    assert kept(out) == sorted(epoch + 1 for epoch in best)
    assert same(
        load_file(out / f"kept-{best[0] + 1:04d}.safetensors"), load_file(out / "best.safetensors")
    )
    export([out], blocks, blocks_split, tmp_path / "bundle")
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert (manifest.name, manifest.combination, manifest.flip) == ("phases", "mean", True)
    assert manifest.operating_point.fitted_on == "tune"


def test_what_a_crash_left_behind_is_not_averaged(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    recipe = replace(PLAIN, epochs=3)
    train(recipe, blocks, blocks_split, out)
    before = kept(out)
    (out / "kept-0099.safetensors").write_bytes((out / "best.safetensors").read_bytes())
    train(recipe, blocks, blocks_split, out)
    assert kept(out) == before
    assert len(before) == 2


@pytest.mark.parametrize(
    ("schedule", "cycle", "epochs", "expected"),
    [
        ("constant", 2, 6, [5, 6]),
        ("cosine_restarts", 2, 6, [4, 6]),
        ("cosine_restarts", 2, 5, [2, 4]),  # the fifth ends as a cycle has just begun
        ("cosine_wave", 1, 4, [1, 3]),  # the fourth ends at the highest rate
        ("cosine_restarts", 3, 5, [3, 5]),  # the end, since there is but one rest
    ],
)
def test_where_nothing_is_chosen_the_last_are_kept_or_the_ends_of_cycles(
    schedule: Any,
    cycle: int,
    epochs: int,
    expected: list[int],
    blocks: Dataset,
    blocks_split: Split,
    tmp_path: Path,
) -> None:
    optimizer = OptimizerRecipe(schedule=schedule, cycle_epochs=cycle)
    recipe = replace(PLAIN, epochs=epochs, monitor="last", optimizer=optimizer)
    train(recipe, blocks, blocks_split, tmp_path / "run")
    assert kept(tmp_path / "run") == expected


def test_folds_by_checkpoints_by_flips_are_one_bundle(blocks: Dataset, tmp_path: Path) -> None:
    split = make_split(blocks, seed=0, test_fraction=0.25, folds=2)
    phases = tuple(replace(phase, epochs=2) for phase in RECIPE.phases)
    recipe = replace(RECIPE, epochs=4, phases=phases, keep_checkpoints=2, flip=True)
    cross_validate(recipe, blocks, split, tmp_path / "cv", device="cpu")
    assert [row["phase"] for row in rows(tmp_path / "cv" / "fold-0")] == ["presence"] * 2 + [
        "mask"
    ] * 2
    one = open_bundle(tmp_path / "cv" / "bundles" / "fold-1").manifest
    assert (len(one.members), one.flip) == (2, True)
    export_folds(tmp_path / "cv", blocks, split, tmp_path / "bundle")
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert (len(manifest.members), manifest.flip) == (4, True)
