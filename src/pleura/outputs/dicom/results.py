"""All the objects of one finding."""

from importlib.util import find_spec
from io import BytesIO

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from pleura.errors import MissingExtra
from pleura.finding import Finding
from pleura.outputs.dicom.source import reference
from pleura.radiograph import Radiograph
from pleura.read.quiet import quiet

KINDS = ("seg", "sr", "sc")
"""Segmentation (of positive films), structured report, secondary capture."""


def dicom_results(
    film: Radiograph, finding: Finding, *, geometry: bool = False
) -> dict[str, Dataset]:
    """A finding as DICOM objects in the film's study, by kind (`KINDS`).

    Every judged film has a report and a capture, a declined one with the reason; one with a mask has a
    segmentation too. Each kind has a series of its own, and each object a UID that the same film and the
    same model give again: a repeat is the same object, and an archive that has it keeps one.

    Args:
        film: read from DICOM.
        finding: of that film.
        geometry: as `segmentation` has it.

    Raises:
        ResultError: the film is no DICOM file, or its header lacks a UID that a result must name.
        MissingExtra: highdicom is not installed.
    """
    with quiet():
        source = reference(film)
    check_installed()
    from pleura.outputs.dicom.capture import capture
    from pleura.outputs.dicom.report import report
    from pleura.outputs.dicom.segmentation import segmentation

    made = {}
    with quiet():  # warnings of pydicom and highdicom quote names and numbers of patients
        if finding.mask is not None and finding.mask.any():
            made["seg"] = segmentation(source, finding, film.trusted_spacing_mm, geometry=geometry)
        made["sr"] = report(source, finding, made.get("seg"))
        made["sc"] = capture(source, film, finding)
    return made


def check_installed() -> None:
    """Raises `MissingExtra` unless highdicom is installed."""
    if find_spec("highdicom") is None:
        raise MissingExtra.needing("Findings as DICOM", "dicom", ImportError("highdicom"))


def encoded(result: Dataset) -> bytes:
    """An object as the bytes of a DICOM file (PS3.10)."""
    buffer = BytesIO()
    with quiet():
        dcmwrite(buffer, result, enforce_file_format=True)
    return buffer.getvalue()
