"""`pleura preview`: a contact sheet of a recipe's augmented films."""

from pathlib import Path
from typing import Annotated

import typer

from pleura.cli.options import Overrides, PreparedDataset, RecipeName
from pleura.cli.progress import Bar, console
from pleura.files import remove_partial


def preview(
    recipe: RecipeName,
    overrides: Overrides = None,
    *,
    data: PreparedDataset,
    out: Annotated[Path, typer.Option(help="The picture, a PNG.")] = Path("preview.png"),
    films: Annotated[int, typer.Option(help="How many films, a row each.", min=1, max=64)] = 6,
    seed: Annotated[
        int, typer.Option(help="Decides which films, and how they are changed.", min=0)
    ] = 0,
) -> None:
    """Draw films as a recipe shows them to its network: each as it is, then five times augmented.

    Films that DATA/split.json tests, where there is one, are left alone.
    """
    from pleura.data.manifest import Dataset
    from pleura.data.split import SPLIT_FILE, Split
    from pleura.training.pictures import draw_augmented
    from pleura.training.recipe import find_recipe, read_recipe

    if out.suffix.lower() != ".png":
        raise typer.BadParameter(f"the picture is a PNG; got {out.name}", param_hint="--out")
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_partial(out.parent, shared=True)
    chosen = read_recipe(find_recipe(recipe), overrides or ())
    dataset = Dataset.open(data)
    split = data / SPLIT_FILE
    unseen = Split.load(split).test if split.exists() else ()
    with Bar("Reading films") as bar:
        shown = draw_augmented(chosen, dataset, out, films, seed, bar, unseen=unseen)
    console.print(
        f"{shown} films, each as it is and augmented, with their masks: {out}", markup=False
    )
