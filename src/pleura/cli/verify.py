"""`pleura verify`: whether a prepared dataset is safe to train on."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pleura.cli.progress import Bar, console
from pleura.data.manifest import Dataset
from pleura.data.split import SPLIT_FILE, Split
from pleura.data.verify import MEASURES, Problem, Severity, Verification

STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "info": "dim"}
_NAMED = 2


def verify(
    data: Annotated[Path, typer.Argument(help="The prepared dataset.", show_default=False)],
    split: Annotated[
        Path | None,
        typer.Option(
            help="A split to look through for leaks.",
            show_default=f"DATA/{SPLIT_FILE} where there is one",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for verify.json and verify.html.", show_default="DATA"),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(help="Processes that read films.", min=1, show_default="one a core"),
    ] = None,
) -> None:
    """Check every film of a dataset, and show what deserves a look.

    Exit code 0: safe to train on. 1: not safe, or there is no dataset.
    """
    from pleura.cli.verify_page import page
    from pleura.data.verify import verify as verify_dataset
    from pleura.outputs.html import write_page

    dataset = Dataset.open(data)
    path = split or data / SPLIT_FILE
    loaded = Split.load(path) if split is not None or path.exists() else None
    with Bar("Verifying") as bar:
        found = verify_dataset(dataset, loaded, processes=processes, progress=bar)
    folder = out or data
    found.save(folder / "verify.json")
    write_page(folder / "verify.html", page(found, dataset))
    _say(found)
    console.print(f"Written to {folder / 'verify.html'}", markup=False, highlight=False)
    if not found.safe_to_train:
        raise typer.Exit(1)


def _say(found: Verification) -> None:
    console.print(_corpora(found))
    console.print(_looks(found))
    if found.problems:
        console.print(_problems(found.problems))
    errors, warnings = len(found.of("error")), len(found.of("warning"))
    verdict = (
        f"Safe to train on: no errors. Kinds of warning: {warnings}."
        if found.safe_to_train
        else f"NOT safe to train on. Kinds of error: {errors}, of warning: {warnings}."
    )
    style = "green" if found.safe_to_train else "bold red"
    console.print(f"{found.films:,} films in {found.seconds:.1f} s. ", Text(verdict, style), sep="")
    if found.split_sha256 is None:
        console.print("No split yet: make one with `pleura split`.", markup=False)


def _corpora(found: Verification) -> Table:
    table = Table("corpus", "labels", box=SIMPLE_HEAD)
    for name in ("films", "positive", "negative", "no label", "share", "patients"):
        table.add_column(name, justify="right")
    for row in found.corpora:
        table.add_row(
            Text(row.corpus),
            row.label_quality,
            *(f"{n:,}" for n in (row.films, row.positive, row.negative, row.unlabelled)),
            "–" if row.share is None else f"{row.share:.1%}",
            "unknown" if row.patients is None else f"{row.patients:,}",
        )
    return table


def _looks(found: Verification) -> Table:
    table = Table("looks", box=SIMPLE_HEAD)
    for name in ("5 %", "median", "95 %"):
        table.add_column(name, justify="right")
    quantiles = found.facts()["looks"]
    for name in MEASURES:
        if quantiles[name]:
            table.add_row(name, *(f"{quantiles[name][q]:.3g}" for q in ("p5", "median", "p95")))
    return table


def _problems(problems: tuple[Problem, ...]) -> Table:
    table = Table("", "what", "which", box=SIMPLE_HEAD)
    table.add_column("count", justify="right")
    for problem in problems:
        named = problem.films or tuple(detail for detail in problem.details if detail)
        some = ", ".join(named[:_NAMED]) + (", ..." if len(named) > _NAMED else "")
        table.add_row(
            Text(problem.severity, STYLES[problem.severity]),
            Text(f"{problem.code}: {problem.message}"),
            Text(some),
            f"{problem.count:,}",
        )
    return table
