"""One case -> its image and mask on disk and its row of the manifest."""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.corpora.case import Case
from pleura.data.duplicates import thumbnail
from pleura.data.manifest import Film, PatientBasis, mask_sha256
from pleura.errors import CorpusError, DatasetError, PleuraError
from pleura.files import write_bytes
from pleura.radiograph import Radiograph, SpacingBasis, spacing_is_plausible
from pleura.read import decode_rle, encode_rle, read

_log = logging.getLogger(__name__)

# Measured on 40 real films of 1024²: Huffman coding of row differences takes 8.1 ms and 389 kB a film and
# is read again in 4.7 ms; OpenCV's default takes 10.5 ms, 411 kB and 6.2 ms; zlib level 1 takes 20 ms.
_PNG_FILM = (
    cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP,
)  # fmt: skip
# For masks no filter and level 1: 6 kB, read in 1.2 ms where the default takes 8.6.
_PNG_MASK = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)
_EIGHT_BIT = 1e-4  # grey levels that pixels * 255 may be off a whole number


@dataclass(frozen=True)
class Converted:
    """What one case became.

    Attributes:
        film: its row of the manifest, or None where it could not be prepared.
        annotations: its annotation rows, as run lengths on the source matrix; `-1` is an empty one.
        sizes: bytes of the files written, by their path relative to the dataset.
        reason: why there is no film.
    """

    film: Film | None
    annotations: tuple[str, ...] = ()
    sizes: tuple[tuple[str, int], ...] = ()
    reason: str = ""


def convert(case: Case, film_id: str, out: Path, size: int | None, channels: int = 1) -> Converted:
    """Reads one case, writes its image and mask under `out`, and describes it.

    Whatever is wrong with the case ends in `reason`, so that one bad file never stops the rest.

    Raises:
        DatasetError: `out` cannot be written to.
    """
    try:
        film = read(case.file)
        mask = _mask(case, film.shape)
        _check_label(case, mask)
        whole = quantised(film.pixels)
        stored = reduced(whole, size)
        row, annotations = _describe(case, film_id, film, whole, mask)
        row = replace(row, stored_rows=stored.shape[0], stored_columns=stored.shape[1])
    except DatasetError:
        raise
    except (PleuraError, OSError) as error:
        return Converted(None, reason=str(error))
    except Exception as error:  # a fault of ours or of a decoder: name it and go on with the rest
        _log.exception("%s could not be prepared", case.file)
        return Converted(None, reason=f"unexpected {type(error).__name__}: {error}")
    if channels > 1:  # equal ones
        stored = np.repeat(stored[:, :, None], channels, axis=2)
    sizes = [(row.image, _write(out / row.image, stored, _PNG_FILM))]
    if row.mask is not None and mask is not None:
        levels = mask.astype(np.uint8) * np.uint8(255)
        sizes.append((row.mask, _write(out / row.mask, levels, _PNG_MASK)))
    return Converted(row, annotations, tuple(sizes))


def quantised(pixels: NDArray[np.float32]) -> NDArray[Any]:
    """Float32 pixels in [0, 1] as uint8 where that loses nothing, else as uint16; full scale is 1."""
    eight = cv2.convertScaleAbs(pixels, alpha=255.0)  # rounds
    back = eight.astype(np.float32)
    back *= np.float32(1 / 255)
    if cv2.norm(pixels, back, cv2.NORM_INF) * 255 <= _EIGHT_BIT:
        return np.asarray(eight)
    return np.asarray(np.rint(pixels * np.float32(65535)), dtype=np.uint16)


def pixel_sha256(stored: NDArray[Any]) -> str:
    """A hash of the shape, depth and grey levels of `quantised` pixels, hex."""
    head = f"{stored.shape[0]}x{stored.shape[1]}:{stored.dtype.itemsize * 8}:"
    return hashlib.sha256(head.encode() + np.ascontiguousarray(stored).data).hexdigest()


def reduced(stored: NDArray[Any], size: int | None) -> NDArray[Any]:
    """The pixels with their longer side at `size` by area averaging; never enlarged, aspect kept."""
    longest = max(stored.shape)
    if size is None or longest <= size:
        return stored
    rows, columns = (max(1, round(n * size / longest)) for n in stored.shape)
    return np.asarray(cv2.resize(stored, (columns, rows), interpolation=cv2.INTER_AREA))


def binary(pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """A mask from the grey levels of its image, float32 (H, W) in [0, 1].

    Levels 0 and 1 (of 8 or 16 bit) are background and target. Everything else is split in the middle:
    above 127 of 255 is target, as a mask blurred by JPEG needs.

    Raises:
        CorpusError: the brightest level lies between, as in a map of several labels.
    """
    top = float(pixels.max())
    if top * 255 <= 1.001:
        return np.asarray(pixels > 0)
    if top * 255 < 127.5:
        raise CorpusError(
            f"the mask's brightest level is {top * 255:.0f} of 255: neither 0/1 nor 0/255; is it a map "
            "of several labels? Write the target alone as 0 and 255"
        )
    return np.asarray(pixels * 255 > 127.5)


def fitted(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask on a matrix of `shape` by nearest neighbour, where it is the same picture at another size.

    Raises:
        CorpusError: the sides are not in the same proportion (to a pixel's rounding).
    """
    if mask.shape == shape:
        return mask
    rows, columns = mask.shape
    # One side scales exactly; the other may be a pixel off, from the rounding of whoever resized it.
    scale = rows / shape[0]
    if abs(columns - shape[1] * scale) > max(1.0, scale):
        raise CorpusError(
            f"the mask is {rows}x{columns} and the film {shape[0]}x{shape[1]}: another aspect, so they "
            "are not the same picture"
        )
    levels = mask.astype(np.uint8)
    return cv2.resize(levels, shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT).astype(np.bool_)


def _mask(case: Case, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """The case's mask on the source matrix; None where it has none."""
    if case.label_quality == "none":
        return None
    if case.annotations:
        mask = np.zeros(shape, dtype=np.bool_)
        for text in case.annotations:
            mask |= decode_rle(text, shape)
        return mask
    if case.mask_file is None:
        return np.zeros(shape, dtype=np.bool_) if case.label == 0 else None
    try:
        return fitted(binary(read(case.mask_file).pixels), shape)
    except (PleuraError, OSError) as error:
        raise CorpusError(f"mask {case.mask_file.name}: {error}") from error


def _check_label(case: Case, mask: NDArray[np.bool_] | None) -> None:
    if case.label == 1 and mask is None and case.label_quality != "none":
        raise CorpusError(
            "positive by the table, but there is no mask; give its mask or its label up"
        )
    if mask is not None and case.label is not None and bool(mask.any()) != bool(case.label):
        words = "positive by the table, but its mask is empty"
        if case.label == 0:
            words = f"negative by the table, but its mask has {int(mask.sum())} pixels"
        raise CorpusError(f"{words}; correct one of them")


def _describe(
    case: Case,
    film_id: str,
    film: Radiograph,
    whole: NDArray[Any],
    mask: NDArray[np.bool_] | None,
) -> tuple[Film, tuple[str, ...]]:
    area = None if mask is None else int(mask.sum())
    annotations = case.annotations if mask is not None else ()
    if mask is not None and not annotations:
        annotations = (encode_rle(mask),)
    patient_id, patient_basis = _patient(case, film_id, film)
    spacing, basis = _spacing(case, film)
    fixed = case.corrections
    headers = {"modality": film.modality, "body_part": film.body_part}
    row = Film(
        film_id=film_id,
        corpus=case.corpus,
        source_path=case.path,
        label_quality=case.label_quality,
        label=None if area is None else int(area > 0),
        patient_id=patient_id,
        patient_basis=patient_basis,
        rows=film.shape[0],
        columns=film.shape[1],
        stored_rows=film.shape[0],
        stored_columns=film.shape[1],
        bits=film.source_bits,
        pixel_sha256=pixel_sha256(whole),
        thumbnail=thumbnail(film.pixels),
        image=f"images/{film_id}.png",
        mask=f"masks/{film_id}.png" if area else None,
        mask_sha256=mask_sha256(mask) if mask is not None and area else None,
        mask_area_px=area,
        mask_area_fraction=None if area is None else area / film.pixels.size,
        annotations=sum(text.strip() != "-1" for text in annotations),
        view=fixed.view or film.view,
        sex=fixed.sex or film.sex,
        age_years=film.age_years if fixed.age_years is None else fixed.age_years,
        row_spacing_mm=spacing[0] if spacing else None,
        column_spacing_mm=spacing[1] if spacing else None,
        spacing_basis=basis,
        sop_instance_uid=film.sop_instance_uid,
        image_left=film.image_left,
        side_basis=film.side_basis,
        facts={**{name: text for name, text in headers.items() if text}, **case.facts},
    )
    return row, annotations


def _patient(case: Case, film_id: str, film: Radiograph) -> tuple[str, PatientBasis]:
    if case.patient_id:
        return case.patient_prefix + case.patient_id, "table"
    if case.patient_from_header and film.patient_id:
        return case.patient_prefix + film.patient_id, "header"
    return f"film-{film_id}", "film"


def _spacing(case: Case, film: Radiograph) -> tuple[tuple[float, float] | None, SpacingBasis]:
    """The film's spacing, a table's before the header's.

    A table's is in the plane of the detector: nobody corrects those for magnification.
    """
    spacing = case.corrections.spacing_mm
    if case.corrections.field_mm is not None:
        height_mm, width_mm = case.corrections.field_mm
        spacing = (height_mm / film.shape[0], width_mm / film.shape[1])
    if spacing is None:
        return film.spacing_mm, film.spacing_basis
    return spacing, "detector" if spacing_is_plausible(film.shape, spacing) else "implausible"


def _write(path: Path, levels: NDArray[Any], options: tuple[int, ...]) -> int:
    """Writes a PNG whole or not at all; returns its size in bytes."""
    done, data = cv2.imencode(".png", levels, options)
    if not done:
        raise DatasetError(f"{path} cannot be encoded as PNG ({levels.dtype} {levels.shape})")
    try:
        write_bytes(path, data.data)
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be written ({error.strerror}); see to the space and rights of the folder, "
            "then run the same command again: it goes on where it stopped"
        ) from error
    return int(data.size)
