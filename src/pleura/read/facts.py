"""What a DICOM header says about a film: spacing, side, view, age, sex, and on what basis."""

import re
from datetime import date
from typing import NamedTuple, cast

from pydicom import Dataset

from pleura.orientation import Orientation
from pleura.radiograph import Side, SideBasis, SpacingBasis, View, spacing_is_plausible
from pleura.read.values import item, number, numbers, text, texts

MAX_AGE_YEARS = 120.0
_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
_SAME_SPACING = 0.005
"""Spacings this close (relative) are the same number rounded; magnification is ten times more."""

_AXES = {"L": "across", "R": "across", "H": "along", "F": "along", "A": "through", "P": "through"}
_NOT_IN = r"(?<![A-Z])(?:{})(?![A-Z])"
_PA = re.compile(_NOT_IN.format(r"P[ ./-]{0,2}A|POST\w*[ -]?ANT\w*"))
_AP = re.compile(_NOT_IN.format(r"A[ ./-]{0,2}P|ANT\w*[ -]?POST\w*"))
_LATERAL = re.compile(
    _NOT_IN.format(r"LL|RL|[LR]?LAT|LATERAL\w*|LATERO\w*|PROFIL\w*|PERFIL|SEITLICH\w*")
)
_OTHER = re.compile(
    _NOT_IN.format(
        r"[LR]LD|[LR][LAP]O|OBL\w*|DECUB\w*|LORDOT\w*|AX|AXIAL\w*|TANG\w*|SAGITT\w*|OTHER"
    )
)
VIEW_CODES: dict[str, View | None] = {
    # PS3.16 CID 4010, SNOMED CT and its older SRT codes
    **dict.fromkeys(("272479007", "R-10214", "R-40888"), "PA"),
    **dict.fromkeys(("399348003", "R-10206"), "AP"),
    **dict.fromkeys(("399033003", "R-10202"), None),  # frontal: of the two, which is not said
    **dict.fromkeys(("399067008", "R-102CD", "399173006", "R-10236"), "lateral"),
    **dict.fromkeys(("399198007", "R-10232"), "lateral"),
    **dict.fromkeys(
        (
            *("399160007", "R-10204", "399312000", "R-10208", "399059000", "R-10216"),  # oblique
            *("399038007", "R-10210", "399006002", "R-10212", "399135007", "R-10220"),
            *("399356000", "R-40985", "399182000", "R-102C1", "399236003", "R-10234"),
            *("399184004", "R-10238", "260426006", "R-40782", "260427002", "R-40783"),
            *("399368009", "R-10226", "399099002", "R-10230", "399288005", "R-10248"),
            *("399225005", "R-10250", "399004004", "R-10246", "399132005", "R-10252"),
            *("399325008", "R-10254"),
            *("399061009", "R-10241", "399162004", "R-10242", "399196006", "R-10244"),  # axial
            *("399110001", "R-102C2", "30730003", "G-A145"),  # tangential, sagittal
            *("399260004", "R-10224", "399352003", "R-10228"),  # of limbs, skull and teeth
            *("399071006", "R-102C3", "399335002", "R-102C4", "399272005", "R-102C5"),
            *("399242004", "R-102C6", "399351005", "R-102C7", "399316002", "R-102C8"),
            *("399255003", "R-10256", "399360002", "R-10257", "260499007", "R-40810"),
            *("119376003", "G-8300"),  # a specimen
        ),
        "other",
    ),
}


class Spacing(NamedTuple):
    """(row, column) in mm, what it is worth, and the attribute it was taken from."""

    mm: tuple[float, float] | None = None
    basis: SpacingBasis = "unknown"
    source: str | None = None


def spacing(ds: Dataset, shape: tuple[int, int], notes: list[str]) -> Spacing:
    """The distance between pixel centres and what it is worth (PS3.3 10.7.1).

    Pixel Spacing is in the patient's plane where Pixel Spacing Calibration Type says so or where it
    is smaller than Imager Pixel Spacing; equal to that, it merely repeats the detector's. Larger, it is no
    correction for magnification, which only shrinks: film or header was changed, and neither is believed.
    Alone it may be either. Nominal Scanned Pixel Spacing is a digitised sheet's: what magnified it is not
    known.
    The Estimated Radiographic Magnification Factor is not divided out: it holds for one assumed plane of
    the patient, and `detector` promises the detector's. A note tells of it.
    """
    pixel = _pair(ds, "PixelSpacing", notes)
    imager = _pair(ds, "ImagerPixelSpacing", notes)
    scanned = _pair(ds, "NominalScannedPixelSpacing", notes)
    said = text(ds, "PixelSpacingCalibrationType") in ("GEOMETRY", "FIDUCIAL")
    if pixel and imager and not said and _exceeds(pixel, imager):
        notes.append(
            "PixelSpacing is larger than ImagerPixelSpacing, which no correction for magnification makes it; "
            "what a pixel measures is not known."
        )
        found = Spacing(pixel, "unknown", "PixelSpacing")
    elif pixel and (said or (imager and not _equal(pixel, imager))):
        found = Spacing(pixel, "calibrated", "PixelSpacing")
    elif imager:
        found = Spacing(imager, "detector", "ImagerPixelSpacing")
    elif pixel:
        found = Spacing(pixel, "unknown", "PixelSpacing")
    elif scanned:
        found = Spacing(scanned, "unknown", "NominalScannedPixelSpacing")
    else:
        return Spacing()
    if found.mm and not spacing_is_plausible(shape, found.mm):
        high, wide = (n * mm for n, mm in zip(shape, found.mm, strict=True))
        notes.append(
            f"By its {found.source} the film would be {high:.0f} x {wide:.0f} mm, which no frontal "
            "adult chest film is; the spacing is not believed."
        )
        return found._replace(basis="implausible")
    magnification = number(ds, "EstimatedRadiographicMagnificationFactor")
    if found.basis == "detector" and magnification is not None and magnification > 1.0:
        notes.append(f"Lengths are the detector's, magnified about {magnification:g} times.")
    return found


def _pair(ds: Dataset, keyword: str, notes: list[str]) -> tuple[float, float] | None:
    found = numbers(ds, keyword)
    if len(found) == 2 and all(mm > 0 for mm in found):
        return found[0], found[1]
    if texts(ds, keyword):
        notes.append(f"{keyword} is no pair of positive numbers and is ignored.")
    return None


def _equal(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= _SAME_SPACING * b for a, b in zip(one, other, strict=True))


def _exceeds(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return any(a > b * (1 + _SAME_SPACING) for a, b in zip(one, other, strict=True))


def orientation(ds: Dataset) -> Orientation | None:
    """Where the rows and the columns run to (PS3.3 C.7.6.1.1.1), the main letter of each."""
    rows, columns = _directions(ds)
    if rows not in _AXES or columns not in _AXES or _AXES[rows] == _AXES[columns]:
        return None
    return cast(Orientation, (rows, columns))


def _directions(ds: Dataset) -> tuple[str, str]:
    found = [one[:1] for one in texts(ds, "PatientOrientation")]
    return (found[0], found[1]) if len(found) == 2 else ("", "")


def image_left(ds: Dataset, notes: list[str]) -> tuple[Side, SideBasis]:
    """The patient's side at the image's left edge (PS3.3 C.7.6.1.1.1).

    The first value of Patient Orientation says where the rows run to: towards L, they start at the right.
    """
    rows, columns = _directions(ds)
    if columns == "H":
        notes.append("By its PatientOrientation the film stands on its head; it is not turned.")
    if rows == "L":
        return "right", "orientation"
    if rows == "R":
        return "left", "orientation"
    if rows in ("H", "F"):
        notes.append("By its PatientOrientation the film lies on its side; it is not turned.")
    return "right", "convention"


def view(ds: Dataset, notes: list[str]) -> View | None:
    """The projection, by View Position, else View Code Sequence, else Patient Orientation.

    `other` is only what is known to be none of the rest: words that say nothing of the view, or only that it
    is frontal, leave it to the next attribute, and at last to None.
    """
    position = text(ds, "ViewPosition")
    code = item(ds, "ViewCodeSequence") or Dataset()
    value, meaning = text(code, "CodeValue"), text(code, "CodeMeaning")
    found = _worded(position) or VIEW_CODES.get(value or "") or _worded(meaning)
    if found is not None:
        return found
    if _directions(ds)[0] in ("A", "P"):
        notes.append("Its rows run between front and back (PatientOrientation): a lateral view.")
        return "lateral"
    if position or value or meaning:
        notes.append("What its header says of the view is not whether it is PA or AP.")
    return None


def _worded(said: str | None) -> View | None:
    """The projection that words name, if they name one: `PA`, `AP SUPINE`, `postero-anterior`."""
    words = (said or "").upper()
    if _OTHER.search(words):
        return "other"
    patterns: tuple[tuple[View, re.Pattern[str]], ...]
    patterns = ("PA", _PA), ("AP", _AP), ("lateral", _LATERAL)
    named = [view for view, pattern in patterns if pattern.search(words)]
    return named[0] if len(named) == 1 else None


def age_years(ds: Dataset, notes: list[str]) -> float | None:
    """The patient's age, by Patient's Age (PS3.5 AS), else from the dates of birth and study."""
    written = text(ds, "PatientAge")
    match = re.fullmatch(r"(\d{1,3}) ?([DWMY]?)", (written or "").upper())
    if match:
        digits, unit = match.groups()
        if not unit:
            notes.append("PatientAge has no unit; years are assumed.")
        years = int(digits) * _DAYS[unit or "Y"] / _DAYS["Y"]
    else:
        if written:
            notes.append("PatientAge cannot be understood.")
        days = _days_between(text(ds, "PatientBirthDate"), text(ds, "StudyDate"))
        if days is None:
            return None
        notes.append("The age is reckoned from the dates of birth and study.")
        years = days / _DAYS["Y"]
    if not 0.0 <= years <= MAX_AGE_YEARS:
        notes.append("The age is impossible and left out.")
        return None
    return years


def _days_between(born: str | None, examined: str | None) -> int | None:
    try:
        return (_date(examined) - _date(born)).days
    except ValueError:
        return None


def _date(written: str | None) -> date:
    """A DA value, also in the older form with points; ValueError where it is none."""
    match = re.fullmatch(r"(\d{4})\.?(\d\d)\.?(\d\d)", written or "")
    if match is None:
        raise ValueError("no date")
    year, month, day = map(int, match.groups())
    return date(year, month, day)


def sex(ds: Dataset) -> str | None:
    """`M`, `F`, `O`, or None where the header says nothing of the kind."""
    written = (text(ds, "PatientSex") or "").upper()
    return {"MALE": "M", "FEMALE": "F", "OTHER": "O"}.get(
        written, written if written in ("M", "F", "O") else None
    )
