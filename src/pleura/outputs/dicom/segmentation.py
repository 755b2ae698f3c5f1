"""The outline as a DICOM Segmentation (PS3.3 A.51): binary, a segment for each side with a lesion."""

import cv2
import numpy as np
from highdicom import (
    AlgorithmIdentificationSequence,
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    sr,
)
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from pleura.finding import PNEUMOTHORAX, Finding
from pleura.outputs.dicom.identity import digest, equipment, line, series, uid
from pleura.outputs.dicom.source import Reference
from pleura.radiograph import Side

SERIES_NUMBER = 7201
_ARTIFICIAL_INTELLIGENCE = codes.DCM.ArtificialIntelligence
_SIDES: dict[Side, Code] = {"right": codes.SCT.Right, "left": codes.SCT.Left}


def segmentation(
    given: Reference, finding: Finding, spacing_mm: tuple[float, float] | None, *, geometry: bool
) -> Dataset:
    """The mask of a positive finding.

    Args:
        given: of the film.
        finding: with a mask that is not empty.
        spacing_mm: (row, column) of its pixels, where it may be believed.
        geometry: whether to invent a plane (upright, facing the viewer) and, where there is none to be
            believed, a spacing of 1 mm: OHIF shows nothing without.
    """
    source, sides = given.header, side_masks(finding)
    measures = None
    if spacing_mm is not None or geometry:
        measures = PixelMeasuresSequence(
            spacing_mm or (1.0, 1.0),
            slice_thickness=1.0,  # a projection has none, but highdicom reads no measures without
        )
    planes = np.stack(list(sides.values()), axis=-1)[None]
    made: Dataset = Segmentation(
        source_images=[source],
        pixel_array=planes,
        segmentation_type="BINARY",
        segment_descriptions=[
            _segment(number, source, finding, side) for number, side in enumerate(sides, start=1)
        ],
        series_instance_uid=series(finding.model, source.SeriesInstanceUID, "seg"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid(
            source.SOPInstanceUID, digest(finding, given.told, spacing_mm, geometry), "seg"
        ),
        instance_number=given.instance_number,
        content_label="PNEUMOTHORAX" if finding.target == PNEUMOTHORAX else "FINDING",
        content_description=line(f"{finding.target.name}, research use only"),
        series_description=line(f"{finding.target.name}: outline (research)"),
        pixel_measures=measures,
        omit_empty_frames=False,
        **equipment(finding.model),
    )
    if geometry:
        plane = PlaneOrientationSequence("PATIENT", (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
        made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence = plane
    made.PatientOrientation = source.get("PatientOrientation")
    organisation = uid(made.SOPInstanceUID, "dimensions")  # a repeat has the same
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = organisation
    return made


def side_masks(finding: Finding) -> dict[Side, NDArray[np.bool_]]:
    """The mask's regions by the patient's side, that of the largest lesion first.

    Raises:
        ValueError: the lesions are not the mask's regions.
    """
    if finding.mask is None:
        raise ValueError("a declined Finding has no mask")
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        finding.mask.view(np.uint8), connectivity=8
    )
    numbers = {
        (int(top), int(left), int(top + height), int(left + width), int(area)): n
        for n, (left, top, width, height, area) in enumerate(stats[:count])
        if n
    }
    sides: dict[Side, NDArray[np.bool_]] = {}
    for lesion in finding.lesions:
        number = numbers.pop((*lesion.box, lesion.area_px), None)
        if number is None:
            raise ValueError(f"the mask has no region of {lesion.area_px} px in {lesion.box}")
        region = labels == number
        sides[lesion.side] = sides[lesion.side] | region if lesion.side in sides else region
    if numbers:
        raise ValueError(f"{len(numbers)} regions of the mask are no lesion of the finding")
    return sides


def tracking_uid(source: Dataset, finding: Finding, side: Side) -> str:
    """The same for a side's segment and for what the report says of it."""
    return uid(source.SOPInstanceUID, digest(finding), "lesion", side)


def side_name(finding: Finding, side: Side) -> str:
    """What a side's region is called; says where the side is only assumed."""
    basis = " (side by convention)" if finding.side_basis == "convention" else ""
    return line(f"{finding.target.name}, {side}{basis}")


def side_code(finding: Finding, side: Side) -> Code | None:
    """A side as a code; None where it is only assumed, which no code says."""
    return None if finding.side_basis == "convention" else _SIDES[side]


def target_code(finding: Finding) -> Code:
    """What was looked for."""
    target = finding.target
    return Code(target.code, target.scheme, target.name)


def site(finding: Finding) -> Code:
    """Where it was looked for."""
    is_pleural = finding.target == PNEUMOTHORAX
    found: Code = codes.SCT.Pleura if is_pleural else codes.SCT.Lung
    return found


def _segment(number: int, source: Dataset, finding: Finding, side: Side) -> SegmentDescription:
    model = finding.model
    segment = SegmentDescription(
        segment_number=number,
        segment_label=side_name(finding, side),
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=target_code(finding),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=line(model.name), version=line(model.version), family=_ARTIFICIAL_INTELLIGENCE
        ),
        anatomic_regions=[site(finding)],
        tracking_id=side_name(finding, side),
        tracking_uid=tracking_uid(source, finding, side),
    )
    code = side_code(finding, side)
    if code is not None:
        modifier = sr.CodedConcept.from_code(code)
        segment.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [modifier]
    return segment
