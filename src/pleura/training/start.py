"""What a network starts from, and what is put on record of it."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from pleura.errors import RecipeError
from pleura.networks import create
from pleura.networks.encoder import (
    imagenet_weights,
    load_encoder,
    load_start,
    read_pretraining,
    read_weights,
)
from pleura.training.recipe import Recipe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """Where a network's first weights came from, as it was, not as it was asked for.

    Attributes:
        encoder: `random`, `imagenet` (through timm), or the name of a file.
        sha256: of that file (hex), else None.
        pretraining: films that the file's header says its weights were trained on, else None.
        whole: whether the file was of the whole network, not of its encoder alone.
    """

    encoder: str = "random"
    sha256: str | None = None
    pretraining: str | None = None
    whole: bool = False


def build(recipe: Recipe) -> nn.Module:
    """The recipe's network with random weights."""
    return create(
        recipe.network.name,
        channels=recipe.input.channels,
        size=recipe.input.size,
        **recipe.network.options,
    )


def start(recipe: Recipe, note: Callable[[str], None] | None = None) -> tuple[nn.Module, Start]:
    """The recipe's network with its first weights.

    Args:
        recipe: its `network.init` is followed; where timm's hub has no weights, they stay random.
        note: told so.

    Raises:
        RecipeError: the network has no encoder to start, or the file is missing, or not its encoder's.
    """
    network, init = build(recipe), recipe.network.init
    if init == "random":
        return network, Start()
    if init != "imagenet":
        path = Path(init)
        whole = load_start(network, read_weights(path), init)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return network, Start(path.name, sha256, read_pretraining(path), whole)
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise RecipeError(
            f"network {recipe.network.name} has no encoder to start; use init: random"
        )
    name = str(network.encoder_name)
    if note:
        note(
            f"Fetching ImageNet weights of {name} through timm; with no network it takes a minute to give up"
        )
    weights = imagenet_weights(name)
    if weights is None:
        message = (
            f"ImageNet weights of {name} cannot be had from timm's hub. Starting from random weights, "
            "which costs accuracy; `--init FILE.safetensors` starts from a file"
        )
        log.warning(message)
        if note:
            note(message)
        return network, Start()
    load_encoder(encoder, weights, f"timm's {name}")
    return network, Start("imagenet")
