"""From a film's pixels to a network's input. Training and serving both come through here."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.config import STRICT
from pleura.frame import WHOLE, Frame

Region = Literal["film", "lungs"]
FILM, LUNGS = get_args(Region)


@dataclass(frozen=True)
class InputSpec:
    """What a network takes.

    Attributes:
        size: height and width in pixels; what it sees is squeezed to it, whatever its aspect.
        channels: 1, or 3 equal ones.
        mean, std: of the normalisation (x - mean) / std, for x in [0, 1].
        region: what it sees: the whole `film`, or the frame around its two `lungs`, which an anatomy network
            finds first; see `pleura.inference.lung_fields.lung_frame`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    size: int
    channels: int = 1
    mean: float = 0.5
    std: float = 0.25
    region: Region = "film"

    def __post_init__(self) -> None:
        numbers = (self.size, self.channels, self.mean, self.std)
        if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            raise ValueError(f"size, channels, mean and std are numbers; got {numbers}")
        if int(self.size) != self.size or not 32 <= self.size <= 4096:
            raise ValueError(f"input size is 32 to 4096 px; got {self.size}")
        if self.channels not in (1, 3):
            raise ValueError(f"a network takes 1 or 3 channels; got {self.channels}")
        if not self.std > 0:
            raise ValueError(f"std must be positive; got {self.std}")
        if self.region not in get_args(Region):
            raise ValueError(f"a network sees the film or its lungs; got region {self.region!r}")


PREPROCESS_VERSION = 1
"""Raised whenever `squeeze` gives other pixels, so that films cached for training are made again."""


def squeeze(pixels: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Resizes float32 (H, W) to (size, size): averaging areas where it shrinks, else bilinear."""
    height, width = pixels.shape
    shrinks = height >= size and width >= size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (size, size), interpolation=method).astype(np.float32, copy=False)


def normalise(pixels: NDArray[np.float32], spec: InputSpec) -> NDArray[np.float32]:
    """float32 (H, W) in [0, 1] to float32 (channels, H, W), normalised."""
    plane = (pixels - np.float32(spec.mean)) / np.float32(spec.std)
    return np.repeat(plane[None], spec.channels, axis=0)


def network_input(
    pixels: NDArray[np.float32], spec: InputSpec, lungs: Frame = WHOLE
) -> NDArray[np.float32]:
    """float32 (H, W) in [0, 1] to what the network takes: float32 (channels, size, size).

    Args:
        pixels: of the whole film.
        spec: what the network takes.
        lungs: the frame around the film's lungs; a network that sees the whole film does without it.
    """
    seen = pixels[lungs.window(pixels.shape)] if spec.region == LUNGS else pixels
    return normalise(squeeze(seen, spec.size), spec)
