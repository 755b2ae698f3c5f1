"""Charts for pages, as inline SVG.

The SVG is drawn here, so that pages need nothing but the core: its text stays text, and its colours are
the page's own (`--ink`, `--line`, `--c1` ... in `base.html.j2`), so a chart reads on light, on dark and
on paper. Every chart says in words what it shows (`role="img"`, `aria-label`).
The training curves, a picture, are in `pleura.outputs.curves`, which needs `pleura[train]`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

WIDTH, HEIGHT = 560.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 14.0, 34.0, 46.0
_LEGEND_ROW = 18.0
_SERIES = 6
_DASHES = ("", "7 4", "2 3", "9 3 2 3", "", "7 4")

Range = tuple[float, float]
Mark = float | tuple[float, str]


@dataclass(frozen=True)
class _Axes:
    """A plotting area: maps data to the chart's own units and draws its frame."""

    title: str
    xlabel: str
    ylabel: str
    x: Range
    y: Range
    log: bool = False
    legend: tuple[str, ...] = ()

    @property
    def top(self) -> float:
        return _TOP + (_LEGEND_ROW * math.ceil(len(self.legend) / 2) if self.legend else 0.0)

    def px(self, value: float) -> float:
        low, high = self.x
        return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    def py(self, value: float) -> float:
        low, high = self.y
        if self.log:
            value, low, high = (math.log10(max(v, self.y[0])) for v in (value, low, high))
        bottom = HEIGHT - _BOTTOM
        return bottom - (value - low) / (high - low) * (bottom - self.top)

    def svg(self, body: Iterable[str], says: str) -> Markup:
        parts = [
            f'<svg class="chart" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
            f'aria-label="{escape(f"{self.title}. {says}")}" fill="none">',
            _text(_LEFT, 16, self.title, size=14, weight=600),
            *self._grid(),
            *body,
            *self._legend(),
            "</svg>",
        ]
        return Markup("".join(parts))

    def _grid(self) -> Iterable[str]:
        bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        for value in _log_ticks(self.y) if self.log else _ticks(self.y):
            y = self.py(value)
            yield _line((_LEFT, y), (right, y), colour="var(--line, #ddd)")
            yield _text(_LEFT - 7, y + 4, _number(value), anchor="end", muted=True)
        for value in _ticks(self.x):
            x = self.px(value)
            yield _line((x, bottom), (x, bottom + 4), colour="var(--muted, #666)")
            yield _text(x, bottom + 17, _number(value), anchor="middle", muted=True)
        yield _line((_LEFT, bottom), (right, bottom), colour="var(--muted, #666)")
        yield _text((_LEFT + right) / 2, HEIGHT - 8, self.xlabel, anchor="middle")
        middle = (self.top + bottom) / 2
        yield (
            f'<text transform="translate(14 {middle:.1f}) rotate(-90)" text-anchor="middle" '
            f'fill="var(--ink, #222)">{escape(self.ylabel)}</text>'
        )

    def _legend(self) -> Iterable[str]:
        column = (WIDTH - _LEFT - _RIGHT) / 2
        for n, name in enumerate(self.legend):
            x, y = _LEFT + column * (n % 2), _TOP + _LEGEND_ROW * (n // 2)
            yield _line((x, y - 4), (x + 20, y - 4), colour=_colour(n), width=3, dash=_dash(n))
            yield _text(x + 26, y, name, limit=38)


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
    axes = _Axes(
        title,
        f"{xlabel} ({lost:,} without a value left out)" if lost else xlabel,
        ylabel,
        (low, high),
        (0.5, max(tallest * 1.3, 2.0)) if log else (0.0, tallest * 1.05),
        log,
        tuple(f"{name} ({finite[name].size:,})" for name in named) if len(named) > 1 else (),
    )
    body = [bar for n, c in enumerate(counts.values()) for bar in _bars(axes, n, edges, c)]
    body += _marks(axes, marks)
    return axes.svg(
        body,
        f"Histogram of {pooled.size} values from {_number(float(pooled.min()))} "
        f"to {_number(float(pooled.max()))}, median {_number(float(np.median(pooled)))}.",
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
    axes = _Axes(
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
        body.append(_line(start, end, colour="var(--muted, #666)", dash="3 4"))
    for n, (x, y) in enumerate(data.values()):
        body += _path(axes, n, x, y)
    body += _marks(axes, marks)
    for px, py, name in points:
        body.append(
            f'<circle cx="{axes.px(px):.1f}" cy="{axes.py(py):.1f}" r="4.5" fill="{_colour(1)}">'
            f"<title>{escape(name)}</title></circle>"
        )
        body.append(_text(axes.px(px) + 9, axes.py(py) + 14, name))
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
    axes: _Axes, n: int, edges: NDArray[np.float64], counts: NDArray[np.int64]
) -> Iterable[str]:
    several = len(axes.legend) > 1
    for left, right, value in zip(edges[:-1], edges[1:], counts, strict=True):
        if not value:
            continue
        x0, x1, y = axes.px(float(left)), axes.px(float(right)), axes.py(float(value))
        yield (
            f'<rect x="{x0 + 0.4:.1f}" y="{y:.1f}" width="{max(x1 - x0 - 0.8, 0.6):.1f}" '
            f'height="{HEIGHT - _BOTTOM - y:.1f}" fill="{_colour(n)}" '
            f'fill-opacity="{0.55 if several else 0.85}">'
            f"<title>{_number(float(left))} to {_number(float(right))}: {int(value):,}</title></rect>"
        )


def _path(axes: _Axes, n: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> Iterable[str]:
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
        f'<path d="{"".join(steps)}" stroke="{_colour(n)}" stroke-width="2" stroke-linejoin="round" '
        f'stroke-linecap="round" stroke-dasharray="{_dash(n) or "none"}"/>'
    )


def _marks(axes: _Axes, marks: Sequence[Mark]) -> list[str]:
    drawn: list[str] = []
    for n, mark in enumerate(marks):
        value, name = mark if isinstance(mark, tuple) else (mark, _number(mark))
        if not axes.x[0] <= value <= axes.x[1]:
            continue
        x = axes.px(value)
        start, end = (x, axes.top), (x, HEIGHT - _BOTTOM)
        drawn.append(_line(start, end, colour="var(--ink, #222)", width=1.2, dash="5 3"))
        right = x > 0.7 * WIDTH
        drawn.append(
            _text(
                x - 5 if right else x + 5, axes.top + 10 + 14 * n, name, "end" if right else "start"
            )
        )
    return drawn


def _nothing(title: str, why: str) -> Markup:
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} 90" role="img" aria-label="{{}}">{{}}{{}}</svg>'
    ).format(
        f"{title}: {why}",
        Markup(_text(_LEFT, 16, title, size=14, weight=600)),
        Markup(_text(_LEFT, 52, why, muted=True)),
    )


def _text(
    x: float,
    y: float,
    text: str,
    anchor: str = "start",
    *,
    muted: bool = False,
    size: int = 12,
    weight: int = 400,
    limit: int = 90,
) -> str:
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    fill = "var(--muted, #666)" if muted else "var(--ink, #222)"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{fill}">{escape(shown)}</text>'
    )


def _line(
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    colour: str,
    width: float = 1.0,
    dash: str = "",
) -> str:
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="{colour}" stroke-width="{width:g}" stroke-dasharray="{dash or "none"}"/>'
    )


def _colour(n: int) -> str:
    fallback = ("#0b7285", "#d9622b", "#6d5bb0", "#4c8b3b", "#b0417f", "#8a6d1f")[n % _SERIES]
    return f"var(--c{n % _SERIES + 1}, {fallback})"


def _dash(n: int) -> str:
    return _DASHES[n % len(_DASHES)]


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


def _ticks(limits: Range, aim: int = 6) -> list[float]:
    """At most `aim` + 2 round numbers (1, 2 or 5 times a power of ten apart) within `limits`."""
    low, high = limits
    raw = (high - low) / aim
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def _log_ticks(limits: Range) -> list[float]:
    first, last = math.ceil(math.log10(limits[0])), math.floor(math.log10(limits[1]))
    return [10.0**n for n in range(first, last + 1)]


def _number(value: float) -> str:
    """A number as an axis shows it: 1,200, 0.25, 3e-05."""
    if value == 0 or abs(value) < 1e-12:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        shown = f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    else:
        shown = f"{value:.3g}"
    return shown


__all__ = ["HEIGHT", "WIDTH", "histogram", "lines", "roc"]
