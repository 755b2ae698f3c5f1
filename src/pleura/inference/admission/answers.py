"""What the anatomy network says of one film, in numbers that thresholds can be set on."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.errors import BundleError

UPRIGHT, NO_CHEST = 0, 4
"""Places in the softmax of presentations; 1 to 3 are a film turned by so many quarters, counter-clockwise."""

OUTPUTS = ("lung_logits", "presentation_logits", "novelty")
"""What the network's graph gives: float32 (N, 3, h, w), (N, 6) and (N,); as in `pleura.networks.anatomy`."""

_ENLARGED = 8  # label maps against logits: outlines are smooth at a film's own resolution
_SPECK = 0.003  # of the film: smaller regions are no lung
_AGREED = 0.85  # of a region's places: so many say which lung it is
_EDGE = 0.015  # of the height: what counts as the upper edge


@dataclass(frozen=True, eq=False)
class Answers:
    """The network's answers for one film.

    Attributes:
        labels: uint8 (S, S): 1 in the lung at the image's left, 2 in that at its right, 3 in the heart.
        presentation: float64 (5,), probabilities: upright, turned by one, two or three quarters
            counter-clockwise, and no whole frontal chest.
        inverted: probability that the greys are inverted.
        novelty: about 1 on known films.
    """

    labels: NDArray[np.uint8]
    presentation: NDArray[np.float64]
    inverted: float
    novelty: float

    @property
    def no_chest(self) -> float:
        """Probability that the film shows no whole frontal chest."""
        return float(self.presentation[NO_CHEST])

    @property
    def quarters(self) -> int:
        """Quarters, counter-clockwise, by which the film most likely lies turned: 0 to 3."""
        return int(np.argmax(self.presentation[:NO_CHEST]))

    @property
    def lung_share(self) -> float:
        """Share of the film that its two lungs fill."""
        return float(np.mean(self._lungs))

    @property
    def cut_share(self) -> float:
        """Share of the film's width over which its lungs meet the upper edge."""
        rows = max(round(_EDGE * len(self.labels)), 1)
        return float(np.mean(self._lungs[:rows].all(axis=0)))

    @property
    def _lungs(self) -> NDArray[np.bool_]:
        lungs: NDArray[np.bool_] = (self.labels == 1) | (self.labels == 2)
        return lungs


def answers_of(outputs: Sequence[NDArray[np.float32]]) -> list[Answers]:
    """The answers for each film of a batch.

    Args:
        outputs: of the network, in the order of `OUTPUTS`.

    Raises:
        BundleError: they are not of those shapes, or not finite.
    """
    if [one.ndim for one in outputs] != [4, 2, 1] or outputs[1].shape[1] != NO_CHEST + 2:
        shapes = ", ".join(str(one.shape) for one in outputs)
        raise BundleError(f"the anatomy network of this bundle gives other answers ({shapes})")
    if not all(np.isfinite(one).all() for one in outputs):
        raise BundleError("the anatomy network gives no numbers: its weights are damaged")
    lungs, lies, novelty = outputs
    return [
        Answers(
            labels_of(lungs[i]),
            _softmax(lies[i, : NO_CHEST + 1].astype(np.float64)),
            float(1 / (1 + np.exp(-float(np.clip(lies[i, -1], -60, 60))))),
            float(novelty[i]),
        )
        for i in range(len(novelty))
    ]


def labels_of(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Logits of planes, float32 (3, h, w), as a label map, uint8 (8 h, 8 w): the likeliest, or 0.

    A region of lung is one lung's, as most of its places say. Where they are of two minds, the film's middle
    decides: the column between the lungs with the least lung in it. Specks of lung are dropped.
    """
    size = (_ENLARGED * logits.shape[2], _ENLARGED * logits.shape[1])
    first, second, heart = (
        np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)) for plane in logits
    )
    labels = (heart > 0).astype(np.uint8) * np.uint8(3)
    labels[(second > 0) & (second >= heart)] = 2
    labels[(first > 0) & (first >= second) & (first >= heart)] = 1
    lungs = (labels == 1) | (labels == 2)
    count, regions, stats, _ = cv2.connectedComponentsWithStats(
        lungs.astype(np.uint8), connectivity=4
    )
    for region in range(1, count):
        left, top, width, height, area = (int(v) for v in stats[region])
        window = (slice(top, top + height), slice(left, left + width))
        inside = regions[window] == region
        if area < _SPECK * labels.size:
            labels[window][inside] = 0
            continue
        agreed = float(np.mean(labels[window][inside] == 1))
        if agreed >= _AGREED or agreed <= 1 - _AGREED:
            labels[window][inside] = 1 if agreed > 0.5 else 2
        else:
            columns = np.arange(left, left + width)[None]
            labels[window] = np.where(
                inside, np.where(columns < _middle(lungs), 1, 2), labels[window]
            )
    return labels


def _middle(lungs: NDArray[np.bool_]) -> int:
    """The column between two lungs, bool (H, W): that with the least of them, in the middle."""
    columns = np.nonzero(lungs)[1]
    if not columns.size:
        return int(lungs.shape[1]) // 2
    low, high = (float(value) for value in np.percentile(columns, [5, 95]))
    first, last = round(low + 0.3 * (high - low)), round(low + 0.7 * (high - low))
    breadth = max(int(lungs.shape[1]) // 20, 1)
    profile = np.convolve(lungs.sum(axis=0), np.ones(breadth) / breadth, mode="same")
    between = profile[first : last + 1]
    return first + round(
        float(np.flatnonzero(between <= between.min() + 0.1 * profile.max()).mean())
    )


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max())
    shares: NDArray[np.float64] = powers / powers.sum()
    return shares
