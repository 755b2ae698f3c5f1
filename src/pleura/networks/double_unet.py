"""`double_unet`: two U-Nets in a row, the second on what the first left of the image."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pleura.networks.blocks import ASPP, SqueezeExcite, enlarged
from pleura.networks.decoder import conv_block, mask_head
from pleura.networks.encoder import timm_encoder
from pleura.networks.output import Output

VGG_MAPS = (0, 1, 2, 3, 4)  # before each pooling: strides 1, 2, 4, 8, 16


class DoubleUNet(nn.Module):
    """Jha et al., "DoubleU-Net", CBMS 2020.

    The first network is a VGG-19 encoder under atrous spatial pyramid pooling and a decoder with squeeze and
    excitation; the second looks at the image times the first one's mask, has an encoder of its own, and its
    decoder meets the skips of both. The image is the normalised one: what the mask hides becomes 0, which is
    its mean grey and not black. The second one's mask is `mask_logits`, the first one's `deep_logits`. The
    paper trains and evaluates both together; train on both, with a loss on `mask` and one on `deep`.

    Args:
        channels: of the input, 1 or 3.
        size: of the input; any size from 32 works, so it is not used.
        encoder: timm's name of a VGG. The paper's has no batch norm (`vgg19`), but started from ImageNet, and
            does not train well from random weights; the default does.
        filters: of the second encoder, finest first; both decoders have the same, from the other end.
        aspp_filters: of the maps between encoder and decoder.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 256,
        encoder: str = "vgg19_bn",
        filters: Sequence[int] = (32, 64, 128, 256),
        aspp_filters: int = 64,
    ) -> None:
        super().__init__()
        if not str(encoder).startswith("vgg"):
            raise ValueError(f"the first encoder of a double U-Net is a VGG of timm; got {encoder}")
        if len(filters) != len(VGG_MAPS) - 1:
            raise ValueError(f"four levels meet a VGG's skips; got filters {list(filters)}")
        self.encoder_name = encoder
        # timm makes VGG's classifier before it is cut off; this narrows it from 120 M parameters to few.
        self.encoder = timm_encoder(
            encoder, channels=channels, out_indices=VGG_MAPS, mlp_ratio=1 / 1024
        )
        *skips, coarsest = self.encoder.feature_info.channels()  # type: ignore[operator, union-attr]
        self.aspp = ASPP(coarsest, aspp_filters)
        self.decoder = _decoder(aspp_filters, skips, filters)
        # No prior here: a mask that starts near zero would hide the image from the second network.
        self.first_head = nn.Conv2d(filters[0], 1, 1)

        inputs = [channels, *filters[:-1]]
        self.second_encoder = nn.ModuleList(
            _block(i, o) for i, o in zip(inputs, filters, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.second_aspp = ASPP(filters[-1], aspp_filters)
        both = [a + b for a, b in zip(skips, filters, strict=True)]
        self.second_decoder = _decoder(aspp_filters, both, filters)
        self.head = mask_head(filters[0])

    def forward(self, images: Tensor) -> Output:
        """(N, channels, H, W), normalised, to two masks' logits at H x W."""
        *skips, x = self.encoder(images)
        first = self.first_head(_climb(self.decoder, self.aspp(x), skips))
        x = images * first.sigmoid()
        both = []
        for block, skip in zip(self.second_encoder, skips, strict=True):
            x = block(x)
            both.append(torch.cat((skip, x), dim=1))
            x = self.pool(x)
        logits = self.head(_climb(self.second_decoder, self.second_aspp(x), both))
        return Output(logits, deep_logits=(first,))


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return conv_block(inputs, outputs).append(SqueezeExcite(outputs))


def _decoder(inputs: int, skips: Sequence[int], filters: Sequence[int]) -> nn.ModuleList:
    """A block a level, coarsest first; `skips` and `filters` are finest first."""
    before = [*filters[1:], inputs]
    levels = zip(before, skips, filters, strict=True)
    return nn.ModuleList(_block(b + s, f) for b, s, f in reversed(list(levels)))


def _climb(decoder: nn.ModuleList, x: Tensor, skips: Sequence[Tensor]) -> Tensor:
    for block, skip in zip(decoder, reversed(skips), strict=True):
        x = block(torch.cat((enlarged(x, skip), skip), dim=1))
    return x
