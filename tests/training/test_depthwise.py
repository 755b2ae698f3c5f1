"""What learns in bf16 on a CPU computes as it did, and its depthwise convolutions learn as in float32."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pleura.networks.joint import Joint
from pleura.networks.torchvision_ops import declare_missing
from pleura.training.depthwise import quicken


def as_tensorflow(*sizes: int, **options: Any) -> nn.Conv2d:
    """timm's convolution with TensorFlow's padding."""
    declare_missing()
    from timm.layers import Conv2dSame

    return Conv2dSame(*sizes, **options)


def learnt(network: nn.Module, images: Tensor, *, bf16: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """Output, and gradients by name, of the input too."""
    images = images.clone().requires_grad_()
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = network(images)
    output.float().square().sum().backward()
    named = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    assert images.grad is not None
    return output.detach(), {**named, "images": images.grad}


@pytest.mark.parametrize("kind", [nn.Conv2d, as_tensorflow])
@pytest.mark.parametrize(("taps", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_it_gives_what_it_gave_and_its_gradients_are_close_to_float32(
    kind: Callable[..., nn.Conv2d], taps: int, stride: int
) -> None:
    torch.manual_seed(0)
    conv = kind(16, 16, taps, stride, padding=taps // 2, groups=16, bias=False)
    images = torch.randn(2, 16, 18, 18).contiguous(memory_format=torch.channels_last)
    exact, wanted = learnt(conv, images, bf16=False)
    plain, _ = learnt(conv, images, bf16=True)
    quicken(conv)
    ours, gradients = learnt(conv, images, bf16=True)
    assert ours.dtype == torch.bfloat16
    assert torch.equal(ours, plain)
    assert gradients.keys() == wanted.keys() == {"weight", "images"}
    for name, gradient in gradients.items():
        error = (gradient - wanted[name]).norm() / wanted[name].norm()
        assert error < 0.01, name
    assert torch.equal(learnt(conv, images, bf16=False)[0], exact)  # float32 stays float32


def test_other_convolutions_are_left_alone_and_no_name_changes() -> None:
    network = Joint(size=64, encoder="tf_efficientnet_lite0", decoder_channels=(8, 8))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    quicken(network)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    quickened = [m for m in convolutions if "forward" in vars(m)]
    assert len(quickened) == 16  # one in each block of the encoder
    assert all(m.groups == m.in_channels for m in quickened)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_held_weights_ask_for_no_gradient() -> None:
    conv = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False).requires_grad_(False)
    quicken(conv)
    _, gradients = learnt(conv, torch.randn(1, 8, 9, 9), bf16=True)
    assert set(gradients) == {"images"}
