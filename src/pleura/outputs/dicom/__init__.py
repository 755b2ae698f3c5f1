"""Findings as DICOM, for the archive that the film came from: in its study, each kind in a series of its own.

    results.py        a finding as all of them, and what each is for
    source.py         the film's header, cleaned: patient, study and reference
    identity.py       whose objects these are; UIDs that are the same each time
    segmentation.py   Segmentation (PS3.3 A.51): the outline, a segment a side
    report.py         Comprehensive SR by TID 1500: presence, certainty, sizes, reasons
    capture.py        Secondary Capture: the finding drawn on the film, which any viewer shows

highdicom writes them; it is imported when the first is made.
"""

from pleura.outputs.dicom.results import (
    KINDS,
    check_installed,
    dicom_files,
    dicom_results,
    encoded,
    is_installed,
)

__all__ = ["KINDS", "check_installed", "dicom_files", "dicom_results", "encoded", "is_installed"]
