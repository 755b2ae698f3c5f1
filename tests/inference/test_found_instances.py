"""Instances on their way from a network's boxes to a finding."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pleura.finding import Instance
from pleura.inference.bundle import PRESENCE_HEAD, Bundle, BundleManifest, Member
from pleura.inference.detector import Detector
from pleura.inference.manifest import GATE
from pleura.inference.postprocess import OperatingPoint, instances
from pleura.inference.preprocess import InputSpec
from pleura.inference.runtimes import Logits
from pleura.radiograph import Radiograph

SIZE = 32
BOXES = np.array([[4, 8, 12, 16, 0.9], [0, 0, 3.3, 3.3, 0.6], [1, 1, 2, 2, 0.2]], np.float32)


class Finds:
    """Finds the boxes above on every film, and a mask of the first."""

    name = "finds"

    def __init__(self, presence: float = 0.9) -> None:
        self.presence = presence

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        mask = np.full((len(batch), SIZE, SIZE), -9.0, np.float32)
        mask[:, 8:16, 4:12] = 2.0
        presence = np.full(len(batch), np.log(self.presence / (1 - self.presence)), np.float32)
        return Logits(mask, presence, (BOXES,) * len(batch))


def detector(*runtimes: Finds, roles: tuple[str, ...] = ("segmenter",), **more) -> Detector:
    members = tuple(
        Member("made up", {}, InputSpec(SIZE), presence_score=PRESENCE_HEAD, role=role)
        for role in roles
    )
    manifest = BundleManifest("m", "1", members, **more)
    return Detector(Bundle.in_memory(manifest, [b""] * len(members)), runtimes)


def film() -> Radiograph:
    """256 rows, 128 columns: the network's pixel is 8 by 4 of the film's."""
    pixels = np.random.default_rng(0).random((256, 128), np.float32)
    return Radiograph(pixels=pixels, source_bits=8, source_format="png", source="f.png")


def test_boxes_lie_on_the_films_own_matrix() -> None:
    found = instances(BOXES, SIZE, (256, 128), 0.5)
    assert [one.box for one in found] == [(64, 16, 128, 48), (0, 0, 27, 14)]
    assert [one.score for one in found] == pytest.approx([0.9, 0.6])
    assert instances(BOXES[:0], SIZE, (256, 128), 0.0) == ()
    best_last = instances(BOXES[::-1], SIZE, (256, 128), 0.0)
    assert [one.score for one in best_last] == pytest.approx([0.9, 0.6, 0.2])


@pytest.mark.parametrize(("size", "side"), [(224, 225), (800, 109)])
def test_a_box_up_to_the_edge_ends_at_the_edge(size: int, side: int) -> None:
    assert size * (side / size) > side  # by a rounding error
    whole = np.array([[0, 0, size, size, 0.9]], np.float32)
    assert instances(whole, size, (side, side), 0.5)[0].box == (0, 0, side, side)


def test_a_finding_has_the_instances_that_its_mask_may_show() -> None:
    finding = detector(Finds())(film())
    assert [one.box for one in finding.instances] == [(64, 16, 128, 48), (0, 0, 27, 14)]
    assert finding.facts()["instances"][0] == {
        "box": [64, 16, 128, 48],
        "score": pytest.approx(0.9),
    }
    higher = detector(Finds(), operating_point=OperatingPoint(pixel_threshold=0.7))(film())
    assert [one.score for one in higher.instances] == pytest.approx([0.9])


def test_a_negative_finding_has_none() -> None:
    assert detector(Finds(presence=0.1))(film()).instances == ()


def test_an_ensemble_has_none_and_a_cascade_its_segmenters() -> None:
    assert detector(Finds(), Finds(), roles=("segmenter", "segmenter"))(film()).instances == ()
    cascade = detector(Finds(), Finds(0.8), roles=("segmenter", GATE))
    finding = cascade(film())
    assert finding.probability == pytest.approx(0.8)
    assert isinstance(finding.instances[0], Instance)
    held_back = detector(Finds(), Finds(0.2), roles=("segmenter", GATE))
    assert held_back(film()).instances == ()


def test_mirroring_leaves_the_boxes_of_the_film_as_it_is() -> None:
    found = detector(Finds(), flip=True, operating_point=OperatingPoint(pixel_threshold=0.4))
    assert found(film()).instances[0].box == (64, 16, 128, 48)
