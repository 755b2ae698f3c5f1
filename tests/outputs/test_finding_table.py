"""Findings as CSV, JSON and as a submission: round trips, odd names, files that are whole or not there."""

import csv
import json

import numpy as np
import pytest
from made_up_findings import box_mask, declined, negative, positive

from pleura.errors import EvaluationError
from pleura.outputs.table import (
    COLUMNS,
    FindingTable,
    read_sample_order,
    write_findings,
    write_siim_submission,
)
from pleura.read.rle import decode_rle

FIRST = ["file", "sop_instance_uid", "probability", "decision", "area_fraction", "side"]


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_both_tables_hold_every_finding(tmp_path):
    found = [
        positive(box_mask(), "a.dcm", sop_instance_uid="1.2.3", notes=("One.", "Two.")),
        negative(source="b.dcm"),
        declined("c.dcm"),
    ]
    table, listing = tmp_path / "findings.csv", tmp_path / "findings.json"
    assert write_findings(iter(found), table, listing) == 3
    written = rows(table)
    assert list(written[0])[:6] == FIRST
    assert list(written[0]) == list(COLUMNS)
    assert [written[0][name] for name in FIRST] == [
        "a.dcm",
        "1.2.3",
        "0.9",
        "positive",
        str(400 / 4800),
        "right",
    ]
    assert (written[0]["lesions"], written[0]["notes"]) == ("1", "One. | Two.")
    assert (written[0]["calibrated"], written[0]["model_sha256"]) == ("False", "ab" * 32)
    assert (written[1]["area_fraction"], written[1]["side"]) == ("0.0", "")
    assert (written[2]["probability"], written[2]["area_fraction"]) == ("", "")
    assert json.loads(listing.read_text(encoding="utf-8")) == [f.facts() for f in found]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["findings.csv", "findings.json"]


def test_no_findings_are_an_empty_table(tmp_path):
    write_findings([], tmp_path / "f.csv", tmp_path / "f.json")
    assert rows(tmp_path / "f.csv") == []
    assert json.loads((tmp_path / "f.json").read_text()) == []


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1.dcm", "@SUM(A1)", "\tx", "\rx"])
def test_a_spreadsheet_takes_no_name_for_a_formula(tmp_path, name):
    write_findings([declined(name, reason=name)], tmp_path / "f.csv", tmp_path / "f.json")
    (row,) = rows(tmp_path / "f.csv")
    for column in ("file", "reason"):
        assert row[column][0] not in "=+-@\t\r"
    assert json.loads((tmp_path / "f.json").read_text())[0]["file"] == name  # JSON keeps it


@pytest.mark.parametrize("name", ['a,b".dcm', "zwei\nZeilen", "ärztin – ✓.dcm", "a\0b.dcm"])
def test_odd_names_stay_in_their_cell(tmp_path, name):
    write_findings([declined(name), declined("next")], tmp_path / "f.csv")
    assert [row["file"] for row in rows(tmp_path / "f.csv")] == [name.replace("\0", ""), "next"]


def test_a_broken_run_leaves_the_old_table_and_its_own_rows(tmp_path):
    table = tmp_path / "f.csv"
    write_findings([declined("old")], table)

    def broken():
        with FindingTable(table) as writing:
            writing.add(declined("new"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert [row["file"] for row in rows(table)] == ["old"]
    assert [row["file"] for row in rows(tmp_path / "f.csv.partial")] == ["new"]


def sample(path, ids, header="ImageId,EncodedPixels"):
    path.write_text("\n".join([header, *(f"{i},1 1" for i in ids)]) + "\n", encoding="utf-8")
    return read_sample_order(path)


BIG = box_mask((1024, 1024), 100, 200, 300, 260)


def test_a_submission_follows_the_sample(tmp_path, caplog):
    order = sample(tmp_path / "sample.csv", ["1.2.9", "1.2.1", "1.2.5", "1.2.7"])
    found = [
        positive(BIG, "/films/1.2.1.dcm"),
        declined("1.2.5.dcm"),
        negative((1024, 1024), "whatever.dcm", sop_instance_uid="1.2.9"),
        negative((1024, 1024), "C:\\films\\1.2.7.png"),
        declined("stranger.dcm"),
    ]
    path = tmp_path / "submission.csv"
    assert write_siim_submission(path, iter(found), order) == 4
    written = rows(path)
    assert [row["ImageId"] for row in written] == order
    assert [row["EncodedPixels"] == "-1" for row in written] == [True, False, True, True]
    np.testing.assert_array_equal(decode_rle(written[1]["EncodedPixels"]), BIG)
    assert "stranger.dcm is not in the sample" in caplog.text


def test_a_uid_that_is_a_files_whole_name(tmp_path):
    order = sample(tmp_path / "s.csv", ["1.2.840.5"])
    assert write_siim_submission(tmp_path / "o.csv", [declined("x/1.2.840.5")], order) == 1


def test_an_image_listed_twice_is_written_twice(tmp_path):
    order = sample(tmp_path / "s.csv", ["1.2", "1.2"])
    assert write_siim_submission(tmp_path / "o.csv", [declined("1.2.dcm")], order) == 2


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([declined("1.1.dcm")], "1 of the 2 images .* the first is 1.2;"),
        ([], "2 of the 2 images"),
        ([declined("1.1.dcm"), declined("1.1.png")], "image 1.1 has two findings"),
        ([positive(box_mask(), "1.1.dcm"), declined("1.2.dcm")], r"1\.1: .*is \(60, 80\)"),
    ],
)
def test_a_submission_that_cannot_be_made(tmp_path, found, says):
    order = sample(tmp_path / "s.csv", ["1.1", "1.2"])
    with pytest.raises(EvaluationError, match=says):
        write_siim_submission(tmp_path / "o.csv", found, order)
    assert not (tmp_path / "o.csv").exists()


def test_the_samples_own_oddities(tmp_path):
    path = tmp_path / "s.csv"
    path.write_bytes(b"\xef\xbb\xbfImageId, EncodedPixels\r\n1.2 , -1\r\n\r\n1.3,\r\n")
    assert read_sample_order(path) == ["1.2", "1.3"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no column ImageId .it has: none"),
        (b"id,EncodedPixels\n1,-1\n", "no column ImageId .it has: id, EncodedPixels"),
        (b"ImageId,EncodedPixels\n", "lists no image"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b'ImageId\n"open', "cannot be read"),
    ],
)
def test_what_is_no_sample(tmp_path, content, says):
    path = tmp_path / "s.csv"
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match=says):
        read_sample_order(path)
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_sample_order(tmp_path / "nowhere.csv")
