"""Files that end too early, or do not end where they should."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from pleura.errors import DecodeError
from pleura.read import read

MakeDicom = Callable[..., bytes]
SAMPLES = np.arange(60 * 50, dtype=np.uint16).reshape(60, 50)
COMPRESSED = [JPEGBaseline8Bit, RLELossless, JPEGLSLossless, JPEG2000Lossless]
PLAIN = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
NOTE = "What should follow the pixels in the file is damaged or missing, and was left out."


def file_of(make_dicom: MakeDicom, syntax: UID) -> bytes:
    """A film; a compressed one is one fragment, and ends with the 8 bytes of the sequence's end."""
    if syntax == JPEGBaseline8Bit:
        grey = (SAMPLES // 16).astype(np.uint8)
        frame = cv2.imencode(".jpg", grey)[1].tobytes()
        return make_dicom(grey, syntax=syntax, frame=frame)
    if syntax not in COMPRESSED:
        return make_dicom(SAMPLES, bits=12, syntax=syntax)
    ds = pydicom.dcmread(io.BytesIO(make_dicom(SAMPLES, bits=12)))
    ds.compress(syntax, generate_instance_uid=False)
    buffer = io.BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda one: one.name)
@pytest.mark.parametrize("kept", [0.2, 0.5, -12])
def test_compressed_films_cut_short_are_damaged(
    make_dicom: MakeDicom, syntax: UID, kept: float
) -> None:
    data = file_of(make_dicom, syntax)
    size = kept if isinstance(kept, int) else round(kept * len(data))
    with pytest.raises(DecodeError, match="cut short"):
        read(data[:size])


def test_cut_within_the_header(make_dicom: MakeDicom) -> None:
    data = file_of(make_dicom, JPEGBaseline8Bit)
    first = data.index(b"\x08\x00\x16\x00")  # SOP Class UID, after the file meta information
    for size in range(first, data.index(b"\xe0\x7f\x10\x00"), 7):
        with pytest.raises(DecodeError):
            read(data[:size])


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda one: one.name)
@pytest.mark.parametrize("cut", [5, 8])
def test_whole_pixels_need_no_end_of_their_sequence(
    make_dicom: MakeDicom, syntax: UID, cut: int
) -> None:
    data = file_of(make_dicom, syntax)
    film = read(data[:-cut])
    np.testing.assert_array_equal(film.pixels, read(data).pixels)
    assert film.notes[0] == NOTE
    assert film.patient_id == "P1"


@pytest.mark.parametrize("syntax", [*COMPRESSED, *PLAIN], ids=lambda one: one.name)
@pytest.mark.parametrize("count", [8, 100])
def test_bytes_behind_the_pixels_are_left_out(
    make_dicom: MakeDicom, syntax: UID, count: int
) -> None:
    data = file_of(make_dicom, syntax)
    film = read(data + b"\xff" * count)
    np.testing.assert_array_equal(film.pixels, read(data).pixels)
    assert film.notes[0] == NOTE


def test_a_last_fragment_may_be_missing(make_dicom: MakeDicom) -> None:
    data = file_of(make_dicom, JPEGBaseline8Bit)
    ds = pydicom.dcmread(io.BytesIO(data))
    frame = pydicom.encaps.get_frame(ds.PixelData, 0, number_of_frames=1)
    ds.PixelData = pydicom.encaps.encapsulate([frame], fragments_per_frame=2)
    buffer = io.BytesIO()
    ds.save_as(buffer)
    whole = buffer.getvalue()
    np.testing.assert_array_equal(read(whole[:-8]).pixels, read(data).pixels)
    last = whole.rindex(b"\xfe\xff\x00\xe0")
    with pytest.raises(DecodeError, match="cut short"):
        read(whole[:last])


def test_plain_films_cut_short_beside_a_deflated_one(make_dicom: MakeDicom) -> None:
    for syntax in (*PLAIN, DeflatedExplicitVRLittleEndian):
        with pytest.raises(DecodeError, match="cut short"):
            read(file_of(make_dicom, syntax)[:-100])


def test_a_file_of_nothing_but_its_start_is_damaged() -> None:
    with pytest.raises(DecodeError, match="cut short"):
        read(b"\0" * 128 + b"DICM")
