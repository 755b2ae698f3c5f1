"""Bundles: whole or not at all, checked before use; and the detector that comes of one."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from pleura.errors import BundleError, DeviceUnavailable, RecipeError, UnknownName
from pleura.inference.bundle import BundleManifest, Member, open_bundle, write_bundle
from pleura.inference.detector import Detector
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec, network_input
from pleura.networks import create
from pleura.radiograph import Radiograph

OPTIONS = {"encoder": "resnet10t", "decoder_channels": [8, 8, 8, 8, 8]}
MANIFEST = BundleManifest(
    name="test",
    version="1",
    members=(Member("unet_timm", OPTIONS, InputSpec(64)),),
    operating_point=OperatingPoint(0.5, 0.001, 0.6, "an aim", "some films"),
)


def with_member(**changes) -> BundleManifest:
    """`MANIFEST` with its only member changed."""
    return replace(MANIFEST, members=(replace(MANIFEST.members[0], **changes),))


@pytest.fixture(scope="module")
def weights() -> bytes:
    torch.manual_seed(0)
    return save(create("unet_timm", channels=1, size=64, **OPTIONS).state_dict())


def film(seed: int = 0, shape: tuple[int, int] = (200, 160), **more) -> Radiograph:
    pixels = np.random.default_rng(seed).random(shape, dtype=np.float32)
    return Radiograph(
        pixels=pixels, source_bits=8, source_format="png", source=f"{seed}.png", **more
    )


@pytest.mark.parametrize("zipped", [False, True])
def test_written_and_opened(tmp_path: Path, weights: bytes, zipped: bool) -> None:
    out = tmp_path / ("b.zip" if zipped else "b")
    identity = write_bundle(out, MANIFEST, [weights], zipped=zipped)
    bundle = open_bundle(out)
    assert bundle.identity == identity
    assert bundle.weights == (weights,)
    assert bundle.manifest.created
    assert replace(bundle.manifest, created="") == MANIFEST
    assert [p.name for p in tmp_path.iterdir()] == [out.name]  # nothing left beside it


def test_a_zip_with_a_folder_in_it_opens_too(tmp_path: Path, weights: bytes) -> None:
    write_bundle(tmp_path / "b", MANIFEST, [weights])
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for path in (tmp_path / "b").iterdir():
            archive.write(path, f"b/{path.name}")
    assert open_bundle(tmp_path / "b.zip").weights == (weights,)


def test_an_older_bundle_is_replaced_and_nothing_else(tmp_path: Path, weights: bytes) -> None:
    write_bundle(tmp_path / "b", MANIFEST, [weights])
    second = write_bundle(tmp_path / "b", replace(MANIFEST, version="2"), [weights])
    assert open_bundle(tmp_path / "b").identity == second
    for name in ("thesis", "b"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "text").write_text("mine")
        with pytest.raises(BundleError, match="is no bundle"):
            write_bundle(tmp_path / name, MANIFEST, [weights])
        assert (tmp_path / name / "text").read_text() == "mine"
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("photo.jpg", b"mine")
    with pytest.raises(BundleError, match="is no bundle"):
        write_bundle(tmp_path / "photos.zip", MANIFEST, [weights], zipped=True)
    assert zipfile.ZipFile(tmp_path / "photos.zip").namelist() == ["photo.jpg"]


def test_a_bundle_that_cannot_be_replaced_stays(
    tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_bundle(tmp_path / "b", MANIFEST, [weights])
    rename = os.replace

    def once_full(source: Path, target: Path) -> None:
        if Path(source).name == "bundle":
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "replace", once_full)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(tmp_path / "b", replace(MANIFEST, version="2"), [weights])
    assert open_bundle(tmp_path / "b").identity == first
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_what_a_killed_export_left_goes_with_the_next(tmp_path: Path, weights: bytes) -> None:
    (tmp_path / "weights").write_bytes(weights)
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1]); from test_bundle import MANIFEST, write_bundle\n"
        "os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_bundle(Path('b'), MANIFEST, [Path('weights').read_bytes()])\n"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    ended = subprocess.run(command, cwd=tmp_path, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2
    write_bundle(tmp_path / "b", MANIFEST, [weights])
    assert sorted(os.listdir(tmp_path)) == ["b", "weights"]


def test_altered_weights_are_refused(tmp_path: Path, weights: bytes) -> None:
    write_bundle(tmp_path / "b", MANIFEST, [weights])
    altered = bytearray(weights)
    altered[-1] ^= 1
    (tmp_path / "b" / "weights.safetensors").write_bytes(altered)
    with pytest.raises(BundleError, match="does not match its checksum"):
        Detector.load(tmp_path / "b", device="cpu")
    with pytest.raises(BundleError, match="does not match its checksum"):
        _ = open_bundle(tmp_path / "b").weights


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format_version": 99}, "format 99"),
        ({"calibrator": {"kind": "magic"}}, "calibrator"),
        ({"calibrator": {"kind": "platt", "slope": -1}}, "calibrator"),
        ({"members": []}, "one of them a segmenter"),
        ({"members": {}}, "members are a list"),
        ({"members": [1]}, "cannot be used"),
        ({"members": None}, "cannot be used"),
        ({"flip": 1}, "flip is true or false"),
        ({"surprise": 1}, "cannot be used"),
        ({"files": {}}, "cannot be used"),
        ({"operating_point": {"pixel_threshold": "x"}}, "cannot be used"),
    ],
)
def test_manifests_that_cannot_be_trusted(
    tmp_path: Path, weights: bytes, change: dict, says: str
) -> None:
    write_bundle(tmp_path / "b", MANIFEST, [weights])
    path = tmp_path / "b" / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=says):
        open_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"presence_score": "other"}, "unknown presence score"),
        ({"role": "oracle"}, "unknown role"),
        ({"role": "gate"}, "one of them a segmenter"),
        ({"surprise": 1}, "cannot be used"),
        ({"input": {"size": 1}}, "cannot be used"),
        ({"input": {"size": 64, "mean": "a"}}, "cannot be used"),
        ({"input": None}, "cannot be used"),
        ({"network": []}, "network is a text"),
        ({"network_options": [1]}, "network_options is a mapping"),
    ],
)
def test_members_that_cannot_be_trusted(
    tmp_path: Path, weights: bytes, change: dict, says: str
) -> None:
    write_bundle(tmp_path / "b", MANIFEST, [weights])
    path = tmp_path / "b" / "bundle.json"
    described = json.loads(path.read_text())
    described["members"][0] |= change
    path.write_text(json.dumps(described))
    with pytest.raises(BundleError, match=says):
        open_bundle(tmp_path / "b")


def test_a_bundle_of_format_1_opens_as_its_only_member(tmp_path: Path, weights: bytes) -> None:
    write_bundle(tmp_path / "b", MANIFEST, [weights])
    path = tmp_path / "b" / "bundle.json"
    described = json.loads(path.read_text())
    (member,) = described.pop("members")
    member.pop("role")
    described.pop("flip")
    path.write_text(json.dumps(described | member | {"format_version": 1}))
    bundle = open_bundle(tmp_path / "b")
    assert replace(bundle.manifest, created="") == MANIFEST
    assert bundle.weights == (weights,)
    assert Detector.load(tmp_path / "b", device="cpu")(film()).probability is not None


def test_several_members_have_a_file_each(tmp_path: Path, weights: bytes) -> None:
    member = MANIFEST.members[0]
    several = replace(MANIFEST, members=(member, replace(member, role="gate")))
    assert several.combination == "cascade"
    assert (several.of_role("segmenter"), several.of_role("gate")) == ((0,), (1,))
    assert replace(MANIFEST, members=(member, member)).combination == "mean"
    with pytest.raises(BundleError, match="needs as many weights; got 1"):
        write_bundle(tmp_path / "b", several, [weights])
    for out in (tmp_path / "b", tmp_path / "b.zip"):
        write_bundle(out, several, [weights, weights[::-1]], zipped=out.suffix == ".zip")
        bundle = open_bundle(out)
        assert bundle.weights == (weights, weights[::-1])
        assert replace(bundle.manifest, created="") == several
        write_bundle(out, MANIFEST, [weights], zipped=out.suffix == ".zip")  # replaces it
        assert open_bundle(out).manifest.combination == "single"
    names = {path.name for path in (tmp_path / "b").iterdir()}
    assert names == {"bundle.json", "weights.safetensors"}
    write_bundle(tmp_path / "c", several, [weights, weights[::-1]])
    (tmp_path / "c" / "weights-2.safetensors").write_bytes(weights)
    with pytest.raises(BundleError, match=r"weights-2\.safetensors does not match"):
        _ = open_bundle(tmp_path / "c").weights


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        open_bundle(tmp_path / "none")
    with pytest.raises(BundleError, match=r"holds no bundle\.json"):
        open_bundle(tmp_path)
    (tmp_path / "f.zip").write_text("no zip")
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(tmp_path / "f.zip")
    (tmp_path / "b").mkdir()
    for content in (b"\x80\x04.", b"null", b"[]", b"[" * 100_000, b'{"format_version": 1}'):
        (tmp_path / "b" / "bundle.json").write_bytes(content)
        with pytest.raises(BundleError, match="cannot be used"):
            open_bundle(tmp_path / "b")


def test_a_zip_with_flipped_bytes(tmp_path: Path, weights: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", b"{}" * 5000)
    data = bytearray((tmp_path / "b.zip").read_bytes())
    for position in range(40, 60):
        data[position] ^= 0xFF
    (tmp_path / "b.zip").write_bytes(data)
    with pytest.raises(BundleError):
        open_bundle(tmp_path / "b.zip")


def test_devices_that_are_not_there(tmp_path: Path, weights: bytes) -> None:
    write_bundle(tmp_path / "b", MANIFEST, [weights])
    with pytest.raises(UnknownName, match="device"):
        Detector.load(tmp_path / "b", device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceUnavailable, match="finds no GPU"):
            Detector.load(tmp_path / "b", device="cuda")


def test_options_no_network_can_have(tmp_path: Path, weights: bytes) -> None:
    bad = with_member(network_options={**OPTIONS, "decoder_channels": [-1] * 5})
    write_bundle(tmp_path / "b", bad, [weights])
    with pytest.raises(RecipeError):
        Detector.load(tmp_path / "b", device="cpu")


def test_weights_of_another_network_are_refused(tmp_path: Path, weights: bytes) -> None:
    other = with_member(network_options={**OPTIONS, "decoder_channels": [4] * 5})
    write_bundle(tmp_path / "b", other, [weights])
    with pytest.raises(BundleError, match="are not those of unet_timm"):
        Detector.load(tmp_path / "b", device="cpu")
    write_bundle(tmp_path / "c", with_member(network="unet_tim"), [weights])
    with pytest.raises(UnknownName, match="unet_timm"):
        Detector.load(tmp_path / "c", device="cpu")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory, weights: bytes) -> Detector:
    path = tmp_path_factory.mktemp("bundles") / "b"
    write_bundle(path, MANIFEST, [weights])
    return Detector.load(path, device="cpu")


def test_the_detector_computes_what_the_network_does(detector: Detector, weights: bytes) -> None:
    from safetensors.torch import load

    network = create("unet_timm", channels=1, size=64, **OPTIONS).eval()
    network.load_state_dict(load(weights))
    given = film()
    with torch.inference_mode():
        images = torch.from_numpy(network_input(given.pixels, MANIFEST.members[0].input)[None])
        expected = network(images).mask_logits.sigmoid()[0, 0].numpy()
    np.testing.assert_allclose(detector.probabilities([given])[0][0], expected, atol=1e-5)


def test_findings_do_not_depend_on_the_batch(detector: Detector) -> None:
    films = [film(0), film(1, (300, 200)), film(2, view="lateral"), film(3)]
    together = detector.batch(one for one in films)  # whatever they come from
    for given, finding in zip(films, together, strict=True):
        alone = detector(given)
        assert finding.decision == alone.decision
        assert finding.source == given.source
        if finding.probability is not None:
            assert finding.probability == pytest.approx(alone.probability, abs=1e-5)
            assert finding.probability_map is not None
            assert finding.probability_map.shape == given.shape
    assert together[2].decision == "declined"
    assert together[2].probability is None
    assert "lateral" in together[2].reason


def with_point(detector: Detector, point: OperatingPoint) -> Detector:
    bundle = replace(detector.bundle, manifest=replace(MANIFEST, operating_point=point))
    return Detector(bundle, detector.runtimes)


def test_the_operating_point_decides(detector: Detector) -> None:
    given = film()
    score = detector(given).probability
    assert score is not None
    called = with_point(detector, OperatingPoint(0.0, 0.0, score * 0.99))(given)
    assert called.decision == "positive"
    assert called.mask is not None
    assert called.mask.all()
    assert called.side is not None
    assert "reaches the threshold" in called.reason
    silent = with_point(detector, OperatingPoint(0.0, 0.0, min(1.0, score * 1.01)))(given)
    assert silent.decision == "negative"
    assert not silent.mask.any()
    assert "below the threshold" in silent.reason
    nowhere = with_point(detector, OperatingPoint(1.0, 0.0, 0.0))(given)
    assert nowhere.decision == "negative"
    assert "no region is large enough" in nowhere.reason
    assert not called.calibrated
