"""`Frozen`: what of an encoder learns nothing more."""

from collections.abc import Collection, Iterator
from typing import Any

from torch import nn

from pleura.errors import RecipeError


class Frozen:
    """The first stages of a network's encoder, and the statistics of all its batch norms, held as they are.

    First layers change least from one task to the next (Yosinski et al., "How transferable are features in
    deep neural networks?", NeurIPS 2014), and of a film they have the most to compute, which without
    their gradients is less (benchmarks/README.md). Statistics of a few films are noise: those of all the
    films seen before serve better while a trained network is trained on. Scales and shifts of the norms of
    later stages go on learning.

    Args:
        network: with an `encoder` made by timm.
        stages: as many of its feature maps, the finest first, are made by layers that are held; 0 holds only
            the statistics, None nothing at all.

    Raises:
        RecipeError: the network has no such encoder, or not as many stages.
    """

    def __init__(self, network: nn.Module, stages: int | None) -> None:
        self._network = network
        self._parameters: list[nn.Parameter] = []
        self._norms: list[nn.Module] = []
        self._layers: list[nn.Module] = []
        if stages is None:
            return
        encoder: Any = getattr(network, "encoder", None)
        if not hasattr(encoder, "feature_info"):
            raise RecipeError(
                f"frozen_stages: {stages} needs a network on a timm encoder, which this one has not; "
                "leave it out"
            )
        names = [name.replace(".", "_") for name in encoder.feature_info.module_name()]
        if stages > len(names):
            raise RecipeError(
                f"frozen_stages: {stages} is more than the {len(names)} stages of the encoder"
            )
        self._norms = [
            m for m in encoder.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
        ]
        if stages:
            self._layers = list(_until(encoder, names[stages - 1]))
        self._parameters = [
            p for layer in self._layers for p in layer.parameters() if p.requires_grad
        ]
        for parameter in self._parameters:
            parameter.requires_grad_(False)

    def hold(self, names: Collection[str]) -> None:
        """Holds further parameters, by their names in the network, as they are."""
        for name in names:
            parameter = self._network.get_parameter(name)
            if parameter.requires_grad:
                parameter.requires_grad_(False)
                self._parameters.append(parameter)

    def rest(self) -> None:
        """Puts what is held in evaluation mode; after each `network.train()`."""
        for module in (*self._norms, *self._layers):
            module.eval()

    def thaw(self) -> None:
        """Lets everything learn that did before."""
        for parameter in self._parameters:
            parameter.requires_grad_(True)


def _until(encoder: nn.Module, name: str) -> Iterator[nn.Module]:
    """The encoder's layers up to the one of a name, in the order they are passed."""
    for named, layer in encoder.named_children():
        if name.startswith(f"{named}_") and named != name:
            inner = name.removeprefix(f"{named}_")
            yield from _until(layer, inner)
            return
        yield layer
        if named == name:
            return
    raise RecipeError(f"frozen_stages: the encoder has no layer {name}")
