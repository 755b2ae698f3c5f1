"""The tables beside the films: which row is about which film, and what its cells mean.

Columns are found by their names, whatever their case, blanks and underscores. Several tables are joined
film by film: a table that gives the film's ImageId opens the next one, which knows only that.

A row is about a film when it names the film's path or the end of it, or when the film's path is the end of
what the row names; by the bare name only where no other row and no other film has that name.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path

from pleura.data.corpora.case import CorpusSpec, Corrections
from pleura.data.corpora.listing import known_by
from pleura.data.corpora.rows import RUN_LENGTHS, Row, plain_name, read_rows
from pleura.errors import CorpusError, UnknownName
from pleura.radiograph import View

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
_LABELS: Mapping[str, int | None] = {
    "1": 1, "1.0": 1, "true": 1, "yes": 1, "positive": 1, "pos": 1, "pneumothorax": 1,
    "0": 0, "0.0": 0, "false": 0, "no": 0, "negative": 0, "neg": 0,
    "": None, "unsure": None, "unknown": None, "nan": None, "na": None, "n/a": None, "none": None,
    "null": None, "-": None,
}  # fmt: skip
_UNSURE = ("unsure", "unknown")
_VIEWS: Mapping[str, View] = {
    "pa": "PA", "ap": "AP", "ll": "lateral", "rl": "lateral", "l": "lateral", "lateral": "lateral",
    "other": "other",
}  # fmt: skip
_SEVERAL = -1  # in place of a row's number: the name leads to more than one
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}


@dataclass(frozen=True)
class Table:
    """A CSV file.

    Attributes:
        path: the file.
        columns: their names as written.
        rows: as written.
        roles: which column plays which role.
        films: the rows, one for each film; rows that say the same of a film count once.
        exact, stems, tails: the row of `films` for each name as written, without its suffix, and for each
            end of a path (without its suffix); `_SEVERAL` where there are more.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    roles: Mapping[str, str]
    films: tuple[int, ...]
    exact: Mapping[str, int]
    stems: Mapping[str, int]
    tails: Mapping[str, int]

    @property
    def label_column(self) -> str | None:
        """The column that says whether a film shows the target, or None."""
        return self.roles.get("label")

    def row_of(self, name: str, shared: int = 0) -> int | None:
        """The row about the film called `name`: None where there is none, `_SEVERAL` where that is unsure.

        Args:
            name: of the film, or its path with `/`.
            shared: how many of the path's last parts another film has too, see `shared_tails`.
        """
        parts = name.split("/")
        plain = known_by(name).split("/")
        for length in range(len(parts), 0, -1):
            tail, bare = "/".join(parts[-length:]), "/".join(plain[-length:])
            places = ((self.exact, tail), (self.exact, bare), (self.stems, bare))
            found = next((index[key] for index, key in places if key in index), None)
            if found is not None:
                return found if length > min(shared, len(parts) - 1) else _SEVERAL
            if length == len(parts) and bare in self.tails:
                return self.tails[bare] if length > shared else _SEVERAL
        found = self.tails.get(plain[-1])
        return found if found is None or shared == 0 else _SEVERAL

    def without_film(self, taken: Collection[int]) -> list[str]:
        """The films that the table has a label of and that no row in `taken` is about, as it names them."""
        label, name = self.roles.get("label", ""), self.roles["id"]
        rows = [self.rows[number] for number in self.films if number not in taken]
        return [r.get(name, "") for r in rows if _LABELS[r.get(label, "").lower()] is not None]


@dataclass(frozen=True)
class Known:
    """What the tables of a corpus say about one film.

    `unsure` is True where a table names the film and says that its label is open; `rows` are the rows that
    are about the film, by their table's path.
    """

    key: str | None
    patient_id: str | None
    label: int | None
    unsure: bool
    corrections: Corrections
    facts: Mapping[str, str]
    rows: Mapping[Path, int]


def read_tables(spec: CorpusSpec, usual: Sequence[str]) -> list[Table]:
    """The tables of a corpus: those that are named, else which of the `usual` ones there are.

    Raises:
        CorpusError: as `read_table`.
        UnknownName: a column that the spec names stands in none of them.
    """
    names = [n for n in usual if (spec.root / n).is_file()] if spec.tables is None else spec.tables
    tables = [read_table(spec.root / name, spec.columns) for name in names]
    known = [column for table in tables for column in table.columns]
    for column in spec.columns.values():
        if _named(known, column) is None:
            raise UnknownName.among(f"column of the tables in {spec.root}", column, set(known))
    return tables


def shared_tails(paths: Iterable[str]) -> dict[str, int]:
    """For each path, without its suffix, how many of its last parts another one ends in too."""
    ways = sorted({tuple(reversed(known_by(path).split("/"))) for path in paths})
    shared = dict.fromkeys(ways, 0)
    for one, other in pairwise(ways):  # the nearest of all stand side by side
        equal = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
        length = sum(1 for _ in equal)
        shared[one], shared[other] = max(shared[one], length), max(shared[other], length)
    return {"/".join(reversed(way)): length for way, length in shared.items()}


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> Table:
    """A table of films; `columns` names the column of a role where it is not to be found by itself.

    Raises:
        CorpusError: no column tells which film a row is about, or a label cannot be understood.
    """
    names, rows = read_rows(path)
    roles = _roles(names, columns or {})
    ids = [roles["id"]] if "id" in roles else _id_columns(names)
    if not ids:
        raise CorpusError(
            f"{path} has no column that tells which film a row is about (found {', '.join(names)}); "
            "name it with the column option 'id'"
        )
    roles["id"] = ids[0]
    _settle_label(path, roles, rows, given="label" in (columns or {}))
    telling = [*ids, *(roles[role] for role in ("patient", "label") if role in roles)]
    films: dict[tuple[str, ...], int] = {}
    exact: dict[str, int] = {}
    stems: dict[str, int] = {}
    tails: dict[str, int] = {}
    for position, row in enumerate(rows):
        number = films.setdefault(tuple(row.get(column, "") for column in telling), position)
        for value in {row.get(column, "") for column in ids} - {""}:
            plain = known_by(value)
            parts = plain.split("/")
            _enter(exact, value, number)
            _enter(stems, plain, number)
            for start in range(1, len(parts)):
                _enter(tails, "/".join(parts[start:]), number)
    return Table(path, tuple(names), tuple(rows), roles, tuple(films.values()), exact, stems, tails)


def _enter(index: dict[str, int], key: str, number: int) -> None:
    index[key] = number if index.get(key, number) == number else _SEVERAL


def known_about(
    tables: Sequence[Table], names: Iterable[str], spacing_matrix: int | None, shared: int = 0
) -> Known:
    """What `tables` say about the film that goes by any of `names`; the first table to speak counts.

    Args:
        tables: of the corpus, in order.
        names: of the film, or its paths with `/`.
        spacing_matrix: see `CorpusSpec`.
        shared: how many of the path's last parts another film has too, see `shared_tails`.

    Raises:
        CorpusError: which row of a table is about the film cannot be told.
    """
    known_as = list(names)
    facts: dict[str, str] = {}
    roles: dict[str, str] = {}
    corrections: dict[str, tuple[float, float]] = {}
    image_id = ""
    rows: dict[Path, int] = {}
    for table in tables:
        number = _row_of_any(table, known_as, shared)
        if number is None:
            continue
        rows[table.path] = number
        row = table.rows[number]
        plain = {plain_name(name): value for name, value in row.items()}
        image_id = image_id or plain.get("imageid", "")
        ids = (row.get(table.roles["id"], ""), plain.get("imageid", ""))
        known_as += [text for text in ids if text]
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
        rows=rows,
    )


def _row_of_any(table: Table, names: Sequence[str], shared: int) -> int | None:
    """The row about the film that goes by all of `names`, its own first; None where there is none."""
    own = _last(names[0])
    # A table's name for the film tells it from its namesakes where it is another name.
    numbers = [table.row_of(name, shared if _last(name) == own else 0) for name in names]
    found = next((n for n in numbers if n is not None and n != _SEVERAL), None)
    if found is None and _SEVERAL in numbers:
        raise CorpusError(
            f"which row of {table.path.name} is about {names[0]} cannot be told: several rows, of other "
            "patients or labels, or several films go by that name. Give each film one row, and in the "
            f"column {table.roles['id']} its path from the folder of the films on"
        )
    return found


def _last(name: str) -> str:
    return known_by(name).rpartition("/")[2]


def _roles(names: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    plain = {plain_name(name): name for name in reversed(names)}
    given = {role: _named(names, column) for role, column in columns.items()}
    roles = {role: column for role, column in given.items() if column is not None}
    for role, candidates in _NAMES.items():
        found = next((plain[name] for name in candidates if name in plain), None)
        if role not in columns and role != "id" and found is not None:
            roles[role] = found
    return roles


def _named(names: Sequence[str], column: str) -> str | None:
    """Which of `names` is meant by `column`: the very one, else one that differs as `plain_name` allows."""
    if column in names:
        return column
    return next((name for name in names if plain_name(name) == plain_name(column)), None)


def _id_columns(names: Sequence[str]) -> list[str]:
    plain = {plain_name(name): name for name in reversed(names)}
    return [plain[name] for name in _NAMES["id"] if name in plain]


def _settle_label(path: Path, roles: dict[str, str], rows: Sequence[Row], *, given: bool) -> None:
    """Checks that every label is understood.

    A column that only happens to be called so, hardly any of whose cells is a label, is left a fact.
    """
    column = roles.get("label")
    if column is None:
        return
    cells = [cell for row in rows if (cell := row.get(column, ""))]
    strange = [cell for cell in cells if cell.lower() not in _LABELS]
    if not strange:
        return
    if not given and 2 * len(strange) > len(cells):
        del roles["label"]
        return
    raise CorpusError(
        f"{path}, column {column}: {strange[0]!r} is no label ({len(strange)} of {len(cells)} cells are "
        "none); write 1, 0 or leave it empty"
        + ("" if given else ". If these are no labels, rename the column")
    )


def _facts(table: Table, row: Row) -> dict[str, str]:
    used = {plain_name(column) for column in table.roles.values()} | {*_SPACING, RUN_LENGTHS}
    used.discard(plain_name(table.roles.get("label", "")))  # the label as written stays readable
    return {
        name: value
        for name, value in row.items()
        if value and name and plain_name(name) not in used and len(value) <= _MAX_FACT
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
        values = [float(_with_point(cell)) for cell in cells]
    except ValueError:
        return None
    return values if all(0 < value < 1e6 for value in values) else None


def _with_point(number: str) -> str:
    """`number` with a point for a decimal comma; not where the comma may as well part thousands."""
    comma = re.fullmatch(r"\d+,\d+", number) and not re.fullmatch(r"[1-9]\d{0,2},\d{3}", number)
    return number.replace(",", ".") if comma else number


def _view(text: str | None) -> View | None:
    """Of a word that is known, or of 'AP supine' and the like; None for any other, which is no finding."""
    words = re.findall("[a-z]+", (text or "").lower())
    if len(words) > 1 and words[0] in ("pa", "ap") and not {"pa", "ap"} <= set(words):
        return _VIEWS[words[0]]
    return _VIEWS.get(words[0]) if len(words) == 1 else None


def _age(text: str) -> float | None:
    """Years of '62', '62.5', '62,5' or DICOM's '062Y' (PS3.5 6.2); None for anything no person's age."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)[Yy]?", _with_point(text))
    years = float(match[1]) if match else -1.0
    return years if 0 <= years <= 120 else None
