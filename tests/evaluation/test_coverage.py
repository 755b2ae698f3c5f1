"""Intervals hold the truth as often as they say: films of patients from a population with known numbers."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from pleura.evaluation.bootstrap import wilson
from pleura.evaluation.clustered_auc import auc_interval

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


@pytest.fixture(scope="module")
def coverage():
    """The script behind the table in `docs/explanation/numbers.md`."""
    spec = importlib.util.spec_from_file_location("simulated_coverage", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclass looks itself up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_with_a_hundred_sick_patients_95_per_cent_is_95_per_cent(coverage):
    # Of 400 draws 93 to 97 % is nearly two standard errors either way.
    found = coverage.measure(100, 1.8, repeats=400, resamples=300)
    for key in ("auc", "dice_positives", "competition_dice", "sensitivity", "specificity"):
        held, below, above, width = found[key]
        assert 0.93 <= held <= 0.97, (key, held)
        assert max(below, above) < 0.05, key
        assert 0.0 < width < 0.2, key


def test_the_simulation_would_tell_intervals_that_ignore_patients(coverage):
    true, held = coverage.truths(1.8), {"auc": 0, "specificity": 0}
    for repeat in range(200):
        films = coverage.draw(330, 1.8, np.random.default_rng(repeat))
        alone = np.arange(films.label.size)
        called = wilson(~films.call[~films.label], alone[~films.label])
        area = auc_interval(films.score, films.label, alone)
        held["specificity"] += called.low <= true["specificity"] <= called.high
        held["auc"] += area.low <= true["auc"] <= area.high
    assert held["auc"] / 200 < 0.93
    assert held["specificity"] / 200 < 0.94


def test_the_population_is_what_the_table_says(coverage):
    assert coverage.truths(1.8)["auc"] == pytest.approx(0.899, abs=0.002)  # Phi(1.8 / sqrt 2)
    films = coverage.draw(20_000, 1.8, np.random.default_rng(0))
    sizes = np.bincount(films.patient)
    assert (sizes.min(), sizes.max()) == (1, 4)
    assert films.label.mean() == pytest.approx(0.3 * 0.8 * 2.5 / (0.3 * 2.5 + 0.7 * 1.6), abs=0.01)
    table = coverage.table_of(coverage.draw(50, 1.8, np.random.default_rng(1)))
    assert table.patients == 50
