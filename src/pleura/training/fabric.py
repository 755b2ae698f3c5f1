"""On what a run computes, and in which numbers."""

import time
import warnings
from functools import cache
from typing import Final

import torch
from lightning_fabric import Fabric
from torch import nn

from pleura.inference.runtimes.pytorch import choose_device
from pleura.training.depthwise import quicken
from pleura.training.processes import Processes
from pleura.training.recipe import Recipe

BF16: Final = "bf16-mixed"
F32: Final = "32-true"


def choose_fabric(
    recipe: Recipe, device: str, began: str | None = None, devices: int | None = None
) -> Fabric:
    """Device and precision for a recipe, as `fabric_for` has it, on one or several devices.

    Args:
        recipe, device, began: as there.
        devices: how many of this machine; None: as many as torchrun started processes, or else one.

    Raises:
        UnknownName, DeviceUnavailable: there is no such device, or not here, or not as many.
        TrainingError: the recipe's batches cannot be divided among them.
    """
    processes = Processes.wanted(devices)
    phases = [recipe.phase(number) for number in range(max(len(recipe.phases), 1))]
    for batch_size in {phase.batch_size for phase in phases}:
        processes.check(choose_device(device), batch_size)
    return fabric_for(recipe.precision, device, began, processes)


def fabric_for(
    precision: str, device: str, began: str | None = None, processes: Processes | None = None
) -> Fabric:
    """Device and precision for `auto` (bf16 where the machine is quicker in it), `bf16` or `32`.

    Args:
        precision: asked for.
        device: asked for.
        began: the precision of a run that goes on, in Fabric's words: where quickness has to be measured,
            `auto` stays with it.
        processes: which compute together; None: this one alone. Several measure nothing, since each
            might find otherwise.

    Raises:
        UnknownName, DeviceUnavailable: there is no such device, or not here.
    """
    processes = processes or Processes()
    if processes.all > 1:
        began = began or F32
    device = choose_device(device)
    bf16 = precision == "bf16" or (precision == "auto" and _is_quicker_in_bf16(device, began))
    torch.backends.cudnn.deterministic = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Fabric's advice on GPUs that are not used
        return Fabric(accelerator=device, precision=BF16 if bf16 else F32, **processes.options())


def _is_quicker_in_bf16(device: str, began: str | None) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if _cpu_has("_is_amx_tile_supported"):
        return True
    # Of processors that have AVX-512 for bf16 alone, some are quicker in it, and some slower
    # (benchmarks/README.md). Without either it is emulated.
    if not _cpu_has("_is_avx512_bf16_supported"):
        return False
    return began == BF16 if began else _bf16_was_quicker()


def _cpu_has(ask: str) -> bool:
    return bool(getattr(torch.cpu, ask, bool)())  # torch has no public question


@cache
def _bf16_was_quicker() -> bool:
    """Tries steps of a small network with both kinds of convolution; takes about a second."""
    with torch.random.fork_rng(devices=[]):  # the run's chance is not touched
        network = nn.Sequential(
            nn.Conv2d(96, 96, 3, padding=1),
            nn.BatchNorm2d(96),
            nn.ReLU(),
            nn.Conv2d(96, 96, 3, padding=1, groups=96, bias=False),
            nn.BatchNorm2d(96),
            nn.ReLU(),
            nn.Conv2d(96, 96, 1),
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        quicken(network)
        images = torch.rand(8, 96, 40, 40).to(memory_format=torch.channels_last)
    images.requires_grad_()

    def seconds(bf16: bool) -> float:
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = network(images)
        output.float().square().mean().backward()
        return time.perf_counter() - began

    both = [(seconds(bf16=False), seconds(bf16=True)) for _ in range(5)]
    f32, bf16 = (min(times) for times in zip(*both, strict=True))
    return bool(bf16 < f32)
