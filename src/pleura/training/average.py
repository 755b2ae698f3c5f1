"""`Average`: the moving average of a network's weights."""

from torch import nn


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
