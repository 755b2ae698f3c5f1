"""What an epoch is worth by a phase's monitor: which one is the best, and what a plateau goes by."""

import math

from pleura.errors import NonFiniteLoss, TrainingError
from pleura.training.recipe import Recipe
from pleura.training.state import State
from pleura.training.tuning import Tuning


def worth(tuning: Tuning | None, phase: Recipe, state: State) -> float | None:
    """What the completed epoch is worth, the higher the better; None where it was not scored.

    A value that is not finite is none.

    Raises:
        TrainingError: the tuning films give no such value.
        NonFiniteLoss: the phase ends, and had no finite value.
    """
    monitor = phase.monitor
    if monitor == "last":
        return float(state.epoch)
    if tuning is None:
        return None
    value: float | None = -tuning.loss if monitor == "loss" else getattr(tuning, monitor)
    if value is None:
        raise TrainingError(
            f"the tuning films give no {monitor}: they need films of both classes; "
            "split again, or set monitor: loss"
        )
    if math.isfinite(value):
        return value
    if state.best is None and state.in_phase() >= phase.epochs:
        raise NonFiniteLoss(
            f"the {monitor} of the tuning films is not finite in epoch {state.epoch}, nor in any "
            "before; lower the learning rate, or set precision: 32"
        )
    return None


def worth_so_far(phase: Recipe, state: State) -> list[float | None]:
    """That of the phase's epochs, None of one that was not scored; with `last`, of their training loss."""
    rows, monitor = state.history[state.phase_began :], phase.monitor
    if monitor in ("loss", "last"):  # with `last`, tuning films have no say
        name = "tune_loss" if monitor == "loss" else "train_loss"
        return [None if row[name] is None else -row[name] for row in rows]
    return [row[monitor] for row in rows]
