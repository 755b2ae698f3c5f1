# ruff: noqa: T201
"""The page: its weight, the time to the list and to the first film, and how smoothly a film is windowed.

    python benchmarks/viewer.py --bundle BUNDLE [FILMS] [--rounds N] [--chromium PATH]

It takes the extras `serve` and `browser`.

A real service is started on loopback and looked at with the machine's own Chromium, without a window. FILMS
is a folder of film files; without one, eight synthetic films of 2048 pixels a side are made. Each round opens
the page with an empty cache: time to the list, to the first film on the screen, to the next (fetched
already), and from the choice of a file to its finding on the screen. Then the window is dragged over 30
places: frames a second.
"""

import argparse
import gzip
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pleura.data.phantom.dicom import KINDS, dicom_bytes, uid
from pleura.data.phantom.film import phantom

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DRAGS = 30
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", type=Path, nargs="?")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    args = parser.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("Playwright is not installed: pip install '.[serve,browser]'")
    weigh()
    with tempfile.TemporaryDirectory() as folder:
        films = sorted(args.films.iterdir()) if args.films else made(Path(folder))
        with served(args.bundle, Path(folder)) as url, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=args.chromium, args=QUIET)
            upload(chromium, url, [path.read_bytes() for path in films])
            rounds = [look(chromium, url, films[0].read_bytes()) for _ in range(args.rounds)]
            for name in rounds[0]:
                values = [found[name] for found in rounds]
                print(
                    f"{name}: {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
                )
            chromium.close()


def weigh() -> None:
    """Prints what a browser fetches for the page, compressed."""
    from pleura.service.page import viewer_folder

    folder = viewer_folder()
    if folder is None:
        sys.exit("the viewer is not built; make web builds it")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".txt"]
    sizes = {path.name: len(gzip.compress(path.read_bytes())) / 1024 for path in files}
    for name, size in sizes.items():
        print(f"{name}: {size:.1f} KiB gzipped")
    print(f"page: {sum(sizes.values()):.0f} KiB gzipped")


def made(folder: Path) -> list[Path]:
    """Eight synthetic films."""
    found = []
    for n in range(8):
        path = folder / f"{n}.dcm"
        film = phantom(n, size=2048, squeeze=False)
        path.write_bytes(
            dicom_bytes(film, KINDS[1], f"{n}", uid(f"{n}"), uid(f"{n}s"), uid(f"{n}i"))
        )
        found.append(path)
    return found


@contextmanager
def served(bundle: Path, folder: Path) -> Iterator[str]:
    """A service in a store of its own; gives its address."""
    command = [sys.executable, "-m", "pleura.cli", "serve", "--bundle", str(bundle), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--store", str(folder / "store")], stdout=subprocess.PIPE, text=True
    )
    try:
        yield re.search(r"http://\S+", process.stdout.readline())[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def upload(browser: "Browser", url: str, films: list[bytes]) -> None:
    """Sends films and waits until all are judged."""
    page = browser.new_page()
    for n, data in enumerate(films):
        part = {"name": f"{n}.dcm", "mimeType": "application/dicom", "buffer": data}
        page.request.post(f"{url}/v1/films", multipart={"files": part})
    while page.request.get(f"{url}/v1/films?limit=1").json()["counts"]["waiting"]:
        time.sleep(0.1)
    page.close()


def look(browser: "Browser", url: str, film: bytes) -> dict[str, float]:
    """One reader's first minute, in seconds and frames a second."""
    context = browser.new_context(viewport={"width": 1920, "height": 1080})
    page = context.new_page()
    start = time.perf_counter()
    page.goto(url)
    page.wait_for_selector(".row")
    found = {"list, s": time.perf_counter() - start}
    page.locator(".row").first.click()
    page.wait_for_selector(".corner")
    found["first film, s"] = time.perf_counter() - start
    page.wait_for_timeout(1500)  # the next is fetched meanwhile
    found["next film, s"] = timed(lambda: following(page))
    found["windowing, frames/s"] = windowing(page)
    found["upload to finding, s"] = timed(lambda: fresh(page, film))
    context.close()
    return found


def timed(act: Callable[[], None]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def following(page: "Page") -> None:
    before = page.locator(".corner.top").inner_text()
    page.keyboard.press("j")
    changed = page.locator(".corner.top").filter(has_not_text=before.splitlines()[0])
    changed.wait_for()


def windowing(page: "Page") -> float:
    """Drags the window; each step waits until its frame has been drawn."""
    box: Any = page.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    start = time.perf_counter()
    for step in range(DRAGS):
        page.mouse.move(x + 4 * step, y)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    rate = DRAGS / (time.perf_counter() - start)
    page.mouse.up()
    return rate


def fresh(page: "Page", film: bytes) -> None:
    """A film that the service does not know yet, from the choice of the file to its finding on the screen."""
    name = f"{uuid.uuid4().hex}.dcm"
    part = {"name": name, "mimeType": "application/dicom", "buffer": film + name.encode()}
    before = page.url  # it names the film
    page.locator("#files").set_input_files([part])
    page.wait_for_function("(before) => location.href !== before", arg=before)
    page.locator(".decision:is(.positive, .negative, .declined)").wait_for()


if __name__ == "__main__":
    main()
