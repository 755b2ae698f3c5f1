"""Findings as Parquet: numbers as numbers, lists as lists, and nothing half-written."""

import sys

import pytest
from made_up_findings import (
    MEASURED_CELLS,
    box_mask,
    declined,
    measured_extent,
    positive,
    unmeasured_extent,
)

from pleura.errors import MissingExtra
from pleura.extent import MEASURES
from pleura.finding import Instance
from pleura.outputs import parquet
from pleura.outputs.parquet import ParquetTable
from pleura.outputs.table import COLUMNS, EXTENT_COLUMNS

OWN = {"mask": "masks/a.png", "overlay": None, "dicom": None, "duplicate_of": None}


def read(path):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path)


def test_findings_come_back_as_they_are(tmp_path):
    found = positive(
        box_mask(),
        "a.dcm",
        sop_instance_uid="1.2.3",
        notes=("One.", "Two."),
        instances=(Instance((20, 10, 40, 30), 0.75),),
        patient_orientation=("R", "H"),
        extents=(measured_extent(), unmeasured_extent()),
    )
    with ParquetTable(tmp_path / "f.parquet") as table:
        table.add(found.facts() | OWN)
        table.add(declined("b.dcm").facts() | OWN)
    written = read(tmp_path / "f.parquet")
    assert tuple(written.column_names) == (*COLUMNS, "patient_orientation", "instances", "extents")
    first, second = written.to_pylist()
    facts = found.facts() | OWN
    for extent in facts["extents"]:
        extent["reasons"] = dict.fromkeys(MEASURES) | extent["reasons"]
    assert first == facts | {name: first[name] for name in EXTENT_COLUMNS}
    assert [first[name] for name in EXTENT_COLUMNS] == MEASURED_CELLS
    assert [second[name] for name in EXTENT_COLUMNS] == [None] * len(EXTENT_COLUMNS)
    assert first["lesions"][0]["box"] == [20, 10, 40, 30]
    assert first["instances"] == [{"box": [20, 10, 40, 30], "score": 0.75}]
    assert (second["probability"], second["decision"], second["lesions"]) == (None, "declined", [])
    assert [path.name for path in tmp_path.iterdir()] == ["f.parquet"]


def test_rows_are_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS_IN_GROUP", 3)
    with ParquetTable(tmp_path / "f.parquet") as table:
        for number in range(7):
            table.add(declined(f"{number}").facts() | OWN)
            assert len(table._rows) < 3
    assert read(tmp_path / "f.parquet")["file"].to_pylist() == [str(n) for n in range(7)]


def test_a_name_that_is_no_text_is_written_as_an_escape(tmp_path):
    name = b"a/\xff.dcm".decode("utf-8", "surrogateescape")
    with ParquetTable(tmp_path / "f.parquet") as table:
        table.add(declined(name, notes=(name,)).facts() | OWN)
    (row,) = read(tmp_path / "f.parquet").to_pylist()
    assert (row["file"], row["notes"]) == (r"a/\udcff.dcm", [r"a/\udcff.dcm"])


def test_no_findings_are_an_empty_table(tmp_path):
    with ParquetTable(tmp_path / "f.parquet"):
        pass
    assert read(tmp_path / "f.parquet").num_rows == 0


def test_a_broken_run_leaves_the_old_table(tmp_path):
    path = tmp_path / "f.parquet"
    path.write_bytes(b"old")

    def broken():
        with ParquetTable(path) as table:
            table.add(declined("new").facts() | OWN)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert path.read_bytes() == b"old"


def test_without_pyarrow_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pleura\[parquet\]'"):
        ParquetTable(tmp_path / "f.parquet")
