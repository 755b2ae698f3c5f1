"""Charts for pages, as inline SVG.

The SVG is drawn here, so that pages need nothing but the core: its text stays text, and its colours are
the page's own (`--ink`, `--line`, `--c1` ... in `base.html.j2`), so a chart reads on light, on dark and
on paper. Every chart says in words what it shows (`role="img"`, `aria-label`).
The training curves, a picture, are in `pleura.outputs.curves`, which needs `pleura[train]`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

from pleura.outputs.axes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    WIDTH,
    Axes,
    Range,
    colour_of,
    dash_of,
    line_between,
    number,
    text_at,
)

Mark = float | tuple[float, str]


def histogram(
    values: ArrayLike | Mapping[str, ArrayLike],
    *,
    title: str,
    xlabel: str,
    ylabel: str = "films",
    log: bool = False,
    marks: Sequence[Mark] = (),
    bins: int = 40,
    limits: Range | None = None,
) -> Markup:
    """A histogram as inline SVG.

    Args:
        values: numbers, or several named groups of them, drawn over one another on common bins.
            What is not finite is left out and counted in a note.
        title, xlabel, ylabel: as they are to read.
        log: whether the counts stand on a logarithmic axis.
        marks: values on the x axis to mark by an upright line, each alone or with its name.
        bins: how many.
        limits: of the x axis; the values' own range by default. Values beyond are put in the outer bins.

    Raises:
        ValueError: `bins` is not positive or `limits` is no range.
    """
    if bins < 1:
        raise ValueError(f"a histogram has at least one bin; got {bins}")
    named = values if isinstance(values, Mapping) else {"": values}
    groups = {name: np.asarray(group, dtype=np.float64).ravel() for name, group in named.items()}
    finite = {name: group[np.isfinite(group)] for name, group in groups.items()}
    pooled = np.concatenate([np.empty(0), *finite.values()])
    if not pooled.size:
        return _nothing(title, "no values to show")
    lost = sum(group.size for group in groups.values()) - pooled.size
    low, high = _checked(limits) if limits else _widened(float(pooled.min()), float(pooled.max()))
    edges = np.linspace(low, high, bins + 1)
    counts = {
        name: np.histogram(np.clip(group, low, high), edges)[0] for name, group in finite.items()
    }
    tallest = max(int(c.max()) for c in counts.values())
    axes = Axes(
        title,
        f"{xlabel} ({lost:,} without a value left out)" if lost else xlabel,
        ylabel,
        (low, high),
        (0.5, max(tallest * 1.3, 2.0)) if log else (0.0, tallest * 1.05),
        log,
        tuple(f"{name} ({finite[name].size:,})" for name in named) if len(named) > 1 else (),
        filled=True,
    )
    body = [bar for n, c in enumerate(counts.values()) for bar in _bars(axes, n, edges, c)]
    body += _marks(axes, marks)
    return axes.svg(
        body,
        f"Histogram of {pooled.size} values from {number(float(pooled.min()))} "
        f"to {number(float(pooled.max()))}, median {number(float(np.median(pooled)))}.",
    )


def lines(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    xlim: Range | None = None,
    ylim: Range | None = None,
    marks: Sequence[Mark] = (),
    diagonal: bool = False,
    points: Sequence[tuple[float, float, str]] = (),
) -> Markup:
    """Lines as inline SVG.

    Args:
        series: name -> (x, y), 1-D and of equal length; a line breaks where a value is not finite.
        title, xlabel, ylabel: as they are to read.
        xlim, ylim: of the axes; the values' own range by default.
        marks: values on the x axis to mark by an upright line, each alone or with its name.
        diagonal: whether to draw y = x, the line of chance of a ROC.
        points: (x, y, name) to mark by a dot.

    Raises:
        ValueError: x and y of a series differ in length, or a limit is no range.
    """
    data: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for name, (x, y) in series.items():
        data[name] = np.asarray(x, np.float64).ravel(), np.asarray(y, np.float64).ravel()
        if data[name][0].size != data[name][1].size:
            raise ValueError(
                f"line {name!r} has {data[name][0].size} x and {data[name][1].size} y; they must pair"
            )
    shown = [np.stack(xy)[:, np.isfinite(xy[0]) & np.isfinite(xy[1])] for xy in data.values()]
    pooled = np.concatenate([np.empty((2, 0)), *shown], axis=1)
    if not pooled.size:
        return _nothing(title, "no values to show")
    axes = Axes(
        title,
        xlabel,
        ylabel,
        _checked(xlim) if xlim else _widened(float(pooled[0].min()), float(pooled[0].max())),
        _checked(ylim) if ylim else _widened(float(pooled[1].min()), float(pooled[1].max())),
        legend=tuple(data) if len(data) > 1 else (),
    )
    body: list[str] = []
    if diagonal:
        a, b = max(axes.x[0], axes.y[0]), min(axes.x[1], axes.y[1])
        start, end = (axes.px(a), axes.py(a)), (axes.px(b), axes.py(b))
        body.append(line_between(start, end, colour="var(--muted, #666)", dash="3 4"))
    for n, (x, y) in enumerate(data.values()):
        body += _path(axes, n, x, y)
    body += _marks(axes, marks)
    for px, py, name in points:
        body.append(
            f'<circle cx="{axes.px(px):.1f}" cy="{axes.py(py):.1f}" r="4.5" fill="var(--ink, #222)">'
            f"<title>{escape(name)}</title></circle>"
        )
        body.append(text_at(axes.px(px) + 9, axes.py(py) + 14, name))
    return axes.svg(body, f"{ylabel} against {xlabel}: {', '.join(data) or 'nothing'}.")


def roc(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    title: str = "Receiver operating characteristic",
    points: Sequence[tuple[float, float, str]] = (),
) -> Markup:
    """ROC curves as inline SVG.

    Args:
        curves: name (with its AUC, say) -> (false positive rate, true positive rate), 0 to 1.
        title: as it is to read.
        points: (false positive rate, true positive rate, name) of operating points.
    """
    return lines(
        curves,
        title=title,
        xlabel="1 − specificity",
        ylabel="sensitivity",
        xlim=(0.0, 1.0),
        ylim=(0.0, 1.0),
        diagonal=True,
        points=points,
    )


def _bars(
    axes: Axes, n: int, edges: NDArray[np.float64], counts: NDArray[np.int64]
) -> Iterable[str]:
    several = len(axes.legend) > 1
    for left, right, value in zip(edges[:-1], edges[1:], counts, strict=True):
        if not value:
            continue
        x0, x1, y = axes.px(float(left)), axes.px(float(right)), axes.py(float(value))
        yield (
            f'<rect x="{x0 + 0.4:.1f}" y="{y:.1f}" width="{max(x1 - x0 - 0.8, 0.6):.1f}" '
            f'height="{HEIGHT - BOTTOM - y:.1f}" fill="{colour_of(n)}" '
            f'fill-opacity="{0.55 if several else 0.85}">'
            f"<title>{number(float(left))} to {number(float(right))}: {int(value):,}</title></rect>"
        )


def _path(axes: Axes, n: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> Iterable[str]:
    whole = np.isfinite(x) & np.isfinite(y)
    steps: list[str] = []
    for i in range(x.size):
        if whole[i]:
            command = "L" if i and whole[i - 1] else "M"
            shown = min(max(float(y[i]), axes.y[0]), axes.y[1])
            steps.append(f"{command}{axes.px(float(x[i])):.1f} {axes.py(shown):.1f}")
            alone = not (i and whole[i - 1]) and not (i + 1 < x.size and whole[i + 1])
            if alone:  # a path of one point draws nothing: give it a dot
                steps.append("h0.01")
    yield (
        f'<path d="{"".join(steps)}" stroke="{colour_of(n)}" stroke-width="2" stroke-linejoin="round" '
        f'stroke-linecap="round" stroke-dasharray="{dash_of(n) or "none"}"/>'
    )


def _marks(axes: Axes, marks: Sequence[Mark]) -> list[str]:
    drawn: list[str] = []
    for n, mark in enumerate(marks):
        value, name = mark if isinstance(mark, tuple) else (mark, number(mark))
        if not axes.x[0] <= value <= axes.x[1]:
            continue
        x = axes.px(value)
        start, end = (x, axes.top), (x, HEIGHT - BOTTOM)
        drawn.append(line_between(start, end, colour="var(--ink, #222)", width=1.2, dash="5 3"))
        right = x > 0.7 * WIDTH
        drawn.append(
            text_at(
                x - 5 if right else x + 5, axes.top + 10 + 14 * n, name, "end" if right else "start"
            )
        )
    return drawn


def _nothing(title: str, why: str) -> Markup:
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} 90" role="img" aria-label="{{}}">{{}}{{}}</svg>'
    ).format(
        f"{title}: {why}",
        Markup(text_at(LEFT, 16, title, size=14, weight=600)),
        Markup(text_at(LEFT, 52, why, muted=True)),
    )


def _checked(limits: Range) -> Range:
    low, high = limits
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"the limits of an axis are a range of finite numbers; got {limits}")
    return float(low), float(high)


def _widened(low: float, high: float) -> Range:
    """A range that is never empty: a single value stands in its middle."""
    if low < high:
        return low, high
    room = abs(low) * 0.5 or 0.5
    return low - room, high + room


__all__ = ["HEIGHT", "WIDTH", "histogram", "lines", "roc"]
