"""Losses on logits, one value an image: a table of names, and the weighted sum a recipe asks for.

A loss takes logits and masks of one shape, float (N, 1, H, W), and gives (N,). The presence head is
scored by the same functions, on (N, 1, 1, 1). A network that computes its loss itself, as Mask R-CNN
does, is asked for that by the name `network`.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from pleura.errors import RecipeError, UnknownName
from pleura.networks import Output, has_own_loss
from pleura.training.recipe import LossTerm


class Loss(Protocol):
    """A loss an image, (N,): of an `Output` in float32 and masks, float (N, 1, H, W) in {0, 1}.

    `presence`, float (N,) in [0, 1], is what the presence head learns from; NaN, or none given, where that is
    whether the mask is empty. `drawn`, bool (N,), says which masks are known: of the others, nothing is
    learnt but presence.
    """

    def __call__(
        self,
        output: Output,
        masks: Tensor,
        presence: Tensor | None = None,
        drawn: Tensor | None = None,
    ) -> Tensor: ...


OWN = "network"
"""Name of the loss that the network computes itself."""
MIN_INSTANCE_PX = 50


def bce(logits: Tensor, masks: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy, averaged over each image's pixels.

    As Long, Shelhamer and Darrell, "Fully convolutional networks", CVPR 2015, have it of each pixel; a weight
    of the rarer class as in Rajpurkar et al., "CheXNet", arXiv 1711.05225, 2017, which weighs both.

    Args:
        logits: float (N, 1, H, W).
        masks: float (N, 1, H, W) in {0, 1}.
        positive_weight: of the target's pixels, which are few; the others have 1. The average is over pixels,
            not over weights.

    Returns:
        (N,), not negative.
    """
    each = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    return (each * (1.0 + (positive_weight - 1.0) * masks)).mean(dim=(1, 2, 3))


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


def dice_positives(logits: Tensor, masks: Tensor, smooth: float = 1.0) -> Tensor:
    """`dice` of the images with a mask, and 0 for those without, which other terms must then speak for.

    On an empty film `dice` is near 1 until hardly a pixel is left, so that it teaches silence wherever a
    network is in doubt: most of a corpus is empty, and a small collapse is always in doubt.

    Returns:
        (N,), 0 to 1; shapes as in `dice`.
    """
    return dice(logits, masks, smooth) * masks.amax(dim=(1, 2, 3))


def bce_dice(logits: Tensor, masks: Tensor, alpha: float = 0.5, smooth: float = 1.0) -> Tensor:
    """alpha times `bce` plus (1 - alpha) times `dice`; shapes as there.

    The sum of both, at equal weights, is that of Isensee et al., "nnU-Net", Nature Methods 18, 2021.
    """
    return alpha * bce(logits, masks) + (1.0 - alpha) * dice(logits, masks, smooth)


def combo(
    logits: Tensor, masks: Tensor, positive_weight: float = 1.0, smooth: float = 1.0
) -> Tensor:
    """`bce` plus `dice`, as the CheXNet cascade's project calls it; shapes as there.

    It is the plain sum of Isensee et al., "nnU-Net", Nature Methods 18, 2021, and not the Combo loss of
    Taghanaki et al., which is `taghanaki_combo`.
    """
    return bce(logits, masks, positive_weight) + dice(logits, masks, smooth)


def taghanaki_combo(
    logits: Tensor, masks: Tensor, alpha: float = 0.5, beta: float = 0.5, smooth: float = 1.0
) -> Tensor:
    """The Combo loss of Taghanaki et al., Computerized Medical Imaging and Graphics 75, 2019.

    alpha times a cross-entropy in which the target's pixels weigh `beta` and the others 1 - `beta`, less
    (1 - alpha) times the Dice. Where the paper subtracts the Dice, this adds `dice`, one less it: the same
    gradient, and 0 at best. A larger beta punishes what is missed more than what is invented.

    Returns:
        (N,), not negative; shapes as in `bce`.
    """
    each = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    entropy = (each * (beta * masks + (1.0 - beta) * (1.0 - masks))).mean(dim=(1, 2, 3))
    return alpha * entropy + (1.0 - alpha) * dice(logits, masks, smooth)


def focal(logits: Tensor, masks: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """The focal loss of Lin et al., "Focal loss for dense object detection", ICCV 2017.

    -a (1 - q)^gamma log q, q being the probability of what is true, and a `alpha` for the target's pixels and
    1 - `alpha` for the others; averaged over each image's pixels, where the paper divides by the count of its
    positive anchors.

    Returns:
        (N,), not negative; shapes as in `bce`.
    """
    right = (2.0 * masks - 1.0) * logits
    # As an exponential, since the gradient of a power is not finite at zero for gamma below one.
    hardness = (gamma * F.logsigmoid(-right)).exp()
    weight = alpha * masks + (1.0 - alpha) * (1.0 - masks)
    return (-weight * hardness * F.logsigmoid(right)).mean(dim=(1, 2, 3))


def tversky(
    logits: Tensor, masks: Tensor, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0
) -> Tensor:
    """The Tversky loss of Salehi, Erdogmus and Gholipour, MLMI 2017, of each image by itself.

    1 - (TP + s) / (TP + alpha FP + beta FN + s) with soft counts: `alpha` is the price of what is invented,
    `beta` of what is missed. At one half each it is the Dice loss with twice the `smooth`.

    Returns:
        (N,), 0 to 1; shapes as in `bce`.
    """
    probabilities = logits.sigmoid()
    hits = (probabilities * masks).sum(dim=(1, 2, 3))
    invented = (probabilities * (1.0 - masks)).sum(dim=(1, 2, 3))
    missed = ((1.0 - probabilities) * masks).sum(dim=(1, 2, 3))
    return 1.0 - (hits + smooth) / (hits + alpha * invented + beta * missed + smooth)


LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "bce": bce,
    "bce_dice": bce_dice,
    "combo": combo,
    "dice": dice,
    "dice_positives": dice_positives,
    "focal": focal,
    "taghanaki_combo": taghanaki_combo,
    "tversky": tversky,
}


def weighted_sum(terms: Sequence[LossTerm]) -> Loss:
    """The loss a recipe asks for: an `Output` in float32 and masks (N, 1, H, W) to (N,).

    Raises:
        UnknownName: a loss, or an option of one, has no such name.
        RecipeError: an option has an impossible value.
    """
    for term in terms:
        if term.name not in LOSSES:
            raise UnknownName.among("loss", term.name, [*LOSSES, OWN])
        known = set(inspect.signature(LOSSES[term.name]).parameters) - {"logits", "masks"}
        for option in term.options:
            if option not in known:
                raise UnknownName.among(f"option of loss {term.name}", option, known)
        for option, value in term.options.items():
            _check(term.name, option, value)

    def total(
        output: Output,
        masks: Tensor,
        presence: Tensor | None = None,
        drawn: Tensor | None = None,
    ) -> Tensor:
        parts = [term.weight * _term(term, output, masks, presence, drawn) for term in terms]
        return sum(parts[1:], start=parts[0])

    return total


def own_loss(terms: Sequence[LossTerm]) -> LossTerm | None:
    """The term that asks for the network's own loss; None where the loss is one of its outputs.

    Its option `min_instance_px` is the least size of a connected region to learn from, in pixels at the
    network's size.

    Raises:
        RecipeError: it stands beside other terms, has a weight or a target, or an impossible option.
        UnknownName: it has no such option.
    """
    own = next((term for term in terms if term.name == OWN), None)
    if own is None:
        return None
    if own != LossTerm(OWN, options=own.options) or len(terms) > 1:
        raise RecipeError(
            f"loss {OWN} is the network's own: it stands alone, without weight and on; got {list(terms)}"
        )
    for option, value in own.options.items():
        if option != "min_instance_px":
            raise UnknownName.among(f"option of loss {OWN}", option, ["min_instance_px"])
        if not 1 <= value < math.inf:
            raise RecipeError(f"option {option} of loss {OWN} is at least 1; got {value}")
    return own


def loss_of(terms: Sequence[LossTerm]) -> Loss | None:
    """`weighted_sum`, or None where it is the network's own; raises as that and `own_loss` do."""
    return None if own_loss(terms) else weighted_sum(terms)


def check_loss(terms: Sequence[LossTerm], network: str) -> None:
    """Raises unless the network named can be trained by these terms.

    Raises:
        UnknownName, RecipeError: as `own_loss` and `weighted_sum`; or the network has no loss of its own, or
            learns by that alone.
    """
    own = own_loss(terms)
    if own is None and has_own_loss(network):
        raise RecipeError(f"{network} computes its own loss; write loss: [{{name: {OWN}}}]")
    if own is not None and not has_own_loss(network):
        raise RecipeError(f"{network} has no loss of its own; name one of {', '.join(LOSSES)}")
    loss_of(terms)


def _check(loss: str, option: str, value: float) -> None:
    """Raises RecipeError unless `value` is one with which the losses above are what they say."""
    share = option in ("alpha", "beta")
    above_zero = option in ("smooth", "positive_weight")
    highest = 1.0 if share else math.inf
    if math.isfinite(value) and 0.0 <= value <= highest and not (above_zero and value == 0.0):
        return
    allowed = (
        "lies in [0, 1]" if share else f"is finite and {'above' if above_zero else 'at least'} 0"
    )
    raise RecipeError(f"option {option} of loss {loss} {allowed}; got {value}")


def _term(
    term: LossTerm, output: Output, masks: Tensor, presence: Tensor | None, drawn: Tensor | None
) -> Tensor:
    loss = LOSSES[term.name]
    known = 1.0 if drawn is None else drawn.float()
    if term.on == "mask":
        return loss(output.mask_logits, masks, **term.options) * known
    if term.on == "presence":
        if output.presence_logits is None:
            raise RecipeError(
                f"loss {term.name} is on presence, but the network has no head for it"
            )
        present = masks.amax(dim=(1, 2, 3))
        if presence is not None:
            present = torch.where(presence.isnan(), present, presence)
        present = present.reshape(-1, 1, 1, 1)
        return loss(output.presence_logits.reshape(-1, 1, 1, 1), present, **term.options)
    if not output.deep_logits:
        raise RecipeError(f"loss {term.name} is on deep, but the network has no deep supervision")
    each = [
        loss(logits, F.adaptive_max_pool2d(masks, logits.shape[2:]), **term.options)
        for logits in output.deep_logits
    ]
    return sum(each[1:], start=each[0]) / len(each) * known
