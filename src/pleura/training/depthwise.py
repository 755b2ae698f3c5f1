"""Depthwise convolutions of a network that trains in bf16 on a CPU: forward in bf16, backward in float32.

For the gradients of depthwise convolutions with a stride, or with 5x5 taps, oneDNN has no fast kernels in
bf16: one such layer can take a tenth of an EfficientNet's training step. Its float32 kernels take down to
a fortieth of that (benchmarks/README.md).
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[int, int]


def quicken(network: nn.Module) -> None:
    """Has the depthwise convolutions of a network learn as said above; its tensors stay as they are."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _is_plain_depthwise(module):
            module.forward = partial(_forward, module)  # type: ignore[method-assign]


def _is_plain_depthwise(conv: nn.Conv2d) -> bool:
    # Of other subclasses it is not known what else they do.
    known = type(conv) is nn.Conv2d or type(conv).__name__ == "Conv2dSame"
    each_alone = conv.groups == conv.in_channels == conv.out_channels > 1
    zeros = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return known and each_alone and zeros and conv.bias is None and set(conv.dilation) == {1}


def _forward(conv: nn.Conv2d, images: Tensor) -> Tensor:
    if not (torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")):
        return type(conv).forward(conv, images)
    stride: Any = conv.stride
    padding: Any = conv.padding
    if type(conv) is not nn.Conv2d:  # timm's, which pads as TensorFlow does
        from timm.layers.padding import pad_same

        images, padding = pad_same(images, list(conv.kernel_size), stride), (0, 0)
    half = torch.get_autocast_dtype("cpu")
    output: Tensor = _Depthwise.apply(images.to(half), conv.weight.to(half), stride, padding)  # type: ignore[no-untyped-call]
    return output


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(images, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        of_images, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient.float(),
            images.float(),
            weight.float(),
            bias_sizes=None,
            stride=ctx.stride,
            padding=ctx.padding,
            dilation=(1, 1),
            transposed=False,
            output_padding=(0, 0),
            groups=len(weight),
            output_mask=(*ctx.needs_input_grad[:2], False),
        )
        narrow = None if of_images is None else of_images.to(images.dtype)
        return narrow, None if of_weight is None else of_weight.to(weight.dtype), None, None
