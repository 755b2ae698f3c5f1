"""Tiny corpora for the tests of preparing: smooth random films as DICOM or PNG, with masks and tables."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid


def film(seed: int, rows: int = 40, columns: int = 48) -> NDArray[np.uint8]:
    """A smooth random picture that uses all of 0 to 255; other seeds look nothing alike."""
    coarse = np.random.default_rng(seed).random((5, 5)).astype(np.float32)
    smooth = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    low, high = smooth.min(), smooth.max()
    return np.rint((smooth - low) / (high - low) * 255).astype(np.uint8)


def write_dicom(path: Path, pixels: NDArray[np.uint8], **elements: object) -> None:
    """An uncompressed 8-bit MONOCHROME2 Secondary Capture whose window shows the pixels as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = (
        SecondaryCaptureImageStorage,
        generate_uid(None, [path.stem]),
    )
    ds.Modality, ds.PatientID = "CR", f"random-{path.stem}"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = pixels.tobytes()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.save_as(path, enforce_file_format=True)


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def write_siim(root: Path, films: dict[str, NDArray[np.uint8]], rle: str, /, **tables: str) -> Path:
    """The SIIM layout: `films` by ImageId, the text of train-rle.csv, further tables by stem."""
    root.mkdir(parents=True, exist_ok=True)
    for number, (image_id, pixels) in enumerate(films.items()):
        write_dicom(root / f"dicom-images-train/study{number}/series/{image_id}.dcm", pixels)
    for name, text in {"train-rle": rle, **tables}.items():
        (root / f"{name}.csv").write_text(text, encoding="utf-8")
    return root
