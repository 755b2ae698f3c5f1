"""What decides a training run, and how it is read.

model.py      `Recipe`: frozen dataclasses, checked
file.py       recipes by name or path; YAML with overrides to a `Recipe`
overrides.py  `key=value`, into nested sections and lists
"""

from pleura.training.recipe.file import find_recipe, known_recipes, read_recipe, recipe_from
from pleura.training.recipe.model import (
    LossTerm,
    NetworkRecipe,
    OptimizerRecipe,
    Phase,
    Recipe,
    ShareSchedule,
)

__all__ = [
    "LossTerm",
    "NetworkRecipe",
    "OptimizerRecipe",
    "Phase",
    "Recipe",
    "ShareSchedule",
    "find_recipe",
    "known_recipes",
    "read_recipe",
    "recipe_from",
]
