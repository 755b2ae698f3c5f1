"""Means of weights: along a run (`Average`), and of where it began and where it came to (`between`)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average of a network's parameters and buffers.

    The decay rises with the steps taken, (1 + n) / (10 + n) up to `decay`, so that a short run is not
    an average over its own random start.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {k: v.detach().clone() for k, v in network.state_dict().items()}

    def update(self, network: nn.Module, step: int) -> None:
        """Takes in the network after its `step`-th step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor.detach(), 1 - decay)
            else:
                self.tensors[name].copy_(tensor)


def between(
    began: Mapping[str, Tensor], came: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Weights on the line from those that a run came to towards those that it began with.

    Args:
        began, came: parameters and buffers of one network, by name.
        share: of `began`, 0 to 1; the WiSE-FT of Wortsman et al. 2022 (arXiv:2109.01903), whose mixing
            coefficient is 1 - `share`.

    Returns:
        New tensors; those that count are as they came.
    """
    return {
        name: torch.lerp(tensor, began[name], share)
        if tensor.is_floating_point()
        else tensor.clone()
        for name, tensor in came.items()
    }
