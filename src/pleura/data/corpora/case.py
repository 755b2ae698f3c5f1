"""`Case`: one film of a corpus before its pixels are decoded, and `CorpusSpec`: how to find them."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from pleura.data.manifest import LabelQuality
from pleura.errors import CorpusError, UnknownName
from pleura.finding import PNEUMOTHORAX, Target
from pleura.radiograph import View

Layout = Literal["auto", "siim", "folders"]
Unmasked = Literal["unlabelled", "negative"]
ROLES = ("id", "patient", "label", "view", "sex", "age")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Corrections:
    """What the tables of a corpus say about a film, better than its header does.

    Attributes:
        view, sex, age_years: as in `Radiograph`; None leaves the header's.
        spacing_mm: (row, column) spacing on the file's own matrix.
        field_mm: (height, width) of the whole film; the spacing follows from the file's own matrix.
    """

    view: View | None = None
    sex: str | None = None
    age_years: float | None = None
    spacing_mm: tuple[float, float] | None = None
    field_mm: tuple[float, float] | None = None


@dataclass(frozen=True)
class Case:
    """One film of a corpus, not yet decoded.

    Attributes:
        corpus: the corpus's name.
        file: the source file.
        path: the same, relative to the corpus's root, with `/`.
        key: what the corpus calls the film (SIIM: ImageId); becomes its `film_id` where it can.
        label_quality: of the label; `none` makes the film unlabelled whatever else is known.
        label: as a table states it; None where only the mask can say.
        annotations: run lengths on the source matrix, one text an annotation row; their union is the mask.
        mask_file: an image of the mask, or None.
        patient_id: as a table states it, or None.
        patient_from_header: whether PatientID may be believed where no table has the patient.
        patient_prefix: put before the patient's id, wherever it comes from.
        corrections: see `Corrections`.
        facts: further cells of the tables.
    """

    corpus: str
    file: Path
    path: str
    key: str
    label_quality: LabelQuality
    label: int | None = None
    annotations: tuple[str, ...] = ()
    mask_file: Path | None = None
    patient_id: str | None = None
    patient_from_header: bool = False
    patient_prefix: str = ""
    corrections: Corrections = Corrections()
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CorpusSpec:
    """One source folder and how to read it.

    Attributes:
        root: the folder.
        name: letters, digits, `.`, `_`, `-`; the folder's own name by default.
        layout: `siim`, `folders`, or `auto` to tell by what the folder holds.
        quality: of the labels; None is `silver` where the label column is called so, else `expert`.
        images, masks: folders under `root`; None finds them by their usual names.
        annotations: the table of run lengths, relative to `root` (siim); None finds `train-rle.csv`.
        tables: tables of patients, labels and facts, relative to `root`; where two speak of the same, the
            first counts. None finds them by their usual names.
        columns: names of columns that are not found by themselves, by role: id, patient, label, view, sex,
            age.
        unmasked: what a film without mask and without a word in a table is.
        spacing_matrix: side in pixels of the square matrix that the tables' RowSpacingMm and
            ColumnSpacingMm belong to; None takes them for the file's own, unless the tables have
            OriginalRows, OriginalColumns and OriginalSpacingMm.
        patient_from_header: whether PatientID names the patient where no table does. None believes it in
            `folders` and not in `siim`, whose PatientID is random a film.
        patient_prefix: put before every patient's id, to keep apart corpora that number theirs alike.
            Without it equal ids are one patient in all corpora, which never leaks.
        target: what the masks show.
    """

    root: Path
    name: str = ""
    layout: Layout = "auto"
    quality: LabelQuality | None = None
    images: str | None = None
    masks: str | None = None
    annotations: str | None = None
    tables: tuple[str, ...] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    unmasked: Unmasked = "unlabelled"
    spacing_matrix: int | None = None
    patient_from_header: bool | None = None
    patient_prefix: str = ""
    target: Target = PNEUMOTHORAX

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))
        if not self.name:
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.root.resolve().name).strip("-._")
            object.__setattr__(self, "name", name[:64] or "corpus")
        if not _NAME.fullmatch(self.name):
            raise CorpusError(
                f"the corpus name {self.name!r} is not usable: take up to 64 letters, digits, '.', '_', '-'"
            )
        for attribute, choices in (("layout", Layout), ("unmasked", Unmasked)):
            _one_of(attribute, getattr(self, attribute), get_args(choices))
        if self.quality is not None:
            _one_of("quality", self.quality, get_args(LabelQuality))
        for role in self.columns:
            _one_of("columns", role, ROLES)
        if self.spacing_matrix is not None and self.spacing_matrix < 1:
            raise CorpusError(f"spacing_matrix is {self.spacing_matrix}; give a side in pixels")

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; `from_dict` reads it back."""
        return {
            **asdict(self),
            "root": str(self.root),
            "columns": dict(self.columns),
            "tables": None if self.tables is None else list(self.tables),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any], base: Path = Path()) -> "CorpusSpec":
        """The spec that `given` describes; a relative root is taken from `base`.

        Raises:
            UnknownName: a key that is none of a corpus; suggests the nearest.
            CorpusError: a value of the wrong type, or no root.
        """
        values = dict(given)
        _known_keys("key of a corpus", values, [f.name for f in fields(cls)])
        for key, value in values.items():
            _check_type(key, value)
        if not values.get("root"):
            raise CorpusError("a corpus lacks its root; add 'root: FOLDER'")
        values["root"] = base / Path(values["root"]).expanduser()
        values = {key: value for key, value in values.items() if value is not None}
        if "tables" in values:
            values["tables"] = tuple(values["tables"])
        if "target" in values:
            _known_keys("key of a target", values["target"], [f.name for f in fields(Target)])
            values["target"] = Target(**{k: str(v) for k, v in values["target"].items()})
        return cls(**values)


def read_specs(path: Path) -> list[CorpusSpec]:
    """The corpora of a YAML file: a list of mappings under `corpora`, keys as in `CorpusSpec`.

    Raises:
        CorpusError: the file cannot be read, is no YAML or of another shape.
        UnknownName: a key that is none of a corpus.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise CorpusError(f"{path} cannot be read as YAML: {error}") from error
    rows = given.get("corpora") if isinstance(given, dict) and set(given) == {"corpora"} else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise CorpusError(
            f"{path} does not list corpora; write 'corpora:' and under it '- root: FOLDER' for each"
        )
    return [CorpusSpec.from_dict(row, path.parent) for row in rows]


_TYPES: dict[str, tuple[type, ...]] = {
    "tables": (list, tuple),
    "columns": (dict,),
    "target": (dict,),
    "spacing_matrix": (int,),
    "patient_from_header": (bool,),
}


def _check_type(key: str, value: Any) -> None:
    wanted = _TYPES.get(key, (str, Path))
    fits = value is None or (
        isinstance(value, wanted) and not (wanted == (int,) and isinstance(value, bool))
    )
    if fits and isinstance(value, list | tuple | dict):
        cells = list(value.items()) if isinstance(value, dict) else [("", cell) for cell in value]
        strings_only = key != "target"  # a target's code may be written as a number
        fits = all(isinstance(k, str) for k, _ in cells) and (
            not strings_only or all(isinstance(cell, str) for _, cell in cells)
        )
    if not fits:
        kind = {"tables": "a list of names", "columns": "a mapping of names", "target": "a mapping"}
        plain = kind.get(key, " or ".join(t.__name__ for t in wanted[:1]))
        raise CorpusError(f"{key} is {value!r}; it must be {plain}")


def _known_keys(kind: str, given: Mapping[Any, Any], known: list[str]) -> None:
    for key in given:
        if key not in known:
            raise UnknownName.among(kind, str(key), known)


def _one_of(attribute: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UnknownName.among(f"value of {attribute}", str(value), choices)
