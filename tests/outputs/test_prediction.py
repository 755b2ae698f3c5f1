"""The folder of a prediction: every film its own pictures, whatever the files are called."""

import csv
import json

import cv2
import numpy as np
import pytest
from made_up_findings import box_mask, declined, negative, positive

from pleura.outputs.prediction import PredictionFolder
from pleura.radiograph import Radiograph


def film(source):
    return Radiograph(np.full((60, 80), 0.5, np.float32), 8, "png", source)


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_films_of_one_name_keep_their_own_pictures(tmp_path):
    sources = ["a/1.png", "b/1.png", "c/1~2.png", "d/1.PNG", "e/1~2.dcm", "f/1~2~2.dcm"]
    with PredictionFolder(tmp_path) as folder:
        for n, source in enumerate(sources):
            folder.add(film(source), positive(box_mask(bottom=21 + n), source))
    written = rows(tmp_path / "findings.csv")
    assert [row["file"] for row in written] == sources
    names = [row["mask"] for row in written]
    assert names[:2] == ["masks/1.png", "masks/1~2.png"]
    assert len({name.lower() for name in names}) == len(sources)
    for n, row in enumerate(written):
        mask = cv2.imread(str(tmp_path / row["mask"]), cv2.IMREAD_GRAYSCALE)
        assert (mask > 0).sum() == 20 * (1 + n)
        assert (tmp_path / row["overlay"]).is_file()
    listed = json.loads((tmp_path / "findings.json").read_text())
    assert [f["mask"] for f in listed] == names


def test_pictures_that_are_not_written_are_not_named(tmp_path):
    with PredictionFolder(tmp_path, overlays=False) as folder:
        folder.add(film("a.png"), negative(source="a.png"))
        folder.add(film("b.png"), declined("b.png"))
    a, b = rows(tmp_path / "findings.csv")
    assert (a["mask"], a["overlay"]) == ("masks/a.png", "")
    assert (b["mask"], b["overlay"]) == ("", "")
    assert not (tmp_path / "overlays").exists()


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.dcm".decode("utf-8", "surrogateescape"), "x" * 251 + ".dcm", "ü" * 125, "a\nb"],
)
def test_any_file_name_has_its_pictures(tmp_path, name):
    with PredictionFolder(tmp_path) as folder:
        for place in ("a", "b"):
            folder.add(film(f"{place}/{name}"), negative(source=f"{place}/{name}"))
        folder.fail(f"c/{name}", f"c/{name} is damaged")
    written = rows(tmp_path / "findings.csv")
    assert len({row["mask"] for row in written}) == 2
    for row in written:
        assert (tmp_path / row["mask"]).is_file()
        assert (tmp_path / row["overlay"]).is_file()
    assert len(rows(tmp_path / "failures.csv")) == 1
