"""`pleura recipes`: the recipes that come with pleura, and what each costs."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pleura.cli.progress import console

if TYPE_CHECKING:
    from pleura.training.recipe import Plan

WIDE = 140
"""Columns of a terminal in which the descriptions stand beside the figures; else they stand below."""


def recipes(
    measure: Annotated[
        bool, typer.Option("--measure", help="Also time each network on this machine.")
    ] = False,
) -> None:
    """List the recipes: network, input size, parameters, arithmetic for one film.

    GFLOPs count a multiplication and its addition as two. With --measure, films a second on this machine's
    CPU: one film at a time, float32, random weights, reading not included.
    """
    from pleura.training.recipe import known_recipes, read_plan

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("recipe", "left"), ("network", "left"), ("size", "right"),
                          ("M parameters", "right"), ("GFLOPs", "right")):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    if measure:
        table.add_column("films/s", justify="right", no_wrap=True)
    plans = {name: read_plan(path) for name, path in sorted(known_recipes().items())}
    costs = {name: _costs(plan, measure=measure) for name, plan in plans.items()}
    if console.width >= WIDE:
        table.add_column("description", ratio=1)
        for name, plan in plans.items():
            table.add_row(name, *costs[name], plan.description)
        console.print(table)
        return
    for name in plans:
        table.add_row(name, *costs[name])
    console.print(table)
    about = Table(box=None, pad_edge=False, show_header=False)
    about.add_column(no_wrap=True)
    about.add_column(ratio=1)
    for name, plan in plans.items():
        about.add_row(name, plan.description)
    console.print()
    console.print(about)


def _costs(plan: "Plan", *, measure: bool) -> list[str]:
    """Network, size, parameters, GFLOPs, films a second; of a cascade, for a film that its gate suspects."""
    from pleura.training.cost import cost_of, films_per_second
    from pleura.training.recipe import Recipe

    recipes = [plan] if isinstance(plan, Recipe) else [recipe for _, recipe in plan.parts()]
    costs = [cost_of(recipe) for recipe in recipes]
    cells = [
        " > ".join(recipe.network.name for recipe in recipes),
        " > ".join(f"{recipe.input.size}x{recipe.input.channels}" for recipe in recipes),
        f"{sum(cost.parameters for cost in costs) / 1e6:.1f}",
        f"{sum(cost.gflops for cost in costs):.1f}",
    ]
    if measure:
        cells.append(f"{1 / sum(1 / films_per_second(recipe) for recipe in recipes):.1f}")
    return cells
