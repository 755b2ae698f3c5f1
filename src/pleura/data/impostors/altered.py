"""Real films spoilt, so that what is left must not be judged."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.impostors.plate import Layer

_TILES = 4


def one_lung(film: Layer, rng: np.random.Generator) -> Layer:
    """One half of a film, or little more, enlarged to the whole."""
    size = film.shape[0]
    width = int(rng.uniform(0.4, 0.55) * size)
    left = 0 if rng.random() < 0.5 else size - width
    height = int(rng.uniform(0.7, 1.0) * size)
    top = int(rng.integers(0, size - height + 1))
    return _window(film, top, left, height, width)


def enlarged(film: Layer, rng: np.random.Generator) -> Layer:
    """A small part of a film, from anywhere in it, enlarged to the whole."""
    size = film.shape[0]
    height, width = (int(rng.uniform(0.2, 0.5) * size) for _ in range(2))
    top, left = (int(rng.integers(0, size - side + 1)) for side in (height, width))
    return _window(film, top, left, height, width)


def badly_exposed(film: Layer, rng: np.random.Generator) -> Layer:
    """Greys so far off that most of the film is black, or white, and no processing brings them back."""
    share = rng.uniform(0.7, 0.93)
    span = float(np.ptp(np.percentile(film, [1, 99])))
    if rng.random() < 0.5:  # too little reached the film: only the brightest parts are left
        low = float(np.quantile(film, share))
        shown = (film - low) / max(0.4 * span, 1e-3)
    else:
        high = float(np.quantile(film, 1 - share))
        shown = 1 + (film - high) / max(0.4 * span, 1e-3)
    return np.asarray(np.clip(shown, 0, 1), np.float32)


def shuffled(film: Layer, rng: np.random.Generator) -> Layer:
    """A film cut into squares that lie in another order, some on their side."""
    side = film.shape[0] // _TILES
    tiles = [
        film[row * side : (row + 1) * side, column * side : (column + 1) * side]
        for row in range(_TILES)
        for column in range(_TILES)
    ]
    order = rng.permutation(len(tiles))
    turned = [np.rot90(tiles[i], int(rng.integers(4))) for i in order]
    rows = [np.hstack(turned[start : start + _TILES]) for start in range(0, len(tiles), _TILES)]
    whole = np.ascontiguousarray(np.vstack(rows), np.float32)
    return np.asarray(
        cv2.resize(whole, film.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32
    )


def apices_cut_off(film: Layer, lungs: NDArray[np.bool_], share: float) -> Layer:
    """A film whose upper edge runs through its lungs.

    Args:
        film: float32 (H, W) in [0, 1].
        lungs: bool (H, W): where its lungs are; at least one pixel.
        share: of the lungs' height that is cut off, 0 to 1.

    Returns:
        What is left, float32 (H', W).
    """
    rows = np.flatnonzero(lungs.any(axis=1))
    top = int(rows[0] + share * (rows[-1] - rows[0]))
    return np.ascontiguousarray(film[top:])


def _window(film: Layer, top: int, left: int, height: int, width: int) -> Layer:
    part = film[top : top + height, left : left + width]
    return np.asarray(
        cv2.resize(part, film.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32
    )
