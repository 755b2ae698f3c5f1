"""Who may ask, and how much; what is on record of it; and films that no longer tell whose they are."""

import asyncio
import hashlib
import hmac
import io
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
import requests
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2024b
from PIL import Image, PngImagePlugin
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from starlette.exceptions import HTTPException
from starlette.types import Message

from a_service import TOKEN, Served, png
from pleura.errors import ServiceError
from pleura.read import Limits, read
from pleura.service.access import Access, Sessions, _Body
from pleura.service.audit import Audit, verify
from pleura.service.deidentify import deidentified
from pleura.service.metrics import Metrics
from pleura.service.settings import Settings
from pleura.service.store import Store

KEY = b"k" * 32
SECRET = "ZZPLANTED"  # put wherever a patient might be


def test_without_the_token_nothing_is_told(guarded: Served) -> None:
    film = "0" * 32
    plain = requests.Session()
    document = plain.get(f"{guarded.url}/openapi.json").json()
    asked = 0
    for path, methods in document["paths"].items():
        for method in methods:
            if path in ("/livez", "/readyz", "/v1/session"):
                continue
            address = re.sub(r"\{\w+\}", film, path.replace("{number}", "1"))
            answer = plain.request(method, guarded.url + address, timeout=30)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["Content-Type"] == "application/problem+json"
            asked += 1
    assert asked >= 25
    for path in ("/livez", "/readyz"):
        assert plain.head(guarded.url + path).status_code == 200
    for path in ("/livez", "/readyz", "/docs", "/openapi.json", "/"):
        assert plain.get(guarded.url + path).status_code == 200
    for header in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer", ""):
        answer = plain.get(f"{guarded.url}/v1/films", headers={"Authorization": header})
        assert answer.status_code == 401


def test_the_page_signs_in_with_a_cookie(guarded: Served) -> None:
    page = requests.Session()
    wrong = page.post(f"{guarded.url}/v1/session", json={"token": TOKEN[:-1]})
    assert (wrong.status_code, page.cookies.get_dict()) == (401, {})
    right = page.post(f"{guarded.url}/v1/session", json={"token": TOKEN})
    assert right.status_code == 204
    cookie = right.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert page.get(f"{guarded.url}/v1/films").status_code == 200
    page.cookies.set("pleura_session", page.cookies["pleura_session"][:-1] + "0", domain="")
    page.delete(f"{guarded.url}/v1/session")
    fresh = requests.Session()
    fresh.cookies.set("pleura_session", "99999999999." + "0" * 64)
    assert fresh.get(f"{guarded.url}/v1/films").status_code == 401


def test_other_applications_cookies_lock_nobody_out(guarded: Served) -> None:
    session = requests.post(f"{guarded.url}/v1/session", json={"token": TOKEN}).cookies
    cookie = f"pleura_session={session['pleura_session']}"
    for head in (f'prefs={{"a":1}}; {cookie}', f"flag; {cookie}", f"a@b=1; {cookie}; c"):
        answer = requests.get(f"{guarded.url}/v1/films", headers={"Cookie": head})
        assert answer.status_code == 200, head


def test_who_signs_out_is_out(guarded: Served) -> None:
    pages = [requests.Session() for _ in range(2)]
    for page in pages:
        page.post(f"{guarded.url}/v1/session", json={"token": TOKEN})
    one, other = (page.cookies["pleura_session"] for page in pages)
    assert one != other
    with pages[0].get(f"{guarded.url}/v1/events", stream=True, timeout=30) as channel:
        lines = channel.iter_lines()
        assert next(lines) == b": pleura"
        head = {"Cookie": f"pleura_session={one}"}
        requests.delete(f"{guarded.url}/v1/session", headers=head)
        guarded.upload(png(4040))
        assert b"data" not in b"".join(lines)  # the channel ends
    assert requests.get(f"{guarded.url}/v1/films", headers=head).status_code == 401
    assert pages[1].get(f"{guarded.url}/v1/films").status_code == 200


def test_ended_sessions_stay_ended(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    sessions = Sessions(TOKEN, KEY, store.database)
    one, other, late = sessions.new(1000.0), sessions.new(1000.0), sessions.new(50_000.0)
    sessions.end(one, 1001.0)
    sessions.end(f"{one}0", 1001.0)  # of nobody: it is not kept
    for known in (sessions, Sessions(TOKEN, KEY, store.database)):
        assert not known.is_valid(one, 1002.0)
        assert known.is_valid(other, 1002.0)
    sessions.end(late, 50_001.0)
    kept = store.database.rows("SELECT session FROM ended_sessions")
    assert [row["session"] for row in kept] == [late]
    store.close()


def test_a_session_of_before_lasts() -> None:
    key = hmac.digest(KEY, b"session " + hashlib.sha256(TOKEN.encode()).digest(), "sha256")
    signed = hmac.new(key, b"2000", hashlib.sha256).hexdigest()
    assert Sessions(TOKEN, KEY).is_valid(f"2000.{signed}", 1000.0)


def asked_by(
    settings: Settings, peer: str, path: str = "/v1/films", **headers: str
) -> dict[str, Any]:
    """The scope that the application is asked with."""
    seen: dict[str, Any] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    named = {"authorization": f"Bearer {TOKEN}", **headers}
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "scheme": "http",
        "client": (peer, 4000),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }
    access: Any = Access(application, settings, Sessions(TOKEN, KEY), Metrics())
    with ThreadPoolExecutor(1) as pool:  # in this thread a browser's loop may be running
        pool.submit(lambda: asyncio.run(access(scope, None, None))).result()
    return seen


def test_only_the_proxy_says_who_asks(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path, token=TOKEN, user_header="X-User", proxy="10.0.0.9")
    said = {"x-user": "dr.house", "x-forwarded-proto": "https", "x-forwarded-for": "10.1.1.1"}
    by_proxy, by_other = (asked_by(settings, peer, **said) for peer in ("10.0.0.9", "10.0.0.8"))
    assert (by_proxy["state"]["identity"], by_proxy["scheme"]) == ("user dr.house", "https")
    assert (by_other["state"]["identity"], by_other["scheme"]) == ("token", "http")
    archive = asked_by(settings, "10.0.0.9", path="/dicom-web/studies", **said)
    assert archive["state"]["identity"] == "token"  # which could name anyone through the proxy
    with pytest.raises(ServiceError, match="believed only of the proxy"):
        Settings(tmp_path, tmp_path, token=TOKEN, user_header="X-User")
    for known in ("10.0.0.9", "::1, 10.0.0.0/24"):
        Settings(tmp_path, tmp_path, token=TOKEN, proxy=known)
    for name in ("localhost", "proxy.example", "*", "10.0.0.9,", "10.0.0.9/24"):
        with pytest.raises(ServiceError, match="is no IP address or network"):
            Settings(tmp_path, tmp_path, token=TOKEN, proxy=name)


@pytest.mark.parametrize(("least_rate", "passes"), [(1e9, False), (0.0, True)])
def test_a_body_that_trickles_is_refused(least_rate: float, passes: bool) -> None:
    pieces = iter([b"x" * 10, b"x" * 10, b""])

    async def receive() -> Message:
        piece = next(pieces)
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}

    async def take() -> int:
        body = _Body(receive, 1000, 5.0, least_rate)
        body._since -= 6.0  # it began so long ago
        return len([await body.receive() for _ in range(3)])

    with ThreadPoolExecutor(1) as pool, nullcontext() if passes else refused("too slowly"):
        assert pool.submit(lambda: asyncio.run(take())).result() == 3


def refused(why: str) -> AbstractContextManager[Any]:
    return pytest.raises(HTTPException, match=why)


def test_wrong_tokens_are_told_in_the_log_now_and_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def send(_: Message) -> None:
        pass

    access: Any = Access(
        None, Settings(tmp_path, tmp_path, token=TOKEN), Sessions(TOKEN, KEY), Metrics()
    )
    scope = asked_by(Settings(tmp_path, tmp_path, token=TOKEN), "10.0.0.8")
    scope["headers"] = [(b"authorization", b"Bearer guess")]
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            pool.submit(lambda: asyncio.run(access(dict(scope), None, send))).result()
    assert [r.getMessage() for r in caplog.records] == ["a wrong token was sent from 10.0.0.8"]


def test_sessions_end() -> None:
    sessions = Sessions(TOKEN, KEY)
    value = sessions.new(1000.0)
    assert sessions.is_valid(value, 1000.0 + 12 * 3600 - 1)
    assert not sessions.is_valid(value, 1000.0 + 12 * 3600)
    later = str(int(value.partition(".")[0]) + 1)
    assert not sessions.is_valid(later + "." + value.partition(".")[2], 1000.0)
    assert not Sessions("another-token-than-that", KEY).is_valid(value, 1000.0)
    assert not Sessions(TOKEN, b"x" * 32).is_valid(value, 1000.0)
    assert sessions.knows(TOKEN)
    assert not Sessions(None, KEY).knows("")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://whatever"}, 422),
        ({}, 422),
    ],
)
def test_another_site_s_page_changes_nothing(
    served: Served, headers: dict[str, str], status: int
) -> None:
    answer = served.ask("POST", "/v1/films", headers=headers, files=[("files", ("x", b"<html>"))])
    assert answer.status_code == status
    reading = served.get("/v1/films", headers=headers)
    assert reading.status_code == 200
    assert "Access-Control-Allow-Origin" not in reading.headers


def test_the_service_is_asked_under_its_own_name(served: Served) -> None:
    for host, status in (
        ("evil.example", 421),
        ("localhost:99", 200),
        ("[::1]:80", 200),
        ("", 421),
    ):
        assert served.get("/v1/films", headers={"Host": host}).status_code == status


def test_every_answer_has_the_headers(served: Served) -> None:
    for path in ("/", "/v1/films", "/nothing", "/metrics", "/docs"):
        headers = served.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe-eval" not in headers["Content-Security-Policy"].replace(
            "wasm-unsafe-eval", ""
        )
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "server" not in headers
    assert served.get("/v1/films").headers["Cache-Control"] == "no-store"


def test_bodies_have_a_limit(guarded: Served, served: Served) -> None:
    large = np.random.default_rng(0).bytes(3 << 20)  # the limit is 0.002 GiB
    assert guarded.upload(large).status_code == 413

    def endless() -> Iterator[bytes]:
        yield from (b"x" * (1 << 16) for _ in range(100))

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert guarded.ask("POST", "/v1/films", data=endless(), headers=kind).status_code in (400, 413)
    token = served.ask("POST", "/v1/session", json={"token": "x" * (1 << 17)})
    assert token.status_code == 413
    assert served.ask("POST", "/v1/films", data=b"{}").status_code == 415
    assert guarded.get("/readyz").status_code == 200


def test_beyond_loopback_only_with_a_token(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "10.0.0.1", socket.gethostname()):
        with pytest.raises(ServiceError, match="needs a token"):
            Settings(tmp_path, tmp_path, host=host)
    Settings(tmp_path, tmp_path, host="0.0.0.0", token=TOKEN)
    Settings(tmp_path, tmp_path, host="localhost")
    with pytest.raises(ServiceError, match="the token has 5 characters"):
        Settings(tmp_path, tmp_path, token="short")
    with pytest.raises(ServiceError, match="only with a token"):
        Settings(tmp_path, tmp_path, user_header="X-User")
    assert TOKEN not in repr(Settings(tmp_path, tmp_path, token=TOKEN))


def planted(film: bytes) -> bytes:
    """A film with a secret in every place that could hold one."""
    ds = pydicom.dcmread(io.BytesIO(film))
    ds.PatientName, ds.PatientID, ds.OtherPatientIDs = f"{SECRET}^A", SECRET, SECRET
    ds.PatientBirthDate, ds.PatientAge = "19300102", "094Y"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20261121"
    ds.StudyDescription = ds.ImageComments = f"of {SECRET}"
    ds.SeriesDescription = f"of {SECRET}, supine"
    ds.InstitutionName = ds.ReferringPhysicianName = ds.OperatorsName = SECRET
    ds.AccessionNumber, ds.StudyID, ds.StationName = SECRET, SECRET, SECRET
    ds.BodyPartExamined, ds.ViewPosition = SECRET, "PA"
    ds.ImageType = ["ORIGINAL", "PRIMARY", SECRET]
    ds.WindowCenterWidthExplanation = SECRET
    ds.RequestAttributesSequence = Sequence([Dataset()])
    ds.RequestAttributesSequence[0].RequestedProcedureDescription = SECRET
    code = Dataset()
    code.CodeValue, code.CodeMeaning, code.CodingSchemeDesignator = "399348003", SECRET, SECRET
    ds.ViewCodeSequence = Sequence([code])
    block = ds.private_block(0x0011, SECRET, create=True)
    block.add_new(1, "LO", SECRET)
    ds.add_new((0x6000, 0x4000), "LT", SECRET)
    ds.add_new((0xFFFC, 0xFFFC), "OB", SECRET.encode() + b"\0")
    buffer = io.BytesIO()
    ds.preamble = SECRET.encode().ljust(128, b"\0")
    ds.save_as(buffer)
    return buffer.getvalue() + SECRET.encode()


def test_nothing_tells_whose_a_film_was(films: list[bytes], tmp_path: Path) -> None:
    for number, film in enumerate(films):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(planted(film))
        assert path.read_bytes().count(SECRET.encode()) > 20
        clean = deidentified(path, KEY, Limits())
        for secret in (SECRET, "20261121", "19300102", "2026", "1.2.826.0.1.3680043.8.498"):
            assert secret.encode() not in clean.replace(b"1.2.826.0.1.3680043.8.498.1", b""), secret
        assert clean == deidentified(path, KEY, Limits())  # the same again, byte for byte
        assert clean != deidentified(path, b"x" * 32, Limits())
        was, now = read(path), read(clean)
        np.testing.assert_array_equal(now.pixels, was.pixels)
        assert (now.view, now.sex, now.age_years) == (was.view, was.sex, 90.0)
        assert (now.spacing_mm, now.spacing_basis) == (was.spacing_mm, was.spacing_basis)
        assert (now.image_left, now.side_basis) == (was.image_left, was.side_basis)
        assert was.posture_doubt == "SeriesDescription (supine)"
        assert now.posture_doubt == "ViewPosition (not erect)"
        assert now.patient_id not in (None, was.patient_id)
        assert (now.study_instance_uid or "").startswith("2.25.")


def test_a_lut_keeps_its_words_whatever_their_byte_order(
    films: list[bytes], tmp_path: Path
) -> None:
    ds = pydicom.dcmread(io.BytesIO(films[0]))
    ds.decompress()
    entries = 1 << ds.BitsStored
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [entries, 0, 12])
    lut.add_new("LUTData", "OW", np.linspace(0, 4095, entries).astype(">u2").tobytes())
    ds.VOILUTSequence = Sequence([lut])
    if ds.BitsAllocated > 8:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    path = tmp_path / "big.dcm"
    pydicom.dcmwrite(path, ds, implicit_vr=False, little_endian=False)
    clean = read(deidentified(path, KEY, Limits()))
    np.testing.assert_array_equal(clean.pixels, read(path).pixels)
    assert clean.pixels.max() - clean.pixels.min() > 0.5


@pytest.mark.parametrize(("padding", "vr"), [(-2000, "SS"), (63536, "US")])
@pytest.mark.parametrize("padded", [0, 50])
def test_padding_of_signed_values_stays_padding(
    films: list[bytes], tmp_path: Path, padding: int, vr: str, padded: int
) -> None:
    """63536 is -2000 in 16 bits, and some writers say it so."""
    ds = pydicom.dcmread(io.BytesIO(films[0]))
    ds.decompress()
    samples = np.linspace(0, 1000, ds.Rows * ds.Columns).astype("<i2")
    samples[:padded] = -2000
    ds.set_pixel_data(samples.reshape(ds.Rows, ds.Columns), "MONOCHROME2", 16)
    ds.add_new("PixelPaddingValue", vr, padding)
    path = tmp_path / "a.dcm"
    ds.save_as(path)
    clean = read(deidentified(path, KEY, Limits()))
    np.testing.assert_array_equal(clean.pixels, read(path).pixels)
    assert "Pixels of the padding value are drawn as air." in clean.notes


@pytest.mark.parametrize("said", [-1, 300, 65535])
def test_padding_that_no_pixel_can_have_costs_no_film(
    films: list[bytes], tmp_path: Path, said: int
) -> None:
    ds = pydicom.dcmread(io.BytesIO(films[0]))
    ds.decompress()
    samples = np.arange(ds.Rows * ds.Columns).astype("u1").reshape(ds.Rows, ds.Columns)
    ds.set_pixel_data(samples, "MONOCHROME2", 8)
    ds.add_new("PixelPaddingValue", "SS" if said < 0 else "US", said)
    path = tmp_path / "a.dcm"
    ds.save_as(path)
    clean = read(deidentified(path, KEY, Limits()))
    np.testing.assert_array_equal(clean.pixels, read(path).pixels)


@pytest.mark.parametrize(
    ("said", "kept"), [("PA ERECT", "PA"), ("AP SUPINE", "AP"), ("DOE PA", None)]
)
def test_only_words_of_views_are_kept(
    films: list[bytes], tmp_path: Path, said: str, kept: str | None
) -> None:
    ds = pydicom.dcmread(io.BytesIO(films[0]))
    ds.ViewPosition = said
    ds.save_as(tmp_path / "a.dcm")
    clean = deidentified(tmp_path / "a.dcm", KEY, Limits())
    assert read(clean).view == kept
    assert b"DOE" not in clean


@pytest.mark.parametrize(
    ("value", "kept"), [("R-10206", "SRT"), ("399348003", "SCT"), ("DOE-JOHN", None)]
)
def test_only_codes_of_views_are_kept(
    films: list[bytes], tmp_path: Path, value: str, kept: str | None
) -> None:
    ds = pydicom.dcmread(io.BytesIO(films[0]))
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "99LOCAL", "AP"
    ds.ViewCodeSequence = Sequence([code])
    ds.save_as(tmp_path / "a.dcm")
    clean = pydicom.dcmread(io.BytesIO(deidentified(tmp_path / "a.dcm", KEY, Limits())))
    views = [
        (one.CodeValue, one.CodingSchemeDesignator) for one in clean.get("ViewCodeSequence", [])
    ]
    assert views == ([] if kept is None else [(value, kept)])


def test_no_element_is_kept_that_the_standard_s_profile_takes_out(
    films: list[bytes], tmp_path: Path
) -> None:
    """Against PS3.15's table E.1-1 as dicom-anonymizer has it: what is kept of it is empty or replaced."""
    profile = set()
    for name in dir(dicomfields_2024b):
        table = getattr(dicomfields_2024b, name)
        if name.endswith("_TAGS") and isinstance(table, list):
            profile |= {Tag(*tag) for tag in table if len(tag) == 2}
    assert len(profile) > 300
    path = tmp_path / "a.dcm"
    path.write_bytes(planted(films[1]))
    ds = pydicom.dcmread(io.BytesIO(deidentified(path, KEY, Limits())))
    filled = [ds[tag] for tag in profile if tag in ds and ds[tag].value not in ("", None)]
    kept = {element.keyword for element in filled}
    replaced = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID"}
    assert kept <= replaced | {"PatientAge", "PatientSex"}
    assert ds.PatientIdentityRemoved == "YES"
    assert not any(element.tag.is_private for element in ds.iterall())


def test_films_of_a_patient_stay_together(films: list[bytes], tmp_path: Path) -> None:
    ids = []
    for number, film in enumerate(films[:2]):
        path = tmp_path / f"{number}"
        path.write_bytes(planted(film))
        ids.append(read(deidentified(path, KEY, Limits())).patient_id)
    assert ids[0] == ids[1]


def test_an_image_s_texts_are_left_out(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", SECRET)
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 65535, (150, 150)).astype(np.uint16)
    Image.fromarray(pixels).save(path, pnginfo=info)
    assert SECRET.encode() in path.read_bytes()
    clean = deidentified(path, KEY, Limits())
    assert SECRET.encode() not in clean
    np.testing.assert_array_equal(read(clean).pixels, read(path).pixels)


def test_a_service_that_deidentifies_keeps_nothing(guarded: Served, films: list[bytes]) -> None:
    answer = guarded.upload(planted(films[0]), b"\x89PNG broken", name=f"{SECRET}.dcm")
    job = answer.json()
    assert job["films"]["total"] == 1
    assert len(job["refused"]) == 1  # what cannot be read is not kept
    guarded.wait_for(job["id"])
    film = guarded.json(f"/v1/films/{job['film_ids'][0]}")
    assert film["state"] in ("positive", "negative")
    assert film["name"] == f"film {film['id'][:8]}"
    assert (film["study_date"], film["age_years"]) == (None, 90.0)
    assert SECRET not in json.dumps(film)
    assert guarded.upload(planted(films[0])).json()["films"]["repeated"] == 1
    for path in guarded.store.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in guarded.log.read_text()


def test_the_audit_log_says_who_did_what(guarded: Served) -> None:
    job = guarded.upload(png(5)).json()
    film = job["film_ids"][0]
    guarded.wait_for(job["id"])
    guarded.get(f"/v1/films/{film}", headers={"X-User": "a.reader@ward"})
    guarded.get(f"/v1/films/{film}/pixels")
    study = guarded.json(f"/v1/films/{film}")["study"]
    for part in (f"films/{film}/heat", f"films/{film}/corrections", f"studies/{study}"):
        assert guarded.get(f"/v1/{part}").status_code == 200
    requests.post(f"{guarded.url}/v1/session", json={"token": "not the token"}, timeout=10)
    out = guarded.ask("DELETE", "/v1/session")
    assert out.headers["Clear-Site-Data"] == '"cache"'
    guarded.ask("DELETE", f"/v1/films/{film}")
    path = guarded.store / "audit.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    did = [(line["who"], line["did"], line["what"]) for line in lines]
    assert ("token", "uploaded", job["id"]) in did
    assert ("user a.reader@ward", "opened", film) in did
    assert ("token", "saw", f"{film} pixels") in did
    assert ("token", "saw", f"{film} heat") in did
    assert ("token", "saw", f"{film} corrections") in did
    assert ("token", "listed", f"study {study}") in did
    assert ("nobody", "failed to sign in", "") in did
    assert ("token", "signed out", "") in did
    assert did[-1] == ("token", "deleted", film)
    assert verify(path) == len(lines)


def test_half_a_line_of_a_full_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = Audit(tmp_path / "audit.jsonl")
    audit.note("someone", "saw", "film 1")
    with monkeypatch.context() as full:
        write = os.write
        full.setattr(os, "write", lambda file, data: write(file, data[:20]))
        with pytest.raises(OSError, match="no room for the audit log"):
            audit.note("someone", "saw", "film 2")
    audit.note("someone", "saw", "film 3")
    audit.close()
    assert verify(tmp_path / "audit.jsonl") == 2


def test_a_changed_audit_log_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    for n in range(4):
        audit.note("someone", "saw", f"film {n}")
    audit.close()
    whole = path.read_text().splitlines(keepends=True)
    assert verify(path) == 4
    for changed in (
        [*whole[:1], whole[1].replace("film 1", "film 9"), *whole[2:]],
        [*whole[:1], *whole[2:]],
        [whole[1], whole[0], *whole[2:]],
        whole[1:],
    ):
        path.write_text("".join(changed))
        with pytest.raises(ServiceError, match="is not what was written"):
            verify(path)
    path.write_text("".join(whole) + whole[0][:40])  # a crash in the middle of a line
    again = Audit(path)
    again.note("someone", "saw", "film 4")
    again.close()
    assert verify(path) == 5
    path.write_text("".join(whole)[:-5] + "x}\n")
    with pytest.raises(ServiceError, match="the last line"):
        Audit(path)


def test_the_log_holds_no_names(served: Served, films: list[bytes]) -> None:
    ds: Any = pydicom.dcmread(io.BytesIO(films[0]))
    ds.PatientName = SECRET
    ds.Rows = 7
    buffer = io.BytesIO()
    ds.save_as(buffer)
    (film,) = served.judged(buffer.getvalue())
    assert film["state"] == "failed"
    served.upload(cv2.imencode(".bmp", np.zeros((4, 4), np.uint8))[1].tobytes(), name=SECRET)
    said = served.log.read_text() + (served.store / "audit.jsonl").read_text()
    assert SECRET not in said
    assert film["name"] not in said


def test_what_nobody_thought_of_is_a_problem_and_is_logged_without_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError(f"of {SECRET}")

    async def receive() -> Any:
        return {"type": "http.request"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    settings = Settings(tmp_path, tmp_path)
    access = Access(application, settings, Sessions(None, KEY), Metrics())
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/films",
        "headers": [(b"host", b"127.0.0.1")],
    }
    with ThreadPoolExecutor(1) as pool:  # in this thread a browser's loop may be running
        pool.submit(lambda: asyncio.run(access(scope, receive, send))).result()
    assert sent[0]["status"] == 500
    assert (b"content-type", b"application/problem+json") in sent[0]["headers"]
    assert (b"x-frame-options", b"DENY") in sent[0]["headers"]
    assert SECRET not in str(sent)
    assert "ValueError at test_access.py" in caplog.text
    assert SECRET not in caplog.text


def test_without_its_libraries_the_verb_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['fastapi'] = None; from pleura.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", "--store", str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("pleura: pleura serve needs libraries")
    assert done.stderr.rstrip().endswith("pip install 'pleura[serve]'")
    assert not (tmp_path / "s").exists()
