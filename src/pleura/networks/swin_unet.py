"""`swin_unet`: a Swin-Tiny encoder with a five-block U-Net decoder."""

from collections.abc import Sequence

from torch import Tensor, nn

from pleura.networks.decoder import UNetDecoder, channels_first, mask_head
from pleura.networks.encoder import timm_encoder
from pleura.networks.output import Output


class SwinUNet(nn.Module):
    """Swin-Tiny (Liu et al., ICCV 2021; timm) under a U-Net decoder and a 1x1 head.

    The encoder's four stages have [96, 192, 384, 768] channels at strides 4, 8, 16 and 32; three decoder
    blocks meet the finer three, two more double the resolution to the input's own.

    Args:
        channels: of the input, 1 or 3.
        size: of the input, a multiple of 32; Swin's windows are laid out for it, so that inputs of
            another size are refused by the encoder.
        decoder_channels: of each of the five blocks, coarsest first.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 224,
        decoder_channels: Sequence[int] = (384, 192, 96, 48, 24),
    ) -> None:
        super().__init__()
        self.encoder_name = "swin_tiny_patch4_window7_224"
        self.encoder = timm_encoder(self.encoder_name, channels=channels, img_size=size)
        self.decoder = UNetDecoder((96, 192, 384, 768), decoder_channels)
        self.head = mask_head(decoder_channels[-1])

    def forward(self, images: Tensor) -> Output:
        """(N, channels, size, size), normalised, to logits of the same height and width."""
        features = self.decoder(channels_first(self.encoder, images), images.shape[2:])
        return Output(self.head(features))
