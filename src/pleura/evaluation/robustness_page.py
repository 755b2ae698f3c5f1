"""How a model bears changes of its films, as JSON, as a table of every film, and as a page."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pleura.errors import EvaluationError
from pleura.evaluation.robustness import FORMAT_VERSION, Kept, Looked, Robustness
from pleura.files import whole, write_json
from pleura.outputs.forest import Row, forest
from pleura.outputs.html import jpeg_uri, render, write_page
from pleura.outputs.overlay import contact_sheet, overlay
from pleura.outputs.table import cell
from pleura.radiograph import Radiograph

PAGE_FILE, NUMBERS_FILE, FILMS_FILE = "robustness.html", "robustness.json", "films.csv"
PICTURES = 12
PICTURE_PX = 320


class Pictures:
    """The films whose decision changed, each beside what became of it: those that moved furthest."""

    def __init__(self) -> None:
        self._found: list[tuple[float, NDArray[np.uint8]]] = []

    def add(self, looked: Looked, kept: Sequence[Kept]) -> None:
        """Draws the film as it is and as it was changed most, where its decision is another then."""
        moved = [one for one in kept if one.before != one.after and one.before != "declined"]
        if not moved:
            return
        furthest = max(moved, key=_distance)
        if len(self._found) == PICTURES and _distance(furthest) <= self._found[-1][0]:
            return
        pixels, finding = looked.changed[furthest.change]
        other = Radiograph(pixels, 8, "png", "", view=looked.film.view)
        pair = [
            overlay(looked.film, looked.finding, None, PICTURE_PX, caption=False),
            overlay(other, finding, None, PICTURE_PX, caption=False),
        ]
        captions = [
            f"As it is: {_told(furthest.before, furthest.probability)}",
            f"{furthest.change}: {_told(furthest.after, furthest.changed_probability)}",
        ]
        self._found.append((_distance(furthest), contact_sheet(pair, 2, captions, tile=PICTURE_PX)))
        self._found.sort(key=lambda one: -one[0])
        del self._found[PICTURES:]

    def uris(self) -> list[str]:
        """Each pair as a `data:` URI, those that moved furthest first."""
        return [jpeg_uri(picture) for _, picture in self._found]


def check_place(out: Path) -> None:
    """Refuses a folder in which a table of something else would be lost.

    Raises:
        EvaluationError: `out` holds a `films.csv`, but no `robustness.json`.
    """
    if (out / FILMS_FILE).exists() and not (out / NUMBERS_FILE).exists():
        raise EvaluationError(
            f"{out} holds a {FILMS_FILE} of something else, such as an evaluation, which would be "
            "overwritten; write into another folder"
        )


def write_robustness(
    out: Path, found: Robustness, pictures: Pictures | None = None, command: str | None = None
) -> None:
    """Writes `robustness.json`, `films.csv` and `robustness.html` into the folder `out`, made if need be."""
    out.mkdir(parents=True, exist_ok=True)
    facts = {"format_version": FORMAT_VERSION, **asdict(found), "command": command}
    del facts["kept"]
    write_json(out / NUMBERS_FILE, facts)
    names = [field.name for field in fields(Kept)]
    with (
        whole(out / FILMS_FILE) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([cell(getattr(one, name)) for name in names] for one in found.kept)
    page = render(
        "robustness.html.j2",
        found=found,
        charts=[_otherwise(found), _shifts(found)],
        pictures=pictures.uris() if pictures else [],
        command=command,
    )
    write_page(out / PAGE_FILE, page)


def _otherwise(found: Robustness) -> Markup:
    rows = [
        Row(
            one.change,
            100 * (share.value or 0.0),
            100 * (share.low or 0.0),
            100 * (share.high or 0.0),
        )
        for one in found.changes
        for share in (one.decided_otherwise,)
    ]
    return forest(rows, title="Decided otherwise", xlabel="% of the films judged", reference=0.0)


def _shifts(found: Robustness) -> Markup:
    rows = []
    for one in found.changes:
        shifts = [k.shift for k in found.kept if k.change == one.change and k.shift is not None]
        if not shifts:
            continue
        low, high = np.quantile(shifts, [0.025, 0.975])
        rows.append(Row(one.change, one.median_shift, float(low), float(high)))
    return forest(
        rows,
        title="The probability moves by",
        xlabel="median, and where 95 % of the films lie",
        reference=0.0,
    )


def _distance(kept: Kept) -> float:
    """How far the probability moved; declined films are further than all others."""
    return 2.0 if kept.shift is None else abs(kept.shift)


def _told(decision: str, probability: float | None) -> str:
    return decision if probability is None else f"{decision}, {probability:.2f}"
