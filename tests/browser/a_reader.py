"""What a reader does at the viewer, and what the screen then shows."""

import base64
import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS, COLUMNS = 400, 320
TOKEN = "a-token-of-twenty-four-characters"


def film(seed: int, *, bright: bool = True) -> bytes:
    """A PNG, another for each seed; where it is bright, its upper right quarter is what the model finds."""
    noise = np.random.default_rng(seed).integers(30, 70, (ROWS, COLUMNS)).astype(np.uint8)
    pixels = cv2.GaussianBlur(noise, (0, 0), 2)
    if bright:
        pixels[20:200, 170:310] = 235
    return cv2.imencode(".png", pixels)[1].tobytes()


def upload(page: Any, *files: tuple[str, bytes]) -> None:
    """Gives files to the page, as its button does."""
    page.locator("#files").set_input_files(
        [{"name": name, "mimeType": "application/octet-stream", "buffer": d} for name, d in files]
    )


def sign_in(page: Any) -> None:
    """Gives the service's token to the page, and waits until it listens."""
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.locator(".live.on").wait_for()


def turn(page: Any, to: str) -> None:
    """Has a page believe that it is "visible" or "hidden": without windows, Chromium calls all visible."""
    page.evaluate(
        """to => {
            Object.defineProperty(document, "visibilityState", {value: to, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        to,
    )


def open_film(page: Any, name: str) -> None:
    """Opens a film of the worklist and waits until it is drawn."""
    page.locator(".row", has_text=name).click()
    drawn(page, name)


def drawn(page: Any, name: str) -> None:
    page.locator(".corner", has_text=name).wait_for()
    page.wait_for_timeout(150)  # two frames, and the layer above


def pixels(page: Any, selector: str = ".pixels canvas") -> NDArray[np.uint8]:
    """What a canvas of the stage shows, uint8 (H, W, 4)."""
    page.wait_for_timeout(600)  # until it is drawn finely, which it is once nothing moves
    url = page.evaluate("s => document.querySelector(s).toDataURL()", selector)
    data = base64.b64decode(url.split(",", 1)[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drags over the stage, from and to shares of its width and height."""
    box = page.locator("#stage").bounding_box()
    (x0, y0), (x1, y1) = (
        (box["x"] + box["width"] * u, box["y"] + box["height"] * v) for u, v in (start, end)
    )
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
    page.mouse.move(x1, y1)
    page.mouse.up()


def touch(page: Any, *steps: list[tuple[float, float]]) -> None:
    """Puts fingers on the stage, moves and lifts them: places of each, in CSS pixels of the stage."""
    box = page.locator("#stage").bounding_box()
    session = page.context.new_cdp_session(page)

    def send(kind: str, fingers: list[tuple[float, float]]) -> None:
        points = [
            {"x": box["x"] + x, "y": box["y"] + y, "id": n} for n, (x, y) in enumerate(fingers)
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    down = 0
    for fingers in steps:
        send("touchStart" if len(fingers) > down else "touchMove", fingers)
        down = len(fingers)
    send("touchEnd", [])
    session.detach()
