"""The ground a chart is drawn on: axes, ticks, legend and the few SVG elements they need."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560.0, 300.0
LEFT, _RIGHT, _TOP, BOTTOM = 58.0, 14.0, 34.0, 46.0
_LEGEND_ROW = 18.0
_SERIES = 6
_DASHES = ("", "7 4", "2 3", "9 3 2 3", "", "7 4")

Range = tuple[float, float]


@dataclass(frozen=True)
class Axes:
    """A plotting area: maps data to the chart's own units and draws its frame.

    Attributes:
        title, xlabel, ylabel: as they are to read.
        x, y: what the axes span; none of them empty.
        log: whether y is logarithmic; then `y` is above 0, and what is below it stands on the floor.
        legend: names of the series, in the order of their colours; none leaves the legend out.
        filled: whether the legend shows areas, not lines.
    """

    title: str
    xlabel: str
    ylabel: str
    x: Range
    y: Range
    log: bool = False
    legend: tuple[str, ...] = ()
    filled: bool = False

    @property
    def top(self) -> float:
        """Height at which the plot begins, below the title and the legend."""
        return _TOP + (_LEGEND_ROW * math.ceil(len(self.legend) / 2) if self.legend else 0.0)

    def px(self, value: float) -> float:
        """Where `value` stands on the x axis, in the chart's units."""
        low, high = self.x
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - _RIGHT)

    def py(self, value: float) -> float:
        """Where `value` stands on the y axis, in the chart's units."""
        low, high = self.y
        if self.log:
            value, low, high = (math.log10(max(v, self.y[0])) for v in (value, low, high))
        bottom = HEIGHT - BOTTOM
        return bottom - (value - low) / (high - low) * (bottom - self.top)

    def svg(self, body: Iterable[str], says: str) -> Markup:
        """The chart: `body` on its axes, and what it `says` for those who do not see it."""
        parts = [
            f'<svg class="chart" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
            f'aria-label="{escape(f"{self.title}. {says}")}" fill="none">',
            text_at(LEFT, 16, self.title, size=14, weight=600),
            *self._grid(),
            *body,
            *self._legend(),
            "</svg>",
        ]
        return Markup("".join(parts))

    def _grid(self) -> Iterable[str]:
        bottom, right = HEIGHT - BOTTOM, WIDTH - _RIGHT
        for value in _log_ticks(self.y) if self.log else ticks(self.y):
            y = self.py(value)
            yield line_between((LEFT, y), (right, y), colour="var(--line, #ddd)")
            yield text_at(LEFT - 7, y + 4, number(value), anchor="end", muted=True)
        for value in ticks(self.x):
            x = self.px(value)
            yield line_between((x, bottom), (x, bottom + 4), colour="var(--muted, #666)")
            yield text_at(x, bottom + 17, number(value), anchor="middle", muted=True)
        yield line_between((LEFT, bottom), (right, bottom), colour="var(--muted, #666)")
        yield text_at((LEFT + right) / 2, HEIGHT - 8, self.xlabel, anchor="middle")
        middle = (self.top + bottom) / 2
        yield (
            f'<text transform="translate(14 {middle:.1f}) rotate(-90)" text-anchor="middle" '
            f'fill="var(--ink, #222)">{escape(self.ylabel)}</text>'
        )

    def _legend(self) -> Iterable[str]:
        column = (WIDTH - LEFT - _RIGHT) / 2
        for n, name in enumerate(self.legend):
            x, y = LEFT + column * (n % 2), _TOP + _LEGEND_ROW * (n // 2)
            start, end = (x, y - 4), (x + 20, y - 4)
            if self.filled:
                yield line_between(start, (x + 12, y - 4), colour=colour_of(n), width=12)
            else:
                yield line_between(start, end, colour=colour_of(n), width=3, dash=dash_of(n))
            yield text_at(x + 26, y, name, limit=38)


def text_at(
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
    """A line of escaped text, cut to `limit` characters."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    fill = "var(--muted, #666)" if muted else "var(--ink, #222)"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{fill}">{escape(shown)}</text>'
    )


def line_between(
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    colour: str,
    width: float = 1.0,
    dash: str = "",
) -> str:
    """A straight line."""
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="{colour}" stroke-width="{width:g}" stroke-dasharray="{dash or "none"}"/>'
    )


def colour_of(n: int) -> str:
    """The colour of series `n`: the page's own, or a fallback where the chart stands elsewhere."""
    fallback = ("#0b7285", "#d9622b", "#6d5bb0", "#4c8b3b", "#b0417f", "#8a6d1f")[n % _SERIES]
    return f"var(--c{n % _SERIES + 1}, {fallback})"


def dash_of(n: int) -> str:
    """The dashes of series `n`, so that lines tell apart without colour."""
    return _DASHES[n % len(_DASHES)]


def ticks(limits: Range, aim: int = 6) -> list[float]:
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


def number(value: float) -> str:
    """A number as an axis shows it: 1,200, 0.25, 3e-05."""
    if value == 0 or abs(value) < 1e-12:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        shown = f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    else:
        shown = f"{value:.3g}"
    return shown
