"""What is kept of a film: its areas, the rule for declined films, and the CSV it is kept in."""

import numpy as np
import pytest
from made_up_scores import finding, score

from pleura.errors import EvaluationError
from pleura.evaluation.score_file import ScoreWriter, read_scores
from pleura.evaluation.scores import FilmScore, ScoreTable

TRUTH = np.zeros((4, 5), bool)
TRUTH[1, 1:4] = True  # 3 px
PRED = np.zeros((4, 5), bool)
PRED[1:3, 2] = True  # 2 px, 1 of them shared


def of(found, truth=TRUTH, label=1):
    return FilmScore.of(found, truth, film_id="f", patient_id="p", corpus="a", label=label)


def test_areas_are_counted_on_the_source_matrix():
    made = of(finding("f", PRED))
    assert (made.pixels, made.truth_area, made.pred_area, made.intersection) == (20, 3, 2, 1)
    assert made.dice == pytest.approx(2 / 5)
    assert made.decision == "positive"


def test_a_declined_film_counts_as_empty_with_score_0():
    made = of(finding("f", value=None))
    assert (made.presence_score, made.pred_area, made.intersection) == (None, 0, 0)
    assert made.dice == 0.0
    assert of(finding("f", value=None), TRUTH & False, 0).dice == 1.0
    table = ScoreTable.of([made, score(1, 0, 0.3)])
    assert table.score.tolist() == [0.0, 0.3]
    assert table.call.tolist() == [False, False]
    assert table.judged.tolist() == [False, True]


def test_a_model_without_masks_has_no_dice():
    made = of(finding("f", None, 0.2))
    assert made.pred_area is None
    assert made.dice is None
    table = ScoreTable.of([made, score(1, 0, 0.3)])
    assert table.dice is None
    assert table.iou is None


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(EvaluationError, match=r"film f: .*source matrix"):
        of(finding("f", np.ones((2, 2), bool)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": 2},
        {"decision": "perhaps"},
        {"presence_score": None},
        {"presence_score": float("nan")},
        {"presence_score": 1.5},
        {"intersection": 3},
        {"pred_area": None},
        {"pred_area": 99, "intersection": 2},
        {"truth_area": -1},
    ],
)
def test_impossible_scores_cannot_be_made(wrong):
    good = {
        "film_id": "f",
        "patient_id": "p",
        "corpus": "a",
        "label_quality": "expert",
        "label": 1,
        "decision": "positive",
        "presence_score": 0.7,
        "pixels": 100,
        "truth_area": 5,
        "pred_area": 2,
        "intersection": 2,
    }
    FilmScore(**good)
    with pytest.raises(EvaluationError, match="no film scores like this"):
        FilmScore(**good | wrong)


def test_a_table_needs_films_each_once():
    with pytest.raises(EvaluationError, match="no films"):
        ScoreTable.of([])
    with pytest.raises(EvaluationError, match="f1 is scored twice"):
        ScoreTable.of([score(1, 0, 0.1), score(1, 1, 0.9)])


def test_patients_are_numbered_in_order():
    table = ScoreTable.of([score(n, 0, 0.1, patient=p) for n, p in enumerate("bab")])
    assert table.patient.tolist() == [0, 1, 0]
    assert table.patients == 2


def test_the_csv_gives_back_what_was_written(tmp_path):
    made = [
        score(0, 1, 0.123456789012345678, pred=5, shared=3),
        score(1, 0, None),
        of(finding("f", None, 0.2)),
    ]
    path = tmp_path / "films.csv"
    for part in (made[:1], made[1:]):  # appended to, with one header
        with ScoreWriter(path) as writer:
            writer.write(part)
    assert list(read_scores(path)) == made
    assert path.read_text(encoding="utf-8").count("film_id") == 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("film_id", "id", "lacks the columns film_id"),
        ("0.9", "high", "line 2"),
        ("0.9", "7.0", "line 2: no film scores like this"),
        ("positive", "perhaps", "line 2"),
        (",100,", ",", "line 2"),
    ],
)
def test_a_damaged_csv_is_named(tmp_path, old, new, says):
    path = tmp_path / "films.csv"
    with ScoreWriter(path) as writer:
        writer.write([score(0, 1, 0.9)])
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(EvaluationError, match=says):
        list(read_scores(path))


@pytest.mark.parametrize(
    ("at_left", "at_right", "side"),
    [(9, 1, "bilateral"), (10, 1, "right"), (1, 10, "left"), (1, 9, "bilateral"), (0, 0, None)],
)
def test_a_side_counts_with_a_tenth_of_the_mask(at_left, at_right, side):
    truth = np.zeros((1, 30), bool)
    truth[0, :at_left] = truth[0, 30 - at_right :] = True
    more = {"film_id": "f", "patient_id": "p", "corpus": "a", "label": int(truth.any())}
    for image_left in ("right", "left"):
        found = FilmScore.of(finding("f", truth), truth, **more, image_left=image_left).side
        other = {"right": "left", "left": "right"}.get(side, side)
        assert found == (side if image_left == "right" else other)
