"""Augmentation sets by name. Each step changes the film, and its mask where geometry moves.

A step takes (image, mask, rng): image float32 (S, S) in [0, 1], mask uint8 (S, S) of 0 or 255, and a NumPy
generator, and returns the pair in the same form. Everything random comes from the generator, so a film's
augmentation is a function of the seed it is given, whichever process makes it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.errors import UnknownName

Image = NDArray[np.float32]
Mask = NDArray[np.uint8]
Step = Callable[[Image, Mask, np.random.Generator], tuple[Image, Mask]]


@dataclass(frozen=True)
class Sometimes:
    """A step taken with a probability."""

    probability: float
    step: Step

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Takes the step, or leaves film and mask as they are."""
        if rng.random() >= self.probability:
            return image, mask
        return self.step(image, mask, rng)


def flip_vertical(image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Upside down."""
    return np.ascontiguousarray(image[::-1]), np.ascontiguousarray(mask[::-1])


def flip_horizontal(image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Left and right exchanged."""
    return np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])


@dataclass(frozen=True)
class Affine:
    """Shift, scale, aspect and rotation about the centre; what enters from outside is black.

    Attributes:
        shift: largest shift, as a share of the side.
        scale: largest relative change of size, both ways.
        aspect: largest relative change of width against height, both ways.
        degrees: largest rotation, both ways.
    """

    shift: float = 0.0625
    scale: float = 0.1
    aspect: float = 0.0
    degrees: float = 15.0

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Moves film (bilinear) and mask (bilinear, cut at half) alike."""
        size = image.shape[0]
        angle = np.deg2rad(rng.uniform(-self.degrees, self.degrees))
        scale = 1.0 + rng.uniform(-self.scale, self.scale)
        aspect = np.sqrt(1.0 + rng.uniform(-self.aspect, self.aspect))
        shift = rng.uniform(-self.shift, self.shift, size=2) * size
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turn @ np.diag([scale * aspect, scale / aspect])
        centre = np.full(2, (size - 1) / 2)
        moved = np.column_stack([matrix, centre + shift - matrix @ centre])
        film = cv2.warpAffine(image, moved, (size, size), flags=cv2.INTER_LINEAR)
        region = cv2.warpAffine(mask, moved, (size, size), flags=cv2.INTER_LINEAR)
        return film.astype(np.float32, copy=False), _binary(region)


@dataclass(frozen=True)
class BrightnessContrast:
    """Adds up to `brightness`, scales about the mean by up to `contrast`, both ways."""

    brightness: float = 0.2
    contrast: float = 0.2

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Changes the film's grey levels; clipped to [0, 1]."""
        factor = 1.0 + rng.uniform(-self.contrast, self.contrast)
        offset = rng.uniform(-self.brightness, self.brightness)
        mean = image.mean()
        return _clip((image - mean) * factor + mean + offset), mask


@dataclass(frozen=True)
class Gamma:
    """Raises to a power between 1 / `most` and `most`, uniform in its logarithm."""

    most: float = 1.4

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Changes the film's exposure."""
        power = self.most ** rng.uniform(-1.0, 1.0)
        return _clip(np.power(image, np.float32(power))), mask


@dataclass(frozen=True)
class GaussianNoise:
    """Adds white noise of a standard deviation up to `most`."""

    most: float = 0.05

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Changes the film; clipped to [0, 1]."""
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        return _clip(image + np.float32(rng.uniform(0.0, self.most)) * noise), mask


@dataclass(frozen=True)
class Clahe:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994).

    Attributes:
        clip: largest clip limit; each film draws one from 1 up.
        tiles: a side. Tiles much smaller than a rib only amplify noise.
    """

    clip: float = 4.0
    tiles: int = 8

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Equalises the film at 8 bits."""
        clahe = cv2.createCLAHE(rng.uniform(1.0, self.clip), (self.tiles, self.tiles))
        equalised = clahe.apply(np.round(image * 255.0).astype(np.uint8))
        return equalised.astype(np.float32) / np.float32(255.0), mask


def _clip(image: NDArray[np.floating]) -> Image:
    clipped: Image = np.clip(image, 0.0, 1.0).astype(np.float32, copy=False)
    return clipped


def _binary(mask: NDArray[np.generic]) -> Mask:
    return np.where(np.asarray(mask) > 127, np.uint8(255), np.uint8(0))


AUGMENTATIONS: Mapping[str, Sequence[Step]] = {
    "none": (),
    # The Swin-Tiny U-Net project's: vertical flip, brightness and contrast, noise, CLAHE, affine.
    "swin-unet": (
        Sometimes(0.5, flip_vertical),
        Sometimes(0.5, BrightnessContrast(0.2, 0.2)),
        Sometimes(0.3, GaussianNoise(0.05)),
        Sometimes(0.3, Clahe(4.0, 8)),
        Sometimes(0.5, Affine(0.0625, 0.1, 0.0, 15.0)),
    ),
    # Mirrored and squeezed chests do occur; upside-down ones do not.
    "light": (
        Sometimes(0.5, flip_horizontal),
        Sometimes(0.8, Affine(0.06, 0.15, 0.25, 12.0)),
        Sometimes(0.5, BrightnessContrast(0.15, 0.25)),
        Sometimes(0.5, Gamma(1.5)),
        Sometimes(0.3, GaussianNoise(0.03)),
    ),
}


def augment(name: str, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Passes film and mask through the set `name`.

    Raises:
        UnknownName: there is no such set.
    """
    if name not in AUGMENTATIONS:
        raise UnknownName.among("augmentation set", name, AUGMENTATIONS)
    for step in AUGMENTATIONS[name]:
        image, mask = step(image, mask, rng)
    return image, mask
