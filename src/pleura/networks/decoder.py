"""The U-Net decoder that the networks on timm encoders share."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleura.networks.blocks import ScSE


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    """Twice a padded 3x3 convolution, batch norm and ReLU; (N, inputs, H, W) to (N, outputs, H, W)."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def mask_head(inputs: int) -> nn.Conv2d:
    """A 1x1 convolution to one logit, which starts at a probability of 0.01.

    Most pixels are background: starting near that, rather than at 0.5, spares the first epochs
    (Lin et al., "Focal loss for dense object detection", ICCV 2017, section 4.1).
    """
    head = nn.Conv2d(inputs, 1, 1)
    nn.init.constant_(head.bias, math.log(0.01 / 0.99))  # type: ignore[arg-type]
    return head


def channels_first(encoder: nn.Module, images: Tensor) -> list[Tensor]:
    """The maps (N, C_i, H_i, W_i) of a timm encoder, finest first; some, such as Swin, keep channels last."""
    maps: list[Tensor] = encoder(images)
    if getattr(encoder, "output_fmt", "NCHW") == "NHWC":
        return [m.permute(0, 3, 1, 2).contiguous() for m in maps]
    return maps


class UNetDecoder(nn.Module):
    """Climbs from the coarsest feature map to `size`, meeting each finer one on the way.

    After Ronneberger, Fischer and Brox, "U-Net", MICCAI 2015, with nearest-neighbour upsampling for the
    transposed convolution.

    Args:
        encoder_channels: of the encoder's maps, finest first.
        channels: of each block's output, coarsest first. The first blocks meet the finer maps in turn;
            those that remain only double the resolution.
        scse: whether `ScSE` ends each block.
    """

    def __init__(
        self, encoder_channels: Sequence[int], channels: Sequence[int], *, scse: bool = False
    ) -> None:
        super().__init__()
        coarsest, *skips = reversed(encoder_channels)
        if len(channels) < len(skips):
            raise ValueError(
                f"{len(skips)} skip connections need as many blocks; got {len(channels)}"
            )
        skips += [0] * (len(channels) - len(skips))
        inputs = [coarsest, *channels[:-1]]
        self.blocks = nn.ModuleList(
            conv_block(i + s, c) for i, s, c in zip(inputs, skips, channels, strict=True)
        )
        if scse:
            for block, width in zip(self.blocks, channels, strict=True):
                block.append(ScSE(width))  # type: ignore[operator]

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """(N, C_i, H_i, W_i) maps, finest first, to (N, channels[-1], *size)."""
        x, *skips = reversed(maps)
        for i, block in enumerate(self.blocks):
            if i < len(skips):
                x = F.interpolate(x, size=skips[i].shape[2:], mode="nearest")
                x = torch.cat((x, skips[i]), dim=1)
            else:
                height, width = min(2 * x.shape[2], size[0]), min(2 * x.shape[3], size[1])
                x = F.interpolate(x, size=(height, width), mode="nearest")
            x = block(x)
        if x.shape[2:] != size:
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        return x
