"""DICOMweb: films in by STOW-RS, results back by it, what is wrong said of each instance."""

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from pydicom.uid import (
    ComprehensiveSRStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from test_dicom_node import all_films, free_port, self_signed, settled, until

from a_service import TOKEN, Served
from pleura.errors import ArchiveError, ServiceError, UnknownName
from pleura.finding import PNEUMOTHORAX, Finding, ModelIdentity
from pleura.outputs.dicom import dicom_results, encoded
from pleura.pacs.answers import stored_in
from pleura.pacs.lines import Away, Outcome
from pleura.pacs.peers import Peer, WebPeer, peer_from, read_token
from pleura.pacs.stow import outcome_of
from pleura.read import read
from pleura.service.node_settings import NodeSettings
from pleura.service.running import Running
from pleura.service.settings import Settings
from pleura.service.store import Arrival

STORED, FAILED, OTHERS = "00081199", "00081198", "0008119A"


def related(*files: bytes, kind: str = "application/dicom") -> dict[str, Any]:
    """A request's body and type."""
    body = b"".join(
        b"--b\r\nContent-Type: %b\r\n\r\n%b\r\n" % (kind.encode(), data) for data in files
    )
    return {
        "data": body + b"--b--\r\n",
        "headers": {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'},
    }


def store(served: Served, *files: bytes, study: str = "") -> requests.Response:
    path = f"/dicom-web/studies/{study}" if study else "/dicom-web/studies"
    return served.ask("POST", path, **related(*files))


def uids(answer: requests.Response, tag: str) -> list[str]:
    items = answer.json().get(tag, {"Value": []})["Value"]
    return [item["00081155"]["Value"][0] for item in items]


def reasons(answer: requests.Response, tag: str = FAILED) -> list[int]:
    return [item["00081197"]["Value"][0] for item in answer.json()[tag]["Value"]]


def changed(data: bytes, **values: str) -> bytes:
    """A DICOM file with other values."""
    film = pydicom.dcmread(BytesIO(data))
    for name, value in values.items():
        setattr(film, name, value)
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    file = BytesIO()
    film.save_as(file)
    return file.getvalue()


def named(one: pydicom.Dataset) -> dict[str, Any]:
    """An instance in an answer, its UID padded as some services do."""
    return {"00081155": {"vr": "UI", "Value": [f"{one.SOPInstanceUID}\0"]}}


class WebArchive:
    """A DICOMweb service that keeps what it is sent, unless it is told to answer otherwise."""

    def __init__(self) -> None:
        self.port, self.status, self.reason = free_port(), 200, 0
        self.got: list[pydicom.Dataset] = []
        self.headers: list[dict[str, str]] = []
        self._server: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def start(self, tls: ssl.SSLContext | None = None) -> None:
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, content = archive.take(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Type", "application/dicom+json; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        self.headers.append({name.lower(): value for name, value in headers.items()})
        assert path == "/dicom-web/studies"
        if self.status not in (200, 202, 409):
            return self.status, b"no"
        boundary = self.headers[-1]["content-type"].rpartition("boundary=")[2].encode()
        parts = body.split(b"--" + boundary)[1:-1]
        sent = [
            pydicom.dcmread(BytesIO(part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")))
            for part in parts
        ]
        failed = [one for one in sent if self.status == 409 or one.Modality == "SR"]
        if self.status == 200:
            failed = []
        self.got += [one for one in sent if one not in failed]
        said = [named(one) | {"00081197": {"vr": "US", "Value": [self.reason]}} for one in failed]
        kept = [named(one) for one in sent if one not in failed]
        return self.status, json.dumps(
            {STORED: {"vr": "SQ", "Value": kept}, FAILED: {"vr": "SQ", "Value": said}}
        ).encode()

    def of(self, sop_class: str) -> list[pydicom.Dataset]:
        return [one for one in self.got if one.SOPClassUID == sop_class]


@pytest.fixture
def archive() -> Iterator[WebArchive]:
    made = WebArchive()
    yield made
    made.stop()


def test_films_come_by_stow_and_results_go_back(
    serve: Callable[..., Served], archive: WebArchive, films: list[bytes]
) -> None:
    archive.start()
    served = serve("--dicom-results", archive.url + "/")
    answer = store(served, *films)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/dicom+json"
    sources = {film.SOPInstanceUID: film for film in map(pydicom.dcmread, map(BytesIO, films))}
    assert set(uids(answer, STORED)) == set(sources)
    assert FAILED not in answer.json()
    known = settled(served)
    assert {film["sop_instance_uid"] for film in known} == set(sources)
    assert {film["name"] for film in known} == {f"{uid}.dcm" for uid in sources}
    assert len({film["job"] for film in known}) == 1
    assert all([d["state"] for d in film["deliveries"]] == ["sent"] for film in known)
    assert {film["deliveries"][0]["destination"] for film in known} == {archive.url}
    positive = [film["state"] for film in known].count("positive")
    assert len(archive.of(SegmentationStorage)) == positive > 0
    assert len(archive.of(ComprehensiveSRStorage)) == 4
    captures = archive.of(SecondaryCaptureImageStorage)
    assert {one.StudyInstanceUID for one in captures} == {
        one.StudyInstanceUID for one in sources.values()
    }
    assert "authorization" not in archive.headers[-1]
    count = len(archive.got)
    assert store(served, films[0]).status_code == 200  # again: neither judged nor sent again
    settled(served)
    time.sleep(0.3)
    assert len(archive.got) == count
    log = (served.store / "audit.jsonl").read_text()
    assert '"sent"' in log


def test_what_is_wrong_is_said_of_each_instance(served: Served, films: list[bytes]) -> None:
    film = pydicom.dcmread(BytesIO(films[1]))
    finding = Finding(
        *(PNEUMOTHORAX, "declined", "A test.", ModelIdentity("m", "1", "ab" * 32), "film")
    )
    ours = encoded(dicom_results(read(films[1]), finding)["sc"])
    strange = changed(films[2], SOPClassUID="1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID="1.2.3")
    count = len(served.json("/v1/films")["films"])
    answer = store(served, ours)
    assert (answer.status_code, len(uids(answer, STORED))) == (200, 1)
    assert len(served.json("/v1/films")["films"]) == count  # taken, and no film

    answer = store(served, films[1], strange, b"\0" * 128 + b"DICMnonsense", b"", films[1])
    assert answer.status_code == 202, answer.text
    assert uids(answer, STORED) == [film.SOPInstanceUID]
    assert uids(answer, FAILED) == ["1.2.3", film.SOPInstanceUID]
    assert reasons(answer) == [0x0122, 0x0110]
    assert reasons(answer, OTHERS) == [0xC000, 0xC000]

    answer = store(served, strange)
    assert answer.status_code == 409
    assert STORED not in answer.json()


def test_a_study_takes_its_own_instances_alone(served: Served, films: list[bytes]) -> None:
    film = pydicom.dcmread(BytesIO(films[0]))
    answer = store(served, films[0], films[1], study=film.StudyInstanceUID)
    assert answer.status_code == 202
    assert uids(answer, STORED) == [film.SOPInstanceUID]
    assert reasons(answer) == [0xC000]
    assert store(served, films[0], study="no-uid").status_code == 422


def test_what_is_too_large_or_cannot_be_deidentified_is_not_said_to_be_stored(
    serve: Callable[..., Served], films: list[bytes]
) -> None:
    served = serve("--film-limit", "0.3", "--deidentify")
    large = changed(films[0], SOPInstanceUID="1.2.9") + b"\0" * 400_000
    answer = store(served, large)
    assert (answer.status_code, uids(answer, FAILED), reasons(answer)) == (409, ["1.2.9"], [0xC000])
    answer = store(served, large, films[0])
    assert answer.status_code == 202
    assert uids(answer, FAILED) == ["1.2.9"]
    assert uids(answer, STORED) == [pydicom.dcmread(BytesIO(films[0])).SOPInstanceUID]


@pytest.mark.parametrize(
    ("kind", "part", "status"),
    [
        ("application/dicom", "application/dicom", 415),
        ('multipart/related; type="application/dicom+json"; boundary=b', "application/dicom", 415),
        ('multipart/related; type="application/dicom"; boundary=b', "application/dicom+json", 415),
        ('multipart/related; type="application/dicom"', "application/dicom", 400),
        ('multipart/related; type="application/dicom"; boundary=c', "application/dicom", 400),
        ("multipart/form-data; boundary=b", "application/dicom", 415),
    ],
)
def test_other_bodies_are_refused(
    served: Served, films: list[bytes], kind: str, part: str, status: int
) -> None:
    request = related(films[0], kind=part) | {"headers": {"Content-Type": kind}}
    answer = served.ask("POST", "/dicom-web/studies", **request)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_without_the_token_nothing_is_taken(
    serve: Callable[..., Served], films: list[bytes]
) -> None:
    served = serve(token=TOKEN)
    assert store(served, films[0]).status_code == 200
    answer = requests.post(f"{served.url}/dicom-web/studies", **related(films[0]), timeout=60)
    assert answer.status_code == 401


def test_an_archive_that_is_away_or_full_gets_its_results_later(
    serve: Callable[..., Served], archive: WebArchive, films: list[bytes]
) -> None:
    served = serve("--dicom-results", archive.url)

    def said(text: str) -> Callable[[], bool]:
        return lambda: text in delivery(served)["said"]

    assert store(served, films[0]).status_code == 200
    until(said("it does not answer"))
    served.kill()
    archive.start()
    archive.status = 503
    served.start()
    until(said("it takes nothing now (HTTP 503)"))
    archive.status, archive.reason = 202, 0xA700  # full, for reports
    served.kill()
    served.start()
    until(said("it refused SR with status 0xA700"))
    assert delivery(served)["state"] == "waiting"
    archive.status = 200
    settled(served)
    assert delivery(served)["state"] == "sent"
    assert len(archive.of(ComprehensiveSRStorage)) == 1


def test_kinds_that_an_archive_never_takes_are_left_out(
    serve: Callable[..., Served], archive: WebArchive, films: list[bytes]
) -> None:
    archive.start()
    archive.status, archive.reason = 202, 0x0122
    served = serve("--dicom-results", archive.url)
    store(served, films[0])
    (film,) = settled(served)
    assert film["deliveries"][0]["said"] == "it takes no SR"
    assert not archive.of(ComprehensiveSRStorage)


def test_only_the_kinds_that_are_wanted_are_sent(
    serve: Callable[..., Served], archive: WebArchive, films: list[bytes]
) -> None:
    archive.start()
    served = serve("--dicom-results", archive.url, "--dicom-kind", "seg")
    store(served, *films)
    known = settled(served)
    positive = [film for film in known if film["state"] == "positive"]
    assert {one.SOPClassUID for one in archive.got} == {SegmentationStorage}
    assert len(archive.got) == len(positive)
    for film in known:
        (one,) = film["deliveries"]
        found = film in positive
        assert one["state"] == ("sent" if found else "dropped")
        assert ("no result of the kinds" in one["said"]) != found


def test_the_token_and_the_certificates(
    serve: Callable[..., Served], archive: WebArchive, films: list[bytes], tmp_path: Path
) -> None:
    """Over TLS, both sides showing what the other trusts, and the token sent along."""
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    archive.start(context)
    token = tmp_path / "token"
    token.write_text("a-token-for-the-archive\n")
    token.chmod(0o600)
    url = archive.url.replace("http", "https")
    tls = (
        "--dicom-cert",
        str(certificate),
        "--dicom-key",
        str(key),
        "--dicom-ca",
        str(certificate),
    )
    served = serve("--dicom-results", url, "--dicom-web-token-file", str(token), *tls)
    store(served, films[0])
    settled(served)
    assert archive.got
    assert archive.headers[-1]["authorization"] == "Bearer a-token-for-the-archive"
    assert "a-token-for-the-archive" not in served.log.read_text()


def test_a_certificate_that_nobody_trusts_gets_nothing(
    serve: Callable[..., Served], archive: WebArchive, films: list[bytes], tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    archive.start(context)
    served = serve("--dicom-results", archive.url.replace("http", "https"))
    store(served, films[0])
    until(lambda: "not one to be trusted" in delivery(served)["said"])
    assert not archive.got


def by_instance(served: Served) -> dict[str, Any]:
    """The first delivery of each film, by its SOP Instance UID."""
    return {film["sop_instance_uid"]: film["deliveries"][0] for film in all_films(served)}


def delivery(served: Served) -> dict[str, Any]:
    (film,) = served.json("/v1/films")["films"]
    (found,) = served.json(f"/v1/films/{film['id']}")["deliveries"]
    return dict(found)


def result(number: int) -> pydicom.Dataset:
    made = pydicom.Dataset()
    made.Modality, made.SOPInstanceUID = ("SEG", "SR", "OT")[number], f"1.2.{number}"
    return made


RESULTS = [result(number) for number in range(3)]
KIND = "application/dicom+json"


def items(*uids: str, **more: Any) -> dict[str, Any]:
    return {"Value": [{"00081155": {"Value": [uid]}, **more} for uid in uids]}


def told(status: int, content: Any, kind: str = KIND) -> Outcome:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return outcome_of(RESULTS, stored_in(status, kind, data))


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 415])
def test_statuses_that_are_of_the_archive_and_not_of_a_result(status: int) -> None:
    with pytest.raises(Away, match=f"HTTP {status}"):
        told(status, b"")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 507])
def test_an_archive_that_is_busy_keeps_nothing(status: int) -> None:
    outcome = told(status, b"<html>")
    assert outcome.busy == f"it takes nothing now (HTTP {status})"
    assert (outcome.kept, len(outcome.refused)) == (0, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        {STORED: items("1.2.0", "1.2.1", "1.2.2\0")},
        [{STORED: items("1.2.0", "1.2.1 ", "1.2.2")}],
        {"00081190": {"vr": "UR"}},
    ],
)
def test_answers_by_which_all_are_kept(content: Any) -> None:
    outcome = told(200, content)
    assert (outcome.kept, outcome.left, outcome.refused, outcome.busy) == (3, [], [], None)
    assert told(200, b"<NativeDicomModel/>", "application/dicom+xml").kept == 3
    for content, kind in ((b"<error/>", "application/xml"), (b"", "text/html")):
        with pytest.raises(Away, match="not DICOM JSON"):
            told(200, content, kind)
    failed = {FAILED: items("1.2.0", **{"00081197": {"Value": [0xB000]}})}
    assert told(409, failed).refused[0] == "SEG with status 0xB000"


@pytest.mark.parametrize(
    "content",
    [
        b"<html>sign in</html>",
        b"[" * 100_000,
        b"[]",
        b"7",
        b'{"error": "not stored"}',
        b'{"00081190": "' + b"x" * (1 << 20),
    ],
)
def test_an_answer_that_is_no_dicom_json_keeps_nothing(content: bytes) -> None:
    with pytest.raises(Away, match="not DICOM JSON"):
        told(200, content)
    assert told(202, content).kept == told(409, content).kept == 0


@pytest.mark.parametrize("status", [200, 202, 400, 409])
def test_what_an_answer_does_not_name_is_not_kept(status: int) -> None:
    """Two of three are named, or one in Other Failures, which names none."""
    why = {"00081197": {"Value": [0x0122]}}
    both = told(status, {STORED: items("1.2.0"), FAILED: items("1.2.1", **why)})
    assert (both.kept, both.left, both.refused) == (1, ["SR"], [f"OT with HTTP {status}"])
    other = told(status, {OTHERS: {"Value": [{"00081197": {"Value": [0xC000]}}]}})
    assert (other.kept, len(other.refused)) == (0, 3)
    odd = told(status, {FAILED: items("1.2.1", **{"00081197": {"Value": ["no number"]}})})
    assert odd.kept == 0
    assert "SR with status 0x0110" in odd.refused
    if status != 200:
        for content in (b"", {FAILED: 7}, {FAILED: {"Value": [7]}}):
            assert told(status, content).refused == [
                f"{name} with HTTP {status}" for name in ("SEG", "SR", "OT")
            ]


def test_where_results_go_is_told_by_a_title_or_a_url() -> None:
    assert peer_from("PACS@[::1]:104") == Peer("PACS", "::1", 104)
    assert peer_from("https://pacs.example:8443/dicom-web/") == WebPeer(
        "https://pacs.example:8443/dicom-web"
    )
    for text in ("https://", "https://host:0/x", "https://host:x/", "http://a b/"):
        with pytest.raises(ArchiveError, match="is no URL"):
            peer_from(text)
    for text in ("https://me:secret@host/x", "https://host/x?key=1", "https://host/x#y"):
        with pytest.raises(ArchiveError, match="has no user, password, query or fragment"):
            peer_from(text)


def test_a_token_is_sent_to_whom_it_is_for_and_not_in_the_clear(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t" * 20)
    web, local = WebPeer("http://pacs.example/dicom-web"), WebPeer("http://127.0.0.1:80/x")
    with pytest.raises(ArchiveError, match="could be read on its way"):
        NodeSettings(None, peers=(web,), web_token_file=token)
    for peers in ((Peer("PACS", "host", 104),), (local, WebPeer("https://other.example"))):
        with pytest.raises(ServiceError, match="for one service"):
            NodeSettings(0, peers=peers, web_token_file=token)
    NodeSettings(None, peers=(local, Peer("PACS", "host", 104)), web_token_file=token)
    with pytest.raises(UnknownName, match="kind of result"):
        NodeSettings(None, kinds=("pdf",))
    with pytest.raises(ServiceError, match="give --dicom-port"):
        NodeSettings(None, callers=(("A", "127.0.0.1"),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"two words", b"two\nlines", "„quoted“".encode(), b"x" * 16385]
)
def test_a_file_that_holds_no_token_is_told_without_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ArchiveError, match="holds no token: one word") as caught:
        read_token(file)
    assert not content.strip() or content.decode()[:20] not in str(caught.value)
    with pytest.raises(ArchiveError, match="cannot be read"):
        read_token(tmp_path / "none")
    file.write_bytes(b"x" * 16384 + b"\n")
    assert len(read_token(file)) == 16384


def test_a_film_that_begins_like_a_zip_is_a_film(served: Served, films: list[bytes]) -> None:
    """The preamble is anybody's: it is neither unpacked nor lost, and stored is what is kept."""
    data = b"PK\x03\x04" + changed(films[2], SOPInstanceUID="1.2.8.8")[4:]
    before = len(served.json("/v1/films")["films"])
    answer = store(served, data)
    assert (answer.status_code, uids(answer, STORED)) == (200, ["1.2.8.8"])
    assert len(served.json("/v1/films")["films"]) == before + 1


def test_types_are_read_in_any_case(served: Served, films: list[bytes]) -> None:
    for kind in (
        'Multipart/Related; type="Application/DICOM"; boundary=b',
        "multipart/related; boundary=b",
    ):
        request = related(films[0]) | {"headers": {"Content-Type": kind}}
        assert served.ask("POST", "/dicom-web/studies", **request).status_code == 200


def test_one_film_over_which_an_archive_fails_holds_up_no_other(
    serve: Callable[..., Served], archive: WebArchive, films: list[bytes]
) -> None:
    archive.start()
    bad = str(pydicom.dcmread(BytesIO(films[0])).StudyInstanceUID)
    plain = archive.take

    def take(path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        return (500, b"") if bad.encode() in body else plain(path, headers, body)

    archive.take = take  # type: ignore[method-assign]
    served = serve("--dicom-results", archive.url)
    store(served, *films)

    until(lambda: sum(d["state"] == "sent" for d in by_instance(served).values()) == 3)
    one = by_instance(served)[str(pydicom.dcmread(BytesIO(films[0])).SOPInstanceUID)]
    assert (one["state"], one["said"]) == ("waiting", "it takes nothing now (HTTP 500)")


def test_other_classes_of_x_ray_films_are_taken(served: Served, films: list[bytes]) -> None:
    data = changed(
        films[3], SOPClassUID=DigitalXRayImageStorageForPresentation, SOPInstanceUID="1.2.7.7"
    )
    assert uids(store(served, data), STORED) == ["1.2.7.7"]


def test_a_film_over_which_the_connection_breaks_holds_up_no_other(
    serve: Callable[..., Served], archive: WebArchive, films: list[bytes]
) -> None:
    archive.start()
    bad = str(pydicom.dcmread(BytesIO(films[0])).StudyInstanceUID)
    plain = archive.take

    def take(path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if bad.encode() in body:
            raise ConnectionResetError  # the handler ends without an answer
        return plain(path, headers, body)

    archive.take = take  # type: ignore[method-assign]
    served = serve("--dicom-results", archive.url)
    store(served, *films)

    until(lambda: sum(d["state"] == "sent" for d in by_instance(served).values()) == 3)


def test_a_service_that_cannot_start_ends(bundle: Path, tmp_path: Path) -> None:
    """With its processes, which would keep it alive."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [
            sys.executable, "-m", "pleura.cli", "serve", "--bundle", str(bundle),
            "--store", str(tmp_path / "s"), "--port", "0", "--runtime", "onnxruntime",
            "--dicom-port", str(taken.getsockname()[1]),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "cannot listen" in done.stderr


def test_results_of_every_film_of_a_large_body_are_sent(tmp_path: Path, bundle: Path) -> None:
    peer = WebPeer("http://127.0.0.1:9/x")
    settings = Settings(
        tmp_path / "s", bundle, runtime="onnxruntime", node=NodeSettings(None, peers=(peer,))
    )
    running = Running(settings)
    arrivals = [Arrival(f"{n:032x}", f"{n:064x}", 1, "film") for n in range(1500)]
    with running.store.arriving:
        job, _ = running.store.receive(arrivals, [])
    running.sent(job, {})
    assert running.store.outbox.waiting() == 1500
    running.audit.close()
    running.store.close()
