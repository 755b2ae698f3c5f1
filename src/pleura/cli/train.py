"""`pleura train`: a recipe on a prepared dataset, to a run folder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pleura.cli.options import Device, Devices, Overrides, PreparedDataset, RecipeName
from pleura.cli.progress import Bar, console, note

if TYPE_CHECKING:
    from pleura.training.recipe import Recipe
    from pleura.training.state import State


def train(
    recipe: RecipeName,
    overrides: Overrides = None,
    *,
    data: PreparedDataset,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder.", show_default="runs/NAME")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="The split file.", show_default="DATA/split.json")
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Which fold tunes, if there are folds.")] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="What the network starts from: imagenet (its encoder), coco (mask_rcnn), random, or a "
            "safetensors file."
        ),
    ] = None,
    device: Device = "auto",
    devices: Devices = None,
    finish: Annotated[
        bool,
        typer.Option("--finish", help="Train no further: make the best weights so far exportable."),
    ] = False,
) -> None:
    """Train a recipe; the same command resumes a run that was interrupted.

    The run's folder holds a log, TensorBoard events, curves, pictures of tuning films and the best
    weights; make a bundle of them with `pleura export`. A cascade trains its two recipes one after the
    other; `segmenter=unetpp` takes another one, `gate.epochs=5` changes one.
    """
    from pleura.data.manifest import Dataset
    from pleura.data.split import SPLIT_FILE, Split
    from pleura.training.cascade import train_plan
    from pleura.training.processes import follows
    from pleura.training.recipe import Cascade, find_recipe, read_plan
    from pleura.training.train import Report

    console.quiet = follows()  # one of several processes tells
    changes = [*(overrides or ())]
    if init:  # as it is read: what a recipe asks of its start is asked of this one
        changes.append(f"network.init={json.dumps(init)}")
    plan = read_plan(find_recipe(recipe), changes)
    folder = out or Path("runs") / plan.name
    dataset = Dataset.open(data)
    with (
        Bar("Finding lungs") as lungs,
        Bar("Reading films") as cache,
        Bar("Training") as films,
        Bar("Fitting the operating point") as point,
    ):
        report = Report(lungs, cache, films, point, epoch_line, note)
        try:
            states = train_plan(
                plan,
                dataset,
                Split.load(split or data / SPLIT_FILE),
                folder,
                fold=fold,
                device=device,
                devices=devices,
                finish=finish,
                report=report,
                part_begins=lambda role, part: console.print(f"{role}: {part.name}"),
            )
        except KeyboardInterrupt:
            console.print(
                f"Interrupted. The same command resumes {folder} after its last whole epoch; with "
                "--finish it makes the best weights so far exportable.",
                markup=False,
            )
            raise typer.Exit(130) from None
    parts = [one for _, one in plan.parts()] if isinstance(plan, Cascade) else [plan]
    for part, state in zip(parts, states, strict=True):
        console.print(f"{part.name}: {_outcome(part, state)}", markup=False)
    console.print(f"The {'runs are' if len(parts) > 1 else 'run is'} in {folder}.", markup=False)


def _outcome(recipe: "Recipe", state: "State") -> str:
    """How many epochs there were, and which was the best."""
    epochs = f"{state.epoch} epoch{'' if state.epoch == 1 else 's'}"
    if state.best is None:
        return epochs
    value = abs(state.best)  # a loss is kept with its sign turned, so that higher is better
    monitor = recipe.phase(state.phase).monitor
    return f"{epochs}; the best was {state.best_epoch} ({monitor} {value:.3f} on the tuning films)"


def epoch_line(row: dict[str, Any]) -> None:
    """Prints what an epoch came to, of a row of the log."""

    def shown(name: str) -> str:
        return "none" if row[name] is None else f"{row[name]:.3f}"

    phase = f"  {row['phase']}" if "phase" in row else ""
    console.print(
        f"epoch {row['epoch']:>3}{phase}  loss {shown('train_loss')} / {shown('tune_loss')}  "
        f"Dice+ {shown('dice_positive')}  Dice {shown('competition_dice')} "
        f"(empty {shown('all_empty_dice')})  AUC {shown('auc')}  {row['films_per_second']:.0f} films/s"
        f"{'  best' if row['best'] else ''}"
    )
