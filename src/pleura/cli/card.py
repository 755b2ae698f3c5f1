"""`pleura card`: what a model is for, what made it, how good it is and what it cannot do."""

from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.progress import console


def card(
    bundle: Annotated[
        Path | None,
        typer.Argument(help="The model: a bundle.", show_default="the one in pleura-weights"),
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A .html or .md file.", show_default=False)
    ],
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder that `pleura evaluate` wrote for this bundle; may be given again.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the model card of a bundle, as a page or as Markdown.

    It holds what the bundle says of itself: its use, what its makers know of its weaknesses, its numbers out
    of fold, its operating point, its training; and the numbers of evaluations of this very bundle, of which
    pleura-weights brings its own.
    """
    from pleura.evaluation.card import write_card
    from pleura.inference.bundle import open_bundle
    from pleura.inference.shipped import default_bundle, shipped_evaluations

    evaluations = list(evaluation or ())
    if bundle is None:
        evaluations += shipped_evaluations()
    write_card(out, open_bundle(bundle or default_bundle()), evaluations)
    console.print(f"{out}: research software, not a medical device.", markup=False)
