"""Whatever the bytes: a film or a named error, without warnings and without patient data."""

import io
import logging
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from pleura.errors import PleuraError, ReadError
from pleura.radiograph import Radiograph
from pleura.read import read

MakeDicom = Callable[..., bytes]
BUNDLED = Path(pydicom.__file__).parent / "data"


def bundled_files() -> list[Path]:
    found = [path for path in sorted(BUNDLED.rglob("*")) if path.is_file()]
    return [path for path in found if path.suffix not in (".py", ".pyc")]


def film_or_named_error(source: Path | bytes) -> Radiograph | ReadError:
    try:
        return read(source)
    except ReadError as error:
        return error


def test_pydicoms_own_odd_files() -> None:
    results = [film_or_named_error(path) for path in bundled_files()]
    films = [one for one in results if isinstance(one, Radiograph)]
    assert len(results) > 100
    assert len(films) > 15


def test_odd_files_as_films_agree_with_pydicom() -> None:
    """The same files declared to be CR, so that each decoder has its turn."""
    compared = 0
    for path in bundled_files():
        data, reference = as_plain_cr(path)
        if data is None:
            continue
        film = film_or_named_error(data)
        if reference is None or not isinstance(film, Radiograph) or reference.ndim != 2:
            continue
        low, high = float(reference.min()), float(reference.max())
        if film.source_bits <= 8:
            low, high = 0.0, 2.0**film.source_bits - 1
        want = (reference.astype(np.float64) - low) / max(high - low, 1.0)
        if film.header.PhotometricInterpretation == "MONOCHROME1":
            want = 1.0 - want
        np.testing.assert_allclose(film.pixels, want, atol=1e-6, err_msg=path.name)
        compared += 1
    assert compared > 30


def as_plain_cr(path: Path) -> tuple[bytes | None, np.ndarray | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(path, force=True)
            if "PixelData" not in ds or "Rows" not in ds:
                return None, None
            ds.Modality, ds.SOPClassUID = "CR", "1.2.840.10008.5.1.4.1.1.1"
            for keyword in (
                "WindowCenter",
                "RescaleSlope",
                "RescaleIntercept",
                "PixelPaddingValue",
            ):
                if keyword in ds:
                    delattr(ds, keyword)
            buffer = io.BytesIO()
            ds.save_as(buffer)
        except Exception:
            return None, None
        try:
            return buffer.getvalue(), ds.pixel_array
        except Exception:
            return buffer.getvalue(), None


@pytest.fixture(params=["plain", "deflated", "rle", "jpeg", "jpeg-ls", "jpeg2000", "png", "tiff"])
def whole_file(request: pytest.FixtureRequest, make_dicom: MakeDicom) -> bytes:
    """A valid file of each kind."""
    y, x = np.mgrid[:40, :36]
    deep = ((np.sin(x / 5) + np.cos(y / 7) + 2) * 1000).astype(np.uint16)
    grey = (deep // 16).astype(np.uint8)
    kind = request.param
    if kind in ("png", "tiff"):
        return cv2.imencode(f".{kind}", deep)[1].tobytes()
    if kind == "jpeg":
        frame = cv2.imencode(".jpg", grey)[1].tobytes()
        return make_dicom(grey, syntax=JPEGBaseline8Bit, frame=frame)
    if kind == "deflated":
        return make_dicom(deep, bits=12, syntax=DeflatedExplicitVRLittleEndian)
    plain = make_dicom(deep, bits=12)
    if kind == "plain":
        return plain
    ds = pydicom.dcmread(io.BytesIO(plain))
    syntaxes = {"rle": RLELossless, "jpeg-ls": JPEGLSLossless, "jpeg2000": JPEG2000Lossless}
    ds.compress(syntaxes[kind], generate_instance_uid=False)
    buffer = io.BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()


def damaged(data: bytes, rounds: int, seed: int) -> Iterator[bytes]:
    dice = random.Random(seed)
    for n in range(rounds):
        broken = bytearray(data)
        if n % 3 == 0:
            del broken[dice.randrange(len(broken)) :]
        for _ in range(dice.choice((1, 2, 5, 20))):
            if broken:
                broken[dice.randrange(len(broken))] = dice.choice((0, 255, dice.randrange(256)))
        yield bytes(broken)


def test_damaged_files(whole_file: bytes) -> None:
    assert isinstance(film_or_named_error(whole_file), Radiograph)
    for broken in damaged(whole_file, rounds=150, seed=20):
        film_or_named_error(broken)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"<html><body>404 Not Found</body></html>",
        b"PK\x03\x04" + b"\0" * 200,
        b"%PDF-1.7\n" + b"\0" * 200,
        b"\0" * 128 + b"DICM",
        b"\0" * 128 + b"DICM" + b"\xff" * 64,
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"RIFF\0\0\0\0WEBP",
        b"II*\0\x08\0\0\0",
        b"II*\0\x08\0\0\0" + b"\xff" * 100,
        b"\x08\0\x05\0CS\x0a\0ISO_IR 100",
        b"GIF89a" + b"\0" * 20,
        b"BM" + b"\0" * 60,
    ],
)
def test_what_is_no_film(data: bytes) -> None:
    with pytest.raises(ReadError):
        read(data)


def test_deeply_nested_sequences() -> None:
    nested = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 3000
    with pytest.raises(ReadError):
        read(b"\0" * 128 + b"DICM" + b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + nested)


def test_patient_data_stays_out_of_messages_and_logs(
    make_dicom: MakeDicom, caplog: pytest.LogCaptureFixture
) -> None:
    samples = np.zeros((8, 8), dtype=np.uint16)
    data = make_dicom(samples, PatientID="ID-771", PatientBirthDate="19340506", Modality="CT")
    spoilt = make_dicom(samples, PatientID="ID-771")
    spoilt = spoilt.replace(b"CS\x02\0CR", b"US\x02\0CR").replace(b"Secret^", b"Secre\xff\xfe")
    said = []
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as caught:
        for source in (data, spoilt, spoilt[:-60], spoilt[:300]):
            try:
                said += read(source).notes
            except PleuraError as error:
                said += [str(error), str(error.__cause__)]
    text = " ".join([*said, caplog.text, *(str(one.message) for one in caught)])
    assert not any(secret in text for secret in ("Secr", "ID-771", "19340506"))
