"""The same film again is judged once."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from bright import Bright, predict, write_film
from pydicom import Dataset

from pleura.archive.reading import sampled
from pleura.finding import Finding
from pleura.radiograph import Radiograph


def films(folder: Path) -> None:
    """A film, its copy, its pixels in another file, and one that differs by a single pixel."""
    rng = np.random.default_rng(3)
    image = rng.integers(150, 250, (160, 128)).astype(np.uint8)
    other = image.copy()
    other[1, 1] ^= 1  # no sampled pixel
    folder.mkdir()
    for name, pixels, effort in (
        ("a", image, 1),
        ("b-copy", image, 1),
        ("c-again", image, 9),
        ("d-other", other, 1),
    ):
        encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, effort])[1]
        (folder / f"{name}.png").write_bytes(encoded.tobytes())
    assert (folder / "a.png").read_bytes() != (folder / "c-again.png").read_bytes()


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "findings.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_each_film_is_judged_once(tmp_path: Path, batch_size: int) -> None:
    films(tmp_path / "in")
    detector = Bright()
    tally, counts = predict(
        tmp_path / "out", tmp_path / "in", detector=detector, batch_size=batch_size
    )
    assert tally == {"positive": 4, "duplicates": 2}
    assert counts == {"judged": 4}
    assert sorted(Path(name).stem for seen in detector.seen for name in seen) == ["a", "d-other"]
    first = str(tmp_path / "in/a.png")
    a, b, c, d = rows(tmp_path / "out")
    assert [row["duplicate_of"] for row in (a, b, c, d)] == ["", first, first, ""]
    for row in (b, c):
        assert row == a | {"file": row["file"], "duplicate_of": first}
    assert len(list((tmp_path / "out/masks").iterdir())) == 2


def test_a_copy_of_a_film_from_an_earlier_run(tmp_path: Path) -> None:
    write_film(tmp_path / "one.png", 1, bright=True)
    write_film(tmp_path / "copy.png", 1, bright=True)
    predict(tmp_path / "out", tmp_path / "one.png")
    detector = Bright()
    tally, _ = predict(
        tmp_path / "out", tmp_path / "one.png", tmp_path / "copy.png", detector=detector
    )
    assert tally == {"positive": 2, "duplicates": 1}
    assert detector.seen == []


def test_pixels_count_as_the_same_only_where_the_first_film_still_shows_them(
    tmp_path: Path,
) -> None:
    films(tmp_path / "in")
    predict(tmp_path / "out", tmp_path / "in/a.png")
    (tmp_path / "in/a.png").unlink()
    detector = Bright()
    tally, _ = predict(tmp_path / "out", tmp_path / "in/c-again.png", detector=detector)
    assert tally == {"positive": 2}
    assert len(detector.seen) == 1


def test_copies_of_what_cannot_be_read_fail_each_for_itself(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    _, counts = predict(tmp_path / "out", tmp_path / "a.png", tmp_path / "b.png")
    assert counts == {"failed": 2}


def test_a_copy_has_its_own_name_in_every_table(tmp_path: Path) -> None:
    write_film(tmp_path / "in/x.png", 1)
    write_film(tmp_path / "in/y.png", 1)
    predict(tmp_path / "out", tmp_path / "in")
    listed = json.loads((tmp_path / "out/findings.json").read_text())
    assert [(Path(f["file"]).name, f["duplicate_of"] and Path(f["duplicate_of"]).name) for f in listed] == [
        ("x.png", None),
        ("y.png", "x.png"),
    ]  # fmt: skip


class Turning(Bright):
    """Says how it judged a film."""

    def _judge(self, film: Radiograph) -> Finding:
        found = super()._judge(film)
        return replace(found, notes=(*film.notes, "It was judged upright."))


def test_a_copy_says_how_it_was_judged_and_what_its_own_file_says(tmp_path: Path) -> None:
    write_film(tmp_path / "a.png", 1)
    image = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_GRAYSCALE)
    grey = cv2.imencode(".png", np.repeat(image[..., None], 3, 2))[1]
    (tmp_path / "b.png").write_bytes(grey.tobytes())
    for _ in range(2):  # the second time from the journal
        predict(tmp_path / "out", tmp_path / "a.png", tmp_path / "b.png", detector=Turning())
        listed = json.loads((tmp_path / "out/findings.json").read_text())
        assert [film["notes"] for film in listed] == [
            ["It was judged upright."],
            ["A grey film stored in colour; its luminance is taken.", "It was judged upright."],
        ]
        assert "judged" not in listed[0]


def test_films_of_the_same_pixels_whose_headers_let_other_things_be_measured() -> None:
    def film(**more) -> Radiograph:
        pixels = np.full((40, 36), 0.5, np.float32)
        known = {"view": "PA", "spacing_mm": (10.0, 10.0), "spacing_basis": "detector"}
        return Radiograph(pixels, 8, "dicom", "f.dcm", **known | more)

    def described(words: str) -> Dataset:
        header = Dataset()
        header.SeriesDescription = words
        return header

    assert sampled(film()) == sampled(film(header=described("Chest")))
    others = [
        film(posture_doubt="SeriesDescription (supine)"),
        film(spacing_basis="calibrated"),
        film(spacing_basis="implausible"),
        film(view="AP"),
    ]
    assert len({sampled(one) for one in (film(), *others)}) == 5
