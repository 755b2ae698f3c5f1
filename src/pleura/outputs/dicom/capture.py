"""The film with its finding as a Secondary Capture (PS3.3 A.8.1), which any viewer shows."""

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from pleura.finding import Finding
from pleura.outputs.dicom.identity import digest, equipment, line, series, uid
from pleura.outputs.dicom.report import RESEARCH_ONLY
from pleura.outputs.dicom.source import Reference
from pleura.outputs.drawing import MUTED, STRIP, wrapped, write
from pleura.outputs.overlay import overlay
from pleura.radiograph import Radiograph
from pleura.read.values import texts

SERIES_NUMBER = 7203
_TAKEN = (
    "IssuerOfPatientID",
    "PatientAge",
    "StudyDescription",
    "LossyImageCompression",
    "LossyImageCompressionMethod",
    "LossyImageCompressionRatio",
)
SIDE_PX = 1024
"""Of the film in the picture, its longer side."""


def capture(given: Reference, film: Radiograph, finding: Finding) -> Dataset:
    """The overlay, with the model's name and that it is for research below it; RGB, uncompressed.

    Args:
        given: of the film.
        film: the film.
        finding: of that film.
    """
    source = given.header
    made: Dataset = SCImage.from_ref_dataset(
        ref_dataset=source,
        pixel_array=signed(overlay(film, finding, size=SIDE_PX), finding),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # highdicom wants one; it is set below
        series_instance_uid=series(finding.model, source.SeriesInstanceUID, "sc"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid(
            source.SOPInstanceUID, digest(finding, given.told, film.image_left), "sc"
        ),
        instance_number=given.instance_number,
        series_description=line(f"{finding.target.name}: picture (research)"),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        **equipment(finding.model),
    )
    made.PatientOrientation = _orientation(source, film, finding)
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.ConversionType = "WSD"
    made.BodyPartExamined = source.BodyPartExamined
    for name in _TAKEN:
        if name in source:
            setattr(made, name, source.get(name))
    made.DerivationDescription = f"Film with the finding of {finding.model.name}. {RESEARCH_ONLY}"
    origin = Dataset()
    origin.ReferencedSOPClassUID = source.SOPClassUID
    origin.ReferencedSOPInstanceUID = source.SOPInstanceUID
    made.SourceImageSequence = [origin]
    return made


def _orientation(source: Dataset, film: Radiograph, finding: Finding) -> list[str] | None:
    """The film's own (PS3.3 C.7.6.1.1.1), as the picture lies as the film does.

    None where there is none, or where the sides on the picture are not by it: what is only assumed is said
    there, in words.
    """
    said = texts(source, "PatientOrientation")
    letters = tuple(one[0] for one in said)
    if finding.patient_orientation is not None:
        return said if letters == finding.patient_orientation else None
    rows = "L" if film.image_left == "right" else "R"
    return said if film.side_basis == "orientation" and letters[:1] == (rows,) else None


def signed(picture: NDArray[np.uint8], finding: Finding) -> NDArray[np.uint8]:
    """A picture with a line below it: whose finding it is, and what it is not.

    Args:
        picture: uint8 (H, W, 3), RGB.
        finding: whose model is named.

    Returns:
        uint8 (H', W, 3), RGB; H' is even, which some decoders need.
    """
    width = picture.shape[1]
    size, inset = max(10, min(24, width // 36)), max(4, max(10, min(30, width // 28)) // 2)
    text = f"{finding.model.name} {finding.model.version}. {RESEARCH_ONLY}"
    lines = wrapped(text, size, width - 2 * inset)
    height = len(lines) * round(size * 1.35) + inset
    height += (picture.shape[0] + height) % 2
    strip = Image.new("RGB", (width, height), STRIP)
    write(ImageDraw.Draw(strip), (inset, 0), lines, size, MUTED)
    return np.concatenate([picture, np.asarray(strip, dtype=np.uint8)])
