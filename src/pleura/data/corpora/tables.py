"""The tables beside the films: which row is about which film, and what its cells mean.

Columns are found by their names, whatever their case, blanks and underscores. Several tables are joined
film by film: a table that gives the film's ImageId opens the next one, which knows only that.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from pleura.data.corpora.case import Corrections
from pleura.errors import CorpusError
from pleura.radiograph import View

MAX_TABLE_BYTES = 1 << 30
_MAX_CELL = 1 << 24  # characters; the run lengths of a ragged mask pass csv's own limit of 131,072
_MAX_FACT = 500  # characters; longer cells are data, not facts

_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("imageid", "filename", "newfilename", "file", "image", "imagename", "imageindex", "path",
           "imagepath", "sopinstanceuid", "stem"),
    "patient": ("patientid", "patient", "subjectid", "subject"),
    "label": ("haspneumo", "haspneumothorax", "label", "target", "silver", "class", "positive"),
    "view": ("view", "viewposition"),
    "sex": ("sex", "patientsex", "gender", "patientgender"),
    "age": ("age", "patientage", "ageyears"),
}  # fmt: skip
_SPACING = ("rowspacingmm", "columnspacingmm")
_ORIGINAL = ("originalrows", "originalcolumns", "originalspacingmm")
_RUN_LENGTHS = "encodedpixels"
_LABELS: Mapping[str, int | None] = {
    "1": 1, "1.0": 1, "true": 1, "yes": 1, "positive": 1, "pos": 1, "pneumothorax": 1,
    "0": 0, "0.0": 0, "false": 0, "no": 0, "negative": 0, "neg": 0,
    "": None, "unsure": None, "unknown": None, "nan": None,
}  # fmt: skip
_UNSURE = ("unsure", "unknown")
_VIEWS: Mapping[str, View] = {
    "pa": "PA", "ap": "AP", "ll": "lateral", "rl": "lateral", "l": "lateral", "lateral": "lateral",
}  # fmt: skip
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}

Row = Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A CSV file: its column names as written, its rows, and which column plays which role."""

    path: Path
    rows: tuple[Row, ...]
    roles: Mapping[str, str]
    index: Mapping[str, int]

    @property
    def label_column(self) -> str | None:
        """The column that says whether a film shows the target, or None."""
        return self.roles.get("label")


@dataclass(frozen=True)
class Known:
    """What the tables of a corpus say about one film.

    `unsure` is True where a table names the film and says that its label is open.
    """

    key: str | None
    patient_id: str | None
    label: int | None
    unsure: bool
    corrections: Corrections
    facts: Mapping[str, str]


def read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """The column names (stripped of blanks) and rows of a CSV file; comma, semicolon or tab.

    Raises:
        CorpusError: the file is missing, too large, not UTF-8 or not a table.
    """
    former = csv.field_size_limit(_MAX_CELL)
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise CorpusError(f"{path} is larger than {MAX_TABLE_BYTES >> 20} MiB; split the table")
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=first.count)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            names = [name.strip() for name in next(reader, [])]
            if not names or len(set(names)) != len(names):
                raise CorpusError(
                    f"{path} needs a first line of distinct column names; got {names}"
                )
            rows: list[Row] = []
            for cells in reader:
                if len(cells) > len(names):
                    raise CorpusError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells under {len(names)} columns"
                    )
                if any(cells):
                    rows.append({n: c.strip() for n, c in zip(names, cells, strict=False)})
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path} is no CSV table in UTF-8: {error}") from error
    finally:
        csv.field_size_limit(former)
    return names, rows


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> Table:
    """A table of films; `columns` names the column of a role where it is not to be found by itself.

    Raises:
        CorpusError: no column tells which film a row is about, or a label cannot be understood.
    """
    names, rows = read_rows(path)
    roles = _roles(names, columns or {})
    ids = [columns["id"]] if columns and columns.get("id") in names else _id_columns(names)
    if not ids:
        raise CorpusError(
            f"{path} has no column that tells which film a row is about (found {', '.join(names)}); "
            "name it with the column option 'id'"
        )
    roles["id"] = ids[0]
    _settle_label(path, roles, rows, given="label" in (columns or {}))
    index: dict[str, int] = {}
    for number, row in enumerate(rows):
        for column in ids:
            value = row.get(column, "")
            for key in {value, PurePosixPath(value).name, PurePosixPath(value).stem} - {""}:
                index.setdefault(key, number)
    return Table(path, tuple(rows), roles, index)


def read_run_lengths(path: Path) -> dict[str, list[str]]:
    """The annotation rows of a SIIM table, by ImageId, in the table's order.

    The original competition writes the second column with a leading blank, and several rows a film.

    Raises:
        CorpusError: there are no columns ImageId and EncodedPixels.
    """
    names, rows = read_rows(path)
    plain = {_plain(name): name for name in names}
    if "imageid" not in plain or _RUN_LENGTHS not in plain:
        raise CorpusError(
            f"{path} is no table of run lengths: it needs the columns ImageId and EncodedPixels, "
            f"and has {', '.join(names)}"
        )
    found: dict[str, list[str]] = {}
    for row in rows:
        image, text = row.get(plain["imageid"], ""), row.get(plain[_RUN_LENGTHS], "")
        found.setdefault(image, []).append(text)
    return found


def known_about(tables: Sequence[Table], keys: Iterable[str], spacing_matrix: int | None) -> Known:
    """What `tables` say about the film that goes by any of `keys`; the first table to speak counts."""
    known_as = [key for key in keys if key]
    facts: dict[str, str] = {}
    roles: dict[str, str] = {}
    corrections: dict[str, tuple[float, float]] = {}
    image_id = ""
    for table in tables:
        number = next((table.index[key] for key in known_as if key in table.index), None)
        if number is None:
            continue
        row = table.rows[number]
        plain = {_plain(name): value for name, value in row.items()}
        image_id = image_id or plain.get("imageid", "")
        known_as += [row.get(table.roles["id"], ""), plain.get("imageid", "")]
        for role, column in table.roles.items():
            if row.get(column):
                roles.setdefault(role, row[column])
        for kind, lengths in _geometry(plain, spacing_matrix).items():
            corrections.setdefault(kind, lengths)
        for name, value in _facts(table, row).items():
            facts.setdefault(name, value)
    return Known(
        key=image_id or None,
        patient_id=roles.get("patient"),
        label=_LABELS[roles.get("label", "").lower()],
        unsure=roles.get("label", "").lower() in _UNSURE,
        corrections=Corrections(
            view=_view(roles.get("view")),
            sex=_SEXES.get(roles.get("sex", "").lower()),
            age_years=_age(roles.get("age", "")),
            spacing_mm=corrections.get("spacing_mm"),
            field_mm=corrections.get("field_mm"),
        ),
        facts=facts,
    )


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def _roles(names: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    plain = {_plain(name): name for name in reversed(names)}
    roles = {role: column for role, column in columns.items() if column in names}
    for role, candidates in _NAMES.items():
        found = next((plain[name] for name in candidates if name in plain), None)
        if role not in columns and role != "id" and found is not None:
            roles[role] = found
    return roles


def _id_columns(names: Sequence[str]) -> list[str]:
    plain = {_plain(name): name for name in reversed(names)}
    return [plain[name] for name in _NAMES["id"] if name in plain]


def _settle_label(path: Path, roles: dict[str, str], rows: Sequence[Row], *, given: bool) -> None:
    """Checks that every label is understood; a column that only happens to be called so is left a fact."""
    column = roles.get("label")
    if column is None:
        return
    strange = next((v for row in rows if (v := row.get(column, "")).lower() not in _LABELS), None)
    if strange is None:
        return
    if given:
        raise CorpusError(
            f"{path}, column {column}: {strange!r} is no label; write 1, 0 or leave it empty"
        )
    del roles["label"]


def _facts(table: Table, row: Row) -> dict[str, str]:
    used = {_plain(column) for column in table.roles.values()} | {*_SPACING, _RUN_LENGTHS}
    used.discard(_plain(table.roles.get("label", "")))  # the label as written stays readable
    return {
        name: value
        for name, value in row.items()
        if value and name and _plain(name) not in used and len(value) <= _MAX_FACT
    }


def _geometry(row: Row, spacing_matrix: int | None) -> dict[str, tuple[float, float]]:
    """The film's size in mm where it can be known, else its spacing; nothing where a cell is no length."""
    spacing = _lengths(row.get(name, "") for name in _SPACING)
    original = _lengths(row.get(name, "") for name in _ORIGINAL)
    if spacing is not None and spacing_matrix is not None:
        return {"field_mm": (spacing[0] * spacing_matrix, spacing[1] * spacing_matrix)}
    if original is not None:
        rows, columns, mm = original
        return {"field_mm": (rows * mm, columns * mm)}
    return {} if spacing is None else {"spacing_mm": (spacing[0], spacing[1])}


def _lengths(cells: Iterable[str]) -> list[float] | None:
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return None
    return values if all(0 < value < 1e6 for value in values) else None


def _view(text: str | None) -> View | None:
    return None if not text else _VIEWS.get(text.lower(), "other")


def _age(text: str) -> float | None:
    """Years of '62', '62.5' or DICOM's '062Y' (PS3.5 6.2); None for anything no person's age."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)[Yy]?", text)
    years = float(match[1]) if match else -1.0
    return years if 0 <= years <= 120 else None
