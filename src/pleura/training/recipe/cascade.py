"""`Cascade`: a recipe made of two, one that says which films to look at and one that looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from pleura.config import STRICT, parse, read_yaml
from pleura.errors import RecipeError
from pleura.evaluation.operating_point import Rule
from pleura.training.recipe.file import find_recipe, read_recipe
from pleura.training.recipe.model import Recipe

PARTS = ("gate", "segmenter")


@dataclass(frozen=True)
class Cascade:
    """Two recipes trained on the same films, to one model.

    Attributes:
        name, description: as a recipe's.
        gate: gives the presence score, which alone says which films the segmenter looks at.
        segmenter: draws the mask.
    """

    name: str
    gate: Recipe
    segmenter: Recipe
    description: str = ""

    @property
    def decision(self) -> Rule:
        """By which rule the operating point of the whole is fitted: a gate needs a presence threshold."""
        rules = {recipe.decision for _, recipe in self.parts()}
        return "relative" if rules == {"relative"} else "threshold"

    @property
    def aim(self) -> str:
        """What the operating point of the whole is fitted for."""
        return self.segmenter.aim

    def parts(self) -> tuple[tuple[str, Recipe], ...]:
        """Each part's name, which is its role and its folder's, and its recipe."""
        return tuple((name, getattr(self, name)) for name in PARTS)

    def to_the_end(self) -> "Cascade":
        """The same of both recipes: no tuning film has a say."""
        return replace(self, gate=self.gate.to_the_end(), segmenter=self.segmenter.to_the_end())


Plan = Recipe | Cascade
"""What can be trained to a model."""


@dataclass(frozen=True)
class _CascadeFile:
    """What the YAML of a cascade says: two names, or paths, of recipes."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    name: str
    gate: str
    segmenter: str
    description: str = ""


def read_plan(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """The recipe or cascade in a YAML file, with `key=value` overrides applied.

    In a cascade, `segmenter=unetpp` takes another recipe, and `segmenter.epochs=3` changes it.

    Raises:
        RecipeError: as `read_recipe` does.
        UnknownName: a cascade names a recipe that there is not.
    """
    given = read_yaml(path, RecipeError)
    if not is_cascade_file(given):
        return read_recipe(path, overrides)
    below: dict[str, list[str]] = {part: [] for part in PARTS}
    for override in overrides:
        key, equals, value = override.partition("=")
        part, _, rest = key.strip().partition(".")
        if part not in PARTS or not equals:
            raise RecipeError(
                f"{override!r} does not say which recipe of the cascade it changes: write "
                f"gate.{override} or segmenter.{override}; or gate=NAME, segmenter=NAME to take others"
            )
        if rest:
            below[part].append(f"{rest}={value}")
        else:
            given[part] = value.strip()
    file = parse(_CascadeFile, given, str(path), RecipeError)
    gate, segmenter = (read_recipe(find_recipe(getattr(file, p)), below[p]) for p in PARTS)
    return Cascade(file.name, gate, segmenter, file.description)


def is_cascade_file(given: Any) -> bool:
    """Whether YAML is of a cascade rather than of one recipe."""
    return isinstance(given, Mapping) and not given.keys().isdisjoint(PARTS)
