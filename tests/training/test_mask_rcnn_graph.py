"""Mask R-CNN as an exported graph: recorded on one film, and right on others."""

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from pleura.inference.manifest import Member
from pleura.inference.preprocess import InputSpec
from pleura.inference.runtimes.base import Logits, RuntimeOptions
from pleura.inference.runtimes.onnx_runtime import OnnxRuntime
from pleura.inference.runtimes.pytorch import TorchRuntime
from pleura.networks import create
from pleura.training.graph import graph_of

LIGHT: dict[str, Any] = {
    "encoder": "resnet18",
    "norm": "group",
    "candidates": 50,
    "proposals": 20,
    "rois": 16,
    "detections": 5,
    "box_units": 32,
}
MEMBER = Member("mask_rcnn", LIGHT, InputSpec(size=64))


def answers(weights: bytes, films: np.ndarray) -> tuple[Logits, Logits]:
    """By ONNX Runtime and by PyTorch."""
    options = RuntimeOptions(device="cpu")
    exported = graph_of(MEMBER, weights)
    assert b'.py", line' not in exported  # nothing of the machine that made it
    graph = OnnxRuntime(MEMBER, exported, options)
    return graph(films), TorchRuntime(MEMBER, weights, options)(films)


@pytest.mark.parametrize("finds", [True, False])
def test_the_graph_says_what_the_network_says(finds: bool) -> None:
    torch.manual_seed(0)
    network = create("mask_rcnn", channels=1, size=64, **LIGHT)
    if not finds:  # no box reaches the lowest score
        with torch.no_grad():
            network.roi_heads.box_predictor.cls_score.bias.copy_(torch.tensor([20.0, -20.0]))
    films = np.random.default_rng(0).random((2, 1, 64, 64), np.float32)
    exported, exact = answers(save(network.state_dict()), films)
    for logits in (exported, exact):
        assert logits.mask.shape == (2, 64, 64)
        assert [boxes.shape[1] for boxes in logits.boxes] == [5, 5]
        assert all((len(boxes) > 0) is finds for boxes in logits.boxes)
    np.testing.assert_allclose(exported.presence, exact.presence, atol=1e-4)
    for one, other in zip(exported.boxes, exact.boxes, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-2)
    chances = [1 / (1 + np.exp(-logits.mask)) for logits in (exported, exact)]
    np.testing.assert_allclose(*chances, atol=1e-3)
