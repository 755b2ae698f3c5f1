"""`chexnet`: a DenseNet-121 classifier whose class-activation map says where it looks."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from pleura.networks.decoder import channels_first
from pleura.networks.encoder import timm_encoder
from pleura.networks.output import Output

PRIOR = 0.1  # of presence, before any training: most films are negative


class CheXNet(nn.Module):
    """DenseNet-121 (Huang et al., CVPR 2017) with one linear output on globally averaged features.

    After Rajpurkar et al., "CheXNet" (arXiv 1711.05225, 2017), with one class for its fourteen. The linear
    head is applied at each place of the last feature map, which gives the class-activation map (Zhou et al.,
    "Learning deep features for discriminative localization", CVPR 2016). The presence logit is that map's
    mean: the same number as the head on the averaged features, since both are linear.

    The map is coarse (a thirty-second of the input) and is never trained against a mask: it shows what the
    classifier went by, not an outline.

    Args:
        channels: of the input, 1 or 3.
        size: of the input; any size works, so it is not used.
        encoder: timm's name of a backbone.
    """

    presence_head = True

    def __init__(self, channels: int = 1, size: int = 224, encoder: str = "densenet121") -> None:
        super().__init__()
        self.encoder_name = encoder
        self.encoder = timm_encoder(encoder, channels=channels, size=size)
        width = self.encoder.feature_info.channels()[-1]  # type: ignore[operator, union-attr]
        self.head = nn.Conv2d(width, 1, 1)
        nn.init.constant_(self.head.bias, math.log(PRIOR / (1 - PRIOR)))  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Output:
        """(N, channels, H, W), normalised, to a map enlarged to H x W (bilinear) and presence logits (N,)."""
        activation = self.head(channels_first(self.encoder, images)[-1])  # (N, 1, H / 32, W / 32)
        enlarged = F.interpolate(
            activation, size=images.shape[2:], mode="bilinear", align_corners=False
        )
        return Output(enlarged, activation.mean(dim=(1, 2, 3)))
