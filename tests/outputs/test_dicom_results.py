"""Findings as DICOM: whole, valid, in the film's study, the same each time."""

import json
import shutil
import subprocess
import traceback
import warnings
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from made_up_findings import MODEL, declined, film, measured_extent, negative
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import HTJ2K, HTJ2KLossless, JPEG2000Lossless, JPEGBaseline8Bit

import pleura
from pleura.errors import MissingExtra, ResultError, UnsupportedFilm
from pleura.finding import PNEUMOTHORAX, Finding, Lesion
from pleura.outputs.dicom import dicom_files, dicom_results, encoded
from pleura.radiograph import Radiograph
from pleura.read.loss import complete_compression
from pleura.service.findings import finding_facts, finding_from
from pleura.service.rasters import mask_png

SHAPE = (60, 80)
PATIENT = "Nightingale^Florence"


def header(**changes) -> Dataset:
    """Of a film as a hospital's are."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    made.SOPInstanceUID, made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2", "1.2.1"
    made.PatientName, made.PatientID, made.PatientSex = PATIENT, "4711", "F"
    made.PatientBirthDate, made.StudyDate, made.StudyTime = "18200512", "20261129", "101500"
    made.StudyID, made.AccessionNumber, made.ReferringPhysicianName = "7", "A1", "Seacole^Mary"
    made.Modality, made.BodyPartExamined, made.PatientOrientation = "CR", "CHEST", ["L", "F"]
    for name, value in changes.items():
        if value is None:
            delattr(made, name)
        else:
            setattr(made, name, value)
    return made


def dicom_film(given: Dataset | None = None, **more) -> Radiograph:
    more = {
        "spacing_mm": (0.2, 0.25),
        "spacing_basis": "detector",
        "side_basis": "orientation",
    } | more
    return replace(film(SHAPE, **more), source_format="dicom", header=given or header())


def bilateral(**more) -> Finding:
    """A region on each side, and a second small one on the right, which is at the image's left."""
    mask = np.zeros(SHAPE, bool)
    mask[5:25, 5:20] = mask[40:44, 6:10] = mask[10:20, 60:70] = True
    boxes = [("right", (5, 5, 25, 20)), ("left", (10, 60, 20, 70)), ("right", (40, 6, 44, 10))]
    lesions = []
    for side, (top, left, bottom, right) in boxes:
        area = (bottom - top) * (right - left)
        lesions.append(
            Lesion(
                *(side, "orientation", area, area / mask.size, area * 0.05),
                *((top, left, bottom, right), 0.9),
            )
        )
    given = {"probability": 0.8764, "calibrated": True, "extents": (measured_extent(),)} | more
    return Finding(
        *(PNEUMOTHORAX, "positive", "Score 0.9 reaches the threshold 0.5.", MODEL, "film.dcm"),
        mask=mask,
        lesions=tuple(lesions),
        **given,
    )


TIMES = {
    "ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime",
    "ContributionDateTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture",
}  # fmt: skip


def read(result: Dataset) -> Dataset:
    return pydicom.dcmread(BytesIO(encoded(result)))


def items(container: Dataset) -> list[Dataset]:
    """All content items of a report, depth first."""
    found = []
    for item in container.get("ContentSequence", ()):
        found += [item, *items(item)]
    return found


def named(report: Dataset, meaning: str) -> list[Dataset]:
    return [
        item for item in items(report) if item.ConceptNameCodeSequence[0].CodeMeaning == meaning
    ]


def test_the_outline_comes_back_pixel_by_pixel_a_segment_a_side() -> None:
    finding = bilateral()
    seg = highdicom.seg.segread(BytesIO(encoded(dicom_results(dicom_film(), finding)["seg"])))
    assert seg.number_of_segments == 2
    assert [str(seg.get_segment_description(n).segment_label) for n in (1, 2)] == [
        "Pneumothorax, right",
        "Pneumothorax, left",
    ]
    planes = seg.get_pixels_by_source_instance(["1.2.3"])[0]
    assert finding.mask is not None
    np.testing.assert_array_equal(planes.any(axis=-1), finding.mask)
    assert not planes[:, 40:, 0].any()
    assert not planes[:, :40, 1].any()
    assert planes[..., 0].sum() == 20 * 15 + 16
    spaced = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert list(spaced.PixelSpacing) == [0.2, 0.25]
    region = seg.SegmentSequence[1].AnatomicRegionSequence[0]
    assert region.AnatomicRegionModifierSequence[0].CodeMeaning == "Left"


def test_a_plane_and_a_spacing_are_invented_only_when_asked_for() -> None:
    unknown = dicom_film(spacing_mm=(0.01, 0.01), spacing_basis="implausible")
    plain, invented = (
        dicom_results(unknown, bilateral(), geometry=geometry)["seg"] for geometry in (False, True)
    )
    assert "PixelMeasuresSequence" not in plain.SharedFunctionalGroupsSequence[0]
    assert "PlaneOrientationSequence" not in plain.SharedFunctionalGroupsSequence[0]
    shared = read(invented).SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [1, 1]
    plane = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    assert list(plane) == [1, 0, 0, 0, 1, 0]


def test_the_report_says_what_the_finding_does() -> None:
    results = dicom_results(dicom_film(), bilateral())
    report = read(results["sr"])
    assert named(report, "Presence of property")[0].ConceptCodeSequence[0].CodeMeaning == "Present"
    certainty = named(report, "Certainty of Finding")[0].MeasuredValueSequence[0]
    assert (certainty.NumericValue, certainty.MeasurementUnitsCodeSequence[0].CodeValue) == (
        pytest.approx(87.6),
        "%",
    )
    areas = [float(a.MeasuredValueSequence[0].NumericValue) for a in named(report, "Area")]
    assert areas == pytest.approx([(300 + 16) * 0.05, 100 * 0.05], abs=0.051)
    distances = [
        (
            next(i for i in item.ContentSequence).ConceptCodeSequence[0].CodeMeaning,
            float(item.MeasuredValueSequence[0].NumericValue),
        )
        for item in named(report, "Distance")
    ]
    assert distances == [("Apex of Lung", 32.5), ("Hilum of lung", 12.0)]
    for number, item in enumerate(named(report, "Referenced Segmentation Frame"), start=1):
        reference = item.ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == results["seg"].SOPInstanceUID
        assert reference.ReferencedFrameNumber == number
        assert "ReferencedSegmentNumber" not in reference
    said = [item.TextValue for item in named(report, "Comment")]
    assert "Score 0.9 reaches the threshold 0.5." in said
    assert any("not a medical device" in text for text in said)
    segments = [s.TrackingUID for s in results["seg"].SegmentSequence]
    tracked = [item.UID for item in named(report, "Tracking Unique Identifier")]
    assert tracked[1:] == segments


def test_a_score_that_is_no_chance_is_not_written_as_one() -> None:
    report = dicom_results(dicom_film(), bilateral(calibrated=False))["sr"]
    assert not named(report, "Certainty of Finding")
    assert any("Score 0.876" in item.TextValue for item in named(report, "Comment"))


@pytest.mark.parametrize(
    ("finding", "presence"),
    [
        (negative(SHAPE), "Absent"),
        (declined(reason="It is a lateral view."), "Presence Undetermined"),
    ],
    ids=["negative", "declined"],
)
def test_what_is_not_found_is_reported_too(finding: Finding, presence: str) -> None:
    results = dicom_results(dicom_film(), finding)
    assert list(results) == ["sr", "sc"]
    report = read(results["sr"])
    assert named(report, "Presence of property")[0].ConceptCodeSequence[0].CodeMeaning == presence
    assert named(report, "Comment")[0].TextValue == finding.reason
    assert not named(report, "Referenced Segmentation Frame")


def test_results_are_in_the_films_study_each_kind_in_its_own_series() -> None:
    results = {kind: read(made) for kind, made in dicom_results(dicom_film(), bilateral()).items()}
    assert {kind: r.Modality for kind, r in results.items()} == {
        "seg": "SEG",
        "sr": "SR",
        "sc": "OT",
    }
    for result in results.values():
        assert result.StudyInstanceUID == "1.2"
        assert result.PatientID == "4711"
        assert str(result.PatientName) == PATIENT
        assert result.AccessionNumber == "A1"
        assert result.ManufacturerModelName == MODEL.name
    assert len({r.SeriesInstanceUID for r in results.values()} | {"1.2.1"}) == 4
    assert len({r.SOPInstanceUID for r in results.values()} | {"1.2.3"}) == 4


def test_a_repeat_is_the_same_object_and_another_models_is_another() -> None:
    def uids(finding: Finding, given: Radiograph) -> set[str]:
        return {r.SOPInstanceUID for r in dicom_results(given, finding).values()}

    first = uids(bilateral(), dicom_film())
    assert uids(bilateral(), dicom_film()) == first
    for one, two in zip(
        dicom_results(dicom_film(), bilateral()).values(),
        dicom_results(dicom_film(), bilateral()).values(),
        strict=True,
    ):
        assert {e.keyword for e in differing(one, two)} <= TIMES
    assert not first & {
        dicom_results(dicom_film(), bilateral(), geometry=True)[kind].SOPInstanceUID
        for kind in ("seg", "sr")
    }
    assert not first & uids(bilateral(probability=0.5), dicom_film())
    assert not first & uids(bilateral(), dicom_film(header(PatientID="4712")))
    other = replace(MODEL, sha256="cd" * 32)
    assert not first & uids(replace(bilateral(), model=other), dicom_film())
    assert not first & uids(bilateral(), dicom_film(header(SOPInstanceUID="1.2.4")))
    assert all(u.startswith("2.25.") and len(u) <= 64 for u in first)


def differing(one: Dataset, other: Dataset) -> list[pydicom.DataElement]:
    """Elements that are not the same in both, those of items instead of their sequences."""
    found = []
    assert one.keys() == other.keys()
    for element in one:
        if element.VR == "SQ":
            pairs = zip(element.value, other[element.tag].value, strict=True)
            found += [e for a, b in pairs for e in differing(a, b)]
        elif element != other[element.tag]:
            found.append(element)
    return found


def test_a_finding_that_the_service_kept_has_the_same_objects() -> None:
    finding = bilateral(sop_instance_uid="1.2.3")
    assert finding.mask is not None
    facts = json.loads(json.dumps(finding_facts(finding)))
    kept = finding_from(facts, SHAPE, mask_png(finding.mask), b"", b"")
    for kind, result in dicom_results(dicom_film(), finding).items():
        again = dicom_results(dicom_film(), kept)[kind]
        assert {e.keyword for e in differing(result, again)} <= TIMES, kind


def test_the_picture_says_whose_it_is_and_shows_the_finding() -> None:
    shown = read(dicom_results(dicom_film(), bilateral())["sc"])
    pixels = shown.pixel_array
    assert pixels.shape[1:] == (1024, 3)
    assert pixels.shape[0] > 768
    plain = read(dicom_results(dicom_film(), negative(SHAPE))["sc"]).pixel_array
    assert (pixels[:700] != plain[:700]).any()
    assert list(shown.PatientOrientation) == ["L", "F"]
    assert shown.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    assert "not a medical device" in shown.DerivationDescription
    by_convention = dicom_results(dicom_film(side_basis="convention"), negative(SHAPE))["sc"]
    assert not by_convention.PatientOrientation


@pytest.mark.parametrize(
    ("said", "basis", "side", "found", "is_kept"),
    [
        (["L", "F"], "orientation", "right", None, True),
        (["R", "F"], "orientation", "left", None, True),
        (["L", "H"], "orientation", "right", None, True),
        (["LA", "F"], "orientation", "right", None, True),
        (["L", "X"], "orientation", "right", None, False),
        (["F", "L"], "convention", "right", None, False),  # judged as if it stood upright
        (["F", "L"], "convention", "right", ("F", "L"), True),
        (["R", "H"], "orientation", "left", ("R", "H"), True),
        (["L", "F"], "orientation", "right", ("R", "H"), False),  # it lies otherwise than it says
        (None, "convention", "right", None, False),
        (None, "convention", "right", ("R", "H"), False),
    ],
)
def test_the_picture_lies_as_the_film_does(
    said: list[str] | None,
    basis: str,
    side: str,
    found: tuple[str, str] | None,
    is_kept: bool,
) -> None:
    given = dicom_film(header(PatientOrientation=said), side_basis=basis, image_left=side)
    finding = replace(negative(SHAPE), patient_orientation=found)
    made = read(dicom_results(given, finding)["sc"])
    assert list(made.PatientOrientation or ()) == (said if is_kept else [])


def test_results_that_come_back_are_no_films() -> None:
    for finding in (bilateral(), negative(SHAPE)):
        results = dicom_results(dicom_film(), finding)
        for kind in results.keys() - {"sr"}:
            with pytest.raises(UnsupportedFilm, match="a finding of pleura, not a film"):
                pleura.read(encoded(results[kind]))


def test_what_the_header_may_not_say_is_left_out_and_nothing_is_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = header(AccessionNumber=None, StudyID=None, BodyPartExamined=None)
        given.add(pydicom.DataElement("PatientAge", "AS", "62", already_converted=True))
        given.add(pydicom.DataElement("PatientName", "PN", "Ōé^春", already_converted=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = dicom_results(dicom_film(given), bilateral())
        files = {kind: encoded(result) for kind, result in results.items()}
    for data in files.values():
        result = pydicom.dcmread(BytesIO(data))
        assert result.AccessionNumber == result.StudyID == ""
        assert "PatientAge" not in result
        assert str(result.PatientName) == "Ōé^春"


ODD = [
    ("PatientSex", "U", False),
    ("PatientSex", "MALE", False),
    ("PatientBirthDate", "20260231", False),
    ("PatientBirthDate", "20260101-20260201", False),
    ("StudyDate", ["20260101", "20260102"], False),
    ("StudyTime", ["1010", "1020"], False),
    ("StudyTime", "25", False),
    ("PatientName", "A" * 65, False),
    ("PatientName", "A^B^C^D^E^F", False),
    ("PatientName", "Yamada^Tarou=山田^太郎", True),
    ("ReferringPhysicianName", ["A^B", "C^D"], False),
    ("PatientID", "4711\\12", False),
    ("PatientID", "1" * 65, False),
    ("AccessionNumber", "1" * 17, False),
    ("StudyDescription", ["THORAX", "PA"], False),
    ("PatientAge", "62", False),
    ("PatientAge", "062Y", True),
    ("PatientOrientation", ["X", "Y"], False),
    ("PatientOrientation", ["L", "F", "A"], False),
    ("PatientOrientation", "L", False),
    ("PatientOrientation", ["AL", "F"], True),
]


@pytest.mark.parametrize(("name", "value", "is_kept"), ODD)
def test_an_odd_value_is_left_out_and_said(name: str, value: Any, is_kept: bool) -> None:
    given = header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = pydicom.datadict.dictionary_VR(name)
        given.add(pydicom.DataElement(name, kind, value, validation_mode=pydicom.config.IGNORE))
    results = dicom_results(dicom_film(given), bilateral())
    for kind in results.keys() - ({"sr", "sc"} if name == "PatientOrientation" else set()):
        assert bool(read(results[kind]).get(name)) == is_kept
    said = [item.TextValue for item in named(results["sr"], "Comment")]
    assert any(f"left out here: {name}." in text for text in said) != is_kept


@pytest.mark.parametrize(
    ("name", "kind", "raw", "kept"),
    [
        ("PatientID", "IS", b"0047", "0047"),
        ("PatientID", "DS", b"47.0", "47.0"),
        ("PatientID", "US", b"73", None),
        ("PatientAge", "FL", b"73", None),  # of two bytes: no FL
        ("PatientAge", "FL", b"4773", None),
        ("PatientName", "UL", b"4773", None),
        ("AccessionNumber", "FD", b"47734773", None),
        ("StudyID", "SS", b"73", None),
        ("IssuerOfPatientID", "SL", b"4773", None),
        ("StudyDescription", "FL", b"4773", None),
        ("ReferringPhysicianName", "US", b"4773", None),
        ("StudyDate", "OB", b"20261129", None),
        ("InstanceNumber", "FL", b"73", 1),
        ("LossyImageCompression", "FL", b"73", "00"),
    ],
)
def test_a_value_of_another_kind_than_it_should_be_stops_nothing(
    name: str, kind: str, raw: bytes, kept: str | int | None
) -> None:
    tag = Tag(name)
    given = header()
    given[tag] = RawDataElement(tag, kind, len(raw), raw, 0, False, True)
    results = dicom_results(dicom_film(given), bilateral())
    assert (read(results["sc"]).get(name) or None) == kept
    said = [item.TextValue for item in named(results["sr"], "Comment")]
    assert any(f"left out here: {name}." in text for text in said) == (kept is None)


@pytest.mark.parametrize("part", ["reference", "encoded"])
def test_a_fault_that_nobody_thought_of_quotes_no_patient(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TypeError(f"what is {PATIENT}?")

    monkeypatch.setattr(f"pleura.outputs.dicom.results.{part}", fail)
    with pytest.raises(ResultError, match=r"cannot be made of it \(TypeError\)") as caught:
        dicom_files(dicom_film(), bilateral())
    told = "".join(traceback.format_exception(caught.value))
    assert PATIENT not in told


def test_files_are_the_objects_as_bytes() -> None:
    film, finding = dicom_film(), bilateral()
    files, objects = dicom_files(film, finding), dicom_results(film, finding)
    assert list(files) == list(objects) == ["seg", "sr", "sc"]
    for kind, data in files.items():
        assert read(objects[kind]).SOPInstanceUID == pydicom.dcmread(BytesIO(data)).SOPInstanceUID


@pytest.mark.parametrize("encoding", ["ISO_IR 100", "ISO 2022 IR 87", "GB18030", "ISO_IR 192"])
def test_names_of_any_character_set_arrive(encoding: str, tmp_path: Path) -> None:
    name = {"ISO_IR 100": "Müller^Jürgen", "ISO 2022 IR 87": "Yamada^Tarou=山田^太郎"}.get(
        encoding, "王^小明"
    )
    given = header()
    given.SpecificCharacterSet = ["", encoding] if encoding.startswith("ISO 2022") else encoding
    given.PatientName = name
    other = Dataset()
    other.PatientID = "é" if encoding == "ISO_IR 100" else "1"
    other.add_new((0x0009, 0x0010), "LO", "PRIVATE")
    given.OtherPatientIDsSequence = [other]
    path = tmp_path / "film.dcm"
    given.save_as(path, implicit_vr=False, little_endian=True)
    results = dicom_results(dicom_film(pydicom.dcmread(path, force=True)), bilateral())
    for result in results.values():
        assert str(read(result).PatientName) == name
        assert "OtherPatientIDsSequence" not in result


def test_what_lost_detail_once_is_not_called_lossless() -> None:
    lossless = dicom_results(dicom_film(), bilateral())
    lossy = dicom_results(dicom_film(header(LossyImageCompression="01")), bilateral())
    for kind in ("seg", "sc"):
        assert lossless[kind].LossyImageCompression == "00"
        assert lossy[kind].LossyImageCompression == "01"


@pytest.mark.parametrize(
    ("syntax", "method"),
    [
        (JPEGBaseline8Bit, "ISO_10918_1"),
        (HTJ2K, "ISO_15444_15"),
        (HTJ2KLossless, None),
        (JPEG2000Lossless, None),
    ],
)
def test_a_compression_that_may_lose_detail_counts_as_one_that_did(
    syntax: str, method: str | None
) -> None:
    given = header(Rows=60, Columns=80, SamplesPerPixel=1, BitsAllocated=16, PixelData=b"x" * 1200)
    given.file_meta = FileMetaDataset()
    given.file_meta.TransferSyntaxUID = syntax
    complete_compression(given)
    made = dicom_results(dicom_film(given), bilateral())
    for result in (made["seg"], made["sc"]):  # 60 * 80 * 2 bytes in 1,200
        assert result.LossyImageCompression == ("00" if method is None else "01")
        assert result.get("LossyImageCompressionMethod") == method
        assert result.get("LossyImageCompressionRatio") == (None if method is None else 8)


def test_each_compression_that_a_film_went_through_is_said() -> None:
    twice = {"LossyImageCompressionMethod": ["ISO_10918_1", "ISO_15444_1"]}
    said = header(LossyImageCompression="01", LossyImageCompressionRatio=["9.5", "3"], **twice)
    seg = dicom_results(dicom_film(said), bilateral())["seg"]
    assert list(seg.LossyImageCompressionMethod) == twice["LossyImageCompressionMethod"]
    assert list(seg.LossyImageCompressionRatio) == [9.5, 3]
    unmatched = header(LossyImageCompression="01", LossyImageCompressionRatio="9.5", **twice)
    assert (
        "LossyImageCompressionRatio" not in dicom_results(dicom_film(unmatched), bilateral())["seg"]
    )


def test_an_assumed_side_is_no_code() -> None:
    finding = bilateral()
    assumed = tuple(replace(lesion, side_basis="convention") for lesion in finding.lesions)
    results = dicom_results(dicom_film(side_basis="convention"), replace(finding, lesions=assumed))
    segment = results["seg"].SegmentSequence[0]
    assert segment.SegmentLabel == "Pneumothorax, right (side by convention)"
    assert "AnatomicRegionModifierSequence" not in segment.AnatomicRegionSequence[0]
    assert not named(results["sr"], "Laterality")
    assert named(dicom_results(dicom_film(), finding)["sr"], "Laterality")


def test_a_kind_of_image_that_results_cannot_refer_to_is_said_so() -> None:
    with pytest.raises(ResultError, match=r"film\.png: DICOM results cannot be made of it"):
        dicom_results(dicom_film(header(SOPClassUID="1.2.392.200036.9125.1.1.2")), bilateral())


@pytest.mark.parametrize("name", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_film_without_a_uid_is_said_so(name: str) -> None:
    with pytest.raises(ResultError, match=f"{name} is missing"):
        dicom_results(dicom_film(header(**{name: None})), bilateral())
    given = header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given[name].value = "1.2.patient"
    with pytest.raises(ResultError, match=f"{name} is not a UID") as said:
        dicom_results(dicom_film(given), bilateral())
    assert "patient" not in str(said.value)


def test_a_film_that_is_no_dicom_has_none() -> None:
    with pytest.raises(ResultError, match=r"film\.png: it is PNG"):
        dicom_results(film(SHAPE), bilateral())


def test_without_highdicom_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pleura.outputs.dicom.results.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pleura\[dicom\]"):
        dicom_results(dicom_film(), bilateral())


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
@pytest.mark.parametrize("geometry", [False, True])
def test_dciodvfy_finds_no_fault(geometry: bool, tmp_path: Path) -> None:
    for finding in (bilateral(), negative(SHAPE), declined()):
        for kind, result in dicom_results(dicom_film(), finding, geometry=geometry).items():
            path = tmp_path / f"{kind}.dcm"
            path.write_bytes(encoded(result))
            said = subprocess.run(["dciodvfy", path], capture_output=True, text=True).stderr
            assert not [line for line in said.splitlines() if line.startswith(("Error", "Warning"))]
