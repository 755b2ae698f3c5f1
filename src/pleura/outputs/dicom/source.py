"""The film's header as its results take from it: patient, study, and what they refer to."""

import re
from dataclasses import dataclass

from pydicom import config
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import DA, STR_VR, TM, validate_value

from pleura.errors import ResultError
from pleura.radiograph import Radiograph
from pleura.read.values import integer, is_unreadable, numbers, text, texts

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
_IF_PRESENT = (
    "IssuerOfPatientID",
    "PatientAge",
    "StudyDescription",
    "Modality",
    "PatientOrientation",
)
_SEXES = ("M", "F", "O")
_DIRECTIONS = frozenset("APRLHF")
_MOST_NAME = 64
_METHOD = re.compile(r"[A-Z0-9_ ]{1,16}")


@dataclass(frozen=True)
class Reference:
    """What results need of a film's header.

    Attributes:
        header: in UTF-8; patient and study are the film's.
        left_out: names of attributes with a value that DICOM does not allow, and which are not there.
        instance_number: of the film in its series, and so of each result in its own.
    """

    header: Dataset
    left_out: tuple[str, ...]
    instance_number: int

    @property
    def told(self) -> str:
        """All of it, as text: what a result's UID follows from, too."""
        return "|".join([*(f"{e.keyword}={e.value}" for e in self.header), *self.left_out])


def reference(film: Radiograph) -> Reference:
    """What results need of the film's header.

    Values that DICOM does not allow, such as an age of `62` without its unit, are left out: they are the
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
        value = "\\".join(texts(header, name))
        if not UID(value).is_valid:
            wrong = "not a UID" if value else "missing"
            raise ResultError(
                f"{film.source}: its {name} is {wrong}, and a DICOM result must name it; repair the header "
                "first"
            )
        setattr(taken, name, value)
    left_out = []
    for name in (*_EMPTY_IF_ABSENT, *_IF_PRESENT):
        values = texts(header, name)
        if not any(values) and not is_unreadable(header, name):
            continue
        if values and header[name].VR in STR_VR and _is_allowed(name, values):
            setattr(taken, name, values if len(values) > 1 else values[0])
        else:  # a number is no text, and how it would be written is not known
            left_out.append(name)
    for name in _EMPTY_IF_ABSENT:
        if name not in taken:
            setattr(taken, name, None)
    taken.SpecificCharacterSet = "ISO_IR 192"
    taken.Rows, taken.Columns = film.shape
    taken.BodyPartExamined = "CHEST"  # with a scanner's own word, a Laterality would be due
    _take_compression(header, taken)
    return Reference(taken, tuple(left_out), _instance_number(header))


def _is_allowed(name: str, values: list[str]) -> bool:
    """Whether DICOM, and the library that writes results, take these values."""
    if name == "PatientOrientation":
        return len(values) == 2 and all(map(_is_direction, values))
    if len(values) != 1 or dictionary_VM(name) != "1":
        return False
    written, kind = values[0], dictionary_VR(name)
    try:
        validate_value(kind, written, config.RAISE)
        if kind == "DA":
            DA(written)
        elif kind == "TM":
            TM(written)
    except Exception:  # what pydicom's checks raise is of many kinds
        return False
    if kind == "PN" and any(len(n) > _MOST_NAME or n.count("^") > 4 for n in written.split("=")):
        return False
    if (
        not written.isprintable()
        or "\\" in written
        or (name == "PatientSex" and written not in _SEXES)
    ):
        return False
    return not (kind in ("DA", "TM") and "-" in written)


def _is_direction(word: str) -> bool:
    """Whether a word is of one to three of the letters of PS3.3 C.7.6.1.1.1, each once."""
    return 0 < len(word) <= 3 and set(word) <= _DIRECTIONS and len(set(word)) == len(word)


def _take_compression(header: Dataset, taken: Dataset) -> None:
    """Whether the film was ever compressed with loss, how and how far: its results must not deny it.

    PS3.3 C.7.6.1.1.5; a segmentation must say all three (C.8.20.2), as far as the film does.
    """
    was_lossy = text(header, "LossyImageCompression") == "01"
    taken.LossyImageCompression = "01" if was_lossy else "00"
    methods, ratios = (
        texts(header, "LossyImageCompressionMethod"),
        numbers(header, "LossyImageCompressionRatio"),
    )
    if was_lossy and methods and all(map(_METHOD.fullmatch, methods)):
        taken.LossyImageCompressionMethod = methods
        if len(ratios) == len(methods):
            taken.LossyImageCompressionRatio = [f"{ratio:.6g}" for ratio in ratios]


def _instance_number(header: Dataset) -> int:
    number = integer(header, "InstanceNumber")
    return number if number is not None and 0 < number < 1 << 31 else 1
