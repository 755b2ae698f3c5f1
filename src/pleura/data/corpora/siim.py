"""The SIIM-ACR Pneumothorax Segmentation Challenge (Kaggle, 2019), and every corpus laid out like it.

    dicom-images-train/<study>/<series>/<ImageId>.dcm     any depth; ImageId is the SOP Instance UID
    train-rle.csv                                         ImageId, EncodedPixels; several rows a film
    patients.csv, nih.csv, films.csv                      optional: patients, true spacing, facts

The challenge has 12,047 annotated training films (2,669 with pneumothorax) and 3,205 test films without
labels, drawn from NIH ChestX-ray14 (Wang et al., CVPR 2017) and annotated by radiologists of the Society
of Thoracic Radiology (Filice et al., J Digit Imaging 2020). Research use under the terms of the
challenge and of the NIH Clinical Center.

Two things in its headers are not what they seem. PatientID is random a film, so a patient is known only
from a table. PixelSpacing is that of NIH's original, which was squeezed to 1024x1024 whatever its aspect;
a table with RowSpacingMm and ColumnSpacingMm (or OriginalRows, OriginalColumns and OriginalSpacingMm)
gives the film's true one.
"""

from pleura.data.corpora.case import Case, CorpusSpec
from pleura.data.corpora.listing import first_named, kinds, place, without_suffix
from pleura.data.corpora.refused import Refused
from pleura.data.corpora.rows import read_run_lengths
from pleura.data.corpora.tables import known_about, read_tables
from pleura.errors import CorpusError

ANNOTATIONS = ("train-rle.csv", "stage_2_train.csv")
FOLDERS = ("dicom-images-train", "dicom-images-test")
TABLES = ("patients.csv", "nih.csv", "films.csv")


def cases(spec: CorpusSpec) -> tuple[list[Case], list[tuple[str, str]]]:
    """The films under the root, and (source, reason) for each annotated film that is not there.

    A film without an annotation row is unlabelled, as all of a test folder are.

    Raises:
        CorpusError: there is no DICOM file, a table cannot be used, or an option is not this layout's.
    """
    _check_options(spec)
    annotations_name = spec.annotations or first_named(spec.root, ANNOTATIONS)
    rows = read_run_lengths(spec.root / annotations_name) if annotations_name else {}
    tables = read_tables(spec, TABLES)
    folder = spec.root / spec.images if spec.images else spec.root
    found: list[Case] = []
    present: set[str] = set()
    refused = Refused(spec)
    for file, _, kind in kinds(folder, refused.folder):
        if kind == "unknown":
            refused.add(file, "of no kind that is read here; DICOM is")
        if kind != "dicom":
            continue
        image_id = without_suffix(file.name)
        present.add(image_id)
        try:
            known = known_about(tables, (image_id,), spec.spacing_matrix)
        except CorpusError as error:
            refused.add(file, str(error))
            continue
        labelled = image_id in rows
        found.append(
            Case(
                corpus=spec.name,
                file=file,
                path=place(file, spec.root),
                key=image_id,
                label_quality=(spec.quality or "expert") if labelled else "none",
                annotations=tuple(rows.get(image_id, ())),
                patient_id=known.patient_id,
                patient_from_header=bool(spec.patient_from_header),
                patient_prefix=spec.patient_prefix,
                corrections=known.corrections,
                facts=known.facts,
            )
        )
    if not present:
        first = f"; {refused.rows[0][0]}: {refused.rows[0][1]}" if refused.rows else ""
        raise CorpusError(f"{folder} holds no DICOM file (*.dcm){first}; is it the right folder?")
    return found, refused.rows + [
        (
            f"{spec.name}:{annotations_name}",
            f"{image_id} has {len(texts)} annotation rows, but no film",
        )
        for image_id, texts in rows.items()
        if image_id not in present
    ]


def _check_options(spec: CorpusSpec) -> None:
    odd = {
        "masks": spec.masks is not None,
        "unmasked": spec.unmasked != "unlabelled",
        "columns: label": "label" in spec.columns,
    }
    if given := [name for name, is_given in odd.items() if is_given]:
        raise CorpusError(
            f"{spec.root} is of the layout siim, whose labels are its run lengths alone, and which knows no "
            f"{given[0]!r}; leave that out, or say 'layout: folders'"
        )
