"""Mask R-CNN: that it is torchvision's, and what of ours is around it."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pleura.errors import RecipeError
from pleura.networks import create, has_own_loss, has_presence_head
from pleura.networks.encoder import load_start
from pleura.networks.foreign import fit_checkpoint
from pleura.networks.mask_rcnn import FLOOR, Instances, MaskRCNN, _pasted, _target
from pleura.networks.torchvision_ops import provide_missing

LIGHT: dict[str, Any] = {
    "encoder": "resnet18",
    "candidates": 50,
    "proposals": 20,
    "rois": 16,
    "detections": 5,
}


def torchvisions(classes: int) -> nn.Module:
    """torchvision's own, as light, which takes 64 px films as they are."""
    provide_missing()
    from torchvision.models.detection import MaskRCNN as Whole
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    torch.manual_seed(1)
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5)
    for name, buffer in backbone.named_buffers():  # statistics that are not the identity
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 8.0)
    return Whole(
        backbone,
        num_classes=classes,
        min_size=64,
        max_size=64,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        rpn_pre_nms_top_n_test=50,
        rpn_post_nms_top_n_test=20,
        box_score_thresh=1e-3,
        box_detections_per_img=5,
    ).eval()


def of_old(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of the checkpoints on torchvision's server, which are from before 0.13."""
    renamed = {}
    for name, tensor in state.items():
        name = name.replace("blocks.", "blocks_.") if "fpn" in name else name
        for n in range(4):
            name = name.replace(f"blocks_.{n}.0.", f"blocks.{n}.")
            name = name.replace(f"mask_head.{n}.0.", f"mask_head.mask_fcn{n + 1}.")
        renamed[name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")] = tensor
    return renamed


def test_it_finds_what_torchvisions_own_finds() -> None:
    theirs = torchvisions(2)
    ours = create("mask_rcnn", channels=3, size=64, **LIGHT).eval()
    fit = fit_checkpoint(ours, of_old(theirs.state_dict()), "torchvision's")
    assert (len(fit.tensors), fit.by_order, fit.missing, fit.unused) == (fit.total, (), (), ())
    assert load_start(ours, dict(fit.tensors), "torchvision's") == (True, ())
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        found, expected = ours.instances(images), theirs(list(images))
        output = ours(images)
    for one, other, best, boxes in zip(
        found, expected, output.presence_logits, output.boxes, strict=True
    ):
        assert len(one.scores) == 5
        torch.testing.assert_close(one.boxes, other["boxes"])
        torch.testing.assert_close(one.scores, other["scores"])
        torch.testing.assert_close(best.sigmoid(), other["scores"].max())
        torch.testing.assert_close(boxes[:, 4], other["scores"])
        # torchvision pastes masks into boxes of whole pixels, ours where they are: the edges differ.
        pasted = (other["scores"][:, None, None, None] * other["masks"]).amax(dim=0)
        covered, expected_cover = _pasted(one, 64, 64) > 0.1, pasted > 0.1
        shared = (covered & expected_cover).sum() / (covered | expected_cover).sum()
        assert 0.9 < float(shared) <= 1.0


def test_a_checkpoint_of_91_classes_leaves_its_class_outputs() -> None:
    theirs = torchvisions(91)
    ours = create("mask_rcnn", channels=1, size=64, **LIGHT).eval()
    fit = fit_checkpoint(ours, of_old(theirs.state_dict()), "COCO")
    heads = {"box_predictor.cls_score", "box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits"}
    assert set(fit.missing) == {f"roi_heads.{h}.{k}" for h in heads for k in ("weight", "bias")}
    assert set(load_start(ours, dict(fit.tensors), "COCO").missing) == set(fit.missing)
    film = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        expected = theirs.backbone(film.expand(-1, 3, -1, -1))
        for name, level in ours.pyramid(ours.encoder(film)).items():
            torch.testing.assert_close(level, expected[name], rtol=1e-3, atol=1e-4)


def test_frozen_norms_have_the_epsilon_that_torchvision_sets_for_coco() -> None:
    theirs = torchvisions(2)
    theirs.backbone.body.bn1.running_var.fill_(1e-5)  # which an epsilon of 1e-5 would double
    ours = create("mask_rcnn", channels=3, size=64, **LIGHT).eval()
    load_start(ours, dict(fit_checkpoint(ours, theirs.state_dict(), "w").tensors), "w")
    from torchvision.models.detection._utils import overwrite_eps

    overwrite_eps(theirs, 0.0)
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = theirs.backbone(images)
        for name, level in ours.pyramid(ours.encoder(images)).items():
            torch.testing.assert_close(level, expected[name])


def test_an_encoder_that_comes_from_a_classifier_keeps_its_epsilon() -> None:
    provide_missing()
    from torchvision.models import resnet18

    torch.manual_seed(3)
    theirs = resnet18().eval()
    theirs.bn1.running_var.fill_(1e-5)
    ours = create("mask_rcnn", channels=3, size=64, **LIGHT).eval()
    load_start(ours, dict(theirs.state_dict()), "w")
    ours.absorb_epsilon()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
        expected = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(x))))
        torch.testing.assert_close(ours.encoder(images)["3"], expected, rtol=1e-3, atol=1e-4)


def test_boxes_of_instances_end_after_their_last_pixel() -> None:
    planes = torch.zeros(3, 8, 10)
    planes[0, 2:5, 3:9] = 1.0
    planes[2, 7, 0] = 1.0  # the second is padding
    target = _target(planes)
    assert target["boxes"].tolist() == [[3, 2, 9, 5], [0, 7, 1, 8]]
    assert target["labels"].tolist() == [1, 1]
    assert target["masks"].shape == (2, 8, 10)
    assert _target(torch.zeros(1, 8, 10))["boxes"].shape == (0, 4)


def test_a_pixel_has_its_best_instances_score_times_mask() -> None:
    masks = torch.zeros(2, 1, 28, 28)
    masks[0] = 1.0
    masks[1, :, :, 14:] = 0.5  # the right half of its box
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [4.0, 0.0, 20.0, 8.0]])
    found = Instances(boxes, torch.tensor([0.3, 0.9]), masks)
    pasted = _pasted(found, 16, 24)[0]
    assert pasted.shape == (16, 24)
    assert float(pasted[4, 2]) == pytest.approx(0.3)
    assert float(pasted[4, 6]) == pytest.approx(
        0.3
    )  # in both boxes; the second's mask is empty here
    assert float(pasted[4, 16]) == pytest.approx(0.45)
    assert float(pasted[12, 4]) == 0.0
    assert float(pasted[4, 22]) == 0.0
    none = Instances(boxes[:0], torch.zeros(0), masks[:0])
    assert _pasted(none, 16, 24).tolist() == torch.zeros(1, 16, 24).tolist()


def test_nothing_found_is_a_low_and_finite_logit(monkeypatch: pytest.MonkeyPatch) -> None:
    network = create("mask_rcnn", channels=1, size=64, norm="group", **LIGHT)
    none = Instances(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 1, 28, 28))
    monkeypatch.setattr(MaskRCNN, "instances", lambda self, images: [none] * len(images))
    output = network(torch.rand(2, 1, 64, 64))
    low = math.log(FLOOR / (1 - FLOOR))
    assert output.presence_logits.tolist() == pytest.approx([low, low], rel=1e-4)
    assert output.mask_logits.unique().tolist() == pytest.approx([low], rel=1e-4)
    assert [len(boxes) for boxes in output.boxes] == [0, 0]


def test_frozen_norms_do_not_learn_and_no_layer_before_the_third() -> None:
    network = create("mask_rcnn", channels=3, size=64, **LIGHT)
    names = [n for n, p in network.encoder.named_parameters() if p.requires_grad]
    assert {name.split(".")[0] for name in names} == {"layer2", "layer3", "layer4"}
    assert not any("bn" in name for name in names)
    assert network.needs_weights
    grouped = create("mask_rcnn", channels=3, size=64, norm="group", **LIGHT)
    assert all(p.requires_grad for p in grouped.parameters())
    assert not grouped.needs_weights
    with pytest.raises(ValueError, match="norm: frozen"):
        grouped.coco_weights()
    with pytest.raises(ValueError, match="for resnet50 alone, not for resnet18"):
        network.coco_weights()


def test_what_it_is_and_what_it_refuses() -> None:
    assert has_presence_head("mask_rcnn")
    assert has_own_loss("mask_rcnn")
    assert not has_own_loss("unet")
    for wrong, said in (
        ({"norm": "batch"}, "norm is frozen or group"),
        ({"proposals": 0}, "at least 1"),
        ({"encoder": "vgg16"}, "a ResNet of torchvision"),
    ):
        with pytest.raises(RecipeError, match=said):
            create("mask_rcnn", channels=3, size=64, **wrong)


def test_drawing_boxes_for_a_loss_in_evaluation_leaves_the_generator_alone() -> None:
    network = create("mask_rcnn", channels=1, size=64, norm="group", **LIGHT).eval()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    network.losses(torch.rand(1, 1, 64, 64), torch.zeros(1, 1, 64, 64))
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), expected)
