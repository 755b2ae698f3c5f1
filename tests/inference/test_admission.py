"""Admission: which films are judged, which are put right first, and why the others are declined."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save

from pleura.errors import BundleError
from pleura.extent import MEASURES, Extent, Line
from pleura.finding import PNEUMOTHORAX, Finding, Instance, Lesion, ModelIdentity
from pleura.inference.admission import AdmissionThresholds
from pleura.inference.admission.answers import Answers, answers_of, labels_of
from pleura.inference.admission.doorkeeper import Doorkeeper, mending_for, objection
from pleura.inference.admission.mending import Mending
from pleura.inference.bundle import Bundle, BundleManifest, Member, open_bundle, write_bundle
from pleura.inference.detector import Detector
from pleura.inference.manifest import ANATOMY
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec
from pleura.networks import create
from pleura.orientation import turned
from pleura.radiograph import Radiograph

THRESHOLDS = AdmissionThresholds(
    no_chest=0.4, novelty=3.0, lung_share=0.1, cut_share=0.2, fitted_on="made-up films"
)


DECLINED = Finding(PNEUMOTHORAX, "declined", "A test.", ModelIdentity("m", "1", "00"), "film")


def film(pixels: np.ndarray, **more) -> Radiograph:
    return Radiograph(
        pixels=pixels.astype(np.float32),
        source_bits=8,
        source_format="png",
        source="a.png",
        **more,
    )


def chest(rows: int = 240, columns: int = 200) -> np.ndarray:
    """Two dark boxes, high up, on a bright ground that brightens downwards."""
    pixels = np.linspace(0.5, 0.9, rows)[:, None].repeat(columns, axis=1)
    pixels[rows // 6 : rows // 2, columns // 8 : columns * 3 // 8] = 0.1
    pixels[rows // 6 : rows // 2, columns * 5 // 8 : columns * 7 // 8] = 0.2
    return pixels


class Eye:
    """A runtime that sees a `chest`: which way its dark boxes lie, and whether they are bright."""

    name = "eye"

    def __init__(self, novelty: float = 1.0, sure: float = 8.0) -> None:
        self.novelty, self.sure, self.seen = novelty, sure, 0

    def outputs(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
        self.seen += len(batch)
        found = [self._one(image[0] * 0.5 + 0.5) for image in batch]
        return tuple(np.stack(part).astype(np.float32) for part in zip(*found, strict=True))

    def _one(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
        inverted = np.median(image) < 0.5
        dark = (image > 0.7) if inverted else (image < 0.3)
        lies = np.full(6, -self.sure)
        if dark.mean() < 0.1:
            lies[4] = self.sure
        else:
            rows, columns = np.nonzero(dark)
            towards = rows.mean() / len(image), columns.mean() / len(image)
            quarters = [towards[0], towards[1], 1 - towards[0], 1 - towards[1]].index(
                min(*towards, 1 - towards[0], 1 - towards[1])
            )
            lies[quarters] = self.sure
        lies[5] = self.sure if inverted else -self.sure
        half = len(image) // 2
        planes = np.stack([dark, dark, np.zeros_like(dark)]).astype(np.float64)
        planes[0, :, half:] = planes[1, :, :half] = 0
        logits = 8 * planes[:, ::4, ::4] - 4
        return logits, lies, np.array(self.novelty)


def door(eye: Eye | None = None, thresholds: AdmissionThresholds = THRESHOLDS) -> Doorkeeper:
    member = Member("anatomy", {}, InputSpec(64, 1, 0.5, 0.5), role=ANATOMY)
    return Doorkeeper(member, eye or Eye(), thresholds)


def answers(**changes) -> Answers:
    labels = np.zeros((100, 100), np.uint8)
    labels[20:60, 10:40], labels[20:60, 60:90] = 1, 2  # 12 % each
    told = {"labels": labels, "presentation": np.eye(5)[0], "inverted": 0.0, "novelty": 1.0}
    return Answers(**told | changes)


def test_shares_by_hand() -> None:
    assert answers().lung_share == pytest.approx(0.24)
    assert answers().cut_share == 0
    labels = answers().labels.copy()
    labels[:20, 10:40] = 1
    labels[1, 10:15] = 0  # of 100 rows the upper two count, and a lung fills both
    assert answers(labels=labels).cut_share == pytest.approx(0.25)
    labels[:, 45:50] = 3  # the heart is no lung
    assert answers(labels=labels).cut_share == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"presentation": np.array([0.59, 0, 0, 0, 0.41])}, "whole frontal chest film .*0.41"),
        ({"novelty": 3.1}, r"unlike the chest films .*3.1, 3.0 at most"),
        ({"labels": np.zeros((100, 100), np.uint8)}, "Hardly any lung"),
        ({"labels": np.ones((100, 100), np.uint8)}, "cuts the lungs off"),
    ],
)
def test_objections(changes: dict, says: str | None) -> None:
    reason = objection(answers(**changes), THRESHOLDS)
    if says is None:
        assert reason is None
    else:
        assert reason is not None
        assert re.search(says, reason), reason


@pytest.mark.parametrize(
    ("presentation", "inverted", "mending", "declined"),
    [
        ([1, 0, 0, 0, 0], 0.0, Mending(), False),
        ([0.6, 0.3, 0.1, 0, 0], 0.0, Mending(), False),  # nothing to do needs no great certainty
        ([0.04, 0.95, 0.01, 0, 0], 0.0, Mending(1), False),
        ([0, 0, 0.97, 0, 0.03], 0.95, Mending(2, True), False),
        ([0, 0, 0, 1, 0], 0.4, Mending(3), False),
        ([0.2, 0.8, 0, 0, 0], 0.0, Mending(), True),  # likely turned, not surely
        ([0.45, 0.25, 0.2, 0.1, 0], 0.0, Mending(), True),
        ([1, 0, 0, 0, 0], 0.7, Mending(), True),
        ([0.5, 0, 0, 0, 0.5], 0.0, Mending(), True),
    ],
)
def test_what_must_be_done_first(
    presentation: list[float], inverted: float, mending: Mending, declined: bool
) -> None:
    given = answers(presentation=np.array(presentation), inverted=inverted)
    found, reason = mending_for(given, THRESHOLDS)
    assert found == mending
    assert (reason is not None) == declined


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("inverted", [False, True])
def test_films_are_put_right(quarters: int, inverted: bool) -> None:
    upright = chest().astype(np.float32)
    given = np.rot90(1 - upright if inverted else upright, quarters)
    eye = Eye()
    (found,) = door(eye)([film(np.ascontiguousarray(given), spacing_mm=(0.2, 0.1))])
    assert found.reason is None
    assert found.mending == Mending(quarters, inverted)
    assert np.allclose(found.film.pixels, upright, atol=1e-6)
    assert found.film.spacing_mm == ((0.1, 0.2) if quarters % 2 else (0.2, 0.1))
    assert eye.seen == 1 + bool(found.mending)  # a film that was put right is looked at again
    assert found.labels is not None
    assert set(np.unique(found.labels)) == {0, 1, 2}


def test_a_turned_film_has_the_sides_of_the_display() -> None:
    given = film(np.rot90(chest(), 2), image_left="left", side_basis="orientation")
    (found,) = door()([given])
    assert (found.film.image_left, found.film.side_basis) == ("right", "convention")
    (kept,) = door()([film(chest(), image_left="left", side_basis="orientation")])
    assert (kept.film.image_left, kept.film.side_basis) == ("left", "orientation")


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_films_sides_are_those_its_header_says(quarters: int, mirrored: bool) -> None:
    upright = np.ascontiguousarray(chest()[:, ::-1] if mirrored else chest())
    side = "left" if mirrored else "right"
    header = turned(("R" if mirrored else "L", "F"), quarters)
    given = film(np.rot90(upright, quarters), image_left=side, patient_orientation=header)
    given = replace(given, side_basis="orientation" if quarters == 0 else "convention")
    (found,) = door()([given])
    assert found.mending == Mending(quarters)
    assert (found.film.image_left, found.film.side_basis) == (side, "orientation")
    back = found.mending.finding_back(DECLINED, found.film)
    assert back.patient_orientation == (header if quarters else None)


@pytest.mark.parametrize("header", [("L", "F"), ("F", "L"), ("A", "F"), None])
def test_a_header_that_has_a_turned_film_otherwise_is_not_believed(header: object) -> None:
    given = film(np.rot90(chest(), 2), patient_orientation=header)
    (found,) = door()([given])
    assert (found.film.image_left, found.film.side_basis) == ("right", "convention")
    assert found.film.patient_orientation is None
    assert found.mending.finding_back(DECLINED, found.film).patient_orientation == ("R", "H")


def test_what_is_declined_and_what_was_not_looked_at() -> None:
    eye = Eye()
    lateral, blank = film(chest(), view="lateral"), film(np.full((200, 200), 0.5))
    empty = film(np.linspace(0.4, 0.9, 200)[:, None].repeat(200, axis=1))
    found = door(eye)([lateral, film(chest()), blank, empty])
    said = [one.reason for one in found]
    assert eye.seen == 2  # the header and the matrix come first
    assert "lateral" in (said[0] or "")
    assert said[1] is None
    assert "blank" in (said[2] or "")
    assert "whole frontal chest" in (said[3] or "")
    assert all(one.film.pixels.shape == (200, 200) for one in found[2:])


def test_a_film_that_stays_strange_once_put_right_is_declined_as_it_came() -> None:
    given = film(np.rot90(chest()))
    (found,) = door(Eye(novelty=4.0))([given])
    assert "unlike the chest films" in (found.reason or "")
    assert found.film is given
    assert not found.mending


def test_without_the_network_all_is_as_before() -> None:
    (turned, lateral) = Doorkeeper()([film(np.rot90(chest())), film(chest(), view="lateral")])
    assert turned.reason is None
    assert turned.labels is None
    assert lateral.reason is not None


@pytest.mark.parametrize("quarters", range(4))
def test_what_was_found_comes_back(quarters: int) -> None:
    """Boxes and lines are marked on the upright film, and met again where np.rot90 takes the marks."""
    rows, columns = 7, 5
    marked = np.zeros((rows, columns), np.float32)
    marked[1:3, 2:5] = 1  # the box (1, 2, 3, 5)
    lesion = Lesion("left", "convention", 6, 6 / 35, None, (1, 2, 3, 5), 0.9)
    reasons = dict.fromkeys(MEASURES, "not measured")
    extent = Extent("left", reasons=reasons, lines=(Line("a", (1.0, 2.0), (3.0, 5.0), 4.0),))
    upright = Finding(
        PNEUMOTHORAX,
        "positive",
        "because",
        ModelIdentity("m", "1", "0"),
        "a.png",
        probability=0.9,
        probability_map=marked,
        mask=marked > 0,
        lesions=(lesion,),
        instances=(Instance((1, 2, 3, 5), 0.5),),
        extents=(extent,),
        lung_fields=marked.astype(np.uint8),
        notes=("first",),
    )
    found = Mending(quarters).finding_back(upright, film(np.zeros((rows, columns))))
    expected = np.rot90(marked, quarters)
    assert np.array_equal(found.probability_map, expected)
    assert np.array_equal(found.mask, expected > 0)
    assert np.array_equal(found.lung_fields, expected)
    at = np.argwhere(expected)
    box = (*at.min(axis=0), *(at.max(axis=0) + 1))
    assert found.lesions[0].box == found.instances[0].box == box
    line = found.extents[0].lines[0]
    corners = np.sort([line.start, line.end], axis=0).ravel()
    assert tuple(corners) == box
    assert found.lesions[0].side == "left"
    assert found.notes[0] == "first"
    assert len(found.notes) == 1 + bool(quarters)


def test_answers_by_hand() -> None:
    lungs = np.full((1, 3, 8, 8), -4.0, np.float32)
    lungs[0, 0, :4, :4], lungs[0, 2, 4:] = 4.0, 3.0
    lies = np.log(np.array([[0.1, 0.2, 0.3, 0.1, 0.3, 3.0]], np.float32))  # the last is 3 to 1
    (one,) = answers_of([lungs, lies, np.array([1.5], np.float32)])
    assert one.presentation == pytest.approx([0.1, 0.2, 0.3, 0.1, 0.3], rel=1e-5)
    assert one.inverted == pytest.approx(0.75)
    assert (one.quarters, one.novelty, one.no_chest) == (2, 1.5, pytest.approx(0.3))
    assert one.labels.shape == (64, 64)
    corners = one.labels[0, 0], one.labels[0, 63], one.labels[63, 0]
    assert corners == (1, 0, 3)
    assert np.mean(one.labels == 1) == pytest.approx(0.25, abs=0.02)
    assert np.array_equal(labels_of(lungs[0]), one.labels)


def test_a_region_is_one_lungs() -> None:
    """Where most of a region says so, all of it is; a region of two minds is parted in the middle."""
    logits = np.full((3, 16, 16), -4.0, np.float32)
    logits[0, 4:12, 1:6] = logits[1, 4:12, 10:15] = 4.0
    logits[1, 4:5, 1:5] = 6.0  # a tenth of the first lung is taken for the second
    labels = labels_of(logits)
    assert set(np.unique(labels[:, :64])) == {0, 1}
    assert set(np.unique(labels[:, 64:])) == {0, 2}
    logits[0, 5:8, 6:10] = 4.0  # a bridge between the two
    parted = labels_of(logits)
    assert np.count_nonzero(parted[:, :60] == 2) == np.count_nonzero(parted[:, 72:] == 1) == 0
    speck = np.full((3, 16, 16), -4.0, np.float32)
    speck[0, 8, 8] = 0.5
    assert not labels_of(speck).any()


@pytest.mark.parametrize(
    "outputs",
    [
        (np.zeros((1, 1, 8, 8)), np.zeros(1)),
        (np.zeros((1, 3, 8, 8)), np.zeros((1, 5)), np.zeros(1)),
        (np.full((1, 3, 8, 8), np.nan), np.zeros((1, 6)), np.zeros(1)),
    ],
)
def test_other_answers_are_refused(outputs: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(BundleError):
        answers_of([one.astype(np.float32) for one in outputs])


@pytest.mark.parametrize(
    "wrong",
    [
        {"no_chest": 1.5},
        {"novelty": 0.0},
        {"novelty": float("inf")},
        {"sure": 0.5},
        {"cut_share": -1},
    ],
)
def test_impossible_thresholds(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AdmissionThresholds(**wrong)


OPTIONS = {"encoder": "resnet10t", "decoder_channels": [8, 8, 8, 8, 8]}
ANATOMY_OPTIONS = {"encoder": "mobilenetv2_050", "decoder_channels": [8, 8, 8], "domains": 1}


def manifest() -> BundleManifest:
    return BundleManifest(
        "test",
        "1",
        (
            Member("unet_timm", OPTIONS, InputSpec(64)),
            Member("anatomy", ANATOMY_OPTIONS, InputSpec(64, 1, 0.5, 0.5), role=ANATOMY),
        ),
        operating_point=OperatingPoint(0.0, 0.0, 0.0),
        admission=THRESHOLDS,
    )


@pytest.fixture(scope="module")
def weights() -> list[bytes]:
    torch.manual_seed(0)
    networks = (
        create("unet_timm", channels=1, size=64, **OPTIONS),
        create("anatomy", channels=1, size=64, **ANATOMY_OPTIONS),
    )
    return [save(network.state_dict()) for network in networks]


def test_a_bundle_keeps_the_thresholds(tmp_path, weights: list[bytes]) -> None:
    write_bundle(tmp_path / "b", manifest(), weights)
    opened = open_bundle(tmp_path / "b").manifest
    assert opened.admission == THRESHOLDS
    assert opened.members[1].role == ANATOMY
    assert opened.combination == "single"
    detector = Detector.load(tmp_path / "b", device="cpu", runtime="torch")
    detector.warm_up()
    assert detector(film(chest())).decision in ("positive", "declined")  # its weights are random


@pytest.mark.parametrize("changes", [{"admission": None}, {"members": manifest().members[:1]}])
def test_thresholds_and_network_come_together(changes: dict) -> None:
    with pytest.raises(ValueError, match="thresholds of admission"):
        replace(manifest(), **changes)


@pytest.mark.parametrize("quarters", range(4))
def test_a_turned_film_has_the_upright_ones_finding(weights: list[bytes], quarters: int) -> None:
    detector = Detector.of(Bundle.in_memory(manifest(), weights), "cpu")
    spec = manifest().members[1]
    detector._door = Doorkeeper(spec, Eye(), THRESHOLDS)
    upright = detector(film(chest()))
    turned = detector(film(np.ascontiguousarray(np.rot90(chest(), quarters))))
    assert upright.decision == turned.decision == "positive"
    assert turned.probability == pytest.approx(upright.probability, abs=1e-6)
    assert turned.mask is not None
    assert np.array_equal(turned.mask, np.rot90(upright.mask, quarters))
    assert np.allclose(
        turned.probability_map, np.rot90(upright.probability_map, quarters), atol=1e-5
    )
    assert turned.lung_fields is not None
    assert np.array_equal(turned.lung_fields, np.rot90(upright.lung_fields, quarters))
    assert [one.side for one in turned.lesions] == [one.side for one in upright.lesions]
