"""pleura-v1, the model that ships: what it must say alike of films that show the same."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import pleura
from pleura.data.phantom import phantom
from pleura.evaluation.card import write_card
from pleura.inference.bundle import open_bundle
from pleura.inference.detector import Detector
from pleura.inference.shipped import default_bundle, shipped_evaluations

LARGEST_MB = 30
SHIFT = 0.06  # of probability; of 60 films of the challenge, squeezed or JPEG of quality 90, 0.04 at most
NEAR = 0.02  # of probability, from the threshold: there the least move decides
OVERLAP = 0.9  # Dice of outlines of more than a hundredth of the film

Film = NDArray[np.float32]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(cache=False)


def squeezed(film: Film) -> Film:
    return cv2.resize(film, (1024, 1024), interpolation=cv2.INTER_AREA)


def broad(film: Film) -> Film:
    return cv2.resize(film, (1024, 840), interpolation=cv2.INTER_AREA)


def tall(film: Film) -> Film:
    return cv2.resize(film, (840, 1024), interpolation=cv2.INTER_AREA)


def recompressed(film: Film) -> Film:
    done, bytes_ = cv2.imencode(
        ".jpg", np.round(film * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90]
    )
    assert done
    return cv2.imdecode(bytes_, cv2.IMREAD_GRAYSCALE).astype(np.float32) / np.float32(255)


def found(detector: Detector, film: Film) -> pleura.Finding:
    return detector(pleura.Radiograph(film, 8, "png", "film"))


def check_alike(detector: Detector, film: Film, change: Callable[[Film], Film]) -> None:
    one, other = found(detector, film), found(detector, change(film))
    if one.probability is None or other.probability is None:
        assert one.probability is other.probability
        return
    point, calibrator = detector.manifest.operating_point, detector.manifest.calibrator
    assert calibrator is not None
    if abs(one.probability - float(calibrator(point.presence_threshold))) > NEAR:
        assert one.decision == other.decision
    assert abs(one.probability - other.probability) < SHIFT
    if one.mask is None or other.mask is None or one.decision != other.decision:
        return
    if one.mask.mean() > 0.01:
        height, width = one.mask.shape
        again = cv2.resize(other.mask.astype(np.uint8), (width, height)) > 0
        assert 2 * (one.mask & again).sum() > OVERLAP * (one.mask.sum() + again.sum())


CHANGES = pytest.mark.parametrize("change", [squeezed, broad, tall, recompressed])


@CHANGES
@pytest.mark.parametrize("seed", range(4))
def test_a_film_changed_on_its_way_has_the_same_finding(
    detector: Detector, seed: int, change: Callable[[Film], Film]
) -> None:
    check_alike(detector, phantom(seed, 1280, pneumothorax=seed % 2 == 0).pixels, change)


@CHANGES
def test_so_has_a_real_one(
    detector: Detector, real_data: Path, change: Callable[[Film], Film]
) -> None:
    """Films that were trained on, and some of another hospital; none of the test part."""
    for folder in ("siim/png/png_images", "lungs/images"):
        for path in sorted((real_data / folder).iterdir())[:40:10]:
            check_alike(detector, pleura.read(path).pixels, change)


def test_it_is_small_and_says_what_it_is() -> None:
    folder = default_bundle()
    assert sum(file.stat().st_size for file in folder.iterdir()) < LARGEST_MB * 1e6
    manifest = open_bundle(folder).manifest
    assert manifest.name == "pleura-v1"
    assert manifest.calibrator is not None
    assert manifest.admission is not None
    assert manifest.operating_point.keep_largest  # the probability alone decides what is called


def test_its_card_tells_the_test_part_s_numbers(tmp_path: Path) -> None:
    write_card(tmp_path / "card.md", open_bundle(default_bundle()), shipped_evaluations())
    told = (tmp_path / "card.md").read_text()
    assert told.index("## How good: out-of-fold") < told.index("## How good: test")
    assert told.index("## Intended use") < told.index("## Not for") < told.index("## Ethics")
