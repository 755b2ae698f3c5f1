"""Losses on logits, one value an image: a table of names, and the weighted sum a recipe asks for."""

import inspect
from collections.abc import Callable, Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from pleura.errors import UnknownName
from pleura.training.recipe import LossTerm

Loss = Callable[[Tensor, Tensor], Tensor]


def bce(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy, averaged over each image's pixels.

    Args:
        logits: float (N, 1, H, W).
        masks: float (N, 1, H, W) in {0, 1}.

    Returns:
        (N,), not negative.
    """
    return F.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean(dim=(1, 2, 3))


def dice(logits: Tensor, masks: Tensor, smooth: float = 1.0) -> Tensor:
    """Soft Dice loss of each image by itself (Milletari, Navab and Ahmadi, "V-Net", 3DV 2016).

    1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s), with plain sums below. `smooth` is s, in pixels: it makes an
    empty mask predicted empty cost 0 and predicted as n pixels cost n / (n + s), so that false
    positives on empty films are punished, and nothing divides by zero.

    Args:
        logits: float (N, 1, H, W).
        masks: float (N, 1, H, W) in {0, 1}.

    Returns:
        (N,), 0 to 1.
    """
    probabilities = logits.sigmoid()
    both = (probabilities * masks).sum(dim=(1, 2, 3))
    either = probabilities.sum(dim=(1, 2, 3)) + masks.sum(dim=(1, 2, 3))
    return 1.0 - (2.0 * both + smooth) / (either + smooth)


def bce_dice(logits: Tensor, masks: Tensor, alpha: float = 0.5, smooth: float = 1.0) -> Tensor:
    """alpha times `bce` plus (1 - alpha) times `dice`; shapes as there."""
    return alpha * bce(logits, masks) + (1.0 - alpha) * dice(logits, masks, smooth)


LOSSES: Mapping[str, Callable[..., Tensor]] = {"bce": bce, "dice": dice, "bce_dice": bce_dice}


def weighted_sum(terms: Sequence[LossTerm]) -> Loss:
    """The loss a recipe asks for; (N, 1, H, W) logits and masks to (N,).

    Raises:
        UnknownName: a loss, or an option of one, has no such name.
    """
    for term in terms:
        if term.name not in LOSSES:
            raise UnknownName.among("loss", term.name, LOSSES)
        known = set(inspect.signature(LOSSES[term.name]).parameters) - {"logits", "masks"}
        for option in term.options:
            if option not in known:
                raise UnknownName.among(f"option of loss {term.name}", option, known)

    def total(logits: Tensor, masks: Tensor) -> Tensor:
        parts = [t.weight * LOSSES[t.name](logits, masks, **t.options) for t in terms]
        return sum(parts[1:], start=parts[0])

    return total
