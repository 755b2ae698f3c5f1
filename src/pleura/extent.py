"""`Extent`: how large a pneumothorax of one side is, in the terms of the guidelines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pleura.radiograph import Side, SpacingBasis

Size = Literal["small", "large"]

MEASURES = (
    "area_fraction_of_lung",
    "apex_to_cupola_mm",
    "rim_at_hilum_mm",
    "rim_lateral_mm",
    "collins_percent",
)
"""The numbers of an `Extent`, in order."""
LARGE_APEX_MM = 30.0
"""ACCP 2001: from here on a pneumothorax is large."""
LARGE_RIM_MM = 20.0
"""BTS 2010: from here on a pneumothorax is large. BTS 2023: from here on it is of a size to act upon."""


class Line(NamedTuple):
    """A distance as it was taken on the film.

    Attributes:
        name: the measure of `MEASURES` it gives; `collins_upper` and `collins_lower` are the two rims that
            enter `collins_percent` beside the distance at the apex.
        start, end: (row, column) in source pixels, counted from the outer edge of the first; (0, 0)
            is the corner of the image.
        mm: its length.
    """

    name: str
    start: tuple[float, float]
    end: tuple[float, float]
    mm: float


@dataclass(frozen=True)
class Extent:
    """How large the pneumothorax of one side is.

    A measure is None where it cannot be known, and `reasons` then says why. Distances are taken on erect PA
    films only, in the plane that `spacing_basis` names: `detector` is not corrected for magnification,
    which makes them some per cent too large. The *pleural cavity* is the lung's field with the lesions of its
    side, and ends with a lesion that lies within 15 mm of its upper or lateral edge; the *collapsed lung* is
    what the lesions leave of it. Rims are horizontal, from the cavity's lateral edge to the collapsed
    lung's, as medians over 5 mm of height.

    Attributes:
        side: the patient's.
        area_fraction_of_lung: area of the side's lesions / area of the lung's field with them, 0 to 1. It is
            of the projection, not of a volume, and no class follows from it. Known wherever the lung is
            located.
        apex_to_cupola_mm: vertical distance from the collapsed lung's topmost row to the lesions'.
            ACCP: Baumann et al., Chest 2001;119:590-602.
        rim_at_hilum_mm: the rim at the level of the hilum. Proxy of that level: 45 % of the height of field
            and lesions, from the top down. BTS 2010: MacDuff et al., Thorax 2010;65 Suppl 2:ii18-31.
        rim_lateral_mm: the largest rim at the hilum or between the midpoints of the collapsed lung's upper
            and lower halves. BTS 2023: Roberts et al., Thorax 2023;78 Suppl 3:s1-s42, which names no level.
        collins_percent: 4.2 + 4.7 (A + B + C), at most 100: of the hemithorax's volume, regressed on CT. A
            is `apex_to_cupola_mm`, B and C are the rims at the midpoints of the collapsed lung's upper and
            lower halves (25 and 75 % of its height), in cm. Collins et al., AJR 1995;165:1127-1130.
        spacing_basis: of the distances; `unknown` or `implausible` where none was taken for that.
        reasons: by the measure's name, why it is None, one sentence each.
        lines: the distances as they were taken, those of 0 mm left out.
    """

    side: Side
    area_fraction_of_lung: float | None = None
    apex_to_cupola_mm: float | None = None
    rim_at_hilum_mm: float | None = None
    rim_lateral_mm: float | None = None
    collins_percent: float | None = None
    spacing_basis: SpacingBasis = "unknown"
    reasons: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        unknown = {name for name in MEASURES if getattr(self, name) is None}
        if unknown != set(self.reasons):
            raise ValueError(
                "an Extent has a reason for each measure that is None, and for no other; None are "
                f"{sorted(unknown)}, reasons are of {sorted(self.reasons)}"
            )

    @property
    def accp_2001(self) -> Size | None:
        """`large` from 3 cm between apex and cupola on, else `small` (ACCP 2001); None where not known."""
        return _size(self.apex_to_cupola_mm, LARGE_APEX_MM)

    @property
    def bts_2010(self) -> Size | None:
        """`large` from a rim of 2 cm at the level of the hilum on, else `small`; None where not known."""
        return _size(self.rim_at_hilum_mm, LARGE_RIM_MM)

    @property
    def bts_2023(self) -> Size | None:
        """`large` from 2 cm laterally or apically on, else `small`.

        The guideline has no such classes: it calls that size enough to intervene, context permitting. One
        distance suffices for `large`, `small` takes both.
        """
        sizes = [_size(mm, LARGE_RIM_MM) for mm in (self.rim_lateral_mm, self.apex_to_cupola_mm)]
        if "large" in sizes:
            return "large"
        return None if None in sizes else "small"

    def facts(self) -> dict[str, Any]:
        """Everything, as JSON types."""
        return {
            "side": self.side,
            **{name: getattr(self, name) for name in MEASURES},
            "accp_2001": self.accp_2001,
            "bts_2010": self.bts_2010,
            "bts_2023": self.bts_2023,
            "spacing_basis": self.spacing_basis,
            "reasons": dict(self.reasons),
            "lines": [
                {"name": line.name, "start": [*line.start], "end": [*line.end], "mm": line.mm}
                for line in self.lines
            ],
        }


def _size(mm: float | None, large_from: float) -> Size | None:
    if mm is None:
        return None
    return "large" if mm >= large_from else "small"
