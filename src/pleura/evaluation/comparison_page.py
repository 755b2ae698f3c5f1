"""A comparison as JSON and as a page."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from markupsafe import Markup

from pleura.evaluation.comparison import COMPARED, FORMAT_VERSION, Comparison, Entrant
from pleura.evaluation.figures import corners
from pleura.evaluation.metrics import auc, roc_curve
from pleura.evaluation.numbers import EMPTY_RULES
from pleura.files import write_json
from pleura.outputs.charts import roc
from pleura.outputs.forest import Row, forest
from pleura.outputs.html import render, write_page

PAGE_FILE, NUMBERS_FILE = "compare.html", "compare.json"


def write_comparison(
    out: Path, comparison: Comparison, entrants: Sequence[Entrant], command: str | None = None
) -> None:
    """Writes `compare.json` and `compare.html` into the folder `out`, which is made if need be."""
    out.mkdir(parents=True, exist_ok=True)
    facts = {"format_version": FORMAT_VERSION, **asdict(comparison), "command": command}
    for name, rows in comparison.differences.items():
        facts["differences"][name] = [asdict(row) | {"verdict": row.verdict} for row in rows]
    write_json(out / NUMBERS_FILE, facts)
    page = render(
        "compare.html.j2",
        comparison=comparison,
        names=COMPARED,
        empty_rules=EMPTY_RULES,
        charts=[*_curves(entrants), _forest(comparison)],
        command=command,
    )
    write_page(out / PAGE_FILE, page)


def _curves(entrants: Sequence[Entrant]) -> list[Markup]:
    found = {}
    for entrant in entrants:
        table = entrant.table
        area = auc(table.score, table.label)
        if area is not None:
            fpr, tpr, _ = roc_curve(table.score, table.label)
            found[f"{entrant.name}, AUC {area:.3f}"] = corners(fpr, tpr)
    return [roc(found)] if found else []


def _forest(comparison: Comparison) -> Markup:
    rows: list[Row] = []
    for name, differences in comparison.differences.items():
        rows.append(Row(f"{name} − {comparison.first}", heading=True))
        for row in differences:
            found = row.difference
            rows.append(
                Row(
                    COMPARED[row.metric],
                    found.value,
                    found.low,
                    found.high,
                    faint=row.verdict == "not distinguishable",
                )
            )
    return forest(
        rows, title="Differences", xlabel=f"difference from {comparison.first}", reference=0.0
    )
