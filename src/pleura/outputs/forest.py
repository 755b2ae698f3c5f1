"""Forest plots: values with their intervals, one a row, as inline SVG in the page's own colours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from pleura.outputs.axes import WIDTH, Range, colour_of, line_between, number, text_at, ticks

_NAMES, _VALUES, _TOP, _ROW, _BOTTOM = 214.0, 118.0, 34.0, 21.0, 40.0


@dataclass(frozen=True)
class Row:
    """A row of a forest plot.

    Attributes:
        name: as it is to read.
        value, low, high: the point and its interval; None where there is none.
        note: small print after the name, such as how many films.
        heading: whether the row names the rows below it and has no value.
        faint: whether there is too little behind it to be shown in full strength.
    """

    name: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""
    heading: bool = False
    faint: bool = False


def forest(
    rows: Sequence[Row],
    *,
    title: str,
    xlabel: str,
    limits: Range | None = None,
    reference: float | None = None,
) -> Markup:
    """Values with intervals, one a row.

    Args:
        rows: from top to bottom.
        title, xlabel: as they are to read.
        limits: of the x axis; by default what the rows span. An interval beyond them is cut off there.
        reference: value to mark by an upright line, such as that of all films.

    Raises:
        ValueError: the limits are no range.
    """
    low, high = _limits(rows, limits, reference)
    left, right = _NAMES, WIDTH - _VALUES
    height = _TOP + _ROW * len(rows) + _BOTTOM
    bottom = height - _BOTTOM

    def px(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} {height:g}" role="img" '
        f'aria-label="{escape(_says(title, rows))}" fill="none">',
        text_at(4, 16, title, size=14, weight=600),
    ]
    for tick in ticks((low, high), aim=4):
        x = px(tick)
        parts.append(line_between((x, _TOP), (x, bottom), colour="var(--line, #ddd)"))
        parts.append(text_at(x, bottom + 16, number(tick), "middle", muted=True))
    if reference is not None and low <= reference <= high:
        x = px(reference)
        parts.append(
            line_between((x, _TOP), (x, bottom), colour="var(--ink, #222)", width=1.2, dash="5 3")
        )
    parts.append(text_at((left + right) / 2, height - 7, xlabel, "middle"))
    for n, row in enumerate(rows):
        y = _TOP + _ROW * (n + 0.5)
        parts += _drawn(row, y, [px(v) for v in (row.value, row.low, row.high) if v is not None])
    return Markup("".join([*parts, "</svg>"]))


def _drawn(row: Row, y: float, at: Sequence[float]) -> list[str]:
    """The marks of a row; `at` are the places of its value and, where there is one, its interval."""
    if row.heading:
        return [text_at(4, y + 4, row.name, weight=600, limit=44)]
    name = row.name if not row.note else f"{row.name}  ({row.note})"
    drawn = [text_at(14, y + 4, name, muted=row.faint, limit=32)]
    colour, opacity = colour_of(0), 0.45 if row.faint else 1.0
    drawn.append(f'<g opacity="{opacity:g}">')
    if len(at) == 3:
        drawn.append(line_between((at[1], y), (at[2], y), colour=colour, width=2))
        for x in at[1:]:
            drawn.append(line_between((x, y - 4), (x, y + 4), colour=colour, width=2))
    if at:
        drawn.append(f'<circle cx="{at[0]:.1f}" cy="{y:.1f}" r="4.2" fill="{colour}"/>')
    drawn.append("</g>")
    drawn.append(text_at(WIDTH - 4, y + 4, _shown(row), "end", muted=row.faint))
    return drawn


def _shown(row: Row) -> str:
    if row.value is None:
        return "–"
    if row.low is None or row.high is None:
        return _written(row.value)
    return f"{_written(row.value)} ({_written(row.low)}, {_written(row.high)})"


def _written(value: float) -> str:
    """A number of two decimals; nothing below zero where it rounds to zero."""
    return f"{value:z.2f}".replace("-", "−")


def _limits(rows: Sequence[Row], limits: Range | None, reference: float | None) -> Range:
    if limits:
        if not (math.isfinite(limits[0]) and math.isfinite(limits[1]) and limits[0] < limits[1]):
            raise ValueError(f"the limits of an axis are a range of finite numbers; got {limits}")
        return limits
    values = [v for row in rows for v in (row.value, row.low, row.high) if v is not None]
    values += [] if reference is None else [reference]
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or abs(low) * 0.1 or 0.5
    return low - room, high + room


def _says(title: str, rows: Sequence[Row]) -> str:
    shown = [f"{row.name} {_shown(row)}" for row in rows if not row.heading]
    return f"{title}. {'; '.join(shown)}."
