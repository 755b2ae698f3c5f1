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


@dataclass(frozen=True)
class OneOf:
    """One of several steps, drawn by `weights` (equal ones by default)."""

    steps: tuple[Step, ...]
    weights: tuple[float, ...] | None = None

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Takes the step that was drawn."""
        weights = np.array(self.weights or [1.0] * len(self.steps))
        return self.steps[rng.choice(len(self.steps), p=weights / weights.sum())](image, mask, rng)


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
class Elastic:
    """Smooth random displacement (Simard, Steinkraus and Platt, ICDAR 2003) and a slight affine one.

    Attributes:
        alpha: scale of the displacement: uniform noise in [-1, 1], smoothed, times this many pixels.
        sigma: of the Gaussian that smooths it, in pixels.
        affine: largest shift of each of the three points that define the affine part, in pixels.
    """

    alpha: float = 120.0
    sigma: float = 6.0
    affine: float = 3.6

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Moves film (bilinear) and mask (bilinear, cut at half) alike; edges are mirrored."""
        size = image.shape[0]
        near, far = size / 6, size * 5 / 6
        given = np.array([[far, far], [far, near], [near, near]], np.float32)
        shifted = given + rng.uniform(-self.affine, self.affine, (3, 2)).astype(np.float32)
        matrix = cv2.getAffineTransform(given, shifted).astype(np.float32)
        noise = rng.uniform(-1.0, 1.0, (size, size, 2)).astype(np.float32)
        shift = cv2.GaussianBlur(noise, (0, 0), self.sigma) * np.float32(self.alpha)
        y, x = np.mgrid[:size, :size].astype(np.float32)
        at = np.stack((x, y, np.ones_like(x)), axis=-1) @ matrix.T + shift  # (S, S, 2): x, y
        maps = (np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1]))
        film = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        region = cv2.remap(mask, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        return film.astype(np.float32, copy=False), _binary(region)


@dataclass(frozen=True)
class SizedCrop:
    """A square of at least `smallest` of the side, anywhere in the film, enlarged to the whole."""

    smallest: float = 0.6875

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Cuts film (bilinear) and mask (bilinear, cut at half) alike."""
        size = image.shape[0]
        side = int(rng.integers(round(self.smallest * size), size + 1))
        top, left = rng.integers(0, size - side + 1, 2)
        window = (slice(top, top + side), slice(left, left + side))
        film = cv2.resize(image[window], (size, size), interpolation=cv2.INTER_LINEAR)
        region = cv2.resize(mask[window], (size, size), interpolation=cv2.INTER_LINEAR)
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
    # The computer-aided diagnosis project's, with its probabilities and sizes (176 of 256 px); its CLAHE has
    # 32 tiles a side, 8 px each at 256, which amplifies noise: kept, since it is theirs.
    "cad": (
        Sometimes(0.5, flip_horizontal),
        Sometimes(0.5, Affine(0.0625, 0.1, 0.0, 45.0)),
        Sometimes(0.5, Elastic(120.0, 6.0, 3.6)),
        Sometimes(
            0.3,
            OneOf((BrightnessContrast(0.0, 0.2), Gamma(1.25), BrightnessContrast(0.2, 0.0))),
        ),
        Sometimes(0.5, OneOf((SizedCrop(176 / 256), Clahe(2.0, 32)), weights=(0.25, 0.4))),
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
