"""`pleura recipes`: the recipes that come with pleura, and what each costs."""

from typing import Annotated

import typer
from rich.table import Table

from pleura.cli.progress import console


def recipes(
    measure: Annotated[
        bool, typer.Option("--measure", help="Also time each network on this machine.")
    ] = False,
) -> None:
    """List the recipes: network, input size, parameters, arithmetic for one film.

    GFLOPs count a multiplication and its addition as two. With --measure, films a second on this machine's
    CPU: one film at a time, float32, random weights, reading not included.
    """
    from pleura.training.cost import cost_of, films_per_second
    from pleura.training.recipe import known_recipes, read_recipe

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("recipe", "left"), ("network", "left"), ("size", "right"),
                          ("M parameters", "right"), ("GFLOPs", "right")):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    if measure:
        table.add_column("films/s", justify="right", no_wrap=True)
    table.add_column("description", overflow="fold", ratio=1)
    for name, path in sorted(known_recipes().items()):
        recipe = read_recipe(path)
        cost = cost_of(recipe)
        cells = [
            name,
            recipe.network.name,
            f"{recipe.input.size}x{recipe.input.channels}",
            f"{cost.parameters / 1e6:.1f}",
            f"{cost.gflops:.1f}",
        ]
        if measure:
            cells.append(f"{films_per_second(recipe):.1f}")
        table.add_row(*cells, recipe.description)
    console.print(table)
