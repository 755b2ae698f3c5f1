"""Runtimes: the same numbers from each, the choice among them, the cache, and what is refused."""

import hashlib
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pleura.errors import BundleError, DeviceUnavailable, MissingExtra, UnknownName
from pleura.inference.bundle import (
    PRESENCE_HEAD,
    Bundle,
    BundleManifest,
    Member,
    open_bundle,
    write_bundle,
)
from pleura.inference.detector import Detector
from pleura.inference.preprocess import InputSpec
from pleura.inference.runtimes import RuntimeOptions, cache, choice
from pleura.inference.runtimes.graph import RuntimeRefusal
from pleura.radiograph import Radiograph
from tiny_graphs import SIZE, graph, graph_with_outside_data

MEMBER = Member("unet", {}, InputSpec(SIZE, mean=0.0, std=1.0), PRESENCE_HEAD)
MANIFEST = BundleManifest("tiny", "1", (MEMBER,))
LIBRARIES = ["onnxruntime", "openvino"]
X86 = "x86_64"


def checked(*pairs: tuple[str, str]) -> BundleManifest:
    """`MANIFEST` whose decisions were compared in these runtimes and precisions."""
    entries = [{"runtime": runtime, "precision": precision} for runtime, precision in pairs]
    return replace(MANIFEST, exports={"checked": entries})


def of_graph(data: bytes, manifest: BundleManifest = MANIFEST, **options) -> Detector:
    bundle = Bundle.in_memory(manifest, (), [data])
    return Detector.of(bundle, options=RuntimeOptions(cache=False, **options))


def film(value: float = 0.5) -> Radiograph:
    pixels = np.full((128, 128), value, np.float32)
    pixels[:, :64] += 0.25
    return Radiograph(pixels=pixels, source_bits=8, source_format="png", source="f.png")


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Makes all libraries but some look as if they were not installed, on a machine of some kind."""

    def leave(*names: str, machine: str = X86) -> None:
        for name in {"openvino", "onnxruntime", "torch"} - set(names):
            monkeypatch.setitem(sys.modules, name, None)
        for name in names:
            pytest.importorskip(name)
        monkeypatch.setattr(choice.platform, "machine", lambda: machine)

    return leave


@pytest.mark.parametrize("batch", ["batch", 1])
def test_logits_are_those_of_the_graph(library: str, batch: int | str) -> None:
    detector = of_graph(graph(batch=batch), runtime=library, precision="f32")
    images = np.zeros((3, 1, SIZE, SIZE), np.float32)
    images[1] = 0.5
    images[2, :, :, :8] = 1.0
    logits = detector.runtimes[0](images)
    assert logits.mask.shape == (3, SIZE, SIZE)
    assert (logits.mask.dtype, logits.presence.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(logits.presence, [1.0, 2.0, 1.5], rtol=1e-6)
    np.testing.assert_allclose(logits.mask[2, 0], [3.0] * 8 + [1.0] * (SIZE - 8), rtol=1e-6)
    first = logits.mask.copy()
    detector.runtimes[0](images[:1] + 9)  # what was returned is the caller's own
    np.testing.assert_array_equal(logits.mask, first)


def test_a_graph_without_a_presence_head(library: str) -> None:
    detector = of_graph(graph(presence=False), runtime=library)
    assert detector.runtimes[0](np.zeros((2, 1, SIZE, SIZE), np.float32)).presence is None


def test_findings_from_many_threads_are_those_of_one(library: str) -> None:
    detector = of_graph(graph(gain=8.0, offset=-4.0), runtime=library, threads=1)
    films = [film(value) for value in np.linspace(0, 0.7, 40)]
    alone = [detector(one).probability for one in films]
    assert len(set(alone)) == len(alone)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda one: detector(one).probability, films)) == alone


def test_a_detector_can_be_warmed_up_and_says_what_runs_it(library: str) -> None:
    detector = of_graph(graph(), runtime=library, precision="f32", threads=1)
    detector.warm_up()
    detector.warm_up(batch_size=3)
    assert detector.description == f"{library} f32 on cpu: it was asked for"


@pytest.mark.parametrize("data", [b"", b"no graph", graph()[:-40]])
def test_a_graph_that_cannot_be_run_is_refused(library: str, data: bytes) -> None:
    with pytest.raises(RuntimeRefusal, match="cannot run the graph of unet"):
        of_graph(data, runtime=library)


def test_boxes_are_left_to_the_runtimes_that_can_find_none() -> None:
    pytest.importorskip("openvino")
    from onnx import ModelProto, TensorProto, helper

    model = ModelProto.FromString(graph(batch=1))
    box = helper.make_node("Slice", ["mask_logits", "from", "to", "axes"], ["boxes"])
    model.graph.node.append(box)
    for name, values in (("from", [0, 0, 0]), ("to", [1, 2, 5]), ("axes", [0, 1, 2])):
        tensor = helper.make_tensor(name, TensorProto.INT64, [3], values)
        model.graph.initializer.append(tensor)
    model.graph.output.append(helper.make_tensor_value_info("boxes", TensorProto.FLOAT, None))
    with pytest.raises(RuntimeRefusal, match="OpenVINO is not used for unet"):
        of_graph(model.SerializeToString(), runtime="openvino")


def test_tensors_in_other_files_are_refused(library: str) -> None:
    with pytest.raises(BundleError, match="takes tensors from other files"):
        of_graph(graph_with_outside_data(), runtime=library)


class TestChoice:
    """What `auto` takes, on machines that differ in what is installed."""

    def test_openvino_on_x86_and_onnxruntime_elsewhere(self, only) -> None:
        only("openvino", "onnxruntime")
        assert of_graph(graph()).description == "openvino f32 on cpu: the quickest here"
        only("openvino", "onnxruntime", machine="arm64")
        assert of_graph(graph()).description == "onnxruntime f32 on cpu: the quickest here"

    def test_what_is_not_installed_is_passed_over_and_said(self, only) -> None:
        only("onnxruntime")
        assert of_graph(graph()).description == (
            "onnxruntime f32 on cpu: the quickest here, as openvino is not installed"
        )

    def test_torch_where_there_is_no_graph(self, only) -> None:
        only("openvino", "onnxruntime")
        with pytest.raises(MissingExtra, match=r"safetensors alone.*'pleura\[train\]'$"):
            Detector.of(Bundle.in_memory(MANIFEST, [b""]))
        with pytest.raises(BundleError, match="holds no exported graph; use runtime auto"):
            Detector.of(
                Bundle.in_memory(MANIFEST, [b""]), options=RuntimeOptions(runtime="openvino")
            )

    def test_a_device_beside_options_for_another_is_refused(self) -> None:
        bundle = Bundle.in_memory(MANIFEST, [None], [graph()])
        with pytest.raises(ValueError, match="options ask for the device auto, not cuda"):
            Detector.of(bundle, "cuda", options=RuntimeOptions(runtime="onnxruntime"))

    def test_nothing_installed(self, only) -> None:
        only()
        with pytest.raises(MissingExtra, match=r"exported graph.*\[openvino\]' or .*onnxruntime"):
            of_graph(graph())
        for library in LIBRARIES:
            with pytest.raises(MissingExtra, match=rf"'pleura\[{library}\]'"):
                of_graph(graph(), runtime=library)

    def test_a_bundle_without_weights_is_not_for_torch(self) -> None:
        with pytest.raises(BundleError, match="holds no safetensors"):
            of_graph(graph(), runtime="torch")

    def test_a_graph_that_one_refuses_goes_to_the_next(
        self, only, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        only("openvino", "onnxruntime")

        def refuse(*_: object) -> None:
            raise RuntimeRefusal("OpenVINO cannot run the graph of unet: NonMaxSuppression")

        monkeypatch.setattr(choice, "OpenVinoRuntime", refuse)
        with caplog.at_level(logging.WARNING):
            detector = of_graph(graph())
        assert "openvino cannot run it" in detector.description
        assert "NonMaxSuppression" in caplog.text
        with pytest.raises(RuntimeRefusal):
            of_graph(graph(), runtime="openvino")

    def test_what_was_found_unable_is_not_tried(self, only) -> None:
        only("openvino", "onnxruntime")
        known = replace(MANIFEST, exports={"refused": ["openvino"]})
        assert of_graph(graph(), known).description == (
            "onnxruntime f32 on cpu: the quickest here, as openvino does not run these networks"
        )
        assert of_graph(graph(), replace(MANIFEST, exports={"refused": 1})).description.startswith(
            "openvino"
        )

    def test_a_gpu_is_for_torch(self) -> None:
        with pytest.raises(DeviceUnavailable, match="onnxruntime runs on the cpu"):
            of_graph(graph(), runtime="onnxruntime", device="cuda")
        with pytest.raises(BundleError, match=r"device cuda needs torch.*no safetensors"):
            of_graph(graph(), device="cuda")

    def test_a_precision_that_a_runtime_has_not_got(self) -> None:
        with pytest.raises(BundleError, match="does not compute in bf16"):
            of_graph(graph(), runtime="onnxruntime", precision="bf16")

    def test_options_that_do_not_exist(self) -> None:
        for bad in ({"runtime": "tensorrt"}, {"device": "gpu"}, {"precision": "int4"}):
            with pytest.raises(UnknownName, match="is no known"):
                RuntimeOptions(**bad)
        for threads in (-1, 10_000, 1.5):
            with pytest.raises(ValueError, match="threads are 0"):
                RuntimeOptions(threads=threads)
        assert RuntimeOptions(threads=3).thread_count == 3
        assert RuntimeOptions().thread_count >= 1


def test_bf16_is_used_only_where_the_bundle_was_checked_with_it() -> None:
    openvino = pytest.importorskip("openvino")
    able = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    f32, quickest = "openvino f32 on cpu", f"openvino {'bf16' if able else 'f32'} on cpu"
    for manifest, name in (
        (MANIFEST, f32),
        (checked(("openvino", "f32"), ("onnxruntime", "bf16")), f32),
        (checked(("openvino", "f32"), ("openvino", "bf16")), quickest),
        (replace(MANIFEST, exports={"checked": 3}), f32),
        (replace(MANIFEST, exports={"checked": [None, {}]}), f32),
    ):
        assert of_graph(graph(), manifest, runtime="openvino").runtimes[0].name == name
    one = of_graph(graph(), checked(("openvino", "bf16")), runtime="openvino", precision="f32")
    assert one.runtimes[0].name == f32


class TestBundles:
    """Graphs in bundles: alone or beside weights, named, checked."""

    @pytest.mark.parametrize("name", ["b", "b.zip"])
    def test_a_bundle_of_graphs_alone_predicts(self, tmp_path: Path, name: str) -> None:
        two = replace(MANIFEST, members=(MEMBER, MEMBER))
        graphs = [graph(offset=0.0, gain=4.0), graph(offset=-1.0, gain=4.0)]
        write_bundle(tmp_path / name, two, (), graphs=graphs, zipped=name.endswith("zip"))
        bundle = open_bundle(tmp_path / name)
        assert sorted(bundle.files) == ["network-1.onnx", "network-2.onnx"]
        assert (bundle.graphs, bundle.weights) == (tuple(graphs), (None, None))
        finding = Detector.load(tmp_path / name, runtime="onnxruntime", cache=False)(film(0.25))
        # pixels of 0.5 and 0.25: mean logits of 1.5 and 0.5, whose sigmoids are averaged
        expected = (1 / (1 + np.exp(-1.5)) + 1 / (1 + np.exp(-0.5))) / 2
        assert finding.probability == pytest.approx(expected, abs=1e-6)

    def test_only_what_is_used_is_read(self, tmp_path: Path) -> None:
        write_bundle(tmp_path / "b", MANIFEST, [b"weights"], graphs=[graph()])
        (tmp_path / "b" / "weights.safetensors").write_bytes(b"altered")
        Detector.load(tmp_path / "b", runtime="onnxruntime")
        (tmp_path / "b" / "network.onnx").write_bytes(graph(gain=3.0))
        with pytest.raises(BundleError, match=r"network\.onnx does not match its checksum"):
            Detector.load(tmp_path / "b", cache=False)  # and never another runtime instead

    def test_a_member_needs_one_of_the_two(self, tmp_path: Path) -> None:
        two = replace(MANIFEST, members=(MEMBER, MEMBER))
        with pytest.raises(BundleError, match="needs its weights, or its exported graph"):
            write_bundle(tmp_path / "b", two, [b"w", None])
        with pytest.raises(BundleError, match="needs as many graphs; got 1"):
            write_bundle(tmp_path / "b", two, [b"w", b"w"], graphs=[graph()])
        assert not (tmp_path / "b").exists()
        write_bundle(tmp_path / "b", two, [b"w", None], graphs=[graph(), graph()])
        bundle = open_bundle(tmp_path / "b")
        assert (bundle.has_weights, bundle.has_graphs) == (False, True)

    def test_files_that_no_member_has_are_refused(self, tmp_path: Path) -> None:
        write_bundle(tmp_path / "b", MANIFEST, (), graphs=[graph()])
        path = tmp_path / "b" / "bundle.json"
        text = path.read_text()
        for name in ("../../passwd", "network-2.onnx"):
            path.write_text(text.replace('"network.onnx"', f'"network.onnx": "0", "{name}"'))
            with pytest.raises(BundleError, match="files that no member has"):
                open_bundle(tmp_path / "b")

    def test_a_calibrated_copy_keeps_the_graph(self, tmp_path: Path) -> None:
        from pleura.evaluation.recalibrate import without_calibrator, write_calibrated
        from pleura.inference.calibration import Calibrator

        write_bundle(tmp_path / "b", MANIFEST, (), graphs=[graph()])
        opened = open_bundle(tmp_path / "b")
        assert without_calibrator(opened).graphs == opened.graphs
        write_calibrated(tmp_path / "c", opened, Calibrator("platt", slope=2.0))
        assert open_bundle(tmp_path / "c").graphs == opened.graphs


class TestCache:
    """Compiled networks are kept, checked, and done without."""

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setattr(sys, "platform", "linux")
        return cache.cache_folder()

    def test_kept_and_recalled(self, folder: Path) -> None:
        assert cache.recall(folder, "k") is None
        cache.keep(folder, "k", b"content")
        assert cache.recall(folder, "k") == b"content"
        assert folder.stat().st_mode & 0o077 == 0
        cache.forget(folder, "k")
        assert cache.recall(folder, "k") is None

    def test_what_is_damaged_is_dropped(self, folder: Path) -> None:
        cache.keep(folder, "k", b"content")
        (path,) = folder.iterdir()
        for damaged in (path.read_bytes()[:-1], b"", hashlib.sha256(b"x").digest() + b"content"):
            path.write_bytes(damaged)
            assert cache.recall(folder, "k") is None
            assert not path.exists()

    def test_the_least_recently_used_go(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import os

        monkeypatch.setattr(cache, "KEPT", 2)
        for number, name in enumerate("abc"):
            cache.keep(folder, name, b"x")
            for path in folder.glob(f"{name}.*"):
                os.utime(path, (number, number))
        assert sorted(path.stem for path in folder.iterdir()) == ["b", "c"]

    def test_a_place_that_cannot_be_written_is_done_without(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        cache.keep(tmp_path / "file" / "below", "k", b"content")
        assert cache.recall(tmp_path / "file" / "below", "k") is None

    def test_other_facts_have_another_key(self) -> None:
        assert cache.key_of("ab", "c") != cache.key_of("a", "bc")

    def test_openvino_starts_from_it_and_says_the_same(self, folder: Path) -> None:
        pytest.importorskip("openvino")
        images = np.full((1, 1, SIZE, SIZE), 0.5, np.float32)
        options = RuntimeOptions("openvino", threads=1)
        bundle = Bundle.in_memory(MANIFEST, (), [graph()])
        first = Detector.of(bundle, options=options).runtimes[0](images)
        (path,) = folder.iterdir()
        before = path.read_bytes()
        again = Detector.of(bundle, options=options).runtimes[0](images)
        np.testing.assert_array_equal(first.mask, again.mask)
        # Whole by its checksum, but nothing OpenVINO knows, such as another version's: made anew.
        path.write_bytes(hashlib.sha256(b"junk").digest() + b"junk")
        made = Detector.of(bundle, options=options).runtimes[0](images)
        np.testing.assert_array_equal(first.mask, made.mask)
        assert len(path.read_bytes()) > len(before) // 2
        other = Bundle.in_memory(MANIFEST, (), [graph(gain=5.0)])
        found = Detector.of(other, options=options).runtimes[0](images)
        np.testing.assert_allclose(found.presence, [3.5], rtol=1e-6)
        assert len(list(folder.iterdir())) == 2
