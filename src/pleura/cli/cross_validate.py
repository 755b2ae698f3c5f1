"""`pleura cross-validate`: a recipe on every fold, its out-of-fold films scored together and apart."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pleura.cli.options import Device, Devices, OutFolder, Overrides, PreparedDataset, RecipeName
from pleura.cli.progress import Bar, console, note
from pleura.cli.train import epoch_line


def cross_validate(
    recipe: RecipeName,
    overrides: Overrides = None,
    *,
    data: PreparedDataset,
    out: OutFolder,
    split: Annotated[
        Path | None,
        typer.Option(help="The split file, with folds.", show_default="DATA/split.json"),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(help="Train only this one, to be scored later.", show_default="all"),
    ] = None,
    device: Device = "auto",
    devices: Devices = None,
) -> None:
    """Train every fold and score each film by the model that never saw it; resumes where it stopped.

    Each fold trains to its last epoch, and its films are called at an operating point fitted on the other
    folds. Test films are not touched. `pleura export OUT` makes one bundle of all folds. With --fold, each
    may be trained on a device or a machine of its own; the command without it then scores them.
    """
    from pleura.data.manifest import Dataset
    from pleura.data.split import SPLIT_FILE, Split
    from pleura.evaluation.numbers import METRICS
    from pleura.evaluation.report import REPORT_FILE
    from pleura.training.cross_validate import cross_validate as run
    from pleura.training.cross_validate import train_fold
    from pleura.training.out_of_fold import PART
    from pleura.training.processes import Processes, follows
    from pleura.training.recipe import find_recipe, read_plan
    from pleura.training.train import Report

    if Processes.wanted(devices).all > 1 and fold is None:
        raise typer.BadParameter("several devices go with --fold: they train one fold at a time")
    console.quiet = follows()  # one of several processes tells
    plan = read_plan(find_recipe(recipe), overrides or ())
    dataset, folds = Dataset.open(data), Split.load(split or data / SPLIT_FILE)
    with (
        Bar("Finding lungs") as lungs,
        Bar("Reading films") as cache,
        Bar("Training") as films,
        Bar("Fitting operating points") as points,
        Bar("Scoring") as scoring,
    ):
        report = Report(lungs, cache, films, points, epoch_line, note)
        try:
            if fold is not None:
                train_fold(
                    plan, dataset, folds, out, fold, device=device, devices=devices, report=report
                )
                console.print(f"Fold {fold} is trained. Without --fold, all are scored.")
                return
            found = run(
                plan,
                dataset,
                folds,
                out,
                device=device,
                command=shlex.join(["pleura", *sys.argv[1:]]),
                report=report,
                fold_begins=lambda fold: console.print(f"fold {fold}"),
                sweeping=points,
                scoring=scoring,
            )
        except KeyboardInterrupt:
            console.print(f"Interrupted. The same command goes on in {out}.")
            raise typer.Exit(130) from None
    table = Table("metric", title=f"{recipe}, out of fold", title_justify="left")
    table.add_column("all films (95 % interval)", justify="right")
    for number in range(len(found.folds)):
        table.add_column(f"fold {number}", justify="right")
    for key, name in METRICS.items():
        each = [numbers.metrics[key].value for numbers in found.folds]
        table.add_row(
            name,
            str(found.together.numbers.metrics[key]),
            *("–" if value is None else f"{value:.3f}" for value in each),
        )
    console.print(table)
    others = Table(
        "aim", title="Operating points for other aims, out of fold", title_justify="left"
    )
    for column in ("sensitivity", "specificity", "Dice on positives", "competition Dice"):
        others.add_column(column, justify="right")
    for aim in found.aims:
        values = (aim.sensitivity, aim.specificity, aim.dice_positive, aim.competition_dice)
        others.add_row(aim.aim, *(f"{value:.3f}" for value in values))
    console.print(others)
    console.print(f"Report: {out / PART / REPORT_FILE}")
