"""What runs a bundle's networks: one interface, three libraries, each imported only when it is chosen.

base.py           `Runtime`, `Logits` and `RuntimeOptions`
choice.py         `runtimes_for`: which of them runs a bundle here, and why
pytorch.py        from the safetensors, on a CPU or a GPU
onnx_runtime.py   from the exported graph, everywhere
open_vino.py      from the exported graph, quickest on x86
graph.py          what an exported graph takes and gives
cache.py          compiled networks, kept for the next start
"""

from pleura.inference.runtimes.base import AUTO, Logits, Runtime, RuntimeOptions
from pleura.inference.runtimes.choice import Choice, runtimes_for

__all__ = ["AUTO", "Choice", "Logits", "Runtime", "RuntimeOptions", "runtimes_for"]
