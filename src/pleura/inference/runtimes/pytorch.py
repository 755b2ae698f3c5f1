"""`TorchRuntime`: PyTorch from the safetensors; the only runtime on a GPU."""

import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleura.errors import BundleError, DeviceUnavailable, MissingExtra, UnknownName
from pleura.inference.manifest import Member
from pleura.inference.runtimes.base import AUTO, DEVICES, Logits, RuntimeOptions

_GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""What Linux, WSL and ROCm show where there is a GPU."""


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


def gpu_is_usable() -> bool:
    """Whether torch finds a GPU; it is slow to import, and asked only where there may be one."""
    if sys.platform == "linux" and not any(Path(node).exists() for node in _GPU_NODES):
        return False
    if sys.platform == "darwin" or find_spec("torch") is None:
        return False
    return choose_device(AUTO) == "cuda"


class TorchRuntime:
    """PyTorch, in float32 unless told otherwise, on a GPU where there is one.

    `threads` are the process's own: torch has no others.

    Args:
        member: the network.
        weights: its safetensors file.
        options: `device`, `threads` and `precision` are heeded.

    Raises:
        MissingExtra: torch is not installed.
        DeviceUnavailable: there is no such device here.
        BundleError: the weights are not those of the network.
    """

    def __init__(self, member: Member, weights: bytes, options: RuntimeOptions) -> None:
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
        if options.threads:
            torch.set_num_threads(options.threads)
        device = choose_device(options.device)
        precision = "f32" if options.precision == AUTO else options.precision
        self.name = f"torch {precision} on {device}"
        self._torch = torch
        self._dtype = {"bf16": torch.bfloat16, "f16": torch.float16}.get(precision)
        self._device = torch.device(device)
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._lock = threading.Lock()

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        """See `Runtime`."""
        output = self._run(batch)
        presence = output.presence_logits
        return Logits(
            output.mask_logits[:, 0].cpu().numpy(),
            None if presence is None else presence.cpu().numpy(),
            tuple(boxes.cpu().numpy() for boxes in output.boxes),
        )

    def outputs(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """See `Runtime`."""
        return tuple(one.cpu().numpy() for one in self._run(batch))

    def _run(self, batch: NDArray[np.float32]) -> Any:
        """The network's output in float32, a named tuple of tensors."""
        torch = self._torch
        reduced = torch.autocast(
            self._device.type, self._dtype or torch.bfloat16, enabled=self._dtype is not None
        )
        with self._lock, torch.inference_mode(), reduced:
            images = torch.from_numpy(np.ascontiguousarray(batch))
            images = images.to(self._device, memory_format=torch.channels_last)
            return self._network(images).float()
