"""All the objects of one finding."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from pleura.errors import MissingExtra, ResultError
from pleura.finding import Finding
from pleura.outputs.dicom.source import Reference, reference
from pleura.radiograph import Radiograph
from pleura.read.quiet import quiet

KINDS = ("seg", "sr", "sc")
"""Segmentation (of positive films), structured report, secondary capture."""


def dicom_results(
    film: Radiograph, finding: Finding, *, geometry: bool = False
) -> dict[str, Dataset]:
    """A finding as DICOM objects in the film's study, by kind (`KINDS`).

    Every judged film has a report and a capture, a declined one with the reason; one with a mask has a
    segmentation too. Each kind has a series of its own, and each object a UID that follows from the film and
    the finding: the same again is the same object, and an archive that has it keeps one.

    Args:
        film: read from DICOM.
        finding: of that film.
        geometry: as `segmentation` has it.

    Raises:
        ResultError: the film is no DICOM file, its header lacks a UID that a result must name, or its kind of
            image is one that results cannot refer to.
        MissingExtra: highdicom is not installed.
    """
    with _refused(film):
        return _made(reference(film), film, finding, geometry=geometry)


def dicom_files(film: Radiograph, finding: Finding, *, geometry: bool = False) -> dict[str, bytes]:
    """As `dicom_results`, each as the bytes of a DICOM file (PS3.10)."""
    with _refused(film):
        made = _made(reference(film), film, finding, geometry=geometry)
        return {kind: encoded(result) for kind, result in made.items()}


@contextmanager
def _refused(film: Radiograph) -> Iterator[None]:
    """Makes a `ResultError`, which quotes nothing of a header, of whatever goes wrong."""
    check_installed()
    with quiet():  # warnings of pydicom and highdicom quote names and numbers of patients
        try:
            yield
        except ResultError:
            raise
        except Exception as error:  # of a header that nobody thought of; the others go on
            raise ResultError(
                f"{film.source}: DICOM results cannot be made of it ({type(error).__name__}); its header, or "
                "its kind of image, is one that they cannot refer to"
            ) from None


def _made(
    given: Reference, film: Radiograph, finding: Finding, *, geometry: bool
) -> dict[str, Dataset]:
    from pleura.outputs.dicom.capture import capture
    from pleura.outputs.dicom.report import report
    from pleura.outputs.dicom.segmentation import segmentation

    logging.getLogger("highdicom").setLevel(logging.WARNING)  # it tells of each UID
    made = {}
    if finding.mask is not None and finding.mask.any():
        made["seg"] = segmentation(given, finding, film.trusted_spacing_mm, geometry=geometry)
    made["sr"] = report(given, finding, made.get("seg"))
    made["sc"] = capture(given, film, finding)
    return made


def is_installed() -> bool:
    """Whether highdicom is there, and so results can be made."""
    return find_spec("highdicom") is not None


def check_installed() -> None:
    """Raises `MissingExtra` unless highdicom is installed."""
    if not is_installed():
        raise MissingExtra.needing("Findings as DICOM", "dicom", ImportError("highdicom"))


def encoded(result: Dataset) -> bytes:
    """An object as the bytes of a DICOM file (PS3.10)."""
    buffer = BytesIO()
    with quiet():
        dcmwrite(buffer, result, enforce_file_format=True)
    return buffer.getvalue()
