"""From recipe to finding with a classifier, the joint network, and the one gating the other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.inference.bundle import open_bundle
from pleura.inference.detector import Detector
from pleura.inference.manifest import PRESENCE_HEAD
from pleura.inference.preprocess import InputSpec
from pleura.training.export import export
from pleura.training.recipe import Recipe, find_recipe, read_recipe
from pleura.training.train import train


def tiny(name: str, *overrides: str) -> Recipe:
    """The recipe of that name, as small as it gets."""
    recipe = read_recipe(
        find_recipe(name), ["network.init=random", "precision=32", "epochs=1", *overrides]
    )
    spec = InputSpec(64, mean=recipe.input.mean, std=recipe.input.std)
    return replace(recipe, input=spec, batch_size=6, positive_share=None)


@pytest.mark.slow
def test_a_classifier_gates_the_joint_network(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    train(
        tiny("chexnet", "network.options.encoder=resnet10t"), blocks, blocks_split, tmp_path / "c"
    )
    small = ("network.options.encoder=resnet10t", "network.options.decoder_channels=[16,8,8,8]")
    train(tiny("joint", *small), blocks, blocks_split, tmp_path / "j")
    export([tmp_path / "j"], blocks, blocks_split, tmp_path / "both", gates=[tmp_path / "c"])
    for run in "cj":
        export([tmp_path / run], blocks, blocks_split, tmp_path / f"only-{run}")
    manifest = open_bundle(tmp_path / "both").manifest
    assert [m.presence_score for m in manifest.members] == [PRESENCE_HEAD, PRESENCE_HEAD]
    assert manifest.name == "chexnet>joint"
    films = [blocks.radiograph(film) for film in blocks.films[:4]]
    gate, segmenter, both = (
        Detector.load(tmp_path / name, device="cpu") for name in ("only-c", "only-j", "both")
    )
    maps, scores = both.probabilities(films)
    assert scores == pytest.approx(gate.probabilities(films)[1], abs=1e-6)
    np.testing.assert_allclose(maps, segmenter.probabilities(films)[0], atol=1e-6)
    threshold = manifest.operating_point.presence_threshold
    for finding, score in zip(both.batch(films), scores, strict=True):
        assert finding.probability == pytest.approx(score, abs=1e-6)
        assert (finding.probability_map is not None) is (score >= threshold)
