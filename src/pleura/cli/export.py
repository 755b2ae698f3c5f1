"""`pleura export`: finished runs to a bundle, the only thing that predicts."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.progress import Bar, console


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of finished runs, which are averaged, or of one cross-validation.",
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
    flip: Annotated[
        bool, typer.Option("--flip", help="Average with the answer for the mirrored film.")
    ] = False,
    aim: Annotated[
        str | None,
        typer.Option(
            help='What the operating point is fitted for: "competition Dice", "specificity 0.95", '
            '"sensitivity 0.95" or "Youden".',
            show_default="the recipe's",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The dataset, if it has moved since.", show_default=False)
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="The split file.", show_default="DATA/split.json")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the model.", show_default="the recipes'")
    ] = None,
    version: Annotated[str, typer.Option(help="Of the model.")] = "0",
    licence: Annotated[str, typer.Option(help="Under which the weights are given.")] = "unstated",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Write the best weights of runs, their operating point and their data card as a bundle.

    Several runs are averaged. With --gate, a film is negative unless the gate's score reaches its
    threshold, and only the others are segmented. The operating point of a combination is fitted anew, on
    the tuning films that its runs share. Of a cross-validation, the models of all folds are averaged, and
    operating point and calibrator are those fitted on its out-of-fold films.

    Every file in it carries a SHA-256, and the bundle is opened again before this says done.
    """
    from pleura.data.manifest import Dataset
    from pleura.data.split import SPLIT_FILE, Split
    from pleura.training.cross_validate import export_folds, is_cross_validation
    from pleura.training.export import export as write
    from pleura.training.run import RunFolder

    folds = len(runs) == 1 and is_cross_validation(runs[0])
    if folds and (gate or flip or aim):
        raise typer.BadParameter("--gate, --flip and --aim do not go with a cross-validation")
    run = RunFolder(runs[0] / "fold-0" if folds else runs[0])
    folder = data or Path(run.described()["dataset"])
    dataset, parts = Dataset.open(folder), Split.load(split or folder / SPLIT_FILE)
    with Bar("Fitting the operating point") as bar:
        model = (
            partial(export_folds, runs[0])
            if folds
            else partial(write, runs, gates=gate or (), flip=flip, aim=aim)
        )
        identity = model(
            dataset=dataset,
            split=parts,
            out=out,
            name=name,
            version=version,
            licence=licence,
            device=device,
            progress=bar,
        )
    console.print(
        f"{out}: {identity.name} {identity.version}, SHA-256 {identity.sha256[:16]}..., checked. "
        "Research software, not a medical device.",
        markup=False,
    )
