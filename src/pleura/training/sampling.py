"""Which films an epoch shows, in which order, which in halves or painted: by labels, seed and epoch alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pleura.data.dataset import Beforehand
from pleura.errors import TrainingError
from pleura.training.recipe import Recipe

ORDER_STREAM = 0x0D  # keeps these draws apart from the augmentations', which use the same seed
HALF_STREAM = 0x1F
PAINT_STREAM = 0x2B


def epoch_order(
    labels: Sequence[int],
    *,
    seed: int,
    epoch: int,
    positive_share: float | None,
    films: int | None = None,
) -> NDArray[np.int64]:
    """Indices into `labels` in the order the epoch shows them.

    With a `positive_share`, all positives and as many negatives, drawn without replacement, as make up
    the rest; at most all of them. With `films`, only as many of that order.

    Raises:
        TrainingError: a share is asked for, but one class is missing.
    """
    given = np.asarray(labels)
    rng = np.random.default_rng([ORDER_STREAM, seed, epoch])
    if positive_share is None:
        return rng.permutation(len(given))[:films].astype(np.int64)
    positives, negatives = np.flatnonzero(given == 1), np.flatnonzero(given == 0)
    if len(positives) == 0 or len(negatives) == 0:
        raise TrainingError(
            f"positive_share needs films of both classes to train on; there are {len(positives)} "
            f"positive and {len(negatives)} negative ones"
        )
    wanted = _negatives(len(positives), len(negatives), positive_share)
    drawn = rng.choice(negatives, size=wanted, replace=False)
    return rng.permutation(np.concatenate([positives, drawn]))[:films].astype(np.int64)


def epoch_size(
    labels: Sequence[int], positive_share: float | None, films: int | None = None
) -> int:
    """How many films `epoch_order` gives for these labels."""
    positives, negatives = sum(v == 1 for v in labels), sum(v == 0 for v in labels)
    shown = len(labels)
    if positive_share is not None:
        shown = positives + _negatives(positives, negatives, positive_share)
    return shown if films is None else min(shown, films)


def other_half(
    index: int, order: NDArray[np.int64], share: float | None, seeds: tuple[int, int]
) -> int | None:
    """The film whose half takes the place of one of this film's; None: it stays whole.

    Args:
        index: the film.
        order: the epoch's films, of which the other is one, itself not ruled out.
        share: of the films that are halved; None: none is.
        seeds: the recipe's seed and the epoch.
    """
    if share is None:
        return None
    rng = np.random.default_rng([HALF_STREAM, *seeds, index])
    return int(rng.choice(order)) if rng.random() < share else None


def is_painted(index: int, label: int, share: float | None, seeds: tuple[int, int]) -> bool:
    """Whether a collapse is painted into a film: into that share of the negative ones.

    Args:
        index: the film.
        label: its own.
        share: of the negative films; None: none.
        seeds: the recipe's seed and the epoch.
    """
    if share is None or label != 0:
        return False
    return bool(np.random.default_rng([PAINT_STREAM, *seeds, index]).random() < share)


def beforehand(
    index: int, label: int, order: NDArray[np.int64], recipe: Recipe, seeds: tuple[int, int]
) -> Beforehand:
    """What a recipe does to a film before its augmentation.

    Args:
        index, label: the film, and its label.
        order, seeds: as `other_half` has them.
        recipe: says how many are halved, and how many painted.
    """
    other = other_half(index, order, recipe.hemithorax_cutmix, seeds)
    painted = other is None and is_painted(index, label, recipe.painted_collapses, seeds)
    return Beforehand(other, painted)


def _negatives(positives: int, negatives: int, positive_share: float) -> int:
    """How many negatives make up the rest beside all positives: at most all of them."""
    return min(round(positives * (1.0 - positive_share) / positive_share), negatives)
