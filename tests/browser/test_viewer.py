"""The viewer in a real browser, against a real service."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from a_reader import (
    COLUMNS,
    ROWS,
    TOKEN,
    drag,
    drawn,
    film,
    open_film,
    pixels,
    sign_in,
    touch,
    turn,
    upload,
)
from typer.testing import CliRunner

from pleura.cli import app
from pleura.data.dataset import Dataset
from pleura.data.phantom.dicom import KINDS, dicom_bytes, uid
from pleura.data.phantom.film import phantom

pytestmark = pytest.mark.slow
AMBER, CYAN, LILAC = (255, 176, 32), (64, 208, 255), (190, 160, 255)


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


def test_what_is_not_saved_is_kept_and_dropped_only_when_asked(page: Any) -> None:
    upload(page, ("kept-1.png", film(111)), ("kept-2.png", film(112)))
    page.get_by_label("Search films").fill("kept")
    page.locator(".total", has_text="2 films").wait_for()
    page.locator(".badge", has_text="Suspected").nth(1).wait_for()
    open_film(page, "kept-1.png")
    page.keyboard.press("b")
    drag(page, (0.3, 0.7), (0.4, 0.75))
    area = page.locator("output.area")
    comment = page.get_by_label("Comment")
    drawing = area.inner_text()
    comment.fill("apex too")
    comment.press("Escape")  # leaves the field, and drops nothing
    assert page.evaluate("document.activeElement === document.body")
    assert area.inner_text() == drawing

    upload(page, ("kept-3.png", film(113)))
    page.locator(".total", has_text="3 films").wait_for()
    drawn(page, "kept-1.png")  # another film does not take the place of what is drawn
    open_film(page, "kept-2.png")
    assert area.count() == 0
    assert comment.input_value() == ""
    row = page.locator(".row", has_text="kept-1.png")
    assert row.locator(".draft").inner_text() == "Not saved"
    open_film(page, "kept-1.png")
    assert area.inner_text() == drawing
    assert comment.input_value() == "apex too"
    page.keyboard.press("Control+z")
    assert area.inner_text() != drawing
    page.keyboard.press("Control+y")

    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.keyboard.press("Escape")
    assert asked == ["Drop what you have drawn? It is not saved."]
    assert area.inner_text() == drawing
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    area.wait_for(state="detached")
    comment.fill("")
    row.locator(".draft").wait_for(state="detached")


def test_the_brush_is_up_once_the_mask_is_saved(page: Any) -> None:
    upload(page, ("lifted.png", film(121)))
    drawn(page, "lifted.png")
    for key in ("b", "Space", "ArrowDown", "Control+s"):
        page.keyboard.press(key)
    page.get_by_text("Saved: the mask as you drew it.").wait_for()
    page.keyboard.press("b")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert page.locator(".row .draft").count() == 0  # nothing was drawn
    page.keyboard.press("Escape")


def test_what_others_say_appears_and_nothing_of_it_is_lost(page: Any, address: str) -> None:
    upload(page, ("said.png", film(131)))
    drawn(page, "said.png")
    page.get_by_role("heading", name="Pneumothorax suspected").wait_for()
    page.keyboard.press("b")
    drag(page, (0.3, 0.7), (0.4, 0.75))
    drawing = page.locator("output.area").inner_text()
    one = page.request.get(f"{address}/v1/films?q=said.png").json()["films"][0]["id"]

    def say(reader: str, right: int | None = None) -> None:
        said = {"verdict": "accepted" if right is None else "corrected", "reader": reader}
        if right is not None:
            mask = np.zeros((ROWS, COLUMNS), np.uint8)
            mask[300:340, 20:right] = 255
            png = cv2.imencode(".png", mask)[1].tobytes()
            said["mask"] = {"name": "mask.png", "mimeType": "image/png", "buffer": png}
        address_of = f"{address}/v1/films/{one}/corrections"
        assert page.request.post(address_of, multipart=said).status == 201

    readings = page.get_by_role("list", name="What readers said").get_by_role("listitem")
    say("Reader 1", right=300)
    page.get_by_text("Reader 1 drew the mask").wait_for()  # nothing was reloaded
    say("Reader 2", right=100)
    say("Reader 3")
    say("Reader 4")
    page.get_by_text("Reader 4 agreed").wait_for()
    assert page.locator("output.area").inner_text() == drawing
    assert readings.count() == 3
    page.get_by_role("button", name="Show all 4").click()
    assert readings.count() == 4

    page.once("dialog", lambda dialog: dialog.accept())
    page.keyboard.press("Escape")
    short = coloured(pixels(page, "canvas.layer"), CYAN)
    older = readings.filter(has_text="Reader 1").get_by_role("button", name="Mask")
    older.click()
    page.locator(".history [aria-pressed=true]").and_(older).wait_for()
    assert coloured(pixels(page, "canvas.layer"), CYAN) > 1.5 * short > 0
    readings.filter(has_text="Reader 2").get_by_role("button", name="Mask").click()
    page.wait_for_timeout(300)
    assert coloured(pixels(page, "canvas.layer"), CYAN) == short


def test_the_sides_are_marked_where_they_are(page: Any) -> None:
    dark = np.random.default_rng(141).integers(30, 60, (400, 400)).astype(np.uint8)
    dark[:, :100] = 235  # at the image's left edge, which is the patient's right by convention
    upload(page, ("sides.png", cv2.imencode(".png", dark)[1].tobytes()))
    drawn(page, "sides.png")
    marker = page.locator(".marker", has_text="R")
    for number in range(8):
        for key in "r" if number % 4 else "h":
            page.keyboard.press(key)
        shown = pixels(page)[..., 0].astype(float)
        middle = shown[:, shown.max(axis=0) > 20][shown.max(axis=1) > 20]  # the film alone
        edges = {
            "left": middle[:, :20],
            "right": middle[:, -20:],
            "top": middle[:20],
            "bottom": middle[-20:],
        }
        bright = max(edges, key=lambda edge: edges[edge].mean())
        assert bright in marker.get_attribute("class").split(), number


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


def test_a_threshold_is_tried_on_the_whole_list(page: Any, address: str) -> None:
    upload(
        page,
        ("sought-1.png", film(61)),
        ("sought-2.png", film(62)),
        ("dull.png", film(63, bright=False)),
    )
    page.get_by_label("Search films").fill("sought")
    page.locator(".total", has_text="2 films").wait_for()
    page.locator(".badge", has_text="Suspected").nth(1).wait_for()
    before = decisions(page, address)
    page.locator("#stage").focus()
    page.keyboard.press("p")
    page.get_by_text("Nothing tried here is kept.").wait_for()
    page.locator("#presence:focus").wait_for()  # a frame later
    page.keyboard.press("End")
    page.get_by_text("0 of 2 films would be suspected, now 2 (2 fewer).").wait_for()
    assert page.locator(".would").all_text_contents() == ["not suspected"] * 2
    page.get_by_role("button", name="Only those that change").click()
    page.locator(".total", has_text="2 films").wait_for()
    page.get_by_label("What if suspected began at").press("Home")
    page.locator(".total", has_text="0 films").wait_for()
    page.get_by_text("2 of 2 films would be suspected, now 2.").wait_for()
    page.keyboard.press("Escape")
    page.locator(".total", has_text="2 films").wait_for()
    assert page.locator(".trial, .would").count() == 0
    assert decisions(page, address) == before


def decisions(page: Any, address: str) -> list[tuple[str, str, float]]:
    films = page.request.get(f"{address}/v1/films?q=sought").json()["films"]
    return [(film["state"], film["reason"], film["probability"]) for film in films]


def test_lungs_are_drawn_once_they_are_asked_for(page: Any) -> None:
    labels = np.zeros((ROWS, COLUMNS), np.uint8)
    labels[100:300, 40:120], labels[100:300, 200:280] = 1, 2
    asked = []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(body=cv2.imencode(".png", labels)[1].tobytes(), content_type="image/png")

    def add(route: Any) -> None:  # the model of these tests locates no lungs
        facts = route.fetch().json()
        route.fulfill(json=facts | {"pictures": [*facts["pictures"], "lungs"]})

    page.route(re.compile("/v1/films/[0-9a-f]+$"), add)
    page.route("**/lungs", answer)
    upload(page, ("breathing.png", film(71)))
    drawn(page, "breathing.png")
    page.locator(".lesions li").wait_for()
    assert asked == []
    assert coloured(pixels(page, "canvas.layer"), LILAC) == 0
    page.keyboard.press("l")
    page.get_by_role("checkbox", name="Lungs").and_(page.locator(":checked")).wait_for()
    page.wait_for_timeout(300)
    assert coloured(pixels(page, "canvas.layer"), LILAC) > 300
    page.get_by_role("checkbox", name="Lungs").uncheck()
    assert coloured(pixels(page, "canvas.layer"), LILAC) == 0
    assert len(asked) == 1


def test_fingers_move_and_zoom_the_film(phone: Any) -> None:
    upload(phone, ("touched.png", film(81)))
    drawn(phone, "touched.png")

    def scale() -> float:
        text = phone.locator(".corner.bottom.right .numbers").inner_text()
        return float(text.split(" %")[0])

    def window() -> str:
        return str(phone.locator(".corner.bottom.left .numbers").inner_text())

    whole, own = scale(), window()
    touch(phone, [(150, 300)], [(150, 300), (250, 300)], [(100, 300), (300, 300)])
    assert scale() == pytest.approx(2 * whole, abs=1.5)
    assert window() == own  # the first finger alone did not set it
    still = pixels(phone)
    touch(phone, [(100, 300), (200, 300)], [(100, 340), (200, 340)])
    moved = pixels(phone)
    np.testing.assert_array_equal(moved[240:600], still[200:560])  # 40 px down
    assert scale() == pytest.approx(2 * whole, abs=1.5)
    touch(phone, [(100, 300)], [(180, 300)])
    assert window() != own

    phone.get_by_role("button", name="Measure a length").click()
    touch(phone, [(100, 300)], [(200, 400)])
    remove = phone.get_by_role("button", name="Remove the measurements")
    remove.click()
    touch(phone, [(100, 300)], [(110, 300)], [(110, 300), (200, 300)], [(90, 300), (220, 300)])
    assert remove.count() == 0  # it was a pinch, not a length


def test_a_second_finger_takes_back_what_the_first_drew(phone: Any) -> None:
    upload(phone, ("painted.png", film(91)))
    drawn(phone, "painted.png")
    phone.get_by_role("button", name="Brush: correct the mask").click()
    phone.get_by_role("button", name="Finding", exact=True).click()
    area = phone.locator("output.area")
    before = area.inner_text()
    phone.get_by_role("button", name="Image", exact=True).click()
    touch(phone, [(60, 400)], [(90, 420)], [(90, 420), (200, 420)], [(80, 420), (210, 420)])
    assert area.text_content() == before
    touch(phone, [(60, 400)], [(120, 440)])
    assert area.text_content() != before
    phone.get_by_role("button", name="Finding", exact=True).click()
    phone.get_by_role("button", name="Save the mask").click()
    phone.get_by_text("Saved: the mask as you drew it.").wait_for()


def test_a_thousand_films_scroll(page: Any, address: str) -> None:
    upload(page, ("scrolled.png", film(31)))
    drawn(page, "scrolled.png")  # and the film after it fetched, before the list is made up
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
    page.get_by_label("Order").select_option("received")
    page.locator(".row", has_text="film-0000").wait_for()  # another order, from its first film on
    assert page.evaluate("document.querySelector('.rows').scrollTop") == 0


def test_films_that_arrive_are_listed_and_can_be_deleted(page: Any, address: str) -> None:
    part = {"name": "arrived.png", "mimeType": "image/png", "buffer": film(51)}
    assert page.request.post(f"{address}/v1/films", multipart={"files": part}).status == 202
    row = page.locator(".row", has_text="arrived.png")
    row.locator(".badge", has_text="Suspected").wait_for()  # nothing was asked, nothing reloaded
    open_film(page, "arrived.png")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete this film").click()
    row.wait_for(state="detached")


def test_a_dicom_film_gives_its_finding_as_dicom(page: Any) -> None:
    uids = [uid(f"browser {name}") for name in ("study", "series", "film")]
    upload(page, ("one.dcm", dicom_bytes(phantom(3, size=300), KINDS[0], "one", *uids)))
    page.get_by_role("heading", name="As DICOM").wait_for()
    for name, kind in (("Report", "SR"), ("Picture", "OT")):
        with page.expect_download() as download:
            page.locator(".results").get_by_role("link", name=name).click()
        assert pydicom.dcmread(download.value.path()).Modality == kind
    upload(page, ("two.png", film(77)))
    drawn(page, "two.png")  # a single film is opened as it comes
    page.get_by_role("heading", name="How it was read").wait_for()
    assert page.get_by_role("heading", name="As DICOM").count() == 0


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
    upload(page, ("private.png", film(101)))
    drawn(page, "private.png")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog", name="Sign in").wait_for()
    page.wait_for_timeout(300)
    assert page.locator(".row, .corner").count() == 0
    assert page.get_by_text("private.png").count() == 0
    page.close()


def test_signing_out_is_for_those_who_signed_in_here(browser: Any, guarded: str) -> None:
    page = browser.new_page(extra_http_headers={"Authorization": f"Bearer {TOKEN}"})

    def by_proxy(route: Any) -> None:
        route.fulfill(json=route.fetch().json() | {"identity": "user A. Reader"})

    page.goto(guarded)
    page.get_by_role("button", name="Sign out").wait_for()
    page.route("**/v1/service", by_proxy)
    page.reload()
    page.get_by_text("No films yet.").wait_for()
    assert page.get_by_role("button", name="Sign out").count() == 0
    page.close()


def test_the_readers_name_goes_with_who_signs_out(browser: Any, guarded: str) -> None:
    context = browser.new_context()
    page, other = context.new_page(), context.new_page()
    page.goto(guarded)
    sign_in(page)
    upload(page, ("signed.png", film(141)))
    drawn(page, "signed.png")
    page.get_by_label("Reader").fill("A. Reader")
    other.goto(page.url)
    drawn(other, "signed.png")
    assert other.get_by_label("Reader").input_value() == "A. Reader"
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog", name="Sign in").wait_for()
    assert other.get_by_label("Reader").input_value() == ""
    other.keyboard.press("c")  # writes the settings that it has
    assert "A. Reader" not in page.evaluate("localStorage.getItem('pleura.settings')")
    sign_in(page)
    drawn(page, "signed.png")
    assert page.get_by_label("Reader").input_value() == ""
    context.close()


def test_a_download_asks_for_the_token_first(browser: Any, guarded: str) -> None:
    page = browser.new_page()
    page.goto(guarded)
    sign_in(page)
    page.context.clear_cookies()  # as where a session has run out
    export = page.get_by_role("link", name="Export corrections")
    export.click()
    sign_in(page)
    with page.expect_download() as download:
        export.click()
    assert Path(download.value.path()).read_bytes()[:2] == b"PK"
    page.close()


def test_order_and_filters_outlive_the_page(page: Any) -> None:
    upload(page, ("lasting.png", film(187)))
    page.locator(".row", has_text="lasting.png").wait_for()
    page.get_by_role("combobox", name="Order").select_option("name")
    page.locator(".chip.positive").click()
    page.get_by_label("Search films").fill("lasting")
    page.reload()
    page.locator(".row", has_text="lasting.png").wait_for()
    assert page.get_by_role("combobox", name="Order").input_value() == "name"
    assert page.locator(".chip.positive").get_attribute("aria-pressed") == "true"
    assert page.get_by_label("Search films").input_value() == ""  # it may be a patient's name


def test_many_tabs_load_and_catch_up_once_they_are_shown(browser: Any, address: str) -> None:
    context = browser.new_context()
    context.set_default_timeout(30_000)
    tabs: list[Any] = []
    for _ in range(8):  # two more than a browser's connections to one service
        if tabs:
            turn(tabs[-1], "hidden")
        tabs.append(context.new_page())
        tabs[-1].goto(address)
        tabs[-1].locator(".live.on").wait_for()
    first = tabs[0]
    assert first.locator(".live.on").count() == 0
    upload(tabs[-1], ("meanwhile.png", film(151)))
    drawn(tabs[-1], "meanwhile.png")
    assert first.locator(".row", has_text="meanwhile.png").count() == 0
    turn(tabs[-1], "hidden")
    turn(first, "visible")
    first.locator(".row", has_text="meanwhile.png").wait_for()
    context.close()


def test_nothing_is_out_of_reach_on_narrow_screens(browser: Any, guarded: str) -> None:
    page = browser.new_page()

    def deidentifying(route: Any) -> None:  # of which the page's head tells, too
        route.fulfill(json=route.fetch().json() | {"deidentify": True})

    page.goto(guarded)
    sign_in(page)
    out_of_reach(page)
    uids = [uid(f"narrow {name}") for name in ("study", "series", "film")]
    upload(page, ("narrow.dcm", dicom_bytes(phantom(3, size=300), KINDS[0], "narrow", *uids)))
    page.locator(".corner").first.wait_for()
    page.get_by_role("heading", name="As DICOM").wait_for(state="attached")
    out_of_reach(page)
    page.route("**/v1/service", deidentifying)
    page.reload()
    page.locator(".deidentifies").wait_for()
    page.locator(".corner").first.wait_for()
    out_of_reach(page)
    page.close()


def out_of_reach(page: Any) -> None:
    """Nothing is, at any width, in any part of the page."""
    for width in (320, 375, 600, 700, 768, 1024):
        page.set_viewport_size({"width": width, "height": 700})
        for part in ("Films", "Image", "Finding"):
            button = page.get_by_role("button", name=part, exact=True)
            if width < 960:
                button.click()
            page.wait_for_timeout(150)
            assert page.evaluate(OUT_OF_REACH) == [], (width, part)
            assert page.evaluate("document.documentElement.scrollWidth") == width


# What stands beyond the screen's sides, buttons that no pointer meets, and facts that are cut off.
OUT_OF_REACH = """() => {
    const all = (selector) => [...document.querySelectorAll(selector)]
        .filter(one => one.checkVisibility() && one.id !== "files");
    const beyond = ({left, right}) => left < -0.5 || right > innerWidth + 0.5;
    const missed = (one) => {
        const {left, top, width, height} = one.getBoundingClientRect();
        return !one.contains(document.elementFromPoint(left + width / 2, top + height / 2));
    };
    return [
        ...all("body *").filter(one => beyond(one.getBoundingClientRect())),
        ...all(".header button, .header a, .toolbar button, .toolbar select").filter(missed),
        ...all(".corner.bottom > *").filter(one => one.scrollWidth > one.clientWidth),
    ].map(one => `${one.tagName} ${one.className} ${one.textContent}`);
}"""


def test_nothing_serious_found_by_axe(page: Any) -> None:
    axe = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
    if not axe.is_file():
        pytest.skip("axe-core is not installed; make web installs it")
    source = axe.read_text(encoding="utf-8")
    assert problems(page, source) == []
    upload(page, ("seen.png", film(41)))
    drawn(page, "seen.png")
    assert problems(page, source) == []
    page.keyboard.press("b")
    assert problems(page, source) == []
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    page.get_by_text("Nothing tried here is kept.").wait_for()
    assert problems(page, source) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert problems(page, source) == []
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


def test_a_film_that_could_not_be_opened_is_opened_when_asked_again(page: Any) -> None:
    upload(page, ("reached-1.png", film(161)), ("reached-2.png", film(162)))
    page.get_by_label("Search films").fill("reached")
    open_film(page, "reached-1.png")
    page.context.set_offline(True)
    row = page.locator(".row", has_text="reached-2.png")
    row.click()
    again = page.get_by_role("button", name="Try again")
    again.wait_for()
    row.click()
    again.wait_for()
    page.context.set_offline(False)
    row.click()
    drawn(page, "reached-2.png")
    assert again.count() == 0
    page.complaints.clear()  # of the network


def test_back_closes_the_film_and_forward_opens_it(page: Any) -> None:
    upload(page, ("back-1.png", film(171)), ("back-2.png", film(172)))
    page.get_by_label("Search films").fill("back-")
    open_film(page, "back-1.png")
    open_film(page, "back-2.png")
    page.go_back()
    page.get_by_text("No film is open.").wait_for()
    assert "#" not in page.url
    page.go_forward()
    drawn(page, "back-2.png")


def test_a_film_is_printed_with_its_finding(phone: Any) -> None:
    upload(phone, ("printed.png", film(181)))
    drawn(phone, "printed.png")
    heading = phone.get_by_role("heading", name="Pneumothorax suspected")
    assert not heading.is_visible()  # a narrow screen shows one part at a time
    phone.emulate_media(media="print")
    for shown in (heading, phone.locator("#stage"), phone.locator(".notice")):
        assert shown.is_visible()
    for gone in (".header", ".toolbar", ".worklist", ".correction", ".panes"):
        assert not phone.locator(gone).is_visible(), gone


def test_the_open_film_is_shown_when_it_is_chosen_in_the_list(phone: Any) -> None:
    upload(phone, ("chosen.png", film(191)))
    drawn(phone, "chosen.png")
    phone.get_by_role("button", name="Films", exact=True).click()
    assert not phone.locator("#stage").is_visible()
    phone.get_by_label("Search films").fill("chosen")
    phone.locator(".row", has_text="chosen.png").click()
    assert phone.locator("#stage").is_visible()


def test_a_region_is_shown_in_the_middle_of_a_narrow_screen(phone: Any) -> None:
    upload(phone, ("region.png", film(201)))
    drawn(phone, "region.png")
    phone.get_by_role("button", name="Finding", exact=True).click()
    phone.locator(".lesions button").first.click()
    phone.locator("#stage").wait_for()
    shown = pixels(phone)
    rows, columns = shown.shape[0] // 2, shown.shape[1] // 2
    middle = shown[rows - 60 : rows + 60, columns - 60 : columns + 60, :3]
    assert middle.min() > 200  # the bright region, and nothing else


def test_the_focus_is_not_lost_with_what_had_it(page: Any) -> None:
    upload(page, ("focused.png", film(211)))
    drawn(page, "focused.png")

    def press(name: str) -> None:
        page.get_by_role("button", name=name, exact=True).focus()
        page.keyboard.press("Enter")

    def focused(on: str) -> None:
        named = "e => e.id || e.getAttribute('aria-label') || e.innerText.trim()"
        page.wait_for_function(f"on => ({named})(document.activeElement) === on", arg=on)

    press("Keys")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    focused("Keys")
    press("Draw")
    page.wait_for_function("document.activeElement.id === 'stage'")
    press("Cancel")
    focused("stage")
    press("Agree")
    page.get_by_text("Saved: the finding is right.").wait_for()
    focused("Agree")
