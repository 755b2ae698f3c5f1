"""`unet`: the U-Net of 2015, unpadded as it was, or padded as most use it."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pleura.networks.decoder import mask_head
from pleura.networks.output import Output


class UNet(nn.Module):
    """Ronneberger, Fischer and Brox, "U-Net", MICCAI 2015, with one output channel for its two.

    With the default filters: 23 convolutional layers, pooling by maxima, transposed convolutions of 2x2
    upwards, and no padding anywhere, so that each level crops what it takes over from the way down. An output
    is 184 px smaller than its input, and only some sizes are possible: 572 gives 388. An image of any other
    size is mirrored at its edges up to the next size whose output covers it, and the output is cropped to the
    image (the paper's overlap-tile strategy with a single tile): 512 is mirrored to 700, whose output of 516
    is cropped.

    Args:
        channels: of the input, 1 or 3.
        size: of the input; any size works, so it is not used.
        filters: of each level, finest first; each level but the last halves the resolution.
        padded: convolutions keep the size; images are mirrored only up to a multiple of the coarsest stride.
        batch_norm: after each 3x3 convolution; the paper, of the same year, has none.
        dropout: share of values dropped at the end of the way down while training; the paper does not say
            how many it drops.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 512,
        filters: Sequence[int] = (64, 128, 256, 512, 1024),
        padded: bool = False,
        batch_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(filters) < 2:
            raise ValueError(f"a U-Net has at least two levels; got filters {list(filters)}")
        inputs = [channels, *filters[:-1]]
        self.down = nn.ModuleList(
            _convolutions(i, o, padded, batch_norm) for i, o in zip(inputs, filters, strict=True)
        )
        upwards = list(reversed(filters))
        steps = list(pairwise(upwards))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, stride=2) for i, o in steps)
        self.up = nn.ModuleList(_convolutions(2 * o, o, padded, batch_norm) for _, o in steps)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.head = mask_head(filters[0])
        self.padded = padded

    def forward(self, images: Tensor) -> Output:
        """(N, channels, H, W), normalised, to logits at H x W."""
        height, width = images.shape[2:]
        levels = len(self.down) - 1
        rows, columns = (mirrored_length(n, levels, self.padded) for n in (height, width))
        x = mirror(images, rows, columns)
        skips = []
        for block in self.down[:-1]:
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        x = self.dropout(self.down[-1](x))
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            x = enlarge(x)
            x = block(torch.cat((crop(skips.pop(), x.shape[2], x.shape[3]), x), dim=1))
        return Output(crop(self.head(x), height, width))


def mirrored_length(length: int, levels: int, padded: bool) -> int:
    """The smallest side of a network input whose output covers `length`, after `levels` poolings.

    Unpadded, every level loses 4 px twice but the coarsest, which loses them once: 12 * 2^levels - 8 in all.
    """
    stride = 1 << levels
    if padded:
        return -(-length // stride) * stride
    loss = 12 * stride - 8
    # A side is stride * m + 4 * (stride - 1), m being what the coarsest level gets; its output, `loss` less.
    coarsest = -(-(length + loss - 4 * (stride - 1)) // stride)
    return stride * coarsest + 4 * (stride - 1)


def mirror(images: Tensor, rows: int, columns: int) -> Tensor:
    """`images` (N, C, H, W) amid (N, C, rows, columns), mirrored at the edges as often as it takes."""
    for dim, total in ((2, rows), (3, columns)):
        length = images.shape[dim]
        if total != length:
            period = max(2 * length - 2, 1)
            place = (torch.arange(total, device=images.device) - (total - length) // 2) % period
            images = images.index_select(dim, torch.minimum(place, period - place))
    return images


def crop(x: Tensor, rows: int, columns: int) -> Tensor:
    """The middle (N, C, rows, columns) of `x`."""
    top, left = (x.shape[2] - rows) // 2, (x.shape[3] - columns) // 2
    return x[:, :, top : top + rows, left : left + columns]


def _convolutions(inputs: int, outputs: int, padded: bool, batch_norm: bool) -> nn.Sequential:
    """Twice a 3x3 convolution and ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=int(padded), bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
