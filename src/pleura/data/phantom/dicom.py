"""The DICOM files around synthetic films: of the kinds a reader meets, each saying that it is synthetic."""

import io
from dataclasses import dataclass
from uuid import NAMESPACE_OID, uuid5

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from pleura.data.phantom.film import Phantom


@dataclass(frozen=True)
class Kind:
    """A kind of DICOM file.

    Attributes:
        name: for tables.
        share: of the files of a corpus.
        sop_class: what the file says it is.
        transfer_syntax: how its pixels are coded.
        modality: CR or DX.
        bits: stored a sample.
        inverted: whether small is bright (MONOCHROME1).
        squeezed: whether the film was squeezed to a square.
    """

    name: str
    share: float
    sop_class: UID
    transfer_syntax: UID
    modality: str
    bits: int
    inverted: bool = False
    squeezed: bool = False


KINDS = (
    Kind("sc-jpeg", 0.70, SecondaryCaptureImageStorage, JPEGBaseline8Bit, "CR", 8, squeezed=True),
    Kind("dx-mono1", 0.12, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, "DX", 12,
         inverted=True),
    Kind("cr-rle", 0.09, ComputedRadiographyImageStorage, RLELossless, "CR", 10),
    Kind("cr-j2k", 0.09, ComputedRadiographyImageStorage, JPEG2000Lossless, "CR", 12),
)  # fmt: skip
"""Most are what SIIM-ACR's are; the others are there so that a corpus of phantoms exercises a reader."""

_JPEG_QUALITY = 92
_MARGIN = 0.05  # of the stored range on either side of the window, where there is a window


def uid(name: str) -> UID:
    """The UID that stands for `name`, always the same."""
    return generate_uid(entropy_srcs=[name])


def dicom_bytes(film: Phantom, kind: Kind, name: str, study: UID, series: UID, image: UID) -> bytes:
    """The film as a DICOM file.

    Args:
        film: what to write.
        kind: as which kind of file.
        name: of the film, unique; what is random in the header follows from it.
        study, series, image: UIDs.
    """
    ds = _header(film, kind, name)
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, series, image
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = kind.sop_class
    ds.file_meta.MediaStorageSOPInstanceUID = image
    ds.file_meta.TransferSyntaxUID = kind.transfer_syntax
    _set_pixels(ds, film.pixels, kind)
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _header(film: Phantom, kind: Kind, name: str) -> Dataset:
    alias = str(uuid5(NAMESPACE_OID, name))  # random a film, as SIIM's are: it identifies nobody
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = kind.sop_class
    ds.ImageType = ["DERIVED", "PRIMARY", ""]
    ds.Modality = kind.modality
    if kind.sop_class == SecondaryCaptureImageStorage:
        ds.ConversionType = "SYN"  # PS3.3 C.8.6.1: synthetic image
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20000101", "000000", ""
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "", 1, 1
    ds.Manufacturer = "pleura phantom (synthetic)"
    ds.ManufacturerModelName = "synthetic, no patient"
    ds.ReferringPhysicianName = ""
    ds.SeriesDescription = f"view: {film.view}"
    ds.PatientName = f"PHANTOM^{alias[:8].upper()}"
    ds.PatientID = alias
    ds.PatientBirthDate = ""
    ds.PatientSex = film.sex
    ds.PatientAge = f"{film.age_years:03d}Y"
    ds.BodyPartExamined = "CHEST"
    ds.ViewPosition = film.view
    # Half of the capture files leave it empty, as SIIM's do; PS3.3 C.7.6.1.1.1.
    known = kind.modality == "DX" or int(alias[0], 16) < 8
    ds.PatientOrientation = ["L", "F"] if known else ""
    ds.BurnedInAnnotation = "YES"
    ds.ImageComments = "Synthetic film for demos and tests. Not a patient."
    ds.ImagerPixelSpacing = [f"{mm:.5f}" for mm in film.spacing_mm]
    if kind.modality == "DX":
        ds.PresentationIntentType = "FOR PRESENTATION"
        ds.ImageLaterality = "U"
        ds.PixelIntensityRelationship = "LOG"
        ds.PixelIntensityRelationshipSign = 1
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
        ds.PresentationLUTShape = "INVERSE" if kind.inverted else "IDENTITY"
    return ds


def _set_pixels(ds: Dataset, pixels: NDArray[np.float32], kind: Kind) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if kind.inverted else "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = 8 if kind.bits == 8 else 16
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = kind.bits, kind.bits - 1, 0
    stored = _stored(ds, pixels, kind)
    if kind.transfer_syntax == JPEGBaseline8Bit:
        _, jpeg = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        ds.LossyImageCompression = "01"
        ds.LossyImageCompressionRatio = f"{stored.nbytes / jpeg.nbytes:.2f}"
        ds.LossyImageCompressionMethod = "ISO_10918_1"
        ds.PixelData = encapsulate([jpeg.tobytes()])
        ds["PixelData"].VR = "OB"
    elif kind.transfer_syntax == JPEG2000Lossless:
        stream = imagecodecs.jpeg2k_encode(
            stored, level=0, reversible=True, codecformat="j2k", bitspersample=kind.bits
        )
        ds.PixelData = encapsulate([bytes(stream)])
        ds["PixelData"].VR = "OB"
    elif kind.transfer_syntax == ExplicitVRLittleEndian:
        ds.PixelData = stored.astype("<u2").tobytes()
        ds["PixelData"].VR = "OW"
    else:
        ds.compress(kind.transfer_syntax, stored, generate_instance_uid=False)


def _stored(ds: Dataset, pixels: NDArray[np.float32], kind: Kind) -> NDArray[np.unsignedinteger]:
    """The stored values; where they do not fill their range, the window that does (PS3.3 C.11.2.1.2.1)."""
    top = 2**kind.bits - 1
    low, high = 0, top
    if kind.bits > 8:
        low, high = round(top * _MARGIN), round(top * (1 - _MARGIN))
        ds.WindowCenter, ds.WindowWidth = str((low + high + 1) / 2), str(high - low + 1)
    shown = 1 - pixels if kind.inverted else pixels
    values = np.round(low + shown * np.float32(high - low))
    return values.astype(np.uint8 if kind.bits == 8 else np.uint16)
