"""A film for viewers: the whole of its values, and windows that show what the film is read as."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from pleura.errors import UnrecognisedFormat
from pleura.read import read
from pleura.read.viewing import Viewing, read_for_viewing

RAMP = np.arange(256 * 256).reshape(256, 256) % 4096  # 12 bits, 0 to 4095


def dicom(samples: np.ndarray[Any, Any], bits: int = 12, **elements: Any) -> bytes:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
    ds.Modality, ds.PhotometricInterpretation = "CR", "MONOCHROME2"
    ds.Rows, ds.Columns = samples.shape
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.BitsAllocated = 8 if bits == 8 else 16
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.PixelData = samples.astype(np.uint8 if bits == 8 else "<u2").tobytes()
    ds["PixelData"].VR = "OB" if bits == 8 else "OW"
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def shown(viewing: Viewing, window: int = 0) -> np.ndarray[Any, Any]:
    """What a viewer draws."""
    _, center, width = viewing.windows[window]
    return np.clip((viewing.pixels - (center - width / 2)) / width, 0.0, 1.0)


WINDOWED: list[dict[str, Any]] = [
    {},
    {"WindowCenter": "2048", "WindowWidth": "1000"},
    {"WindowCenter": "2048", "WindowWidth": "1000", "PhotometricInterpretation": "MONOCHROME1"},
    {"WindowCenter": "2048", "WindowWidth": "1000", "VOILUTFunction": "LINEAR_EXACT"},
    {
        "WindowCenter": "-100",
        "WindowWidth": "500",
        "RescaleSlope": "0.5",
        "RescaleIntercept": "-1000",
    },
    {"WindowCenter": "5000", "WindowWidth": "9000", "PresentationLUTShape": "INVERSE"},
    {"WindowCenter": "2048", "WindowWidth": "0"},
    {"WindowCenter": "2048", "WindowWidth": "1000", "PixelPaddingValue": 0},
    {"WindowCenter": ["2048", "1000"], "WindowWidth": ["1000", "300"]},
]


@pytest.mark.parametrize("elements", WINDOWED, ids=str)
def test_the_first_window_shows_the_film_as_it_is_read(elements: dict[str, Any]) -> None:
    data = dicom(RAMP, **elements)
    film, viewing = read_for_viewing(data)
    np.testing.assert_array_equal(film.pixels, read(data).pixels)
    assert (viewing.pixels.dtype, viewing.stage) == (np.uint16, "stored")
    # A window one value wide takes 1/65535 of the range apart at most.
    assert np.abs(shown(viewing) - film.pixels).max() < 1e-3


def test_what_lies_outside_the_window_is_there() -> None:
    film, viewing = read_for_viewing(dicom(RAMP, WindowCenter="2048", WindowWidth="1000"))
    assert len(np.unique(film.pixels)) == 1000
    assert len(np.unique(viewing.pixels)) == 4096
    assert [window.name for window in viewing.windows] == [
        "Film's own",
        "Whole range",
        "1 to 99 % of pixels",
    ]
    own = viewing.windows[0]  # LINEAR: from 2048 - 0.5 - 999 / 2 to 2048 - 0.5 + 999 / 2, of 4095
    assert own.center == pytest.approx(2047.5 / 4095 * 65535)
    assert own.width == pytest.approx(999 / 4095 * 65535)
    assert shown(viewing, 1)[0, 4095 % 256] == pytest.approx(RAMP[0, 255] / 4095, abs=1e-4)


def test_windows_have_their_names_and_turn_with_the_film() -> None:
    elements = {
        "WindowCenter": ["2000", "1000"],
        "WindowWidth": ["1001", "301"],
        "WindowCenterWidthExplanation": ["LUNG", "BONE"],
    }
    _, viewing = read_for_viewing(dicom(RAMP, **elements))
    _, turned = read_for_viewing(dicom(RAMP, PhotometricInterpretation="MONOCHROME1", **elements))
    assert [window.name for window in viewing.windows[:2]] == ["LUNG", "BONE"]
    for plain, inverse in zip(viewing.windows[:2], turned.windows[:2], strict=True):
        assert plain.center + inverse.center == pytest.approx(65535)
        assert plain.width == pytest.approx(inverse.width)
    np.testing.assert_array_equal(turned.pixels, 65535 - viewing.pixels)


def test_eight_bits_stay_eight_bits() -> None:
    samples = RAMP % 256
    _, viewing = read_for_viewing(dicom(samples, bits=8))
    assert (viewing.pixels.dtype, viewing.maximum) == (np.uint8, 255)
    np.testing.assert_array_equal(viewing.pixels, samples)
    assert viewing.windows[0] == ("Whole range", 127.5, 255.0)


@pytest.mark.parametrize("kind", ["SIGMOID", "LUT"])
def test_what_is_no_window_has_been_applied(kind: str) -> None:
    if kind == "SIGMOID":
        data = dicom(RAMP, WindowCenter="2048", WindowWidth="1000", VOILUTFunction="SIGMOID")
    else:
        lut = Dataset()
        lut.add_new("LUTDescriptor", "US", [4096, 0, 16])
        lut.add_new("LUTData", "OW", (np.arange(4096) ** 2 // 256).astype("<u2").tobytes())
        data = dicom(RAMP, VOILUTSequence=Sequence([lut]))
    film, viewing = read_for_viewing(data)
    assert viewing.stage == "displayed"
    assert np.abs(shown(viewing) - film.pixels).max() <= 0.5 / 65535 + 1e-6


def test_images_and_other_files() -> None:
    for dtype, peak in ((np.uint8, 255), (np.uint16, 65535)):
        image = np.random.default_rng(0).integers(0, peak + 1, (150, 140)).astype(dtype)
        film, viewing = read_for_viewing(cv2.imencode(".png", image)[1].tobytes(), name="x")
        assert (viewing.pixels.dtype, viewing.stage, film.source) == (dtype, "displayed", "x")
        np.testing.assert_array_equal(viewing.pixels, image)
    with pytest.raises(UnrecognisedFormat, match=r"page\.html: is no DICOM"):
        read_for_viewing(b"<html>" * 50, name="page.html")


def test_a_blank_film_has_windows_too() -> None:
    film, viewing = read_for_viewing(dicom(np.full((200, 200), 7)))
    assert film.pixels.max() == viewing.pixels.max() == 0
    assert all(window.width > 0 for window in viewing.windows)
