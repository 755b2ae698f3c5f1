"""From recipe to finding with a classifier, the joint network, and the one gating the other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pleura.data.manifest import Dataset
from pleura.data.split import Split, make_split
from pleura.errors import PleuraError
from pleura.inference.bundle import open_bundle
from pleura.inference.detector import Detector
from pleura.inference.manifest import PRESENCE_HEAD
from pleura.inference.preprocess import InputSpec
from pleura.training.cascade import train_plan
from pleura.training.cross_validate import cross_validate, export_folds
from pleura.training.export import export
from pleura.training.out_of_fold import PART
from pleura.training.recipe import Cascade, Recipe, find_recipe, read_plan, read_recipe
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


CASCADE = (
    "gate.network.options.encoder=mobilenetv3_small_050",
    "segmenter.network.options.filters=[4,8,8,8,8]",
    *(
        f"{part}.{change}"
        for part in ("gate", "segmenter")
        for change in (
            "network.init=random",
            "input.size=64",
            "epochs=1",
            "batch_size=6",
            "precision=32",
            "positive_share=null",
        )
    ),
)


def cascade() -> Cascade:
    plan = read_plan(find_recipe("chexnet-cascade"), CASCADE)
    assert isinstance(plan, Cascade)
    return plan


def test_one_command_trains_both_and_one_exports_them(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    began: list[str] = []
    states = train_plan(
        cascade(),
        blocks,
        blocks_split,
        tmp_path / "run",
        part_begins=lambda role, recipe: began.append(f"{role}: {recipe.name}"),
    )
    assert began == ["gate: chexnet", "segmenter: unet"]
    assert [state.epoch for state in states] == [1, 1]
    export([tmp_path / "run"], blocks, blocks_split, tmp_path / "bundle")
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert (manifest.name, manifest.combination) == ("chexnet>unet", "cascade")
    assert [member.role for member in manifest.members] == ["segmenter", "gate"]
    again = train_plan(cascade(), blocks, blocks_split, tmp_path / "run")
    assert [state.epoch for state in again] == [1, 1]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("segmenter.network.options.filter=[4,8]", "filter"),
        ("segmenter.network.name=unett", "Did you mean 'unet'"),
        ("segmenter.loss.0.name=comb", "Did you mean 'combo'"),
        ("segmenter.augmentation=lite", "lite"),
        ("segmenter.network.init=none.safetensors", "none.safetensors does not exist"),
    ],
)
def test_a_wrong_segmenter_is_found_before_the_gate_is_trained(
    override: str, says: str, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    plan = read_plan(find_recipe("chexnet-cascade"), [*CASCADE, override])
    began: list[str] = []
    with pytest.raises(PleuraError, match=says):
        train_plan(
            plan,
            blocks,
            blocks_split,
            tmp_path / "run",
            part_begins=lambda role, _: began.append(role),
        )
    assert began == []


def test_a_cascade_is_cross_validated_as_one_model(blocks: Dataset, tmp_path: Path) -> None:
    split = make_split(blocks, seed=0, test_fraction=0.25, folds=2)
    found = cross_validate(cascade(), blocks, split, tmp_path / "cv", device="cpu")
    assert found.together.run.model.name == "chexnet>unet"
    assert found.together.run.provenance.overlap == 0
    fold = Detector.load(tmp_path / "cv" / "bundles" / "fold-0", device="cpu")
    assert fold.manifest.combination == "cascade"
    held_out = [blocks.by_id[i] for i in split.folds[0]]
    scores = {s.film_id: s.presence_score for s in found.together.scores}
    gated = fold.probabilities([blocks.radiograph(film) for film in held_out])[1]
    assert [scores[film.film_id] for film in held_out] == pytest.approx(gated, abs=1e-6)
    page = (tmp_path / "cv" / PART / "report.html").read_text()
    for shown in ("called positive", "ROC", "recall"):
        assert shown.lower() in page.lower()
    export_folds(tmp_path / "cv", blocks, split, tmp_path / "bundle")
    roles = [member.role for member in open_bundle(tmp_path / "bundle").manifest.members]
    assert roles == ["segmenter", "segmenter", "gate", "gate"]
