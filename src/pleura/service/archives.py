"""What archives send by C-STORE or STOW-RS, and how they are answered."""

from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)

TAKEN = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)
"""The SOP classes of films; no others are taken."""

SUCCESS, NOT_AUTHORISED, OUT_OF_RESOURCES, NO_FILM, FAILED = 0x0000, 0x0124, 0xA700, 0xC000, 0x0110
"""Statuses of C-STORE (PS3.4 B.2.3, PS3.7 C), and reasons of failure of STOW-RS (PS3.18 I.2.2)."""

CLASS_NOT_TAKEN = 0x0122
