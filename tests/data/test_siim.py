"""The SIIM layout: DICOM files by ImageId, run lengths, patients, true spacing."""

from pathlib import Path

import pytest
from tiny_corpora import film, write_dicom, write_siim

from pleura.data.corpora import CorpusSpec, detect_layout, find_cases
from pleura.errors import CorpusError

FILMS = {"1.2.3": film(1), "1.2.4": film(2), "1.2.5": film(3)}
RLE = "ImageId, EncodedPixels\n1.2.3, 0 2 38 2\n1.2.3,5 1\n1.2.4, -1\n9.9, 1 1\n9.9,7 1\n"


def by_key(spec: CorpusSpec) -> dict:
    return {case.key: case for case in find_cases(spec)[0]}


def test_every_annotation_row_is_kept_and_films_without_one_are_unlabelled(tmp_path: Path) -> None:
    root = write_siim(tmp_path, FILMS, RLE)
    cases = by_key(CorpusSpec(root))
    assert cases["1.2.3"].annotations == ("0 2 38 2", "5 1")
    assert cases["1.2.4"].annotations == ("-1",)
    assert cases["1.2.5"].annotations == ()
    assert [cases[k].label_quality for k in FILMS] == ["expert", "expert", "none"]
    assert cases["1.2.3"].path == "dicom-images-train/study0/series/1.2.3.dcm"


def test_rows_without_a_film_are_reported(tmp_path: Path) -> None:
    root = write_siim(tmp_path / "corpus", FILMS, RLE)
    failures = find_cases(CorpusSpec(root))[1]
    assert failures == [("corpus:train-rle.csv", "9.9 has 2 annotation rows, but no film")]


def test_the_heading_may_lack_its_blank_and_the_file_have_a_mark(tmp_path: Path) -> None:
    root = write_siim(tmp_path, FILMS, "\ufeffImageId,EncodedPixels\n1.2.3,0 2\n")
    assert by_key(CorpusSpec(root))["1.2.3"].annotations == ("0 2",)


def test_tables_give_patients_spacing_and_facts(tmp_path: Path) -> None:
    nih = (
        "ImageId,PatientId,Age,Sex,View,NihFindings,OriginalColumns,OriginalRows,OriginalSpacingMm,"
        "ColumnSpacingMm,RowSpacingMm\n"
        "1.2.3,x,38,F,AP,Effusion,2500,2048,0.168,8.75,8.6\n"
        "1.2.4,7,412,,LL,,,,,8.75,8.6\n"
    )
    root = write_siim(tmp_path, FILMS, RLE, patients="ImageId,PatientId\n1.2.3,007\n", nih=nih)
    cases = by_key(CorpusSpec(root))
    one, two, three = cases["1.2.3"], cases["1.2.4"], cases["1.2.5"]
    assert one.patient_id == "007"  # the first table to speak counts; leading zeros stay
    assert two.patient_id == "7"
    assert three.patient_id is None
    assert not three.patient_from_header
    fixed = one.corrections
    assert (fixed.view, fixed.sex, fixed.age_years) == ("AP", "F", 38)
    assert fixed.field_mm == pytest.approx((2048 * 0.168, 2500 * 0.168))
    assert two.corrections.spacing_mm == (8.6, 8.75)
    assert (two.corrections.view, two.corrections.age_years) == ("lateral", None)
    assert one.facts == {
        "NihFindings": "Effusion",
        "OriginalColumns": "2500",
        "OriginalRows": "2048",
        "OriginalSpacingMm": "0.168",
    }


def test_a_films_table_is_found_and_a_named_one_wins(tmp_path: Path) -> None:
    films = "ImageId,PatientId,RowSpacingMm,ColumnSpacingMm\n1.2.3,p1,9,9\n"
    root = write_siim(tmp_path, FILMS, RLE, films=films, mine="imageid;Patient ID\n1.2.3;p2\n")
    assert by_key(CorpusSpec(root))["1.2.3"].patient_id == "p1"
    named = by_key(CorpusSpec(root, tables=("mine.csv",)))["1.2.3"]
    assert named.patient_id == "p2"
    assert named.corrections.spacing_mm is None


def test_spacing_of_a_reference_matrix_becomes_the_field(tmp_path: Path) -> None:
    films = "ImageId,RowSpacingMm,ColumnSpacingMm\n1.2.3,0.34,0.42\n"
    root = write_siim(tmp_path, FILMS, RLE, films=films)
    fixed = by_key(CorpusSpec(root, spacing_matrix=1024))["1.2.3"].corrections
    assert fixed.field_mm == pytest.approx((348.16, 430.08))
    assert fixed.spacing_mm is None


@pytest.mark.parametrize("below", ["", "dicom-images-test"])
def test_a_test_folder_without_any_table_is_unlabelled(tmp_path: Path, below: str) -> None:
    for name in ("a", "b"):
        write_dicom(tmp_path / "dicom-images-test" / name / f"{name}.DCM", film(4))
    spec = CorpusSpec(tmp_path / below)
    assert detect_layout(spec) == "siim"
    cases, failures = find_cases(spec)
    assert [(c.key, c.label_quality) for c in cases] == [("a", "none"), ("b", "none")]
    assert failures == []


def test_hidden_files_and_loops_of_links_are_passed_over(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", film(4))
    (tmp_path / "._a.dcm").write_bytes(b"resource fork")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert list(by_key(CorpusSpec(tmp_path))) == ["a"]
    ((source, reason),) = find_cases(CorpusSpec(tmp_path))[1]  # but not in silence
    assert source.endswith(":loop")
    assert "links are not followed" in reason
    (tmp_path / "a.dcm").unlink()
    with pytest.raises(CorpusError, match=r"no DICOM file.*:loop: .*links are not followed"):
        find_cases(CorpusSpec(tmp_path, layout="siim"))


def test_dicom_with_a_table_of_labels_is_no_siim(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        write_dicom(tmp_path / f"{name}.dcm", film(number))
    (tmp_path / "films.csv").write_text("ImageId,label\na,0\n")
    spec = CorpusSpec(tmp_path, unmasked="negative")
    assert detect_layout(spec) == "folders"
    assert [case.label for case in find_cases(spec)[0]] == [0, 0]


@pytest.mark.parametrize(
    "options", [{"masks": "m"}, {"unmasked": "negative"}, {"columns": {"label": "Target"}}]
)
def test_options_that_are_not_followed_here_are_refused(tmp_path: Path, options: dict) -> None:
    root = write_siim(tmp_path, FILMS, RLE)
    with pytest.raises(CorpusError, match=f"knows no '{next(iter(options))}"):
        find_cases(CorpusSpec(root, layout="siim", **options))
    (root / "png").mkdir()
    with pytest.raises(CorpusError, match="knows no 'annotations'"):
        find_cases(CorpusSpec(root, layout="folders", annotations="train-rle.csv"))


def test_films_without_a_suffix_are_read_and_other_files_are_reported(tmp_path: Path) -> None:
    root = write_siim(tmp_path / "corpus", FILMS, RLE.replace("9.9", "1.2.6"))
    folder = root / "dicom-images-train"
    write_dicom(folder / "1.2.6", film(9))
    (folder / "1.2.7").write_bytes(b"no DICOM")
    (folder / "README").write_text("")
    cases, failures = find_cases(CorpusSpec(root))
    assert "1.2.6" in {case.key for case in cases}
    assert failures == [
        ("corpus:dicom-images-train/1.2.7", "of no kind that is read here; DICOM is")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ImageId,Mask\n1.2.3,-1\n", "needs the columns ImageId and EncodedPixels"),
        ("", "distinct column names"),
        ("ImageId,ImageId,EncodedPixels\n", "distinct column names"),
        ("ImageId,EncodedPixels\n1.2.3,-1,3\n", "line 2: 3 cells under 2 columns"),
        ('ImageId,EncodedPixels\n1.2.3,"-1\n', "no CSV table"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    root = write_siim(tmp_path, FILMS, text)
    with pytest.raises(CorpusError, match=message):
        find_cases(CorpusSpec(root))


def test_a_table_of_other_bytes_is_named(tmp_path: Path) -> None:
    root = write_siim(tmp_path, FILMS, RLE)
    (root / "patients.csv").write_bytes(b"ImageId,PatientId\n1.2.3,\xff\xfe\n")
    with pytest.raises(CorpusError, match=r"patients\.csv is not in UTF-8"):
        find_cases(CorpusSpec(root))


def test_a_missing_table_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    root = write_siim(tmp_path, FILMS, RLE)
    with pytest.raises(CorpusError, match=r"nowhere\.csv cannot be read: No such file"):
        find_cases(CorpusSpec(root, tables=("nowhere.csv",)))
    with pytest.raises(CorpusError, match=r"holds no DICOM file"):
        find_cases(CorpusSpec(root, images="nothing"))


def test_the_real_corpus(real_data: Path) -> None:
    cases, failures = find_cases(CorpusSpec(real_data / "siim"))
    assert (len(cases), failures) == (1084, [])
    assert sum(any(t.strip() != "-1" for t in c.annotations) for c in cases) == 239
    assert len({c.patient_id for c in cases}) == 891
    first = next(c for c in cases if c.key.endswith("8323329.1000.1517875165.878027"))
    assert first.patient_id == "00002563"
    assert first.corrections.field_mm == pytest.approx((344.064, 420.0))


def test_a_ragged_mask_may_be_longer_than_csv_likes(tmp_path: Path) -> None:
    text = "0 1 " + "1 1 " * 50_000
    root = write_siim(tmp_path, FILMS, f"ImageId,EncodedPixels\n1.2.3,{text}\n")
    assert by_key(CorpusSpec(root))["1.2.3"].annotations == (text.strip(),)


def test_films_may_lie_outside_the_root(tmp_path: Path) -> None:
    root = write_siim(tmp_path / "in", {}, "ImageId,EncodedPixels\n1.2.3,-1\n")
    write_dicom(tmp_path / "elsewhere/1.2.3.dcm", film(1))
    case = by_key(CorpusSpec(root, images=str(tmp_path / "elsewhere")))["1.2.3"]
    assert case.path == (tmp_path / "elsewhere/1.2.3.dcm").as_posix()
