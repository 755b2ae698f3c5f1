# ruff: noqa: T201
"""Films a second that `joint` trains on in bf16 on a CPU, by plain PyTorch and as pleura does.

    python benchmarks/depthwise.py [--encoders NAME ...] [--size 256] [--turns 8]

Both ways are the same network, batch and optimiser, channels last under bf16 autocast; they differ in how the
depthwise convolutions of the encoder learn (`pleura.training.depthwise`). They take turns and change their
order. Weights and films are random: neither changes what there is to compute.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from pleura.networks.joint import Joint
from pleura.training.depthwise import quicken

BATCH = 8


def stepper(network: nn.Module, size: int) -> Callable[[], None]:
    network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    films = torch.rand(BATCH, 1, size, size).contiguous(memory_format=torch.channels_last)
    masks = (torch.rand(BATCH, 1, size, size) > 0.99).float()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(films).mask_logits
        nn.functional.binary_cross_entropy_with_logits(logits.float(), masks).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def race(encoder: str, size: int, turns: int) -> None:
    plain = Joint(encoder=encoder, size=size, decoder_channels=(128, 64, 48))
    ours = copy.deepcopy(plain)
    quicken(ours)
    ways = {"plain": stepper(plain, size), "pleura": stepper(ours, size)}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for step in ways.values():
        step()  # warm up
        step()
    for turn in range(turns):
        for name in list(ways) if turn % 2 else list(ways)[::-1]:
            began = time.perf_counter()
            ways[name]()
            rates[name].append(BATCH / (time.perf_counter() - began))
    ratios = [a / b for a, b in zip(rates["pleura"], rates["plain"], strict=True)]
    for name, measured in (*rates.items(), ("ratio", ratios)):
        low, middle, high = statistics.quantiles(measured, n=4)
        print(f"{encoder} at {size} px, {name}: {middle:.2f} ({low:.2f} to {high:.2f})", flush=True)


def main() -> None:
    """Measures and prints films a second of both ways, and their ratio with its spread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    named = ["mobilenetv2_100", "tf_efficientnet_lite2", "efficientnet_b0", "mobilenetv3_large_100"]
    parser.add_argument("--encoders", nargs="+", default=named)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--turns", type=int, default=8)
    given = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, batch {BATCH}")
    for encoder in given.encoders:
        race(encoder, given.size, given.turns)


if __name__ == "__main__":
    main()
