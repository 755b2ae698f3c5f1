"""The networks: one architecture a file, one line each in the table below.

Every network takes float (N, channels, size, size), normalised, and returns an `Output` of logits.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from pleura.errors import RecipeError, UnknownName
from pleura.networks.anatomy import Anatomy
from pleura.networks.chexnet import CheXNet
from pleura.networks.double_unet import DoubleUNet
from pleura.networks.joint import Joint
from pleura.networks.mask_rcnn import MaskRCNN
from pleura.networks.output import Output
from pleura.networks.swin_unet import SwinUNet
from pleura.networks.unet import UNet
from pleura.networks.unet_timm import UNetTimm
from pleura.networks.unetpp import UNetPP

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "chexnet": CheXNet,
    "double_unet": DoubleUNet,
    "joint": Joint,
    "mask_rcnn": MaskRCNN,
    "swin_unet": SwinUNet,
    "unet": UNet,
    "unet_timm": UNetTimm,
    "unetpp": UNetPP,
}

HELPERS: Mapping[str, Callable[..., nn.Module]] = {"anatomy": Anatomy}
"""Networks that look for no target, which no recipe names; each has outputs of its own."""


def create(name: str, *, channels: int, size: int, **options: Any) -> nn.Module:
    """The network `name` with random weights, for inputs of (channels, size, size).

    Raises:
        UnknownName: no network, or no option of it, has such a name; lists those there are.
        RecipeError: an option has an impossible value.
    """
    if name not in NETWORKS and name not in HELPERS:
        raise UnknownName.among("network", name, NETWORKS)
    network = NETWORKS.get(name) or HELPERS[name]
    known = set(inspect.signature(network).parameters) - {"channels", "size"}
    for option in options:
        if option not in known:
            raise UnknownName.among(f"option of network {name}", option, known)
    try:
        return network(channels=channels, size=size, **options)
    except (TypeError, ValueError, AssertionError, RuntimeError, AttributeError) as error:
        raise RecipeError(f"network {name} at {channels}x{size}x{size}: {error}") from error


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raises RecipeError for an option of the network `name` that is to be true or false and is neither.

    Such as `no`, which YAML reads as a word, and Python would take for true.
    """
    known = inspect.signature(NETWORKS.get(name) or HELPERS[name]).parameters
    for option, value in options.items():
        asks = option in known and isinstance(known[option].default, bool)
        if asks and not isinstance(value, bool):
            raise RecipeError(f"option {option} of network {name} is true or false; got {value!r}")


def default_size(name: str) -> int:
    """The input size, in px, that the network `name` is described at.

    Raises:
        UnknownName: there is no such network.
    """
    return _default(name, "size")


def default_channels(name: str) -> int:
    """The channels, 1 or 3, of the input that the network `name` is described with.

    Raises:
        UnknownName: there is no such network.
    """
    return _default(name, "channels")


def _default(name: str, parameter: str) -> int:
    network = NETWORKS.get(name) or HELPERS.get(name)
    if network is None:
        raise UnknownName.among("network", name, NETWORKS)
    return int(inspect.signature(network).parameters[parameter].default)


def has_presence_head(name: str, options: Mapping[str, Any] | None = None) -> bool:
    """Whether the network `name`, made with `options`, gives presence logits.

    A class that always does says `presence_head = True`; one that may takes an option of that name.
    """
    option = inspect.signature(NETWORKS[name]).parameters.get("presence_head")
    if option is not None:
        return bool((options or {}).get("presence_head", option.default))
    return bool(getattr(NETWORKS[name], "presence_head", False))


def has_own_loss(name: str) -> bool:
    """Whether the network `name` computes its loss itself: its `losses(images, masks)` gives (N,).

    Such a network learns from instances, masks of (N, K, H, W), and by this loss alone.
    """
    return hasattr(NETWORKS.get(name), "losses")


def parameter_count(network: nn.Module) -> int:
    """Trainable and frozen parameters together."""
    return sum(p.numel() for p in network.parameters())


__all__ = [
    "HELPERS",
    "NETWORKS",
    "Output",
    "check_options",
    "create",
    "default_channels",
    "default_size",
    "has_own_loss",
    "has_presence_head",
    "parameter_count",
]
