"""Networks that see the lungs alone: the frame, what is in it, and a finding on the whole film's matrix."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pleura.frame import WHOLE, Frame
from pleura.inference.admission.thresholds import AdmissionThresholds
from pleura.inference.bundle import Bundle, BundleManifest, Member
from pleura.inference.detector import Detector
from pleura.inference.lung_fields import lung_frame
from pleura.inference.manifest import ANATOMY, GATE, manifest_from
from pleura.inference.postprocess import OperatingPoint, to_source_matrix
from pleura.inference.preprocess import InputSpec, network_input
from pleura.inference.runtimes import Logits
from pleura.radiograph import Radiograph

SIZE = 32
SPEC = InputSpec(SIZE, mean=0.0, std=1.0, region="lungs")
EYE = Member("anatomy", {}, InputSpec(64), role=ANATOMY)
ADMITS = AdmissionThresholds(0.5, 3.0, 0.05, 0.5, 0.9)


def labels() -> NDArray[np.uint8]:
    """Two lungs on 100 x 200: rows 20 to 60 and columns 40 to 80; rows 20 to 70 and columns 120 to 160."""
    drawn = np.zeros((100, 200), np.uint8)
    drawn[20:60, 40:80], drawn[20:70, 120:160] = 1, 2
    return drawn


def test_a_frame_s_window() -> None:
    frame = Frame(0.1, 0.25, 0.5, 1.0)
    assert frame.window((100, 8)) == (slice(10, 50), slice(2, 8))
    assert Frame(0.5, 0.0, 0.5001, 1.0).window((10, 10))[0] == slice(5, 6)
    assert Frame(0.999, 0.0, 1.0, 1.0).window((10, 10))[0] == slice(9, 10)
    assert Frame(0.04, 0.26, 0.57, 0.96).window((10, 10)) == (slice(0, 6), slice(3, 10))
    assert WHOLE.window((3, 5)) == (slice(0, 3), slice(0, 5))


def test_a_frame_is_cut_out_with_what_lies_around_it() -> None:
    film = np.arange(1.0, 65.0).reshape(8, 8)
    frame = Frame(0.0, 0.25, 0.5, 0.75)
    np.testing.assert_array_equal(frame.cut(film), film[:4, 2:6])
    wide = frame.cut(film, 0.25)  # a pixel more on every side, above which there is no film
    np.testing.assert_array_equal(wide[1:], film[:5, 1:7])
    assert wide.shape == (6, 6)
    assert not wide[0].any()


@pytest.mark.parametrize(
    "sides", [(0.5, 0, 0.5, 1), (0, 0.2, 1, 0.1), (-0.1, 0, 1, 1), (0, 0, 1, 1.1)]
)
def test_what_is_no_frame(sides: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="top is above its bottom"):
        Frame(*sides)


def test_the_frame_around_lungs_by_hand() -> None:
    """They span rows 20 to 70 and columns 40 to 160: 50 high, 120 wide."""
    frame = lung_frame(labels())
    assert frame.top == pytest.approx((20 - 0.08 * 50) / 100)
    assert frame.bottom == pytest.approx((70 + 0.15 * 50) / 100)
    assert frame.left == pytest.approx((40 - 0.06 * 120) / 200)
    assert frame.right == pytest.approx((160 + 0.06 * 120) / 200)


def test_specks_do_not_widen_it_and_edges_end_it() -> None:
    drawn = labels()
    drawn[95, 5] = 1
    assert lung_frame(drawn) == lung_frame(labels())
    drawn[:, 120:] = 2
    assert (lung_frame(drawn).top, lung_frame(drawn).bottom, lung_frame(drawn).right) == (0, 1, 1)


def test_without_two_lungs_it_is_the_film() -> None:
    assert lung_frame(None) == WHOLE
    assert lung_frame(np.where(labels() == 1, np.uint8(1), np.uint8(0))) == WHOLE


def test_the_network_is_given_what_is_in_the_frame() -> None:
    pixels = np.random.default_rng(0).random((64, 128), np.float32)
    frame = Frame(0.25, 0.5, 0.75, 0.75)
    np.testing.assert_array_equal(network_input(pixels, SPEC, frame)[0], pixels[16:48, 64:96])
    whole = replace(SPEC, region="film")
    np.testing.assert_array_equal(network_input(pixels, whole, frame), network_input(pixels, whole))


def test_a_map_is_put_back_where_it_was_seen() -> None:
    found = to_source_matrix(np.full((4, 4), 0.5, np.float32), (40, 20), Frame(0.5, 0, 0.75, 0.5))
    expected = np.zeros((40, 20), np.float32)
    expected[20:30, :10] = 0.5
    np.testing.assert_array_equal(found, expected)


class Eye:
    """Finds the lungs of `labels` on every film."""

    name = "eye"

    def outputs(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        planes = np.full((len(batch), 3, 50, 100), -4.0, np.float32)
        planes[:, 0][:, labels()[::2, ::2] == 1] = 4.0
        planes[:, 1][:, labels()[::2, ::2] == 2] = 4.0
        lies = np.tile(np.float32([9, -9, -9, -9, -9, -9]), (len(batch), 1))
        return [planes, lies, np.ones(len(batch), np.float32)]


class Bright:
    """Marks bright pixels; keeps what it saw."""

    name = "bright"

    def __init__(self) -> None:
        self.seen: list[NDArray[np.float32]] = []

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        self.seen += list(batch[:, 0])
        return Logits((batch[:, 0] - 0.5) * 40, None)


def detector(runtime: Bright, *members: Member, **more) -> Detector:
    members = members or (Member("made up", {}, SPEC),)
    manifest = BundleManifest(
        "m", "1", (*members, EYE), admission=ADMITS, operating_point=OperatingPoint(0.5, 0, 0.5)
    )
    manifest = replace(manifest, **more)
    networks = [*(runtime for _ in members), Eye()]
    return Detector(Bundle.in_memory(manifest, [b""] * len(networks)), networks)


def film(shape: tuple[int, int] = (400, 400)) -> Radiograph:
    """A dark film, bright from 0.3 to 0.4 of its rows and columns, in a lung, and at its lower edge."""
    pixels = np.full(shape, 0.2, np.float32)
    rows, columns = shape
    pixels[round(0.3 * rows) : round(0.4 * rows), round(0.3 * columns) : round(0.4 * columns)] = 0.9
    pixels[round(0.9 * rows) :] = 0.9
    return Radiograph(pixels, 8, "png", "film.png")


def test_a_finding_lies_on_the_whole_film() -> None:
    seen = Bright()
    finding = detector(seen)(film())
    assert seen.seen[0].shape == (SIZE, SIZE)
    assert finding.decision == "positive"
    mask = finding.mask
    assert mask is not None
    assert mask.shape == (400, 400)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx(
        (120, 159, 120, 159), abs=5
    )
    assert not mask[350:].any()  # bright, and outside of the frame
    assert finding.probability_map is not None
    assert not finding.probability_map[350:].any()


def test_a_squeezed_film_is_seen_alike() -> None:
    seen = Bright()
    detector(seen).batch([film(), film((400, 800)), film((1200, 400))])
    for other in seen.seen[1:]:
        assert np.abs(other - seen.seen[0]).mean() < 0.01


def test_probabilities_are_over_what_the_networks_see() -> None:
    seen = Bright()
    made = detector(seen)
    (found,), _ = made.probabilities([film()])
    (frame,) = made.lungs([film()])
    assert frame != WHOLE
    np.testing.assert_array_equal(seen.seen[0], network_input(film().pixels, SPEC, frame)[0])
    assert found.shape == (SIZE, SIZE)


def test_a_gate_may_see_the_film_and_the_segmenter_the_lungs() -> None:
    seen = Bright()
    gate = Member("gate", {}, replace(SPEC, region="film"), role=GATE)
    finding = detector(seen, Member("made up", {}, SPEC), gate)(film())
    by_gate, by_segmenter = seen.seen
    np.testing.assert_array_equal(by_gate, network_input(film().pixels, gate.input)[0])
    assert np.abs(by_gate - by_segmenter).max() > 0.1
    assert finding.decision == "positive"


def test_lungs_are_found_by_an_anatomy_network_alone() -> None:
    with pytest.raises(ValueError, match="need an anatomy network"):
        BundleManifest("m", "1", (Member("made up", {}, SPEC),))


def test_segmenters_see_one_region() -> None:
    with pytest.raises(ValueError, match="see one region"):
        detector(Bright(), Member("a", {}, SPEC), Member("b", {}, replace(SPEC, region="film")))


def test_what_was_written_before_sees_the_film() -> None:
    told = {
        "name": "m",
        "version": "1",
        "members": [{"network": "a", "network_options": {}, "input": {"size": 32}}],
        "target": {"name": "Pneumothorax", "code": "36118008"},
        "operating_point": {},
    }
    assert manifest_from(told, 4).members[0].input.region == "film"


def test_there_is_no_other_region() -> None:
    with pytest.raises(ValueError, match="the film or its lungs"):
        InputSpec(32, region="heart")  # type: ignore[arg-type]
