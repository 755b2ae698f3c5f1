"""The film's header as its results take from it: patient, study, and what they refer to."""

import warnings

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from pleura.errors import ResultError
from pleura.radiograph import Radiograph

_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_EMPTY_IF_ABSENT = (  # type 2 in every result: empty where not known, never missing
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
_TAKEN = (
    "IssuerOfPatientID",
    "OtherPatientIDsSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyDescription",
    "Modality",
    "PatientOrientation",
    "BodyPartExamined",
    "Laterality",
    "TimezoneOffsetFromUTC",
)


def reference(film: Radiograph) -> Dataset:
    """A header of what results need of the film's, in UTF-8.

    Values that DICOM does not allow, such as an age of `62` without its unit, are left empty: they are the
    film's own fault, and an archive may refuse a result for them.

    Raises:
        ResultError: the film is no DICOM file, or its header lacks what a result must name.
    """
    header = film.header
    if header is None:
        raise ResultError(
            f"{film.source}: it is {film.source_format.upper()}, and DICOM results belong to a DICOM film, "
            "whose patient and study they name"
        )
    taken = Dataset()
    for name in _NEEDED:
        value = str(header.get(name, "") or "")
        if not UID(value).is_valid:
            wrong = "not a UID" if value else "missing"
            raise ResultError(
                f"{film.source}: its {name} is {wrong}, and a DICOM result must name it; repair the header "
                "first"
            )
        setattr(taken, name, value)
    for name in (*_EMPTY_IF_ABSENT, *_TAKEN):
        if name in header:
            _take(taken, header, name)
        if name in _EMPTY_IF_ABSENT and name not in taken:
            setattr(taken, name, None)
    taken.SpecificCharacterSet = "ISO_IR 192"
    taken.Rows, taken.Columns = film.shape
    if not taken.get("BodyPartExamined"):
        taken.BodyPartExamined = "CHEST"  # what was judged; else Laterality would be required
    return taken


def _take(taken: Dataset, header: Dataset, name: str) -> None:
    """A value, if DICOM allows it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote the value: patient data
            element = header[name]
            values = element.value if element.VM > 1 else [element.value]
            if element.VR != "SQ":
                for value in values:
                    validate_value(element.VR, value, config.RAISE)
            setattr(taken, name, element.value)
    except Exception:  # what pydicom's parsers and checks raise is of many kinds
        return
