"""The learning rate at any point of a run, or of one of its phases."""

import math
from collections.abc import Sequence

from pleura.training.recipe import OptimizerRecipe

FINAL_RATE = 0.01
"""Of the learning rate: where a cosine ends."""
PLATEAU_FACTOR, PLATEAU_END = 0.1, 0.001
"""What a plateau multiplies the rate by, and the share of the first rate below which it does not go."""


def learning_rate(
    recipe: OptimizerRecipe, epoch: float, epochs: int, scores: Sequence[float | None] = ()
) -> float:
    """The rate at a point of a run or phase.

    Args:
        recipe: which schedule, from which rate.
        epoch: where, in epochs since it began; fractions count.
        epochs: that it lasts at most.
        scores: of its completed epochs, the higher the better, None of one that has none; what `plateau` goes
            by.
    """
    highest = recipe.learning_rate
    if epoch < recipe.warmup_epochs:
        return highest * max(epoch / recipe.warmup_epochs, 0.01)
    since = epoch - recipe.warmup_epochs
    if recipe.schedule == "constant":
        return highest
    if recipe.schedule == "plateau":
        return highest * max(PLATEAU_FACTOR ** _stalls(scores, recipe.plateau_epochs), PLATEAU_END)
    if recipe.schedule == "cosine":
        share = min(since / max(epochs - recipe.warmup_epochs, 1e-9), 1.0)
    elif recipe.schedule == "cosine_restarts":
        begun, length = _cycle(recipe, since)
        share = (since - begun) / length
    else:
        share = since / recipe.cycle_epochs
    return highest * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * share)))


def is_resting(recipe: OptimizerRecipe, epoch: int) -> bool:
    """Whether a cyclic schedule is at its lowest after `epoch` epochs; others always are.

    Where it is lowest within an epoch, the one before that rests: the rate has risen by the end of this one.

    The weights at such points are the ones worth averaging (Huang et al., Snapshot Ensembles, ICLR 2017).
    """
    if recipe.schedule not in ("cosine_restarts", "cosine_wave"):
        return True
    since = epoch - recipe.warmup_epochs
    if since <= 0:
        return False
    if recipe.schedule == "cosine_wave":
        waves = math.ceil((since / recipe.cycle_epochs - 1) / 2 - 1e-9)
        lowest = recipe.cycle_epochs * (2 * waves + 1)
    else:
        begun, length = _cycle(recipe, since)
        ended = begun > 0 and since - begun < 1e-9
        lowest = begun if ended else begun + length
    return lowest < since + 1 - 1e-9


def _cycle(recipe: OptimizerRecipe, since: float) -> tuple[float, float]:
    """When the restart's cycle around a point began, and how long it is, in epochs."""
    begun, length = 0.0, recipe.cycle_epochs
    while since >= begun + length - 1e-9:
        begun, length = begun + length, length * recipe.cycle_growth
    return begun, length


def _stalls(scores: Sequence[float | None], epochs: int) -> int:
    """How often `epochs` in a row brought no better score; each time the count begins anew.

    Of an epoch that was not scored it shows with the next one that was.
    """
    best, waited, stalls = -math.inf, 0, 0
    for score in scores:
        waited += 1
        if score is None:
            continue
        if score > best:
            best, waited = score, 0
        elif waited >= epochs:
            stalls, waited = stalls + 1, 0
    return stalls
