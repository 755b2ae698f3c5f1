"""Services to ask, and films to send them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from a_service import TOKEN, Served
from pleura.data.phantom.dicom import KINDS, dicom_bytes, uid
from pleura.data.phantom.film import phantom
from pleura.inference.bundle import PRESENCE_HEAD, BundleManifest, Member, write_bundle
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec
from tiny_graphs import SIZE, graph


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that finds what is bright: positive films are those with a white upper half."""
    point = OperatingPoint(0.5, 0.0, 0.4, "an aim", "no films")
    member = Member("unet_timm", {"encoder": "resnet10t"}, InputSpec(SIZE), PRESENCE_HEAD)
    out = tmp_path_factory.mktemp("served") / "b"
    graphs = [graph(gain=2.0, offset=0.0)]
    fitted = {"n": 100, "positives": 20, "sensitivity": 0.9, "specificity": 0.95}
    manifest = BundleManifest(
        "bright", "1", (member,), operating_point=point, metrics={"no films": fitted}
    )
    write_bundle(out, manifest, [], graphs=graphs)
    return out


@pytest.fixture(scope="session")
def films() -> list[bytes]:
    """Four phantoms, one of each kind of DICOM file: JPEG, 12 bits inverted, RLE, JPEG 2000."""
    made = []
    for number, kind in enumerate(KINDS):
        name = f"served {number}"
        film = phantom(number, size=200)
        made.append(
            dicom_bytes(film, kind, name, uid(f"{name} study"), uid(f"{name} series"), uid(name))
        )
    return made


@pytest.fixture(scope="session")
def serve(
    bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Served]]:
    """Starts services, and stops them at the end."""
    started: list[Served] = []

    def start(*options: str, token: str | None = None) -> Served:
        served = Served(bundle, tmp_path_factory.mktemp("store") / "s", *options, token=token)
        started.append(served)
        return served

    yield start
    for served in started:
        if served.process.poll() is None:
            served.stop()


@pytest.fixture(scope="module")
def served(serve: Callable[..., Served]) -> Iterator[Served]:
    """A service with nothing but its defaults, and no films but its module's."""
    service = serve()
    yield service
    if service.process.poll() is None:
        service.stop()


@pytest.fixture(scope="session")
def guarded(serve: Callable[..., Served]) -> Served:
    """A service with a token, small limits, that keeps nothing of whose a film is."""
    options = ("--deidentify", "--upload-limit", "0.002", "--user-header", "X-User")
    options += ("--proxy", "127.0.0.1")
    return serve(*options, token=TOKEN)
