"""`joint`: one encoder, a mask decoder with deep supervision, and a presence head, trained together."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleura.networks.decoder import channels_first, conv_block, mask_head
from pleura.networks.encoder import timm_encoder
from pleura.networks.output import Output

PEAK_WINDOW = 4  # px: a single hot pixel is no evidence


class Joint(nn.Module):
    """Our own network: whether and where, from the same features.

    - A U-Net decoder (Ronneberger, Fischer and Brox, MICCAI 2015) climbs to the encoder's finest map at most;
      from there a 1x1 head and a pixel shuffle (Shi et al., CVPR 2016) reach the input's resolution, which
      saves the most expensive level of the decoder, or with one block fewer the two most expensive.
    - Each coarser decoder stage has a mask head of its own for deep supervision (Lee et al., AISTATS 2015).
    - Presence comes from `AttentionPool` over the coarsest encoder map, plus the mask's own evidence: the
      highest mean probability of a small window, weighted. A thin apical rim is lost at a stride of 32 and
      shows in the mask; a large collapse with a faint line is the reverse. The evidence is bounded, so that a
      head trained on films whose masks are already learnt by heart still has something to learn, and it
      sends no gradient back: masks are learnt from masks alone.

    Args:
        channels: of the input, 1 or 3.
        size: of the input; only encoders that are laid out for one size, such as Swin, are bound to it.
        encoder: timm's name of a backbone that gives maps of several sizes.
        decoder_channels: of each decoder block, coarsest first; at most one fewer than the encoder has maps.
        attention_channels: of the attention's hidden layer.
        dropout: on the pooled features, while training.
        compare_sides: whether each place of the coarsest map knows its mirror place, as by `CompareSides`.
    """

    presence_head = True

    def __init__(
        self,
        channels: int = 1,
        size: int = 320,
        encoder: str = "mobilenetv2_100",
        decoder_channels: Sequence[int] = (192, 96, 64, 48),
        attention_channels: int = 128,
        dropout: float = 0.2,
        compare_sides: bool = False,
    ) -> None:
        super().__init__()
        self.encoder_name = encoder
        self.encoder = timm_encoder(encoder, channels=channels, size=size)
        info = self.encoder.feature_info
        coarsest, *skips = reversed(info.channels())  # type: ignore[operator, union-attr]
        if not 1 <= len(decoder_channels) <= len(skips):
            raise ValueError(
                f"{encoder} has {len(skips)} finer maps, for 1 to {len(skips)} decoder_channels; "
                f"got {len(decoder_channels)}"
            )
        inputs = [coarsest, *decoder_channels[:-1]]
        self.blocks = nn.ModuleList(
            conv_block(i + s, c) for i, s, c in zip(inputs, skips, decoder_channels, strict=False)
        )
        self.deep_heads = nn.ModuleList(mask_head(c) for c in decoder_channels[:-1])
        self.shuffle = info.reduction()[len(skips) - len(decoder_channels)]  # type: ignore[operator, union-attr]
        self.head = _shuffle_head(decoder_channels[-1], self.shuffle)
        self.pool = AttentionPool(coarsest, attention_channels)
        self.sides = CompareSides(coarsest, attention_channels) if compare_sides else nn.Identity()
        self.presence = nn.Sequential(nn.Dropout(dropout), nn.Linear(coarsest, 1))
        self.evidence_weight = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Output:
        """(N, channels, H, W), normalised, to logits at H x W, of presence (N,) and of each stage."""
        x, *skips = reversed(channels_first(self.encoder, images))
        x = self.sides(x)
        pooled = self.pool(x)
        stages = []
        for block, skip in zip(self.blocks, skips, strict=False):
            x = F.interpolate(x, size=skip.shape[2:], mode="nearest")
            x = block(torch.cat((x, skip), dim=1))
            stages.append(x)
        logits = F.pixel_shuffle(self.head(x), self.shuffle)
        if logits.shape[2:] != images.shape[2:]:  # an odd size, which the encoder has rounded
            logits = F.interpolate(
                logits, size=images.shape[2:], mode="bilinear", align_corners=False
            )
        presence = self.presence(pooled)[:, 0] + self.evidence_weight * _evidence(logits)
        deep = tuple(head(stage) for head, stage in zip(self.deep_heads, stages[:-1], strict=True))
        return Output(logits, presence, deep)


class CompareSides(nn.Module):
    """Adds to each place of a map what comes of it beside its mirror place, as readers hold lung to lung.

    It adds nothing at first, so that a network trained without it goes on as it was.

    Args:
        channels: of the map.
        hidden: channels between the two 1x1 convolutions.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.pair = nn.Conv2d(2 * channels, hidden, 1)
        self.out = nn.Conv2d(hidden, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same. No chest is symmetric to a place: the mirrored map is blurred."""
        mirrored = F.avg_pool2d(x.flip(3), 3, stride=1, padding=1, count_include_pad=False)
        added: Tensor = self.out(self.pair(torch.cat((x, mirrored), dim=1)).relu())
        return x + added


class AttentionPool(nn.Module):
    """The mean of a map's features, weighted by gated attention over its places.

    Ilse, Tomczak and Welling, "Attention-based deep multiple instance learning", ICML 2018, equation 9: a
    pneumothorax fills few places, and a plain mean would drown them.

    Args:
        channels: of the map.
        hidden: channels of the gate.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.value = nn.Conv2d(channels, hidden, 1)
        self.gate = nn.Conv2d(channels, hidden, 1)
        self.score = nn.Conv2d(hidden, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, channels)."""
        scores = self.score(self.value(x).tanh() * self.gate(x).sigmoid())
        weights = scores.flatten(2).float().softmax(dim=2).to(x.dtype)  # (N, 1, H W)
        pooled: Tensor = (x.flatten(2) * weights).sum(dim=2)
        return pooled


def _evidence(logits: Tensor) -> Tensor:
    """Mask logits (N, 1, H, W) to (N,) in [-1, 1]: of the window with the highest mean probability."""
    means = F.avg_pool2d(logits.detach().float().sigmoid(), PEAK_WINDOW)
    return 2.0 * means.amax(dim=(1, 2, 3)) - 1.0


def _shuffle_head(inputs: int, factor: int) -> nn.Conv2d:
    """A 1x1 convolution to `factor` squared logits a place, which all start the same and at 0.01.

    Equal rows make the shuffled map start smooth instead of as a checkerboard (Aitken et al., arXiv
    1707.02937, 2017).
    """
    head = nn.Conv2d(inputs, factor * factor, 1)
    with torch.no_grad():
        head.weight.copy_(head.weight[:1].expand_as(head.weight))
    nn.init.constant_(head.bias, math.log(0.01 / 0.99))  # type: ignore[arg-type]
    return head
