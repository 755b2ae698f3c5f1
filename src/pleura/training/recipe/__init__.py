"""What decides a training run, and how it is read.

model.py      `Recipe`: frozen dataclasses, checked
file.py       recipes by name or path; YAML with overrides to a `Recipe`
overrides.py  `key=value`, into nested sections and lists
along.py      what moves along with an override
cascade.py    `Cascade`: a recipe made of two
"""

from pleura.training.recipe.cascade import Cascade, Plan, read_plan
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
    "Cascade",
    "LossTerm",
    "NetworkRecipe",
    "OptimizerRecipe",
    "Phase",
    "Plan",
    "Recipe",
    "ShareSchedule",
    "find_recipe",
    "known_recipes",
    "read_plan",
    "read_recipe",
    "recipe_from",
]
