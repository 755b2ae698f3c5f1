"""`pleura export-dataset`: the same films and split, as another tool wants them."""

from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.progress import Bar, console


def export_dataset(
    layout: Annotated[str, typer.Argument(help="nnunet or coco.", show_default=False)],
    *,
    data: Annotated[Path, typer.Option(help="The prepared dataset.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder.", show_default=False)],
    split: Annotated[
        Path | None, typer.Option(help="The split file.", show_default="DATA/split.json")
    ] = None,
) -> None:
    """Write a dataset and its split for a peer, so that both are trained on exactly the same films.

    What the peer then predicts, `pleura evaluate` scores: a folder of mask PNGs, or a SIIM submission.
    """
    from pleura.data.manifest import Dataset
    from pleura.data.peers import PEERS
    from pleura.data.split import SPLIT_FILE, Split
    from pleura.errors import UnknownName

    if layout not in PEERS:
        raise UnknownName.among("layout", layout, PEERS)
    dataset = Dataset.open(data)
    drawn = Split.load(split or data / SPLIT_FILE)
    drawn.check(dataset)
    with Bar("Exporting") as bar:
        written = PEERS[layout](dataset, drawn, out, bar)
    counts = ", ".join(f"{count} films to {part}" for part, count in written.films.items())
    console.print(f"{out}: {counts}. {written.advice}")
