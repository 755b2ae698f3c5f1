"""What moves along with an override: phases' sizes with the input's, shares and warm-ups with the epochs."""

from collections.abc import Collection, Mapping
from typing import Any

from pleura.training.recipe.model import Recipe, ShareSchedule
from pleura.training.recipe.overrides import Place

SIZE_STEP = 32
"""px: what an encoder halves five times."""


def move_along(
    given: dict[str, Any], before: Mapping[str, Any], changed: Collection[Place]
) -> None:
    """Moves along in `given`, the mapping of a recipe, what its overrides have not set themselves.

    With `input.size`, the sizes of phases: in proportion, to multiples of 32 px. With `epochs`, of a recipe
    without phases or of a phase, the steps of its own `positive_share`, and with fewer its own warm-up. What
    is malformed is left as it is, since parsing says how.

    Args:
        given: with the overrides applied.
        before: without them.
        changed: which places the overrides have set.
    """
    phases = given.get("phases")
    if not phases:
        _move_steps(given, before, (), changed)
        _move_warmup(given, before, (), changed)
    if not isinstance(phases, list) or ("phases",) in changed:
        return
    sizes = _size(before), _size(given)
    for number, (phase, old) in enumerate(zip(phases, before["phases"], strict=True)):
        if isinstance(phase, dict) and isinstance(old, dict):
            _move_size(phase, sizes, ("phases", number), changed)
            _move_steps(phase, old, ("phases", number), changed)
            _move_warmup(phase, old, ("phases", number), changed)


def _is_set(place: Place, changed: Collection[Place]) -> bool:
    """Whether an override has set a place, what it stands in, or something in it."""
    return any(one[: len(place)] == place or place[: len(one)] == one for one in changed)


def _size(given: Mapping[str, Any]) -> Any:
    spec = given.get("input")
    return spec.get("size") if isinstance(spec, dict) else None


def _move_size(
    phase: dict[str, Any], sizes: tuple[Any, Any], place: Place, changed: Collection[Place]
) -> None:
    size, (old, new) = phase.get("size"), sizes
    if _is_set((*place, "size"), changed) or old == new:
        return
    if all(isinstance(one, int) and one > 0 for one in (size, old, new)):
        steps = max(round(size * new / old / SIZE_STEP), 1)
        phase["size"] = new if size == old else steps * SIZE_STEP


def _move_steps(
    stretch: dict[str, Any], before: Mapping[str, Any], place: Place, changed: Collection[Place]
) -> None:
    """Moves the steps of a recipe's or phase's share with its epochs."""
    share = stretch.get("positive_share")
    old, new = (one.get("epochs", Recipe.epochs) for one in (before, stretch))
    if not isinstance(share, dict) or _is_set((*place, "positive_share"), changed) or old == new:
        return
    try:
        schedule = ShareSchedule(stepwise=tuple((epoch, s) for epoch, s in share["stepwise"]))
        moved = schedule.stretched(old, new).stepwise or ()
    except (TypeError, ValueError, KeyError, ZeroDivisionError):
        return
    stretch["positive_share"] = share | {"stepwise": [list(step) for step in moved]}


def _move_warmup(
    stretch: dict[str, Any], before: Mapping[str, Any], place: Place, changed: Collection[Place]
) -> None:
    """Shortens the warm-up of fewer epochs in proportion: it would fill them otherwise."""
    optimizer = stretch.get("optimizer")
    old, new = (one.get("epochs", Recipe.epochs) for one in (before, stretch))
    if not isinstance(optimizer, dict) or _is_set((*place, "optimizer", "warmup_epochs"), changed):
        return
    warmup = optimizer.get("warmup_epochs")
    if all(isinstance(one, int | float) and one > 0 for one in (warmup, old, new)) and new < old:
        stretch["optimizer"] = optimizer | {"warmup_epochs": warmup * new / old}
