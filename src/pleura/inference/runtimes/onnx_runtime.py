"""`OnnxRuntime`: ONNX Runtime on a CPU, the portable one."""

import numpy as np
from numpy.typing import NDArray

from pleura.errors import MissingExtra
from pleura.inference.manifest import Member
from pleura.inference.runtimes.base import Logits, RuntimeOptions, in_batches
from pleura.inference.runtimes.graph import INPUT, RuntimeRefusal, check_self_contained, logits_of

_QUIET = 3  # errors only: warnings of the graph optimiser tell a user nothing


class OnnxRuntime:
    """An exported graph in ONNX Runtime; the arithmetic is the graph's own, float32 unless quantised.

    Args:
        member: the network.
        graph: its ONNX file.
        options: `threads` is heeded.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
        BundleError: the graph is not whole.
        RuntimeRefusal: the library cannot run it.
    """

    def __init__(self, member: Member, graph: bytes, options: RuntimeOptions) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtra.needing(
                "Running this bundle with ONNX Runtime", "onnxruntime", error
            ) from error
        check_self_contained(member, graph)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.thread_count
        settings.inter_op_num_threads = 1
        settings.log_severity_level = _QUIET
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                graph, settings, providers=["CPUExecutionProvider"]
            )
            (given,) = self._session.get_inputs()
        except Exception as error:  # its errors share no class but this
            raise RuntimeRefusal(
                f"ONNX Runtime cannot run the graph of {member.network}: {error}"
            ) from error
        self._batch_size = given.shape[0] if isinstance(given.shape[0], int) else None
        self.name = "onnxruntime f32 on cpu"

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        """See `Runtime`."""
        return in_batches(self._run, batch, self._batch_size)

    def outputs(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """See `Runtime`."""
        found = self._session.run(None, {INPUT: np.ascontiguousarray(batch)})
        return tuple(np.asarray(output, np.float32) for output in found)

    def _run(self, batch: NDArray[np.float32]) -> Logits:
        return logits_of(self.outputs(batch))
