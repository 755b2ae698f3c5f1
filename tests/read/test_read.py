"""What `read` takes, how it tells formats apart, and what it leaves alone."""

import io
import logging
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset

from pleura.errors import FilmTooLarge, ReadError, UnrecognisedFormat
from pleura.read import Limits, is_dicom, read, read_dicom
from pleura.read.quiet import quiet

MakeDicom = Callable[..., bytes]


@pytest.fixture
def data(make_dicom: MakeDicom) -> bytes:
    return make_dicom(np.arange(64, dtype=np.uint16).reshape(8, 8), bits=12)


def test_every_kind_of_source(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(data)
    with path.open("rb") as stream:
        from_stream = read(stream)
    films = [read(path), read(str(path)), read(data), read(io.BytesIO(data)), from_stream]
    for film in films:
        np.testing.assert_array_equal(film.pixels, films[0].pixels)
    assert [film.source for film in films] == [
        str(path),
        str(path),
        "<bytes>",
        "<stream>",
        str(path),
    ]


def test_the_content_decides_not_the_name(data: bytes, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (5, 4)).save(buffer, "PNG")
    for name, content, kind in [("a.png", data, "dicom"), ("b.dcm", buffer.getvalue(), "png")]:
        path = tmp_path / name
        path.write_bytes(content)
        assert read(path).source_format == kind


def test_a_preamble_may_be_a_tiff_header(data: bytes) -> None:
    assert read(b"II*\0" + data[4:]).source_format == "dicom"


def test_messages_name_the_film(tmp_path: Path) -> None:
    path = tmp_path / "page.dcm"
    path.write_text("<html></html>")
    with pytest.raises(UnrecognisedFormat) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_paths_that_are_no_film(tmp_path: Path) -> None:
    for path, says in [
        (tmp_path, "a directory"),
        (tmp_path / "none", "No such file"),
        ("a\0b", "path"),
    ]:
        with pytest.raises(ReadError, match=says):
            read(path)


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ReadError, match="no regular file"):
        read(pipe)


def test_streams_that_cannot_be_read(data: bytes) -> None:
    closed = io.BytesIO(data)
    closed.close()
    for stream in (closed, io.StringIO("text"), object()):
        with pytest.raises(ReadError):
            read(stream)  # type: ignore[arg-type]
    ended = io.BytesIO(data)
    read(ended)
    with pytest.raises(ReadError, match=r"^<stream>: has nothing to read.*seek\(0\)"):
        read(ended)
    for held in (Dataset(), np.zeros((200, 200)), None):
        with pytest.raises(ReadError, match=rf"^<{type(held).__name__}>: is no path.*BytesIO"):
            read(held)  # type: ignore[arg-type]


def test_byte_limit(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(data)
    limits = Limits(max_bytes=len(data))
    for source in (path, data, io.BytesIO(data)):
        assert read(source, limits=limits).shape == (8, 8)
    limits = Limits(max_bytes=len(data) - 1)
    for source in (path, data, io.BytesIO(data)):
        with pytest.raises(FilmTooLarge):
            read(source, limits=limits)


def test_is_dicom(make_dicom: MakeDicom, data: bytes) -> None:
    samples = np.zeros((2, 2), dtype=np.uint8)
    assert is_dicom(data[:132])
    assert is_dicom(make_dicom(samples, preamble=False)[:132])
    assert is_dicom(make_dicom(samples, meta=False)[:132])
    for other in (b"", b"\0" * 132, b"<html>", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x08\0"):
        assert not is_dicom(other)


def test_read_dicom_wants_dicom(data: bytes) -> None:
    assert read_dicom(data).shape == (8, 8)
    with pytest.raises(UnrecognisedFormat):
        read_dicom(b"\x89PNG\r\n\x1a\n")


def test_threads_restore_the_warning_filters() -> None:
    """The one that came in first goes out first, which `catch_warnings` alone would not survive."""
    before = list(warnings.filters)
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with quiet():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    with quiet():
        leave.set()
        thread.join(10)
        warnings.warn("still quiet", UserWarning, stacklevel=1)
    assert list(warnings.filters) == before
    assert not logging.getLogger("pydicom").filters


def test_nothing_is_warned_about_inside() -> None:
    with quiet():
        warnings.warn("about a value of the header", UserWarning, stacklevel=1)
        logging.getLogger("pydicom").warning("about a value of the header")
    with pytest.raises(UserWarning):
        warnings.warn("heard again", UserWarning, stacklevel=1)
