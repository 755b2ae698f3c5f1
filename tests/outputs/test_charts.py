"""Charts: bars and lines where the numbers say, every text escaped, nothing drawn from nothing."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from pleura.outputs.charts import histogram, lines, roc


def parsed(svg):
    """The chart as XML: that it parses is part of every test."""
    return ElementTree.fromstring(str(svg))


def words(svg):
    return [element.text for element in parsed(svg).iter("text")]


def bars(svg):
    return [
        (float(r.get("x")), float(r.get("height")), r.find("title").text)
        for r in parsed(svg).iter("rect")
    ]


def test_bars_are_as_high_as_their_counts():
    svg = histogram([0.1, 0.1, 0.1, 0.9], title="t", xlabel="x", bins=2, limits=(0, 1))
    (x0, high, first), (x1, low, second) = bars(svg)
    assert x0 < x1
    assert high == pytest.approx(3 * low, rel=0.01)
    assert (first, second) == ("0 to 0.5: 3", "0.5 to 1: 1")


def test_a_logarithmic_count_shows_one_film_beside_a_thousand():
    svg = histogram([0.1] * 1000 + [0.9], title="t", xlabel="x", bins=2, limits=(0, 1), log=True)
    heights = [height for _, height, _ in bars(svg)]
    assert heights[1] > 5
    assert {"1", "10", "100", "1,000"} <= set(words(svg))


def test_what_lies_beyond_the_limits_stands_in_the_outer_bins():
    svg = histogram([-5.0, 0.2, 9.0], title="t", xlabel="x", bins=2, limits=(0, 1))
    assert [title for _, _, title in bars(svg)] == ["0 to 0.5: 2", "0.5 to 1: 1"]


def test_groups_share_their_bins_and_are_named():
    svg = histogram({"with": [0.2, np.nan], "without": [0.3]}, title="t", xlabel="x", limits=(0, 1))
    assert {"with (1)", "without (1)", "x (1 without a value left out)"} <= set(words(svg))
    assert len(bars(svg)) == 2


@pytest.mark.parametrize("values", [[], [np.nan], {}, {"a": []}])
def test_no_values_are_said_so(values):
    assert "no values to show" in words(histogram(values, title="t", xlabel="x"))
    series = {"a": (values, values)} if isinstance(values, list) else {}
    assert "no values to show" in words(lines(series, title="t", xlabel="x", ylabel="y"))


@pytest.mark.parametrize("value", [0.0, 3.0, -2.5, 1e-9, 1e9])
def test_a_single_value_has_room(value):
    assert len(bars(histogram([value], title="t", xlabel="x"))) == 1
    assert "NaN" not in lines({"a": ([value], [value])}, title="t", xlabel="x", ylabel="y")


def test_texts_are_escaped():
    evil = '<script>alert("x")</script>&'
    for svg in (
        histogram({evil: [1], "b": [2]}, title=evil, xlabel=evil, marks=[(1.5, evil)]),
        lines({evil: ([1], [2]), "b": ([1], [2])}, title=evil, xlabel=evil, ylabel=evil),
        lines({"a": ([1], [2])}, title="t", xlabel="x", ylabel="y", points=[(1, 2, evil)]),
        histogram([], title=evil, xlabel="x"),
    ):
        assert "<script" not in svg
        assert any(
            evil[:20] in (text or "") for text in [*words(svg), parsed(svg).get("aria-label")]
        )


def test_a_line_breaks_where_there_is_no_value():
    svg = lines({"a": ([0, 1, 2, 3, 4], [1, 2, np.nan, 2, 1])}, title="t", xlabel="x", ylabel="y")
    path = parsed(svg).find("path").get("d")
    assert (path.count("M"), path.count("L")) == (2, 2)


def test_a_line_runs_from_corner_to_corner():
    svg = roc({"AUC 1": ([0, 0, 1], [0, 1, 1])}, points=[(0.25, 0.5, "here")])
    corners = re.findall(r"([ML])([\d.]+) ([\d.]+)", parsed(svg).find("path").get("d"))
    (_, left, bottom), (_, left2, top), (_, right, top2) = corners
    assert left == left2
    assert top == top2
    dot = parsed(svg).find("circle")
    assert float(dot.get("cx")) == pytest.approx(
        float(left) + 0.25 * (float(right) - float(left)), abs=0.1
    )
    assert float(dot.get("cy")) == pytest.approx((float(bottom) + float(top)) / 2, abs=0.1)
    assert "here" in words(svg)


def test_marks_outside_are_left_out():
    svg = histogram(
        [0.5], title="t", xlabel="x", limits=(0, 1), marks=[(0.2, "in"), (7, "out"), 0.9]
    )
    assert "in" in words(svg)
    assert "out" not in words(svg)


def test_what_is_no_chart():
    with pytest.raises(ValueError, match="at least one bin"):
        histogram([1], title="t", xlabel="x", bins=0)
    with pytest.raises(ValueError, match="limits of an axis"):
        histogram([1], title="t", xlabel="x", limits=(1, 1))
    with pytest.raises(ValueError, match="'a' has 2 x and 1 y"):
        lines({"a": ([1, 2], [1])}, title="t", xlabel="x", ylabel="y")


@pytest.mark.parametrize("span", [(0, 1), (0, 7), (-3, 12345), (0.001, 0.0042), (1e5, 3e7)])
def test_ticks_are_few_and_round(span):
    svg = lines({"a": (span, span)}, title="t", xlabel="x", ylabel="y")
    ticks = [
        float(t.text.replace(",", ""))
        for t in parsed(svg).iter("text")
        if t.get("text-anchor") == "end"
    ]
    assert 3 <= len(ticks) <= 8
    assert all(span[0] <= tick <= span[1] for tick in ticks)
    assert len(set(ticks)) == len(ticks)


def test_charts_say_what_they_show():
    says = parsed(histogram([1, 2, 3], title="Areas", xlabel="x")).get("aria-label")
    assert says == "Areas. Histogram of 3 values from 1 to 3, median 2."
