"""Films that look unlike the others: in tone and noise by robust z-scores, in pose by the median film."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pleura.data.duplicates import SIDE
from pleura.data.manifest import Film
from pleura.data.split.linked import thumbnail_is_whole

Z_LIMIT = 3.5
"""Robust z-score beyond which a film is shown (Iglewicz and Hoaglin 1993): 5 in 10,000 of a normal
distribution."""

MIN_COMPARED = 20
"""Films needed before any can be told to be unlike them."""

LOGARITHMIC = frozenset({"noise", "sharpness"})

INVERTED_BELOW, UNLIKE_BELOW = -0.3, 0.25
TURNED_ABOVE, TURNED_BETTER = 0.45, 0.6
"""Correlations with the median film. Of 5,505 real films 99 % had more than 0.30, so that as many would be
found if inverted; turned upside down, 88 % would fit so much better. What these limits flagged among
them was one inverted film, two turned or inverted ones, and one collimated to its upper half."""


def robust_z(values: NDArray[np.float64], groups: Sequence[str]) -> NDArray[np.float64]:
    """How far each value lies from the median of its group, in robust standard deviations.

    The deviation is 1.4826 times the median absolute deviation (Iglewicz and Hoaglin 1993); groups of
    fewer than `MIN_COMPARED` values are compared with all values instead.

    Args:
        values: float64 (N,); NaN where there is none.
        groups: N names, of the corpora.

    Returns:
        float64 (N,), signed; 0 where nothing can be said: no value, too few, or no spread at all.
    """
    names = np.asarray(groups, dtype=object)
    scores = _z(values, values)
    for name in set(groups):
        own = names == name
        if np.isfinite(values[own]).sum() >= MIN_COMPARED:
            scores[own] = _z(values[own], values[own])
    return scores


def _z(values: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.float64]:
    among = among[np.isfinite(among)]
    if among.size < MIN_COMPARED:
        return np.zeros(values.shape)
    middle = np.median(among)
    deviation = 1.4826 * np.median(np.abs(among - middle))
    if deviation <= 1e-9:
        return np.zeros(values.shape)
    scores = (values - middle) / deviation
    return np.where(np.isfinite(scores), scores, 0.0)


def looks_scores(
    looks: Mapping[str, NDArray[np.float64]], corpora: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """`robust_z` of each measure; noise and sharpness, which are skewed, by their logarithm."""
    return {
        name: robust_z(np.log(np.maximum(v, 1e-6)) if name in LOGARITHMIC else v, corpora)
        for name, v in looks.items()
    }


def odd_poses(films: Sequence[Film]) -> dict[str, list[tuple[Film, str]]]:
    """Films whose thumbnail does not fit the median film of the dataset, with why.

    Returns:
        by code: `looks-inverted` (bright where the others are dark), `looks-turned` (fits better upside
        down) and `unlike-the-rest` (fits in no way). Empty for fewer than `MIN_COMPARED` films.
    """
    films = [film for film in films if thumbnail_is_whole(film)]
    found: dict[str, list[tuple[Film, str]]] = {}
    if len(films) < MIN_COMPARED:
        return found
    small = np.stack([np.frombuffer(bytes.fromhex(f.thumbnail), dtype=np.uint8) for f in films])
    units = _standardised(small.reshape(-1, SIDE, SIDE))
    median = _standardised(np.median(units, axis=0, keepdims=True))[0]
    upright = (units * median).sum(axis=(1, 2))
    turned = (units * median[::-1]).sum(axis=(1, 2))
    for film, fit, other in zip(films, upright, turned, strict=True):
        detail = f"r = {fit:.2f} with the median film"
        if other - fit > TURNED_BETTER and other > TURNED_ABOVE:
            found.setdefault("looks-turned", []).append(
                (film, f"turned? {detail}, upside down {other:.2f}")
            )
        elif fit < INVERTED_BELOW:
            found.setdefault("looks-inverted", []).append((film, f"inverted? {detail}"))
        elif fit < UNLIKE_BELOW:
            found.setdefault("unlike-the-rest", []).append((film, f"unlike the rest: {detail}"))
    return found


def _standardised(images: NDArray[np.generic]) -> NDArray[np.float64]:
    """Images (N, H, W) of zero mean and unit length each; a flat one stays zero."""
    centred = images.astype(np.float64)
    centred -= centred.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True))
    return centred / np.where(length > 1e-9, length, 1.0)
