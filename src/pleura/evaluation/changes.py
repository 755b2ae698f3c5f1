"""What may happen to a film between a detector and a model, and changes nothing that it shows."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.errors import EvaluationError

Pixels = NDArray[np.float32]

NOISE_SEED = 0


@dataclass(frozen=True)
class Change:
    """What may happen to a film on its way, and keeps what it shows.

    Attributes:
        name: in a few words.
        make: of pixels float32 (H, W) in [0, 1] others of any shape, in [0, 1]; the whole field stays.
    """

    name: str
    make: Callable[[Pixels], Pixels]


def _scaled(height: float, width: float) -> Callable[[Pixels], Pixels]:
    def make(pixels: Pixels) -> Pixels:
        rows, columns = (
            max(1, round(n * share)) for n, share in zip(pixels.shape, (height, width), strict=True)
        )
        resized = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.clip(resized, 0.0, 1.0).astype(np.float32, copy=False)

    return make


def _compressed(suffix: str, quality: int, flag: int) -> Callable[[Pixels], Pixels]:
    def make(pixels: Pixels) -> Pixels:
        done, data = cv2.imencode(suffix, np.rint(pixels * 255).astype(np.uint8), [flag, quality])
        grey = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if done else None
        if grey is None:
            raise EvaluationError(
                f"a film of {pixels.shape[0]}x{pixels.shape[1]} px cannot be kept as {suffix}; give "
                "smaller films"
            )
        return np.asarray(grey, np.float32) / np.float32(255)

    return make


def _jpeg(quality: int) -> Callable[[Pixels], Pixels]:
    return _compressed(".jpg", quality, cv2.IMWRITE_JPEG_QUALITY)


def _small_webp(pixels: Pixels) -> Pixels:
    return _compressed(".webp", 80, cv2.IMWRITE_WEBP_QUALITY)(_scaled(0.5, 0.5)(pixels))


def _gamma(exponent: float) -> Callable[[Pixels], Pixels]:
    def make(pixels: Pixels) -> Pixels:
        return np.power(pixels, np.float32(exponent), dtype=np.float32)

    return make


def _window(low: float, high: float) -> Callable[[Pixels], Pixels]:
    def make(pixels: Pixels) -> Pixels:
        moved = (pixels - np.float32(low)) / np.float32(high - low)
        return np.asarray(np.clip(moved, 0.0, 1.0), np.float32)

    return make


def _noisy(pixels: Pixels) -> Pixels:
    noise = np.random.default_rng(NOISE_SEED).normal(0.0, 0.02, pixels.shape)
    return np.clip(pixels + noise, 0.0, 1.0).astype(np.float32)


CHANGES = (
    Change("squeezed to 82 % of its height", _scaled(0.82, 1.0)),
    Change("squeezed to 82 % of its width", _scaled(1.0, 0.82)),
    Change("half as large", _scaled(0.5, 0.5)),
    Change("JPEG, quality 90", _jpeg(90)),
    Change("JPEG, quality 80", _jpeg(80)),
    Change("JPEG, quality 50", _jpeg(50)),
    Change("half as large, WebP 80", _small_webp),
    Change("brighter (gamma 0.8)", _gamma(0.8)),
    Change("darker (gamma 1.25)", _gamma(1.25)),
    Change("window of the middle 90 %", _window(0.05, 0.95)),
    Change("noise of 2 % of the range", _noisy),
)
