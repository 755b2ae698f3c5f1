"""Synthetic DICOM films for the tests of the readers."""

import io
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

MakeDicom = Callable[..., bytes]
LITTLE = ExplicitVRLittleEndian


def make_dicom(
    samples: np.ndarray,
    *,
    bits: int | None = None,
    syntax: UID = LITTLE,
    preamble: bool = True,
    meta: bool = True,
    frame: bytes | None = None,
    drop: tuple[str, ...] = (),
    **attributes: Any,
) -> bytes:
    """A DICOM file of one film.

    Args:
        samples: uint8, uint16 or int16 (H, W) or (H, W, 3), in native byte order.
        bits: Bits Stored; all that are allocated if None.
        syntax: transfer syntax; an encapsulated one needs `frame`.
        preamble: with the 128 bytes and DICM.
        meta: with a file meta group (else no preamble either).
        frame: the compressed frame.
        drop: keywords left out.
        **attributes: further elements, or other values for those given here.
    """
    ds = pydicom.Dataset()
    stored = bits or 8 * samples.dtype.itemsize
    colour = samples.ndim == 3
    defaults: dict[str, Any] = {
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SOPInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.3",
        "Modality": "CR",
        "PatientID": "P1",
        "PatientName": "Secret^Person",
        "Rows": samples.shape[0],
        "Columns": samples.shape[1],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "PixelRepresentation": int(samples.dtype.kind == "i"),
        "BitsAllocated": 8 * samples.dtype.itemsize,
        "BitsStored": stored,
        "HighBit": stored - 1,
    }
    if colour:
        defaults["PlanarConfiguration"] = 0
    for keyword, value in {**defaults, **attributes}.items():
        if keyword not in drop:
            setattr(ds, keyword, value)
    little = syntax != ExplicitVRBigEndian
    if frame is not None:
        ds.PixelData = encapsulate([frame])
        ds["PixelData"].VR = "OB"
    else:
        swap = (sys.byteorder == "little") != little
        raw = samples.byteswap() if swap and samples.dtype.itemsize == 2 else samples
        data = raw.tobytes()
        ds.PixelData = data + b"\0" * (len(data) % 2)
        ds["PixelData"].VR = "OB" if samples.dtype.itemsize == 1 else "OW"
    for keyword in drop:
        if keyword in ds:
            delattr(ds, keyword)
    buffer = io.BytesIO()
    implicit = syntax == ImplicitVRLittleEndian
    if not meta:
        ds.save_as(buffer, implicit_vr=implicit, little_endian=little)
        return buffer.getvalue()
    file = FileDataset(
        "",
        ds,
        file_meta=FileMetaDataset(),
        preamble=b"\0" * 128,
        is_implicit_VR=implicit,
        is_little_endian=little,
    )
    file.file_meta.TransferSyntaxUID = syntax
    file.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", SecondaryCaptureImageStorage)
    file.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    file.save_as(buffer, enforce_file_format=True)
    data = buffer.getvalue()
    return data if preamble else data[132:]


@pytest.fixture(name="make_dicom")
def _make_dicom() -> MakeDicom:
    return make_dicom


@pytest.fixture
def ramp() -> np.ndarray:
    """uint16 (8, 8): 0, 1, ... 63."""
    return np.arange(64, dtype=np.uint16).reshape(8, 8)


__all__ = ["DeflatedExplicitVRLittleEndian", "MakeDicom", "make_dicom"]
