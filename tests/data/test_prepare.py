"""Preparing: what is written, what is refused, what survives a kill."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from deadly_tasks import square_or_die, sulk
from tiny_corpora import film, write_dicom, write_png, write_siim
from typer.testing import CliRunner

from pleura.cli import app
from pleura.data.corpora import CorpusSpec
from pleura.data.manifest import Dataset, mask_sha256
from pleura.data.prepare import prepare, read_failures
from pleura.data.prepare.convert import binary, fitted, pixel_sha256, quantised, reduced
from pleura.data.split import make_split
from pleura.data.workers import each
from pleura.errors import CorpusError, DatasetError
from pleura.finding import Target

FILMS = {f"1.2.{n}": film(n) for n in range(3, 9)}
# 40 rows: 0 2 is rows 0, 1 of column 0; 38 + 2 later rows 0, 1 of column 1.
RLE = "ImageId, EncodedPixels\n1.2.3,0 2 38 2\n1.2.3,1 2\n1.2.4,-1\n1.2.5,1919 1\n1.2.6,-1\n1.2.7,-1\n"


@pytest.fixture
def siim(tmp_path: Path) -> Path:
    return write_siim(tmp_path / "siim", FILMS, RLE)


def test_images_masks_and_rows(siim: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    dataset = prepare(
        [CorpusSpec(siim)], tmp_path / "out", processes=1, progress=lambda d, t: seen.append((d, t))
    )
    assert seen == [(n, 6) for n in range(1, 7)]
    assert [f.film_id for f in dataset.films] == list(FILMS)
    assert [f.label for f in dataset.films] == [1, 0, 1, 0, 0, None]
    first, last = dataset.films[0], dataset.films[5]
    assert (first.rows, first.columns, first.bits, first.annotations) == (40, 48, 8, 2)
    expected = np.zeros((40, 48), bool)
    expected[0:3, 0] = expected[0:2, 1] = True
    assert np.array_equal(dataset.mask(first), expected)
    assert (first.mask_area_px, first.mask_area_fraction) == (5, 5 / 1920)
    assert first.mask_sha256 == mask_sha256(expected)
    assert [f.mask_sha256 is None for f in dataset.films] == [f.mask is None for f in dataset.films]
    assert dataset.mask(dataset.films[2])[39, 47]
    assert (last.label_quality, last.mask, last.mask_area_px) == ("none", None, None)
    for (
        row
    ) in dataset.films:  # a film without a window spans its own grey levels, which are 0 to 255
        stored = cv2.imread(str(dataset.root / row.image), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(stored, FILMS[row.film_id])
    assert {f.patient_basis for f in dataset.films} == {"film"}
    assert len({f.patient_id for f in dataset.films}) == 6
    assert sorted(p.name for p in (dataset.root / "masks").iterdir()) == ["1.2.3.png", "1.2.5.png"]
    with (dataset.root / "annotations.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[:4] == [
        ["film_id", "number", "rle"],
        ["1.2.3", "0", "0 2 38 2"],
        ["1.2.3", "1", "1 2"],
        ["1.2.4", "0", "-1"],
    ]


def test_bad_films_are_listed_and_the_rest_go_on(siim: Path, tmp_path: Path) -> None:
    folder = siim / "dicom-images-train"
    (folder / "broken.dcm").write_bytes(b"not a film at all")
    (folder / "empty.dcm").write_bytes(b"")
    rle = siim / "train-rle.csv"
    rle.write_text(rle.read_text().replace("1919 1", "1919 2") + "1.2.99,1 1\n")
    dataset = prepare([CorpusSpec(siim)], tmp_path / "out", processes=1)
    assert len(dataset.films) == 5
    failures = dict(read_failures(dataset.root))
    assert set(failures) == {
        "siim:dicom-images-train/broken.dcm",
        "siim:dicom-images-train/empty.dcm",
        "siim:dicom-images-train/study2/series/1.2.5.dcm",
        "siim:train-rle.csv",
    }
    assert not (dataset.root / "images/1.2.5.png").exists()


def test_nothing_prepared_is_an_error_that_names_the_first_reason(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(b"<html>")
    with pytest.raises(CorpusError, match=r"not one of 1 films .*in:a\.dcm"):
        prepare([CorpusSpec(tmp_path / "in")], tmp_path / "out")
    with pytest.raises(DatasetError):
        Dataset.open(tmp_path / "out")


def folder_corpus(root: Path, masks: dict[str, np.ndarray], table: str = "") -> CorpusSpec:
    for number, (name, mask) in enumerate(masks.items()):
        write_png(root / "images" / f"{name}.png", film(number + 20))
        write_png(root / "masks" / f"{name}.png", mask)
    if table:
        (root / "films.csv").write_text(table)
    return CorpusSpec(root)


def test_masks_of_all_kinds_become_binary(tmp_path: Path) -> None:
    shape = np.zeros((40, 48), np.uint8)
    shape[10:20, 8:16] = 1  # 80 px
    grey = shape * 255
    grey[0, 0] = 127
    half = np.zeros((20, 24), np.uint8)
    half[5:10, 4:8] = 255  # the same at half the size: nearest gives the very 80 px
    masks = {
        "ones": shape,
        "full": shape * 255,
        "grey": grey,
        "half": half,
        "none": shape * 0,
        "labels": shape * 2,
        "aspect": np.zeros((20, 30), np.uint8),
    }
    dataset = prepare([folder_corpus(tmp_path / "in", masks)], tmp_path / "out", processes=1)
    areas = {f.film_id: f.mask_area_px for f in dataset.films}
    assert areas == {"ones": 80, "full": 80, "grey": 80, "half": 80, "none": 0}
    for name in ("ones", "full", "grey", "half"):
        assert np.array_equal(dataset.mask(dataset.by_id[name]), shape.astype(bool))
    failures = dict(read_failures(dataset.root))
    assert "is it a map of several labels" in failures["in:images/labels.png"]
    assert "another aspect" in failures["in:images/aspect.png"]


def test_a_table_that_contradicts_the_mask_fails_that_film(tmp_path: Path) -> None:
    one = np.full((40, 48), 255, np.uint8)
    table = "ImageId,label\na,0\nb,1\nc,1\nd,1\n"
    spec = folder_corpus(tmp_path / "in", {"a": one, "b": one * 0, "c": one}, table)
    write_png(tmp_path / "in/images/d.png", film(99))
    dataset = prepare([spec], tmp_path / "out", processes=1)
    assert [f.film_id for f in dataset.films] == ["c"]
    reasons = [reason for _, reason in read_failures(dataset.root)]
    assert reasons[0].startswith("negative by the table, but its mask has 1920 pixels")
    assert reasons[1].startswith("positive by the table, but its mask is empty")
    assert reasons[2].startswith("positive by the table, but there is no mask")


def test_three_equal_channels_are_read_as_one(siim: Path, tmp_path: Path) -> None:
    grey = prepare([CorpusSpec(siim)], tmp_path / "grey", size=24, processes=1)
    dataset = prepare([CorpusSpec(siim)], tmp_path / "out", size=24, channels=3, processes=1)
    for row, same in zip(dataset.films, grey.films, strict=True):
        stored = cv2.imread(str(dataset.root / row.image), cv2.IMREAD_UNCHANGED)
        assert stored.shape == (20, 24, 3)
        np.testing.assert_array_equal(dataset.pixels(row), grey.pixels(same))
    assert dataset.sha256 == grey.sha256
    assert dataset.description["channels"] == 3
    with pytest.raises(DatasetError, match="size 24, channels 3"):  # never half and half
        prepare([CorpusSpec(siim)], tmp_path / "out", size=24, processes=1)
    with pytest.raises(CorpusError, match="channels is 2; give 1, or 3"):
        prepare([CorpusSpec(siim)], tmp_path / "two", channels=2, processes=1)
    colour = np.dstack([stored[:, :, 0], stored[:, :, 1], 255 - stored[:, :, 2]])
    cv2.imwrite(str(dataset.root / row.image), colour)
    with pytest.raises(DatasetError, match="is not a grey PNG"):
        dataset.pixels(row)


def test_size_reduces_the_image_and_never_the_mask(siim: Path, tmp_path: Path) -> None:
    dataset = prepare([CorpusSpec(siim)], tmp_path / "out", size=24, processes=1)
    first = dataset.films[0]
    assert dataset.pixels(first).shape == (20, 24)
    blocks = FILMS["1.2.3"].reshape(20, 2, 24, 2).mean(axis=(1, 3))
    assert np.abs(dataset.pixels(first) * 255 - blocks).max() <= 0.5 + 1e-3
    assert dataset.mask(first).sum() == 5
    assert (first.stored_rows, first.stored_columns) == (20, 24)
    large = prepare([CorpusSpec(siim)], tmp_path / "large", size=4000, processes=1)
    assert (large.films[0].stored_rows, large.films[0].stored_columns) == (40, 48)
    assert large.sha256 != dataset.sha256
    assert large.pixels(large.films[0]).shape == (40, 48)
    assert large.films[0].pixel_sha256 == first.pixel_sha256  # of the source, whatever is stored


def test_spacing_of_a_table_beats_the_header(tmp_path: Path) -> None:
    pixels = film(1, 100, 120)
    for name in "abc":
        path = tmp_path / "in" / f"{name}.dcm"
        write_dicom(path, film(ord(name), 100, 120), PixelSpacing=[0.1, 0.1], ViewPosition="PA")
    (tmp_path / "in/films.csv").write_text(
        "ImageId,RowSpacingMm,ColumnSpacingMm,View,Age\na,3.5,3.0,AP,050Y\nb,0.5,0.4,,\n"
    )
    (tmp_path / "in/train-rle.csv").write_text("ImageId,EncodedPixels\na,-1\n")
    dataset = prepare([CorpusSpec(tmp_path / "in")], tmp_path / "out", processes=1)
    a, b, c = dataset.films
    assert (a.row_spacing_mm, a.column_spacing_mm, a.spacing_basis) == (3.5, 3.0, "detector")
    assert (a.view, a.age_years) == ("AP", 50)
    assert (b.row_spacing_mm, b.spacing_basis, b.view) == (0.5, "implausible", "PA")
    assert c.spacing_basis == "implausible"  # 10 mm: the header's
    scaled = CorpusSpec(tmp_path / "in", spacing_matrix=1000)
    dataset = prepare([scaled], tmp_path / "scaled", processes=1)
    assert dataset.films[1].row_spacing_mm == pytest.approx(0.5 * 1000 / pixels.shape[0])
    assert dataset.films[1].column_spacing_mm == pytest.approx(0.4 * 1000 / pixels.shape[1])


def test_the_same_film_in_two_sources_is_kept_once(siim: Path, tmp_path: Path) -> None:
    png = tmp_path / "png"
    write_png(png / "images/copy.png", FILMS["1.2.8"])  # unlabelled in siim, expert here
    write_png(png / "masks/copy.png", FILMS["1.2.8"] * 0)
    big = cv2.resize(FILMS["1.2.3"], (300, 250), interpolation=cv2.INTER_CUBIC)
    write_png(png / "images/rescaled.png", big)
    write_png(png / "images/1.2.4.png", film(50))  # another film of the same name
    out = tmp_path / "out"
    dataset = prepare([CorpusSpec(siim), CorpusSpec(png)], out, processes=1)
    assert {f.film_id: f.also_in for f in dataset.films if f.also_in} == {
        "1.2.3": ("png:images/rescaled.png",),
        "copy": ("siim:dicom-images-train/study5/series/1.2.8.dcm",),
    }
    assert [f.film_id for f in dataset.films if f.corpus == "png"] == ["png_1.2.4", "copy"]
    assert {p.stem for p in (out / "images").iterdir()} == {f.film_id for f in dataset.films}


def test_names_that_no_file_can_have_are_made_fit(tmp_path: Path) -> None:
    names = ["A b*c", "A_b_c", "a_B_c", "x" * 200, "..hidden", "日本"]
    for number in range(len(names)):
        write_png(tmp_path / "in" / f"f{number}.png", film(number))
    rows = "".join(f"f{n}.png,{name}\n" for n, name in enumerate(names))
    (tmp_path / "in/films.csv").write_text("file,ImageId\n" + rows, encoding="utf-8")
    dataset = prepare([CorpusSpec(tmp_path / "in")], tmp_path / "out", processes=1)
    ids = [f.film_id for f in dataset.films]
    assert ids[:2] == ["A_b_c", "in_A_b_c"]
    assert re.fullmatch(r"a_B_c-[0-9a-f]{12}", ids[2])
    assert len(ids[3]) == 120
    assert ids[4:] == ["hidden", "film"]
    assert len({i.lower() for i in ids}) == 6


def test_a_file_name_that_is_no_text_is_listed(tmp_path: Path) -> None:
    write_png(tmp_path / "in/a.png", film(1))
    try:
        os.rename(tmp_path / "in/a.png", os.fsencode(tmp_path / "in") + b"/\xff.png")
    except OSError:
        pytest.skip("this file system holds Unicode names only")
    write_png(tmp_path / "in/b.png", film(2))
    dataset = prepare([CorpusSpec(tmp_path / "in")], tmp_path / "out", processes=1)
    assert [f.film_id for f in dataset.films] == ["b"]
    assert "no Unicode text" in read_failures(dataset.root)[0][1]


KILLED = """
import os, signal
from pathlib import Path
from pleura.data.corpora import CorpusSpec
from pleura.data.prepare import prepare
def die(done, total):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)
prepare([CorpusSpec(Path({root!r}))], {out!r}, processes=1, progress=die)
"""


def test_a_killed_run_goes_on_where_it_stopped(
    siim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepare([CorpusSpec(siim)], tmp_path / "whole", processes=1)
    out = tmp_path / "out"
    script = KILLED.format(root=str(siim), out=str(out))
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    for place in (out, out / "journal.jsonl"):
        with pytest.raises(DatasetError, match="holds no prepared dataset"):
            Dataset.open(place)
    with (out / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"case": "cut o')
    (out / "images/1.2.3.png").write_bytes(b"half")  # finished, but its file is not whole any more
    (out / "images/1.2.4.png.partial").write_bytes(b"half")
    done: list[str] = []
    _count_conversions(monkeypatch, done)
    dataset = prepare([CorpusSpec(siim)], out, processes=1)
    assert done == ["1.2.3", "1.2.6", "1.2.7", "1.2.8"]
    for name in ("manifest.csv", "annotations.csv", "failures.csv", "dataset.json"):
        assert (out / name).read_bytes() == (whole.root / name).read_bytes()
    assert sorted(os.listdir(out / "images")) == [f"{name}.png" for name in FILMS]
    assert dataset.sha256 == whole.sha256
    done.clear()
    prepare([CorpusSpec(siim)], out, processes=1)
    assert done == []


def test_one_that_was_killed_before_its_journal_goes_on_too(siim: Path, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pleura.data.corpora import CorpusSpec\n"
        "from pleura.data.prepare import run\n"
        "run.Journal = lambda *given, **named: os.kill(os.getpid(), signal.SIGKILL)\n"
        "run.prepare([CorpusSpec(Path(sys.argv[1]))], sys.argv[2], processes=1)\n"
    )
    out = tmp_path / "out"
    ended = subprocess.run([sys.executable, "-c", script, str(siim), str(out)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(prepare([CorpusSpec(siim)], out, processes=1).films) == len(FILMS)


def _count_conversions(monkeypatch: pytest.MonkeyPatch, done: list[str]) -> None:
    from pleura.data.prepare import run as module

    convert = module.convert

    def counted(case, film_id, out, size, channels):
        done.append(film_id)
        return convert(case, film_id, out, size, channels)

    monkeypatch.setattr(module, "convert", counted)


def test_what_changed_is_done_again_and_what_went_is_removed(
    siim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    prepare([CorpusSpec(siim)], out, processes=1)
    rle = siim / "train-rle.csv"
    rle.write_text(rle.read_text().replace("1.2.6,-1", "1.2.6,0 40"))
    (siim / "dicom-images-train/study0/series/1.2.3.dcm").unlink()
    done: list[str] = []
    _count_conversions(monkeypatch, done)
    dataset = prepare([CorpusSpec(siim)], out, processes=1)
    assert done == ["1.2.6"]
    assert dataset.by_id["1.2.6"].mask_area_px == 40
    assert not (out / "images/1.2.3.png").exists()


def test_other_options_are_refused_unless_fresh(siim: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare([CorpusSpec(siim)], out, processes=1)
    with pytest.raises(DatasetError, match=r"begun with format 2, size native.* size 32"):
        prepare([CorpusSpec(siim)], out, size=32, processes=1)
    dataset = prepare([CorpusSpec(siim)], out, size=32, fresh=True, processes=1)
    assert max(dataset.pixels(dataset.films[0]).shape) == 32


def test_corpora_may_be_added_and_not_dropped(siim: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    write_png(other / "images/x.png", film(70))
    write_png(other / "masks/x.png", film(70) * 0)
    first = prepare([CorpusSpec(siim)], out, processes=1)
    with pytest.raises(DatasetError, match=r"prepared from other corpora: siim .*--fresh"):
        prepare([CorpusSpec(other)], out, processes=1)
    assert Dataset.open(out).sha256 == first.sha256  # still there
    both = prepare([CorpusSpec(siim), CorpusSpec(other)], out, processes=1)
    assert {f.corpus for f in both.films} == {"siim", "other"}
    with pytest.raises(DatasetError, match=r"other corpora: other "):
        prepare([CorpusSpec(siim)], out, processes=1)
    namesake = CorpusSpec(other, name="siim")
    with pytest.raises(DatasetError, match=r"siim \("):
        prepare([namesake, CorpusSpec(other)], out, processes=1)
    fresh = prepare([CorpusSpec(other)], out, fresh=True, processes=1)
    assert {f.corpus for f in fresh.films} == {"other"}


def test_a_corpus_that_gave_no_film_binds_nobody(siim: Path, tmp_path: Path) -> None:
    (tmp_path / "typo").mkdir()
    (tmp_path / "typo" / "a.dcm").write_bytes(b"<html>")
    with pytest.raises(CorpusError, match="not one of 1 films"):
        prepare([CorpusSpec(tmp_path / "typo")], tmp_path / "out", processes=1)
    for _ in range(2):
        assert len(prepare([CorpusSpec(siim)], tmp_path / "out", processes=1).films) == 6


def test_the_same_place_by_another_path_is_the_same_corpus(
    siim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare([CorpusSpec(siim)], tmp_path / "out", processes=1)
    monkeypatch.chdir(siim.parent)
    again = prepare([CorpusSpec(Path("siim"))], tmp_path / "out", processes=1)
    assert again.sha256 == first.sha256


def test_a_folder_of_something_else_is_left_alone(siim: Path, tmp_path: Path) -> None:
    out = tmp_path / "photos"
    write_png(out / "images/holiday.png", film(1))
    for fresh in (False, True):
        with pytest.raises(DatasetError, match="holds other files"):
            prepare([CorpusSpec(siim)], out, fresh=fresh, processes=1)
    assert (out / "images/holiday.png").exists()
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(DatasetError, match="cannot be written"):
        prepare([CorpusSpec(siim)], file, processes=1)


def test_a_tampered_journal_is_no_harm(siim: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = prepare([CorpusSpec(siim)], out, processes=1).sha256
    lines = (out / "journal.jsonl").read_text().splitlines()
    record = json.loads(lines[1])
    strange = [{**record, "film": {"film_id": 3}}, {**record, "sizes": 7}, [], {"case": 1}, None]
    (out / "journal.jsonl").write_text("\n".join([lines[0], *map(json.dumps, strange), "{", ""]))
    assert prepare([CorpusSpec(siim)], out, processes=1).sha256 == whole
    (out / "journal.jsonl").write_text("nonsense\n")
    with pytest.raises(DatasetError, match="a damaged journal"):
        prepare([CorpusSpec(siim)], out, processes=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 4}, "size is 4"),
        ({"processes": 0}, "processes is 0"),
        ({"size": 99999}, "size is"),
    ],
)
def test_impossible_options_are_named(siim: Path, options: dict, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        prepare([CorpusSpec(siim)], siim / "out", **options)


def test_corpora_must_differ_in_name_and_agree_on_the_target(siim: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no corpus"):
        prepare([], tmp_path / "out")
    with pytest.raises(CorpusError, match="two corpora are called 'siim'"):
        prepare([CorpusSpec(siim), CorpusSpec(siim)], tmp_path / "out")
    other = CorpusSpec(siim, name="b", target=Target("Pneumonia", "233604007"))
    with pytest.raises(CorpusError, match=r"Pneumonia \(SCT 233604007\) and Pneumothorax"):
        prepare([CorpusSpec(siim), other], tmp_path / "out")
    assert prepare([other], tmp_path / "out", processes=1).target.code == "233604007"


def test_patients_of_headers_and_prefixes(tmp_path: Path) -> None:
    write_dicom(tmp_path / "in/a.dcm", film(1), PatientID="7")
    spec = CorpusSpec(tmp_path / "in", patient_from_header=True, patient_prefix="ward-")
    (row,) = prepare([spec], tmp_path / "out", processes=1).films
    assert (row.patient_id, row.patient_basis) == ("ward-7", "header")


def test_a_person_of_two_corpora_stands_on_one_side_of_a_split(tmp_path: Path) -> None:
    """Ten persons: the first corpus has two films of each, the second a copy and one film more."""
    rows: dict[str, str] = {"one": "", "two": ""}
    for person in range(10):
        for name, number, root in (
            (f"p{person}-1", 3 * person, "one"),
            (f"p{person}-2", 3 * person + 1, "one"),
            (f"q{person}-1", 3 * person, "two"),
            (f"q{person}-3", 3 * person + 2, "two"),
        ):
            write_png(tmp_path / root / "images" / f"{name}.png", film(number))
            write_png(tmp_path / root / "masks" / f"{name}.png", np.zeros((40, 48), np.uint8))
            rows[root] += f"{name},{name.split('-')[0]}\n"
    for root, text in rows.items():
        (tmp_path / root / "films.csv").write_text("ImageId,PatientId\n" + text)
    dataset = prepare(
        [CorpusSpec(tmp_path / "one"), CorpusSpec(tmp_path / "two")], tmp_path / "out", processes=1
    )
    assert len(dataset.films) == 30
    assert len({f.patient_id for f in dataset.films}) == 10
    split = make_split(dataset, seed=0, test_fraction=0.3)
    sides = split.sides()
    for person in range(10):
        assert (
            len({sides[f"{name}"] for name in (f"p{person}-1", f"p{person}-2", f"q{person}-3")})
            == 1
        )


def test_films_of_a_header_stay_together_when_a_copy_is_in_a_table(tmp_path: Path) -> None:
    for person in range(10):
        for number in (0, 1):
            path = tmp_path / "one" / "images" / f"h{person}-{number}.dcm"
            write_dicom(path, film(2 * person + number), PatientID=f"H{person}")
            mask = tmp_path / "one" / "masks" / f"h{person}-{number}.png"
            write_png(mask, np.zeros((40, 48), np.uint8))
        write_png(tmp_path / "two" / f"n{person}.png", film(2 * person))
    text = "".join(f"n{person},N{person}\n" for person in range(10))
    (tmp_path / "two" / "films.csv").write_text("ImageId,PatientId\n" + text)
    dataset = prepare(
        [CorpusSpec(tmp_path / "one"), CorpusSpec(tmp_path / "two")], tmp_path / "out", processes=1
    )
    assert {f.film_id: f.patient_id for f in dataset.films} == {
        f"h{person}-{number}": f"N{person}" for person in range(10) for number in (0, 1)
    }
    sides = make_split(dataset, seed=0, test_fraction=0.3).sides()
    assert all(sides[f"h{person}-0"] == sides[f"h{person}-1"] for person in range(10))


def test_a_dying_worker_costs_its_own_film_only() -> None:
    results = dict(each(square_or_die, range(40), 2))
    assert results == {n: None if n in (7, 30) else n * n for n in range(40)}


def test_what_a_worker_raises_is_raised() -> None:
    with pytest.raises(DatasetError, match="disk is full"):
        list(each(sulk, range(5), 2))


def test_a_film_that_kills_its_worker_is_listed(
    siim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deadly(task, jobs, processes):
        for job in jobs:
            yield job, None if job.film_id == "1.2.4" else task(job)

    monkeypatch.setattr("pleura.data.prepare.run.each", deadly)
    dataset = prepare([CorpusSpec(siim)], tmp_path / "out")
    assert len(dataset.films) == 5
    assert "died, twice" in read_failures(dataset.root)[0][1]


def test_two_processes_write_what_one_writes(siim: Path, tmp_path: Path) -> None:
    one = prepare([CorpusSpec(siim)], tmp_path / "one", processes=1)
    two = prepare([CorpusSpec(siim)], tmp_path / "two", processes=2)
    for name in ("manifest.csv", "annotations.csv", "images/1.2.3.png", "masks/1.2.3.png"):
        assert (two.root / name).read_bytes() == (one.root / name).read_bytes()


def test_quantised_keeps_eight_bits_where_that_is_all() -> None:
    eight = np.arange(256, dtype=np.uint8).reshape(16, 16)
    stored = quantised(eight.astype(np.float32) / np.float32(255))
    assert stored.dtype == np.uint8
    assert np.array_equal(stored, eight)
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    stored = quantised(deep.astype(np.float32) / np.float32(65535))
    assert stored.dtype == np.uint16
    assert np.array_equal(stored, deep)


def test_the_pixel_hash_tells_shape_and_depth_apart() -> None:
    zeros = [np.zeros(s, d) for s in ((2, 8), (8, 2), (4, 4)) for d in (np.uint8, np.uint16)]
    assert len({pixel_sha256(z) for z in zeros}) == 6
    assert pixel_sha256(np.zeros((8, 2), np.uint8).T) == pixel_sha256(zeros[0])


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((40, 48), 24, (20, 24)),
        ((48, 40), 24, (24, 20)),
        ((9, 9000), 10, (1, 10)),
        ((5, 5), 8, (5, 5)),
    ],
)
def test_reduced_keeps_the_aspect(
    shape: tuple[int, int], size: int, expected: tuple[int, int]
) -> None:
    assert reduced(np.zeros(shape, np.uint16), size).shape == expected


def test_binary_splits_above_the_middle() -> None:
    levels = np.array([[0, 127, 128, 255]], np.float32) / 255
    assert binary(levels).tolist() == [[False, False, True, True]]
    assert binary(np.array([[0, 1]], np.float32) / 65535).tolist() == [[False, True]]
    assert not binary(np.zeros((2, 2), np.float32)).any()


@pytest.mark.parametrize(("rows", "columns"), [(500, 416), (500, 417), (250, 209), (2000, 1667)])
def test_a_mask_of_the_same_picture_fits_to_a_pixel(rows: int, columns: int) -> None:
    mask = np.ones((rows, columns), np.bool_)
    assert fitted(mask, (1000, 833)).shape == (1000, 833)


def test_the_command_prints_counts_and_failures(siim: Path, tmp_path: Path) -> None:
    (siim / "dicom-images-train/broken.dcm").write_bytes(b"?")
    out = tmp_path / "out"
    ran = CliRunner().invoke(app, ["prepare", str(siim), "--out", str(out), "--processes", "1"])
    assert ran.exit_code == 0, ran.output
    assert "1 could not be prepared" in ran.output
    assert len(Dataset.open(out).films) == 6
    nothing = CliRunner().invoke(app, ["prepare", "--out", str(tmp_path / "other")])
    assert isinstance(nothing.exception, CorpusError)
    wrong = CliRunner().invoke(app, ["prepare", str(siim), "--out", str(out), "--column", "label"])
    assert isinstance(wrong.exception, CorpusError)


def test_real_films_of_four_sources(real_data: Path, tmp_path: Path) -> None:
    """One film is known to be in two sources: the stage-2 copy of an expert-labelled positive."""
    copies = {
        "siim-positives": "1.2.276.0.7230010.3.1.4.8323329.1091.1517875166.285986",
        "siim-stage2": "ID_6cb7a16ef",
    }
    specs = []
    for name, stem in copies.items():
        root = tmp_path / name
        for folder, suffix in (("images", "webp"), ("masks", "png")):
            (root / folder).mkdir(parents=True)
            source = real_data / name / folder / f"{stem}.{suffix}"
            (root / folder / source.name).symlink_to(source)
        specs.append(CorpusSpec(root, quality="expert" if name == "siim-positives" else "silver"))
    (row,) = prepare(specs, tmp_path / "out", processes=1).films
    assert (row.corpus, row.label) == ("siim-positives", 1)
    assert row.also_in == ("siim-stage2:images/ID_6cb7a16ef.webp",)


def test_two_runs_never_write_into_one_folder(siim: Path, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "out"
    prepare([CorpusSpec(siim)], out, processes=1)
    with (out / "journal.jsonl").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for fresh in (False, True):
            with pytest.raises(DatasetError, match="being prepared by another process"):
                prepare([CorpusSpec(siim)], out, fresh=fresh, processes=1)
    assert len(Dataset.open(out).films) == 6
    assert (out / "images/1.2.3.png").exists()
