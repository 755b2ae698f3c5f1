"""From recipe to finding with every segmenter, tiny: losses on every output, schedules, rules of decision."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.inference.bundle import open_bundle
from pleura.inference.detector import Detector
from pleura.inference.manifest import PRESENCE_HEAD, TOP_PIXELS
from pleura.inference.preprocess import InputSpec
from pleura.networks import NETWORKS
from pleura.training.export import export
from pleura.training.recipe import LossTerm, NetworkRecipe, Recipe, ShareSchedule
from pleura.training.run import RunFolder
from pleura.training.train import Report, train

RECIPE = Recipe(
    name="tiny",
    network=NetworkRecipe("unet", {"filters": [4, 8]}),
    input=InputSpec(size=32),
    batch_size=6,
    epochs=1,
    precision="32",
)
DEEP = LossTerm("combo", on="deep", options={"positive_weight": 10.0})
RCNN = {
    "encoder": "resnet18",
    "norm": "group",
    "candidates": 50,
    "proposals": 20,
    "rois": 16,
    "detections": 5,
    "box_units": 32,
}
TIMM = {"encoder": "resnet10t", "decoder_channels": [8, 8, 8, 8, 8]}
CASES: dict[str, dict[str, Any]] = {
    "unet": {"loss": (LossTerm("focal"),)},
    "unetpp": {"network": NetworkRecipe("unetpp", {"filters": [4, 8, 8]}), "loss": (DEEP,)},
    "double_unet": {
        "network": NetworkRecipe("double_unet", {"encoder": "vgg11_bn", "filters": [4, 4, 4, 4]}),
        "loss": (LossTerm("tversky"), DEEP),
    },
    "mask_rcnn": {
        "network": NetworkRecipe("mask_rcnn", RCNN),
        "loss": (LossTerm("network", options={"min_instance_px": 4}),),
        "monitor": "loss",
    },
    "swin_unet": {"network": NetworkRecipe("swin_unet", {"decoder_channels": [4, 4, 4, 4, 4]})},
    "presence": {
        "network": NetworkRecipe("unet_timm", {**TIMM, "presence_head": True, "scse": True}),
        "loss": (LossTerm("taghanaki_combo"), LossTerm("bce", 0.1, on="presence")),
    },
}


ELSEWHERE = {"chexnet", "joint"}
"""Trained, exported and asked for findings in test_cascade.py."""


def test_every_network_is_trained() -> None:
    names = {replace(RECIPE, **changes).network.name for changes in CASES.values()}
    assert names | ELSEWHERE == NETWORKS.keys()
    assert not names & ELSEWHERE


@pytest.mark.parametrize("case", CASES)
def test_from_recipe_to_finding(
    case: str, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, **CASES[case])
    train(recipe, blocks, blocks_split, tmp_path / "run")
    export([tmp_path / "run"], blocks, blocks_split, tmp_path / "bundle", device="cpu")
    (member,) = open_bundle(tmp_path / "bundle").manifest.members
    has_head = case in ("presence", "mask_rcnn")
    assert member.presence_score == (PRESENCE_HEAD if has_head else TOP_PIXELS)
    film = blocks.radiograph(blocks.films[0])
    finding = Detector.load(tmp_path / "bundle", device="cpu")(film)
    assert finding.probability_map is not None
    assert finding.probability_map.shape == film.shape


def test_a_falling_share_and_a_triplet(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    share = ShareSchedule(stepwise=((1, 0.8), (2, 0.5), (3, None)))
    recipe = replace(RECIPE, epochs=3, positive_share=share, decision="triplet")
    told: list[tuple[int, int]] = []
    report = Report(films=lambda *numbers: told.append(numbers))
    train(recipe, blocks, blocks_split, tmp_path / "run", report=report)
    done = [d for d, _ in told]
    assert done == sorted(set(done))
    assert len({total for _, total in told}) == 1  # the bar's end stands from the start
    assert done[-1] == told[-1][1]
    point = json.loads((tmp_path / "run" / "operating_point.json").read_text())["point"]
    assert point["aim"] == "competition Dice, triplet"
    assert point["top_threshold"] >= point["pixel_threshold"]
    export([tmp_path / "run"], blocks, blocks_split, tmp_path / "bundle", device="cpu")
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.manifest.operating_point.top_threshold == point["top_threshold"]
    finding = Detector.load(tmp_path / "bundle", device="cpu")(blocks.radiograph(blocks.films[0]))
    assert "of the film reaches a probability of" in finding.reason


def test_a_threshold_relative_to_the_score(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    """From the recipe to the finding; and so does a second export, which fits the point anew."""
    train(replace(RECIPE, decision="relative"), blocks, blocks_split, tmp_path / "run")
    for name, flip in (("bundle", False), ("mirrored", True)):
        export([tmp_path / "run"], blocks, blocks_split, tmp_path / name, flip=flip, device="cpu")
        point = open_bundle(tmp_path / name).manifest.operating_point
        assert point.relative
        finding = Detector.load(tmp_path / name, device="cpu")(blocks.radiograph(blocks.films[0]))
        assert finding.pixel_threshold == point.pixel_threshold * finding.probability
        assert finding.mask is not None
        if finding.mask.any():
            assert finding.probability_map[finding.mask].min() >= finding.pixel_threshold


def test_a_run_from_before_a_key_existed_is_the_same_run(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    train(RECIPE, blocks, blocks_split, tmp_path / "run")
    path = RunFolder(tmp_path / "run").root / "run.json"
    described = json.loads(path.read_text())
    del described["recipe"]["decision"]
    path.write_text(json.dumps(described))
    assert train(RECIPE, blocks, blocks_split, tmp_path / "run").epoch == 1
