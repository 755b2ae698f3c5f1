"""The DICOM node: films in by C-STORE, results back by it, nothing lost between."""

import gc
import re
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest
from pydicom.uid import (
    ComprehensiveSRStorage,
    ComputedRadiographyImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.sop_class import Verification

from a_service import Served
from pleura.errors import ArchiveError, PleuraError, ServiceError
from pleura.finding import PNEUMOTHORAX, Finding, ModelIdentity
from pleura.outputs.dicom import dicom_results, encoded
from pleura.pacs.peers import Peer, peer_from
from pleura.read import read
from pleura.service.deliveries import Deliveries
from pleura.service.node_settings import Caller, NodeSettings, caller_from
from pleura.service.settings import Settings
from pleura.service.store import Arrival, Judged, Store

RESULTS = (SegmentationStorage, ComprehensiveSRStorage, SecondaryCaptureImageStorage)


class Archive:
    """A peer that keeps what it is sent, unless it is told to refuse."""

    def __init__(self, *, classes: tuple[str, ...] = RESULTS) -> None:
        self.port, self.classes, self.status = free_port(), classes, 0x0000
        self.got: list[pydicom.Dataset] = []
        self._server: Any = None

    def start(self, tls: Any = None) -> None:
        entity = AE("PACS")
        entity.require_called_aet = True
        for kind in self.classes:
            entity.add_supported_context(kind)
        handlers: Any = [(evt.EVT_C_STORE, self._store)]
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=tls
        )

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _store(self, event: Any) -> int:
        if self.status == 0:
            # pynetdicom may be told to keep what it receives in files; these are its bytes either way.
            self.got.append(pydicom.dcmread(BytesIO(event.encoded_dataset())))
        return self.status

    def of(self, sop_class: str) -> list[pydicom.Dataset]:
        return [one for one in self.got if one.SOPClassUID == sop_class]


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@pytest.fixture(autouse=True)
def _no_sockets_of_pynetdicom_are_left() -> Iterator[None]:
    """It lets go of a socket whose association broke instead of closing it; the collector closes it."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    yield made
    made.stop()


def node_port(served: Served) -> int:
    found = re.search(r"DICOM node PLEURA at 127\.0\.0\.1:(\d+)", served.log.read_text())
    assert found, served.log.read_text()
    return int(found[1])


@contextmanager
def association(
    served: Served, title: str = "CR1", tls: Any = None, kinds: tuple[str, ...] = RESULTS
) -> Iterator[Any]:
    entity = AE(title)
    entity.add_requested_context(Verification)
    for kind in {ComputedRadiographyImageStorage, SecondaryCaptureImageStorage, *kinds}:
        for syntax in ALL_TRANSFER_SYNTAXES:
            if len(entity.requested_contexts) < 128:
                entity.add_requested_context(kind, syntax)
    made = entity.associate("127.0.0.1", node_port(served), ae_title="PLEURA", tls_args=tls)
    yield made
    if made.is_established:
        made.release()


def send(served: Served, *files: bytes, title: str = "CR1", tls: Any = None) -> list[Any]:
    """What the node answers to each."""
    statuses = []
    for data in files:
        film = pydicom.dcmread(BytesIO(data))
        entity = AE(title)
        entity.add_requested_context(film.SOPClassUID, film.file_meta.TransferSyntaxUID)
        made = entity.associate("127.0.0.1", node_port(served), ae_title="PLEURA", tls_args=tls)
        if not made.is_established:
            statuses.append(None)
            continue
        statuses.append(made.send_c_store(film).get("Status"))
        made.release()
    return statuses


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, and its key."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key,
         "-out", certificate, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def until(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What it is true by, once it is."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)
    return found


def all_films(served: Served) -> list[dict[str, Any]]:
    listed = served.json("/v1/films?limit=500")["films"]
    return [served.json(f"/v1/films/{film['id']}") for film in listed]


def settled(served: Served) -> list[dict[str, Any]]:
    """All films, once nothing waits."""

    def ready() -> list[dict[str, Any]]:
        films = all_films(served)
        waits = [f for f in films if f["state"] == "waiting"]
        waits += [d for f in films for d in f["deliveries"] if d["state"] == "waiting"]
        return [] if waits else films

    return until(ready)


def test_who_connects_and_hangs_up_takes_no_place(serve: Callable[..., Served]) -> None:
    served = serve("--dicom-port", "0")
    for _ in range(12):  # as the checks of load balancers and monitors do; eight may send at once
        socket.create_connection(("127.0.0.1", node_port(served))).close()

    def is_taken() -> bool:
        with association(served, kinds=()) as made:
            return bool(made.is_established)

    until(is_taken, seconds=8.0)  # which is less than a silent one may take


def test_films_come_by_c_store_and_results_go_back(
    serve: Callable[..., Served], archive: Archive, films: list[bytes]
) -> None:
    archive.start()
    served = serve("--dicom-port", "0", "--dicom-results", f"PACS@127.0.0.1:{archive.port}")
    assert send(served, *films) == [0x0000] * 4
    known = settled(served)
    assert len(known) == 4
    states = {film["sop_instance_uid"]: film["state"] for film in known}
    assert set(states.values()) == {"positive", "negative"}
    assert all([d["state"] for d in film["deliveries"]] == ["sent"] for film in known)
    sources = {film.SOPInstanceUID: film for film in map(pydicom.dcmread, map(BytesIO, films))}
    reports = archive.of(ComprehensiveSRStorage)
    assert len(reports) == len(archive.of(SecondaryCaptureImageStorage)) == 4
    assert len(archive.of(SegmentationStorage)) == list(states.values()).count("positive")
    for report in reports:
        evidence = report.CurrentRequestedProcedureEvidenceSequence[0]
        source = sources[
            evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        ]
        assert report.StudyInstanceUID == source.StudyInstanceUID
        assert report.PatientID == source.PatientID

    count = len(archive.got)
    assert send(served, films[0]) == [0x0000]  # sent again: neither judged nor answered again
    settled(served)
    assert len(archive.got) == count
    uid = pydicom.dcmread(BytesIO(films[0])).SOPInstanceUID
    (film,) = [one for one in known if one["sop_instance_uid"] == uid]
    assert served.ask("POST", f"/v1/films/{film['id']}/judge").status_code == 202
    until(lambda: len(archive.got) > count)  # the same finding is the same objects
    settled(served)
    assert {one.SOPInstanceUID for one in archive.got[count:]} <= {
        one.SOPInstanceUID for one in archive.got[:count]
    }

    shown = served.get("/metrics").text
    assert "pleura_waiting_results 0.0" in shown
    assert 'pleura_results_total{outcome="sent"} 5.0' in shown
    (image,) = served.judged(films[0] + b"\0")  # by HTTP: known to nobody's archive
    assert image["deliveries"] == []


def test_a_peer_that_is_away_gets_its_results_later_though_the_service_died(
    serve: Callable[..., Served], archive: Archive, films: list[bytes]
) -> None:
    served = serve("--dicom-port", "0", "--dicom-results", f"PACS@127.0.0.1:{archive.port}")
    assert send(served, films[0]) == [0x0000]
    (film,) = until(lambda: [f for f in all_films(served) if f["deliveries"][0]["tries"] > 0])
    assert film["deliveries"][0]["state"] == "waiting"
    assert film["deliveries"][0]["said"].startswith("it does not answer")
    served.kill()
    archive.start()
    archive.status = 0xA700  # it is there, and full
    served.start()
    until(lambda: "0xA700" in all_films(served)[0]["deliveries"][0]["said"])
    archive.status = 0x0000
    (film,) = settled(served)
    assert film["deliveries"][0]["state"] == "sent"
    assert len(archive.of(ComprehensiveSRStorage)) == 1


def test_a_peer_that_shows_pictures_alone_gets_these(
    serve: Callable[..., Served], films: list[bytes]
) -> None:
    archive = Archive(classes=(SecondaryCaptureImageStorage,))
    archive.start()
    try:
        served = serve("--dicom-port", "0", "--dicom-results", f"PACS@127.0.0.1:{archive.port}")
        assert send(served, *films) == [0x0000] * 4
        said = {film["state"]: film["deliveries"][0]["said"] for film in settled(served)}
        assert said == {"positive": "it takes no SEG, SR", "negative": "it takes no SR"}
        assert len(archive.got) == 4
    finally:
        archive.stop()


def test_what_is_no_film_is_no_film(
    serve: Callable[..., Served], archive: Archive, films: list[bytes]
) -> None:
    archive.start()
    served = serve("--dicom-port", "0", "--dicom-results", f"PACS@127.0.0.1:{archive.port}")
    with association(served) as made:
        assert made.send_c_echo().Status == 0x0000
        taken = {context.abstract_syntax for context in made.accepted_contexts}
        assert SegmentationStorage not in taken
        assert ComprehensiveSRStorage not in taken
    film = read(films[0])
    finding = Finding(
        *(PNEUMOTHORAX, "declined", "A test.", ModelIdentity("m", "1", "ab" * 32), "film")
    )
    capture = encoded(dicom_results(film, finding)["sc"])
    assert send(served, capture) == [0x0000]  # the archive has sent on what it was sent
    assert all_films(served) == []
    broken = pydicom.dcmread(BytesIO(films[1]))
    broken.PixelData = broken.PixelData[:10]
    buffer = BytesIO()
    broken.save_as(buffer)
    assert send(served, buffer.getvalue()) == [0x0000]
    (failed,) = settled(served)
    assert failed["state"] == "failed"
    assert failed["deliveries"][0]["state"] == "dropped"
    assert archive.got == []


def test_only_callers_may_send(serve: Callable[..., Served], films: list[bytes]) -> None:
    served = serve(
        *("--dicom-port", "0", "--dicom-caller", "CR1@127.0.0.1", "--dicom-caller", "CR2@10.0.0.1")
    )
    assert send(served, films[0], title="CR1") == [0x0000]
    assert send(served, films[1], title="CR2") == [0x0124]  # from another address than its own
    assert send(served, films[1], title="CR3") == [None]
    assert len(settled(served)) == 1
    log = (served.store / "audit.jsonl").read_text()
    assert '"dicom:CR1"' in log
    assert "CR2" not in log


def test_a_film_beyond_the_limit_is_cut_off(
    serve: Callable[..., Served], films: list[bytes]
) -> None:
    served = serve("--dicom-port", "0", "--film-limit", "0.1")
    large = pydicom.dcmread(BytesIO(films[0]))
    large.add_new((0x0009, 0x0010), "LO", "A TEST")
    large.add_new((0x0009, 0x1001), "OB", bytes(3 << 20))
    buffer = BytesIO()
    large.save_as(buffer)
    assert send(served, buffer.getvalue()) == [None]
    assert all_films(served) == []
    assert not list((served.store / "spool").iterdir())


def test_a_peer_that_is_away_or_refuses_holds_up_no_other(
    serve: Callable[..., Served], archive: Archive, films: list[bytes]
) -> None:
    strict = Archive()
    strict.status = 0xA900  # what it never takes: not tried again
    for one in (strict, archive):
        one.start()
    peers = [f"PACS@127.0.0.1:{archive.port}", f"PACS@127.0.0.1:{strict.port}"]
    gone = f"PACS@no-such-host.invalid:{free_port()}"
    try:
        given = [option for peer in (gone, *peers) for option in ("--dicom-results", peer)]
        served = serve("--dicom-port", "0", *given)
        assert send(served, films[0]) == [0x0000]

        def reached() -> dict[str, Any]:
            (film,) = all_films(served)
            known = {one["destination"]: one for one in film["deliveries"]}
            return known if all(one["tries"] for one in known.values()) else {}

        known = until(reached)
        assert [known[peer]["state"] for peer in peers] == ["sent", "dropped"]
        assert known[gone]["state"] == "waiting"
        assert known[gone]["said"].startswith("it cannot be reached")
        assert "pleura_waiting_results 1.0" in served.get("/metrics").text
        served.stop()  # and come back with other places: nothing waits for one that is no more
        served = Served(served._command[served._command.index("--bundle") + 1], served.store)
        (film,) = all_films(served)
        assert {one["state"] for one in film["deliveries"]} == {"sent", "dropped"}
        served.stop()
    finally:
        strict.stop()


@pytest.mark.parametrize("tls", [False, True])
def test_silence_and_lies_hold_up_nobody(
    serve: Callable[..., Served], films: list[bytes], tmp_path: Path, tls: bool
) -> None:
    """A connection that says nothing, one that stops in the middle, and one that says 4 GiB will come."""
    if tls and shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    options, client = [], None
    if tls:
        certificate, key = self_signed(tmp_path)
        files = {"certificate": certificate, "key": key, "authorities": certificate}
        client = (NodeSettings(0, **files).contexts()[1], "127.0.0.1")
        options = ["--dicom-cert", certificate, "--dicom-key", key, "--dicom-ca", certificate]
    served = serve("--dicom-port", "0", *map(str, options))
    with ExitStack() as stack:
        for number in range(3):
            made = stack.enter_context(socket.create_connection(("127.0.0.1", node_port(served))))
            if number:
                made.sendall(b"\x01\x00\xff\xff\xff\xff" if number == 2 else b"\x01\x00\x00")
        assert send(served, films[0], tls=client) == [0x0000]
        assert len(settled(served)) == 1
        begun = time.monotonic()
        served.stop()
        assert time.monotonic() - begun < 20


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_tls_both_ways(
    serve: Callable[..., Served], archive: Archive, films: list[bytes], tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    files = {"certificate": certificate, "key": key, "authorities": certificate}
    server, client = NodeSettings(0, **files).contexts()
    archive.start(server)
    served = serve(
        *("--dicom-port", "0", "--dicom-results", f"PACS@127.0.0.1:{archive.port}"),
        *(
            "--dicom-cert",
            str(certificate),
            "--dicom-key",
            str(key),
            "--dicom-ca",
            str(certificate),
        ),
    )
    assert send(served, films[0]) == [None]  # in the clear
    assert send(served, films[0], tls=(client, "127.0.0.1")) == [0x0000]
    (film,) = settled(served)
    assert film["deliveries"][0]["state"] == "sent"
    assert archive.got


def test_a_result_that_has_arrived_is_not_sent_again_for_one_that_has_not(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    try:
        films = ["a" * 32, "b" * 32]
        store.receive([Arrival(film, film * 2, 1, film) for film in films], [])
        store.outbox.add([*films, "c" * 32], ["PACS"])  # the last has been deleted meanwhile
        assert store.outbox.due("PACS", time.time(), 9) == []  # their findings are not there yet
        for film in films:
            store.judge(film, Judged("negative", "A test.", {}))
        one, other = store.outbox.due("PACS", time.time(), 9)
        store.outbox.tried(one, "sent", one["due"], "")
        for row in (one, other):  # the peer goes away: all that was taken up is told so
            store.outbox.tried(row, "waiting", row["due"], "away")
        assert [store.outbox.of(film)[0]["state"] for film in films] == ["sent", "waiting"]
        store.outbox.add([one["film"]], ["PACS"])  # it comes again
        assert store.outbox.waiting() == 1
        store.outbox.keep_to([])
        assert store.outbox.waiting() == 0
    finally:
        store.close()


def test_a_clock_that_is_set_back_holds_no_result_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, film, now = Store(tmp_path / "s"), "a" * 32, time.time()
    try:
        store.receive([Arrival(film, film * 2, 1, film)], [])
        with monkeypatch.context() as ahead:
            ahead.setattr(time, "time", lambda: now + 3e8)  # ten years
            store.outbox.add([film], ["PACS"])
        store.judge(film, Judged("negative", "A test.", {}))
        (row,) = store.outbox.due("PACS", now, 9)
        store.outbox.tried(row, "waiting", now + 3600.0, "away")  # the longest that one waits
        assert store.outbox.due("PACS", now, 9) == []
        assert len(store.outbox.due("PACS", now + 3600.0, 9)) == 1
    finally:
        store.close()


def test_results_that_cannot_be_noted_as_sent_are_sent_ever_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deliveries, waited = Deliveries.__new__(Deliveries), list[float]()

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0.0)
            if len(waited) == 8:
                self.set()
            return self.is_set()

    def full(*_: Any) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(deliveries, "_stopping", Stopping(), raising=False)
    monkeypatch.setattr(deliveries, "once", full)
    peer: Any = SimpleNamespace(peer="PACS@127.0.0.1:104", news=threading.Event())
    deliveries.run(peer)
    assert waited == [5, 10, 20, 40, 80, 160, 300, 300]


def test_callers_and_peers_are_read() -> None:
    assert caller_from("CR 1@10.0.0.5") == Caller("CR 1", "10.0.0.5")
    assert caller_from("CR1@fe80::1") == Caller("CR1", "fe80::1")
    assert caller_from("CR1@0:0:0:0:0:0:0:1") == Caller("CR1", "::1")
    assert caller_from("CR1@::ffff:10.0.0.5") == Caller("CR1", "10.0.0.5")
    assert peer_from("PACS@pacs.local:104") == Peer("PACS", "pacs.local", 104)
    assert peer_from("PACS@[::1]:104") == Peer("PACS", "::1", 104)
    for wrong in ("CR1", "CR1@host", "@10.0.0.5", "A" * 17 + "@10.0.0.5", "A\\B@10.0.0.5"):
        with pytest.raises(PleuraError, match=r"is no (caller|AE title)|no AE title"):
            caller_from(wrong)
    for wrong in ("PACS", "PACS@host", "PACS@host:0", "PACS@host:70000", "PACS@:104", "PACS@h:x"):
        with pytest.raises(ArchiveError, match="is no archive"):
            peer_from(wrong)


def test_what_cannot_be_is_said_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="say who may send"):
        NodeSettings(11112, host="0.0.0.0")
    NodeSettings(11112, host="0.0.0.0", callers=(Caller("CR1", "10.0.0.5"),))
    with pytest.raises(ServiceError, match="together"):
        NodeSettings(11112, certificate=tmp_path / "cert.pem")
    files = {"certificate": tmp_path, "key": tmp_path, "authorities": tmp_path}
    unusable = NodeSettings(11112, **files)
    with pytest.raises(ArchiveError, match="cannot be used"):
        unusable.contexts()
    node = NodeSettings(11112, peers=(Peer("PACS", "h", 104),))
    with pytest.raises(ServiceError, match="leave one of them out"):
        Settings(tmp_path, tmp_path, deidentify=True, node=node)
