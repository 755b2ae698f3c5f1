"""What the header says: spacing and its basis, side, view, age, sex, identity."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from pleura.radiograph import Radiograph
from pleura.read import read

MakeDicom = Callable[..., bytes]


@pytest.fixture
def film(make_dicom: MakeDicom) -> Callable[..., Radiograph]:
    """A film of 1000x800 pixels: at 0.4 mm it is 400 x 320 mm."""
    samples = np.zeros((1000, 800), dtype=np.uint8)
    return lambda **attributes: read(make_dicom(samples, **attributes))


PLAUSIBLE, OTHER = [0.4, 0.4], [0.36, 0.36]


@pytest.mark.parametrize(
    ("attributes", "mm", "basis", "source"),
    [
        ({}, None, "unknown", None),
        ({"ImagerPixelSpacing": PLAUSIBLE}, (0.4, 0.4), "detector", "ImagerPixelSpacing"),
        ({"PixelSpacing": PLAUSIBLE}, (0.4, 0.4), "unknown", "PixelSpacing"),
        (
            {"NominalScannedPixelSpacing": PLAUSIBLE},
            (0.4, 0.4),
            "unknown",
            "NominalScannedPixelSpacing",
        ),
        (
            {"PixelSpacing": PLAUSIBLE, "ImagerPixelSpacing": PLAUSIBLE},
            (0.4, 0.4),
            "detector",
            "ImagerPixelSpacing",
        ),
        (
            {"PixelSpacing": [0.4001, 0.4001], "ImagerPixelSpacing": PLAUSIBLE},
            (0.4, 0.4),
            "detector",
            "ImagerPixelSpacing",
        ),
        (
            {"PixelSpacing": OTHER, "ImagerPixelSpacing": PLAUSIBLE},
            (0.36, 0.36),
            "calibrated",
            "PixelSpacing",
        ),
        (
            {"PixelSpacing": PLAUSIBLE, "PixelSpacingCalibrationType": "FIDUCIAL"},
            (0.4, 0.4),
            "calibrated",
            "PixelSpacing",
        ),
        (
            {"PixelSpacing": PLAUSIBLE, "ImagerPixelSpacing": OTHER},
            (0.4, 0.4),
            "unknown",
            "PixelSpacing",
        ),
        (
            {"PixelSpacing": [0.36, 0.4], "ImagerPixelSpacing": [0.4, 0.36]},
            (0.36, 0.4),
            "unknown",
            "PixelSpacing",
        ),
        (
            {
                "PixelSpacing": PLAUSIBLE,
                "ImagerPixelSpacing": OTHER,
                "PixelSpacingCalibrationType": "GEOMETRY",
            },
            (0.4, 0.4),
            "calibrated",
            "PixelSpacing",
        ),
        ({"PixelSpacing": [0.168, 0.168]}, (0.168, 0.168), "implausible", "PixelSpacing"),
        ({"ImagerPixelSpacing": [0.4, 0.8]}, (0.4, 0.8), "implausible", "ImagerPixelSpacing"),
        ({"PixelSpacing": [0.4, 0.35]}, (0.4, 0.35), "unknown", "PixelSpacing"),
    ],
)
def test_spacing(
    film: Callable[..., Radiograph],
    attributes: dict[str, Any],
    mm: tuple[float, float] | None,
    basis: str,
    source: str | None,
) -> None:
    read_film = film(**attributes)
    assert read_film.spacing_mm == mm
    assert read_film.spacing_basis == basis
    assert read_film.spacing_source == source
    assert (read_film.trusted_spacing_mm is None) == (basis in ("unknown", "implausible"))


@pytest.mark.parametrize("wrong", [[0.0, 0.4], [-0.4, 0.4], [0.4, 0.4, 0.4], 0.4])
def test_broken_spacing_is_left_out_and_noted(film: Callable[..., Radiograph], wrong: Any) -> None:
    read_film = film(PixelSpacing=wrong)
    assert read_film.spacing_mm is None
    assert any("PixelSpacing" in note for note in read_film.notes)


def test_a_pixel_larger_than_the_detectors_is_noted(film: Callable[..., Radiograph]) -> None:
    notes = film(PixelSpacing=PLAUSIBLE, ImagerPixelSpacing=OTHER).notes
    assert notes[-1].startswith("PixelSpacing is larger than ImagerPixelSpacing")


def test_magnification_is_told_not_divided_out(film: Callable[..., Radiograph]) -> None:
    read_film = film(ImagerPixelSpacing=PLAUSIBLE, EstimatedRadiographicMagnificationFactor=1.1)
    assert read_film.spacing_mm == (0.4, 0.4)
    assert read_film.notes[-1] == "Lengths are the detector's, magnified about 1.1 times."


@pytest.mark.parametrize(
    ("orientation", "side", "basis", "note"),
    [
        (["L", "F"], "right", "orientation", None),
        (["R", "F"], "left", "orientation", None),
        (["LA", "FA"], "right", "orientation", None),
        (["L", "H"], "right", "orientation", "stands on its head"),
        (["F", "L"], "right", "convention", "lies on its side"),
        (["P", "F"], "right", "convention", "lateral"),
        ("", "right", "convention", None),
        ("L", "right", "convention", None),
    ],
)
def test_side(
    film: Callable[..., Radiograph], orientation: Any, side: str, basis: str, note: str | None
) -> None:
    read_film = film(PatientOrientation=orientation)
    assert (read_film.image_left, read_film.side_basis) == (side, basis)
    assert note is None or any(note in one for one in read_film.notes)


@pytest.mark.parametrize(
    ("orientation", "letters"),
    [
        (["L", "F"], ("L", "F")),
        (["F", "R"], ("F", "R")),
        (["LA", "HP"], ("L", "H")),
        (["A", "F"], ("A", "F")),
        (["L", "R"], None),
        (["L", "X"], None),
        ("L", None),
        ("", None),
    ],
)
def test_directions_of_rows_and_columns(
    film: Callable[..., Radiograph], orientation: Any, letters: tuple[str, str] | None
) -> None:
    assert film(PatientOrientation=orientation).patient_orientation == letters


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize(
    ("position", "view"),
    [
        ("PA", "PA"),
        ("AP", "AP"),
        ("LL", "lateral"),
        ("RL", "lateral"),
        ("LATERAL", "lateral"),
        ("LLD", "other"),
        ("RAO", "other"),
        ("AP LORDOTIC", "other"),
        ("LEFT LAT DECUB", "other"),
        ("PA OBLIQUE", "other"),
        ("PA ERECT", "PA"),
        ("AP SUPINE", "AP"),
        ("PORTABLE AP", "AP"),
        ("P-A", "PA"),
        ("A.P.", "AP"),
        ("LATERAL ERECT", "lateral"),
        ("PA/LAT", None),
        ("AP/PA", None),
        ("FRONTAL", None),
        ("UNKNOWN", None),
        ("NONE", None),
        ("", None),
    ],
)
def test_view_position(film: Callable[..., Radiograph], position: str, view: str | None) -> None:
    assert film(ViewPosition=position).view == view


@pytest.mark.parametrize(
    ("code", "view"),
    [
        ("272479007", "PA"),
        ("R-10206", "AP"),
        ("399173006", "lateral"),
        ("399225005", "other"),
        ("399135007", "other"),
        ("R-10202", None),
        ("399033003", None),
        ("99LOCAL7", None),
    ],
)
def test_view_code(film: Callable[..., Radiograph], code: str, view: str | None) -> None:
    item = Dataset()
    item.CodeValue = code
    assert film(ViewCodeSequence=[item]).view == view


@pytest.mark.parametrize(
    ("meaning", "view"),
    [
        ("postero-anterior", "PA"),
        ("Antero-posterior projection", "AP"),
        ("antero-posterior oblique", "other"),
        ("left lateral", "lateral"),
        ("Thorax", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("code", ["99LOCAL7", None])
def test_view_code_of_a_maker(
    film: Callable[..., Radiograph], code: str | None, meaning: str | None, view: str | None
) -> None:
    item = Dataset()
    if code is not None:
        item.CodeValue = code
    if meaning is not None:
        item.CodeMeaning = meaning
    assert film(ViewCodeSequence=[item]).view == view


@pytest.mark.parametrize("position", ["UNKNOWN", "NONE", "FRONTAL"])
def test_a_view_position_that_says_nothing_leaves_it_to_the_code(
    film: Callable[..., Radiograph], position: str
) -> None:
    item = Dataset()
    item.CodeValue = "399348003"
    assert film(ViewPosition=position, ViewCodeSequence=[item]).view == "AP"
    assert film(ViewPosition=position, PatientOrientation=["A", "F"]).view == "lateral"
    unsaid = film(ViewPosition=position)
    assert unsaid.notes[-1] == "What its header says of the view is not whether it is PA or AP."


def test_rows_from_front_to_back_are_a_lateral_view(film: Callable[..., Radiograph]) -> None:
    assert film(PatientOrientation=["A", "F"]).view == "lateral"
    assert film(PatientOrientation=["A", "F"], ViewPosition="PA").view == "PA"


@pytest.mark.filterwarnings("ignore:Invalid value for VR AS")
@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize(
    ("written", "years"),
    [
        ("062Y", 62.0),
        ("006M", 0.5),
        ("026W", 26 * 7 / 365.25),
        ("010D", 10 / 365.25),
        ("000D", 0.0),
        ("62", 62.0),
        ("62Y", 62.0),
        ("148", None),
        ("411Y", None),
        ("old", None),
        ("", None),
    ],
)
def test_age(film: Callable[..., Radiograph], written: str, years: float | None) -> None:
    assert film(PatientAge=written).age_years == pytest.approx(years)


def test_age_without_unit_is_noted(film: Callable[..., Radiograph]) -> None:
    with pytest.warns(UserWarning, match="AS"):
        read_film = film(PatientAge="62")
    assert "PatientAge has no unit; years are assumed." in read_film.notes


@pytest.mark.parametrize(
    ("born", "examined", "years"),
    [
        ("19600101", "20200101", 60.0),
        ("20200101", "19600101", None),
        ("18000101", "20200101", None),
        ("", "20200101", None),
    ],
)
def test_age_from_dates(
    film: Callable[..., Radiograph], born: str, examined: str, years: float | None
) -> None:
    found = film(PatientBirthDate=born, StudyDate=examined).age_years
    assert found == (None if years is None else pytest.approx(years, abs=0.01))


@pytest.mark.parametrize(
    ("written", "sex"),
    [("M", "M"), ("f", "F"), ("O", "O"), ("FEMALE", "F"), ("", None), ("X", None)],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_sex(film: Callable[..., Radiograph], written: str, sex: str | None) -> None:
    assert film(PatientSex=written).sex == sex


def test_identity_and_header(film: Callable[..., Radiograph]) -> None:
    read_film = film(BodyPartExamined="CHEST")
    assert read_film.sop_instance_uid == "1.2.3.4"
    assert read_film.study_instance_uid == "1.2.3"
    assert read_film.series_instance_uid == "1.2.3.3"
    assert (read_film.patient_id, read_film.modality, read_film.body_part) == ("P1", "CR", "CHEST")
    assert read_film.source_format == "dicom"
    assert "PixelData" not in read_film.header
    assert read_film.header.Rows == 1000


def test_films_travel_between_processes_without_the_file(film: Callable[..., Radiograph]) -> None:
    packed = pickle.dumps(film())
    assert len(packed) < 1000 * 800 * 4 + 100_000
    again = pickle.loads(packed)
    assert again.header.PatientID == "P1"
    assert again.shape == (1000, 800)
