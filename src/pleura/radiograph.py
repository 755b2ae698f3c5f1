"""`Radiograph`: one chest film as every reader returns it."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pleura.orientation import Orientation

SpacingBasis = Literal["calibrated", "detector", "implausible", "unknown"]
SideBasis = Literal["orientation", "convention"]
Side = Literal["right", "left"]
View = Literal["PA", "AP", "lateral", "other"]

PLAUSIBLE_FIELD_MM = (250.0, 500.0)
"""Sides of a frontal adult chest film that are believable, in mm."""
MIN_SIDE_PX = 128
"""Of a film that can be judged: in a smaller matrix a pleural line cannot be seen."""


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One film: its pixels for display and what its header says about them.

    Attributes:
        pixels: float32 (H, W) in [0, 1], C-contiguous, bright is dense (bone white, air black),
            after the Modality LUT, the VOI LUT or window and the photometric inversion
            (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2), each applied once.
        source_bits: bits a sample of the source carried, 1 to 16.
        source_format: `dicom`, `png`, `jpeg`, `webp` or `tiff`.
        source: where the bytes came from, as given; for messages, never parsed.
        spacing_mm: (row, column) distance between pixel centres in mm as the source states it,
            or None. Believe it only as far as `spacing_basis` goes; `trusted_spacing_mm` does so.
        spacing_basis: `calibrated` (corrected to the patient's plane), `detector` (in the plane of the
            detector, not corrected for magnification), `implausible` (stated, but a chest would
            have to be smaller or larger than any is), `unknown`. PS3.3 10.7.1.
        spacing_source: the attribute the spacing was taken from, or None.
        image_left: the patient's side that lies at the image's left edge.
        side_basis: `orientation` where PatientOrientation (PS3.3 C.7.6.1.1.1) says so; `convention` where
            it is only assumed that the film is displayed as usual: image left is the patient's
            right, PA and AP alike.
        patient_orientation: directions of the rows and of the columns as the header has them, or None;
            `image_left` follows from it where the film lies as it says.
        view: `PA`, `AP`, `lateral`, `other`, or None where the source does not say.
        patient_id, sop_instance_uid, study_instance_uid, series_instance_uid: as in the header, or None.
        sex: `M`, `F`, `O` or None.
        age_years: in years, or None.
        modality, body_part: as in the header, or None.
        posture_doubt: what in the header speaks against an erect patient, such as `ProtocolName (supine)`, or
            None.
        notes: what the reader chose or repaired, one sentence each, in order.
        header: the header without pixel data (a pydicom Dataset), or None for plain images.

    Raises:
        TypeError, ValueError: the pixels are no such array.
    """

    pixels: NDArray[np.float32]
    source_bits: int
    source_format: str
    source: str
    spacing_mm: tuple[float, float] | None = None
    spacing_basis: SpacingBasis = "unknown"
    spacing_source: str | None = None
    image_left: Side = "right"
    side_basis: SideBasis = "convention"
    patient_orientation: Orientation | None = None
    view: View | None = None
    patient_id: str | None = None
    sop_instance_uid: str | None = None
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sex: str | None = None
    age_years: float | None = None
    modality: str | None = None
    body_part: str | None = None
    posture_doubt: str | None = None
    notes: tuple[str, ...] = ()
    header: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        pixels = self.pixels
        if not isinstance(pixels, np.ndarray):
            raise TypeError(
                f"a Radiograph's pixels are a float32 array (H, W); got a {type(pixels).__name__}"
            )
        if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype != np.float32:
            raise ValueError(
                f"a Radiograph's pixels are float32 (H, W); got {pixels.dtype} {pixels.shape}"
            )
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= 0.0 and high <= 1.0):  # also false for NaN
            raise ValueError(f"a Radiograph's pixels lie in [0, 1]; got {low} to {high}")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the source matrix."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def trusted_spacing_mm(self) -> tuple[float, float] | None:
        """`spacing_mm` where its basis is `calibrated` or `detector`, else None."""
        return self.spacing_mm if self.spacing_basis in ("calibrated", "detector") else None


def spacing_is_plausible(shape: tuple[int, int], spacing_mm: tuple[float, float]) -> bool:
    """Whether a film of `shape` at `spacing_mm` would be as large as a frontal adult chest film is."""
    low, high = PLAUSIBLE_FIELD_MM
    return all(low <= n * mm <= high for n, mm in zip(shape, spacing_mm, strict=True))
