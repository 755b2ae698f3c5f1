"""Where the time of a film goes, as a table."""

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from pleura.inference.stages import Stages


def latency_table(stages: Stages) -> Table:
    """Milliseconds a film by stage: median, 95th percentile, share of the whole.

    The first film, for which everything is made ready, counts only where it is the only one.
    """
    columns = {name: np.array(numbers) for name, numbers in stages.milliseconds.items()}
    films = len(next(iter(columns.values())))
    if films > 1:
        columns = {name: numbers[1:] for name, numbers in columns.items()}
    whole = np.sum(list(columns.values()), axis=0)
    table = Table(
        title=f"Milliseconds a film, one at a time ({whole.size} films)", title_justify="left"
    )
    for heading in ("stage", "median", "95th percentile", "share"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for name, numbers in {**columns, "film": whole}.items():
        table.add_row(name, *_figures(numbers, float(whole.sum())))
    return table


def _figures(numbers: NDArray[np.float64], whole: float) -> tuple[str, str, str]:
    if not numbers.size:
        return "-", "-", "-"
    share = numbers.sum() / whole if whole else 0.0
    median, late = np.quantile(numbers, (0.5, 0.95))
    return f"{median:.1f}", f"{late:.1f}", f"{share:.0%}"
