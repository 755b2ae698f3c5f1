"""A folder of films and a folder of masks with equal names or equal stems, and optional tables.

    images/a.png  masks/a.png        or png_images and png_masks, or any two folders that are named
    films.csv                        optional: file or ImageId, patient, label, spacing, facts

The films may be PNG, JPEG, WebP, TIFF or DICOM (with any suffix or none), at any depth. A film without a mask
is negative where a table says so (or with `unmasked: negative`), else unlabelled.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np

from pleura.data.corpora.case import Case, CorpusSpec
from pleura.data.corpora.listing import first_named, kinds, known_by, place, without_suffix
from pleura.data.corpora.refused import Refused
from pleura.data.corpora.tables import Known, Table, known_about, read_tables, shared_tails
from pleura.data.manifest import LabelQuality
from pleura.errors import CorpusError, ReadError
from pleura.read import read_image

PAIRS = (("png_images", "png_masks"), ("images", "masks"), ("imgs", "masks"), ("image", "mask"))
_LOOKED_AT = 8  # of the pictures that may be masks
TABLES = ("films.csv", "images.csv", "silver.csv", "metadata.csv")


def cases(spec: CorpusSpec) -> tuple[list[Case], list[tuple[str, str]]]:
    """The films of the image folder, and (source, reason) for each file, mask or row that is of no use.

    Raises:
        CorpusError: a folder is missing or empty, a table cannot be used, an option is not this layout's, or
            films without a mask shall be negative while there are masks that no film can be given, or what
            looks like masks was not named as such.
        UnknownName: a named column stands in no table.
    """
    if spec.annotations is not None:
        raise CorpusError(
            f"{spec.root} is of the layout folders, which knows no 'annotations'; leave that out, or say "
            "'layout: siim'"
        )
    images, masks = _folders(spec)
    tables = read_tables(spec, TABLES)
    refused = Refused(spec)
    by_stem, lost = _masks(masks, refused)
    films, strange = _films(images, masks, refused)
    if not films:
        first = f"; {refused.rows[0][0]}: {refused.rows[0][1]}" if refused.rows else ""
        raise CorpusError(f"{images} holds no film (PNG, JPEG, WebP, TIFF or DICOM){first}")
    if masks is None:
        _refuse_masks(spec, images, [relative for _, relative in films])
    shared = shared_tails(relative for _, relative in films)
    claimed: dict[Path, set[int]] = {table.path: set() for table in tables}
    found: list[Case] = []
    for file, relative in films:
        stem = known_by(relative)
        names = (relative, place(file, spec.root))
        try:
            known = known_about(tables, names, spec.spacing_matrix, shared[stem])
        except CorpusError as error:
            refused.add(file, str(error))
            continue
        for path, number in known.rows.items():
            claimed[path].add(number)
        found.append(_case(spec, file, known, by_stem.get(stem), tables))
    for stem in sorted(by_stem.keys() - shared.keys() - strange):
        refused.add(by_stem[stem], "a mask without a film of that name")
        lost.append(by_stem[stem])
    _check_unmasked(spec, lost)
    for table in tables:
        if table.label_column and (rows := table.without_film(claimed[table.path])):
            refused.add(table.path, f"{len(rows)} labelled row(s) have no film, such as {rows[0]}")
    return found, refused.rows


def _films(
    images: Path, masks: Path | None, refused: Refused
) -> tuple[list[tuple[Path, str]], set[str]]:
    """The films with their paths under `images`, and the paths, without suffix, of files of no known kind."""
    films: list[tuple[Path, str]] = []
    strange: set[str] = set()
    for file, relative, kind in kinds(images, refused.folder):
        if masks is not None and file.is_relative_to(masks) and masks != images:
            continue
        if kind in ("dicom", "image"):
            films.append((file, relative))
        elif kind == "unknown":
            refused.add(file, "of no kind that is read here; convert it to PNG or DICOM")
            strange |= {relative, os.path.splitext(relative)[0]}
    return films, strange


def _check_unmasked(spec: CorpusSpec, lost: list[Path]) -> None:
    if spec.unmasked == "negative" and lost:
        raise CorpusError(
            f"{len(lost)} in the folder of the masks of {spec.root} cannot be read or have no film, such as "
            f"{place(lost[0], spec.root)}: with 'unmasked: negative' their films would pass for negative. "
            "Mend them, or leave films without a mask unlabelled"
        )


def _folders(spec: CorpusSpec) -> tuple[Path, Path | None]:
    """The image folder and the mask folder (None where the corpus has none)."""
    masks: Path | None
    usual = next((p for p in PAIRS if all((spec.root / n).is_dir() for n in p)), None)
    if spec.images is None and spec.masks is None and usual is not None:
        images, masks = spec.root / usual[0], spec.root / usual[1]
    else:
        name = spec.images or first_named(spec.root, tuple(pair[0] for pair in PAIRS)) or "."
        images = spec.root / name
        masks = spec.root / spec.masks if spec.masks else None
    for folder in (images, masks):
        if folder is not None and not folder.is_dir():
            raise CorpusError(f"{folder} is no folder; name the folders with 'images' and 'masks'")
    return images, masks


def _refuse_masks(spec: CorpusSpec, images: Path, films: Sequence[str]) -> None:
    """Refuses a folder beside another that holds the same names and nothing but two grey levels."""
    folders: dict[str, dict[str, str]] = defaultdict(dict)
    for relative in films:
        top, slash, name = relative.partition("/")
        if slash:
            folders[top][without_suffix(name)] = relative
    for one, other in permutations(sorted(folders), 2):
        shared = sorted(folders[one].keys() & folders[other].keys())
        if len(shared) * 2 < len(folders[one]):
            continue
        if all(_is_of_two_levels(images / folders[one][name]) for name in shared[:_LOOKED_AT]):
            raise CorpusError(
                f"{images / one} holds pictures of two grey levels, named as those of {other}: they look "
                f"like masks, not films; say 'images: {place(images / other, spec.root)}' and 'masks: "
                f"{place(images / one, spec.root)}' (--images, --masks)"
            )


def _is_of_two_levels(file: Path) -> bool:
    try:
        return len(np.unique(read_image(file).pixels)) <= 2
    except ReadError:
        return False


def _masks(folder: Path | None, refused: Refused) -> tuple[dict[str, Path], list[Path]]:
    """The masks by their path without suffix, and what in their folder may be a mask and cannot be read."""
    found: dict[str, Path] = {}
    lost: list[Path] = []

    def unread(error: OSError) -> None:
        refused.folder(error)
        lost.append(Path(error.filename))

    for file, relative, kind in kinds(folder, unread) if folder else ():
        stem = known_by(relative)
        if kind in ("dicom", "unknown"):
            refused.add(file, "of no kind that is read as a mask; convert it to PNG")
            lost.append(file)
        elif kind == "image" and stem in found:
            refused.add(file, f"a second mask of that name; {found[stem].name} was used")
        elif kind == "image":
            found[stem] = file
    return found, lost


def _case(
    spec: CorpusSpec, file: Path, known: Known, mask: Path | None, tables: list[Table]
) -> Case:
    label = known.label
    if mask is None and label is None and not known.unsure and spec.unmasked == "negative":
        label = 0
    unlabelled = known.unsure or (mask is None and label is None)
    return Case(
        corpus=spec.name,
        file=file,
        path=place(file, spec.root),
        key=known.key or without_suffix(file.name),
        label_quality="none" if unlabelled else _quality(spec, tables),
        label=label,
        mask_file=None if unlabelled else mask,
        patient_id=known.patient_id,
        patient_from_header=spec.patient_from_header is not False,
        patient_prefix=spec.patient_prefix,
        corrections=known.corrections,
        facts=known.facts,
    )


def _quality(spec: CorpusSpec, tables: list[Table]) -> LabelQuality:
    if spec.quality is not None:
        return spec.quality
    named_silver = any((table.label_column or "").lower() == "silver" for table in tables)
    return "silver" if named_silver else "expert"
