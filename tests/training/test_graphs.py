"""Exported graphs: every network's, with fewer bits, and refused where they decide otherwise."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import TrainingError, UnknownName
from pleura.inference.bundle import Bundle, BundleManifest, Member
from pleura.inference.detector import Detector
from pleura.inference.manifest import PRESENCE_HEAD, TOP_PIXELS
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec
from pleura.inference.runtimes import RuntimeOptions
from pleura.networks import NETWORKS, create, has_presence_head
from pleura.networks.joint import CompareSides
from pleura.training import graphs
from pleura.training.graph import graph_of
from pleura.training.graphs import graphs_for
from pleura.training.quantise import half, int8

TIMM = {"encoder": "resnet10t", "decoder_channels": [4, 4, 4, 4, 4]}
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "chexnet": (64, {"encoder": "resnet10t"}),
    "double_unet": (32, {"encoder": "vgg11_bn", "filters": [4, 4, 4, 4], "aspp_filters": 4}),
    "joint": (64, {"encoder": "resnet10t", "decoder_channels": [8, 8, 8, 4]}),
    "swin_unet": (32, {"decoder_channels": [8, 8, 8, 8, 8]}),
    "unet": (64, {"filters": [4, 8]}),
    "unet_timm": (64, {**TIMM, "scse": True, "presence_head": True}),
    "unetpp": (32, {"filters": [4, 8, 8]}),
}
"""Of every network its smallest, with each kind of layer that it has."""

VARIANTS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "joint, sides compared": ("joint", 64, {**CASES["joint"][1], "compare_sides": True}),
    "unet, padded": ("unet", 50, {"filters": [4, 8, 8], "padded": True, "batch_norm": True}),
}
"""Others of the same networks, whose graphs differ; this one is mirrored to 52 px."""

ELSEWHERE = {"mask_rcnn"}  # whose shapes depend on what it sees: test_mask_rcnn_graph.py


def member_of(name: str, size: int, options: dict[str, Any]) -> Member:
    score = PRESENCE_HEAD if has_presence_head(name, options) else TOP_PIXELS
    return Member(name, options, InputSpec(size, mean=0.4, std=0.3), score)


def weights_of(member: Member, seed: int = 0) -> bytes:
    """Random weights and norms' statistics that are no longer those of a fresh network."""
    torch.manual_seed(seed)
    network = create(
        member.network, channels=1, size=member.input.size, **member.network_options
    ).train()
    with torch.no_grad():
        if isinstance(getattr(network, "sides", None), CompareSides):  # it adds nothing at first
            network.sides.out.weight.normal_(std=0.1)
        for _ in range(2):
            network(torch.randn(4, 1, member.input.size, member.input.size))
    return save(network.state_dict())


def graph_inputs(model: Any) -> list[Any]:
    return [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]


def test_every_network_is_exported() -> None:
    assert CASES.keys() | ELSEWHERE == NETWORKS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("case", [*sorted(CASES), *VARIANTS])
def test_graphs_give_the_networks_logits(case: str) -> None:
    import onnx

    member = member_of(*(VARIANTS[case] if case in VARIANTS else (case, *CASES[case])))
    weights = weights_of(member)
    graph = graph_of(member, weights)
    assert b'.py", line' not in graph  # nothing of the machine that made it
    assert graph_inputs(onnx.load_from_string(graph))[1:] == [
        1,
        member.input.size,
        member.input.size,
    ]
    bundle = Bundle.in_memory(BundleManifest("m", "1", (member,)), [weights], [graph])
    rng = np.random.default_rng(0)
    runtimes = {
        runtime: Detector.of(
            bundle, options=RuntimeOptions(runtime, "cpu", 1, "f32", cache=False)
        ).runtimes[0]
        for runtime in ("torch", "onnxruntime", "openvino")
    }
    for count in (1, 3):
        size = (count, 1, member.input.size, member.input.size)
        batch = rng.standard_normal(size, np.float32)
        expected = runtimes["torch"](batch)
        assert (expected.presence is None) == (member.presence_score == TOP_PIXELS)
        for runtime in ("onnxruntime", "openvino"):
            got = runtimes[runtime](batch)
            np.testing.assert_allclose(got.mask, expected.mask, atol=2e-4, rtol=1e-4)
            if expected.presence is not None:
                np.testing.assert_allclose(got.presence, expected.presence, atol=2e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def small() -> tuple[Member, bytes]:
    """A U-Net whose norms have seen films of random numbers."""
    member = member_of("unet_timm", 64, TIMM)
    return member, weights_of(member)


@pytest.fixture(scope="module")
def whole(small: tuple[Member, bytes]) -> bytes:
    return graph_of(*small)


def manifest_of(member: Member, pixel: float = 0.01, presence: float = 0.0) -> BundleManifest:
    point = OperatingPoint(pixel, 0.0, presence)
    return BundleManifest("m", "1", (member,), operating_point=point)


def test_half_keeps_the_weights_in_half_the_size(small: tuple[Member, bytes], whole: bytes) -> None:
    import onnx

    reduced = half(whole)
    assert 0.45 < len(reduced) / len(whole) < 0.6
    kinds = {
        t.data_type for t in onnx.load_from_string(reduced).graph.initializer if len(t.dims) > 1
    }
    assert kinds == {onnx.TensorProto.FLOAT16}
    onnx.checker.check_model(onnx.load_from_string(reduced))
    batch = np.random.default_rng(0).standard_normal((2, 1, 64, 64), np.float32)
    logits = {}
    for name, graph in (("whole", whole), ("half", reduced)):
        bundle = Bundle.in_memory(manifest_of(small[0]), (), [graph])
        for runtime in ("onnxruntime", "openvino"):
            options = RuntimeOptions(runtime, threads=1, precision="f32", cache=False)
            logits[name, runtime] = Detector.of(bundle, options=options).runtimes[0](batch).mask
    scale = np.abs(logits["whole", "onnxruntime"]).max()
    for runtime in ("onnxruntime", "openvino"):
        difference = np.abs(logits["half", runtime] - logits["whole", "onnxruntime"]).max()
        assert 0 < difference < 0.01 * scale  # 11 bits a weight


def test_weights_too_large_for_16_bits_stay_as_they_are() -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    large = numpy_helper.from_array(np.array([[1e5, 1.0]], np.float32), "large")
    fits = numpy_helper.from_array(np.array([[6.5e4, 1.0]], np.float32), "fits")
    node = helper.make_node("Add", ["large", "fits"], ["sum"])
    out = helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 2])
    model = helper.make_model(helper.make_graph([node], "g", [], [out], [large, fits]))
    reduced = onnx.load_from_string(half(model.SerializeToString())).graph
    assert [(t.name, t.data_type) for t in reduced.initializer] == [
        ("large", TensorProto.FLOAT),
        ("fits_half", TensorProto.FLOAT16),
    ]


@pytest.mark.parametrize("scope", ["whole", "decoder"])
def test_int8_quantises_what_its_scope_says(whole: bytes, scope: str) -> None:
    import onnx

    batches = [np.random.default_rng(0).standard_normal((2, 1, 64, 64), np.float32)]
    nodes = onnx.load_from_string(int8(whole, batches, scope)).graph.node
    made_by = {name: node.op_type for node in nodes for name in node.output}
    convolutions = [
        made_by.get(n.input[1]) == "DequantizeLinear" for n in nodes if n.op_type == "Conv"
    ]
    assert not convolutions[0]
    assert not convolutions[-1]
    encoder = len(convolutions) - 11  # five blocks of two, and the head
    assert all(convolutions[encoder:-1])
    assert any(convolutions[:encoder]) == (scope == "whole")


def test_graphs_are_checked_on_films(
    small: tuple[Member, bytes],
    whole: bytes,
    blocks: Dataset,
    blocks_split: Split,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    member, weights = small
    monkeypatch.setattr(graphs, "graph_of", lambda *_: whole)
    told: list[tuple[int, int]] = []
    made = graphs_for(
        manifest_of(member),
        [weights],
        blocks,
        numbers="f32",
        train=blocks_split.train,
        tune=blocks_split.tune,
        progress=lambda *numbers: told.append(numbers),
    )
    films = len(blocks_split.tune)
    assert told == [(done, films) for done in range(1, films + 1)]
    assert (made.facts["numbers"], made.facts["refused"]) == ("f32", [])
    entries = {(one["runtime"], one["precision"]): one for one in made.facts["checked"]}
    assert {("onnxruntime", "f32"), ("openvino", "f32")} <= entries.keys()
    for precision in ("onnxruntime", "openvino"):
        entry = entries[precision, "f32"]
        assert (entry["films"], entry["changed"]) == (films, [])
        assert entry["positives"] > 0
        assert entry["dice_worst"] >= 0.995
        assert entry["probability_worst"] < 1e-4
    json.dumps(made.facts, allow_nan=False)


def test_a_graph_that_decides_otherwise_is_refused(
    small: tuple[Member, bytes],
    whole: bytes,
    blocks: Dataset,
    blocks_split: Split,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    member, _ = small
    weights = weights_of(member, seed=1)
    monkeypatch.setattr(graphs, "graph_of", lambda *_: whole)
    with pytest.raises(TrainingError, match="and is refused: in onnxruntime f32 "):
        graphs_for(
            manifest_of(member),
            [weights],
            blocks,
            numbers="f32",
            train=blocks_split.train,
            tune=blocks_split.tune,
        )


def test_kinds_of_numbers_that_do_not_exist(small: tuple[Member, bytes], blocks: Dataset) -> None:
    with pytest.raises(UnknownName, match="int8"):
        graphs_for(manifest_of(small[0]), [small[1]], blocks, numbers="int4", train=(), tune=())


def test_the_films_are_spread_and_half_positive(blocks: Dataset) -> None:
    ids = [film.film_id for film in blocks.films]
    chosen = graphs._spread(blocks, ids, 8)
    assert [film.label for film in chosen] == [1] * 4 + [0] * 4
    assert len({film.film_id for film in chosen}) == 8
    assert len(graphs._spread(blocks, ids, 1000)) == len(ids)
    negative = [film.film_id for film in blocks.films if film.label == 0]
    assert len(graphs._spread(blocks, negative, 8)) == 8
    assert graphs._spread(blocks, [], 8) == []
