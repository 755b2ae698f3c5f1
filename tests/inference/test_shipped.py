"""The model used when none is named."""

import sys
from pathlib import Path

import numpy as np
import pytest

import pleura
from pleura.errors import BundleError
from pleura.inference.bundle import PRESENCE_HEAD, BundleManifest, Member, write_bundle
from pleura.inference.preprocess import InputSpec
from pleura.inference.shipped import default_bundle, shipped_anatomy
from tiny_graphs import SIZE, graph


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no weights were installed."""
    monkeypatch.setitem(sys.modules, "pleura_weights", None)


def weights_module(place: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    package = place / "pleura_weights"
    package.mkdir()
    (package / "__init__.py").write_text(f"from pathlib import Path\n{body}\n")
    monkeypatch.setitem(
        sys.modules, "pleura_weights", None
    )  # so that what is imported is forgotten afterwards,
    del sys.modules["pleura_weights"]  # which an entry that was not there yet would not be
    monkeypatch.syspath_prepend(place)


@pytest.mark.usefixtures("without")
def test_without_weights_the_error_says_what_to_install() -> None:
    with pytest.raises(BundleError, match=r"pip install \./weights.*or name a bundle"):
        default_bundle()


def test_a_detector_without_a_path_is_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights_module(tmp_path, monkeypatch, 'BUNDLE = Path(__file__).parent / "model"')
    member = Member("unet_timm", {"encoder": "resnet10t"}, InputSpec(SIZE), PRESENCE_HEAD)
    made = write_bundle(
        tmp_path / "pleura_weights" / "model",
        BundleManifest("shipped", "1", (member,)),
        [],
        graphs=[graph()],
    )
    detector = pleura.Detector.load(cache=False)
    assert detector.bundle.identity == made
    assert pleura.Detector.load("shipped", cache=False).bundle.identity == made
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shipped").mkdir()  # a folder of that name is itself
    with pytest.raises(BundleError, match="shipped"):
        pleura.Detector.load("shipped", cache=False)
    film = pleura.Radiograph(
        np.tile(np.linspace(0, 1, 256, dtype=np.float32), (256, 1)), 8, "png", "film"
    )
    assert detector(film).model.name == "shipped"


@pytest.mark.parametrize("body", ["", "BUNDLE = 3", 'BUNDLE = Path(__file__).parent / "gone"'])
def test_weights_without_a_bundle_are_refused(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights_module(tmp_path, monkeypatch, body)
    with pytest.raises(BundleError, match="holds no bundle that this pleura finds"):
        default_bundle()


@pytest.mark.usefixtures("without")
def test_without_weights_the_anatomy_says_what_to_install() -> None:
    with pytest.raises(
        BundleError, match=r"anatomy network is not installed: .*pip install \./weights"
    ):
        shipped_anatomy()


@pytest.mark.parametrize("body", ["", 'ANATOMY = Path(__file__).parent / "gone"'])
def test_weights_without_an_anatomy_are_refused(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights_module(tmp_path, monkeypatch, body)
    with pytest.raises(BundleError, match="holds no anatomy run that this pleura finds"):
        shipped_anatomy()


def test_weights_that_cannot_be_imported_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights_module(tmp_path, monkeypatch, "import no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        default_bundle()
