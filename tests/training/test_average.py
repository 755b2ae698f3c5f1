"""The moving average of a network's weights, by hand."""

import pytest
import torch
from torch import nn

from pleura.training.average import Average


def test_the_decay_rises_with_the_steps_and_counts_are_copied() -> None:
    network = nn.BatchNorm1d(1)
    average = Average(network, 0.5)
    expected = 1.0  # what the weight begins with
    for step in range(1, 13):
        with torch.no_grad():
            network.weight.fill_(float(step))
            network.num_batches_tracked.fill_(step)  # type: ignore[union-attr, operator]
        average.update(network, step)
        decay = min(
            0.5, (1 + step) / (10 + step)
        )  # 2/11 after the first step, a half from the eighth on
        expected = decay * expected + (1 - decay) * step
        assert average.tensors["weight"].item() == pytest.approx(expected)
        assert average.tensors["num_batches_tracked"].item() == step
    assert not average.tensors["weight"].requires_grad
