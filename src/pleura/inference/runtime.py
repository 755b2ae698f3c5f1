"""What runs a bundle's network. torch is imported only when its runtime is chosen."""

import threading
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pleura.errors import BundleError, DeviceUnavailable, MissingExtra, UnknownName
from pleura.inference.bundle import Bundle, Member


class Logits(NamedTuple):
    """What a network says of a batch.

    Attributes:
        mask: float32 (N, size, size).
        presence: float32 (N,), or None where the network has no head for it.
    """

    mask: NDArray[np.float32]
    presence: NDArray[np.float32] | None


class Runtime(Protocol):
    """Runs a network; safe to call from several threads."""

    name: str

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        """Logits of a batch, float32 (N, channels, size, size), normalised."""
        ...


DEVICES = ("auto", "cpu", "cuda")


def choose_device(device: str) -> str:
    """`cpu` or `cuda` for one of `DEVICES`; `auto` takes a GPU where torch finds one.

    Raises:
        UnknownName: it is none of them.
        DeviceUnavailable: a GPU is asked for, and torch finds none.
    """
    if device not in DEVICES:
        raise UnknownName.among("device", device, DEVICES)
    import torch

    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise DeviceUnavailable(
            "device cuda was asked for, but torch finds no GPU; use cpu or auto"
        )
    return "cuda" if found and device != "cpu" else "cpu"


class TorchRuntime:
    """PyTorch, in float32, on a GPU where there is one.

    Args:
        member: the network.
        weights: its safetensors file.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        MissingExtra: torch is not installed.
        UnknownName, DeviceUnavailable: there is no such device, or not here.
        BundleError: the weights are not those of the network.
    """

    def __init__(self, member: Member, weights: bytes, device: str = "auto") -> None:
        try:
            import safetensors
            import safetensors.torch
            import torch
        except ImportError as error:
            raise MissingExtra.needing(
                "Running this bundle with PyTorch", "train", error
            ) from error
        from pleura.networks import create

        network = create(
            member.network,
            channels=member.input.channels,
            size=member.input.size,
            **member.network_options,
        )
        try:
            network.load_state_dict(safetensors.torch.load(weights))
        except (RuntimeError, safetensors.SafetensorError) as error:
            raise BundleError(
                f"the bundle's weights are not those of {member.network}: {error}"
            ) from error
        device = choose_device(device)
        self.name = f"torch on {device}"
        self._torch = torch
        self._device = torch.device(device)
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._lock = threading.Lock()

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        """See `Runtime`."""
        torch = self._torch
        with self._lock, torch.inference_mode():
            images = torch.from_numpy(np.ascontiguousarray(batch))
            images = images.to(self._device, memory_format=torch.channels_last)
            output = self._network(images).float()
        presence = output.presence_logits
        return Logits(
            output.mask_logits[:, 0].cpu().numpy(),
            None if presence is None else presence.cpu().numpy(),
        )


def torch_runtimes(bundle: Bundle, device: str = "auto") -> tuple[TorchRuntime, ...]:
    """A runtime for each member of a bundle, in their order; raises as `TorchRuntime` does."""
    return tuple(
        TorchRuntime(member, weights, device)
        for member, weights in zip(bundle.manifest.members, bundle.weights, strict=True)
    )
