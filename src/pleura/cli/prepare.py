"""`pleura prepare`: corpora -> one dataset."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pleura.cli.progress import Bar, console
from pleura.data.manifest import Dataset, Film
from pleura.errors import CorpusError
from pleura.finding import PNEUMOTHORAX

_SHOWN = 5


def prepare(
    out: Annotated[
        Path, typer.Option(help="The dataset's folder: new, empty, or begun by the same command.")
    ],
    corpora: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders of films; the layout of each is told by its contents.", show_default=False
        ),
    ] = None,
    corpora_file: Annotated[
        Path | None,
        typer.Option(
            "--corpora",
            show_default=False,
            metavar="FILE.yaml",
            help="Corpora with an option set each, as a list under 'corpora:'; keys: root, name, "
            "layout, quality, images, masks, annotations, tables, columns, unmasked, spacing_matrix, "
            "patient_from_header, patient_prefix, target.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Longer side of the stored films in pixels, aspect kept, none enlarged; native by "
            "default. Masks stay on the source matrix."
        ),
    ] = None,
    channels: Annotated[
        int,
        typer.Option(
            help="Of the stored films: 1, or 3 equal ones for other tools that want colour; what a network "
            "takes is its recipe's to say."
        ),
    ] = 1,
    layout: Annotated[str, typer.Option(help="siim, folders or auto.")] = "auto",
    quality: Annotated[
        str | None, typer.Option(help="Of the labels: expert (a person's) or silver (a model's).")
    ] = None,
    images: Annotated[str | None, typer.Option(help="Folder of the films in a corpus.")] = None,
    masks: Annotated[str | None, typer.Option(help="Folder of the masks in a corpus.")] = None,
    annotations: Annotated[
        str | None, typer.Option(help="Table of run lengths in a corpus; train-rle.csv by default.")
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(help="Table of patients, labels or facts in a corpus; may be given again."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=NAME", help="id, patient, label, view, sex or age = its column."
        ),
    ] = None,
    unmasked: Annotated[
        str, typer.Option(help="What films without mask or label are: unlabelled or negative.")
    ] = "unlabelled",
    patient_from_header: Annotated[
        bool | None,
        typer.Option(
            help="Believe PatientID where no table names the patient. By default in folders of images, "
            "and not in the SIIM layout, where it is random."
        ),
    ] = None,
    target_name: Annotated[str, typer.Option(help="What the masks show.")] = PNEUMOTHORAX.name,
    target_code: Annotated[str, typer.Option(help="Its SNOMED CT code.")] = PNEUMOTHORAX.code,
    processes: Annotated[
        int | None, typer.Option(help="Worker processes; as many as cores by default.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget what a former run has finished in --out.")
    ] = False,
) -> None:
    """Bring folders of chest films and masks into one dataset.

    Takes the SIIM layout (DICOM tree and train-rle.csv) and folders of images and masks. Run the same command
    again to go on after an interruption, or to add films or a corpus. Leaving out a corpus that a former run
    brought is refused: take another folder, or begin anew with --fresh.
    """
    from pleura.data.corpora import CorpusSpec, read_specs
    from pleura.data.prepare import prepare as prepare_corpora
    from pleura.data.prepare import read_failures

    options = {
        "layout": layout,
        "quality": quality,
        "images": images,
        "masks": masks,
        "annotations": annotations,
        "tables": table or None,
        "columns": _columns(column or []),
        "unmasked": unmasked,
        "patient_from_header": patient_from_header,
        "target": {"name": target_name, "code": target_code},
    }
    specs = [CorpusSpec.from_dict({"root": str(root), **options}) for root in corpora or []]
    if corpora_file is not None:
        specs += read_specs(corpora_file)
    if not specs:
        raise CorpusError("there is no corpus to prepare; give a folder, or --corpora FILE.yaml")
    with Bar("prepare") as bar:
        dataset = prepare_corpora(
            specs,
            out,
            size=size,
            channels=channels,
            processes=processes,
            fresh=fresh,
            progress=bar,
        )
    console.print(_table(dataset))
    _say_what_lacks(dataset)
    _say_failures(out, read_failures(out))


def _columns(given: list[str]) -> dict[str, str]:
    roles = {}
    for text in given:
        role, equals, name = text.partition("=")
        if not equals or not name:
            raise CorpusError(f"--column {text!r} is not ROLE=NAME, as in --column label=Target")
        roles[role] = name
    return roles


def _table(dataset: Dataset) -> Table:
    """Counts a corpus and label quality."""
    table = Table(title=str(dataset.root), title_justify="left")
    table.add_column("corpus", overflow="fold")
    table.add_column("labels")
    for heading in ("films", dataset.target.name.lower(), "share", "patients", "met again"):
        table.add_column(heading, justify="right")
    groups = dict.fromkeys((film.corpus, film.label_quality) for film in dataset.films)
    for corpus, quality in groups:
        films = [f for f in dataset.films if (f.corpus, f.label_quality) == (corpus, quality)]
        table.add_row(corpus, quality, *_counts(films))
    if len(groups) > 1:
        table.add_section()
        table.add_row("all", "", *_counts(list(dataset.films)))
    return table


def _counts(films: list[Film]) -> tuple[str, ...]:
    labelled = [film for film in films if film.label is not None]
    positive = sum(film.label == 1 for film in labelled)
    unknown = any(film.patient_basis == "film" for film in films)
    patients = len({film.patient_id for film in films})
    return (
        str(len(films)),
        str(positive) if labelled else "-",
        f"{positive / len(labelled):.1%}" if labelled else "-",
        f"up to {patients}" if unknown else str(patients),
        str(sum(len(film.also_in) for film in films)),
    )


def _say_what_lacks(dataset: Dataset) -> None:
    labels = {film.label for film in dataset.films}
    if not labels & {0, 1}:
        lacks, way = (
            "No film has a label",
            "masks (--masks), a column of a table (--column label=NAME)",
        )
    elif 0 not in labels:
        lacks, way = "No film is negative", "a column of a table (--column label=NAME)"
    else:
        return
    console.print(
        f"{lacks}, so that nothing can be trained or tested: give {way} or, where every film without a mask "
        "is known to be healthy, --unmasked negative.",
        markup=False,
    )


def _say_failures(out: Path, failures: list[tuple[str, str]]) -> None:
    if not failures:
        return
    console.print(
        f"{len(failures)} could not be prepared or ask for a look ({out / 'failures.csv'}):"
    )
    for source, reason in failures[:_SHOWN]:
        console.print(f"  {source}: {reason}", markup=False, highlight=False)
    if len(failures) > _SHOWN:
        console.print(f"  and {len(failures) - _SHOWN} more")
