"""The prepared dataset on disk: `dataset.json`, `manifest.csv`, `annotations.csv`, images and masks.

DIR/
  dataset.json      format version, target, corpora it was prepared from, how many films, their hash
  manifest.csv      one film a row: the fields of `Film`, then one `fact:` column for each further fact
  annotations.csv   film_id,number,rle: every annotation row as it came, on the source matrix
  failures.csv      source,reason: every file that could not be prepared
  images/ID.png     the Radiograph's pixels, grey or in three equal channels, 8 or 16 bit
  masks/ID.png      0 or 255, always on the source matrix; positive films only
  journal.jsonl     what `pleura prepare` has finished, so that it can go on; readers need it not

Later verbs add, unless told another place:

  split.json           which films train, tune and test (`pleura split`)
  verify.json, .html   what `pleura verify` found
  test-openings.jsonl  each time test films were scored (`pleura evaluate`); never delete it
  cache/               films at a network's size (`pleura train`); may be deleted at any time
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.errors import DatasetError
from pleura.files import whole
from pleura.finding import PNEUMOTHORAX, Target
from pleura.radiograph import Radiograph, Side, SideBasis, SpacingBasis, View

FORMAT_VERSION = 2
LabelQuality = Literal["expert", "silver", "none"]
PatientBasis = Literal["table", "header", "film"]
FACT_PREFIX = "fact:"


@dataclass(frozen=True)
class Film:
    """One row of the manifest.

    Attributes:
        film_id: unique in the dataset; letters, digits, `.`, `_` and `-` only.
        corpus: name of the corpus it came from.
        source_path: the file, relative to that corpus's root.
        label_quality: `expert` (drawn or checked by a person), `silver` (another model's output),
            `none` (unlabelled).
        label: 1 with the target, 0 without, None when unlabelled.
        patient_id: never empty; two films of equal `patient_id` are one patient's.
        patient_basis: `table` (a table of the corpus says so), `header` (PatientID), `film` (unknown: the
            film stands for a patient of its own, and leaks cannot be excluded).
        rows, columns: of the source matrix.
        stored_rows, stored_columns: of the image in the dataset, which may be smaller.
        bits: of the source's samples.
        mask_area_px, mask_area_fraction: on the source matrix; 0 on negatives, None when unlabelled.
        mask_sha256: of the mask's shape and pixels, hex; None on films without one.
        annotations: rows of annotation merged into the mask.
        view, sex, age_years, sop_instance_uid: as `Radiograph` has them, or as a table corrects them.
        row_spacing_mm, column_spacing_mm, spacing_basis: likewise.
        image_left, side_basis: as in `Radiograph`.
        pixel_sha256: of the source's shape and pixels for display, hex.
        thumbnail: 16x16 area-averaged grey levels, hex (512 characters), for near duplicates.
        image, mask: paths relative to the dataset; mask is None on films without one.
        also_in: `corpus:path` of the same film met again in other places.
        facts: further columns of the corpus's tables, as text.
    """

    film_id: str
    corpus: str
    source_path: str
    label_quality: LabelQuality
    label: int | None
    patient_id: str
    patient_basis: PatientBasis
    rows: int
    columns: int
    stored_rows: int
    stored_columns: int
    bits: int
    pixel_sha256: str
    thumbnail: str
    image: str
    mask: str | None = None
    mask_sha256: str | None = None
    mask_area_px: int | None = None
    mask_area_fraction: float | None = None
    annotations: int = 0
    view: View | None = None
    sex: str | None = None
    age_years: float | None = None
    row_spacing_mm: float | None = None
    column_spacing_mm: float | None = None
    spacing_basis: SpacingBasis = "unknown"
    sop_instance_uid: str | None = None
    image_left: Side = "right"
    side_basis: SideBasis = "convention"
    also_in: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


_INTEGERS = {
    "label", "rows", "columns", "stored_rows", "stored_columns", "bits", "mask_area_px", "annotations",
}  # fmt: skip
_FLOATS = {"mask_area_fraction", "age_years", "row_spacing_mm", "column_spacing_mm"}
_CHOICES = {
    "label_quality": get_args(LabelQuality),
    "patient_basis": get_args(PatientBasis),
    "spacing_basis": get_args(SpacingBasis),
    "image_left": get_args(Side),
    "side_basis": get_args(SideBasis),
}
_COLUMNS = [f.name for f in fields(Film) if f.name != "facts"]
_REQUIRED = {f.name for f in fields(Film) if f.type in (str, int)} - {"thumbnail"}


def write_manifest(path: Path, films: Iterable[Film]) -> None:
    """Writes `films` to `path` as CSV, whole or not at all."""
    films = list(films)
    facts = sorted({name for film in films for name in film.facts})
    with (
        whole(path, durable=True) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_COLUMNS + [FACT_PREFIX + name for name in facts])
        for film in films:
            row = asdict(film)
            row["also_in"] = "|".join(film.also_in)
            cells = [row[c] for c in _COLUMNS] + [film.facts.get(name, "") for name in facts]
            writer.writerow(["" if c is None else c for c in cells])


def read_manifest(path: Path) -> Iterator[Film]:
    """Yields the films of a manifest.

    Raises:
        DatasetError: it cannot be read, a column is missing or a cell does not parse; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            missing = set(_COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise DatasetError(
                    f"{path} lacks the columns {', '.join(sorted(missing))}; prepare the dataset again"
                )
            for row in reader:
                try:
                    film = _film(row)
                except (ValueError, TypeError) as error:
                    raise DatasetError(
                        f"{path}, line {reader.line_num}: {error}; prepare the dataset again"
                    ) from error
                yield film
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read ({error}); prepare the dataset again") from error


def _film(row: dict[str, str]) -> Film:
    if None in row or None in row.values():  # as DictReader tells them
        raise ValueError("there are more or fewer cells than columns")
    values: dict[str, Any] = {}
    for name in _COLUMNS:
        cell = row[name]
        if not cell and name in _REQUIRED:
            raise ValueError(f"{name} is empty")
        if name == "also_in":
            values[name] = tuple(cell.split("|")) if cell else ()
        elif name in _INTEGERS:
            values[name] = int(cell) if cell else None
        elif name in _FLOATS:
            values[name] = float(cell) if cell else None
        else:
            if name in _CHOICES and cell not in _CHOICES[name]:
                raise ValueError(f"{name} is {cell!r}, not one of {', '.join(_CHOICES[name])}")
            values[name] = cell or None
    values["thumbnail"] = values["thumbnail"] or ""  # one that cannot be compared
    facts = {
        k.removeprefix(FACT_PREFIX): v for k, v in row.items() if k.startswith(FACT_PREFIX) and v
    }
    return Film(**values, facts=facts)


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset, opened for reading; build one with `Dataset.open`."""

    root: Path
    target: Target
    films: tuple[Film, ...]
    description: Mapping[str, Any]

    @classmethod
    def open(cls, root: Path | str) -> "Dataset":
        """Opens the dataset in `root`.

        Raises:
            DatasetError: there is none, it is of another version, or it is damaged: its manifest has not the
                films that `dataset.json` was written for, where that says so.
        """
        root = Path(root)
        path = root / "dataset.json"
        try:
            description = json.loads(path.read_text(encoding="utf-8"))
            version, target = description["format_version"], Target(**description["target"])
        except (FileNotFoundError, NotADirectoryError):
            raise DatasetError(
                f"{root} holds no prepared dataset (no dataset.json); make one with `pleura prepare`"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path} is damaged ({error}); prepare the dataset again") from error
        if version != FORMAT_VERSION:
            raise DatasetError(
                f"{path} is of format {version}; this pleura reads {FORMAT_VERSION}; prepare it again"
            )
        opened = cls(root, target, tuple(read_manifest(root / "manifest.csv")), description)
        count, sha256 = description.get("film_count"), description.get("sha256")
        if count not in (None, len(opened.films)) or sha256 not in (None, opened.sha256):
            raise DatasetError(
                f"{root}/manifest.csv is not what was prepared: it has {len(opened.films)} films of {count}, "
                "or others than those; restore it, or prepare the dataset again"
            )
        return opened

    @cached_property
    def by_id(self) -> Mapping[str, Film]:
        """The films by their `film_id`."""
        return {film.film_id: film for film in self.films}

    @cached_property
    def sha256(self) -> str:
        """A hash over which films the dataset holds, their pixels and stored size, labels, masks and
        patients (hex)."""
        return films_sha256(self.films)

    def pixels(self, film: Film) -> NDArray[np.float32]:
        """The film's pixels as prepared: float32 (H, W) in [0, 1]."""
        stored = _read_png(self.root / film.image)
        return stored.astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)

    def mask(self, film: Film) -> NDArray[np.bool_]:
        """The film's mask, bool (rows, columns) of the source matrix; all False on negatives.

        Raises:
            DatasetError: the film is unlabelled, or its mask is not of the size the manifest says.
        """
        if film.label is None:
            raise DatasetError(f"film {film.film_id} is unlabelled: there is no mask to read")
        if film.mask is None:
            return np.zeros((film.rows, film.columns), dtype=np.bool_)
        mask = _read_png(self.root / film.mask) > 127
        if mask.shape != (film.rows, film.columns):
            raise DatasetError(
                f"{film.mask} is {mask.shape[0]}x{mask.shape[1]}, the manifest says "
                f"{film.rows}x{film.columns}; prepare the dataset again"
            )
        return mask

    def radiograph(self, film: Film) -> Radiograph:
        """The film as a reader would have returned it, on its source matrix.

        A dataset prepared at a reduced size gives the reduced pixels enlarged again, and a note.
        """
        pixels = self.pixels(film)
        notes: tuple[str, ...] = ()
        if pixels.shape != (film.rows, film.columns):
            notes = (f"Prepared at {pixels.shape[0]}x{pixels.shape[1]} and enlarged again.",)
            enlarged = cv2.resize(pixels, (film.columns, film.rows), interpolation=cv2.INTER_LINEAR)
            pixels = np.clip(enlarged.astype(np.float32), 0.0, 1.0)
        spacing = (
            (film.row_spacing_mm, film.column_spacing_mm)
            if film.row_spacing_mm is not None and film.column_spacing_mm is not None
            else None
        )
        return Radiograph(
            pixels=pixels,
            source_bits=film.bits,
            source_format="dataset",
            source=film.film_id,
            spacing_mm=spacing,
            spacing_basis=film.spacing_basis,
            image_left=film.image_left,
            side_basis=film.side_basis,
            view=film.view,
            patient_id=film.patient_id,
            sop_instance_uid=film.sop_instance_uid,
            sex=film.sex,
            age_years=film.age_years,
            notes=notes,
        )


def films_sha256(films: Iterable[Film]) -> str:
    """See `Dataset.sha256`."""
    lines = sorted(
        f"{f.film_id} {f.pixel_sha256} {f.stored_rows}x{f.stored_columns} {f.label} "
        f"{f.mask_area_px} {f.mask_sha256} {f.patient_id}"
        for f in films
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def mask_sha256(mask: NDArray[np.bool_]) -> str:
    """A hash of the shape and pixels of a mask, bool (H, W), hex."""
    head = f"{mask.shape[0]}x{mask.shape[1]}:"
    return hashlib.sha256(head.encode() + np.packbits(mask).tobytes()).hexdigest()


def _read_png(path: Path) -> NDArray[Any]:
    """A PNG of 8 or 16 bit, grey or of three equal channels, as its unsigned integers (H, W)."""
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error}); prepare the dataset again") from error
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except (
        cv2.error,
        MemoryError,
    ):  # the header claims a size beyond OpenCV's limit, or the memory's
        image = None
    if image is not None and image.ndim == 3 and _is_grey(image):
        image = image[:, :, 0]
    if image is None or image.ndim != 2 or image.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{path} is not a grey PNG of 8 or 16 bit; prepare the dataset again")
    return image


def _is_grey(image: NDArray[Any]) -> bool:
    """Whether an image (H, W, C) has three channels, all of them equal."""
    first = image[:, :, 0]
    return image.shape[2] == 3 and all(np.array_equal(first, image[:, :, n]) for n in (1, 2))


def dataset_description(target: Target, corpora: list[dict[str, Any]]) -> dict[str, Any]:
    """What `dataset.json` holds; `pleura prepare` adds its options, `film_count` and `sha256`."""
    return {"format_version": FORMAT_VERSION, "target": asdict(target), "corpora": corpora}


__all__ = [
    "FORMAT_VERSION",
    "PNEUMOTHORAX",
    "Dataset",
    "Film",
    "dataset_description",
    "films_sha256",
    "mask_sha256",
    "read_manifest",
    "write_manifest",
]
