"""Ensembles and cascades, on networks that are formulas: every number is worked out by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pleura.errors import BundleError
from pleura.inference.bundle import PRESENCE_HEAD, Bundle, BundleManifest, Member
from pleura.inference.detector import Detector
from pleura.inference.ensemble import Ensemble
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec
from pleura.inference.runtimes import Logits
from pleura.radiograph import Radiograph

SIZE = 32
PLAIN = InputSpec(SIZE, mean=0.0, std=1.0)


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def film(mean: float = 0.5) -> Radiograph:
    """A film of 128x128 whose left half is darker than its right by 0.2, around `mean`."""
    pixels = np.full((128, 128), mean + 0.1, np.float32)
    pixels[:, :64] = mean - 0.1
    return Radiograph(pixels=pixels, source_bits=8, source_format="png", source="film.png")


class Constant:
    """Says the same probability everywhere, and another one of presence; counts the films it sees."""

    name = "constant"

    def __init__(self, p: float, presence: float | None = None, size: int = SIZE) -> None:
        self.p, self.presence, self.size, self.seen = p, presence, size, 0

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        n = len(batch)
        self.seen += n
        presence = None
        if self.presence is not None:
            presence = np.full(n, logit(self.presence), np.float32)
        return Logits(np.full((n, self.size, self.size), logit(self.p), np.float32), presence)


class Left:
    """Marks the left half of whatever it is given, and calls presence by the mean of that half's pixels."""

    name = "left"

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        mask = np.full((len(batch), SIZE, SIZE), logit(0.2), np.float32)
        mask[..., : SIZE // 2] = logit(0.8)
        means = np.clip(batch[:, 0, :, : SIZE // 2].mean(axis=(1, 2)), 0.01, 0.99)
        return Logits(mask, np.log(means / (1 - means)).astype(np.float32))


def member(
    presence_score: str | None = None, spec: InputSpec = PLAIN, role: str = "segmenter"
) -> Member:
    score = {} if presence_score is None else {"presence_score": presence_score}
    return Member("made up", {}, spec, role=role, **score)


def detector(members, runtimes, point=None, *, flip=False) -> Detector:
    manifest = BundleManifest(
        "m", "1", tuple(members), flip=flip, operating_point=point or OperatingPoint()
    )
    return Detector(Bundle.in_memory(manifest, [b""] * len(members)), runtimes)


def test_probabilities_are_averaged_not_logits() -> None:
    made = detector([member(), member()], [Constant(0.9), Constant(0.2)])
    maps, scores = made.probabilities([film(), film()])
    assert maps.shape == (2, SIZE, SIZE)
    np.testing.assert_allclose(maps, 0.55, atol=1e-6)  # the logits' mean would give 0.6
    assert scores == pytest.approx([0.55, 0.55], abs=1e-6)


def test_each_score_is_made_as_its_member_says() -> None:
    members = [member(PRESENCE_HEAD), member()]
    made = detector(members, [Constant(0.9, presence=0.4), Constant(0.2, presence=0.99)])
    assert made.probabilities([film()])[1] == pytest.approx([(0.4 + 0.2) / 2], abs=1e-6)


def test_networks_of_different_sizes_meet_at_the_largest() -> None:
    members = [member(), member(spec=InputSpec(64, mean=0.0, std=1.0))]
    maps, _ = detector(members, [Left(), Constant(0.4, size=64)]).probabilities([film()])
    assert maps.shape == (1, 64, 64)
    assert maps[0, :, 0] == pytest.approx(np.full(64, (0.8 + 0.4) / 2), abs=1e-6)
    assert maps[0, :, -1] == pytest.approx(np.full(64, (0.2 + 0.4) / 2), abs=1e-6)


def test_a_flip_is_mirrored_back_and_averaged() -> None:
    plain = detector([member(PRESENCE_HEAD)], [Left()])
    flipped = detector([member(PRESENCE_HEAD)], [Left()], flip=True)
    assert plain.probabilities([film()])[1] == pytest.approx([0.4], abs=1e-5)
    maps, scores = flipped.probabilities([film()])
    np.testing.assert_allclose(maps, 0.5, atol=1e-6)  # 0.8 here and 0.2 there, and the reverse
    assert scores == pytest.approx([0.5], abs=1e-5)  # halves of 0.4 and 0.6


def test_a_cascade_segments_only_what_its_gate_suspects() -> None:
    gate, segmenter = Left(), Constant(0.9)
    made = detector(
        [member(), member(PRESENCE_HEAD, role="gate")],
        [segmenter, gate],
        OperatingPoint(0.5, 0.0, presence_threshold=0.45),
    )
    low, high = made.batch([film(0.5), film(0.7)])  # left halves of 0.4 and 0.6
    assert segmenter.seen == 1
    assert (low.decision, high.decision) == ("negative", "positive")
    assert low.probability == pytest.approx(0.4, abs=1e-5)
    assert high.probability == pytest.approx(0.6, abs=1e-5)
    assert low.probability_map is None
    assert low.mask is not None
    assert not low.mask.any()
    assert low.reason == "Score 0.400 is below the threshold 0.450."
    assert high.mask is not None
    assert high.mask.all()
    maps, scores = made.probabilities([film(0.5)])  # before any decision: nothing is withheld
    np.testing.assert_allclose(maps, 0.9, atol=1e-6)
    assert scores == pytest.approx([0.4], abs=1e-5)


def test_a_cascade_that_suspects_nothing_or_sees_nothing() -> None:
    segmenter = Constant(0.9)
    made = detector([member(role="gate"), member()], [Constant(0.1), segmenter], OperatingPoint())
    assert [f.decision for f in made.batch([film(), film()])] == ["negative", "negative"]
    assert segmenter.seen == 0
    assert made.batch([]) == []


def test_a_presence_head_that_is_missing_is_said() -> None:
    with pytest.raises(BundleError, match="presence head, and it has none"):
        Ensemble([member(PRESENCE_HEAD)], [Constant(0.5)])([film()], [None])
