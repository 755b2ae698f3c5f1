"""From a probability map to a decision, a mask and lesions on the film's own matrix."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.finding import Instance, Lesion
from pleura.frame import WHOLE, Frame
from pleura.inference.lung_fields import LungFields
from pleura.radiograph import Radiograph, Side

TOP_SHARE = 0.001
"""Share of pixels whose mean probability is the presence score of a pure segmenter."""


@dataclass(frozen=True)
class OperatingPoint:
    """When a film is called positive, and how its mask is drawn.

    A film is positive when its presence score reaches `presence_threshold`, at least `min_top_area_fraction`
    of the image is at `top_threshold` or above, and a region of at least `min_area_fraction` of the image
    is at `pixel_threshold` or above; those regions are the mask. Where it is to `keep_largest`, the largest
    region will do, however small: what is suspected is then outlined, and the score alone decides.

    Where it is `relative`, a pixel must reach that share of the film's presence score: a pixel's probability
    holds both whether there is anything and whether it is here, and the outline asks the latter alone.

    Attributes:
        pixel_threshold, presence_threshold: probabilities, 0 to 1.
        min_area_fraction: of the image; smaller regions are dropped.
        aim: what the numbers were chosen for.
        fitted_on: which films they were chosen on.
        top_threshold: a probability, `pixel_threshold` at least; None asks for no area above it.
        min_top_area_fraction: of the image, all regions together; nothing where `top_threshold` is None.
        relative: whether `pixel_threshold` is a share of the film's presence score.
        keep_largest: whether the largest region is kept where none is of `min_area_fraction`.
    """

    pixel_threshold: float = 0.5
    min_area_fraction: float = 0.0
    presence_threshold: float = 0.5
    aim: str = "default"
    fitted_on: str = "nothing"
    top_threshold: float | None = None
    min_top_area_fraction: float = 0.0
    relative: bool = False
    keep_largest: bool = False

    def __post_init__(self) -> None:
        names = [
            "pixel_threshold",
            "min_area_fraction",
            "presence_threshold",
            "min_top_area_fraction",
        ]
        if self.top_threshold is not None:
            names.append("top_threshold")
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} lies in [0, 1]; got {value!r}")
        if not isinstance(self.keep_largest, bool):
            raise ValueError(f"keep_largest is true or false; got {self.keep_largest!r}")
        if self.top_threshold is not None and self.relative:
            raise ValueError(
                "a top_threshold is a probability; it does not go with relative thresholds"
            )
        if self.top_threshold is None and self.min_top_area_fraction != 0.0:
            raise ValueError("min_top_area_fraction needs a top_threshold; give both or neither")
        if self.top_threshold is not None and self.top_threshold < self.pixel_threshold:
            raise ValueError(
                f"top_threshold is at least pixel_threshold, {self.pixel_threshold}; "
                f"got {self.top_threshold}"
            )

    def pixel_threshold_at(self, score: float) -> float:
        """The probability that a pixel of a film with that presence score must reach."""
        return self.pixel_threshold * score if self.relative else self.pixel_threshold


def presence_score(probability_map: NDArray[np.float32]) -> float:
    """Mean of the top 0.1 % of a map's pixel probabilities, at the network's own resolution.

    Args:
        probability_map: float32 (H, W) in [0, 1].

    Returns:
        A score in [0, 1] that ranks films. It is not a calibrated probability.
    """
    count = max(1, round(TOP_SHARE * probability_map.size))
    top = np.partition(probability_map, -count, axis=None)[-count:]
    return float(np.clip(top.mean(dtype=np.float64), 0.0, 1.0))


def to_source_matrix(
    probability_map: NDArray[np.float32], shape: tuple[int, int], frame: Frame = WHOLE
) -> NDArray[np.float32]:
    """A map float32 (h, w), resized (bilinear) to the film's `shape`, float32 (H, W).

    It lies over `frame`; around that, where no network looked, it is 0.
    """
    rows, columns = frame.window(shape)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    resized = cv2.resize(probability_map, size, interpolation=cv2.INTER_LINEAR)
    inside = np.clip(resized, 0.0, 1.0).astype(np.float32, copy=False)
    if frame == WHOLE:
        return inside
    whole = np.zeros(shape, np.float32)
    whole[rows, columns] = inside
    return whole


def draw_mask(
    probability_map: NDArray[np.float32], point: OperatingPoint, score: float
) -> NDArray[np.bool_]:
    """bool (H, W): pixels at the pixel threshold or above, without the regions that are too small; but for
    the largest, where the point keeps it.

    `score` is the film's presence score, which relative thresholds are shares of.

    Nothing at all where too little of the map reaches the top threshold.
    """
    mask = probability_map >= point.pixel_threshold_at(score)
    if point.top_threshold is not None:
        top_px = np.count_nonzero(probability_map >= point.top_threshold)
        if top_px < point.min_top_area_fraction * mask.size:
            return np.zeros_like(mask)
    if point.min_area_fraction == 0.0 or not mask.any():
        return mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= point.min_area_fraction * mask.size
    large[0] = False  # the background
    if point.keep_largest and not large.any():
        large[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())] = True
    kept: NDArray[np.bool_] = large[labels]
    return kept


def lesions(
    mask: NDArray[np.bool_],
    probability_map: NDArray[np.float32],
    film: Radiograph,
    fields: LungFields | None = None,
) -> tuple[Lesion, ...]:
    """The connected regions of `mask`, largest first, with the patient's side each lies on.

    That is the side of the lung field it lies in, or of the half of the image where `fields` is None or
    in doubt.
    """
    if not mask.any():
        return ()
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    spacing = film.trusted_spacing_mm
    found = []
    for i in range(1, count):
        left, top, width, height, area = (int(v) for v in stats[i])
        window = (slice(top, top + height), slice(left, left + width))
        inside = labels[window] == i
        found.append(
            Lesion(
                side=_side(float(centroids[i][0]), mask.shape[1], film.image_left)
                if fields is None or fields.doubt
                else fields.side_of(inside, top, left),
                side_basis=film.side_basis,
                area_px=area,
                area_fraction=area / mask.size,
                area_mm2=None if spacing is None else area * spacing[0] * spacing[1],
                box=(top, left, top + height, left + width),
                peak_probability=float(probability_map[window][inside].max()),
            )
        )
    return tuple(sorted(found, key=lambda lesion: -lesion.area_px))


def instances(
    boxes: NDArray[np.float32], size: int, shape: tuple[int, int], threshold: float
) -> tuple[Instance, ...]:
    """The boxes of a network, on the film's own matrix.

    Args:
        boxes: float32 (K, 5): left, top, right and bottom in px of the network's square input, and score.
        size: of that input.
        shape: of the film.
        threshold: boxes of a lower score are left out.
    """
    scale = np.array([shape[1], shape[0]] * 2) / size
    found = []
    for row in boxes[boxes[:, 4] >= threshold].astype(np.float64):
        left, top, right, bottom = row[:4] * scale
        # A product may end a rounding error beyond the film's edge.
        lowest, rightmost = min(math.ceil(bottom), shape[0]), min(math.ceil(right), shape[1])
        box = (math.floor(top), math.floor(left), lowest, rightmost)
        found.append(Instance(box, float(row[4])))
    return tuple(sorted(found, key=lambda instance: -instance.score))


def _side(column: float, columns: int, image_left: Side) -> Side:
    """The patient's side at a column of the image: that half's."""
    other: Side = "left" if image_left == "right" else "right"
    return image_left if column < (columns - 1) / 2 else other
