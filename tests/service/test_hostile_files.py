"""Files made to do harm, or merely broken: each gets a reason, and the service goes on."""

import io
import multiprocessing
import os
import signal
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames

from a_service import Served, png, zipped
from pleura.errors import DecodeError, FilmTooLarge, ReadError, UnrecognisedFormat
from pleura.service.decoding import Decoders
from pleura.service.zips import Member, ZipBounds, name_of, unpack

BOUNDS = ZipBounds(files=20, total_bytes=1 << 20, file_bytes=1 << 18, ratio=50)


def huge_png(side: int) -> bytes:
    """A PNG whose header promises `side` x `side` pixels, and hardly anything after it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def huge_dicom(film: bytes) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(film))
    ds.Rows = ds.Columns = 65535
    buffer = io.BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()


def truncated_jpeg(film: bytes) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(film))
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    ds.PixelData = encapsulate([frame[: len(frame) // 2]])
    buffer = io.BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()


def test_broken_films_fail_with_their_reason_and_others_go_on(
    served: Served, films: list[bytes]
) -> None:
    sent = [
        huge_png(100_000),
        huge_dicom(films[1]),
        truncated_jpeg(films[0]),
        films[2][:2000],
        b"\x89PNG\r\n\x1a\n" + b"\0" * 500,
        films[3],
    ]
    found = served.judged(*sent)
    assert [film["state"] for film in found[:5]] == ["failed"] * 5
    assert found[5]["state"] in ("positive", "negative")
    reasons = [film["reason"] for film in found[:5]]
    assert reasons[0].startswith("its size is beyond what")
    assert "65535x65535" in reasons[1]
    assert "cut short" in reasons[2]
    assert all(reason and not reason.startswith(":") for reason in reasons)
    for film in found[:5]:
        assert (film["finding"], film["viewing"], film["pictures"]) == (None, None, [])
        for what in ("pixels", "mask", "overlay", "thumbnail"):
            assert served.get(f"/v1/films/{film['id']}/{what}").status_code == 409
        assert served.get(f"/v1/films/{film['id']}/file").status_code == 200


def test_what_is_no_film_is_refused_and_not_kept(served: Served) -> None:
    page = b"<!doctype html><script>alert(1)</script>"
    before = sorted((served.store / "films").rglob("*"))
    answer = served.ask(
        "POST", "/v1/films", files=[("files", ("x.dcm", page)), ("files", ("y", b""))]
    )
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    refused = {one["name"]: one["reason"] for one in answer.json()["refused"]}
    assert refused["x.dcm"].startswith("is no DICOM")
    assert refused["y"].startswith("is empty")
    assert sorted((served.store / "films").rglob("*")) == before
    assert list((served.store / "spool").iterdir()) == []


def test_zips_made_to_do_harm(served: Served, tmp_path: Path) -> None:
    bomb = zipped({f"{n}.png": b"\0" * (1 << 22) for n in range(8)})
    climbing = zipped({"../../../../tmp/evil.png": png(501), "/etc/evil.png": png(502)})
    nested = zipped({"inner.zip": zipped({"a.png": png(503)}), "b.png": png(504)})
    answer = served.upload(bomb)
    assert (answer.status_code, answer.json()["refused"][0]["reason"][:22]) == (
        422,
        "the zip holds far more",
    )
    job = served.upload(climbing).json()
    assert job["films"]["total"] == 2
    names = {film["name"] for film in served.json(f"/v1/films?job={job['id']}")["films"]}
    assert names == {"evil.png"}
    job = served.upload(nested).json()
    assert job["films"]["total"] == 1
    assert job["refused"][0]["reason"].startswith("is a zip inside a zip")
    assert served.upload(climbing[:-30]).status_code == 422
    assert served.get("/readyz").status_code == 200


def unpacked(data: bytes, tmp_path: Path) -> list[Member]:
    source, into = tmp_path / "z.zip", tmp_path / "out"
    source.write_bytes(data)
    into.mkdir()
    return list(unpack(source, into, BOUNDS))


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA])
def test_a_file_that_is_damaged_in_a_zip_stops_no_other(tmp_path: Path, packing: int) -> None:
    noise = np.random.default_rng(0).bytes(5000)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packing) as archive:
        for name in ("first", "second", "third"):
            archive.writestr(name, noise)
    data = bytearray(made.getvalue())
    at = data.index(b"second") + 200
    data[at : at + 50] = bytes(50)
    first, second, third = unpacked(bytes(data), tmp_path)
    assert second == Member("second", None, "is damaged in the zip; zip it again, with deflate")
    for one in (first, third):
        assert one.path is not None
        assert one.path.read_bytes() == noise
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_zip_gives_its_files_under_numbers(tmp_path: Path) -> None:
    held = {"dir/": b"", "dir/a.dcm": b"one", ".hidden": b"x", "..\\up\\b.png": b"two"}
    found = unpacked(zipped(held), tmp_path)
    assert [(m.name, m.path) for m in found] == [
        ("a.dcm", tmp_path / "out/0"),
        ("b.png", tmp_path / "out/1"),
    ]
    assert [m.path.read_bytes() for m in found if m.path] == [b"one", b"two"]


def with_size(data: bytes, size: int) -> bytes:
    """A zip whose one member says that it is `size` bytes."""
    place = data.rfind(b"PK\x01\x02")
    return data[: place + 24] + struct.pack("<I", size) + data[place + 28 :]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (zipped({f"{n}": b"x" for n in range(21)}), FilmTooLarge),
        (zipped({f"{n}/": b"" for n in range(1041)}), FilmTooLarge),
        (zipped({f"{n}": b"\0" * 200_000 for n in range(6)}), FilmTooLarge),
        (zipped({"a": b"x"})[:-22], DecodeError),
        (b"PK\x03\x04" + b"\0" * 100, DecodeError),
        (b"PK\x05\x06" + b"\xff" * 18, DecodeError),
    ],
    ids=["files", "entries", "ratio", "no end", "no list", "zip64 without"],
)
def test_a_zip_beyond_the_bounds_is_refused(
    data: bytes, kind: type[ReadError], tmp_path: Path
) -> None:
    with pytest.raises(kind):
        unpacked(data, tmp_path)


def test_a_member_too_large_or_damaged_is_not_given(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(300_000)
    big, small = unpacked(zipped({"big": noise, "small": b"x"}), tmp_path)
    assert (big.path, big.reason) == (None, "is larger than 262,144 bytes")
    assert small.path is not None
    lying = with_size(zipped({"a": b"\0" * 100_000}), 10)
    (tmp_path / "second").mkdir()
    (member,) = unpacked(lying, tmp_path / "second")
    assert (member.path, member.reason[:21]) == (None, "is damaged in the zip")


def test_names_are_for_people(tmp_path: Path) -> None:
    assert name_of("../../etc/passwd") == "passwd"
    assert name_of("C:\\films\\a.dcm") == "a.dcm"
    assert name_of("a\nb\x00c\u202e.png") == "a_b_c_.png"
    assert name_of("/") == "film"
    assert len(name_of("x" * 5000)) == 200


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    pool = Decoders(1, max_memory=3 << 30)
    yield pool
    pool.stop()


LIMITS = {"max_bytes": 1 << 28, "max_pixels": 1_000_000_000}


def test_a_file_that_takes_too_long_or_too_much_ends_its_process_and_no_more(
    decoders: Decoders, tmp_path: Path
) -> None:
    film = tmp_path / "film.png"
    film.write_bytes(png(1))
    opening = {"do": "open", "path": str(film), "limits": LIMITS}
    header, (pixels, thumbnail) = decoders.ask(opening)
    assert (header["film"]["rows"], len(pixels)) == (160, 160 * 160 * 4)
    assert thumbnail[:2] == b"\xff\xd8"
    with pytest.raises(DecodeError, match="took too long"):
        decoders.ask(opening, seconds=0.0)
    large = tmp_path / "large.png"  # 600 megapixels of nothing: 2.4 GB once it is a film
    cv2.imwrite(str(large), np.zeros((24_000, 25_000), np.uint8))
    with pytest.raises(ReadError):
        decoders.ask({**opening, "path": str(large)})
    large.unlink()
    assert decoders.ask(opening)[0] == header


def test_a_process_that_died_is_replaced(decoders: Decoders, tmp_path: Path) -> None:
    film = tmp_path / "page.html"
    film.write_bytes(b"<html>")
    with pytest.raises(UnrecognisedFormat, match="is no DICOM"):
        decoders.ask({"do": "open", "path": str(film), "limits": LIMITS})
    for child in multiprocessing.active_children():
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
    assert decoders.ask({"do": "nothing"}) == ({}, [])


def test_what_a_process_raises_is_always_a_read_error(decoders: Decoders) -> None:
    for request in ({"do": "no such thing"}, {}, {"do": "mask", "rows": 1, "columns": 1}):
        with pytest.raises(ReadError):
            decoders.ask(request)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"a": b"secret"}))
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(sign) + place] |= 1
    (member,) = unpacked(bytes(data), tmp_path)
    assert (member.path, member.reason) == (None, "is encrypted; zip it without a password")
    assert zipfile.is_zipfile(tmp_path / "z.zip")
