"""From a finding's mask and the lung fields to an `Extent` of each side."""

from collections.abc import Mapping, Sequence
from typing import get_args

import cv2
import numpy as np

from pleura.extent import MEASURES, Extent
from pleura.finding import Lesion
from pleura.inference.lung_fields import LungFields
from pleura.inference.measurements.distances import Distances, distances, refused
from pleura.inference.measurements.hemithorax import Mask
from pleura.inference.measurements.plausible import why_no_chest
from pleura.inference.measurements.posture import why_no_distances
from pleura.radiograph import Radiograph, Side

NO_LUNGS = "The model does not locate the lungs."


def measure(
    mask: Mask, found: Sequence[Lesion], film: Radiograph, fields: LungFields | None
) -> tuple[Extent, ...]:
    """How large the pneumothorax of each side is.

    Args:
        mask: bool (H, W) on the film's matrix.
        found: its lesions, as `lesions` gives them.
        film: the film.
        fields: its lung fields; None where the model locates none.

    Returns:
        An extent for each side with a lesion, the one of the larger area first; its measures are None, with
        the reason, where they cannot be taken.
    """
    by_side = _by_side(mask, found)
    if not by_side:
        return ()
    doubt = NO_LUNGS if fields is None else fields.doubt or _why_no_chest(by_side, fields)
    if fields is None or doubt is not None:
        reasons = dict.fromkeys(MEASURES, doubt or NO_LUNGS)
        return tuple(
            Extent(side, spacing_basis=film.spacing_basis, reasons=reasons) for side in by_side
        )
    return tuple(_extent(lesions, side, film, fields) for side, lesions in by_side.items())


def _why_no_chest(by_side: Mapping[Side, Mask], fields: LungFields) -> str | None:
    right, left = (
        fields.lung(side) | by_side[side] if side in by_side else fields.lung(side)
        for side in get_args(Side)
    )
    return why_no_chest(right, left)


def _by_side(mask: Mask, found: Sequence[Lesion]) -> dict[Side, Mask]:
    """The regions of `mask` on each side that has some, the side of the larger area first."""
    areas: dict[Side, int] = {}
    for lesion in found:
        areas[lesion.side] = areas.get(lesion.side, 0) + lesion.area_px
    if len(areas) < 2:
        return dict.fromkeys(areas, mask)
    sides = {(lesion.box, lesion.area_px): lesion.side for lesion in found}
    count, regions, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    on_right = np.zeros(count, np.bool_)
    for i in range(1, count):  # 0 is the background
        left, top, width, height, area = (int(v) for v in stats[i])
        on_right[i] = sides.get(((top, left, top + height, left + width), area)) == "right"
    right: Mask = on_right[regions]
    masks: dict[Side, Mask] = {"right": right, "left": mask & ~right}
    return {side: masks[side] for side in sorted(areas, key=lambda side: -areas[side])}


def _extent(lesions: Mask, side: Side, film: Radiograph, fields: LungFields) -> Extent:
    lung = fields.lung(side)
    taken = _taken(lesions, lung, side, film)
    return Extent(
        side,
        area_fraction_of_lung=float(np.count_nonzero(lesions) / np.count_nonzero(lesions | lung)),
        **taken.values,
        spacing_basis=film.spacing_basis,
        reasons=taken.reasons,
        lines=taken.lines,
    )


def _taken(lesions: Mask, lung: Mask, side: Side, film: Radiograph) -> Distances:
    why, spacing = why_no_distances(film), film.trusted_spacing_mm
    if why is not None or spacing is None:
        return refused(why or "")
    return distances(lesions, lung, spacing, wall_at_left=side == film.image_left)
