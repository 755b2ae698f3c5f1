"""A browser and a service to look at with it; skipped where there is no Chromium or no built viewer."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from a_reader import TOKEN

from a_service import Served
from pleura.inference.bundle import PRESENCE_HEAD, BundleManifest, Member, write_bundle
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec
from tiny_graphs import SIZE, graph

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The machine's own Chromium, without a window."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def bundle(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that finds what is bright, where there is a viewer to show it."""
    page = pytest.importorskip("pleura.service.page", reason="the service is not installed")
    if page.viewer_folder() is None:
        pytest.skip("the viewer is not built; make web builds it")
    member = Member("unet_timm", {"encoder": "resnet10t"}, InputSpec(SIZE), PRESENCE_HEAD)
    point = OperatingPoint(0.5, 0.0, 0.1, "an aim", "no films")  # a fifth of the film bright: 0.2
    manifest = BundleManifest("bright", "1", (member,), operating_point=point)
    out = tmp_path_factory.mktemp("bright") / "bundle"
    write_bundle(out, manifest, [], graphs=[graph(gain=2.0, offset=0.0)])
    return out


@pytest.fixture(scope="session")
def address(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a service listens."""
    yield from _served(bundle, tmp_path_factory.mktemp("viewed"))


@pytest.fixture
def guarded(bundle: Path, tmp_path: Path) -> Iterator[str]:
    """Where a service listens that asks for `TOKEN`."""
    yield from _served(bundle, tmp_path, TOKEN)


def _served(bundle: Path, root: Path, token: str | None = None) -> Iterator[str]:
    service = Served(bundle, root / "store", token=token)
    yield service.url
    service.stop()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The viewer in a browser that knows nothing yet; it must ask nobody else, and complain of nothing."""
    yield from _opened(browser, address, viewport={"width": 1280, "height": 800})


@pytest.fixture
def phone(browser: Any, address: str) -> Iterator[Any]:
    """The same, held in one hand."""
    yield from _opened(browser, address, viewport={"width": 390, "height": 844}, has_touch=True)


def _opened(browser: Any, address: str, **how: Any) -> Iterator[Any]:
    context = browser.new_context(accept_downloads=True, **how)
    context.set_default_timeout(30_000)
    opened = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    opened.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.complaints = complaints
    opened.goto(address)
    opened.wait_for_selector("text=Live")
    yield opened
    context.close()
    assert complaints == []
    inside = (address, "data:", "blob:")
    assert [url for url in asked if not url.startswith(inside)] == []
