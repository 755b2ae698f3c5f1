"""The training curves as a picture. Needs `pleura[train]` (Matplotlib)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pleura.errors import MissingExtra
from pleura.files import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0b7285", "#d9622b", "#6d5bb0", "#4c8b3b", "#b0417f", "#8a6d1f")
_HIGHER_IS_BETTER = ("dice", "iou", "auc", "precision", "sensitivity", "specificity", "accuracy")


def training_curves(
    rows: Sequence[Mapping[str, Any]], *, x: str = "epoch", title: str = "Training"
) -> "Figure":
    """A figure of the numbers of a training log, one panel a kind.

    Columns whose name holds `loss` share a panel, those named for a metric (dice, iou, auc, ...) a
    second, and the learning rate (`lr`, `learning_rate`) has a third, logarithmic. Other columns, and
    cells that are empty or no numbers, are left out. The best value of each metric is marked, and where a
    column `phase` changes, a line.

    Args:
        rows: one an epoch, name -> value (numbers, or text as `csv.DictReader` gives it).
        x: the column along the horizontal axis; where it is missing, rows are counted from 1.
        title: as it is to read.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra.needing("drawing training curves", "train", error) from error

    panels = [(kind, names) for kind, names in _panels(rows, x).items() if names]
    figure = Figure(figsize=(5.2 * max(1, len(panels)), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, fontweight="bold", x=0.01, ha="left")
    for n, (kind, names) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), n + 1)
        _panel(axes, kind, names, rows, x)
    if not panels:
        figure.text(0.5, 0.5, "no epochs yet", ha="center", va="center", color="#666666")
    return figure


def save_png(figure: "Figure", path: Path | str, dpi: int = 144) -> None:
    """Writes `figure` to `path` as PNG, whole or not at all; the folder must exist."""
    with whole(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, facecolor="white")


def _panels(rows: Sequence[Mapping[str, Any]], x: str) -> dict[str, list[str]]:
    panels: dict[str, list[str]] = {"loss": [], "metric": [], "learning rate": []}
    for name in dict.fromkeys(name for row in rows for name in row):
        lower = name.lower()
        if name == x or not any(_value(row, name) is not None for row in rows):
            continue
        if "loss" in lower:
            panels["loss"].append(name)
        elif any(word in lower for word in _HIGHER_IS_BETTER):
            panels["metric"].append(name)
        elif lower == "lr" or "learning_rate" in lower:
            panels["learning rate"].append(name)
    return panels


def _panel(
    axes: "Axes", kind: str, names: Sequence[str], rows: Sequence[Mapping[str, Any]], x: str
) -> None:
    from matplotlib.ticker import MaxNLocator

    for n, name in enumerate(names):
        found = [(_value(row, x), _value(row, name)) for row in rows]
        points = [
            (i if at is None else at, value)
            for i, (at, value) in enumerate(found, start=1)
            if value is not None
        ]
        along, values = [p[0] for p in points], [p[1] for p in points]
        colour = COLOURS[n % len(COLOURS)]
        axes.plot(along, values, color=colour, linewidth=1.8, marker="o", markersize=2.5,
                  label=name.replace("_", " "))  # fmt: skip
        if kind == "metric":
            best = max(range(len(values)), key=values.__getitem__)
            axes.plot(along[best], values[best], "o", color=colour, markersize=7, fillstyle="none")
            axes.annotate(f"{values[best]:.3f}", (along[best], values[best]), (0, 8), color=colour,
                          textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    if kind == "learning rate":
        axes.set_yscale("log")
    for at, phase in _phases(rows, x):
        axes.axvline(at - 0.5, color="#9aa5ab", linewidth=1, linestyle=":")
        axes.annotate(phase, (at - 0.4, 1), xycoords=("data", "axes fraction"), va="bottom",
                      fontsize=7, color="#667077")  # fmt: skip
    axes.set_xlabel(x)
    axes.set_ylabel(kind)
    axes.grid(True, color="#e3e7e9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len({at for at, _ in points}) == 1:  # one epoch has no span of its own
        axes.set_xlim(points[0][0] - 1, points[0][0] + 1)
    axes.legend(frameon=False, fontsize=8)


def _phases(rows: Sequence[Mapping[str, Any]], x: str) -> list[tuple[float, str]]:
    """Where along `x` each phase of a log with several begins, and its name."""
    begins, before = [], None
    for number, row in enumerate(rows, start=1):
        name = row.get("phase")
        if name and name != before:
            at = _value(row, x)
            begins.append((number if at is None else at, str(name)))
        before = name
    return begins if len(begins) > 1 else []


def _value(row: Mapping[str, Any], name: str) -> float | None:
    """The cell as a finite number, or None."""
    try:
        value = float(row.get(name))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if abs(value) < float("inf") else None
