"""The reader on real films of the SIIM-ACR challenge."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from pleura.read import read


@pytest.fixture
def paths(real_data: Path) -> list[Path]:
    found = sorted((real_data / "siim" / "dicom-images-train").glob("*/*/*.dcm"))
    assert found
    return found[:: max(1, len(found) // 40)]


@pytest.mark.filterwarnings("ignore:Invalid value for VR AS")
def test_films_are_as_another_decoder_has_them(paths: list[Path]) -> None:
    for path in paths:
        ds = pydicom.dcmread(path)
        ds.pixel_array_options(decoding_plugin="pillow")
        film = read(path)
        assert film.shape == (1024, 1024)
        np.testing.assert_allclose(film.pixels * 255, ds.pixel_array, atol=1.001)


def test_headers(paths: list[Path]) -> None:
    for path in paths:
        film = read(path)
        assert film.sop_instance_uid == path.stem
        assert film.view in ("PA", "AP")
        assert film.sex in ("M", "F")
        assert film.age_years is None or 0 < film.age_years < 100
        assert film.spacing_source == "PixelSpacing"
        assert film.spacing_basis in ("implausible", "unknown")
        assert film.trusted_spacing_mm is None
        assert (film.modality, film.body_part, film.source_bits) == ("CR", "CHEST", 8)
        assert film.side_basis == "convention"


def test_dicom_and_png_of_the_same_kind_are_on_one_scale(real_data: Path) -> None:
    path = next(iter(sorted((real_data / "siim" / "png" / "png_images").glob("*.png"))))
    film = read(path)
    assert film.source_format == "png"
    assert 0.2 < film.pixels.mean() < 0.8
