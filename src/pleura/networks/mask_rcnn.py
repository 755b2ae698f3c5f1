"""`mask_rcnn`: finds the target's instances one by one, each with a box, a score and a mask."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleura.networks.output import Output
from pleura.networks.torchvision_ops import provide_missing

PRIOR = 0.1  # of a proposed box holding the target, before any training
FLOOR = 1e-6  # probability where there is no instance; its logit is finite
MIN_SCORE = 1e-3  # of an instance; low, since films are ranked by their best one
NORMS = ("frozen", "group")
CLASSIFIER_EPSILON = 1e-5  # of PyTorch's batch norms


class Instances(NamedTuple):
    """What was found in one image, best first.

    Attributes:
        boxes: float (K, 4): left, top, right, bottom, in px of the image.
        scores: float (K,), 0 to 1.
        masks: float (K, 1, 28, 28), 0 to 1: probabilities inside each box.
    """

    boxes: Tensor
    scores: Tensor
    masks: Tensor


class MaskRCNN(nn.Module):
    """Mask R-CNN (He, Gkioxari, Dollár and Girshick, ICCV 2017) on a ResNet with a feature pyramid.

    torchvision's, with its own scaling and normalisation left out, since films come prepared, and with box
    and mask heads of two classes: background and target. The logits are those of a segmenter: of each
    pixel's highest score times mask probability over the instances, and of the best instance's score. It
    learns by `losses`, not from these: which boxes are looked at has no gradient.

    Args:
        channels: of the input, 1 or 3.
        size: of the input; any size works, so it is not used.
        encoder: torchvision's name of a ResNet.
        norm: `frozen`: batch norm with the statistics of the weights it starts from, as its authors
            fine-tune it, and as COCO's were learnt with no epsilon beside the variance, so that there is
            none here either; random weights have none to freeze. `group` trains from random weights (Wu and
            He, "Group normalization", ECCV 2018; He, Girshick and Dollár, ICCV 2019).
        trainable_layers: of the encoder's five, counted from the last; by default three of a frozen
            norm's, as torchvision has it, and else all.
        candidates: boxes a pyramid level that pass on to non-maximum suppression.
        proposals: boxes an image that pass on to the heads.
        rois: boxes an image that the heads are trained on.
        detections: instances an image at most.
        box_units: width of the box head's two layers; torchvision's weights have 1024.
    """

    presence_head = True
    traced_export = True  # which boxes are looked at hangs on the film

    def __init__(
        self,
        channels: int = 3,
        size: int = 512,
        encoder: str = "resnet50",
        norm: str = "frozen",
        trainable_layers: int | None = None,
        candidates: int = 1000,
        proposals: int = 1000,
        rois: int = 512,
        detections: int = 10,
        box_units: int = 1024,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm is {' or '.join(NORMS)}; got {norm!r}")
        if min(candidates, proposals, rois, detections, box_units) < 1:
            raise ValueError("candidates, proposals, rois, detections and box_units are at least 1")
        if trainable_layers is None:
            trainable_layers = 3 if norm == "frozen" else 5
        self.encoder_name = encoder
        self.norm = norm
        backbone = _backbone(encoder, channels, norm, trainable_layers)
        built = _torchvision(backbone, candidates, proposals, rois, detections, box_units)
        self.encoder: nn.Module = backbone.body
        self.pyramid: nn.Module = backbone.fpn
        self.rpn, self.roi_heads = built.rpn, built.roi_heads
        _start_at_prior(self.roi_heads.box_predictor.cls_score)
        # Where autocast has left bf16, torchvision would compute boxes in it, to a few px.
        for head in (self.rpn.head, self.roi_heads.box_predictor, self.roi_heads.mask_predictor):
            head.register_forward_hook(_in_float32)

    @property
    def needs_weights(self) -> bool:
        """Whether random weights are no start: norms are frozen, and have nothing to freeze."""
        return self.norm == "frozen"

    def coco_weights(self) -> dict[str, Tensor] | None:
        """torchvision's weights for COCO's 91 classes, or None where they cannot be had.

        Raises:
            ValueError: there are none for this encoder and norm.
        """
        if self.norm != "frozen":
            raise ValueError("COCO weights have batch norms; start from them with norm: frozen")
        return coco_weights(self.encoder_name)

    def absorb_epsilon(self) -> None:
        """Adds to frozen variances the epsilon that a classifier, whose they are, learnt beside them."""
        for name, buffer in self.encoder.named_buffers():
            if self.norm == "frozen" and name.endswith("running_var"):
                buffer += CLASSIFIER_EPSILON

    def forward(self, images: Tensor) -> Output:
        """(N, channels, H, W), normalised, to logits at H x W and of presence (N,), and boxes."""
        height, width = images.shape[2:]
        found = self.instances(images)
        maps = [_pasted(one, height, width) for one in found]
        scores = [torch.cat([one.scores, one.scores.new_zeros(1)]).amax() for one in found]
        return Output(
            _logit(torch.stack(maps)),
            _logit(torch.stack(scores)),
            boxes=tuple(torch.cat([one.boxes, one.scores[:, None]], dim=1) for one in found),
        )

    def instances(self, images: Tensor) -> list[Instances]:
        """What is found in each image, float (N, channels, H, W)."""
        features, listed, shapes = self._features(images)
        with self._heads(training=False):
            proposals, _ = self.rpn(listed, features)
            found, _ = self.roi_heads(features, proposals, shapes)
        return [Instances(one["boxes"], one["scores"], one["masks"]) for one in found]

    def losses(self, images: Tensor, masks: Tensor) -> Tensor:
        """The sum of the five losses: two of the proposals, and the heads' of class, box and mask.

        They are taken over the batch, as torchvision does. In evaluation mode the boxes they are drawn from
        are the same at each call.

        Args:
            images: float (N, channels, H, W), normalised.
            masks: float (N, K, H, W) in {0, 1}: an instance a plane; empty planes are none.

        Returns:
            (N,), not negative: the batch's loss, for each image the same.
        """
        features, listed, shapes = self._features(images)
        targets = [_target(planes) for planes in masks]
        devices = [images.device] if images.is_cuda else []
        same_draws = torch.random.fork_rng(devices, enabled=not self.training)
        with self._heads(training=True), same_draws:
            if not self.training:
                torch.manual_seed(0)
            proposals, first = self.rpn(listed, features, targets)
            _, second = self.roi_heads(features, proposals, shapes, targets)
        total = sum([*first.values(), *second.values()], start=images.new_zeros(()))
        return total.float().expand(len(images))

    @contextmanager
    def _heads(self, *, training: bool) -> Iterator[None]:
        """torchvision's parts give losses in training mode, else instances, whatever mode this is in."""
        parts = (self.rpn, self.roi_heads)
        for part in parts:
            part.train(training)
        try:
            yield
        finally:
            for part in parts:
                part.train(self.training)

    def _features(self, images: Tensor) -> tuple[Any, Any, list[tuple[int, int]]]:
        """The pyramid's maps, and the images as torchvision's parts want them."""
        from torchvision.models.detection.image_list import ImageList

        shapes = [(images.shape[2], images.shape[3])] * len(images)
        return self.pyramid(self.encoder(images)), ImageList(images, shapes), shapes


def coco_weights(encoder: str) -> dict[str, Tensor] | None:
    """torchvision's Mask R-CNN weights for COCO, or None where its server cannot be reached.

    Raises:
        ValueError: there are none for this encoder.
    """
    provide_missing()
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    if encoder != "resnet50":
        raise ValueError(f"torchvision has COCO weights for resnet50 alone, not for {encoder}")
    weights = MaskRCNN_ResNet50_FPN_Weights.COCO_V1
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except (OSError, RuntimeError, ValueError):  # no way there, or a damaged file
        return None


def _backbone(encoder: str, channels: int, norm: str, trainable_layers: int) -> Any:
    """torchvision's ResNet, random, for one or three channels, with its feature pyramid."""
    provide_missing()
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops.misc import FrozenBatchNorm2d

    if encoder not in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"):
        raise ValueError(f"encoder is a ResNet of torchvision, such as resnet50; got {encoder!r}")
    layer = partial(FrozenBatchNorm2d, eps=0.0) if norm == "frozen" else partial(nn.GroupNorm, 32)
    backbone = resnet_fpn_backbone(
        backbone_name=encoder, weights=None, norm_layer=layer, trainable_layers=trainable_layers
    )
    if channels != 3:
        first = backbone.body["conv1"]
        grey = nn.Conv2d(channels, first.out_channels, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(grey.weight, mode="fan_out", nonlinearity="relu")
        grey.weight.requires_grad_(first.weight.requires_grad)
        backbone.body["conv1"] = grey
    return backbone


def _torchvision(
    backbone: Any, candidates: int, proposals: int, rois: int, detections: int, box_units: int
) -> Any:
    """torchvision's Mask R-CNN with heads of two classes, whose parts are taken."""
    from torchvision.models.detection import MaskRCNN as Whole
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

    built = Whole(
        backbone,
        num_classes=2,
        rpn_pre_nms_top_n_train=candidates,
        rpn_pre_nms_top_n_test=candidates,
        rpn_post_nms_top_n_train=proposals,
        rpn_post_nms_top_n_test=proposals,
        box_batch_size_per_image=rois,
        box_score_thresh=MIN_SCORE,
        box_detections_per_img=detections,
    )
    if box_units != 1024:
        pooled = backbone.out_channels * built.roi_heads.box_roi_pool.output_size[0] ** 2
        built.roi_heads.box_head = TwoMLPHead(pooled, box_units)
        built.roi_heads.box_predictor = FastRCNNPredictor(box_units, 2)
    return built


def _start_at_prior(layer: nn.Linear) -> None:
    nn.init.normal_(layer.weight, std=0.01)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([0.0, math.log(PRIOR / (1 - PRIOR))]))


def _in_float32(module: nn.Module, inputs: Any, output: Any) -> Any:
    """A forward hook: tensors, however deep in tuples and lists, in float32."""
    if isinstance(output, Tensor):
        return output.float()
    return type(output)(_in_float32(module, inputs, one) for one in output)


def _target(planes: Tensor) -> dict[str, Tensor]:
    """Instances (K, H, W) in {0, 1} as torchvision wants them, without the empty planes."""
    held = planes[planes.flatten(1).any(dim=1)] > 0.5
    edges = []
    for axis in (1, 2):  # of the rows, then of the columns, that an instance touches
        touched = held.any(dim=axis)
        before = touched.int().argmax(dim=1)
        after = touched.shape[1] - touched.flip(1).int().argmax(dim=1)
        edges += [before, after]
    left, right, top, bottom = edges
    return {
        "boxes": torch.stack([left, top, right, bottom], dim=1).float(),
        "labels": torch.ones(len(held), dtype=torch.int64, device=planes.device),
        "masks": held.to(torch.uint8),
    }


def _pasted(found: Instances, height: int, width: int) -> Tensor:
    """The highest score times mask probability of each pixel, (1, height, width); 0 where there is none."""
    left, top, right, bottom = found.boxes[:, :, None].unbind(dim=1)  # (K, 1) each
    x = (_centres(width, left) - left) / (right - left) * 2 - 1
    y = (_centres(height, top) - top) / (bottom - top) * 2 - 1
    grid = torch.stack(
        [x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], dim=-1
    )
    # Outside of its box a mask is zero, with a slope of half a cell.
    masks = F.grid_sample(found.masks, grid, align_corners=False)[:, 0]
    scored = masks * found.scores[:, None, None]
    return torch.cat([scored, scored.new_zeros(1, height, width)]).amax(dim=0, keepdim=True)


def _centres(count: int, like: Tensor) -> Tensor:
    """Of pixels in a row, (count,), as `like` in dtype and device."""
    return torch.arange(count, dtype=like.dtype, device=like.device) + 0.5


def _logit(probability: Tensor) -> Tensor:
    return probability.clamp(FLOOR, 1 - FLOOR).logit()


__all__ = ["Instances", "MaskRCNN", "coco_weights"]
