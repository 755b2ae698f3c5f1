"""Films of two halves: one side of a chest from each of two films."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.augment.step import Image, Mask, clipped

SEAM = 0.05  # of the side: how broad the films run into each other
_OFF_CENTRE = 0.02  # of the side, one standard deviation: spines are not always in the middle
_MIDDLE = (
    slice(0.4, 0.6),
    slice(0.2, 0.8),
)  # columns and rows of the mediastinum, where greys are compared
_GAIN = 0.5, 2.0


def hemithorax_cutmix(
    image: Image, mask: Mask, other: Image, other_mask: Mask, rng: np.random.Generator
) -> tuple[Image, Mask]:
    """One side of `image`, the other side of `other`, joined softly near the middle, and so the masks.

    CutMix (Yun et al., ICCV 2019) along the body's own seam. A pneumothorax mostly lies in one half of a
    film, and much that goes with it without being it shows in both: the machine, the bed, the tubes. The
    healthy halves of two positive films make a negative one of the same kind, and the halves of a few hundred
    films make many thousands. Sides are not exchanged: what was left stays left.

    Args:
        image, mask: float32 (S, S) in [0, 1] and uint8 (S, S) of 0 or 255, the chest about in the middle.
        other, other_mask: of another film at the same size. Its greys are stretched to have the mean and
            the deviation that `image` has in the middle.
        rng: draws which half is taken from which, and where the seam runs.
    """
    size = image.shape[1]
    seam = size * (0.5 + np.clip(rng.normal(0.0, _OFF_CENTRE), -0.06, 0.06))
    ramp = np.clip((np.arange(size) + 0.5 - seam) / (SEAM * size) + 0.5, 0.0, 1.0)
    share = (ramp if rng.random() < 0.5 else 1.0 - ramp).astype(np.float32)
    mixed = image + share * (_alike(other, image) - image)
    return clipped(mixed), np.where(share > 0.5, other_mask, mask)


def _alike(film: Image, model: Image) -> NDArray[np.float32]:
    """A film with the greys that `model` has in the middle."""
    (mean, deviation), (wanted, wanted_deviation) = _middle(film), _middle(model)
    gain = np.clip(wanted_deviation / max(deviation, 1e-3), *_GAIN)
    return (film - mean) * np.float32(gain) + np.float32(wanted)


def _middle(film: Image) -> tuple[float, float]:
    columns, rows = (
        slice(round(part.start * film.shape[1]), round(part.stop * film.shape[1]))
        for part in _MIDDLE
    )
    mean, deviation = cv2.meanStdDev(film[rows, columns])
    return float(mean[0, 0]), float(deviation[0, 0])
