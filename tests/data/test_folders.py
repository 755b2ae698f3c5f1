"""Folders of images and masks with tables, and `CorpusSpec` from YAML."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_corpora import film, write_dicom, write_png

from pleura.data.corpora import CorpusSpec, detect_layout, find_cases, read_specs
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
