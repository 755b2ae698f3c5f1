"""A bundle with a calibrator: kept through the file, applied to the score, and to nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_bundle import MANIFEST, film, weights

from pleura.inference.bundle import Bundle, open_bundle, write_bundle
from pleura.inference.calibration import Calibrator
from pleura.inference.detector import Detector
from pleura.inference.postprocess import OperatingPoint

__all__ = ["weights"]  # the fixture
PLATT = Calibrator("platt", slope=0.5, intercept=-1.0, fitted_on="tune", films=100, positives=20)
ISOTONIC = Calibrator("isotonic", scores=(0.0, 1.0), values=(0.2, 0.4), films=500, positives=210)


@pytest.mark.parametrize("calibrator", [PLATT, ISOTONIC.at_prevalence(0.01)])
def test_it_is_written_and_opened(tmp_path: Path, weights: bytes, calibrator: Calibrator) -> None:
    write_bundle(tmp_path / "b", replace(MANIFEST, calibrator=calibrator), [weights])
    assert open_bundle(tmp_path / "b").manifest.calibrator == calibrator


def test_it_changes_the_probability_and_not_the_decision(weights: bytes) -> None:
    raw = Detector.of(Bundle.in_memory(MANIFEST, [weights]), "cpu")(film())
    manifest = replace(MANIFEST, calibrator=PLATT)
    made = Detector.of(Bundle.in_memory(manifest, [weights]), "cpu")(film())
    assert (raw.calibrated, made.calibrated) == (False, True)
    odds = np.log(raw.probability / (1 - raw.probability))
    assert made.probability == pytest.approx(1 / (1 + np.exp(1 - 0.5 * odds)))
    assert made.decision == raw.decision
    assert np.array_equal(made.mask, raw.mask)


def test_the_reason_speaks_in_the_units_of_the_probability(weights: bytes) -> None:
    score = Detector.of(Bundle.in_memory(MANIFEST, [weights]), "cpu")(film()).probability
    for threshold, words in (
        (score / 2, "reaches the threshold"),
        (score * 2, "is below the threshold"),
    ):
        point = OperatingPoint(0.0, 0.0, presence_threshold=threshold)
        manifest = replace(MANIFEST, calibrator=PLATT, operating_point=point)
        made = Detector.of(Bundle.in_memory(manifest, [weights]), "cpu")(film())
        called_from = float(PLATT(threshold))
        assert made.reason == f"Probability {made.probability:.3f} {words} {called_from:.3f}."


def test_a_probability_that_looks_like_the_threshold_is_not_told_as_below_itself(
    weights: bytes,
) -> None:
    flat = Calibrator("isotonic", scores=(0.0, 1.0), values=(0.2, 0.2), films=500, positives=100)
    point = OperatingPoint(presence_threshold=1.0)
    manifest = replace(MANIFEST, calibrator=flat, operating_point=point)
    made = Detector.of(Bundle.in_memory(manifest, [weights]), "cpu")(film())
    assert made.reason == "Probability 0.200 is just below the threshold."
