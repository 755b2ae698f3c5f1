"""Routes of a service whose decoders, disk or index do what the test wants; it judges nothing."""

import asyncio
import errno
import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from pleura.errors import UnsupportedFilm
from pleura.service import about, decoder, films, lists, pictures
from pleura.service.access import Access
from pleura.service.problems import MEDIA_TYPE, install
from pleura.service.running import MOST_OPENINGS, Running
from pleura.service.settings import Settings
from pleura.service.store import Arrival, Judged, film_id_of


@pytest.fixture
def running(bundle: Path, tmp_path: Path) -> Iterator[Running]:
    made = Running(Settings(tmp_path / "s", bundle, runtime="onnxruntime"))
    yield made
    made.audit.close()
    made.store.close()


@pytest.fixture
def client(running: Running) -> Iterator[TestClient]:
    app = FastAPI()
    install(app)
    for router in (about, films, lists, pictures):
        app.include_router(router.routes(running))
    app.add_middleware(
        Access, settings=running.settings, sessions=running.sessions, metrics=running.metrics
    )
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as made:
        yield made


def film(running: Running, name: str = "a.png") -> str:
    """A film that was judged."""
    store, sha256 = running.store, hashlib.sha256(name.encode()).hexdigest()
    film_id = film_id_of(sha256)
    store.receive([Arrival(film_id, sha256, 1, name)], [])
    facts = {"film": {"source_format": "png"}, "viewing": None}
    finding = {"decision": "negative", "reason": "", "model_sha256": "m"}
    store.judge(film_id, Judged("negative", "", {"probability": 0.1}, facts, finding, {}))
    return film_id


def test_nothing_is_kept_of_a_film_that_is_deleted_meanwhile(
    running: Running, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = film(running)

    def ask(*_: Any) -> Any:
        running.store.delete([one])
        return {}, [b"pixels"]

    monkeypatch.setattr(running.decoders, "ask", ask)
    assert client.get(f"/v1/films/{one}/pixels").status_code == 404
    assert list(running.store.folders.cache.iterdir()) == []


def test_busy_decoders_hold_nothing_else_up(
    running: Running, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, gate = film(running), threading.Event()

    def ask(*_: Any) -> Any:
        gate.wait(20)
        return {}, [b"jpeg"]

    monkeypatch.setattr(running.decoders, "ask", ask)
    with ThreadPoolExecutor(60) as pool:
        asked = [
            pool.submit(client.get, f"/v1/films/{one}/overlay?size={100 + n}") for n in range(45)
        ]
        while sum(answer.done() for answer in asked) < 45 - MOST_OPENINGS:
            time.sleep(0.01)
        start = time.monotonic()
        assert client.get("/v1/films").status_code == 200
        assert client.get("/readyz").status_code == 503  # it has not been started
        assert time.monotonic() - start < 5
        gate.set()
        answers = [answer.result() for answer in asked]
    assert sum(answer.status_code == 200 for answer in answers) == MOST_OPENINGS
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {(answer.status_code, answer.headers["Retry-After"]) for answer in refused} == {
        (503, "2")
    }


def test_an_upload_holds_nothing_else_up_while_it_is_noted(
    running: Running, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    looped: list[object] = []
    monkeypatch.setattr(running, "jobs", SimpleNamespace(waits_seconds=0.0))
    monkeypatch.setattr(running, "submit", lambda _: None)
    monkeypatch.setattr(running.decoders, "ask", lambda *_: ({}, []))
    monkeypatch.setattr(
        running.audit, "note", lambda *_, **__: looped.append(asyncio._get_running_loop())
    )
    picture = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    answer = client.post("/v1/films", files=[("files", ("a.png", picture))])
    assert answer.status_code == 202, answer.text
    assert looped == [None]  # in a thread of its own


def full_index() -> Exception:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


@pytest.mark.parametrize("error", [full_index(), OSError(errno.ENOSPC, "No space left")])
def test_a_full_disk_is_told_as_such(
    running: Running, client: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: Any) -> None:
        raise error

    monkeypatch.setattr(running.store, "mark_read", full)
    answer = client.put(f"/v1/films/{'0' * 32}/read")
    assert (answer.status_code, answer.json()["title"]) == (507, "Insufficient Storage")


def test_a_full_disk_takes_no_film_and_says_so(
    running: Running, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = film(running, "a")
    monkeypatch.setattr(running, "jobs", SimpleNamespace(waits_seconds=0.0))
    monkeypatch.setattr(running.store.folders, "make_room", lambda _: False)
    for answer in (
        client.post("/v1/films", files=[("files", ("a", b"x"))]),
        client.post(f"/v1/films/{one}/judge"),
    ):
        assert answer.status_code == 507, answer.text
        assert "no room for this" in answer.json()["detail"]
    monkeypatch.setattr(running.store.folders, "make_room", lambda _: True)
    running.jobs.waits_seconds = 11.0
    assert client.post(f"/v1/films/{one}/judge").headers["Retry-After"] == "5"


def test_a_film_that_is_deleted_before_it_is_sent_is_not_there(
    running: Running, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = film(running, "a")
    running.store.folders.folder(one).mkdir(parents=True)
    running.store.folders.file(one).write_bytes(b"x")
    note = running.audit.note

    def noted(who: str, did: str, what: str = "", **how: Any) -> None:
        note(who, did, what, **how)
        running.store.folders.file(one).unlink(missing_ok=True)

    monkeypatch.setattr(running.audit, "note", noted)
    answer = client.get(f"/v1/films/{one}/file")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, MEDIA_TYPE)


def test_what_a_reason_quotes_of_a_header_is_not_kept_without_identities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> Any:
        raise UnsupportedFilm(
            "its Modality is 'GEHEIM^Max', and \"O'Neil\"; raise Limits.max_pixels"
        )

    for asked, reason in (
        ("open", "its Modality is 'GEHEIM^Max', and \"O'Neil\"; raise --pixel-limit"),
        ("deidentify", "its Modality is …, and …; raise --pixel-limit"),
    ):
        monkeypatch.setitem(decoder.OPERATIONS, asked, refuse)
        assert decoder._answer({"do": asked}, []) == (
            {"error": "UnsupportedFilm", "reason": reason},
            [],
        )


@pytest.mark.parametrize("letter", ["\U0001f600", "\u0390", "\N{LATIN SMALL LIGATURE FFI}", "\\"])
def test_pages_by_name_go_on_whatever_the_names(
    running: Running, client: TestClient, letter: str
) -> None:
    found = {film(running, letter * 199 + str(n)) for n in range(3)}
    cursor, listed = None, set()
    for _ in range(3):
        query = {"sort": "name", "limit": 1, **({"cursor": cursor} if cursor else {})}
        page = client.get("/v1/films", params=query).json()
        listed |= {one["id"] for one in page["films"]}
        cursor = page["next"]
    assert (listed, cursor) == (found, None)
