"""What a network starts from: COCO where it can be had, and no frozen norms without weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pleura.errors import RecipeError
from pleura.inference.preprocess import InputSpec
from pleura.networks import create
from pleura.networks.mask_rcnn import MaskRCNN
from pleura.training.recipe import NetworkRecipe, Recipe
from pleura.training.start import Start, build, check_start, start

LIGHT: dict[str, Any] = {"encoder": "resnet18", "box_units": 16}


def recipe(network: str = "mask_rcnn", init: str = "random", **options: Any) -> Recipe:
    return Recipe(name="x", network=NetworkRecipe(network, options, init), input=InputSpec(64))


def test_frozen_norms_are_not_trained_from_random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match=r"cannot be trained from random weights.*norm=group"):
        start(recipe(**LIGHT))
    with pytest.raises(RecipeError, match=r"cannot be trained from random weights.*norm=group"):
        check_start(recipe(**LIGHT))  # before a cascade's gate is trained
    check_start(recipe(norm="group", **LIGHT))
    monkeypatch.setattr(MaskRCNN, "coco_weights", lambda self: None)
    told: list[str] = []
    with pytest.raises(RecipeError, match="cannot be trained from random weights"):
        start(recipe(init="coco", **LIGHT), told.append)
    assert "COCO weights cannot be had" in told[0]
    assert start(recipe(norm="group", **LIGHT))[1] == Start()


def test_coco_weights_are_copied_but_for_the_heads_of_their_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(1)
    theirs = dict(create("mask_rcnn", channels=3, size=64, **LIGHT).state_dict())
    for name in ("cls_score", "bbox_pred"):
        for part in ("weight", "bias"):
            key = f"roi_heads.box_predictor.{name}.{part}"
            theirs[key] = theirs[key].repeat_interleave(45, dim=0)[:91]
    monkeypatch.setattr(MaskRCNN, "coco_weights", lambda self: theirs)
    torch.manual_seed(2)
    told: list[str] = []
    network, began = start(recipe(init="coco", **LIGHT), told.append)
    assert "cls_score.weight, roi_heads.box_predictor.cls_score.bias" in told[0]
    assert told[0].endswith("these start at random")
    assert began == Start("coco", whole=True)
    state = network.state_dict()
    assert torch.equal(
        state["encoder.layer4.0.conv1.weight"], theirs["encoder.layer4.0.conv1.weight"]
    )
    assert torch.equal(state["rpn.head.cls_logits.weight"], theirs["rpn.head.cls_logits.weight"])
    assert state["roi_heads.box_predictor.cls_score.weight"].shape == (2, 16)


def test_other_networks_have_no_coco_weights() -> None:
    with pytest.raises(RecipeError, match="no COCO weights for network unet"):
        start(recipe("unet", "coco", filters=[4, 8]))
    with pytest.raises(RecipeError, match="for resnet50 alone"):
        start(recipe(init="coco", **LIGHT))


def test_only_an_encoders_weights_bring_an_epsilon(tmp_path: Path) -> None:
    asked = recipe(init=str(tmp_path / "w.safetensors"), **LIGHT)
    weights = {k: v.contiguous() for k, v in build(asked).state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    assert start(asked)[0].state_dict()["encoder.bn1.running_var"].unique().tolist() == [1.0]
    alone = {k.removeprefix("encoder."): v for k, v in weights.items() if k.startswith("encoder.")}
    save_file(alone, tmp_path / "w.safetensors")
    variance = start(asked)[0].state_dict()["encoder.bn1.running_var"]
    assert variance.unique().tolist() == pytest.approx([1.0 + 1e-5], abs=1e-7)


def test_an_encoder_of_another_network_is_not_the_whole(tmp_path: Path) -> None:
    """Its tensors stand under `encoder.` there, too."""
    other = create("chexnet", channels=3, size=64, encoder="resnet18").state_dict()
    save_file({k: v.contiguous() for k, v in other.items()}, tmp_path / "w.safetensors")
    network, began = start(recipe(init=str(tmp_path / "w.safetensors"), **LIGHT))
    assert not began.whole
    variance = network.state_dict()["encoder.bn1.running_var"]
    assert variance.unique().tolist() == pytest.approx([1.0 + 1e-5], abs=1e-7)


@pytest.mark.parametrize("word", ["no", "off", 0])
def test_an_option_that_is_true_or_false_takes_no_word(word: Any) -> None:
    asked = recipe("unetpp", filters=[4, 8], deep_supervision=word)
    for begin in (start, check_start):
        with pytest.raises(
            RecipeError, match="option deep_supervision of network unetpp is true or"
        ):
            begin(asked)
    build(asked)  # a run or a bundle of before is still opened


def test_every_tensor_left_at_random_is_named(tmp_path: Path) -> None:
    asked = recipe("unet", str(tmp_path / "w.safetensors"), filters=[4, 8])
    weights = dict(build(asked).state_dict())
    told: list[str] = []
    save_file(weights, tmp_path / "w.safetensors")
    start(asked, told.append)
    assert told == []
    save_file({k: v for k, v in weights.items() if k != "head.bias"}, tmp_path / "w.safetensors")
    start(asked, told.append)
    assert told == [
        f"nothing in {tmp_path / 'w.safetensors'} fits head.bias: these start at random"
    ]


def test_each_fold_starts_from_weights_of_its_own(tmp_path: Path) -> None:
    asked = recipe("unet", str(tmp_path / "fold-{fold}.safetensors"), filters=[4, 8])
    for fold in (0, 1):
        weights = {k: torch.full_like(v, fold + 1) for k, v in build(asked).state_dict().items()}
        save_file(weights, tmp_path / f"fold-{fold}.safetensors")
    network, began = start(asked, fold=1)
    assert began.encoder == "fold-1.safetensors"
    assert began.whole
    assert all(bool((weight == 2).all()) for weight in network.parameters())
    with pytest.raises(RecipeError, match="no fold is trained"):
        start(asked)


@pytest.mark.parametrize(("fold", "coarse"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_a_finer_fold_starts_from_the_weights_of_the_one_it_was_divided_from(
    tmp_path: Path, fold: int, coarse: int
) -> None:
    asked = recipe("unet", str(tmp_path / "fold-{fold//2}.safetensors"), filters=[4, 8])
    save_file(build(asked).state_dict(), tmp_path / f"fold-{coarse}.safetensors")
    check_start(asked, fold)
    assert start(asked, fold=fold)[1].encoder == f"fold-{coarse}.safetensors"
    with pytest.raises(RecipeError, match="no fold is trained"):
        check_start(asked)
