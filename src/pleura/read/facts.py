"""What a DICOM header says about a film: spacing, side, view, age, sex, and on what basis."""

import re
from datetime import date
from typing import NamedTuple

from pydicom import Dataset

from pleura.radiograph import Side, SideBasis, SpacingBasis, View, spacing_is_plausible
from pleura.read.values import item, number, numbers, text, texts

MAX_AGE_YEARS = 120.0
_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
_SAME_SPACING = 0.005
"""Spacings this close (relative) are the same number rounded; magnification is ten times more."""

_VIEW_POSITIONS: dict[str, View] = {
    **dict.fromkeys(("PA", "POSTEROANTERIOR", "POSTERO-ANTERIOR"), "PA"),
    **dict.fromkeys(("AP", "ANTEROPOSTERIOR", "ANTERO-POSTERIOR"), "AP"),
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LEFT LATERAL"), "lateral"),
    **dict.fromkeys(("RIGHT LATERAL",), "lateral"),
}
VIEW_CODES: dict[str, View] = {
    # PS3.16 CID 4010, SNOMED CT and its older SRT codes
    **dict.fromkeys(("272479007", "R-10214", "R-40888"), "PA"),
    **dict.fromkeys(("399348003", "R-10206"), "AP"),
    **dict.fromkeys(("399067008", "R-102CD", "399173006", "R-10236"), "lateral"),
    **dict.fromkeys(("399198007", "R-10232"), "lateral"),
}


class Spacing(NamedTuple):
    """(row, column) in mm, what it is worth, and the attribute it was taken from."""

    mm: tuple[float, float] | None = None
    basis: SpacingBasis = "unknown"
    source: str | None = None


def spacing(ds: Dataset, shape: tuple[int, int], notes: list[str]) -> Spacing:
    """The distance between pixel centres and what it is worth (PS3.3 10.7.1).

    Pixel Spacing is in the patient's plane where Pixel Spacing Calibration Type says so or where it
    differs from Imager Pixel Spacing; equal to that, it merely repeats the detector's. Alone it may be
    either. Nominal Scanned Pixel Spacing is a digitised sheet's: what magnified it is not known.
    The Estimated Radiographic Magnification Factor is not divided out: it holds for one assumed plane of
    the patient, and `detector` promises the detector's. A note tells of it.
    """
    pixel = _pair(ds, "PixelSpacing", notes)
    imager = _pair(ds, "ImagerPixelSpacing", notes)
    scanned = _pair(ds, "NominalScannedPixelSpacing", notes)
    said = text(ds, "PixelSpacingCalibrationType") in ("GEOMETRY", "FIDUCIAL")
    if pixel and (said or (imager and not _equal(pixel, imager))):
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


def image_left(ds: Dataset, notes: list[str]) -> tuple[Side, SideBasis]:
    """The patient's side at the image's left edge (PS3.3 C.7.6.1.1.1).

    The first value of Patient Orientation says where the rows run to: towards L, they start at the right.
    """
    found = texts(ds, "PatientOrientation")
    rows, columns = (found[0][:1], found[1][:1]) if len(found) == 2 else ("", "")
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
    """The projection, by View Position, else View Code Sequence, else Patient Orientation."""
    position = text(ds, "ViewPosition")
    if position:
        return _VIEW_POSITIONS.get(position.upper(), "other")
    code = item(ds, "ViewCodeSequence")
    if code is not None:
        return VIEW_CODES.get(text(code, "CodeValue") or "", "other")
    rows = texts(ds, "PatientOrientation")
    if len(rows) == 2 and rows[0][:1] in ("A", "P"):
        notes.append("Its rows run between front and back (PatientOrientation): a lateral view.")
        return "lateral"
    return None


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
