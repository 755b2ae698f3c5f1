"""Attention and context blocks that several networks share."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate made from all channels' means (Hu, Shen and Sun, CVPR 2018).

    Args:
        channels: of the map; float (N, channels, H, W) in and out.
        reduction: how many times narrower the gate's hidden layer is.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same."""
        scaled: Tensor = x * self.gate(x)
        return scaled


class ScSE(nn.Module):
    """Concurrent spatial and channel squeeze and excitation (Roy, Navab and Wachinger, MICCAI 2018).

    The map scaled by channel plus the map scaled by place; float (N, channels, H, W) in and out.

    Args:
        channels: of the map.
        reduction: of the channel gate; 2 in the paper.
    """

    def __init__(self, channels: int, reduction: int = 2) -> None:
        super().__init__()
        self.channel = SqueezeExcite(channels, reduction)
        self.place = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same."""
        both: Tensor = self.channel(x) + x * self.place(x)
        return both


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: one map seen at several widths (Chen et al., arXiv 1706.05587).

    A 1x1 convolution, 3x3 convolutions of each dilation and the map's mean, put together by another 1x1
    convolution; each with batch norm and ReLU. The mean alone has none of the former, which could not be
    computed on a batch of one film.

    Args:
        inputs, outputs: channels; (N, inputs, H, W) to (N, outputs, H, W).
        dilations: of the 3x3 convolutions.
    """

    def __init__(self, inputs: int, outputs: int, dilations: Sequence[int] = (6, 12, 18)) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True)
        )
        self.views = nn.ModuleList(
            [_view(inputs, outputs, 1), *(_view(inputs, outputs, 3, d) for d in dilations)]
        )
        self.together = _view((len(dilations) + 2) * outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        mean = self.mean(x).expand(-1, -1, *x.shape[2:])
        together: Tensor = self.together(
            torch.cat([mean, *(view(x) for view in self.views)], dim=1)
        )
        return together


def _view(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    """`x` (N, C, h, w), bilinearly at the height and width of `like`."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
