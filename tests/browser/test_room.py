"""What has its room at every width: names, words, sliders, labels."""

import re
from typing import Any

import pytest
from a_reader import drag, drawn, film, upload

pytestmark = pytest.mark.slow
NARROWEST = {"width": 1024, "height": 768}  # with all three parts side by side


def extent(side: str, share: float) -> dict[str, Any]:
    """Of which nothing but the share is known."""
    names = ("apex_to_cupola_mm", "rim_at_hilum_mm", "rim_lateral_mm", "collins_percent")
    unknown = dict.fromkeys((*names, "accp_2001", "bts_2010", "bts_2023", "spacing_basis"))
    return {
        "side": side,
        "area_fraction_of_lung": share,
        "reasons": {"accp_2001": "The film is AP."},
        "lines": [],
        **unknown,
    }


def width(page: Any, selector: str) -> float:
    return page.locator(selector).bounding_box()["width"]


def test_a_row_says_whose_film_it_is_beside_a_wide_film(page: Any) -> None:
    name = "two-beginnings-and-one-end-00001234.png"
    upload(page, (name, film(221)))
    drawn(page, name)
    page.set_viewport_size(NARROWEST)
    page.get_by_label("Search films").fill("two-beginnings")
    page.locator(".total", has_text="1 film").wait_for()
    row = page.locator(".row", has_text="two-beginnings")
    start = row.locator(".start").bounding_box()
    assert start["width"] > 40  # some letters, and what says that there are more
    page.get_by_label("Comment").fill("apex too")
    ends = row.locator(".draft").bounding_box()
    assert ends["x"] + ends["width"] <= width(page, ".worklist")
    page.get_by_label("Comment").fill("")


def test_a_name_that_is_cut_short_reads_in_its_own_direction(page: Any) -> None:
    name = "צילום חזה של המטופל דוד כהן מרץ.png"  # begins at the right
    upload(page, (name, film(223)))
    page.get_by_label("Search films").fill("צילום")
    page.locator(".total", has_text="1 film").wait_for()
    row = page.locator(".row", has_text="צילום")
    row.locator(".badge", has_text="Suspected").wait_for()
    start, end = (row.locator(part).bounding_box()["x"] for part in (".start", ".end"))
    assert start > end


def test_what_draws_has_room_in_a_narrow_panel(page: Any) -> None:
    upload(page, ("roomy.png", film(222)))
    drawn(page, "roomy.png")
    page.set_viewport_size(NARROWEST)
    page.keyboard.press("b")
    assert width(page, ".drawing input") >= 70
    lines = "e => e.getBoundingClientRect().height / parseFloat(getComputedStyle(e).lineHeight)"
    assert page.locator(".verdicts .save").evaluate(lines) < 2
    page.keyboard.press("Escape")


@pytest.mark.parametrize("across", [360, 390, 1024, 1440])
def test_the_tools_take_two_lines_and_windows_have_whole_names(page: Any, across: int) -> None:
    upload(page, (f"tools-{across}.png", film(2300 + across)))
    drawn(page, f"tools-{across}.png")
    page.set_viewport_size({"width": across, "height": 700})
    assert page.locator(".toolbar").bounding_box()["height"] < 90
    longest = """e => {
        const pen = document.createElement("canvas").getContext("2d");
        pen.font = getComputedStyle(e).font;
        return Math.max(...[...e.options].map(one => pen.measureText(one.text).width));
    }"""
    window = page.get_by_label("Window preset")
    if across > 600:
        assert window.evaluate(longest) + 30 <= width(page, ".toolbar select")


def test_each_side_of_a_finding_has_its_sizes(page: Any) -> None:
    def both(route: Any) -> None:  # the model of these tests locates no lungs
        facts = route.fetch().json()
        if facts["finding"]:
            facts["finding"]["extents"] = [extent("right", 0.13), extent("left", 0.23)]
        route.fulfill(json=facts)

    page.route(re.compile("/v1/films/[0-9a-f]+$"), both)
    upload(page, ("both-sides.png", film(224)))
    drawn(page, "both-sides.png")
    page.get_by_role("heading", name="left side").wait_for()
    said = page.locator(".sizes").inner_text().casefold().split("\n")
    told = [line for line in said if "side" in line or line.endswith(" %")]
    assert told == ["right side", "13 %", "left side", "23 %"]


def test_a_length_is_read_to_its_end_at_the_films_edge(page: Any) -> None:
    upload(page, ("measured.png", film(225)))
    drawn(page, "measured.png")
    page.keyboard.press("m")
    before = rightmost(page)
    drag(page, (0.6, 0.5), (0.995, 0.5))
    page.wait_for_timeout(300)
    assert before == 0
    assert (
        0 < rightmost(page) < 0.35
    )  # the label is left of the line, and the line's rim alone reaches the edge


def rightmost(page: Any) -> float:
    """What share of the layer's last columns, at the middle's height, is drawn on."""
    return page.evaluate("""() => {
        const layer = document.querySelector("canvas.layer");
        const [wide, tall] = [layer.width, layer.height];
        const part = layer.getContext("2d").getImageData(wide - 40, tall / 2 - 11, 40, 22).data;
        let drawn = 0;
        for (let i = 3; i < part.length; i += 4) drawn += part[i] > 0;
        return drawn / (part.length / 4);
    }""")
