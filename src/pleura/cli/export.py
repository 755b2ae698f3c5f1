"""`pleura export`: a finished run to a bundle, the only thing that predicts."""

from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.progress import console


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(help="The bundle: a folder, or a file ending in .zip.", show_default=False),
    ],
    data: Annotated[
        Path | None, typer.Option(help="The dataset, if it has moved since.", show_default=False)
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="The split file.", show_default="DATA/split.json")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the model.", show_default="the recipe's")
    ] = None,
    version: Annotated[str, typer.Option(help="Of the model.")] = "0",
    licence: Annotated[str, typer.Option(help="Under which the weights are given.")] = "unstated",
) -> None:
    """Write the best weights of a run, its operating point and its data card as a bundle.

    Every file in it carries a SHA-256, and the bundle is opened again before this says done.
    """
    from pleura.data.manifest import Dataset
    from pleura.data.split import SPLIT_FILE, Split
    from pleura.training.export import export as write
    from pleura.training.run import RunFolder

    folder = data or Path(RunFolder(run).described()["dataset"])
    identity = write(
        run,
        Dataset.open(folder),
        Split.load(split or folder / SPLIT_FILE),
        out,
        name=name,
        version=version,
        licence=licence,
    )
    console.print(
        f"{out}: {identity.name} {identity.version}, SHA-256 {identity.sha256[:16]}..., checked. "
        "Research software, not a medical device.",
        markup=False,
    )
