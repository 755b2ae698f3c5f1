"""`anatomy`: where the lungs are, how a film lies, and how unlike known films it is, in one small pass."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleura.networks.decoder import channels_first, conv_block
from pleura.networks.encoder import timm_encoder

PLANES = ("right lung", "left lung", "heart")
"""By the side of the image on a film displayed as usual: the right lung is the one at the image's left."""

PRESENTATIONS = ("upright", "turned 90", "turned 180", "turned 270", "no frontal chest")
"""How a film lies: by so many degrees counter-clockwise, or it shows no whole frontal chest at all."""

_MAX_DEVIATIONS = (
    4.0  # of a grey level from the film's mean: markers and borders count no more than that
)
_MIN_DEVIATION = 1e-3


class AnatomyOutput(NamedTuple):
    """What `Anatomy` says of a batch.

    Attributes:
        lung_logits: float (N, 3, H / 4, W / 4), one plane for each of `PLANES`.
        presentation_logits: float (N, 6): of a softmax over `PRESENTATIONS`, then one of a sigmoid: whether
            the grey levels are inverted (bone dark).
        novelty: float (N,), at least 0, about 1 on films like those it was fitted on.
    """

    lung_logits: Tensor
    presentation_logits: Tensor
    novelty: Tensor

    def float(self) -> "AnatomyOutput":
        """The same in float32, where autocast left bf16."""
        return AnatomyOutput(*(tensor.float() for tensor in self))


class Anatomy(nn.Module):
    """A small network that looks at a film before any other does.

    - Each film is brought to mean 0 and deviation 1/2 first: hospitals' films differ in exposure, and so do
      those that lungs are learnt from.
    - A U-Net decoder (Ronneberger, Fischer and Brox, MICCAI 2015) stops at a quarter of the resolution, which
      outlines of lungs do not exceed.
    - Presentation comes from the pooled coarsest map.
    - `Density` measures how far the pooled features lie from those of known films.

    Args:
        channels: of the input, 1 or 3.
        size: of the input; a multiple of 32.
        encoder: timm's name of a backbone that gives maps of several sizes.
        decoder_channels: of the decoder's blocks, coarsest first; they end at a quarter of the input.
        domains: kinds of known films that the density tells apart, each with a mean of its own.
        dropout: on the pooled features, while training.
    """

    OUTPUTS = AnatomyOutput._fields

    def __init__(
        self,
        channels: int = 1,
        size: int = 192,
        encoder: str = "mobilenetv2_100",
        decoder_channels: Sequence[int] = (64, 48, 32),
        domains: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if size % 32:
            raise ValueError(f"size is a multiple of 32; got {size}")
        self.encoder_name = encoder
        self.encoder = timm_encoder(encoder, channels=channels, size=size)
        widths = self.encoder.feature_info.channels()  # type: ignore[operator, union-attr]
        strides = self.encoder.feature_info.reduction()  # type: ignore[operator, union-attr]
        coarsest, *skips = reversed([w for w, s in zip(widths, strides, strict=True) if s >= 4])
        if len(decoder_channels) != len(skips):
            raise ValueError(
                f"{encoder} takes {len(skips)} decoder_channels to a quarter of the resolution; "
                f"got {len(decoder_channels)}"
            )
        inputs = [coarsest, *decoder_channels[:-1]]
        self.blocks = nn.ModuleList(
            conv_block(i + s, c) for i, s, c in zip(inputs, skips, decoder_channels, strict=True)
        )
        self.lungs = nn.Conv2d(decoder_channels[-1], len(PLANES), 1)
        self.presentation = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(coarsest, len(PRESENTATIONS) + 1)
        )
        self.density = Density(coarsest + skips[0], domains)

    def forward(self, images: Tensor) -> AnatomyOutput:
        """(N, channels, H, W), normalised, to an `AnatomyOutput`."""
        x, *skips = reversed(channels_first(self.encoder, _standardised(images)))
        pooled = x.mean(dim=(2, 3))
        novelty = self.density(torch.cat((pooled, skips[0].mean(dim=(2, 3))), dim=1))
        for block, skip in zip(self.blocks, skips, strict=False):
            x = F.interpolate(x, size=skip.shape[2:], mode="nearest")
            x = block(torch.cat((x, skip), dim=1))
        return AnatomyOutput(self.lungs(x), self.presentation(pooled), novelty)

    def features(self, images: Tensor) -> Tensor:
        """What the density is over: float (N, D), the means of the two coarsest maps."""
        x, skip, *_ = reversed(channels_first(self.encoder, _standardised(images)))
        return torch.cat((x.mean(dim=(2, 3)), skip.mean(dim=(2, 3))), dim=1)


class Density(nn.Module):
    """How far features lie from those of known films: a squared Mahalanobis distance, by dimension.

    Lee et al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018: each
    domain has a mean of its own and all share one covariance; the nearest mean counts. Nothing here is learnt
    by gradient: `fit` sets the buffers once the features are what they are.

    Args:
        features: how many, D.
        domains: how many, K.
    """

    means: Tensor
    whitening: Tensor

    def __init__(self, features: int, domains: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(domains, features))
        self.register_buffer("whitening", torch.eye(features) / features**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """float (N, D) to float32 (N,): 1 is the average over the films it was fitted on."""
        away = features.detach().float()[:, None] - self.means  # (N, K, D)
        whitened = away @ self.whitening
        distances: Tensor = whitened.square().sum(dim=2).amin(dim=1)
        return distances

    @torch.no_grad()
    def fit(self, domains: Sequence[Tensor], shrinkage: float = 0.05) -> None:
        """Sets means and whitening from features of known films.

        Args:
            domains: float (n_k, D) of each domain, which all weigh the same in the covariance.
            shrinkage: share of the covariance that is replaced by its diagonal, so that directions in which
                few films vary are not trusted.

        Raises:
            ValueError: the domains are not as many as the network was made for, or one has too few films.
        """
        if len(domains) != len(self.means) or min(map(len, domains)) < 2:
            raise ValueError(
                f"{len(self.means)} domains of at least 2 films are needed; got {[len(d) for d in domains]}"
            )
        size = self.means.shape[1]
        covariance = torch.zeros(size, size, dtype=torch.float64)
        for number, given in enumerate(domains):
            features = given.double().cpu()
            self.means[number] = features.mean(dim=0)
            covariance += torch.cov(features.T) / len(domains)
        diagonal = covariance.diagonal()
        floor = 1e-3 * diagonal.mean()
        covariance = (1 - shrinkage) * covariance + shrinkage * torch.diag(diagonal)
        covariance += floor * torch.eye(size, dtype=torch.float64)
        inverse = torch.linalg.inv(covariance) / size
        self.whitening.copy_(torch.linalg.cholesky(inverse))


def _standardised(images: Tensor) -> Tensor:
    """Each film at mean 0 and standard deviation 1/2."""
    images = images.float()
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    deviation = (images - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    scaled = (images - mean) / deviation.clamp_min(_MIN_DEVIATION)
    return 0.5 * scaled.clamp(-_MAX_DEVIATIONS, _MAX_DEVIATIONS)
