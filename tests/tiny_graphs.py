"""ONNX graphs small enough to work out by hand."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIZE = 32


def graph(
    *, gain: float = 2.0, offset: float = 1.0, batch: int | str = "batch", presence: bool = True
) -> bytes:
    """Mask logits are gain x + offset for each pixel x of a one-channel film; presence is their mean."""
    size = ["images", [batch, 1, SIZE, SIZE]]
    nodes = [
        helper.make_node("Mul", ["images", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["moved"]),
        helper.make_node("Squeeze", ["moved", "one"], ["mask_logits"]),
        helper.make_node("ReduceMean", ["mask_logits", "both"], ["presence_logits"], keepdims=0),
    ]
    constants = {
        "gain": np.array(gain, np.float32),
        "offset": np.array(offset, np.float32),
        "one": np.array([1], np.int64),
        "both": np.array([1, 2], np.int64),
    }
    outputs = [("mask_logits", [batch, SIZE, SIZE]), ("presence_logits", [batch])]
    made = helper.make_graph(
        nodes if presence else nodes[:-1],
        "tiny",
        [helper.make_tensor_value_info(size[0], TensorProto.FLOAT, size[1])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (outputs if presence else outputs[:1])
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return model.SerializeToString()


def graph_with_outside_data() -> bytes:
    """A graph whose gain is to be read from another file."""
    from onnx import ModelProto
    from onnx.external_data_helper import set_external_data

    model = ModelProto.FromString(graph())
    set_external_data(model.graph.initializer[0], "../../secret")
    model.graph.initializer[0].ClearField("raw_data")
    return model.SerializeToString()
