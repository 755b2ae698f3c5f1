"""Two models on the same films: by hand, what is not distinguishable, what may not be compared."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from made_up_scores import MODEL, random_scores, score

from pleura.errors import EvaluationError
from pleura.evaluation.clustered_auc import compare_auc
from pleura.evaluation.comparison import (
    COMPARED,
    Difference,
    Entrant,
    compare,
    read_entrants,
)
from pleura.evaluation.comparison_page import write_comparison
from pleura.evaluation.interval import Interval
from pleura.evaluation.provenance import Provenance
from pleura.evaluation.run import Run
from pleura.evaluation.score_file import ScoreWriter
from pleura.evaluation.scores import ScoreTable


def rescored(films, change):
    """The films with presence scores changed and called from 0.5 again; masks as they are."""
    made = []
    for film in films:
        value = float(np.clip(change(film), 0.0, 1.0))
        call = "positive" if value >= 0.5 else "negative"
        made.append(replace(film, presence_score=value, decision=call))
    return made


def pair(first, second, **options):
    found = compare(
        [Entrant("a", ScoreTable.of(first)), Entrant("b", ScoreTable.of(second))], **options
    )
    return found, {row.metric: row for row in found.differences["b"]}


def test_by_hand():
    first = [
        score(0, 1, 0.9, pred=10, shared=10),
        score(1, 1, 0.2),
        score(2, 0, 0.3),
        score(3, 0, 0.1),
    ]
    second = [score(0, 1, 0.9, pred=10, shared=5), score(1, 1, 0.8, pred=5, shared=5),
              score(2, 0, 0.6, pred=1), score(3, 0, 0.1)]  # fmt: skip
    found, rows = pair(first, second, resamples=200)
    assert (found.films, found.patients, found.positives) == (4, 4, 2)
    assert list(rows) == list(COMPARED)
    assert rows["auc"].difference.value == pytest.approx(1.0 - 0.75)
    assert rows["sensitivity"].difference.value == pytest.approx(0.5)
    assert rows["specificity"].difference.value == pytest.approx(-0.5)
    dice = (0.5 + 10 / 15) / 2
    assert rows["dice_positives"].difference.value == pytest.approx(dice - 0.5)
    assert rows["competition_dice"].difference.value == pytest.approx((2 * dice + 1) / 4 - 3 / 4)


def test_what_differs_and_what_cannot_be_told():
    films = random_scores(300, films_per_patient=2, separation=1.0)
    noise = np.random.default_rng(1)
    better, rows = pair(films, rescored(films, lambda f: f.presence_score + 0.3 * (f.label - 0.3)))
    assert rows["auc"].verdict == "higher"
    assert rows["auc"].p < 0.001
    assert rows["auc"].difference.low > 0
    assert rows["dice_positives"].verdict == "equal"  # the masks are the same
    _, rows = pair(films, rescored(films, lambda f: f.presence_score + noise.normal(0, 0.02)))
    assert rows["auc"].verdict == "not distinguishable"
    assert rows["auc"].p > 0.05
    table = ScoreTable.of(films)
    again = compare_auc(table.score, table.score + table.label, table.label, table.patient)
    assert again.p < 0.001
    assert better.aucs["b"].method == "clustered AUC"


def test_pairing_narrows_the_interval():
    films = random_scores(300)
    near = rescored(films, lambda f: f.presence_score * 0.98 + 0.005)
    _, rows = pair(films, near, resamples=300)
    _, apart = pair(
        films, rescored(films, lambda f: np.random.default_rng(int(f.film_id[1:])).random())
    )
    assert rows["auc"].difference.value == 0.0
    width = apart["auc"].difference.high - apart["auc"].difference.low
    assert width > 0.05


def test_the_order_of_films_changes_nothing():
    films = random_scores(100, films_per_patient=3)
    other = rescored(films, lambda f: f.presence_score * 0.5 + 0.3 * f.label)
    once, _ = pair(films, other, resamples=200)
    mixed = [other[i] for i in np.random.default_rng(0).permutation(100)]
    again, _ = pair(films, mixed, resamples=200)
    assert asdict(again)["differences"] == asdict(once)["differences"]


def test_other_films_or_labels_may_not_be_compared():
    films = random_scores(20)
    with pytest.raises(EvaluationError, match=r"not scored on the same films; 1 are .*: f19"):
        pair(films, films[:-1])
    with pytest.raises(EvaluationError, match="other labels or patients of 1 films: f3"):
        pair(films, [*films[:3], replace(films[3], patient_id="x"), *films[4:]])
    with pytest.raises(EvaluationError, match="at least 100"):
        pair(films, films, resamples=10)


def kept(folder, films, name):
    folder.mkdir()
    run = Run(
        "tune", replace(MODEL, name=name), "0" * 64, None, "0" * 64, len(films), Provenance(0)
    )
    (folder / "run.json").write_text(json.dumps({"format_version": 3, **asdict(run)}))
    with ScoreWriter(folder / "films.csv") as writer:
        writer.write(films)


def test_from_folders_to_a_page(tmp_path):
    films = random_scores(60)
    kept(tmp_path / "a", films, "<one>")
    kept(tmp_path / "b", rescored(films, lambda f: f.presence_score * 0.5), "two")
    entrants = read_entrants([tmp_path / "a", tmp_path / "b"])
    assert [e.name for e in entrants] == ["<one>", "two"]
    write_comparison(tmp_path / "out", compare(entrants, resamples=200), entrants, "pleura compare")
    facts = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert facts["differences"]["two"][2]["verdict"] == "equal"
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "&lt;one&gt;" in page
    assert "<one>" not in page


def test_folders_that_cannot_be_compared(tmp_path):
    films = random_scores(10)
    kept(tmp_path / "a", films, "same")
    kept(tmp_path / "b", films, "same")
    names = [e.name for e in read_entrants([tmp_path / "a", tmp_path / "b"])]
    assert names == [str(tmp_path / "a"), str(tmp_path / "b")]
    with pytest.raises(EvaluationError, match="two evaluations at least"):
        read_entrants([tmp_path / "a"])
    with pytest.raises(EvaluationError, match="given twice"):
        read_entrants([tmp_path / "a", tmp_path / "a"])
    for place in (tmp_path, tmp_path / "b" / "films.csv"):
        with pytest.raises(EvaluationError, match=r"holds no evaluation \(run.json is missing\)"):
            read_entrants([tmp_path / "a", place])
    text = (tmp_path / "b" / "films.csv").read_text().splitlines(keepends=True)
    (tmp_path / "b" / "films.csv").write_text("".join(text[:-1]))
    with pytest.raises(EvaluationError, match=r"unfinished \(9 of 10 films\)"):
        read_entrants([tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (None, None),
        (0.0, "p < 0.001"),
        (0.00099, "p < 0.001"),
        (0.001, "p = 0.001"),
        (0.5, "p = 0.500"),
    ],
)
def test_no_chance_is_nil(p: float | None, words: str | None) -> None:
    assert Difference("auc", 0.5, 0.9, Interval(0.4, 0.3, 0.5, 100, "test"), p).p_value == words
