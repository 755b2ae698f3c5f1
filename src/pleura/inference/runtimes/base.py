"""What every runtime is: logits of a batch, whichever library computes them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pleura.cores import usable_cores
from pleura.errors import UnknownName

AUTO = "auto"
RUNTIMES = ("openvino", "onnxruntime", "torch")
DEVICES = (AUTO, "cpu", "cuda")
PRECISIONS = (AUTO, "f32", "bf16", "f16")
MAX_THREADS = 1024


class Logits(NamedTuple):
    """What a network says of a batch.

    Attributes:
        mask: float32 (N, size, size).
        presence: float32 (N,), or None where the network has no head for it.
        boxes: of a network that finds instances one by one, float32 (K, 5) a film: left, top, right and
            bottom in px of the input, and score from 0 to 1, best first; else empty.
    """

    mask: NDArray[np.float32]
    presence: NDArray[np.float32] | None
    boxes: tuple[NDArray[np.float32], ...] = ()


class Runtime(Protocol):
    """Runs a network; safe to call from several threads.

    `name` says what can move the last digits of an answer: library, device and precision.
    """

    name: str

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        """Logits of a batch, float32 (N, channels, size, size), normalised."""
        ...

    def outputs(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """All that the network says of such a batch, as it comes: of networks that look for no target."""
        ...


@dataclass(frozen=True)
class RuntimeOptions:
    """How a bundle's networks are to be run.

    Attributes:
        runtime: `auto`, or one of `RUNTIMES`.
        device: one of `DEVICES`; only torch runs on a GPU.
        threads: at most `MAX_THREADS`; 0: as many as this process may use.
        precision: of the arithmetic, one of `PRECISIONS`. `auto` takes what the hardware is quickest at among
            what the bundle was checked with, and f32 where it was not checked.
        cache: keep what was compiled for this machine in the user's cache folder, for the next start.
    """

    runtime: str = AUTO
    device: str = AUTO
    threads: int = 0
    precision: str = AUTO
    cache: bool = True

    def __post_init__(self) -> None:
        for kind, given, known in (
            ("runtime", self.runtime, (AUTO, *RUNTIMES)),
            ("device", self.device, DEVICES),
            ("precision", self.precision, PRECISIONS),
        ):
            if given not in known:
                raise UnknownName.among(kind, str(given), known)
        if not isinstance(self.threads, int) or not 0 <= self.threads <= MAX_THREADS:
            raise ValueError(f"threads are 0 (all) to {MAX_THREADS}; got {self.threads!r}")

    @property
    def thread_count(self) -> int:
        """`threads`, or the cores that this process may use."""
        return self.threads or usable_cores()


def in_batches(
    run: Callable[[NDArray[np.float32]], Logits], batch: NDArray[np.float32], size: int | None
) -> Logits:
    """`run` on a batch, in slices of `size` where its graph was made for one size only."""
    if size is None or len(batch) == size:
        return run(batch)
    parts = [run(batch[start : start + size]) for start in range(0, len(batch), size)]
    presence = [part.presence for part in parts if part.presence is not None]
    return Logits(
        np.concatenate([part.mask for part in parts]),
        np.concatenate(presence) if presence else None,
        tuple(boxes for part in parts for boxes in part.boxes),
    )
