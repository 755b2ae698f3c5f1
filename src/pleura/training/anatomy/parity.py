"""Does an anatomy network's graph see what PyTorch sees?"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleura.errors import TrainingError
from pleura.inference.admission.answers import answers_of
from pleura.inference.manifest import Member
from pleura.inference.runtimes.base import Runtime, RuntimeOptions
from pleura.inference.runtimes.onnx_runtime import OnnxRuntime
from pleura.inference.runtimes.open_vino import OpenVinoRuntime
from pleura.inference.runtimes.pytorch import TorchRuntime

LABELS_SAME, NOVELTY_WITHIN, PROBABILITY_WITHIN = 0.99, 0.02, 0.05
"""Of every film: share of the label map that is the same, relative difference of the novelty, and absolute
difference of the probabilities of how it lies."""


@dataclass(frozen=True)
class LookParity:
    """How a runtime's answers differ from PyTorch's at worst, over films.

    Attributes:
        runtime: which.
        films: how many.
        labels_same: share of the label map.
        novelty_differs: relative to PyTorch's.
        probability_differs: of any presentation, or of inverted greys.
    """

    runtime: str
    films: int
    labels_same: float
    novelty_differs: float
    probability_differs: float

    def misses(self) -> str:
        """What is not kept, with its number; empty where all of it is."""
        missed = []
        if self.labels_same < LABELS_SAME:
            missed.append(f"only {self.labels_same:.3f} of a label map is the same")
        if self.novelty_differs > NOVELTY_WITHIN:
            missed.append(f"the novelty differs by {self.novelty_differs:.1%}")
        if self.probability_differs > PROBABILITY_WITHIN:
            missed.append(f"a probability differs by {self.probability_differs:.3f}")
        return "; ".join(missed)

    def facts(self) -> dict[str, Any]:
        """The numbers, as JSON can say them."""
        return asdict(self)


def compare_looks(
    member: Member,
    weights: bytes,
    graph: bytes,
    batches: Iterable[NDArray[np.float32]],
    runtime: str,
) -> LookParity:
    """Compares the graph in `onnxruntime` or `openvino` with PyTorch, film by film.

    Args:
        member: the anatomy network.
        weights: its safetensors.
        graph: its ONNX file.
        batches: what it takes, float32 (1, channels, size, size) each.
        runtime: which.

    Raises:
        TrainingError: there is no film.
    """
    reference = TorchRuntime(member, weights, RuntimeOptions("torch", "cpu", precision="f32"))
    options = RuntimeOptions(runtime, "cpu", precision="f32", cache=False)
    other: Runtime = (
        OnnxRuntime(member, graph, options)
        if runtime == "onnxruntime"
        else OpenVinoRuntime(member, graph, options)
    )
    found: list[tuple[float, float, float]] = []
    for batch in batches:
        (one,), (two,) = (answers_of(each.outputs(batch)) for each in (reference, other))
        lies = np.abs(one.presentation - two.presentation).max()
        found.append(
            (
                float(np.mean(one.labels == two.labels)),
                abs(two.novelty - one.novelty) / max(one.novelty, 1e-6),
                max(float(lies), abs(one.inverted - two.inverted)),
            )
        )
    if not found:
        raise TrainingError("there is no film to compare the anatomy network's graph on")
    same, novelty, probability = zip(*found, strict=True)
    return LookParity(runtime, len(found), min(same), max(novelty), max(probability))
