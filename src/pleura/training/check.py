"""Whether a recipe can be trained at all: looked at before any time is spent on it.

Its network is made and run on PyTorch's meta device, where tensors have shapes and no numbers, so that
nothing is computed.
"""

import torch
from torch import nn

from pleura.data.augment import AUGMENTATIONS
from pleura.errors import RecipeError, UnknownName
from pleura.inference.preprocess import LUNGS
from pleura.networks import has_own_loss
from pleura.training.frozen import Frozen
from pleura.training.losses import check_loss, loss_of, weighted_sum
from pleura.training.recipe import Recipe
from pleura.training.start import build


def check_recipe(recipe: Recipe) -> None:
    """Raises unless everything that a recipe names exists, and its network serves the loss of every phase.

    Raises:
        UnknownName: a network, loss, augmentation or option has no such name.
        RecipeError: an option is impossible, or the network lacks the output that a loss is on or the stages
            that are to be frozen, or cannot take films of a phase's size, or is to see the lungs alone and
            learns from whole films.
    """
    if recipe.input.region == LUNGS and has_own_loss(recipe.network.name):
        raise RecipeError(f"network {recipe.network.name} sees whole films; set input.region: film")
    if recipe.hemithorax_cutmix is not None and has_own_loss(recipe.network.name):
        raise RecipeError(
            f"network {recipe.network.name} learns instances, which may lie across the seam of a film of two "
            "halves; leave out hemithorax_cutmix"
        )
    if recipe.soft_presence is not None and has_own_loss(recipe.network.name):
        raise RecipeError(
            f"network {recipe.network.name} computes its own loss, of masks alone; leave out soft_presence"
        )
    phases = [recipe.phase(number) for number in range(max(len(recipe.phases), 1))]
    for phase in phases:
        check_loss(phase.loss, recipe.network.name)
        if recipe.soft_presence is not None:
            _check_soft(phase)
    if recipe.augmentation not in AUGMENTATIONS:
        raise UnknownName.among("augmentation set", recipe.augmentation, AUGMENTATIONS)
    with torch.device("meta"):
        network = build(recipe).eval()
        for phase in phases:
            Frozen(network, phase.frozen_stages)
        if not hasattr(network, "losses"):  # such a network's shapes hang on what it sees
            for number, phase in enumerate(phases):
                _check_phase(network, phase, _named(recipe, number))


def unreached(recipe: Recipe, phase: Recipe) -> set[str]:
    """The parameters of a recipe's network, by name, that the loss of one of its phases does not reach.

    Such as those of a head that no term is on. Of a network with a loss of its own, or one that the meta
    device cannot run, it is not known, and none is named.
    """
    loss, spec = loss_of(phase.loss), phase.input
    if loss is None:
        return set()
    with torch.device("meta"):
        network = build(recipe).eval()
        try:
            output = network(torch.zeros(1, spec.channels, spec.size, spec.size))
            total = loss(output, torch.zeros(1, 1, spec.size, spec.size)).sum()
            total.backward()  # type: ignore[no-untyped-call]
        except NotImplementedError:
            return set()
    return {name for name, one in network.named_parameters() if one.grad is None}


def _check_soft(phase: Recipe) -> None:
    terms = [term for term in phase.loss if term.on == "presence"]
    if not terms:
        raise RecipeError(
            "soft_presence is for losses on presence: add {name: bce, on: presence} to each loss, or leave "
            "soft_presence out"
        )
    for term in terms:  # others are least at 0 or 1, or beside the probability
        if term.name != "bce" or term.options.get("positive_weight", 1.0) != 1.0:
            raise RecipeError(
                f"loss {term.name} on presence does not learn a probability; with soft_presence take bce, "
                "without positive_weight"
            )


def _check_phase(network: nn.Module, phase: Recipe, named: str) -> None:
    size = phase.input.size
    try:
        with torch.no_grad():
            output = network(torch.zeros(1, phase.input.channels, size, size))
            weighted_sum(phase.loss)(output, torch.zeros(1, 1, size, size))
    except (
        NotImplementedError
    ):  # an operation that the meta device lacks: it will show when it trains
        return
    except RecipeError as error:
        raise RecipeError(f"{named}: {error}") from error
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise RecipeError(
            f"{named}: network {phase.network.name} cannot take films of {size} px: {error}"
        ) from error


def _named(recipe: Recipe, number: int) -> str:
    return f"phase {recipe.phases[number].name}" if recipe.phases else f"recipe {recipe.name}"
