"""Corpora of synthetic films: real DICOM, SIIM's layout, the same from the same settings."""

import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from pleura.cli import app
from pleura.data.phantom import PhantomCorpus, phantom, write_phantoms
from pleura.errors import CorpusError
from pleura.read import read
from pleura.read.rle import decode_rle

SIZE = 96
PATIENTS = 40
SEED = 3


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> PhantomCorpus:
    out = tmp_path_factory.mktemp("phantoms") / "corpus"
    return write_phantoms(out, PATIENTS, size=SIZE, seed=SEED, processes=1)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _files(root: Path) -> dict[str, Path]:
    return {path.stem: path for path in root.glob("dicom-images-train/*/*/*.dcm")}


def _bytes(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_layout_is_siims(corpus: PhantomCorpus) -> None:
    names = {path.name for path in corpus.root.iterdir()}
    assert names == {
        "README.txt", "phantom.json", "dicom-images-train", "train-rle.csv", "patients.csv", "films.csv",
    }  # fmt: skip
    head = (corpus.root / "train-rle.csv").read_text().splitlines()[0]
    assert head == "ImageId, EncodedPixels"
    files = _files(corpus.root)
    assert len(files) == corpus.films
    for table in ("train-rle.csv", "patients.csv", "films.csv"):
        assert {row["ImageId"] for row in _rows(corpus.root / table)} == set(files)
    readme = (corpus.root / "README.txt").read_text()
    assert "never for evaluation claims" in readme


def test_shares_are_met_and_sides_keep_to_patients(corpus: PhantomCorpus) -> None:
    films = _rows(corpus.root / "films.csv")
    positive = [f for f in films if f["Side"]]
    assert len(positive) == corpus.positives == round(0.3 * len(films))
    per_patient = defaultdict(list)
    for film in films:
        per_patient[film["PatientId"]].append(film)
    assert len(per_patient) == PATIENTS
    assert {len(group) for group in per_patient.values()} == {1, 2, 3}
    for group in per_patient.values():
        assert len({f["Side"] for f in group} - {""}) <= 1
        assert len({(f["Age"], f["Sex"]) for f in group}) == 1
    assert sum(any(f["Side"] for f in group) for group in per_patient.values()) < len(positive)


def test_every_annotation_row_counts_and_their_union_is_the_mask(corpus: PhantomCorpus) -> None:
    rows = defaultdict(list)
    for row in _rows(corpus.root / "train-rle.csv"):
        rows[row["ImageId"]].append(row[" EncodedPixels"])
    files = _files(corpus.root)
    several = 0
    for film in _rows(corpus.root / "films.csv"):
        ds = pydicom.dcmread(files[film["ImageId"]])
        masks = [decode_rle(text, (ds.Rows, ds.Columns)) for text in rows[film["ImageId"]]]
        assert any(m.any() for m in masks) == bool(film["Side"])
        assert np.sum(masks, axis=0).max() <= 1  # pieces do not overlap
        several += len(masks) > 1
    assert several >= 1


def test_files_read_back_as_the_films_that_were_drawn(corpus: PhantomCorpus) -> None:
    files = _files(corpus.root)
    tolerance = {"sc-jpeg": 0.12, "dx-mono1": 2e-3, "cr-rle": 2e-3, "cr-j2k": 2e-3}
    kinds = set()
    for row in _rows(corpus.root / "films.csv"):
        film = read(files[row["ImageId"]])
        kinds.add(row["Kind"])
        assert film.sop_instance_uid == row["ImageId"]
        assert film.view == row["View"]
        assert (film.sex, film.age_years) == (row["Sex"], float(row["Age"]))
        assert film.spacing_basis == "detector"
        spacing = float(row["RowSpacingMm"]), float(row["ColumnSpacingMm"])
        assert film.spacing_mm == pytest.approx(spacing)
        assert film.image_left == "right"
        if row["Side"]:
            continue  # the collapse itself was drawn by the corpus; negatives can be drawn again
        patient, number = int(row["PatientId"][1:]), int(row["FollowUp"])
        squeeze = row["Kind"] == "sc-jpeg"
        drawn = phantom((SEED, patient), SIZE, film=number, pneumothorax=False, squeeze=squeeze)
        assert np.abs(film.pixels - drawn.pixels).max() < tolerance[row["Kind"]]
        assert np.abs(film.pixels - drawn.pixels).mean() < 0.01
    assert kinds == set(tolerance)


def test_headers_are_valid_and_say_that_nobody_is_shown(corpus: PhantomCorpus) -> None:
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in _files(corpus.root).values()]
    for ds in headers:
        assert ds.StudyInstanceUID.is_valid
        assert ds.SeriesInstanceUID.is_valid
        assert ds.SOPInstanceUID.is_valid
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert "synthetic" in ds.Manufacturer
        assert "Not a patient" in ds.ImageComments
        assert str(ds.PatientName).startswith("PHANTOM^")
        assert ds.BodyPartExamined == "CHEST"
        assert "PixelSpacing" not in ds
        fields = np.array(ds.ImagerPixelSpacing, float) * (ds.Rows, ds.Columns)
        assert fields.min() > 345
        assert fields.max() < 435
    assert len({ds.PatientID for ds in headers}) == len(headers)  # random a film, as SIIM's
    assert len({ds.StudyInstanceUID for ds in headers}) == len(headers)
    assert {tuple(ds.PatientOrientation or ()) for ds in headers} == {(), ("L", "F")}
    squeezed = [
        ds for ds in headers if ds.file_meta.TransferSyntaxUID == pydicom.uid.JPEGBaseline8Bit
    ]
    assert len(squeezed) > 0.5 * len(headers)
    assert all(ds.Rows == ds.Columns == SIZE for ds in squeezed)


def test_the_same_settings_give_the_same_bytes_and_workers_do_not_matter(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    one = write_phantoms(
        tmp_path / "one", 14, size=64, processes=1, progress=lambda d, t: calls.append((d, t))
    )
    assert calls == [(n + 1, one.films) for n in range(one.films)]
    two = write_phantoms(tmp_path / "two", 14, size=64, processes=2)
    assert one.films > 16  # else no worker would be started
    assert _bytes(one.root) == _bytes(two.root)


def test_other_settings_give_other_uids(tmp_path: Path) -> None:
    a = write_phantoms(tmp_path / "a", 2, size=64, processes=1)
    b = write_phantoms(tmp_path / "b", 2, size=64, seed=1, processes=1)
    assert not set(_files(a.root)) & set(_files(b.root))


def test_a_begun_folder_is_finished_and_a_strangers_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    out.mkdir()
    (out / ".phantom.json.9999999.partial").touch()  # of one that was killed as it began
    first = write_phantoms(out, 3, size=64, processes=1)
    before = _bytes(out)
    assert not list(out.glob(".*"))
    (out / "train-rle.csv").unlink()
    film = next(iter(_files(out).values()))
    film.rename(film.with_name(f".{film.name}.9999999.partial"))  # killed before it had its name
    assert write_phantoms(out, 3, size=64, processes=1) == first
    assert _bytes(out) == before

    with pytest.raises(CorpusError, match="other settings"):
        write_phantoms(out, 4, size=64, processes=1)
    assert _bytes(out) == before

    strange = tmp_path / "mine"
    strange.mkdir()
    (strange / "thesis.txt").write_text("x")
    with pytest.raises(CorpusError, match="no phantoms"):
        write_phantoms(strange, 3, size=64)
    (strange / "phantom.json").write_text("{")
    with pytest.raises(CorpusError, match="no phantoms"):
        write_phantoms(strange, 3, size=64)
    with pytest.raises(CorpusError, match="cannot be read"):
        write_phantoms(strange / "thesis.txt", 3, size=64)
    with pytest.raises(CorpusError, match="cannot be written"):
        write_phantoms(strange / "thesis.txt" / "c", 3, size=64)
    assert sorted(p.name for p in strange.iterdir()) == ["phantom.json", "thesis.txt"]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_or_none_may_be_positive(tmp_path: Path, share: float) -> None:
    corpus = write_phantoms(tmp_path / "c", 4, positive_share=share, size=64, processes=1)
    assert corpus.positives == share * corpus.films
    texts = [row[" EncodedPixels"] for row in _rows(corpus.root / "train-rle.csv")]
    assert all((text == "-1") == (share == 0) for text in texts)


@pytest.mark.parametrize(
    "settings",
    [
        {"patients": 0},
        {"patients": 100_001},
        {"films_per_patient": (0, 1)},
        {"films_per_patient": (3, 2)},
        {"films_per_patient": (1, 51)},
        {"positive_share": 1.01},
        {"positive_share": float("nan")},
        {"size": 10},
        {"seed": -1},
        {"processes": 0},
    ],
)
def test_settings_out_of_range_write_nothing(tmp_path: Path, settings: dict) -> None:
    name = next(iter(settings))
    with pytest.raises(CorpusError, match=name):
        write_phantoms(tmp_path / "c", **{"patients": 2, **settings})
    assert not (tmp_path / "c").exists()


def test_the_verb_writes_a_corpus_and_says_what_it_is(tmp_path: Path) -> None:
    out = tmp_path / "c"
    arguments = [
        "phantom",
        "--out",
        str(out),
        "--patients",
        "2",
        "--size",
        "64",
        "--processes",
        "1",
    ]
    result = CliRunner().invoke(app, [*arguments, "--films-per-patient", "1", "1"])
    assert result.exit_code == 0, result.output
    assert "2 synthetic films of 2 patients" in result.output
    assert json.loads((out / "phantom.json").read_text())["films_per_patient"] == [1, 1]
    refused = CliRunner().invoke(app, arguments)  # other films a patient
    assert refused.exit_code != 0
    assert isinstance(refused.exception, CorpusError)
