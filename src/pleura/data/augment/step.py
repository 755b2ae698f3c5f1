"""What a step of augmentation is, and how steps are taken now and then, or one of several."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


def clipped(image: NDArray[np.floating]) -> Image:
    """Grey levels cut to [0, 1]."""
    cut: Image = np.clip(image, 0.0, 1.0).astype(np.float32, copy=False)
    return cut


def binary(mask: NDArray[np.generic]) -> Mask:
    """A mask that interpolation has made grey, cut at half."""
    return np.where(np.asarray(mask) > 127, np.uint8(255), np.uint8(0))
