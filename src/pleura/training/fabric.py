"""On what a run computes, and in which numbers."""

import warnings

import torch
from lightning_fabric import Fabric

from pleura.inference.runtimes.pytorch import choose_device
from pleura.training.recipe import Recipe


def choose_fabric(recipe: Recipe, device: str) -> Fabric:
    """Device and precision for a recipe.

    Raises:
        UnknownName, DeviceUnavailable: there is no such device, or not here.
    """
    return fabric_for(recipe.precision, device)


def fabric_for(precision: str, device: str) -> Fabric:
    """Device and precision for `auto` (bf16 where the machine computes in it), `bf16` or `32`.

    Raises:
        UnknownName, DeviceUnavailable: there is no such device, or not here.
    """
    device = choose_device(device)
    bf16 = precision == "bf16" or (precision == "auto" and _computes_bf16(device))
    torch.backends.cudnn.deterministic = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Fabric's advice on GPUs that are not used
        return Fabric(accelerator=device, devices=1, precision="bf16-mixed" if bf16 else "32-true")


def _computes_bf16(device: str) -> bool:
    """Whether the machine has bf16 arithmetic, rather than emulating it, which is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    asks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # torch has no public question
    return any(bool(getattr(torch.cpu, ask, bool)()) for ask in asks)
