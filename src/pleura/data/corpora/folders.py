"""A folder of films and a folder of masks with equal names or equal stems, and optional tables.

    images/a.png  masks/a.png        or png_images and png_masks, or any two folders that are named
    films.csv                        optional: file or ImageId, patient, label, spacing, facts

The films may be PNG, JPEG, WebP, TIFF or DICOM, at any depth. A film without a mask is negative where a
table says so (or with `unmasked: negative`), else unlabelled.
"""

from pathlib import Path, PurePosixPath

from pleura.data.corpora.case import Case, CorpusSpec
from pleura.data.corpora.listing import DICOM, IMAGES, files, first_named, place
from pleura.data.corpora.tables import Known, Table, known_about, read_table
from pleura.data.manifest import LabelQuality
from pleura.errors import CorpusError

PAIRS = (("png_images", "png_masks"), ("images", "masks"), ("imgs", "masks"), ("image", "mask"))
TABLES = ("films.csv", "images.csv", "silver.csv", "metadata.csv")


def cases(spec: CorpusSpec) -> tuple[list[Case], list[tuple[str, str]]]:
    """The films of the image folder, and (source, reason) for each mask without a film.

    Raises:
        CorpusError: a folder is missing or empty, or a table cannot be used.
    """
    images, masks = _folders(spec)
    names = [n for n in TABLES if (spec.root / n).is_file()] if spec.tables is None else spec.tables
    tables = [read_table(spec.root / name, spec.columns) for name in names]
    by_stem, failures = _masks(spec, masks)
    unused = set(by_stem)
    found: list[Case] = []
    for file, relative in files(images, IMAGES | DICOM):
        if masks is not None and file.is_relative_to(masks) and masks != images:
            continue
        stem = PurePosixPath(relative).with_suffix("").as_posix()
        keys = (relative, file.name, stem, PurePosixPath(file.name).stem)
        known = known_about(tables, keys, spec.spacing_matrix)
        unused.discard(stem)
        found.append(_case(spec, file, known, by_stem.get(stem), tables))
    if not found:
        raise CorpusError(f"{images} holds no film (PNG, JPEG, WebP, TIFF or DICOM)")
    for stem in sorted(unused):
        failures.append((_place(spec, by_stem[stem]), "a mask without a film of that name"))
    return found, failures


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


def _masks(spec: CorpusSpec, folder: Path | None) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """The masks by their path without suffix, and those whose name another mask has taken."""
    found: dict[str, Path] = {}
    doubled: list[tuple[str, str]] = []
    for file, relative in files(folder, IMAGES) if folder else ():
        stem = PurePosixPath(relative).with_suffix("").as_posix()
        if stem in found:
            doubled.append(
                (_place(spec, file), f"a second mask of that name; {found[stem].name} was used")
            )
        else:
            found[stem] = file
    return found, doubled


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
        key=known.key or PurePosixPath(file.name).stem,
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


def _place(spec: CorpusSpec, file: Path) -> str:
    return f"{spec.name}:{place(file, spec.root)}"
