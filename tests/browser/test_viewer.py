"""The viewer in a real browser, against a real service."""

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from a_reader import COLUMNS, ROWS, TOKEN, drag, drawn, film, open_film, pixels, upload
from typer.testing import CliRunner

from pleura.cli import app
from pleura.data.dataset import Dataset

pytestmark = pytest.mark.slow
AMBER, CYAN = (255, 176, 32), (64, 208, 255)


def coloured(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """How many pixels are nearly of a colour."""
    near = np.abs(picture[..., :3].astype(int) - colour).max(axis=2) < 24
    return int((near & (picture[..., 3] > 200)).sum())


def test_from_upload_to_a_corpus_that_trains(page: Any, tmp_path: Path) -> None:
    upload(page, ("one.png", film(1)))
    drawn(page, "one.png")  # a single film is opened as it comes
    page.get_by_role("heading", name="Pneumothorax suspected").wait_for()
    page.locator(".lesions li").wait_for()
    assert page.locator(".lesions .side").all_text_contents() == ["left"]
    before = pixels(page)
    assert coloured(pixels(page, "canvas.layer"), AMBER) > 300

    drag(page, (0.5, 0.5), (0.4, 0.6))  # narrower and brighter
    after = pixels(page)
    assert np.abs(after.astype(int) - before).max() > 40
    page.keyboard.press("1")
    assert np.array_equal(pixels(page), before)

    page.keyboard.press("b")
    drag(page, (0.3, 0.7), (0.4, 0.75))
    page.get_by_label("Comment").fill("apex too")
    page.get_by_label("Reader").fill("A. Reader")
    page.get_by_role("button", name="Save the mask").click()
    page.get_by_text("Saved: the mask as you drew it.").wait_for()

    page.reload()
    drawn(page, "one.png")
    page.get_by_text("A. Reader drew the mask").wait_for()
    page.get_by_text("apex too").wait_for()
    assert coloured(pixels(page, "canvas.layer"), CYAN) > 300

    with page.expect_download() as download:
        page.get_by_role("link", name="Export corrections").click()
    prepared(Path(download.value.path()), tmp_path)


def prepared(corpus: Path, tmp_path: Path) -> None:
    """The exported corpus becomes a dataset, and its mask is the one that was drawn."""
    with zipfile.ZipFile(corpus) as archive:
        archive.extractall(tmp_path / "corpus")
    done = CliRunner().invoke(
        app, ["prepare", str(tmp_path / "corpus"), "--out", str(tmp_path / "data")]
    )
    assert done.exit_code == 0, done.output
    (one,) = Dataset.open(tmp_path / "data").films
    assert one.label == 1
    mask = cv2.imread(str(next((tmp_path / "corpus" / "masks").iterdir())), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (ROWS, COLUMNS)
    assert set(np.unique(mask)) == {0, 255}
    # the model's region on the right of the film, and the stroke on its lower left
    assert cv2.connectedComponents(mask)[0] == 3
    assert mask[100, 250] == 255
    assert mask[ROWS // 2 :, : COLUMNS // 2].any()


def test_everything_by_keyboard_alone(page: Any) -> None:
    upload(page, ("first.png", film(11)), ("second.png", film(12)))
    page.locator(".row", has_text="second.png").locator(".badge", has_text="Suspected").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("first.png")
    page.locator(".total", has_text="1 film").wait_for()
    page.keyboard.press("Tab")
    for _ in range(12):  # over the chips and choices to the list
        if page.evaluate("document.activeElement.getAttribute('role')") == "listbox":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    drawn(page, "first.png")
    still = pixels(page)
    for key in ("i", "h", "r", "s", "Shift+ArrowRight", "ArrowLeft", "+"):
        page.keyboard.press(key)
        moved = pixels(page)
        assert key == "s" or not np.array_equal(moved, still), key
        still = moved
    page.keyboard.press("f")

    page.keyboard.press("m")  # a length, by the crosshair
    for key in ("Space", *["ArrowRight"] * 6, "Space"):
        page.keyboard.press(key)
    layer = pixels(page, "canvas.layer")
    assert coloured(layer, (186, 230, 120)) > 30

    page.keyboard.press("e")  # the eraser, and what it took is undone
    for key in ("Space", *["ArrowRight"] * 3, "Space"):
        page.keyboard.press(key)
    page.keyboard.press("b")
    for key in ("Space", "ArrowDown", "Space", "Control+z", "Control+s"):
        page.keyboard.press(key)
    page.get_by_text("Saved: the mask as you drew it.").wait_for()
    page.keyboard.press("a")
    page.get_by_text("Saved: the finding is right.").wait_for()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")


def test_says_plainly_what_it_does_not_judge(page: Any) -> None:
    blank = cv2.imencode(".png", np.full((200, 200), 7, np.uint8))[1].tobytes()
    upload(page, ("blank.png", blank))
    page.get_by_role("heading", name="Not judged").wait_for()
    assert page.locator(".reason").inner_text().startswith("Declined, because: ")

    page.complaints.clear()
    upload(page, ("page.html", b"<html>a page</html>"))
    page.locator(".message.problem", has_text="page.html").wait_for()
    # the browser itself logs the service's refusal
    assert all("422" in complaint for complaint in page.complaints)
    page.complaints.clear()


def test_a_threshold_that_is_tried_says_what_would_change(page: Any) -> None:
    upload(page, ("tried.png", film(21)))
    drawn(page, "tried.png")
    page.get_by_text("The model's own is 0.50.").wait_for()
    slider = page.get_by_label("What if the pixel threshold were")
    slider.focus()
    page.keyboard.press("End")
    page.get_by_text("The film would be called negative.").wait_for()
    page.get_by_role("button", name="Back to 0.50").click()
    page.get_by_text("The model's own is 0.50.").wait_for()


def test_a_thousand_films_scroll(page: Any, address: str) -> None:
    upload(page, ("scrolled.png", film(31)))
    page.locator(".row", has_text="scrolled.png").wait_for()
    one = page.request.get(f"{address}/v1/films?q=scrolled.png").json()["films"][0]

    def answer(route: Any) -> None:
        query = dict(p.split("=") for p in route.request.url.split("?")[1].split("&"))
        start, limit = int(query.get("cursor", 0)), int(query["limit"])
        films = [one | {"name": f"film-{n:04d}"} | {"id": f"{n:032x}"} for n in range(1200)]
        page_of = {
            "films": films[start : start + limit],
            "next": str(start + limit) if start + limit < 1200 else None,
            "total": 1200,
            "revision": 1,
            "counts": dict.fromkeys(
                ("waiting", "positive", "negative", "declined", "failed", "unread"), 0
            ),
        }
        route.fulfill(body=json.dumps(page_of), content_type="application/json")

    page.route("**/v1/films?*", answer)
    page.route("**/thumbnail", lambda route: route.fulfill(body=b"", content_type="image/jpeg"))
    page.get_by_label("Order").select_option("name")
    page.locator(".total", has_text="1,200").wait_for()
    for _ in range(200):
        page.evaluate("() => { const r = document.querySelector('.rows'); r.scrollTop = 1e9 }")
        page.wait_for_timeout(100)
        if page.locator(".row", has_text="film-1199").count():
            break
    assert page.locator(".row").count() < 40  # the rest is not drawn
    last = page.locator(".row", has_text="film-1199")
    assert last.get_attribute("aria-posinset") == last.get_attribute("aria-setsize") == "1200"


def test_films_that_arrive_are_listed_and_can_be_deleted(page: Any, address: str) -> None:
    part = {"name": "arrived.png", "mimeType": "image/png", "buffer": film(51)}
    assert page.request.post(f"{address}/v1/films", multipart={"files": part}).status == 202
    row = page.locator(".row", has_text="arrived.png")
    row.locator(".badge", has_text="Suspected").wait_for()  # nothing was asked, nothing reloaded
    open_film(page, "arrived.png")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete this film").click()
    row.wait_for(state="detached")


def test_asks_for_the_token(browser: Any, guarded: str) -> None:
    page = browser.new_page()
    page.goto(guarded)
    page.get_by_role("dialog", name="Sign in").wait_for()
    for token in ("not-the-token", TOKEN):
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        if token != TOKEN:
            page.get_by_text("That is not the token").wait_for()
    page.get_by_text("No films yet.").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog", name="Sign in").wait_for()
    page.close()


def test_nothing_serious_found_by_axe(page: Any) -> None:
    axe = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
    if not axe.is_file():
        pytest.skip("axe-core is not installed; make web installs it")
    source = axe.read_text(encoding="utf-8")
    assert problems(page, source) == []
    upload(page, ("seen.png", film(41)))
    page.locator(".row", has_text="seen.png").wait_for()
    open_film(page, "seen.png")
    assert problems(page, source) == []
    page.keyboard.press("b")
    assert problems(page, source) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    assert problems(page, source) == []


def problems(page: Any, source: str) -> list[str]:
    """What axe calls serious or worse."""
    page.evaluate(f"() => {{ if (!window.axe) {{ {source} }} }}")
    found = page.evaluate("() => axe.run()")["violations"]
    return [
        f"{rule['id']}: {[node['html'][:120] for node in rule['nodes']]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
