"""What each aim would come to: operating points fitted on all folds but one, applied to that one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pleura.errors import EvaluationError
from pleura.evaluation.metrics import dice_of
from pleura.evaluation.operating_point import AIMS, called_at, fit_operating_point
from pleura.evaluation.pixel_sweep import PixelSweep


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
    outcomes = []
    for aim in AIMS:
        called, dices, truths = [], [], []
        try:
            for n, fold in enumerate(sweeps):
                others = PixelSweep.joined([one for m, one in enumerate(sweeps) if m != n])
                point = fit_operating_point(others, part=part, aim=aim).point
                calls = called_at(fold, point)
                t = fold.pixel_thresholds.index(point.pixel_threshold)
                a = fold.min_area_fractions.index(point.min_area_fraction)
                predicted, shared = fold.areas(t, a)
                _, _, truth = fold.arrays()
                called.append(calls)
                dices.append(np.where(calls, dice_of(predicted, truth, shared), truth == 0))
                truths.append(truth > 0)
        except EvaluationError:
            if "test" in part.lower():
                raise
            continue  # the films of some folds cannot reach it
        call, dice, positive = map(np.concatenate, (called, dices, truths))
        if positive.any() and not positive.all():
            outcomes.append(
                Outcome(
                    aim,
                    sensitivity=float(call[positive].mean()),
                    specificity=float((~call[~positive]).mean()),
                    dice_positive=float(dice[positive].mean()),
                    competition_dice=float(dice.mean()),
                )
            )
    return tuple(outcomes)
