"""Charts of points: where they stand, and what is refused."""

import re

import pytest

from pleura.outputs.points import Point, reliability, scatter


def circles(svg):
    return [
        (float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    ]


def test_reliability_stands_on_the_diagonal_where_it_is_perfect():
    svg = reliability(
        {"": [Point(0.0, 0.0), Point(1.0, 1.0, 0.5, 1.0, "<b>")]}, xlabel="x", ylabel="y"
    )
    assert circles(svg) == [(58.0, 254.0), (546.0, 34.0)]
    assert "&lt;b&gt;" in svg
    assert "<b>" not in svg


def test_points_and_levels():
    svg = scatter(
        [0, 10], [-1, 1], title="t", xlabel="x", ylabel="y", levels=[(0.0, "bias"), (2.0, "upper")]
    )
    (x0, y0), (x1, y1) = circles(svg)
    assert x0 < x1
    assert y0 > y1  # higher values stand higher
    assert ">bias<" in svg
    for wrong in (([1], [1, 2]), ([], []), ([1.0], [float("nan")])):
        with pytest.raises(ValueError, match="finite pairs"):
            scatter(*wrong, title="t", xlabel="x", ylabel="y")
