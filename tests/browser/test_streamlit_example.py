"""examples/streamlit_app.py in a real browser, as its page says to start it."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from a_reader import film

pytest.importorskip("streamlit", reason="streamlit is not installed")
pytestmark = pytest.mark.slow
APP = Path(__file__).parents[2] / "examples" / "streamlit_app.py"


@pytest.fixture
def app(bundle: Path, tmp_path: Path) -> Iterator[str]:
    """Where the example listens."""
    log = tmp_path / "streamlit.log"
    command = [
        sys.executable, "-m", "streamlit", "run", str(APP), "--server.headless", "true",
        "--server.address", "127.0.0.1", "--server.port", "0",
        "--browser.gatherUsageStats", "false", "--", "--bundle", str(bundle),
    ]  # fmt: skip
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        while not (found := re.search(r"URL: (http://127\.0\.0\.1:[1-9]\d*)", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield found[1]
    finally:
        process.terminate()
        process.wait(30)


def test_films_are_judged_and_what_is_no_film_is_refused(browser: Any, app: str) -> None:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(app)
    page.get_by_text("Not a medical device").wait_for()
    page.get_by_text("bright 1").wait_for()
    page.locator("input[type=file]").set_input_files(
        [
            {"name": "one.png", "mimeType": "image/png", "buffer": film(1)},
            {"name": "broken.png", "mimeType": "image/png", "buffer": film(1)[:400]},
        ]
    )
    page.get_by_role("heading", name="pneumothorax: positive").wait_for()
    picture = page.get_by_role("img").first
    picture.wait_for()
    assert page.get_by_text("% of the film").count() == 1
    alert = page.get_by_role("alert").filter(has_text="broken.png")
    alert.wait_for()
    plain = picture.get_attribute("src")
    page.get_by_text("Probability map").click()
    page.wait_for_function(
        "before => document.querySelector('[data-testid=stImage] img')?.src.endsWith(before) === false",
        arg=plain,
    )
    page.get_by_role("heading", name="pneumothorax: positive").wait_for()
    page.close()
