"""`key=value`: what a command line changes in a recipe."""

from collections.abc import Sequence
from typing import Any

import yaml

from pleura.config import parse_yaml
from pleura.errors import RecipeError

Place = tuple[str | int, ...]
"""Where in a recipe's mapping a value stands: keys, and numbers of items of lists."""


def apply_overrides(given: dict[str, Any], overrides: Sequence[str]) -> set[Place]:
    """Sets each `key=value` in `given`, the mapping of a recipe; values are YAML, as in its file.

    Dots reach into sections, and into lists by number (`loss.0.weight=2`) or by the `name` of what they hold
    (`phases.mask.epochs=3`).

    Returns:
        The places that were set.

    Raises:
        RecipeError: one is no override, or reaches for what there is not.
    """
    changed: set[Place] = set()
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key.strip(" ."):
            raise RecipeError(f"{override!r} is no override; write key=value, such as epochs=3")
        try:
            parsed = parse_yaml(value)
        except yaml.YAMLError as error:
            raise RecipeError(f"{override!r}: its value is not YAML ({error})") from error
        *path, last = key.strip().split(".")
        place: Any = given
        keys: list[str | int] = []
        for number, part in enumerate(path):
            keys.append(_key(place, part, override, ".".join(path[:number])))
            if isinstance(place, dict) and place.get(part) is None:
                place[part] = {}
            place = place[keys[-1]]
        keys.append(_key(place, last, override, ".".join(path)))
        place[keys[-1]] = parsed
        changed.add(tuple(keys))
    return changed


def _key(place: Any, part: str, override: str, where: str) -> str | int:
    """By what `part` is reached in a section or list."""
    if isinstance(place, list):
        return _index(place, part, override, where)
    if not isinstance(place, dict):
        raise RecipeError(f"{override!r}: {where} is a value, not a section")
    return part


def _index(items: list[Any], part: str, override: str, where: str) -> int:
    """Which of `items` is meant, by number from 0 or by its name."""
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if part.isdecimal() and int(part) < len(items):
        return int(part)
    if names.count(part) == 1:
        return names.index(part)
    listed = ", ".join(f"{n} ({name})" if name else str(n) for n, name in enumerate(names))
    held = f"it holds {listed}" if items else "it is empty"
    why = "more than one of that name" if part in names else f"no {part!r}"
    raise RecipeError(
        f"{override!r}: the list {where} has {why}; {held}. Name one by its number or its name"
    )
