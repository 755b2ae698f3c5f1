"""Folders of images and masks with tables, and `CorpusSpec` from YAML."""

import os
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_corpora import film, write_dicom, write_png

from pleura.data.corpora import CorpusSpec, detect_layout, find_cases, read_specs
from pleura.data.prepare import prepare
from pleura.errors import CorpusError, PleuraError, UnknownName
from pleura.finding import Target

MASK = np.zeros((40, 48), np.uint8)


def corpus(root: Path, images: str = "images", masks: str = "masks") -> Path:
    for number, name in enumerate(("a", "b", "c")):
        write_png(root / images / f"{name}.png", film(number))
    for name in ("a", "b"):
        write_png(root / masks / f"{name}.png", MASK)
    return root


def by_key(spec: CorpusSpec) -> dict:
    return {case.key: case for case in find_cases(spec)[0]}


def test_masks_in_a_folder_that_was_not_named_are_not_taken_for_films(tmp_path: Path) -> None:
    root = corpus(tmp_path, "cxr", "seg")
    with pytest.raises(CorpusError, match=r"seg holds .* look like masks.*'masks: seg'"):
        find_cases(CorpusSpec(root))
    named = by_key(CorpusSpec(root, images="cxr", masks="seg"))
    assert [case.mask_file is not None for case in named.values()] == [True, True, False]


def test_films_of_equal_names_in_two_folders_are_films(tmp_path: Path) -> None:
    for number, name in enumerate(("hospital-a/1", "hospital-b/1", "hospital-b/2")):
        write_png(tmp_path / f"{name}.png", film(number))
    assert len(find_cases(CorpusSpec(tmp_path))[0]) == 3


@pytest.mark.parametrize("names", [("images", "masks"), ("png_images", "png_masks")])
def test_pairs_are_found_by_their_stems(tmp_path: Path, names: tuple[str, str]) -> None:
    root = corpus(tmp_path, *names)
    (root / names[0] / "b.png").rename(root / names[0] / "b.tiff")  # told by content when read
    spec = CorpusSpec(root)
    assert detect_layout(spec) == "folders"
    cases = by_key(spec)
    assert cases["b"].mask_file == root / names[1] / "b.png"
    assert cases["b"].path == f"{names[0]}/b.tiff"
    assert [cases[k].label_quality for k in "abc"] == ["expert", "expert", "none"]


def test_masks_without_a_film_and_doubled_masks_are_reported(tmp_path: Path) -> None:
    root = corpus(tmp_path / "corpus")
    write_png(root / "masks" / "z.png", MASK)
    write_png(root / "masks" / "a.webp", MASK)
    assert find_cases(CorpusSpec(root))[1] == [
        ("corpus:masks/a.webp", "a second mask of that name; a.png was used"),
        ("corpus:masks/z.png", "a mask without a film of that name"),
    ]


def test_films_without_a_mask_are_negative_where_that_is_said(tmp_path: Path) -> None:
    root = corpus(tmp_path)
    assert by_key(CorpusSpec(root, unmasked="negative"))["c"].label == 0
    (root / "films.csv").write_text("file,has_pneumo\nc.png,0\n")
    case = by_key(CorpusSpec(root))["c"]
    assert (case.label, case.label_quality) == (0, "expert")


def test_unsure_is_unlabelled_whatever_else_is_there(tmp_path: Path) -> None:
    root = corpus(tmp_path)
    (root / "silver.csv").write_text("ImageId,silver\na,unsure\nb,positive\nc,unsure\n")
    cases = by_key(CorpusSpec(root, unmasked="negative"))
    assert [cases[k].label_quality for k in "abc"] == ["none", "silver", "none"]
    assert [cases[k].label for k in "abc"] == [None, 1, None]
    assert cases["a"].mask_file is None
    assert cases["b"].facts == {"silver": "positive"}


def test_an_empty_label_cell_leaves_it_to_the_mask(tmp_path: Path) -> None:
    root = corpus(tmp_path)
    (root / "films.csv").write_text("ImageId,label\na,\n")
    case = by_key(CorpusSpec(root))["a"]
    assert (case.label, case.label_quality) == (None, "expert")


def test_tables_are_joined_by_the_image_id_of_the_first(tmp_path: Path) -> None:
    root = corpus(tmp_path / "corpus")
    (root / "images.csv").write_text("new_filename,ImageId,PatientId\na.png,1.2.3,5\n")
    (tmp_path / "nih.csv").write_text("ImageId,View\n1.2.3,PA\n")
    cases = by_key(CorpusSpec(root, tables=("images.csv", "../nih.csv")))
    assert set(cases) == {"1.2.3", "b", "c"}
    assert cases["1.2.3"].corrections.view == "PA"
    assert cases["1.2.3"].patient_id == "5"


def test_columns_may_be_named_and_other_words_are_facts(tmp_path: Path) -> None:
    root = corpus(tmp_path)
    text = "scan,who,label,truth\na,5,Edema|Mass,1\nb,6,,0\n"
    (root / "films.csv").write_text(text)
    with pytest.raises(CorpusError, match="no column that tells which film"):
        find_cases(CorpusSpec(root))
    named = {"id": "scan", "patient": "who"}
    case = by_key(CorpusSpec(root, columns=named))["a"]
    assert (case.patient_id, case.label) == ("5", None)
    assert case.facts == {"label": "Edema|Mass", "truth": "1"}
    assert by_key(CorpusSpec(root, columns={**named, "label": "truth"}))["a"].label == 1
    with pytest.raises(CorpusError, match=r"column label: 'Edema\|Mass' is no label"):
        find_cases(CorpusSpec(root, columns={**named, "label": "label"}))


def test_a_single_cell_that_is_no_label_is_refused_and_one_that_says_nothing_is_empty(
    tmp_path: Path,
) -> None:
    root = corpus(tmp_path)
    (root / "films.csv").write_text("file;label\na;1\nb;vielleicht\nc;0\n")
    with pytest.raises(CorpusError, match=r"'vielleicht' is no label \(1 of 3 cells .* rename the"):
        find_cases(CorpusSpec(root))
    for nothing in ("NA", "n/a", "-", "None"):
        (root / "films.csv").write_text(f"file;label\na;{nothing}\nb;0\nc;1\n")
        assert by_key(CorpusSpec(root))["a"].label is None


@pytest.mark.parametrize(
    ("text", "codec"),
    [("sep=;\nfile;label\na;1\n", "utf-8-sig"), ("file|label\na|1\n", "utf-8")],
)
def test_tables_as_programs_write_them(tmp_path: Path, text: str, codec: str) -> None:
    root = corpus(tmp_path)
    (root / "films.csv").write_text(text, encoding=codec)
    assert by_key(CorpusSpec(root))["a"].label == 1
    (root / "films.csv").write_text(text, encoding="utf-16")
    with pytest.raises(CorpusError, match=r"films\.csv is not in UTF-8 .* CSV UTF-8"):
        find_cases(CorpusSpec(root))


@pytest.mark.parametrize(
    ("age", "row", "column", "years", "spacing"),
    [
        ("62,5", "0,139", "0,2", 62.5, (0.139, 0.2)),
        ("62.5", "0.139", "0.2", 62.5, (0.139, 0.2)),
        ("062Y", "1,139", "0,2", 62.0, None),  # which may be a thousand and more
        ("6,2,5", "0,139", "", None, None),
    ],
)
def test_a_decimal_comma_is_read(
    tmp_path: Path,
    age: str,
    row: str,
    column: str,
    years: float | None,
    spacing: tuple[float, float] | None,
) -> None:
    root = corpus(tmp_path)
    header = "file;label;age;RowSpacingMm;ColumnSpacingMm"
    (root / "films.csv").write_text(f"{header}\na;1;{age};{row};{column}\n")
    known = by_key(CorpusSpec(root))["a"].corrections
    assert (known.age_years, known.spacing_mm) == (years, spacing)


@pytest.mark.parametrize("taken_apart", ["images", "masks", "films.csv"])
def test_letters_composed_and_taken_apart_are_the_same(tmp_path: Path, taken_apart: str) -> None:
    def spelt(name: str, place: str) -> str:
        return unicodedata.normalize("NFD" if place == taken_apart else "NFC", name)

    for number, name in enumerate(("Jörg", "Zoë")):
        write_png(tmp_path / "images" / f"{spelt(name, 'images')}.png", film(number))
    mask = np.zeros((40, 48), np.uint8)
    mask[4:8, 4:8] = 255
    write_png(tmp_path / "masks" / f"{spelt('Jörg', 'masks')}.png", mask)
    rows = spelt("file,patient,label\nJörg.png,1,1\nZoë.png,2,0\n", "films.csv")
    (tmp_path / "films.csv").write_text(rows, encoding="utf-8")
    cases, missing = find_cases(CorpusSpec(tmp_path))
    told = [(case.label, case.patient_id, case.mask_file is not None) for case in cases]
    assert (told, missing) == ([(1, "1", True), (0, "2", False)], [])


CHEXPERT = """Path,Patient,label
C-v1.0/train/patient1/study1/view1_frontal.jpg,1,0
C-v1.0/train/patient2/study1/view1_frontal.jpg,2,1
C-v1.0/train/patient2/study2/view1_frontal.jpg,2,0
"""


def test_films_of_one_name_are_told_by_their_paths(tmp_path: Path) -> None:
    names = ["patient1/study1", "patient2/study1", "patient2/study2", "patient3/study2"]
    for number, name in enumerate(names):
        write_png(tmp_path / "corpus/train" / name / "view1_frontal.png", film(number))
    (tmp_path / "corpus/films.csv").write_text(CHEXPERT)
    for images in (None, "train", "train/patient2"):
        cases, failures = find_cases(CorpusSpec(tmp_path / "corpus", images=images))
        told = [(c.patient_id, c.label) for c in cases]
        assert told == [("1", 0), ("2", 1), ("2", 0)][-len(told) :]
        if images != "train/patient2":
            assert len(told) == 3
            (source, reason), *_ = failures
            assert source == "corpus:train/patient3/study2/view1_frontal.png"
            assert "which row of films.csv is about" in reason


def test_a_bare_name_that_several_rows_or_films_have_is_unsure(tmp_path: Path) -> None:
    root = corpus(tmp_path / "corpus")
    rows = (
        "file,patient,label\na.png,1,0\na.png,2,0\nx/b.jpg,3,0\ny/b.jpg,4,0\nc.jpg,5,0\nc.jpg,5,0\n"
    )
    (root / "films.csv").write_text(rows)
    cases, failures = find_cases(CorpusSpec(root))
    assert [(c.key, c.patient_id) for c in cases] == [("c", "5")]
    assert [source for source, _ in failures[:2]] == [
        "corpus:images/a.png",
        "corpus:images/b.png",
    ]
    write_png(root / "images/more/c.png", film(7))  # the row of c is one film's, and whose?
    cases, failures = find_cases(CorpusSpec(root))
    assert [c.path for c in cases] == ["images/c.png"]  # by its whole path
    assert failures[2][0] == "corpus:images/more/c.png"


def test_paths_may_be_written_from_either_folder(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "x/a")):
        write_png(tmp_path / "images" / f"{name}.png", film(number))
    for before in ("", "images/", "/data/images/"):
        text = f"file,patient\n{before}a.png,1\n{before}x/a.png,2\n"
        (tmp_path / "films.csv").write_text(text)
        cases, failures = find_cases(CorpusSpec(tmp_path))
        assert [c.patient_id for c in cases] == ["1", "2"], before
        assert failures == []


def test_a_number_is_no_suffix_and_an_exact_name_wins(tmp_path: Path) -> None:
    for number, name in enumerate(("1.2.3", "1.2.3.4")):
        write_png(tmp_path / f"{name}.png", film(number))
    (tmp_path / "films.csv").write_text("ImageId,PatientId\n1.2.3.4,A\n1.2.3,B\n")
    cases = by_key(CorpusSpec(tmp_path))
    assert {key: case.patient_id for key, case in cases.items()} == {"1.2.3": "B", "1.2.3.4": "A"}


def test_rows_that_name_a_file_are_told_by_their_suffix(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", film(1))
    write_png(tmp_path / "a.webp", film(2))
    (tmp_path / "films.csv").write_text("file,patient\na.png,1\na.webp,2\n")
    cases, failures = find_cases(CorpusSpec(tmp_path))
    assert [(c.path, c.patient_id) for c in cases] == [("a.png", "1"), ("a.webp", "2")]
    assert failures == []


def test_a_column_that_is_in_no_table_is_named(tmp_path: Path) -> None:
    root = corpus(tmp_path)
    typo = CorpusSpec(root, columns={"label": "has_pnuemo"}, unmasked="negative")
    with pytest.raises(UnknownName, match=r"'has_pnuemo' is no known column.*Known: none"):
        find_cases(typo)
    (root / "films.csv").write_text("file,has_pneumo,Who Is\nc.png,0,7\n")
    with pytest.raises(UnknownName, match="Did you mean 'has_pneumo'"):
        find_cases(typo)
    siim = CorpusSpec(root, layout="siim", columns={"patient": "who"})
    with pytest.raises(UnknownName, match="'who' is no known column"):
        find_cases(siim)
    columns = {"label": "HasPneumo", "patient": "who_is", "id": "File"}
    case = by_key(CorpusSpec(root, columns=columns))["c"]
    assert (case.label, case.patient_id) == (0, "7")


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("AP supine", "AP"),
        ("pa, erect", "PA"),
        ("AP/PA", None),
        ("AP or PA", None),
        ("oblique", None),
        ("?", None),
        ("other", "other"),
        ("LL", "lateral"),
    ],
)
def test_a_view_that_is_not_understood_leaves_the_headers(
    tmp_path: Path, text: str, view: str | None
) -> None:
    root = corpus(tmp_path)
    (root / "films.csv").write_text(f'file,View\na.png,"{text}"\n')
    assert by_key(CorpusSpec(root))["a"].corrections.view == view


def test_files_of_other_kinds_are_reported(tmp_path: Path) -> None:
    root = corpus(tmp_path / "corpus")
    (root / "images/d.bmp").write_bytes(b"BM")
    (root / "images/Thumbs.db").write_bytes(b"")
    (root / "images/README").write_bytes(b"")
    write_dicom(root / "images/IM0001", film(7))
    write_png(root / "masks/d.png", MASK)
    (root / "masks/b.png").rename(root / "masks/b.bmp")
    cases, failures = find_cases(CorpusSpec(root))
    assert [case.key for case in cases] == ["IM0001", "a", "b", "c"]
    assert failures == [
        ("corpus:masks/b.bmp", "of no kind that is read as a mask; convert it to PNG"),
        ("corpus:images/d.bmp", "of no kind that is read here; convert it to PNG or DICOM"),
    ]


@pytest.mark.parametrize("name", ["b.bmp", "b.dcm", "z.png"])
def test_no_film_is_negative_while_a_mask_is_of_no_use(tmp_path: Path, name: str) -> None:
    root = corpus(tmp_path)
    (root / "masks/b.png").rename(root / "masks" / name)
    with pytest.raises(CorpusError, match=f"such as masks/{name}: with 'unmasked: negative'"):
        find_cases(CorpusSpec(root, unmasked="negative"))
    assert by_key(CorpusSpec(root))["b"].label_quality == "none"


def test_a_folder_that_cannot_be_read_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = corpus(tmp_path / "corpus")
    write_png(root / "images/locked/d.png", film(9))
    scandir = os.scandir

    def guarded(path: str) -> object:
        if os.path.basename(path) in locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    locked = {"locked"}
    cases, ((source, reason),) = find_cases(CorpusSpec(root, unmasked="negative"))
    assert len(cases) == 3
    assert source == "corpus:images/locked"
    assert "Permission denied" in reason
    locked = {"masks"}
    with pytest.raises(CorpusError, match="with 'unmasked: negative'"):
        find_cases(CorpusSpec(root, unmasked="negative"))


def test_labelled_rows_without_a_film_are_reported(tmp_path: Path) -> None:
    root = corpus(tmp_path / "corpus")
    (root / "films.csv").write_text("file,label\na.png,0\ny.png,1\nz.png,0\nw.png,\n")
    expected = ("corpus:films.csv", "2 labelled row(s) have no film, such as y.png")
    assert find_cases(CorpusSpec(root))[1] == [expected]


def test_what_prepare_wrote_is_no_film(tmp_path: Path) -> None:
    write_png(tmp_path / "in/a.png", film(1))
    out = tmp_path / "in/prepared"
    first = prepare([CorpusSpec(tmp_path / "in")], out, processes=1)
    again = prepare([CorpusSpec(tmp_path / "in")], out, processes=1)
    assert [(f.film_id, f.also_in) for f in again.films] == [("a", ())]
    assert again.sha256 == first.sha256
    assert find_cases(CorpusSpec(out))[0]  # where it is named itself, it is one


def test_a_plain_folder_of_images_is_unlabelled(tmp_path: Path) -> None:
    write_png(tmp_path / "x" / "a.png", film(1))
    write_png(tmp_path / "y" / "a.png", film(2))
    cases, failures = find_cases(CorpusSpec(tmp_path))
    assert [(c.path, c.label_quality) for c in cases] == [("x/a.png", "none"), ("y/a.png", "none")]
    assert failures == []


def test_patients_of_dicom_headers_are_believed_here(tmp_path: Path) -> None:
    write_dicom(tmp_path / "images/a.dcm", film(1))
    write_png(tmp_path / "masks/a.png", MASK)
    assert by_key(CorpusSpec(tmp_path))["a"].patient_from_header
    assert not by_key(CorpusSpec(tmp_path, patient_from_header=False))["a"].patient_from_header


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "nowhere"}, "is no folder"),
        ({"masks": "nowhere"}, "is no folder"),
        ({"images": "empty"}, "holds no film"),
    ],
)
def test_missing_folders_are_named(tmp_path: Path, options: dict, message: str) -> None:
    root = corpus(tmp_path)
    (root / "empty").mkdir()
    with pytest.raises(CorpusError, match=message):
        find_cases(CorpusSpec(root, layout="folders", **options))


def test_roots_that_are_nothing_are_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is no folder; give the corpus's root"):
        find_cases(CorpusSpec(tmp_path / "nowhere"))
    with pytest.raises(CorpusError, match="holds no film: neither DICOM"):
        find_cases(CorpusSpec(tmp_path))


def test_a_spec_survives_yaml_types() -> None:
    spec = CorpusSpec(
        Path("/x/rsna"), layout="folders", quality="silver", tables=("t.csv",),
        columns={"label": "Target"}, spacing_matrix=1024, target=Target("Pneumonia", "233604007"),
    )  # fmt: skip
    assert CorpusSpec.from_dict(spec.to_dict()) == spec
    assert spec.name == "rsna"
    assert CorpusSpec(Path("/x/my films!")).name == "my-films"


def test_a_yaml_file_lists_corpora_beside_itself(tmp_path: Path) -> None:
    text = "corpora:\n  - root: siim\n  - {root: /abs/png, name: p, target: {name: N, code: 12}}\n"
    path = tmp_path / "corpora.yaml"
    path.write_text(text)
    one, two = read_specs(path)
    assert one == CorpusSpec(tmp_path / "siim")
    assert two == CorpusSpec(Path("/abs/png"), name="p", target=Target("N", "12"))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"root": "x", "lay_out": "siim"},
            UnknownName,
            "'lay_out' is no known key of a corpus.*'layout'",
        ),
        ({"root": "x", "layout": "siimm"}, UnknownName, "Did you mean 'siim'"),
        ({"root": "x", "quality": "gold"}, UnknownName, "expert"),
        ({"root": "x", "columns": {"lable": "y"}}, UnknownName, "'label'"),
        ({"root": "x", "target": {"nam": "y"}}, UnknownName, "'name'"),
        ({"name": "x"}, CorpusError, "lacks its root"),
        ({"root": 3}, CorpusError, "root is 3; it must be str"),
        ({"root": "x", "tables": "a.csv"}, CorpusError, "must be a list of names"),
        ({"root": "x", "tables": [1]}, CorpusError, "must be a list of names"),
        ({"root": "x", "columns": ["a"]}, CorpusError, "must be a mapping"),
        ({"root": "x", "spacing_matrix": True}, CorpusError, "must be int"),
        ({"root": "x", "spacing_matrix": 0}, CorpusError, "side in pixels"),
        ({"root": "x", "name": "a/b"}, CorpusError, "not usable"),
        ({"root": "x", "patient_from_header": "no"}, CorpusError, "must be bool"),
    ],
)
def test_wrong_specs_are_named(given: dict, error: type[PleuraError], message: str) -> None:
    with pytest.raises(error, match=message):
        CorpusSpec.from_dict(given)


@pytest.mark.parametrize(
    "text", ["", "[]", "corpora: {}", "corpora: []", "corpora: [x]", "a: [", "\x00"]
)
def test_wrong_yaml_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(CorpusError, match=r"c\.yaml"):
        read_specs(path)


def test_the_real_folders(real_data: Path) -> None:
    png = find_cases(CorpusSpec(real_data / "siim/png"))
    assert (len(png[0]), png[1]) == (59, [])
    assert sum(case.label == 1 for case in png[0]) == 39
    positives = find_cases(CorpusSpec(real_data / "siim-positives"))[0]
    assert len(positives) == 1158
    assert all(c.mask_file and c.patient_id and c.label_quality == "expert" for c in positives)
    assert replace(positives[0].corrections, field_mm=None).spacing_mm is None
    stage2 = find_cases(CorpusSpec(real_data / "siim-stage2"))[0]
    assert len(stage2) == 2840
    assert {case.label_quality for case in stage2} == {"silver"}
