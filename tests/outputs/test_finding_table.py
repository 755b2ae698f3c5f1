"""Findings as CSV and JSON: round trips, odd names, files that are whole or not there."""

import csv
import json

import pytest
from made_up_findings import (
    MEASURED_CELLS,
    box_mask,
    declined,
    measured_extent,
    negative,
    positive,
    unmeasured_extent,
)

from pleura.outputs.table import (
    COLUMNS,
    EXTENT_COLUMNS,
    FindingTable,
    write_failures,
)

FIRST = ["file", "sop_instance_uid", "probability", "decision", "area_fraction", "side"]


def facts(finding, mask=None, overlay=None, duplicate_of=None):
    own = {"mask": mask, "overlay": overlay, "dicom": None, "duplicate_of": duplicate_of}
    return finding.facts() | own


def write_findings(findings, csv_path=None, json_path=None):
    with FindingTable(csv_path, json_path) as table:
        for finding in findings:
            table.add(facts(finding))
    return table.count


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
    assert json.loads(listing.read_text(encoding="utf-8")) == [facts(f) for f in found]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["findings.csv", "findings.json"]


def test_the_larger_side_is_measured_in_the_table(tmp_path):
    both = positive(box_mask(), extents=(measured_extent(), unmeasured_extent()))
    older = facts(declined())
    del older["extents"]
    with FindingTable(tmp_path / "f.csv", tmp_path / "f.json") as table:
        table.add(facts(both))
        table.add(facts(positive(box_mask(), extents=(unmeasured_extent(),))))
        table.add(facts(negative()))
        table.add(older)
    first, second, third, fourth = rows(tmp_path / "f.csv")
    assert [first[name] for name in EXTENT_COLUMNS] == [str(cell) for cell in MEASURED_CELLS]
    assert [second[name] for name in EXTENT_COLUMNS] == ["left"] + [""] * 8
    assert {third[name] for name in EXTENT_COLUMNS} == {""}
    assert {fourth[name] for name in EXTENT_COLUMNS} == {""}
    listed = json.loads((tmp_path / "f.json").read_text())
    assert listed[0]["extents"][0]["accp_2001"] == "large"
    assert listed[0]["extents"][0]["lines"][0] == {
        "name": "apex_to_cupola_mm",
        "start": [20.0, 22.0],
        "end": [32.5, 22.0],
        "mm": 32.5,
    }
    assert "posture" in listed[0]["extents"][1]["reasons"]["rim_at_hilum_mm"]


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
            writing.add(facts(declined("new")))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert [row["file"] for row in rows(table)] == ["old"]
    assert [row["file"] for row in rows(tmp_path / "f.csv.partial")] == ["new"]


def test_pictures_are_named_beside_their_finding(tmp_path):
    with FindingTable(tmp_path / "f.csv", tmp_path / "f.json") as table:
        table.add(facts(negative(source="a/1.png"), "masks/1.png", "overlays/1.png"))
        table.add(facts(declined("b/1.png"), overlay="overlays/1~2.png", duplicate_of="a.png"))
    pictures = [(row["mask"], row["overlay"]) for row in rows(tmp_path / "f.csv")]
    assert [row["duplicate_of"] for row in rows(tmp_path / "f.csv")] == ["", "a.png"]
    assert pictures == [("masks/1.png", "overlays/1.png"), ("", "overlays/1~2.png")]
    listed = json.loads((tmp_path / "f.json").read_text())
    assert [(f["mask"], f["overlay"]) for f in listed] == [
        ("masks/1.png", "overlays/1.png"),
        (None, "overlays/1~2.png"),
    ]


def test_a_name_that_is_no_text_is_written_as_an_escape(tmp_path):
    name = b"a/\xff.dcm".decode("utf-8", "surrogateescape")
    write_findings([declined(name, reason=name)], tmp_path / "f.csv", tmp_path / "f.json")
    (row,) = rows(tmp_path / "f.csv")
    assert (row["file"], row["reason"]) == (r"a/\udcff.dcm", r"a/\udcff.dcm")
    assert json.loads((tmp_path / "f.json").read_text())[0]["file"] == name  # JSON's own escape
    write_failures(tmp_path / "failures.csv", [(name, f"{name} is damaged"), ("=b", "-")])
    assert [tuple(row.values()) for row in rows(tmp_path / "failures.csv")] == [
        (r"a/\udcff.dcm", r"a/\udcff.dcm is damaged"),
        ("'=b", "'-"),
    ]
