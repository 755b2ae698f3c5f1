"""Export of several runs as one bundle: averaged, gated, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from pleura.data.manifest import Dataset
from pleura.data.split import Split, make_split
from pleura.errors import BundleError, TrainingError
from pleura.inference.bundle import open_bundle
from pleura.inference.calibration import Calibrator
from pleura.inference.detector import Detector
from pleura.inference.preprocess import InputSpec
from pleura.networks import create
from pleura.training.export import export
from pleura.training.recipe import NetworkRecipe, Recipe
from pleura.training.run import Identity, RunFolder
from pleura.training.start import Start, start

OPTIONS = {"encoder": "resnet10t", "decoder_channels": [8, 8, 8, 8, 8]}
FITTED = {
    "point": {"pixel_threshold": 0.5, "min_area_fraction": 0.0, "presence_threshold": 0.5},
    "value": 0.8,
}


def recipe(name: str, size: int = 64) -> Recipe:
    return Recipe(name=name, network=NetworkRecipe("unet_timm", OPTIONS), input=InputSpec(size))


def finished(
    root: Path,
    made: Recipe,
    dataset: Dataset,
    split: Split,
    *,
    seed: int,
    fold: int | None = None,
    began: Start | None = None,
) -> Path:
    """The folder of a run that was never trained, but for that as if finished."""
    torch.manual_seed(seed)
    network = create("unet_timm", channels=1, size=made.input.size, **OPTIONS)
    folder = RunFolder(root)
    identity = Identity(
        recipe=made,
        dataset=str(dataset.root),
        dataset_sha256=dataset.sha256,
        split_sha256=split.sha256,
        fold=fold,
        device="cpu",
        precision="32-true",
    )
    folder.claim(identity, began or Start(), network)
    folder.save_best(network.state_dict())
    folder.operating_point.write_text(json.dumps(FITTED))
    return root


@pytest.fixture
def runs(blocks: Dataset, blocks_split: Split, tmp_path: Path) -> tuple[Path, Path]:
    a = finished(tmp_path / "a", recipe("small"), blocks, blocks_split, seed=0)
    return a, finished(tmp_path / "b", recipe("large", 96), blocks, blocks_split, seed=1)


def test_an_aim_is_fitted_for(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    export(runs[:1], blocks, blocks_split, tmp_path / "bundle", aim="specificity 1", device="cpu")
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert manifest.operating_point.aim == "specificity 1"
    assert manifest.metrics["tune"]["specificity"] == 1.0
    assert manifest.metrics["tune"]["n"] == len(blocks_split.part("tune"))


def test_one_run_keeps_its_own_operating_point(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    export(runs[:1], blocks, blocks_split, tmp_path / "bundle")
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert (manifest.name, manifest.combination) == ("small", "single")
    assert manifest.operating_point.presence_threshold == 0.5
    assert manifest.metrics["tune"] == {"value": 0.8}
    assert manifest.members[0].training["recipe"]["name"] == "small"


@pytest.mark.parametrize("kept", [True, False])
def test_the_data_card_may_do_without_thumbnails(
    kept: bool, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    run = finished(tmp_path / "run", recipe("a"), blocks, blocks_split, seed=1)
    export([run], blocks, blocks_split, tmp_path / "bundle", thumbnails=kept)
    parts = open_bundle(tmp_path / "bundle").manifest.data_card["parts"]
    assert ["thumbnails" in parts[part] for part in ("train", "tune", "test")] == [
        kept,
        kept,
        False,
    ]
    assert all(parts[part]["pixel_sha256"] for part in ("train", "tune"))


def test_several_runs_are_averaged_and_their_operating_point_fitted_anew(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    calls: list[tuple[int, int]] = []
    export(
        runs,
        blocks,
        blocks_split,
        tmp_path / "bundle",
        progress=lambda done, total: calls.append((done, total)),
    )
    tuned = len(blocks_split.tune)
    assert calls[-1] == (tuned, tuned)
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert (manifest.name, manifest.combination, manifest.flip) == ("small+large", "mean", False)
    assert manifest.operating_point.fitted_on == "tune"
    assert manifest.metrics["tune"]["n"] == tuned
    assert manifest.data_card["parts"]["tune"]["films"] == tuned
    for index, run in enumerate(runs):
        export([run], blocks, blocks_split, tmp_path / f"single-{index}")
    film = blocks.radiograph(blocks.films[0])
    together, a, b = (
        Detector.load(tmp_path / name, device="cpu").probabilities([film])
        for name in ("bundle", "single-0", "single-1")
    )
    assert together[1][0] == pytest.approx((a[1][0] + b[1][0]) / 2, abs=1e-6)
    assert together[0].shape[1:] == (96, 96)
    corner = (a[0][0, 0, 0] + b[0][0, 0, 0]) / 2  # the corners of a map stay where they are
    assert together[0][0, 0, 0] == pytest.approx(corner, abs=1e-5)


def test_an_operating_point_is_fitted_on_scores_whatever_the_calibrator(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    """A bundle's threshold is on the score, before its calibrator."""
    curve = Calibrator("platt", slope=0.5, intercept=-4.0, films=100, positives=30)
    for name, calibrator in (("raw", None), ("calibrated", curve)):
        export(runs, blocks, blocks_split, tmp_path / name, calibrator=calibrator, device="cpu")
    raw, calibrated = (open_bundle(tmp_path / name).manifest for name in ("raw", "calibrated"))
    assert calibrated.calibrator == curve
    assert calibrated.operating_point == raw.operating_point


def test_a_flip_alone_is_another_model(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    export(runs[:1], blocks, blocks_split, tmp_path / "bundle", flip=True)
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert (manifest.name, manifest.flip) == ("small+flip", True)
    assert manifest.metrics["tune"]["n"] == len(blocks_split.tune)
    film = blocks.radiograph(blocks.films[0])
    mirrored = replace(film, pixels=np.ascontiguousarray(film.pixels[:, ::-1]))
    detector = Detector.load(tmp_path / "bundle", device="cpu")
    (one, other), _ = detector.probabilities([film, mirrored])
    np.testing.assert_allclose(one, other[:, ::-1], atol=1e-5)


def test_a_cascade(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    export(runs[:1], blocks, blocks_split, tmp_path / "bundle", gates=runs[1:])
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert (manifest.name, manifest.combination) == ("large>small", "cascade")
    assert [member.role for member in manifest.members] == ["segmenter", "gate"]
    export(runs[1:], blocks, blocks_split, tmp_path / "gate")
    film = blocks.radiograph(blocks.films[0])
    found = Detector.load(tmp_path / "bundle", device="cpu")(film)
    alone = Detector.load(tmp_path / "gate", device="cpu")(film)
    assert found.probability == pytest.approx(alone.probability, abs=1e-6)


def test_what_the_start_was_trained_on_stands_in_the_data_card(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    """From the header of a weights file, through the run, to the bundle."""
    weights = RunFolder(runs[0]).best.read_bytes()
    (tmp_path / "w.safetensors").write_bytes(
        save(load(weights), {"pretraining": "NIH ChestX-ray14"})
    )
    made = recipe("small")
    made = replace(made, network=replace(made.network, init=str(tmp_path / "w.safetensors")))
    network, began = start(made)
    assert (began.pretraining, began.whole) == ("NIH ChestX-ray14", True)
    assert all(torch.equal(v, load(weights)[k]) for k, v in network.state_dict().items())
    run = finished(tmp_path / "c", made, blocks, blocks_split, seed=0, began=began)
    export([run], blocks, blocks_split, tmp_path / "bundle")
    assert open_bundle(tmp_path / "bundle").manifest.data_card["pretraining"] == [
        "NIH ChestX-ray14"
    ]
    export(runs[:1], blocks, blocks_split, tmp_path / "bundle")
    assert open_bundle(tmp_path / "bundle").manifest.data_card["pretraining"] == []


def test_three_of_a_kind_are_counted_in_the_name(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    copies = [shutil.copytree(runs[0], tmp_path / f"copy-{n}") for n in range(2)]
    export([runs[0], *copies], blocks, blocks_split, tmp_path / "bundle")
    assert open_bundle(tmp_path / "bundle").manifest.name == "3xsmall"


def test_runs_tuned_on_different_folds_are_refused_with_the_reason(
    blocks: Dataset, tmp_path: Path
) -> None:
    split = make_split(blocks, seed=0, test_fraction=0.25, folds=2)
    runs = [
        finished(tmp_path / f"fold-{n}", recipe("small"), blocks, split, seed=n, fold=n)
        for n in range(2)
    ]
    with pytest.raises(TrainingError, match="trained on the other's tuning films"):
        export(runs, blocks, split, tmp_path / "bundle")
    with pytest.raises(TrainingError, match="trained on the other's tuning films"):
        export(runs[:1], blocks, split, tmp_path / "bundle", gates=runs[1:])
    assert not (tmp_path / "bundle").exists()
    export(runs[:1], blocks, split, tmp_path / "bundle")


def test_no_run_and_runs_of_other_data_are_refused(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="no run to export"):
        export([], blocks, blocks_split, tmp_path / "bundle")
    other = make_split(blocks, seed=1, test_fraction=0.25, tune_fraction=0.3)
    with pytest.raises(TrainingError, match="trained on another split"):
        export(runs, blocks, other, tmp_path / "bundle")
    path = runs[1] / "operating_point.json"
    path.write_text("{}")
    with pytest.raises(TrainingError, match="is damaged"):
        export(runs, blocks, blocks_split, tmp_path / "bundle")
    path.unlink()
    with pytest.raises(TrainingError, match="is not finished"):
        export(runs, blocks, blocks_split, tmp_path / "bundle")


@pytest.mark.slow
def test_graphs_alone_make_a_bundle_that_decides_the_same(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    export(
        runs[:1],
        blocks,
        blocks_split,
        tmp_path / "graphs",
        graph="f16",
        keep_weights=False,
        device="cpu",
    )
    bundle = open_bundle(tmp_path / "graphs")
    assert list(bundle.files) == ["network.onnx"]
    assert bundle.manifest.exports["numbers"] == "f16"
    runtimes = {one["runtime"] for one in bundle.manifest.exports["checked"]}
    assert runtimes == {"onnxruntime", "openvino"}
    export(runs[:1], blocks, blocks_split, tmp_path / "weights", device="cpu")
    film = blocks.radiograph(blocks.films[0])
    expected = Detector.load(tmp_path / "weights", device="cpu")(film)
    for runtime in runtimes:
        found = Detector.load(tmp_path / "graphs", runtime=runtime, precision="f32", cache=False)(
            film
        )
        assert found.decision == expected.decision
        assert found.probability == pytest.approx(expected.probability, abs=0.01)


def test_a_place_that_is_taken_is_told_before_anything_is_fitted(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text").write_text("mine")
    fitted: list[int] = []
    with pytest.raises(BundleError, match="exists and is no bundle"):
        export(
            runs, blocks, blocks_split, tmp_path / "thesis",
            device="cpu", progress=lambda done, _: fitted.append(done),
        )  # fmt: skip
    assert fitted == []


def test_a_bundle_of_nothing_is_refused(
    runs: tuple[Path, Path], blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="needs a graph"):
        export(runs[:1], blocks, blocks_split, tmp_path / "bundle", keep_weights=False)
    assert not (tmp_path / "bundle").exists()
