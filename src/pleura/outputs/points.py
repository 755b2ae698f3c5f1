"""Charts of points, as inline SVG: agreement of two measurements, and reliability of probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

from pleura.outputs.axes import LEFT, WIDTH, Axes, Range, colour_of, line_between, number, text_at


@dataclass(frozen=True)
class Point:
    """A point with an interval on y, or none."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    name: str = ""


def scatter(
    x: ArrayLike,
    y: ArrayLike,
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    levels: Sequence[tuple[float, str]] = (),
) -> Markup:
    """Points, and named horizontal `levels` such as a bias and its limits of agreement.

    Raises:
        ValueError: x and y differ in length, hold nothing, or hold what is not finite.
    """
    xs, ys = np.asarray(x, np.float64).ravel(), np.asarray(y, np.float64).ravel()
    if xs.size != ys.size or not xs.size or not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        raise ValueError(f"points are finite pairs; got {xs.size} x and {ys.size} y")
    heights = np.concatenate([ys, [level for level, _ in levels]])
    axes = Axes(title, xlabel, ylabel, _roomy(xs), _roomy(heights))
    body = [
        f'<circle cx="{axes.px(a):.1f}" cy="{axes.py(b):.1f}" r="2.6" fill="{colour_of(0)}" '
        'fill-opacity="0.5"/>'
        for a, b in zip(xs.tolist(), ys.tolist(), strict=True)
    ]
    for n, (level, name) in enumerate(levels):
        at = axes.py(level)
        ends = (LEFT, at), (axes.px(axes.x[1]), at)
        dash = "" if n == 0 else "5 3"
        body.append(line_between(*ends, colour="var(--ink, #222)", width=1.2, dash=dash))
        body.append(text_at(WIDTH - 18, at - 4, name, "end"))
    return axes.svg(body, f"{xs.size} points; " + ", ".join(f"{n} {number(v)}" for v, n in levels))


def reliability(
    curves: dict[str, Sequence[Point]], *, title: str = "Reliability", xlabel: str, ylabel: str
) -> Markup:
    """Observed shares with their intervals against probabilities, beside the line of perfect agreement."""
    legend = tuple(curves) if len(curves) > 1 else ()
    axes = Axes(title, xlabel, ylabel, (0.0, 1.0), (0.0, 1.0), legend=legend)
    body = [
        line_between(
            (axes.px(0), axes.py(0)),
            (axes.px(1), axes.py(1)),
            colour="var(--muted, #666)",
            dash="3 4",
        )
    ]
    for n, points in enumerate(curves.values()):
        colour = colour_of(n)
        steps = " ".join(f"{axes.px(p.x):.1f},{axes.py(p.y):.1f}" for p in points)
        body.append(f'<polyline points="{steps}" stroke="{colour}" stroke-width="1.2"/>')
        for p in points:
            at = axes.px(p.x)
            if p.low is not None and p.high is not None:
                ends = (at, axes.py(p.low)), (at, axes.py(p.high))
                body.append(line_between(*ends, colour=colour, width=1.6))
            body.append(
                f'<circle cx="{at:.1f}" cy="{axes.py(p.y):.1f}" r="4" fill="{colour}">'
                f"<title>{escape(p.name)}</title></circle>"
            )
    count = sum(map(len, curves.values()))
    return axes.svg(body, f"{count} groups of films: {ylabel} against {xlabel}.")


def _roomy(values: NDArray[np.float64]) -> Range:
    low, high = float(values.min()), float(values.max())
    room = (high - low) * 0.06 or abs(low) * 0.1 or 0.5
    return low - room, high + room
