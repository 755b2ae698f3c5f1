"""A film without anything that tells whose it is, before it is kept.

An allow-list: what is listed here is kept or replaced, and everything else is left out, whatever it is
called: names, dates, texts, private elements, sequences, overlays, the preamble, what stands behind the data
set. The pixels are decoded and written anew, so that no comment inside a JPEG and no plane hidden in unused
bits goes along. That is more than the Basic Profile of PS3.15 E asks for, and the same film gives the same
file each time.

What is burned into the pixels stays. Nobody should take such films for anonymous without looking at them.
"""

import hashlib
import hmac
import re
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from pleura.errors import UnrecognisedFormat
from pleura.read import Limits, dicom, image, is_dicom
from pleura.read.display import bits_stored, is_inverse, padding_of, stored_values
from pleura.read.facts import VIEW_CODES, view
from pleura.read.posture import posture_doubt
from pleura.read.source import NO_FILM, load
from pleura.read.values import integer, item, number, numbers, text, texts

METHOD = "pleura: allow-list of elements, pixels written anew, keyed UIDs"

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_EMPTY = (  # type 2: there, but empty
    "PatientName", "PatientBirthDate", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "SeriesNumber", "InstanceNumber", "Manufacturer",
)  # fmt: skip
_NUMBERS = (
    "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing",
    "EstimatedRadiographicMagnificationFactor", "WindowCenter", "WindowWidth", "RescaleSlope",
    "RescaleIntercept",
)  # fmt: skip
_WORDS: dict[str, re.Pattern[str]] = {
    "Modality": re.compile("|".join(sorted(dicom.MODALITIES))),
    "ViewPosition": re.compile(
        "(PA|AP)( (ERECT|NOT ERECT|UPRIGHT|STANDING|SITTING|SUPINE|PRONE|PORTABLE|MOBILE))?"
        "|LL|RL|LLD|RLD|RLO|LLO|LAT|LATERAL"
    ),
    "PatientOrientation": re.compile("[ALRPHF]{1,3}"),
    "BodyPartExamined": re.compile("CHEST|THORAX|LUNG"),
    "ImageLaterality": re.compile("[RLUB]"),
    "PatientSex": re.compile("[MFO]"),
    "PresentationIntentType": re.compile("FOR PRESENTATION"),
    "PresentationLUTShape": re.compile("IDENTITY|INVERSE"),
    "PixelSpacingCalibrationType": re.compile("GEOMETRY|FIDUCIAL"),
    "VOILUTFunction": re.compile("LINEAR|LINEAR_EXACT|SIGMOID"),
    "BurnedInAnnotation": re.compile("YES|NO"),
    "ImageType": re.compile("ORIGINAL|DERIVED|PRIMARY|SECONDARY"),
    "LossyImageCompression": re.compile("00|01"),
}
_AGE = re.compile(r"(\d{3})([DWMY])")
_OLDEST = 89  # HIPAA, 45 CFR 164.514(b)(2)(i)(C): older ages are one


def deidentified(source: Path, key: bytes, limits: Limits) -> bytes:
    """The file of the same film without what tells whose it is.

    Args:
        source: DICOM, PNG, JPEG, WebP or TIFF.
        key: by which ids are replaced; who does not have it cannot guess what they were, and films of one
            patient and study stay together.
        limits: on bytes and pixels.

    Returns:
        A DICOM file, or a PNG where the source is an image.

    Raises:
        ReadError: it cannot be read, so that nobody knows what it holds.
    """
    data = load(source, limits)
    kind = image.format_of(data[:16])
    if kind is not None and data[128:132] != b"DICM":
        film = image.radiograph(data, kind, "", limits)
        deep = film.source_bits > 8
        levels = np.rint(film.pixels * np.float32(65535 if deep else 255))
        return cv2.imencode(".png", levels.astype(np.uint16 if deep else np.uint8))[1].tobytes()
    if not is_dicom(data[:132]):
        raise UnrecognisedFormat(NO_FILM)
    return _dicom(data, key, limits)


def keyed(key: bytes, value: str) -> str:
    """What stands for an id: always the same, and nothing can be told from it."""
    return hmac.new(key, value.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _dicom(data: bytes, key: bytes, limits: Limits) -> bytes:
    notes: list[str] = []
    source, samples = dicom.decoded(data, limits, notes)
    ds = Dataset()
    sop_class = UID(text(source, "SOPClassUID") or "")
    ds.SOPClassUID = sop_class if sop_class.name != sop_class else SecondaryCaptureImageStorage
    for keyword in _UIDS:
        setattr(ds, keyword, _uid(key, text(source, keyword) or f"{keyword} of {_digest(data)}"))
    for keyword in _EMPTY:
        setattr(ds, keyword, "")
    patient = text(source, "PatientID")
    ds.PatientID = keyed(key, f"patient {patient}")[:16] if patient else ""
    _keep_words(source, ds)
    _keep_luts(source, ds)
    _keep_age(source, ds)
    if samples.ndim == 2 and text(source, "PhotometricInterpretation") != "PALETTE COLOR":
        _keep_samples(source, ds, samples)
    else:  # colour is drawn as it would be shown
        film = dicom.film_of(source, samples, "", notes)
        _set_samples(ds, np.rint(film.pixels * 255).astype(np.uint8), 8, signed=False)
        ds.PhotometricInterpretation = "MONOCHROME2"
        for keyword in ("PresentationLUTShape", "WindowCenter", "WindowWidth"):
            if keyword in ds:
                delattr(ds, keyword)
    ds.PatientIdentityRemoved, ds.DeidentificationMethod = "YES", METHOD
    return _written(ds)


def _keep_words(source: Dataset, ds: Dataset) -> None:
    """Numbers, and the words that the standard has for an attribute; anything else might be a name."""
    for keyword in _NUMBERS:
        values = numbers(source, keyword) or [
            one for one in (number(source, keyword),) if one is not None
        ]
        if values:
            kept = [f"{one:.10g}" for one in values]
            setattr(ds, keyword, kept if len(kept) > 1 else kept[0])
    for keyword, known in _WORDS.items():
        words = [one for one in texts(source, keyword) if known.fullmatch(one.upper())]
        if words and (keyword != "PatientOrientation" or len(words) == 2):
            setattr(ds, keyword, words if len(words) > 1 else words[0])
    given = item(source, "ViewCodeSequence")
    value = text(given, "CodeValue") if given is not None else None
    if value is not None and value in VIEW_CODES:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator = value, "SCT" if value.isdecimal() else "SRT"
        ds.ViewCodeSequence = [code]
    if view(ds, []) == "PA" and posture_doubt(source) and not posture_doubt(ds):
        ds.ViewPosition = "PA NOT ERECT"  # what was said of it might name somebody


def _keep_luts(source: Dataset, ds: Dataset) -> None:
    for keyword in ("ModalityLUTSequence", "VOILUTSequence"):
        lut = item(source, keyword)
        if lut is None or "LUTDescriptor" not in lut or "LUTData" not in lut:
            continue
        kept = Dataset()
        kept["LUTDescriptor"], kept["LUTData"] = lut["LUTDescriptor"], lut["LUTData"]
        words = lut["LUTData"].value
        if (
            isinstance(words, bytes) and source.original_encoding[1] is False
        ):  # they were big-endian
            kept.LUTData = (
                np.frombuffer(words[: len(words) // 2 * 2], ">u2").astype("<u2").tobytes()
            )
        if keyword == "ModalityLUTSequence":
            kept.ModalityLUTType = "US"
        setattr(ds, keyword, [kept])


def _keep_age(source: Dataset, ds: Dataset) -> None:
    found = _AGE.fullmatch((text(source, "PatientAge") or "").upper())
    if found:
        old = found[2] == "Y" and int(found[1]) > _OLDEST
        ds.PatientAge = f"{_OLDEST + 1:03d}Y" if old else found[0]


def _keep_samples(
    source: Dataset, ds: Dataset, samples: NDArray[np.uint8] | NDArray[np.uint16]
) -> None:
    """The stored values alone: the bits around them may hold an overlay's writing."""
    bits = bits_stored(source)
    stored = stored_values(samples.dtype, source)
    values = np.take(stored, samples, mode="clip")
    signed = integer(source, "PixelRepresentation") == 1
    deep = bits > 8
    dtype = {(False, False): "u1", (True, False): "<u2", (False, True): "i1", (True, True): "<i2"}
    _set_samples(ds, values.astype(dtype[deep, signed]), bits, signed=signed)
    padding = stored[padding_of(stored, source, [])]
    if padding.size:  # a header may name what no pixel can be
        ds.PixelPaddingValue, ds.PixelPaddingRangeLimit = int(padding.min()), int(padding.max())
    inverse = is_inverse(source, [])
    ds.PhotometricInterpretation = "MONOCHROME1" if inverse else "MONOCHROME2"


def _set_samples(ds: Dataset, samples: NDArray[np.generic], bits: int, *, signed: bool) -> None:
    ds.Rows, ds.Columns = samples.shape
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, int(signed)
    ds.BitsAllocated = 8 * samples.dtype.itemsize
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.PixelData = samples.tobytes() + b"\0" * (samples.nbytes % 2)
    ds["PixelData"].VR = "OW" if samples.dtype.itemsize == 2 else "OB"


def _written(ds: Dataset) -> bytes:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        if keyword in ds:
            ds[keyword].VR = "SS" if ds.PixelRepresentation else "US"
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _uid(key: bytes, value: str) -> str:
    """A UID made of a UUID (PS3.5 B.2)."""
    return f"2.25.{int(keyed(key, value)[:32], 16)}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
