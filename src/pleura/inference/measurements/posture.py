"""Whether distances may be taken on a film: its view, what its header says of the posture, its spacing."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pydicom import Dataset

from pleura.radiograph import Radiograph
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
    r"supine|prone|recumbent|decubit\w*|lying|lordotic|semi.?(erect|upright|recumbent)|portable|mobile"
    r"|bed(side)?|icu|itu|intensive|stretcher|trolley"
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


def why_no_distances(film: Radiograph) -> str | None:
    """Why no distance of a guideline can be taken on a film, in one sentence; None where it can.

    The guidelines mean erect films. A PA film is taken to be erect unless its header says otherwise; of an AP
    film the posture is not known, and lying down the air lies elsewhere.
    """
    if film.view is None:
        return "It is not known whether the film is PA; distances are those of erect PA films."
    if film.view != "PA":
        return f"The film is {film.view}: the patient's posture is not known."
    said = None if film.header is None else _not_erect(film.header)
    if said is not None:
        return f"By its {said.attribute} ({said.words}) the patient may not have been erect."
    if film.spacing_basis == "implausible":
        return "The header's pixel spacing is not that of a chest film."
    if film.trusted_spacing_mm is None:
        return "It is not known how large a pixel is in the patient or on the detector."
    return None


def _not_erect(ds: Dataset) -> _Said | None:
    """What in a header speaks against an erect patient; only words that are known, nothing else of it."""
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
