"""What a DICOM header says against an erect patient; only words that are known, nothing else of it."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pydicom import Dataset

from pleura.read.values import item, text

_DESCRIPTIONS = (
    "ProtocolName",
    "SeriesDescription",
    "StudyDescription",
    "PerformedProcedureStepDescription",
    "RequestedProcedureDescription",
    "AcquisitionDeviceProcessingDescription",
    "ViewPosition",  # such as "PA SUPINE"
)
_NOT_ERECT = re.compile(
    r"(?<![^\W\d_])("
    r"not.?erect|semi.?(erect|upright|recumbent)|supine|prone|recumbent|decubit\w*|lying|lordotic"
    r"|portable|mobile|bed(side)?|icu|itu|intensive|stretcher|trolley"
    r"|liegend\w*|liegen|bett\w*|couch[eé]e?|lit|dec[uú]bito|camilla|sdraiat\w*|liggend"
    r")(?![^\W\d_])",
    re.IGNORECASE,
)
_LYING_POSITION = re.compile(r"[HFLRAP]F(S|P|DL|DR)", re.IGNORECASE)
_NOT_ERECT_CODES = {
    # PS3.16 CID 19, CID 20, CID 4011; SNOMED CT and its older SRT codes
    *("102538003", "F-10450"),  # recumbent
    *("102539006", "F-10460"),  # semi-erect
    *("40199007", "F-10340"),  # supine
    *("1240000", "F-10310"),  # prone
    *("34026001", "F-10316"),  # semi-prone
    *("32185000", "F-10318"),  # lateral decubitus
    *("102535000", "F-10317"),  # right lateral decubitus
    *("102536004", "F-10319"),  # left lateral decubitus
    *("34106002", "F-10348"),  # Trendelenburg
    *("260450008", "R-40799"),  # lordotic
}


class _Said(NamedTuple):
    attribute: str
    words: str


def posture_doubt(ds: Dataset) -> str | None:
    """The attribute that speaks against an erect patient, with its words, such as `ProtocolName (supine)`."""
    said = _not_erect(ds)
    return None if said is None else f"{said.attribute} ({said.words})"


def _not_erect(ds: Dataset) -> _Said | None:
    for attribute, words in _described(ds):
        match = _NOT_ERECT.search(words)
        if match:
            return _Said(attribute, match.group(1).lower())
    position = text(ds, "PatientPosition") or ""
    if _LYING_POSITION.fullmatch(position):
        return _Said("PatientPosition", position.upper())
    for attribute, code in _codes(ds):
        if text(code, "CodeValue") in _NOT_ERECT_CODES:
            return _Said(attribute, "a code")
        match = _NOT_ERECT.search(text(code, "CodeMeaning") or "")
        if match:
            return _Said(attribute, match.group(1).lower())
    return None


def _described(ds: Dataset) -> Iterator[_Said]:
    for attribute in _DESCRIPTIONS:
        words = text(ds, attribute)
        if words:
            yield _Said(attribute, words)


def _codes(ds: Dataset) -> Iterator[tuple[str, Dataset]]:
    """The coded posture (PS3.3 C.8.4.6) and view (C.8.11.5), each with its modifier."""
    for attribute, modifier in (
        ("PatientOrientationCodeSequence", "PatientOrientationModifierCodeSequence"),
        ("ViewCodeSequence", "ViewModifierCodeSequence"),
    ):
        code = item(ds, attribute)
        if code is None:
            continue
        yield attribute, code
        more = item(code, modifier)
        if more is not None:
            yield modifier, more
