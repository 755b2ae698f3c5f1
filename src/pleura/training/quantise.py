"""Graphs with smaller numbers: weights kept in 16 bits, or weights and arithmetic in 8."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleura.inference.runtimes.graph import INPUT

WHOLE, DECODER = "whole", "decoder"
SCOPES = (WHOLE, DECODER)
"""What is quantised, the most first."""

_LARGEST_HALF = 65504.0
_QUANTISED = ("Conv", "ConvTranspose", "MatMul", "Gemm")
_ENLARGING = ("Resize", "ConvTranspose", "DepthToSpace")


def half(graph: bytes) -> bytes:
    """The ONNX file with its weights kept as float16, half the size; the arithmetic stays float32.

    Each of the tensors that make the size, those of two dimensions or more, is followed by a cast, which the
    runtimes carry out once, when they load it. Biases and the numbers of batch norms, where small differences
    matter and little is to be won, stay float32.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(graph)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max(initial=0.0) > _LARGEST_HALF:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _forget_types(model, {cast.output[0] for cast in casts})
    return bytes(model.SerializeToString())


def _forget_types(model: Any, names: set[str]) -> None:
    """Initialisers may also stand among the graph's inputs, in old files; a cast's result may not."""
    kept = [given for given in model.graph.input if given.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(kept)


def int8(graph: bytes, batches: Sequence[NDArray[np.float32]], scope: str) -> bytes:
    """The ONNX file quantised after training: convolutions and matrix products in 8 bits.

    Ranges are the smallest and largest values seen on `batches` (Jacob et al., CVPR 2018, section 3), for
    weights by channel. Weights have 7 bits, so that the sums of CPUs without VNNI do not overflow and every
    machine computes the same. Whatever the scope, the first and the last convolution and depthwise ones
    stay in float32: they lose most and save least.

    Args:
        graph: in float32.
        batches: what the network takes, of films that trained it: float32 (N, channels, size, size) each.
        scope: one of `SCOPES`: all of the network, or what follows the first enlargement: in a U-Net, the
            decoder, where most of the work is.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Films(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left: Iterator[NDArray[np.float32]] = iter(batches)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            batch = next(self.left, None)
            return None if batch is None else {INPUT: batch}

    with tempfile.TemporaryDirectory(prefix="pleura-int8-") as folder, _quiet():
        given, prepared, done = (Path(folder) / name for name in ("given", "prepared", "done"))
        given.write_bytes(graph)
        quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(done),
            Films(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTISED),
            nodes_to_exclude=_kept(onnx.load(prepared), scope),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return done.read_bytes()


def _kept(model: Any, scope: str) -> list[str]:
    """The names of the nodes that stay in float32."""
    nodes = list(model.graph.node)
    work = [i for i, node in enumerate(nodes) if node.op_type in _QUANTISED]
    enlargements = [i for i, node in enumerate(nodes) if node.op_type in _ENLARGING]
    kept = {i for i in work if _is_depthwise(nodes[i])} | {*work[:1], *work[-1:]}
    if scope == DECODER:
        kept |= {i for i in work if not enlargements or i < enlargements[0]}
    return [nodes[i].name for i in sorted(kept)]


def _is_depthwise(node: Any) -> bool:
    return any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)


@contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime advises, on the root logger, to do what is done here before it is done."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
