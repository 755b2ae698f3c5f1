"""A trained network as an exported graph: ONNX, for the runtimes that do without PyTorch."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import safetensors.torch
import torch
from torch import Tensor, nn

from pleura.errors import MissingExtra, TrainingError
from pleura.inference.manifest import ANATOMY, Member
from pleura.inference.runtimes.graph import INPUT, OUTPUTS
from pleura.networks import create

OPSET = 20
"""Known to every ONNX Runtime and OpenVINO that pleura installs with."""

_BATCH = 2  # of the example: a batch of one would be taken for a constant


def graph_of(member: Member, weights: bytes) -> bytes:
    """The member's network with its weights as an ONNX file.

    It takes what `pleura.inference.preprocess` makes of films and gives logits: sigmoid, resizing and
    decisions stay in the code that all runtimes share, and so cannot drift. The batch is of any size, or of
    one film where the network's own `traced_export` says that its graph depends on the data.

    Args:
        member: the network.
        weights: its safetensors file.

    Raises:
        MissingExtra: onnx or onnxscript is not installed.
        TrainingError: PyTorch cannot export it.
    """
    network = create(
        member.network,
        channels=member.input.channels,
        size=member.input.size,
        **member.network_options,
    )
    network.load_state_dict(safetensors.torch.load(weights))
    wrapped = (network if member.role == ANATOMY else _Logits(network)).eval()
    shape = (member.input.channels, member.input.size, member.input.size)
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtra.needing("Exporting a graph", "train", error) from error
    try:
        with _quiet():
            if getattr(network, "traced_export", False):
                return _traced(wrapped, torch.rand(1, *shape))
            return _exported(wrapped, torch.rand(_BATCH, *shape))
    except Exception as error:  # its errors share no class but this
        raise TrainingError(
            f"PyTorch cannot export {member.network} as a graph: {error}; export it without (--graph none)"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """What the exporter's libraries say, of each other and of every node, is nothing to a user."""
    loggers = [logging.getLogger(name) for name in ("onnx_ir", "onnxscript", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Logits(nn.Module):
    """A network that returns what serving needs, as plain tensors."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        output = self.network(images)
        mask = output.mask_logits[:, 0]
        presence = output.presence_logits
        if presence is None:
            return (mask,)
        return (mask, presence, *output.boxes)  # boxes are of a graph for one film


def _names(wrapped: nn.Module, images: Tensor) -> list[str]:
    with torch.no_grad():
        answers = wrapped(images)
    named = getattr(answers, "_fields", OUTPUTS)  # a network that looks for no target names its own
    return list(named[: len(answers)])


def _exported(wrapped: nn.Module, images: Tensor) -> bytes:
    """By torch.export: shapes are proved, not recorded, so a graph of any batch size is right or refused."""
    program = torch.onnx.export(
        wrapped,
        (images,),
        dynamo=True,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=_names(wrapped, images),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    return _sourceless(cast(Any, program).model_proto)


def _traced(wrapped: nn.Module, images: Tensor) -> bytes:
    """By recording one pass, for networks whose shapes depend on what they see; a batch of one film."""
    import onnx

    file, export = io.BytesIO(), cast(Any, torch.onnx.export)  # a stream is allowed without dynamo
    export(
        wrapped,
        (images,),
        file,
        dynamo=False,
        opset_version=17,
        input_names=[INPUT],
        output_names=_names(wrapped, images),
    )
    return _sourceless(onnx.load_from_string(file.getvalue()))


def _sourceless(model: Any) -> bytes:
    """Without the lines of source that nodes came from, and their paths on the machine that exports."""
    for part in (model.graph, *model.functions):
        for described in (part, *part.node, *part.value_info):
            del described.metadata_props[:]
            described.ClearField("doc_string")
    return bytes(model.SerializeToString())
