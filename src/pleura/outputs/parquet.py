"""Findings as Parquet, for archives too large for a spreadsheet."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pleura.errors import MissingExtra
from pleura.extent import MEASURES
from pleura.files import PARTIAL
from pleura.outputs.table import COLUMNS, EXTENT_COLUMNS, NO_TEXT, of_largest_side

ROWS_IN_GROUP = 10_000
"""Findings that are kept in memory and written together."""

_NUMBERS = ("probability", "pixel_threshold", "area_fraction", "area_mm2", *MEASURES)
_LISTS = ("patient_orientation", "instances", "extents")
_LESION_NUMBERS = ("area_fraction", "area_mm2", "peak_probability")


class ParquetTable:
    """Writes findings as they come; a `Table`.

    The columns are those of the CSV, numbers as numbers, and `patient_orientation`, `instances` and
    `extents`; these, `lesions` and `notes` are lists. What is not known is null. Texts are as they are, but
    for what is no text in a file's name, which is written as an escape.

    Args:
        path: the file; written under `.partial` until it is whole.

    Raises:
        MissingExtra: pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingExtra.needing("A table in Parquet", "parquet", error) from error
        self.path = path
        self._arrow = pyarrow
        self._schema = _schema(pyarrow)
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> "ParquetTable":
        self._writer = self._arrow.parquet.ParquetWriter(
            f"{self.path}{PARTIAL}", self._schema, compression="zstd"
        )
        return self

    def add(self, facts: Mapping[str, Any]) -> None:
        """Takes one finding."""
        flat = {**facts, **of_largest_side(facts)}
        row = {name: _text(flat[name]) for name in COLUMNS}
        self._rows.append(row | {name: facts.get(name) for name in _LISTS})
        if len(self._rows) == ROWS_IN_GROUP:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(self._arrow.Table.from_pylist(self._rows, self._schema))
        self._rows = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._rows:
            self._flush()
        self._writer.close()
        if kind is None:
            os.replace(f"{self.path}{PARTIAL}", self.path)


def _schema(arrow: Any) -> Any:
    number, text = arrow.float64(), arrow.string()
    box = arrow.list_(arrow.int32(), 4)
    lesion = arrow.struct(
        [("side", text), ("area_px", arrow.int64())]
        + [(name, number) for name in _LESION_NUMBERS]
        + [("box", box)]
    )
    kinds = dict.fromkeys(_NUMBERS, number) | {
        "calibrated": arrow.bool_(),
        "lesions": arrow.list_(lesion),
        "notes": arrow.list_(text),
    }
    found = arrow.list_(arrow.struct([("box", box), ("score", number)]))
    point = arrow.list_(number, 2)
    line = arrow.struct([("name", text), ("start", point), ("end", point), ("mm", number)])
    extent = arrow.struct(
        [("side", text)]
        + [(name, kinds.get(name, text)) for name in EXTENT_COLUMNS[1:]]
        + [("spacing_basis", text)]
        + [("reasons", arrow.struct([(name, text) for name in MEASURES]))]
        + [("lines", arrow.list_(line))]
    )
    columns = [(name, kinds.get(name, text)) for name in COLUMNS]
    lists = (arrow.list_(text, 2), found, arrow.list_(extent))
    return arrow.schema([*columns, *zip(_LISTS, lists, strict=True)])


def _text(value: Any) -> Any:
    """A text as Unicode can have it; half a surrogate pair, from a file's name, becomes an escape."""
    if isinstance(value, str):
        return value.encode("utf-8", NO_TEXT).decode()
    return [_text(one) for one in value] if isinstance(value, list) else value
