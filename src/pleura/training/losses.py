"""Losses on logits, one value an image: a table of names, and the weighted sum a recipe asks for.

A loss takes logits and masks of one shape, float (N, 1, H, W), and gives (N,). The presence head is
scored by the same functions, on (N, 1, 1, 1).
"""

import inspect
from collections.abc import Callable, Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from pleura.errors import RecipeError, UnknownName
from pleura.networks import Output
from pleura.training.recipe import LossTerm

Loss = Callable[[Output, Tensor], Tensor]


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
    """The loss a recipe asks for: an `Output` in float32 and masks (N, 1, H, W) to (N,).

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

    def total(output: Output, masks: Tensor) -> Tensor:
        parts = [term.weight * _term(term, output, masks) for term in terms]
        return sum(parts[1:], start=parts[0])

    return total


def _term(term: LossTerm, output: Output, masks: Tensor) -> Tensor:
    loss = LOSSES[term.name]
    if term.on == "mask":
        return loss(output.mask_logits, masks, **term.options)
    if term.on == "presence":
        if output.presence_logits is None:
            raise RecipeError(
                f"loss {term.name} is on presence, but the network has no head for it"
            )
        present = masks.amax(dim=(1, 2, 3)).reshape(-1, 1, 1, 1)
        return loss(output.presence_logits.reshape(-1, 1, 1, 1), present, **term.options)
    if not output.deep_logits:
        raise RecipeError(f"loss {term.name} is on deep, but the network has no deep supervision")
    each = [
        loss(logits, F.adaptive_max_pool2d(masks, logits.shape[2:]), **term.options)
        for logits in output.deep_logits
    ]
    return sum(each[1:], start=each[0]) / len(each)
