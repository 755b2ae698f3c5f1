"""What each aim would come to: operating points fitted on all folds but one, applied to that one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pleura.errors import EvaluationError
from pleura.evaluation.metrics import dice_of
from pleura.evaluation.operating_point import AIMS, Rule, called_at, fit_operating_point
from pleura.evaluation.parts import refuse_test
from pleura.evaluation.pixel_sweep import PixelSweep
from pleura.inference.postprocess import OperatingPoint


@dataclass(frozen=True)
class Outcome:
    """What an aim came to on films that had no say in its operating point.

    Attributes:
        aim: as `Aim.of` reads it.
        sensitivity, specificity: shares of the films with and without a labelled mask that were called so.
        dice_positive: mean Dice of films with a labelled mask; one that is not called counts 0.
        competition_dice: mean Dice of all films, empty/empty = 1.
    """

    aim: str
    sensitivity: float
    specificity: float
    dice_positive: float
    competition_dice: float


def cross_fitted(sweeps: Sequence[PixelSweep], *, part: str) -> tuple[Outcome, ...]:
    """The outcome of every aim that can be reached; by the rule `threshold`.

    Args:
        sweeps: out-of-fold predictions, one fold each; two folds at least.
        part: what these films are called.

    Raises:
        EvaluationError: `part` is a test part.
    """
    refuse_test(part)
    outcomes = []
    for aim in AIMS:
        try:
            points = [_fitted_without(n, sweeps, part, aim) for n in range(len(sweeps))]
        except EvaluationError:
            continue  # the films of some folds cannot reach it
        outcomes += _outcome(aim, sweeps, points)
    return tuple(outcomes)


def _fitted_without(fold: int, sweeps: Sequence[PixelSweep], part: str, aim: str) -> OperatingPoint:
    others = PixelSweep.joined([one for n, one in enumerate(sweeps) if n != fold])
    rule: Rule = "relative" if others.relative else "threshold"
    return fit_operating_point(others, part=part, rule=rule, aim=aim).point


def _outcome(
    aim: str, sweeps: Sequence[PixelSweep], points: Sequence[OperatingPoint]
) -> list[Outcome]:
    """What each fold's point comes to on it, all films together; nothing where they are of one class."""
    called, dices, positives = [], [], []
    for fold, point in zip(sweeps, points, strict=True):
        calls, (_, _, truth) = called_at(fold, point), fold.arrays()
        areas = fold.areas(
            fold.pixel_thresholds.index(point.pixel_threshold),
            fold.min_area_fractions.index(point.min_area_fraction),
        )
        called.append(calls)
        dices.append(np.where(calls, dice_of(areas[0], truth, areas[1]), truth == 0))
        positives.append(truth > 0)
    call, dice, positive = map(np.concatenate, (called, dices, positives))
    if positive.all() or not positive.any():
        return []
    return [
        Outcome(
            aim,
            sensitivity=float(call[positive].mean()),
            specificity=float((~call[~positive]).mean()),
            dice_positive=float(dice[positive].mean()),
            competition_dice=float(dice.mean()),
        )
    ]
