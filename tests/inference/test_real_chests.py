"""Lung fields and sizes on real films, where there are any."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from chests import found

from pleura.inference.lung_fields import LungFields
from pleura.inference.measurements import measure
from pleura.inference.measurements.plausible import why_no_chest
from pleura.inference.measurements.posture import why_no_distances
from pleura.radiograph import Radiograph
from pleura.read import read


@pytest.fixture
def drawn(real_data: Path) -> list[np.ndarray]:
    """Label maps of lungs that people drew."""
    paths = sorted((real_data / "lungs" / "labels").iterdir())[::8]
    assert paths
    return [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]


def film(labels: np.ndarray) -> Radiograph:
    spacing = 400 / labels.shape[0], 360 / labels.shape[1]
    told = {"view": "PA", "spacing_mm": spacing, "spacing_basis": "detector"}
    return Radiograph(np.full(labels.shape, 0.5, np.float32), 8, "dicom", "f.dcm", **told)


def test_drawn_lungs_are_believed(drawn) -> None:
    believed = 0
    for labels in drawn:
        fields = LungFields.of(labels, film(labels))
        assert fields.doubt is None
        believed += why_no_chest(fields.right, fields.left) is None
    assert believed >= len(drawn) - 1


def test_a_rim_painted_into_drawn_lungs_is_measured(drawn) -> None:
    """20 px are taken off the lung's lateral edge in every row: that many are the rim."""
    for labels in drawn:
        chest = film(labels)
        fields = LungFields.of(labels, chest)
        if why_no_chest(fields.right, fields.left) or fields.right[:, 0].any():
            continue
        lateral = np.cumsum(fields.right, axis=1) <= 20
        mask = fields.right & lateral
        (extent,) = measure(mask, found(mask, chest, fields), chest, fields)
        if extent.rim_at_hilum_mm is None:  # where the chest reaches the edge of the film
            assert "edge of the film" in extent.reasons["rim_at_hilum_mm"]
            continue
        assert extent.side == "right"
        assert extent.rim_at_hilum_mm == pytest.approx(20 * 360 / labels.shape[1], abs=1.5)


@pytest.mark.filterwarnings("ignore:Invalid value for VR AS")
def test_no_distance_is_taken_where_the_header_gives_no_believable_spacing(real_data) -> None:
    paths = sorted((real_data / "siim" / "dicom-images-train").glob("*/*/*.dcm"))
    for path in paths[:: max(1, len(paths) // 12)]:
        given = read(path)
        expected = "posture" if given.view == "AP" else "pixel"
        assert expected in (why_no_distances(given) or "")
