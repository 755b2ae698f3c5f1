"""Chests made of rectangles and ellipses, whose sizes are known in mm."""

import numpy as np
from pydicom import Dataset

from pleura.finding import Lesion
from pleura.inference.lung_fields import LungFields
from pleura.inference.postprocess import lesions
from pleura.radiograph import Radiograph

HIGH_MM, WIDE_MM = 400.0, 360.0


def film(spacing=(1.0, 1.0), **more) -> Radiograph:
    """An empty film of 400 x 360 mm, PA, whose spacing is the detector's."""
    shape = round(HIGH_MM / spacing[0]), round(WIDE_MM / spacing[1])
    told = {"view": "PA", "spacing_mm": spacing, "spacing_basis": "detector"} | more
    return Radiograph(np.full(shape, 0.5, np.float32), 12, "dicom", "f.dcm", **told)


def box(given: Radiograph, top, left, bottom, right) -> np.ndarray:
    """bool (H, W): a rectangle given in mm; a pixel belongs to it whose centre does."""
    down, along = millimetres(given)
    return (down >= top) & (down < bottom) & (along >= left) & (along < right)


def ellipse(given: Radiograph, down, along, height, width) -> np.ndarray:
    """bool (H, W): an ellipse given by its centre and half axes in mm."""
    rows, columns = millimetres(given)
    return ((rows - down) / height) ** 2 + ((columns - along) / width) ** 2 <= 1


def millimetres(given: Radiograph) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels' centres lie, in mm from the corner."""
    (down, along), spacing = np.indices(given.shape, sparse=True), given.spacing_mm
    return (down + 0.5) * spacing[0], (along + 0.5) * spacing[1]


def rectangles(given: Radiograph) -> LungFields:
    """Both lungs: 240 mm high from 60 mm on, 110 mm wide, from 40 and from 210 mm on."""
    at_left, at_right = box(given, 60, 40, 300, 150), box(given, 60, 210, 300, 320)
    swapped = given.image_left == "left"
    return LungFields(*((at_right, at_left) if swapped else (at_left, at_right)))


def found(mask: np.ndarray, given: Radiograph, fields=None) -> tuple[Lesion, ...]:
    """The lesions of a mask."""
    return lesions(mask, mask.astype(np.float32), given, fields)


def header(**elements) -> Dataset:
    """A DICOM header that says so."""
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds
