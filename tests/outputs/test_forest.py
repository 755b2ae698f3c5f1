"""Forest plots: where marks stand, what is cut off, what is escaped."""

import re

import pytest

from pleura.outputs.forest import Row, forest


def circles(svg):
    return [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)]


def test_values_stand_where_the_axis_says():
    svg = forest(
        [Row("a", 0.0, 0.0, 0.5), Row("b", 1.0), Row("c", 0.5, 0.4, 2.0)],
        title="t", xlabel="x", limits=(0.0, 1.0), reference=0.5,
    )  # fmt: skip
    left, right, middle = circles(svg)
    assert (left, right, middle) == (214.0, 442.0, 328.0)
    assert "0.50 (0.40, 2.00)" in svg  # what is cut off in the drawing is still told
    assert f'x2="{right}"' in svg


def test_rows_without_values_and_headings():
    svg = forest([Row("View", heading=True), Row("<AP>", note="3 of 9")], title="t", xlabel="x")
    assert circles(svg) == []
    assert "&lt;AP&gt;  (3 of 9)" in svg
    assert "<AP>" not in svg
    assert "–" in svg
    with pytest.raises(ValueError, match="range"):
        forest([], title="t", xlabel="x", limits=(1.0, 1.0))


def test_the_axis_holds_everything_by_default():
    svg = forest([Row("a", -0.2, -0.3, -0.1), Row("b", 0.4, 0.1, 0.6)], title="t", xlabel="x")
    assert all(214.0 < x < 442.0 for x in circles(svg))
    assert "−0.20 (−0.30, −0.10)" in svg


def test_nothing_lies_below_zero_that_rounds_to_it():
    svg = forest([Row("a", -0.001, -0.2, -0.004), Row("b", -0.3)], title="t", xlabel="x")
    assert "0.00 (−0.20, 0.00)" in svg
    assert "−0.00" not in svg
    assert "−0.30" in svg
