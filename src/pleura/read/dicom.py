"""DICOM films: bytes -> `Radiograph`."""

import re
import zlib
from io import BytesIO
from typing import Literal

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)
from pydicom.valuerep import STANDARD_VR

from pleura.errors import DecodeError, NoImage, UnrecognisedFormat, UnsupportedFilm
from pleura.radiograph import Radiograph
from pleura.read import facts
from pleura.read.colour import luminance
from pleura.read.dicom_pixels import Samples, complete_description, decode
from pleura.read.display import render
from pleura.read.loss import complete_compression
from pleura.read.posture import posture_doubt
from pleura.read.quiet import quiet
from pleura.read.salvage import salvaged
from pleura.read.source import DEFAULT_LIMITS, Limits, Source, load, name_of, named
from pleura.read.values import integer, text, texts

MODALITIES = frozenset({"CR", "DX", "DR", "RG", "RF", "XR", "XC", "SC", "OT", "HC"})
"""Modalities under which films are stored, also scanned, captured and retired ones.

Others (CT, MR, US, MG, XA, PX, ...) are refused, even if they hold a single grey image.
"""

FOR_DISPLAY = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)
"""The SOP classes of films that archives are asked for, and may send."""

RESULTS_OF = "pleura"
"""Manufacturer of the DICOM objects that findings are written as: they come back, and are no films."""
_SOP_CLASSES = frozenset(
    {
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
        SecondaryCaptureImageStorage,
        *(f"1.2.840.10008.5.1.4.1.1.7.{n}" for n in (1, 2, 3, 4)),  # multi-frame secondary captures
    }
)
_DEFLATED = re.compile(  # Transfer Syntax UID, explicit or (against the rules) implicit VR
    rb"\x02\0\x10\0(UI..|....)" + re.escape(DeflatedExplicitVRLittleEndian.encode()), re.DOTALL
)
_SUBTRACTED = re.compile(
    r"(dual|two|multi).?energ.*(subtract|soft|tissue|bone)|(soft|tissue|bone).*(dual|two).?energ"
    r"|energy.?subtract|(bone|rib).?suppress",
    re.IGNORECASE,
)
_NOT_SUBTRACTED = re.compile(
    r"(?<![a-z])(no|non|not|without|w/o)[ _-]+(dual.?energy[ _-]*)?"
    r"((bone|rib|energy).?)?(suppress|subtract)[a-z]*"
    r"|(suppress|subtract)[a-z]*[ _:=-]+(off|no|none)(?![a-z])",
    re.IGNORECASE,
)
_SUBTRACTED_TYPES = re.compile(
    r"dual.?energy|energy.?subtract|subtract(ed|ion)?|(de.?)?(bone|soft.?tissue)", re.IGNORECASE
)


def is_dicom(head: bytes) -> bool:
    """Whether a file that starts with `head` (132 bytes are enough) is DICOM (PS3.10 7.1).

    A file without the preamble counts where it starts with a plausible element of group 0002 or 0008, in
    either byte order, with explicit or implicit VR.
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8:
        return False
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        group, element = (int.from_bytes(head[i : i + 2], order) for i in (0, 2))
        if group not in (0x0002, 0x0008) or element > 0x2000:
            continue
        length = int.from_bytes(head[4:8], order)
        if head[4:6].decode("latin-1") in STANDARD_VR or length <= 1024:
            return True
    return False


def read_dicom(source: Source, *, limits: Limits = DEFAULT_LIMITS) -> Radiograph:
    """One film from a DICOM file.

    Args:
        source: a path, the file's bytes, or a binary stream.
        limits: on bytes and pixels, checked before decoding.

    Returns:
        The film as its header wants it displayed: Modality LUT, VOI LUT or window (the first of several;
        without any, 8-bit films as they are and deeper ones from their least to their largest
        value), inversion; `notes` tell which.

    Raises:
        UnrecognisedFormat: it is not DICOM.
        DecodeError: it is damaged, or its decoder is not installed.
        UnsupportedFilm: it is not a single film for display.
        FilmTooLarge: it is beyond `limits`.
        ReadError: it cannot be opened.
    """
    with named(source), quiet():
        data = load(source, limits)
        if not is_dicom(data[:132]):
            raise UnrecognisedFormat("is not DICOM; use `read`, which goes by the content")
        return radiograph(data, name_of(source), limits)


def radiograph(data: bytes, source: str, limits: Limits) -> Radiograph:
    """`read_dicom` for bytes that are known to be DICOM; errors do not name the film."""
    notes: list[str] = []
    ds, samples = decoded(data, limits, notes)
    return film_of(ds, samples, source, notes)


def decoded(data: bytes, limits: Limits, notes: list[str]) -> tuple[pydicom.FileDataset, Samples]:
    """The header of a film, checked and completed, and its samples as they were stored."""
    ds = _parse(data, limits, notes)
    _refuse_what_is_no_film(ds)
    complete_description(ds, notes)
    samples = decode(ds, limits, notes)
    complete_compression(ds)
    return ds, samples


def film_of(ds: pydicom.FileDataset, samples: Samples, source: str, notes: list[str]) -> Radiograph:
    """The film of a header and samples that `decoded` gave; the header loses its pixel data."""
    pixels = _to_grey(samples, ds, notes)
    shape = pixels.shape[0], pixels.shape[1]
    found = facts.spacing(ds, shape, notes)
    side, side_basis = facts.image_left(ds, notes)
    view, age = facts.view(ds, notes), facts.age_years(ds, notes)
    return Radiograph(
        pixels=np.ascontiguousarray(pixels),
        source_bits=int(ds.BitsStored),
        source_format="dicom",
        source=source,
        spacing_mm=found.mm,
        spacing_basis=found.basis,
        spacing_source=found.source,
        image_left=side,
        side_basis=side_basis,
        patient_orientation=facts.orientation(ds),
        view=view,
        patient_id=text(ds, "PatientID"),
        sop_instance_uid=text(ds, "SOPInstanceUID"),
        study_instance_uid=text(ds, "StudyInstanceUID"),
        series_instance_uid=text(ds, "SeriesInstanceUID"),
        sex=facts.sex(ds),
        age_years=age,
        modality=text(ds, "Modality"),
        body_part=text(ds, "BodyPartExamined"),
        posture_doubt=posture_doubt(ds),
        notes=tuple(notes),
        header=_without_pixels(ds),
    )


def _parse(data: bytes, limits: Limits, notes: list[str]) -> pydicom.FileDataset:
    _bound_inflation(data, limits)
    try:
        ds = pydicom.dcmread(BytesIO(data), force=True)
        if len(ds):
            return ds
    except Exception:  # as below
        pass
    try:  # as pydicom gives up the whole header where something behind the pixels is wrong
        return salvaged(data, notes)
    except (
        Exception
    ) as error:  # pydicom raises what its parsers raise; their words may quote values
        raise DecodeError(
            f"its header cannot be parsed ({type(error).__name__}); the file is damaged or cut short"
        ) from None


def _bound_inflation(data: bytes, limits: Limits) -> None:
    """Measures a deflated data set piece by piece, so that none inflates beyond the limit."""
    if not _DEFLATED.search(data, 128, 4096):
        return
    if data[132:138] != b"\x02\0\0\0UL":
        raise DecodeError("its deflated data set has no File Meta Information Group Length")
    rest = data[144 + int.from_bytes(data[140:144], "little") :]
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        while rest and not inflater.eof:
            size += len(inflater.decompress(rest, 1 << 22))
            limits.check_bytes(size, "its inflated data set")
            rest = inflater.unconsumed_tail
    except zlib.error:
        raise DecodeError("its deflated data set is damaged or cut short") from None


def _refuse_what_is_no_film(ds: Dataset) -> None:
    kind = _kind(ds)
    if "PixelData" not in ds:
        if integer(ds, "Rows") or not _SOP_CLASSES.isdisjoint(_sop_classes(ds)):
            raise DecodeError("its header promises an image but no pixels follow; it is cut short")
        if not _sop_classes(ds):
            raise DecodeError("it does not say what it holds; the file is damaged or cut short")
        raise NoImage(f"it holds no image ({kind}); give the image object itself")
    modality = text(ds, "Modality")
    sop_class = text(ds, "SOPClassUID")
    if text(ds, "Manufacturer") == RESULTS_OF:
        raise NoImage("it is a finding of pleura, not a film; give the film it was made from")
    if modality is not None and modality.upper() not in MODALITIES:
        raise UnsupportedFilm(f"it is no radiograph: its Modality is {modality[:16]!r} ({kind})")
    if modality is None and sop_class is not None and sop_class not in _SOP_CLASSES:
        raise UnsupportedFilm(f"it is no radiograph: it is {kind}")
    frames = integer(ds, "NumberOfFrames")
    if frames is not None and frames > 1:
        raise UnsupportedFilm(f"it has {frames} frames; give single films")
    if (
        text(ds, "PresentationIntentType") == "FOR PROCESSING"
        or sop_class == DigitalXRayImageStorageForProcessing
    ):
        raise UnsupportedFilm(
            "it is FOR PROCESSING, so its grey levels are not for display; "
            "give the FOR PRESENTATION object of the same exposure"
        )
    if _is_subtracted(ds):
        raise UnsupportedFilm(
            "it is a dual-energy or bone-suppressed image; give the standard film of the exposure"
        )


def _sop_classes(ds: Dataset) -> list[str]:
    """By the header, and by the file meta information, which comes first and so is cut short last."""
    meta = getattr(ds, "file_meta", None) or Dataset()
    found = text(ds, "SOPClassUID"), text(meta, "MediaStorageSOPClassUID")
    return [one for one in found if one is not None]


def _kind(ds: Dataset) -> str:
    """The name of the SOP class, if pydicom knows it."""
    uid = next(iter(_sop_classes(ds)), None)
    known = UID(uid).name if uid else ""
    return known if known and known != uid else "of an unknown SOP class"


def _is_subtracted(ds: Dataset) -> bool:
    """Whether one of two energies was subtracted, or the bones were. There is no attribute for it.

    Makers say so in the free values of Image Type (PS3.3 C.8.11.3.1.1) or in words.
    """
    if any(_SUBTRACTED_TYPES.fullmatch(one.replace("_", " ")) for one in texts(ds, "ImageType")):
        return True
    keywords = (
        "AcquisitionDeviceProcessingDescription",
        "DerivationDescription",
        "SeriesDescription",
    )
    return any(
        _SUBTRACTED.search(_NOT_SUBTRACTED.sub("", text(ds, keyword) or "")) for keyword in keywords
    )


def _to_grey(
    samples: NDArray[np.uint8] | NDArray[np.uint16], ds: Dataset, notes: list[str]
) -> NDArray[np.float32]:
    if text(ds, "PhotometricInterpretation") == "PALETTE COLOR":
        samples = apply_color_lut(samples, ds)
    if samples.ndim == 2:
        return render(samples, ds, notes)
    is_palette = text(ds, "PhotometricInterpretation") == "PALETTE COLOR"
    peak = np.iinfo(samples.dtype).max if is_palette else 2 ** int(ds.BitsStored) - 1
    grey = luminance(samples, int(peak))
    notes.append("A grey film stored in colour; its luminance is taken.")
    return grey


def _without_pixels(ds: pydicom.FileDataset) -> Dataset:
    """The header alone; a FileDataset would keep the whole file alive."""
    del ds.PixelData
    ds.buffer = None
    return ds
