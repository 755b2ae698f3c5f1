"""`pleura robustness`: whether a model says the same of films that came another way."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table
from rich.text import Text

from pleura.archive.inputs import Place, files_in
from pleura.archive.rows import is_passed_over
from pleura.cli.options import Device, Films, ModelBundle, OutFolder
from pleura.cli.progress import Bar, console
from pleura.errors import EvaluationError, ReadError

if TYPE_CHECKING:
    from pleura.radiograph import Radiograph


def robustness(
    films: Films,
    *,
    out: OutFolder,
    bundle: ModelBundle = None,
    limit: Annotated[
        int, typer.Option(help="Films at most, evenly spaced among those given.", min=1)
    ] = 100,
    device: Device = "auto",
    pictures: Annotated[
        bool, typer.Option(help="Show films on the page; leave them out of what is published.")
    ] = True,
) -> None:
    """Judge films as they are and squeezed, halved, compressed, windowed otherwise: does the finding stay?

    Labels are not needed, and nothing is scored. Writes a page, the numbers as JSON, and every film's.
    """
    from pleura.evaluation.robustness import compared, judge_changed, summarised
    from pleura.evaluation.robustness_page import (
        PAGE_FILE,
        Pictures,
        check_place,
        write_robustness,
    )
    from pleura.inference.detector import Detector

    out.mkdir(parents=True, exist_ok=True)  # a place that cannot be written is told before the work
    check_place(out)
    detector = Detector.load(bundle, device)
    places = _spread(list(files_in(films)), limit)
    failures: list[str] = []
    kept, drawn = [], Pictures() if pictures else None
    with Bar("Judging") as bar:
        for looked in judge_changed(detector, _read(places, failures, bar)):
            rows = compared(looked)
            kept += rows
            if drawn:
                drawn.add(looked, rows)
    for failure in failures:
        console.print(Text("Left out:", "yellow"), failure)
    if not kept:
        raise EvaluationError(
            "there is no film among what was given; give files or folders of films"
        )
    found = summarised(detector.bundle.identity, kept)
    write_robustness(out, found, drawn, shlex.join(["pleura", *sys.argv[1:]]))
    title = f"{found.model.name} on {found.films} films: decisions, and by how much the probability moves"
    table = Table(title=title, title_justify="left")
    table.add_column("change", no_wrap=True)
    for heading in ("decided otherwise", "median shift", "largest", "Dice of outlines"):
        table.add_column(heading, justify="right")
    for one in found.changes:
        share = one.decided_otherwise
        told = f"{round((share.value or 0.0) * one.films)} of {one.films}"
        shifts = ["–" if x is None else f"{x:.3f}" for x in (one.typical_shift, one.largest_shift)]
        dice = "–" if one.mean_dice is None else f"{one.mean_dice:.3f}"
        table.add_row(one.change, told, *shifts, dice)
    console.print(table)
    console.print(f"Page: {out / PAGE_FILE}")


def _spread(places: Sequence[Place], limit: int) -> list[Place]:
    """At most `limit` of the files, evenly spaced."""
    if len(places) <= limit:
        return list(places)
    chosen = np.linspace(0, len(places) - 1, limit).round().astype(int)
    return [places[i] for i in chosen]


def _read(places: Sequence[Place], failures: list[str], bar: Bar) -> Iterator["Radiograph"]:
    """The films that can be read; of the others, why, where they were named or should be films."""
    from pleura.read import read

    for done, place in enumerate(places):
        bar(done, len(places))
        try:
            yield read(place.path)
        except ReadError as error:
            if not is_passed_over(error, str(place.path), named=place.named):
                failures.append(str(error))
    bar(len(places), len(places))
