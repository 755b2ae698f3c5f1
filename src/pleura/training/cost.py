"""What a recipe's network costs: parameters, arithmetic, and time on this machine."""

import statistics
import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pleura.networks import NETWORKS, parameter_count
from pleura.training.recipe import Recipe
from pleura.training.start import build

ROUNDS = 5


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: trainable and frozen.
        gflops: floating-point operations for one film, in thousand millions; a multiplication and its
            addition are two. Of convolutions, matrix products and attention; the rest hardly counts.
    """

    parameters: int
    gflops: float


def cost_of(recipe: Recipe) -> Cost:
    """The cost of a recipe's network, worked out from shapes alone: nothing is computed.

    A network whose shapes hang on what it sees is run once, on a blank film.

    Raises:
        UnknownName, RecipeError: it names a network or an option that there is not.
    """
    runs = getattr(NETWORKS.get(recipe.network.name), "traced_export", False)
    with torch.device("cpu" if runs else "meta"):
        network = build(recipe).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(_film(recipe))
    return Cost(parameter_count(network), counter.get_total_flops() / 1e9)


def films_per_second(recipe: Recipe, rounds: int = ROUNDS) -> float:
    """How many films a second a recipe's network judges here: the median of `rounds`, one film at a time.

    On the CPU, in float32, as the detector runs it, without reading or preparing the film; random weights.
    """
    network = build(recipe).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    film = _film(recipe)
    _seconds(network, film)  # the first one is slower: it allocates
    return 1.0 / statistics.median(_seconds(network, film) for _ in range(rounds))


def _film(recipe: Recipe) -> torch.Tensor:
    spec = recipe.input
    film = torch.zeros(1, spec.channels, spec.size, spec.size)
    return film.to(memory_format=torch.channels_last)


def _seconds(network: nn.Module, film: torch.Tensor) -> float:
    started = time.perf_counter()
    with torch.inference_mode():
        network(film)
    return time.perf_counter() - started
