"""A finding as a Comprehensive SR (PS3.3 A.35.2) by template 1500, Imaging Measurement Report (PS3.16)."""

from collections.abc import Sequence
from typing import Any

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from pleura.extent import Extent
from pleura.finding import Finding, Lesion
from pleura.outputs.dicom.identity import digest, equipment, line, series, uid
from pleura.outputs.dicom.segmentation import (
    side_code,
    side_masks,
    side_name,
    site,
    target_code,
    tracking_uid,
)
from pleura.outputs.dicom.source import Reference
from pleura.outputs.measures import words
from pleura.radiograph import Side
from pleura.read.dicom import RESULTS_OF

SERIES_NUMBER = 7202
RESEARCH_ONLY = "Research software, not a medical device; not for the care of a patient."
_PRESENCE = {
    "positive": codes.DCM.Present,
    "negative": codes.DCM.Absent,
    "declined": codes.DCM.PresenceUndetermined,
}


def report(given: Reference, finding: Finding, outline: Dataset | None) -> Dataset:
    """What was found, in codes, and why, in words.

    The first group of measurements is of the film: Presence of property (Present, Absent, or Presence
    Undetermined where the film was declined), and Certainty of Finding in per cent if the probability is
    calibrated. A group follows for each side with a lesion, referring to its segment: area in mm2, and the
    distances of the `Extent`, where they could be taken. Reasons, sizes and notes are Comments.

    Args:
        given: of the film.
        finding: of that film.
        outline: its segmentation; None where there is none.
    """
    source = given.header
    groups = [_of_film(source, finding, given.left_out)]
    if outline is not None:
        groups += [
            _of_side(number, side, source, finding, outline)
            for number, side in enumerate(side_masks(finding), start=1)
        ]
    content = sr.MeasurementReport(
        observation_context=_observer(finding),
        procedure_reported=codes.SCT.PlainRadiography,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    made: Dataset = sr.ComprehensiveSR(
        evidence=[source] if outline is None else [source, outline],
        content=content[0],
        series_instance_uid=series(finding.model, source.SeriesInstanceUID, "sr"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid(
            source.SOPInstanceUID,
            digest(finding, given.told, outline and outline.SOPInstanceUID),
            "sr",
        ),
        instance_number=given.instance_number,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description=line(f"{finding.target.name}: report (research)"),
        **equipment(finding.model),
    )
    _one_reference_each(made)
    return made


def _observer(finding: Finding) -> Any:
    model = finding.model
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid(model.sha256),
        name=line(f"{model.name} {model.version}"),
        manufacturer_name=RESULTS_OF,
        model_name=line(model.name),
        serial_number=model.sha256[:16],
    )
    context = sr.ObserverContext(
        observer_type=codes.DCM.Device, observer_identifying_attributes=device
    )
    return sr.ObservationContext(observer_device_context=context)


def _of_film(source: Dataset, finding: Finding, left_out: Sequence[str]) -> Any:
    measurements = []
    if finding.probability is not None and finding.calibrated:
        certainty = round(100.0 * finding.probability, 1)
        measurements = [sr.Measurement(codes.DCM.CertaintyOfFinding, certainty, codes.UCUM.Percent)]
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid(source.SOPInstanceUID, digest(finding), "film"), "Film"
        ),
        finding_type=target_code(finding),
        algorithm_id=_algorithm(finding),
        finding_sites=[sr.FindingSite(site(finding))],
        measurements=measurements,
        qualitative_evaluations=[
            sr.QualitativeEvaluation(codes.DCM.PresenceOfProperty, _PRESENCE[finding.decision])
        ],
        source_images=[
            sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)
        ],
    )
    comments = [finding.reason, *finding.notes]
    if left_out:
        comments.append(
            f"Not as DICOM allows in the film, and left out here: {', '.join(left_out)}."
        )
    comments.append(RESEARCH_ONLY)
    if finding.probability is not None and not finding.calibrated:
        comments.insert(1, f"Score {finding.probability:.3f}: it ranks films and is no chance.")
    _say(group, comments)
    return group


def _of_side(number: int, side: Side, source: Dataset, finding: Finding, outline: Dataset) -> Any:
    lesions = [lesion for lesion in finding.lesions if lesion.side == side]
    extents = [extent for extent in finding.extents if extent.side == side]
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            tracking_uid(source, finding, side), side_name(finding, side)
        ),
        referenced_segment=sr.ReferencedSegmentationFrame(
            sop_class_uid=outline.SOPClassUID,
            sop_instance_uid=outline.SOPInstanceUID,
            frame_number=number,
            segment_number=number,
            source_image=sr.SourceImageForSegmentation(source.SOPClassUID, source.SOPInstanceUID),
        ),
        finding_type=target_code(finding),
        algorithm_id=_algorithm(finding),
        finding_sites=[sr.FindingSite(site(finding), laterality=side_code(finding, side))],
        measurements=[
            *_area(lesions),
            *(m for extent in extents for m in _distances(finding, extent)),
        ],
    )
    comments = [words(extent) for extent in extents]
    if finding.side_basis == "convention":
        comments.insert(0, "The side is by convention: the film does not say which side is which.")
    _say(group, comments)
    return group


def _area(lesions: list[Lesion]) -> list[Any]:
    areas = [lesion.area_mm2 for lesion in lesions]
    if None in areas:
        return []
    total = round(sum(area for area in areas if area is not None), 1)
    return [sr.Measurement(codes.SCT.Area, total, codes.UCUM.SquareMillimeter)]


def _distances(finding: Finding, extent: Extent) -> list[Any]:
    """At the apex, and at the level of the hilum."""
    taken: list[tuple[float | None, Code]] = [
        (extent.apex_to_cupola_mm, codes.SCT.ApexOfLung),
        (extent.rim_at_hilum_mm, codes.SCT.HilumOfLung),
    ]
    return [
        sr.Measurement(
            codes.DCM.Distance,
            round(mm, 1),
            codes.UCUM.Millimeter,
            finding_sites=[sr.FindingSite(place, laterality=side_code(finding, extent.side))],
        )
        for mm, place in taken
        if mm is not None
    ]


def _algorithm(finding: Finding) -> Any:
    model = finding.model
    return sr.AlgorithmIdentification(
        line(model.name), line(model.version), parameters=[f"SHA-256 of the model {model.sha256}"]
    )


def _say(group: Any, comments: list[str]) -> None:
    for comment in comments:
        item = sr.TextContentItem(
            codes.DCM.Comment, comment, relationship_type=sr.RelationshipTypeValues.CONTAINS
        )
        group[0].ContentSequence.append(item)


def _one_reference_each(item: Dataset) -> None:
    """A segment's frame is named by its frame alone (PS3.3 C.18.4: one of the two)."""
    for child in item.get("ContentSequence", ()):
        for reference in child.get("ReferencedSOPSequence", ()):
            if "ReferencedFrameNumber" in reference and "ReferencedSegmentNumber" in reference:
                del reference.ReferencedSegmentNumber
        _one_reference_each(child)
