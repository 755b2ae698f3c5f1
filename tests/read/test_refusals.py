"""What is whole but no film for display is refused, with the reason."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from pleura.errors import DecodeError, UnsupportedFilm
from pleura.read import read

MakeDicom = Callable[..., bytes]
SAMPLES = np.arange(64, dtype=np.uint16).reshape(8, 8)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING"),
        ({"SOPClassUID": DigitalXRayImageStorageForProcessing}, "FOR PROCESSING"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"Modality": "CT"}, "'CT'"),
        ({"Modality": "MG"}, "'MG'"),
        ({"Modality": "SEG"}, "'SEG'"),
        ({"Modality": "", "SOPClassUID": CTImageStorage}, "CT Image Storage"),
        ({"ImageType": ["DERIVED", "PRIMARY", "", "DUAL_ENERGY"]}, "dual-energy"),
        ({"ImageType": ["DERIVED", "PRIMARY", "SUBTRACTION"]}, "dual-energy"),
        ({"ImageType": ["DERIVED", "PRIMARY", "", "SOFT_TISSUE"]}, "dual-energy"),
        ({"ImageType": ["DERIVED", "PRIMARY", "", "BONE"]}, "dual-energy"),
        ({"SeriesDescription": "Chest PA Dual Energy - Bone"}, "dual-energy"),
        ({"SeriesDescription": "Soft tissue, dual-energy"}, "dual-energy"),
        ({"DerivationDescription": "Bone Suppressed"}, "bone-suppressed"),
        ({"AcquisitionDeviceProcessingDescription": "ENERGY SUBTRACTED"}, "dual-energy"),
        ({"SeriesDescription": "Dual energy soft tissue image"}, "dual-energy"),
        ({"SeriesDescription": "Dual energy, no bone"}, "dual-energy"),
        ({"SeriesDescription": "Chest PA, bone suppression on"}, "bone-suppressed"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "32 bits"),
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "1 bits"),
    ],
)
def test_refused(make_dicom: MakeDicom, attributes: dict[str, Any], says: str) -> None:
    with pytest.raises(UnsupportedFilm) as caught:
        read(make_dicom(SAMPLES, **attributes))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "attributes",
    [
        {"Modality": "DX", "SOPClassUID": DigitalXRayImageStorageForPresentation},
        {"Modality": "CR", "SOPClassUID": ComputedRadiographyImageStorage},
        {"Modality": "OT"},
        {"Modality": ""},
        {"NumberOfFrames": 1},
        {"NumberOfFrames": 0},
        {"PresentationIntentType": "FOR PRESENTATION"},
        {"ImageType": ["DERIVED", "PRIMARY", "", "STANDARD"]},
        {"SeriesDescription": "Chest PA soft tissue look"},
        {"SeriesDescription": "Dual energy, standard image"},
        {"SeriesDescription": "Chest PA (without bone suppression)"},
        {"SeriesDescription": "CHEST_PA_NO_BONE_SUPPRESSION"},
        {"SeriesDescription": "Chest PA, non bone-suppressed"},
        {"SeriesDescription": "Bone suppression: off"},
        {"SeriesDescription": "Dual energy, not subtracted"},
        {"SeriesDescription": "Chest without dual-energy subtraction"},
        {"DerivationDescription": "Chest soft tissue image enhanced"},
        {"BodyPartExamined": "HAND"},
        {"ViewPosition": "LL"},
    ],
)
def test_accepted(make_dicom: MakeDicom, attributes: dict[str, Any]) -> None:
    assert read(make_dicom(SAMPLES, **attributes)).shape == (8, 8)


def test_no_image_in_it(make_dicom: MakeDicom) -> None:
    kept = {"Modality": "SR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"}
    drop = ("PixelData", "Rows", "Columns")
    with pytest.raises(UnsupportedFilm, match=r"no image .*Comprehensive SR Storage"):
        read(make_dicom(SAMPLES, drop=drop, **kept))


def test_image_without_pixels_is_cut_short(make_dicom: MakeDicom) -> None:
    with pytest.raises(DecodeError, match="cut short"):
        read(make_dicom(SAMPLES, drop=("PixelData",)))
