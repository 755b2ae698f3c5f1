"""What has its room at every width: names, words, sliders, labels."""

from typing import Any

import pytest
from a_reader import drag, drawn, film, upload

pytestmark = pytest.mark.slow


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
