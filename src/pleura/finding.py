"""`Finding`: what every model returns for one film, in that film's own pixels."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pleura.extent import Extent
from pleura.orientation import Orientation
from pleura.radiograph import Side, SideBasis

Decision = Literal["positive", "negative", "declined"]


@dataclass(frozen=True)
class Target:
    """What is looked for.

    Attributes:
        name: as a reader would say it.
        code: its code in `scheme`.
        scheme: the coding scheme designator (PS3.16 table 8-1); `SCT` is SNOMED CT.
    """

    name: str = "Pneumothorax"
    code: str = "36118008"
    scheme: str = "SCT"


PNEUMOTHORAX = Target()


@dataclass(frozen=True)
class ModelIdentity:
    """Which model spoke: the bundle's name and version, and a SHA-256 over its contents (hex)."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Lesion:
    """One connected region (8-neighbourhood) of a finding's mask.

    Attributes:
        side: the patient's side: that of the lung field it lies in where the lungs are located, else of the
            half of the image its centroid lies in. Which lung or half is which side, `side_basis` says.
        area_px: pixels of the source matrix.
        area_fraction: share of the whole image, 0 to 1.
        area_mm2: in the plane `spacing_basis` names, or None where the spacing is not believable.
        box: (top, left, bottom, right) in source pixels; bottom and right are exclusive.
        peak_probability: largest pixel probability inside, 0 to 1.
    """

    side: Side
    side_basis: SideBasis
    area_px: int
    area_fraction: float
    area_mm2: float | None
    box: tuple[int, int, int, int]
    peak_probability: float


@dataclass(frozen=True)
class Instance:
    """One place where a network that finds the target's instances one by one found it.

    Attributes:
        box: (top, left, bottom, right) in source pixels; bottom and right are exclusive.
        score: of the network, 0 to 1; not calibrated.
    """

    box: tuple[int, int, int, int]
    score: float


@dataclass(frozen=True, eq=False)
class Finding:
    """A model's answer for one film.

    Attributes:
        target: what was looked for.
        decision: `positive`, `negative`, or `declined` where the film cannot be judged.
        reason: why, in one sentence.
        probability: of presence, 0 to 1; None when declined.
        calibrated: whether `probability` went through a fitted calibrator. If not, it ranks films and
            is compared with the model's own threshold, but is not a chance of disease.
        probability_map: float32 (H, W) in [0, 1] on the source matrix; None when declined or when
            the model does not localise.
        pixel_threshold: probability from which a pixel of `probability_map` may be in the mask; None where
            there is no map.
        mask: bool (H, W) on the source matrix, all False unless positive; None when declined.
        lesions: the mask's regions, largest first.
        instances: of a positive film, what the network found one by one, highest score first; empty where
            it does not work so.
        extents: how large it is on each side with a lesion, the larger area first.
        lung_fields: uint8 (H, W) on the source matrix: 1 in the patient's right lung, 2 in the left one, 0
            elsewhere; None where they are not located.
        patient_orientation: of the film's own matrix, where it lies otherwise than upright: `side` and the
            lesions' sides are by it. None: the film's `image_left` holds.
        model: who says so.
        source, sop_instance_uid: the film's.
        notes: what the reader of the film and the detector chose or assumed, one sentence each.
    """

    target: Target
    decision: Decision
    reason: str
    model: ModelIdentity
    source: str
    sop_instance_uid: str | None = None
    probability: float | None = None
    calibrated: bool = False
    probability_map: NDArray[np.float32] | None = None
    pixel_threshold: float | None = None
    mask: NDArray[np.bool_] | None = None
    lesions: tuple[Lesion, ...] = ()
    instances: tuple[Instance, ...] = ()
    extents: tuple[Extent, ...] = ()
    lung_fields: NDArray[np.uint8] | None = None
    patient_orientation: Orientation | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.probability is None) != (self.decision == "declined"):
            raise ValueError("a Finding has a probability exactly when it is not declined")
        if self.probability is not None and not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"a probability lies in [0, 1]; got {self.probability}")
        if self.mask is not None and self.decision != "positive" and self.mask.any():
            raise ValueError(
                f"a {self.decision} Finding has no mask; got {int(self.mask.sum())} px"
            )

    @property
    def area_fraction(self) -> float | None:
        """Share of the image inside the mask, 0 to 1; None when declined."""
        return None if self.mask is None else np.count_nonzero(self.mask) / self.mask.size

    @property
    def area_mm2(self) -> float | None:
        """Area of the mask; None without a lesion or where the film's spacing is not believable."""
        if self.mask is None:
            return None
        areas = [lesion.area_mm2 for lesion in self.lesions]
        return sum(a for a in areas if a is not None) if areas and None not in areas else None

    @property
    def side(self) -> Literal["right", "left", "bilateral"] | None:
        """The patient's side or sides with a lesion; None without one."""
        sides = {lesion.side for lesion in self.lesions}
        if len(sides) == 2:
            return "bilateral"
        return sides.pop() if sides else None

    @property
    def side_basis(self) -> SideBasis | None:
        """What `side` rests on; None without a lesion."""
        return self.lesions[0].side_basis if self.lesions else None

    def facts(self) -> dict[str, Any]:
        """Everything but the arrays, as JSON types."""
        return {
            "file": self.source,
            "sop_instance_uid": self.sop_instance_uid,
            "target": self.target.name,
            "decision": self.decision,
            "reason": self.reason,
            "probability": self.probability,
            "calibrated": self.calibrated,
            "pixel_threshold": self.pixel_threshold,
            "area_fraction": self.area_fraction,
            "area_mm2": self.area_mm2,
            "side": self.side,
            "side_basis": self.side_basis,
            "patient_orientation": self.patient_orientation and list(self.patient_orientation),
            "lesions": [
                {
                    "side": lesion.side,
                    "area_px": lesion.area_px,
                    "area_fraction": lesion.area_fraction,
                    "area_mm2": lesion.area_mm2,
                    "box": list(lesion.box),
                    "peak_probability": lesion.peak_probability,
                }
                for lesion in self.lesions
            ],
            "instances": [
                {"box": list(instance.box), "score": instance.score} for instance in self.instances
            ],
            "extents": [extent.facts() for extent in self.extents],
            "model": self.model.name,
            "model_version": self.model.version,
            "model_sha256": self.model.sha256,
            "notes": list(self.notes),
        }
