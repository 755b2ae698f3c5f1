"""Training what a plan asks for: one recipe, or the two of a cascade.

The folder of a cascade holds a run each:

OUT/gate        says which films the segmenter looks at
OUT/segmenter   draws the mask
"""

from collections.abc import Callable
from pathlib import Path

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.inference.manifest import SEGMENTER
from pleura.training.check import check_recipe
from pleura.training.recipe import Plan, Recipe
from pleura.training.recipe.cascade import PARTS
from pleura.training.run import RunFolder, is_cascade
from pleura.training.start import check_start, check_unseen
from pleura.training.state import State
from pleura.training.train import Report, train


def train_plan(
    plan: Plan,
    dataset: Dataset,
    split: Split,
    out: Path,
    *,
    fold: int | None = None,
    device: str = "auto",
    devices: int | None = None,
    finish: bool = False,
    fit: bool = True,
    report: Report | None = None,
    part_begins: Callable[[str, Recipe], None] | None = None,
) -> list[State]:
    """Trains a recipe as `train` does, or the gate and then the segmenter of a cascade.

    Args:
        plan: what to train.
        dataset, split, out, fold, device, devices, finish, fit, report: as `train` has them.
        part_begins: called with the role and the recipe of each part of a cascade that training turns to.

    Raises:
        PleuraError: as `train` says.
    """

    def one(recipe: Recipe, folder: Path) -> State:
        return train(
            recipe,
            dataset,
            split,
            folder,
            fold=fold,
            device=device,
            devices=devices,
            finish=finish,
            fit=fit,
            report=report,
        )

    if isinstance(plan, Recipe):
        return [one(plan, out)]
    for role, recipe in plan.parts():  # what is wrong with the second is not to wait for the first
        check_recipe(recipe)
        if not RunFolder(out / role).last.exists():
            check_start(recipe, fold)
            check_unseen(recipe, dataset, split, fold)
    states = []
    for role, recipe in plan.parts():
        if part_begins:
            part_begins(role, recipe)
        states.append(one(recipe, out / role))
    return states


def runs_of(plan: Plan, out: Path) -> list[tuple[str, Recipe, RunFolder]]:
    """Role, recipe and folder of each run that `train_plan` made of a plan in `out`."""
    if isinstance(plan, Recipe):
        return [(SEGMENTER, plan, RunFolder(out))]
    return [(role, recipe, RunFolder(out / role)) for role, recipe in plan.parts()]


def runs_in(out: Path) -> list[tuple[str, Recipe, RunFolder]]:
    """The same of a folder that `train_plan` has filled, whatever the plan was.

    Raises:
        TrainingError: there is no run.
    """
    if not is_cascade(out):
        return [(SEGMENTER, RunFolder(out).recipe(), RunFolder(out))]
    runs = [(role, RunFolder(out / role)) for role in PARTS]
    return [(role, run.recipe(), run) for role, run in runs]
