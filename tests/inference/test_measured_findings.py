"""Sizes in findings, as a detector gives them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pleura.extent import MEASURES
from pleura.finding import Target
from pleura.inference.bundle import Bundle, BundleManifest, Member
from pleura.inference.detector import Detector
from pleura.inference.preprocess import InputSpec
from pleura.inference.runtimes import Logits
from pleura.radiograph import Radiograph

SIZE = 32


class Apical:
    """Finds air in the upper left of every image."""

    name = "apical"

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        mask = np.full((len(batch), SIZE, SIZE), -9.0, np.float32)
        mask[:, 4:10, 4:12] = 4.0
        return Logits(mask, None)


def detector(**more) -> Detector:
    manifest = BundleManifest("m", "1", (Member("made up", {}, InputSpec(SIZE)),), **more)
    return Detector(Bundle.in_memory(manifest, [b""]), [Apical()])


@pytest.fixture
def film() -> Radiograph:
    pixels = np.random.default_rng(0).random((400, 360), np.float32)
    told = {"view": "PA", "spacing_mm": (1.0, 1.0), "spacing_basis": "detector"}
    return Radiograph(pixels, 12, "dicom", "f.dcm", **told)


def test_a_model_that_locates_no_lungs_says_so(film) -> None:
    finding = detector()(film)
    assert finding.side == "right"
    assert finding.lung_fields is None
    (extent,) = finding.extents
    assert (extent.side, extent.spacing_basis) == ("right", "detector")
    assert set(extent.reasons) == set(MEASURES)
    facts = finding.facts()["extents"]
    assert facts[0]["reasons"]["rim_at_hilum_mm"] == "The model does not locate the lungs."
    assert facts[0]["accp_2001"] is None
    assert finding.notes == ()


def test_what_is_no_pneumothorax_has_no_such_size(film) -> None:
    finding = detector(target=Target("Pneumonia", "233604007"))(film)
    assert finding.decision == "positive"
    assert finding.extents == ()
