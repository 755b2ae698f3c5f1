"""Do two detectors decide the same? On findings whose differences are worked out by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pleura.errors import EvaluationError
from pleura.evaluation.parity import EXACT, REDUCED, Bound, compare
from pleura.inference.bundle import PRESENCE_HEAD, Bundle, BundleManifest, Member
from pleura.inference.detector import Detector
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec
from pleura.inference.runtimes import Logits
from pleura.radiograph import Radiograph

SIZE = 128  # that of the films: masks are not resized


class Columns:
    """Marks a film's first `columns`; its probability of presence is the film's mean plus `shift`."""

    name = "columns"

    def __init__(self, columns: int, shift: float = 0.0) -> None:
        self.columns, self.shift = columns, shift

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        mask = np.full((len(batch), SIZE, SIZE), -9, np.float32)
        mask[:, :, : self.columns] = 9
        p = np.clip(batch.mean(axis=(1, 2, 3)) + self.shift, 0.01, 0.99)
        return Logits(mask, np.log(p / (1 - p)).astype(np.float32))


def detector(columns: int, shift: float = 0.0) -> Detector:
    member = Member("columns", {}, InputSpec(SIZE, mean=0.0, std=1.0), PRESENCE_HEAD)
    manifest = BundleManifest("m", "1", (member,), operating_point=OperatingPoint(0.5, 0.0, 0.5))
    return Detector(Bundle.in_memory(manifest, [b""]), [Columns(columns, shift)])


def film(mean: float, **more) -> Radiograph:
    pixels = np.full((SIZE, SIZE), mean - 0.1, np.float32)
    pixels[: SIZE // 2] = mean + 0.1
    return Radiograph(
        pixels=pixels, source_bits=8, source_format="png", source=f"{mean}.png", **more
    )


FILMS = [("low", film(0.3)), ("edge", film(0.48)), ("high", film(0.7))]


def test_the_same_detector_differs_in_nothing() -> None:
    parity = compare(detector(10), {"same": detector(10)}, FILMS)["same"]
    assert (parity.films, parity.positives, parity.changed) == (3, 1, ())
    assert (parity.dice_mean, parity.dice_worst, parity.probability_worst) == (1.0, 1.0, 0.0)
    assert parity.misses(EXACT) == []


def test_a_shifted_score_changes_a_decision() -> None:
    calls: list[int] = []
    others = {"shifted": detector(10, 0.03), "wider": detector(15)}
    found = compare(detector(10), others, FILMS, calls.append)
    assert calls == [1, 2, 3]
    shifted = found["shifted"]
    assert (shifted.changed, shifted.positives) == (("edge",), 1)
    assert (shifted.dice_worst, shifted.dice_worst_film) == (1.0, "high")  # what both found
    assert shifted.probability_worst == pytest.approx(0.03, abs=1e-6)
    assert shifted.probability_mean == pytest.approx(0.03, abs=1e-6)
    missed = "; ".join(shifted.misses(EXACT))
    assert "presence is the same on 66.7% of films, not 100% (edge)" in missed
    assert "Dice" not in missed
    assert "the worst probability differs by 0.0300, more than 0.01" in missed
    wider = found["wider"]
    assert wider.changed == ()
    assert wider.dice_worst == pytest.approx(2 * 10 / 25)
    assert wider.misses(Bound(1.0, 0.8, 0.8, 0.0, 0.0)) == []
    assert wider.misses(REDUCED) == ["the mean Dice of the masks is 0.8000, below 0.98"]


def test_films_without_a_finding_on_either_side() -> None:
    parity = compare(detector(10), {"other": detector(20)}, FILMS[:2])["other"]
    assert (parity.positives, parity.dice_mean, parity.dice_worst_film) == (0, None, None)
    assert parity.misses(EXACT) == []
    assert parity.facts()["changed"] == []


def test_declined_films_say_nothing() -> None:
    lateral = ("side", film(0.7, view="lateral"))
    parity = compare(detector(10), {"other": detector(10)}, [*FILMS, lateral])["other"]
    assert parity.films == 3
    for films in ([lateral], []):
        with pytest.raises(EvaluationError, match="no film to compare"):
            compare(detector(10), {"other": detector(10)}, films)
