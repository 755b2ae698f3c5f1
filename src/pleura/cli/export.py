"""`pleura export`: finished runs to a bundle, the only thing that predicts."""

import shlex
import sys
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.options import Device
from pleura.cli.progress import Bar, console


class Graph(StrEnum):
    """How an exported graph keeps its numbers, if there is to be one."""

    f32 = "f32"
    f16 = "f16"
    int8 = "int8"
    none = "none"


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of finished runs or of finished cross-validations, which are averaged, or of a "
            "cascade.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="The bundle: a folder, or a file ending in .zip.", show_default=False),
    ],
    gate: Annotated[
        list[Path] | None,
        typer.Option(
            help="A run that says which films RUNS look at (a cascade); may be given again.",
            show_default=False,
        ),
    ] = None,
    anatomy: Annotated[
        Path | None,
        typer.Option(
            help="A run of `pleura train-anatomy`, or `shipped`, that of pleura-weights: it finds the lungs, "
            "and declines what is no chest film.",
            show_default=False,
        ),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average with the answer for the mirrored film.")
    ] = False,
    aim: Annotated[
        str | None,
        typer.Option(
            help="What the operating point is fitted for: 'competition Dice'; 'competition Dice 0.99', a "
            "share of the best, and then the best on positives; 'specificity 0.95'; 'sensitivity 0.95'; "
            "or 'Youden'.",
            show_default="the recipe's",
        ),
    ] = None,
    graph: Annotated[
        Graph,
        typer.Option(
            help="The exported graph's numbers, for prediction without PyTorch: f32; f16, half the size; "
            "int8, quantised on training films; or none."
        ),
    ] = Graph.f32,
    weights: Annotated[
        bool,
        typer.Option(help="Also write the safetensors, which PyTorch needs, and a GPU with it."),
    ] = True,
    thumbnails: Annotated[
        bool,
        typer.Option(
            help="Keep 8x8 grey levels of the training films, by which near copies are found later; "
            "leave them out of what is published."
        ),
    ] = True,
    data: Annotated[
        Path | None, typer.Option(help="The dataset, if it has moved since.", show_default=False)
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            help="The split file.", show_default="that of the cross-validation, or DATA/split.json"
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="A folder for the out-of-fold scores of several cross-validations' average, with a page.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the model.", show_default="the recipes'")
    ] = None,
    version: Annotated[str, typer.Option(help="Of the model.")] = "0",
    licence: Annotated[str, typer.Option(help="Under which the weights are given.")] = "unstated",
    about: Annotated[
        Path | None,
        typer.Option(
            help="What people say of the model, for its card: YAML with a summary, and sections of points.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Write the best weights of runs, their operating point and their data card as a bundle.

    Several runs are averaged. With --gate, a film is negative unless the gate's score reaches its
    threshold, and only the others are segmented. The operating point of a combination is fitted anew, on
    the tuning films that its runs share. Of a cross-validation, the models of all folds are averaged, and
    operating point and calibrator are those fitted on its out-of-fold films; of several on one split, they
    are fitted anew on the average of their out-of-fold answers, and --scores scores it as `pleura
    cross-validate` does one.

    The graph runs in OpenVINO or ONNX Runtime, without PyTorch. It is refused unless it decides as PyTorch
    does on tuning films; the numbers stand in the bundle and are printed.

    Every file in it carries a SHA-256, and the bundle is opened again before this says done.
    """
    from pleura.data.manifest import Dataset
    from pleura.data.split import Split
    from pleura.errors import DatasetError
    from pleura.evaluation.card import read_about
    from pleura.inference.manifest import SEGMENTER
    from pleura.training.blend import export_blend
    from pleura.training.cross_validate import (
        check_finished,
        export_folds,
        is_cross_validation,
        run_of_fold,
        split_of,
    )
    from pleura.training.export import export as write
    from pleura.training.run import RunFolder, is_cascade

    for run in runs:
        if any(run.glob("fold-*")):
            check_finished(run)
    if len({run.resolve() for run in runs}) < len(runs):
        raise typer.BadParameter("a run is given twice, and would only be averaged with itself")
    folds = is_cross_validation(runs[0])
    if any(is_cross_validation(run) is not folds for run in runs):
        raise typer.BadParameter("give runs, or finished cross-validations, but not both at once")
    if folds and (gate or flip or aim):
        raise typer.BadParameter("--gate, --flip and --aim do not go with a cross-validation")
    several = folds and len(runs) > 1
    if scores and not several:
        raise typer.BadParameter(
            "--scores goes with several cross-validations; `pleura cross-validate` has scored each alone"
        )
    run = run_of_fold(runs[0], 0) if folds else runs[0]
    run = run / SEGMENTER if is_cascade(run) else run
    folder = data or Path(RunFolder(run).described()["dataset"])
    if data is None and not folder.exists():
        raise DatasetError(
            f"{run} was trained on {folder}, which is not there; say where its dataset lies now (--data)"
        )
    dataset, parts = Dataset.open(folder), Split.load(split or split_of(runs[0], folder))
    with (
        Bar("Fitting the operating point") as bar,
        Bar("Scoring") as scoring,
        Bar("Comparing with PyTorch") as checking,
    ):
        model = partial(write, runs, gates=gate or (), flip=flip, aim=aim)
        if folds:
            model = partial(export_folds, runs[0])
        if several:
            command = shlex.join(["pleura", *sys.argv[1:]])
            model = partial(export_blend, runs, scores=scores, command=command, scoring=scoring)
        identity = model(
            dataset=dataset,
            split=parts,
            out=out,
            name=name,
            version=version,
            licence=licence,
            graph=None if graph is Graph.none else graph.value,
            keep_weights=weights,
            thumbnails=thumbnails,
            anatomy=anatomy,
            about=asdict(read_about(about)) if about else None,
            device=device,
            progress=bar,
            checking=checking,
        )
    _say_checked(out)
    console.print(
        f"{out}: {identity.name} {identity.version}, SHA-256 {identity.sha256[:16]}..., checked. "
        "Research software, not a medical device.",
        markup=False,
    )


def _say_checked(out: Path) -> None:
    """How the graphs' decisions compared with PyTorch's, a line for each way to run them."""
    from pleura.inference.bundle import open_bundle

    for check in open_bundle(out).manifest.exports.get("checked", ()):
        dice = check["dice_mean"]
        console.print(
            f"{check['runtime']} {check['precision']} against PyTorch on {check['films']} tuning films: "
            f"{len(check['changed'])} decisions changed, "
            + (
                "no mask"
                if dice is None
                else f"Dice {dice:.4f}, {check['dice_worst']:.4f} at worst"
            )
            + f", probability within {check['probability_worst']:.4f}"
        )
