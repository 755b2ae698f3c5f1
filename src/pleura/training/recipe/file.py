"""Recipes by name or path, from YAML."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pleura.config import parse, read_yaml
from pleura.errors import RecipeError, UnknownName
from pleura.training.recipe.along import move_along
from pleura.training.recipe.model import PHASE_KEYS, Recipe
from pleura.training.recipe.overrides import apply_overrides

# Inside an installed package, and at the top of a checkout.
_FOLDERS = (Path(__file__).parents[2] / "recipes", Path(__file__).parents[4] / "recipes")


def known_recipes() -> dict[str, Path]:
    """The recipes that come with pleura: their names and files."""
    return {path.stem: path for folder in _FOLDERS for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name: str) -> Path:
    """The file of a recipe given by its path, or by the name of one that comes with pleura.

    Raises:
        UnknownName: neither a file nor a known name.
    """
    if Path(name).suffix in (".yaml", ".yml"):
        return Path(name)
    known = known_recipes()
    if name not in known:
        raise UnknownName.among("recipe (or path of one, ending in .yaml)", name, known)
    return known[name]


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, with `key=value` overrides (dots reach into sections and lists) applied.

    Raises:
        RecipeError: no such file, an unknown key (with a spelling hint), a wrong type or value.
    """
    given = read_yaml(path, RecipeError)
    if not isinstance(given, dict):
        raise RecipeError(f"{path} holds no recipe: a mapping of keys to values is expected")
    if "gate" in given and "segmenter" in given:
        raise RecipeError(
            f"{path} is a cascade of the recipes {given['gate']} and {given['segmenter']}; name one of them"
        )
    before = deepcopy(given)
    move_along(given, before, apply_overrides(given, overrides))
    if given.get("precision") == 32:  # YAML's number for what is the name of a precision
        given["precision"] = "32"
    _refuse_idle(given, overrides)
    _inherit(given)
    where = f"{path} with {' '.join(overrides)}" if overrides else str(path)
    return parse(Recipe, given, where, RecipeError)


def recipe_from(given: Mapping[str, Any], where: str) -> Recipe:
    """The recipe in a mapping that `to_yaml` wrote."""
    return parse(Recipe, given, where, RecipeError)


def _refuse_idle(given: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Raises RecipeError for an override of what every phase says for itself: it would change nothing."""
    phases = given.get("phases")
    if not isinstance(phases, list) or not phases:
        return
    for override in overrides:
        key = override.partition("=")[0].strip()
        first, *rest = key.split(".")
        if first in PHASE_KEYS and all(_says(phase, [first, *rest[:1]]) for phase in phases):
            raise RecipeError(
                f"{override!r} would change nothing: each phase has its own {key}; "
                f"write phases.{phases[0].get('name', 0)}.{override}"
            )


def _says(phase: Any, path: Sequence[str]) -> bool:
    """Whether a phase has a value of its own at `path`."""
    for part in path:
        if isinstance(phase, list):
            return True
        if not isinstance(phase, dict) or part not in phase:
            return False
        phase = phase[part]
    return True


def _inherit(given: dict[str, Any]) -> None:
    """Gives phases what they leave out: the recipe's own; and the recipe the epochs of all of them."""
    phases = given.get("phases")
    if not isinstance(phases, list) or not all(isinstance(one, dict) for one in phases):
        return  # if it is wrong, parsing says how
    for phase in phases:
        for key in PHASE_KEYS:
            if key not in given:
                continue
            if key not in phase:
                phase[key] = given[key]
            elif (
                isinstance(phase[key], dict) and isinstance(given[key], dict) and key == "optimizer"
            ):
                phase[key] = given[key] | phase[key]
    epochs = [phase.get("epochs") for phase in phases]
    if phases and "epochs" not in given and all(isinstance(n, int) for n in epochs):
        given["epochs"] = sum(epochs)
