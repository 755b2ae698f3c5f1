"""A calibrator for a bundle: fitted, judged on films it was not fitted on, and moved."""

import pytest
from test_calibration import made_up, table_of

from pleura.errors import EvaluationError
from pleura.evaluation.recalibrate import moved, recalibrate


def test_it_is_judged_on_other_films():
    p, y = made_up(1500, slope=0.4)
    found = recalibrate(table_of(p, y, 2).films, part="local")
    assert found.calibrator.slope == pytest.approx(0.4, abs=0.08)
    assert found.before.slope.high < 0.7
    assert found.after.slope.low < 1.0 < found.after.slope.high
    assert found.after.ece < found.before.ece


def test_the_prior_is_moved():
    p, y = made_up(400)
    films = table_of(p, y).films
    rare = recalibrate(films, part="local", prevalence=0.01).calibrator
    usual = recalibrate(films, part="local").calibrator
    assert rare.prevalence == 0.01
    assert float(rare(0.5)) < float(usual(0.5))
    assert moved(usual, 0.01) == rare
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        moved(usual, 1.5)
    with pytest.raises(EvaluationError, match="no calibrator"):
        moved(None, 0.1)
    with pytest.raises(EvaluationError, match="never chosen"):
        recalibrate(films, part="test")


def test_with_few_films_nothing_is_said_of_others():
    p, y = made_up(100, share=0.3)
    films = table_of(p, y).films
    ten = [f for f in films if f.label][:10] + [f for f in films if not f.label]
    found = recalibrate(ten, part="local")
    assert found.before is not None
    assert found.after is None
