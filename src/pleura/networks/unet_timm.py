"""`unet_timm`: a U-Net on a timm encoder; light with MobileNetV2, the CPU recipe's choice."""

from collections.abc import Sequence

from torch import Tensor, nn

from pleura.networks.decoder import UNetDecoder, mask_head
from pleura.networks.encoder import timm_encoder
from pleura.networks.output import Output


class UNetTimm(nn.Module):
    """A U-Net whose contracting path is a timm encoder.

    Args:
        channels: of the input, 1 or 3.
        size: of the input; any size works, so it is not used.
        encoder: timm's name of a convolutional backbone.
        decoder_channels: of each decoder block, coarsest first.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 256,
        encoder: str = "mobilenetv2_100",
        decoder_channels: Sequence[int] = (128, 64, 48, 32, 16),
    ) -> None:
        super().__init__()
        # Symmetric padding, so that weights carried over from TensorFlow see what they were trained on.
        options = {"pad_type": "same"} if str(encoder).startswith("mobilenetv2") else {}
        self.encoder_name = encoder
        self.encoder = timm_encoder(encoder, channels=channels, **options)
        self.decoder = UNetDecoder(self.encoder.feature_info.channels(), decoder_channels)  # type: ignore
        self.head = mask_head(decoder_channels[-1])

    def forward(self, images: Tensor) -> Output:
        """(N, channels, H, W), normalised, to logits at H x W."""
        features = self.decoder(self.encoder(images), images.shape[2:])
        return Output(self.head(features))
