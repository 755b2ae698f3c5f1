"""Steps that change grey levels and leave every pixel, and so the mask, where it is."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.augment.step import Image, Mask, clipped


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
        return clipped((image - mean) * factor + mean + offset), mask


@dataclass(frozen=True)
class Gamma:
    """Raises to a power between 1 / `most` and `most`, uniform in its logarithm."""

    most: float = 1.4

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Changes the film's exposure."""
        power = self.most ** rng.uniform(-1.0, 1.0)
        return clipped(np.power(image, np.float32(power))), mask


@dataclass(frozen=True)
class GaussianNoise:
    """Adds white noise of a standard deviation up to `most`."""

    most: float = 0.05

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Changes the film; clipped to [0, 1]."""
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        return clipped(image + np.float32(rng.uniform(0.0, self.most)) * noise), mask


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
        return _from_bytes(clahe.apply(_bytes(image))), mask


@dataclass(frozen=True)
class Recompression:
    """The film as copies of it travel: resized, compressed with loss, and that once or twice.

    Public films come from several sources, and how they were resized and compressed tells the sources apart.
    Where these also differ in their share of positives, a network learns that instead of the finding. This
    step blurs the traces. Each generation is brought to `smallest` to `largest` times the size (by area where
    it shrinks, else by a drawn interpolation), written as JPEG, or one time in four as WebP, and read
    again; at last the film returns to its own size. What is in it does not move.

    Attributes:
        smallest, largest: sides, relative to the film's; uniform in their logarithm between.
        quality: the worst and the best, as the encoders count it.
        generations: at most.
    """

    smallest: float = 0.75
    largest: float = 2.0
    quality: tuple[int, int] = (50, 95)
    generations: int = 2

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Changes the film's finest structure, at 8 bits."""
        size, film = image.shape[0], image
        for _ in range(int(rng.integers(1, self.generations + 1))):
            scale = float(np.exp(rng.uniform(np.log(self.smallest), np.log(self.largest))))
            film = _resized(film, max(round(size * scale), 1), rng)
            quality = int(rng.integers(self.quality[0], self.quality[1] + 1))
            film = _compressed(film, quality, webp=bool(rng.random() < _WEBP_SHARE))
        return _resized(film, size, rng), mask


_WEBP_SHARE = 0.25
_ENLARGED_BY = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def _resized(film: Image, side: int, rng: np.random.Generator) -> Image:
    way = _ENLARGED_BY[rng.integers(len(_ENLARGED_BY))]
    if side < film.shape[0]:
        way = cv2.INTER_AREA
    return clipped(np.asarray(cv2.resize(film, (side, side), interpolation=way), np.float32))


def _compressed(film: Image, quality: int, *, webp: bool) -> Image:
    ending, flag = (
        (".webp", cv2.IMWRITE_WEBP_QUALITY) if webp else (".jpg", cv2.IMWRITE_JPEG_QUALITY)
    )
    encoded = cv2.imencode(ending, _bytes(film), [flag, quality])[1]
    return _from_bytes(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)))


def _bytes(image: Image) -> NDArray[np.uint8]:
    return np.round(image * 255.0).astype(np.uint8)


def _from_bytes(levels: NDArray[np.generic]) -> Image:
    return levels.astype(np.float32) / np.float32(255.0)
