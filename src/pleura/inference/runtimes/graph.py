"""What an exported graph takes and gives, and what is refused of it before a library sees it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pleura.errors import BundleError
from pleura.inference.manifest import Member
from pleura.inference.runtimes.base import Logits

INPUT = "images"
"""float32 (N, channels, size, size), normalised; N is free, or 1."""

OUTPUTS = ("mask_logits", "presence_logits", "boxes")
"""float32 (N, size, size); (N,) where the network has a presence head; and (K, 5), as in `Logits`, of a graph
for one film whose network finds instances."""

_LOCATION = b"\x0a\x08location"
"""How a tensor begins to name the file it lies in: the key of a `StringStringEntryProto` (onnx.proto3)."""


class RuntimeRefusal(BundleError):
    """A runtime that cannot run a graph that is whole; another one may."""


def check_self_contained(member: Member, graph: bytes) -> None:
    """Refuses a graph whose tensors lie in other files: those would have no checksum, and could be anyone's.

    Raises:
        BundleError: it names such a file.
    """
    if _LOCATION in graph:
        raise BundleError(
            f"the graph of {member.network} takes tensors from other files, which a bundle must not; get "
            "the bundle from whom you trust"
        )


def logits_of(outputs: Sequence[NDArray[np.float32]]) -> Logits:
    """The logits among a graph's outputs, in their order."""
    mask, *rest = outputs
    return Logits(mask, rest[0] if rest else None, tuple(rest[1:]))
