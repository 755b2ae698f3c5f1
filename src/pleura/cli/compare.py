"""`pleura compare`: models on the same films, and whether they differ."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pleura.cli.options import OutFolder
from pleura.cli.progress import console


def compare(
    evaluations: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of `pleura evaluate`, of the same films; the first is compared with.",
            show_default=False,
        ),
    ],
    *,
    out: OutFolder,
    resamples: Annotated[int, typer.Option(help="Of the bootstrap.")] = 2000,
) -> None:
    """Compare evaluations by paired intervals that know patients, and say plainly what cannot be told.

    Films are not scored again: what was kept of each is enough. The test of the AUC is paired and
    clustered (Obuchowski 1997).
    """
    from pleura.evaluation.comparison import COMPARED, read_entrants
    from pleura.evaluation.comparison import compare as run
    from pleura.evaluation.comparison_page import PAGE_FILE, write_comparison

    entrants = read_entrants(evaluations)
    found = run(entrants, resamples=resamples)
    write_comparison(out, found, entrants, shlex.join(["pleura", *sys.argv[1:]]))
    for name, rows in found.differences.items():
        table = Table("metric", title=f"{name} against {found.first}", title_justify="left")
        for heading in (found.first, name, "difference (95 % interval)"):
            table.add_column(heading, justify="right")
        table.add_column("verdict")
        for row in rows:
            values = ["–" if v is None else f"{v:.3f}" for v in (row.first, row.second)]
            p = f" ({row.p_value})" if row.p_value else ""
            table.add_row(COMPARED[row.metric], *values, str(row.difference), row.verdict + p)
        console.print(table)
    console.print(
        f"{found.films} films of {found.patients} patients, {found.positives} positive. "
        "Empty truth and empty prediction count as Dice 1. "
        f"Page: {out / PAGE_FILE}"
    )
