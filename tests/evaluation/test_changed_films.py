"""Films that came another way: what a change keeps, and what is counted where a finding does not stay."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_scores import MODEL, finding

from pleura.errors import EvaluationError
from pleura.evaluation.changes import CHANGES, Change
from pleura.evaluation.robustness import Kept, compared, judge_changed, summarised
from pleura.evaluation.robustness_page import Pictures, write_robustness
from pleura.finding import Finding
from pleura.radiograph import Radiograph


def film(level: float = 0.75, name: str = "a.png", patient: str | None = None) -> Radiograph:
    """Grey, with a block of a quarter of the field of that brightness."""
    pixels = np.full((200, 160), 0.25, np.float32)
    pixels[50:150, 40:120] = level
    return Radiograph(pixels, 8, "png", name, patient_id=patient)


class Bright:
    """Finds what is brighter than 0.6, and is as sure as the brightest tenth is bright."""

    def __call__(self, film: Radiograph, /) -> Finding:
        mask = film.pixels > 0.6
        score = float(np.quantile(film.pixels, 0.9))
        made = finding(film.source, mask if mask.any() else None, score)
        return replace(made, mask=mask)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_keeps_the_field_and_the_range(change: Change) -> None:
    made = change.make(film().pixels)
    assert made.dtype == np.float32
    assert 0.0 <= made.min() <= made.max() <= 1.0
    rows, columns = made.shape
    block = made[rows // 4 + 3 : 3 * rows // 4 - 3, columns // 4 + 3 : 3 * columns // 4 - 3]
    assert block.mean() > made[: rows // 4 - 3].mean() + 0.3  # it is where it was


def test_the_changes_are_what_they_are_called() -> None:
    made = {change.name: change.make(film().pixels) for change in CHANGES}
    assert made["squeezed to 82 % of its height"].shape == (164, 160)
    assert made["squeezed to 82 % of its width"].shape == (200, 131)
    assert made["half as large"].shape == made["half as large, WebP 80"].shape == (100, 80)
    assert made["brighter (gamma 0.8)"][100, 80] == pytest.approx(0.75**0.8)
    assert made["darker (gamma 1.25)"][100, 80] == pytest.approx(0.75**1.25)
    assert made["window of the middle 90 %"][100, 80] == pytest.approx(0.7 / 0.9)
    assert made["noise of 2 % of the range"][:40].std() == pytest.approx(0.02, rel=0.05)
    worse = [np.abs(made[f"JPEG, quality {q}"] - film().pixels).mean() for q in (90, 80, 50)]
    assert 0 < worse[0] <= worse[1] <= worse[2]


def test_a_finding_that_stays_and_one_that_does_not() -> None:
    darken = Change("darkened", lambda pixels: pixels * np.float32(0.7))
    halve = CHANGES[2]
    one, other = judge_changed(Bright(), [film(0.75, "a"), film(0.95, "b", "P")], [darken, halve])
    gone, stayed = compared(one)
    assert (gone.before, gone.after, gone.dice) == ("positive", "negative", None)
    assert gone.shift == pytest.approx(0.7 * 0.75 - 0.75)
    assert (stayed.before, stayed.after, stayed.dice) == ("positive", "positive", 1.0)
    assert stayed.shift == pytest.approx(0.0, abs=1e-6)
    rows = [gone, stayed, *compared(other)]
    assert [row.patient for row in rows] == ["a", "a", "P", "P"]  # where unknown, the film
    found = summarised(MODEL, rows)
    assert (found.films, found.declined) == (2, 0)
    darkened, halved = found.changes
    assert darkened.moves == {"positive to negative": 1}
    assert darkened.decided_otherwise.value == 0.5
    assert darkened.largest_shift == pytest.approx(0.3 * 0.95)
    assert darkened.median_shift == pytest.approx(-0.3 * 0.85)
    assert (darkened.outlines, halved.outlines) == (1, 2)
    assert halved.decided_otherwise.value == 0.0
    assert halved.decided_otherwise.high > 0.3  # two films say little
    assert halved.least_dice == 1.0


def kept(n: int, before: str, after: str) -> Kept:
    values = [None if said == "declined" else 0.5 for said in (before, after)]
    return Kept(f"f{n}", f"p{n}", "change", before, after, *values, None)


def test_films_that_are_declined_as_they_are_say_nothing() -> None:
    rows = [
        kept(0, "declined", "negative"),
        kept(1, "negative", "declined"),
        kept(2, "negative", "negative"),
    ]
    found = summarised(MODEL, rows)
    assert (found.films, found.declined) == (3, 1)
    assert found.changes[0].films == 2
    assert found.changes[0].moves == {"negative to declined": 1}
    assert found.changes[0].typical_shift == 0.0
    with pytest.raises(EvaluationError, match="none of 1 films was judged"):
        summarised(MODEL, rows[:1])
    with pytest.raises(EvaluationError, match="none of 0 films"):
        summarised(MODEL, [])


def test_the_page_shows_films_only_where_it_is_asked_to(tmp_path: Path) -> None:
    def films() -> Iterator[Radiograph]:
        yield from (film(0.55 + 0.02 * n, f"<{n}>.png") for n in range(20))

    pictures, rows = Pictures(), []
    for looked in judge_changed(Bright(), films()):
        rows += compared(looked)
        pictures.add(looked, compared(looked))
    found = summarised(MODEL, rows)
    write_robustness(tmp_path / "with", found, pictures, "pleura robustness <films>")
    write_robustness(tmp_path / "without", found)
    shown, bare = (
        (tmp_path / name / "robustness.html").read_text() for name in ("with", "without")
    )
    assert 0 < shown.count("data:image/jpeg") <= 12
    assert "data:image" not in bare
    assert "pleura robustness &lt;films&gt;" in shown
    facts = json.loads((tmp_path / "with" / "robustness.json").read_text())
    assert [one["change"] for one in facts["changes"]] == [change.name for change in CHANGES]
    assert "kept" not in facts  # those of each film stand in the table
    with (tmp_path / "with" / "films.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 20 * len(CHANGES)
    assert table[0]["source"] == "<0>.png"
