"""`OpenVinoRuntime`: OpenVINO on a CPU, the quickest on x86."""

import hashlib
import io
import logging
import threading
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleura.errors import MissingExtra
from pleura.inference.manifest import Member
from pleura.inference.runtimes import cache
from pleura.inference.runtimes.base import AUTO, Logits, RuntimeOptions, in_batches
from pleura.inference.runtimes.graph import (
    OUTPUTS,
    RuntimeRefusal,
    check_self_contained,
    logits_of,
)

log = logging.getLogger(__name__)

_DEVICE = "CPU"
_PRECISION = "INFERENCE_PRECISION_HINT"
_NAMES = {
    "f32": "f32",
    "float32": "f32",
    "bf16": "bf16",
    "bfloat16": "bf16",
    "f16": "f16",
    "float16": "f16",
}


def computes_bf16() -> bool:
    """Whether this CPU has arithmetic for bf16."""
    import openvino

    return "BF16" in openvino.Core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")


class OpenVinoRuntime:
    """An exported graph in OpenVINO, on one stream, so that one batch has all the threads.

    With precision `auto` OpenVINO asks the hardware: bf16 where that has arithmetic for it (AMX, or AVX-512
    BF16), and only if the bundle was checked with it; f32 otherwise.

    Args:
        member: the network.
        graph: its ONNX file.
        options: `threads`, `precision` and `cache` are heeded.
        checked: precisions with which the bundle's decisions were compared with PyTorch's.

    Raises:
        MissingExtra: OpenVINO is not installed.
        BundleError: the graph is not whole.
        RuntimeRefusal: the library cannot run it.
    """

    def __init__(
        self,
        member: Member,
        graph: bytes,
        options: RuntimeOptions,
        checked: Collection[str] = (),
    ) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtra.needing(
                "Running this bundle with OpenVINO", "openvino", error
            ) from error
        check_self_contained(member, graph)
        core = openvino.Core()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(options.thread_count),
            "ENABLE_CPU_PINNING": "NO",  # pinned, the processes of one machine would share its first cores
        }
        precision = options.precision
        if precision == AUTO and "bf16" not in checked:
            precision = "f32"
        if precision != AUTO:
            settings[_PRECISION] = precision
        if precision == "bf16" and not computes_bf16():
            log.warning(
                "this CPU has no arithmetic for bf16, which will be several times slower than f32; "
                "use precision auto"
            )
        try:
            compiled = _compiled(openvino, core, graph, settings, options)
        except RuntimeError as error:
            raise RuntimeRefusal(
                f"OpenVINO cannot run the graph of {member.network}: {error}"
            ) from error
        if OUTPUTS[-1] in (name for output in compiled.outputs for name in output.names):
            raise RuntimeRefusal(
                f"OpenVINO is not used for {member.network}: where it finds no box, it returns a "
                "meaningless one"
            )
        (given,) = compiled.inputs
        count = given.partial_shape[0]
        self._batch_size = None if count.is_dynamic else count.get_length()
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()
        kind = compiled.get_property(_PRECISION).to_string()
        self.precision = _NAMES.get(kind, kind)
        if options.precision not in (AUTO, self.precision):
            log.warning(
                "precision %s was asked for; OpenVINO takes %s on this CPU",
                options.precision,
                self.precision,
            )
        self.name = f"openvino {self.precision} on cpu"

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        """See `Runtime`."""
        return in_batches(self._run, batch, self._batch_size)

    def outputs(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """See `Runtime`."""
        with self._lock:
            found = self._request.infer([np.ascontiguousarray(batch)])
            return tuple(np.array(found[i], np.float32) for i in range(len(found)))

    def _run(self, batch: NDArray[np.float32]) -> Logits:
        return logits_of(self.outputs(batch))


def _compiled(
    openvino: Any, core: Any, graph: bytes, settings: dict[str, str], options: RuntimeOptions
) -> Any:
    """The graph compiled for this machine, from the cache where it is there."""
    if not options.cache:
        return core.compile_model(core.read_model(io.BytesIO(graph)), _DEVICE, settings)
    folder = cache.cache_folder()
    key = cache.key_of(
        hashlib.sha256(graph).hexdigest(),
        openvino.__version__,
        core.get_property(_DEVICE, "FULL_DEVICE_NAME"),
        core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES"),
        sorted(settings.items()),
    )
    kept = cache.recall(folder, key)
    if kept is not None:
        try:
            return core.import_model(io.BytesIO(kept), _DEVICE, settings)
        except RuntimeError as error:
            log.info("what was compiled before cannot be used: %s", error)
            cache.forget(folder, key)
    compiled = core.compile_model(core.read_model(io.BytesIO(graph)), _DEVICE, settings)
    cache.keep(folder, key, compiled.export_model().getvalue())
    return compiled
