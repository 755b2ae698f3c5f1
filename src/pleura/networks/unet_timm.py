"""`unet_timm`: a U-Net on a timm encoder; light with MobileNetV2, the CPU recipe's choice."""

from collections.abc import Sequence

from torch import Tensor, nn

from pleura.networks.decoder import UNetDecoder, channels_first, mask_head
from pleura.networks.encoder import timm_encoder
from pleura.networks.output import Output


class UNetTimm(nn.Module):
    """A U-Net whose contracting path is a timm encoder: ResNet, EfficientNet, ConvNeXt, MobileNet, Swin, ...

    Args:
        channels: of the input, 1 or 3.
        size: of the input; only encoders that are laid out for one size, such as Swin, are bound to it.
        encoder: timm's name of a backbone that gives maps of several sizes.
        decoder_channels: of each decoder block, coarsest first.
        scse: whether squeeze and excitation, of channels and of places, ends each decoder block.
        presence_head: whether a linear head on the mean of the coarsest encoder map gives presence logits.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 256,
        encoder: str = "mobilenetv2_100",
        decoder_channels: Sequence[int] = (128, 64, 48, 32, 16),
        scse: bool = False,
        presence_head: bool = False,
    ) -> None:
        super().__init__()
        self.encoder_name = encoder
        self.encoder = timm_encoder(encoder, channels=channels, size=size)
        widths: list[int] = self.encoder.feature_info.channels()  # type: ignore[operator, union-attr]
        self.decoder = UNetDecoder(widths, decoder_channels, scse=scse)
        self.head = mask_head(decoder_channels[-1])
        self.presence = (
            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1))
            if presence_head
            else None
        )

    def forward(self, images: Tensor) -> Output:
        """(N, channels, H, W), normalised, to logits at H x W, and (N,) of presence where there is a head."""
        maps = channels_first(self.encoder, images)
        features = self.decoder(maps, images.shape[2:])
        presence = self.presence(maps[-1])[:, 0] if self.presence is not None else None
        return Output(self.head(features), presence)
