"""`pleura evaluate`: a bundle on one part of a split, to numbers with intervals."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from pleura.cli.options import Device, OutFolder, PreparedDataset
from pleura.cli.progress import Bar, console
from pleura.errors import LeakError


@contextmanager
def _overlap_explained() -> Iterator[None]:
    """Says of films that made the model how they are scored all the same."""
    try:
        yield
    except LeakError as error:
        raise LeakError(
            f"{error}; or allow the overlap (--allow-overlap), which the report will say"
        ) from None


def evaluate(
    bundle: Annotated[
        Path,
        typer.Argument(
            help="The model: a bundle. Or what another tool predicted: a SIIM submission CSV, a folder of "
            "mask PNGs.",
            show_default=False,
        ),
    ],
    *,
    data: PreparedDataset,
    out: OutFolder,
    part: Annotated[
        str, typer.Option("--part", help="tune, test, or train (which flatters).")
    ] = "tune",
    split: Annotated[
        Path | None, typer.Option(help="The split file.", show_default="DATA/split.json")
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="Whose tuning films, if there are folds.")
    ] = None,
    device: Device = "auto",
    by: Annotated[
        list[str] | None,
        typer.Option(help="A column of the manifest to stratify by; may be given again."),
    ] = None,
    prevalence: Annotated[
        list[float] | None,
        typer.Option(
            help="A prevalence at which predictive values are wanted; may be given again.",
            show_default="0.01, 0.05, 0.2",
        ),
    ] = None,
    pictures: Annotated[
        bool, typer.Option(help="Show films on the page; leave them out of what is published.")
    ] = True,
    allow_overlap: Annotated[
        bool,
        typer.Option(
            "--allow-overlap",
            help="Score films that trained or tuned the model all the same; the report says how many.",
        ),
    ] = False,
) -> None:
    """Score a bundle with the very detector that predicts, on the films' own matrices.

    Dice, IoU and AUC with 95 % intervals by patient, beside a model that finds nothing. Opening the test part
    is counted and reported: open it once, for a model that is finished.
    """
    from pleura.data.manifest import Dataset
    from pleura.data.split import SPLIT_FILE, Split
    from pleura.evaluation.detection import PREVALENCES
    from pleura.evaluation.foreign import foreign_predictions
    from pleura.evaluation.numbers import METRICS
    from pleura.evaluation.report import NUMBERS_FILE, REPORT_FILE
    from pleura.evaluation.report import evaluate as run
    from pleura.inference.bundle import MANIFEST
    from pleura.inference.detector import Detector

    dataset = Dataset.open(data)
    drawn = Split.load(split or data / SPLIT_FILE)
    drawn.check(dataset)
    film_ids = drawn.part(part, None if part == "test" else fold)
    foreign = bundle.suffix.lower() == ".csv" or (
        bundle.is_dir() and not (bundle / MANIFEST).exists() and any(bundle.glob("*.png"))
    )
    with Bar("Evaluating") as bar, _overlap_explained():
        evaluation = run(
            foreign_predictions(bundle, dataset, film_ids)
            if foreign
            else Detector.load(bundle, device),
            dataset,
            film_ids,
            part=part,
            out=out,
            split_sha256=drawn.sha256,
            allow_overlap=allow_overlap,
            by=by or (),
            prevalences=prevalence or PREVALENCES,
            pictures=pictures,
            command=shlex.join(["pleura", *sys.argv[1:]]),
            progress=bar,
        )
    numbers = evaluation.numbers
    table = Table("metric", title=f"{bundle} on {part}", title_justify="left")
    for heading in ("value (95 % interval)", "all-empty", "films"):
        table.add_column(heading, justify="right")
    for row in evaluation.table():
        table.add_row(*row)
    console.print(table)
    console.print(
        f"{numbers.films} films of {numbers.patients} patients, {numbers.positives} positive. "
        "Empty truth and empty prediction count as Dice 1."
    )
    accepted = evaluation.accepted
    if accepted:
        shown = ("competition_dice", "dice_positives", "auc", "sensitivity", "specificity")
        told = ", ".join(f"{METRICS[key]} {accepted.metrics[key]}" for key in shown)
        console.print(f"Of the {accepted.films} films it did not decline: {told}.")
    for caveat in evaluation.caveats:
        console.print(Text("Mind:", "yellow"), caveat)
    console.print(f"Report: {out / REPORT_FILE}; numbers: {out / NUMBERS_FILE}")
