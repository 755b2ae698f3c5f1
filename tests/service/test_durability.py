"""Nothing that was taken is lost, and nothing is done twice: kill -9, restarts, retention."""

import errno
import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from a_service import Served, png
from pleura.errors import ServiceError
from pleura.service import corrections, jobs
from pleura.service.audit import Audit, verify
from pleura.service.corrections import Said
from pleura.service.deletion import delete
from pleura.service.folders import FILM, HEAT, LUNGS, MASK, RESERVE_BYTES, Folders
from pleura.service.housekeeping import Clock, Housekeeping
from pleura.service.jobs import Jobs, Turns
from pleura.service.judging import MAX_DEATHS
from pleura.service.problems import Refused
from pleura.service.store import Arrival, Judged, Store, film_id_of, suspicion
from pleura.service.worklist import Query, at_threshold, page

POSTGRES = "PLEURA_TEST_POSTGRES"
"""An environment variable with the URL of a PostgreSQL database for tests."""


@pytest.fixture(params=["sqlite", "postgres"])
def durable(request: Any, serve: Callable[..., Served]) -> Served:
    """A service, with its jobs in each kind of database."""
    if request.param == "sqlite":
        return serve()
    url = os.environ.get(POSTGRES)
    if url is None:
        pytest.skip(f"{POSTGRES} names no database")
    return serve("--jobs", url)


def test_kill_9_in_the_middle_of_a_batch_loses_nothing(durable: Served) -> None:
    served = durable
    sent = [png(seed) for seed in range(2000, 2020)]
    first = served.upload(*sent[:10]).json()["id"]
    seen: dict[str, Any] = {}

    def send_and_die() -> None:
        """The second upload may or may not be answered before the end."""
        try:
            seen["answer"] = served.upload(*sent[10:])
        except OSError:
            seen["answer"] = None

    sender = threading.Thread(target=send_and_die)
    sender.start()
    while served.json(f"/v1/jobs/{first}")["films"]["judged"] < 3:
        time.sleep(0.002)
    served.kill()
    sender.join()
    judged_before = states(served.store)

    served.start()
    found = served.wait_for(first)
    assert found["films"] == {"total": 10, "waiting": 0, "judged": 10, "failed": 0, "repeated": 0}
    again = served.upload(*sent).json()
    assert again["films"]["total"] == 20
    if seen["answer"] is not None:
        assert again["films"]["repeated"] == 20
    served.wait_for(again["id"])
    counts = served.json("/v1/films")["counts"]
    assert counts["positive"] + counts["negative"] == 20
    after = states(served.store)
    assert {film: after[film] for film in judged_before} == judged_before  # not judged anew
    assert len(list((served.store / "films").glob("*/*"))) == 20
    assert served.stop() in (0, -signal.SIGTERM)
    assert verify(served.store / "audit.jsonl") > 4
    assert '"did": "stopped"' in (served.store / "audit.jsonl").read_text().splitlines()[-1]
    after_all = Store(served.store)
    assert after_all.tasks() == {}
    after_all.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "postgresql://pleura:hidden@127.0.0.1:9/jobs",
            "pleura:***@127.0.0.1:9/jobs, cannot be used",
        ),
        ("mysql://pleura:hidden@127.0.0.1/jobs", "takes the URL of a PostgreSQL database"),
        ("hidden", "takes the URL of a PostgreSQL database"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(
    tmp_path: Path, url: str, said: str
) -> None:
    with pytest.raises(ServiceError, match=re.escape(said)) as raised:
        Jobs(tmp_path, "me", url, judge=len, suspected=bool, done=len, workers=1).start({})
    assert "hidden" not in str(raised.value)


POISON = """
import os, sys, time
from pathlib import Path
from pleura.service import jobs, judging
from pleura.service.metrics import Metrics
from pleura.service.store import Arrival, Judged, Store

class Judge(judging.Judge):
    def __init__(self):
        self._store, self._metrics = store, Metrics()

    def _judged(self, film):
        log.write(f"judged {film[0]}\\n")
        if film[0] == "b":
            time.sleep(0.2)  # until the other worker is at work, too
            os._exit(9)
        time.sleep(0.4)
        return Judged("negative", "", {})

store = Store(Path(sys.argv[1]))
log = Path(sys.argv[2]).open("a", buffering=1)
if not store.tasks():
    for names in ("ab", "cd"):
        store.receive([Arrival(name * 32, name * 64, 1, name) for name in names], [])
work = jobs.Jobs(
    Path(sys.argv[1]), store.folders.identity, None,
    judge=Judge(), suspected=store.was_begun, done=store.done, workers=2,
)
work.start(store.tasks())
while store.tasks():
    time.sleep(0.02)
log.write(" ".join(f"{row['name']} {row['state']}" for row in store.database.rows(
    "SELECT name, state FROM films ORDER BY name")) + "\\n")
work.stop(1)
store.close()
"""


def test_a_film_that_ends_the_service_is_given_up_and_no_other(tmp_path: Path) -> None:
    codes = [9]
    while codes[-1] == 9 and len(codes) < 12:
        store = tmp_path / f"store-{len(codes)}"  # which is moved, as to another machine
        if len(codes) > 1:
            store.with_name(f"store-{len(codes) - 1}").rename(store)
        command = [sys.executable, "-c", POISON, str(store), str(tmp_path / "log")]
        done = subprocess.run(command, capture_output=True, text=True)
        codes.append(done.returncode)
    assert codes == [9, 9, 9, 9, 0], done.stderr
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines.count("judged b") == MAX_DEATHS == 3
    assert lines[-1] == "a negative b failed c negative d negative"


FULL = """
import sqlite3, sys, time
from contextlib import closing
from pathlib import Path
from pleura.service import jobs

root, tasks, judged = Path(sys.argv[1]), {"ab": ["a", "b"], "c": ["c"]}, []

def change(command):
    with closing(sqlite3.connect(root / "jobs.sqlite", isolation_level=None)) as index:
        index.execute(command)

def judge(film):
    if full:
        judged.append("none")
        raise OSError(28, "No space left on device")
    judged.append(film)

full = True
work = jobs.Jobs(root, "me", None, judge=judge, suspected=lambda film: False, done=tasks.pop, workers=1)
work.start({})
change("CREATE TRIGGER full BEFORE UPDATE ON workflow_status BEGIN SELECT RAISE(FAIL, 'full'); END")
work.take_up(tasks)
while len(judged) < 2 or work._at_work:
    time.sleep(0.02)
full = False
change("DROP TRIGGER full")
while tasks:
    work.take_up(dict(tasks))
    time.sleep(0.1)
work.stop(1)
print(*sorted(judged))
"""


def test_tasks_that_a_full_disk_broke_off_go_on_once_there_is_room(tmp_path: Path) -> None:
    """Nobody could note that they were broken off."""
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["a", "b", "c", "none", "none"], done.stderr


def states(store: Path) -> dict[str, int]:
    """The revision at which each judged film was judged."""
    with sqlite3.connect(store / "store.sqlite") as connection:
        rows = connection.execute("SELECT id, revision FROM films WHERE state != 'waiting'")
        found = dict(rows.fetchall())
    connection.close()
    return found


def arrival(store: Store, content: bytes, name: str = "a.png") -> Arrival:
    sha256 = hashlib.sha256(content).hexdigest()
    film_id = film_id_of(sha256)
    with store.folders.spooled() as place:
        (place / "0").write_bytes(content)
        store.folders.place({film_id: place / "0"})
    return Arrival(film_id, sha256, len(content), name)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = Store(tmp_path / "store")
    yield made
    made.close()


def judged(state: str = "positive", probability: float | None = 0.9, **columns: Any) -> Judged:
    given = {"rows": 10, "columns": 20, "probability": probability, "calibrated": True, **columns}
    film = {"film": {"source_format": "png"}, "viewing": None}
    finding = {"decision": state, "reason": "because", "model_sha256": "m"}
    return Judged(state, "because", given, film, finding, {})


def test_films_come_once_and_are_judged_once(store: Store) -> None:
    films = [arrival(store, bytes([n])) for n in range(20)]
    job, tasks = store.receive([*films, films[0]], [{"name": "x", "reason": "y"}])
    assert [len(task) for task in tasks.values()] == [8, 8, 4]
    assert list(tasks) == [f"{job}-0", f"{job}-1", f"{job}-2"]
    assert store.tasks() == tasks
    told = store.job(job)
    assert told is not None
    assert told["films"] == {"total": 21, "waiting": 21, "judged": 0, "failed": 0, "repeated": 1}
    assert (len(told["film_ids"]), told["refused"]) == (21, [{"name": "x", "reason": "y"}])
    assert store.receive(films, [])[1] == {}
    assert store.judge(films[0].id, judged())
    assert not store.judge(films[0].id, judged("negative"))
    assert store.counts()["positive"] == 1
    assert not store.judge("0" * 32, judged())
    store.done(f"{job}-0")
    assert list(store.tasks()) == [f"{job}-1", f"{job}-2"]


def test_a_film_that_failed_is_tried_again_when_it_comes_again(store: Store) -> None:
    films = [arrival(store, bytes([n])) for n in range(2)]
    store.receive(films, [])
    store.begin(films[0].id)
    assert store.judge(films[0].id, Judged("failed", "a full disk", {}))
    assert store.judge(films[1].id, judged())
    job, tasks = store.receive([*films, films[0]], [])
    assert list(tasks.values()) == [[films[0].id]]
    told = store.job(job)
    assert told is not None
    assert told["films"] == {"total": 3, "waiting": 2, "judged": 1, "failed": 0, "repeated": 2}
    row = store.film(films[0].id)
    assert row is not None
    assert (row["state"], row["tries"], row["reason"]) == ("waiting", 0, None)


def test_a_film_that_is_judged_again_keeps_nothing_of_before(store: Store) -> None:
    film = arrival(store, b"x")
    store.receive([film], [])
    assert store.again(film.id) is None  # it waits
    assert store.judge(film.id, judged())
    store.folders.replace(film.id, {MASK: b"png", HEAT: b"png"})
    begun = store.again(film.id)
    assert begun is not None
    assert list(begun[1].values()) == [[film.id]]
    store.folders.replace(film.id, {MASK: b"other", HEAT: None})
    assert store.judge(film.id, judged("negative", 0.1))
    assert store.folders.file(film.id, MASK).read_bytes() == b"other"
    assert not store.folders.file(film.id, HEAT).exists()


def test_a_film_that_is_judged_again_in_vain_is_what_it_was(store: Store) -> None:
    film = arrival(store, b"x")
    store.receive([film], [])
    store.outbox.keep_to(["PACS"])
    store.outbox.add([film.id], ["PACS"])
    assert store.judge(film.id, judged(side="left"))
    (due,) = store.outbox.due("PACS", time.time() + 1, 9)
    store.outbox.tried(due, "sent", due["due"], "")
    before = store.film(film.id)
    assert before is not None
    store.again(film.id)
    assert store.judge(film.id, Judged("failed", "it is damaged.", {}))
    after = store.film(film.id)
    assert after is not None
    assert after["reason"] == "because Judging it again was in vain: it is damaged."
    same = set(before.keys()) - {"reason", "revision"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert [one["state"] for one in store.outbox.of(film.id)] == ["sent"]


def test_pictures_of_a_finding_are_replaced_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = arrival(store, b"x")
    store.folders.replace(film.id, {HEAT: b"heat", MASK: b"mask"})
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if data == b"new mask":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        store.folders.replace(film.id, {HEAT: None, LUNGS: b"lungs", MASK: b"new mask"})
    folder = store.folders.folder(film.id)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        FILM: b"x",
        HEAT: b"heat",
        MASK: b"mask",
    }


def test_results_do_not_go_where_they_no_longer_go(store: Store) -> None:
    film = arrival(store, b"x")
    store.receive([film], [])
    store.outbox.add([film.id], ["NEW", "OLD"])
    store.outbox.keep_to(["NEW"])
    store.judge(film.id, judged())
    store.again(film.id)
    store.judge(film.id, judged("negative"))
    waiting = [one["destination"] for one in store.outbox.of(film.id) if one["state"] == "waiting"]
    assert waiting == ["NEW"]


def test_a_film_without_its_file_is_mended_when_it_comes_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"content"
    film = arrival(store, content)
    store.receive([film], [])
    store.judge(film.id, judged())
    file = store.folders.file(film.id)
    assert store.is_kept(film)
    for damage in (file.unlink, lambda: file.write_bytes(content[:3])):
        damage()
        assert not store.is_kept(film)
        arrival(store, content)
    store.again(film.id)
    with store.database.transaction() as connection:
        connection.execute("UPDATE films SET finding = NULL")
    store.judge(film.id, Judged("failed", "it is damaged", {}))
    assert not store.is_kept(film)  # of the right size or not

    seen = []
    remove = store.folders.remove
    monkeypatch.setattr(
        store.folders, "remove", lambda one: (seen.append(store.has(one)), remove(one))
    )
    store.delete([film.id])
    assert seen == [False]  # a crash leaves a file without a row, never a row without its file


def test_a_folder_that_an_upload_just_filled_is_not_removed(store: Store) -> None:
    """As a judge does whose film was deleted, and comes again before it knows."""
    film = Arrival("a" * 32, "a" * 64, 4, "a.png")
    with store.arriving:
        (store.folders.spool / "0").write_bytes(b"film")
        store.folders.place({film.id: store.folders.spool / "0"})
        judge = threading.Thread(target=store.remove_orphan, args=(film.id,))
        judge.start()
        time.sleep(0.05)
        store.receive([film], [])
    judge.join()
    assert store.folders.file(film.id).read_bytes() == b"film"


def test_large_uploads_have_few_tasks(store: Store) -> None:
    sha = [hashlib.sha256(bytes([n // 256, n % 256])).hexdigest() for n in range(300)]
    films = [Arrival(film_id_of(one), one, 1, "a") for one in sha]
    tasks = store.receive(films, [])[1]
    assert [len(task) for task in tasks.values()] == [10] * 30


def test_who_is_to_be_alone_is_alone() -> None:
    turns, inside = Turns(2), []

    def work(alone: bool) -> None:
        with turns.turn(1, alone=alone):
            inside.append(turns._free)

    with turns.turn(1):
        thread = threading.Thread(target=work, args=(True,))
        thread.start()
        time.sleep(0.05)
        assert inside == []
    thread.join()
    work(False)
    assert inside == [0, 1]


def test_the_smallest_comes_first() -> None:
    turns, order = Turns(1), []

    def wait(size: int) -> None:
        with turns.turn(size):
            order.append(size)

    threads = [threading.Thread(target=wait, args=(size,)) for size in (32, 8, 1, 8)]
    with turns.turn(1):
        for thread in threads:
            thread.start()
        while len(turns._waiting) < len(threads):
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == [1, 8, 8, 32]


def test_changes_are_told_in_order_and_once(store: Store) -> None:
    heard: list[int] = []
    stop = store.listen(lambda: heard.append(store.revision))
    films = [arrival(store, bytes([n])) for n in range(3)]
    store.receive(films, [])
    start = store.revision
    store.judge(films[1].id, judged())
    store.mark_read(films[0].id, True)
    store.judge(films[0].id, judged())
    store.delete([films[2].id])
    told = store.changes(start, 10)
    assert [(film, row is None) for _, film, row in told] == [
        (films[1].id, False),
        (films[0].id, False),
        (films[2].id, True),
    ]
    assert [revision for revision, _, _ in told] == sorted(revision for revision, _, _ in told)
    assert store.changes(told[-1][0], 10) == []
    assert store.changes(start, 1) == told[:1]
    stop()
    count = len(heard)
    store.delete([films[1].id])
    assert len(heard) == count >= 5


def test_a_deleted_film_leaves_nothing(store: Store) -> None:
    film = arrival(store, b"film")
    store.receive([film], [])
    store.judge(film.id, judged())
    corrections.add(store, film.id, Said("corrected", "", "me", "local", None, b"png", 50))
    store.folders.remember(f"{film.id}.pixels", b"x")
    folder = store.folders.folder(film.id)
    assert sorted(path.name for path in folder.iterdir()) == ["correction-1.png", FILM]
    assert store.delete([film.id, "f" * 32]) == 1
    assert not folder.exists()
    assert list(store.folders.cache.iterdir()) == []
    for table in ("films", "corrections", "job_films"):
        assert store.database.rows(f"SELECT * FROM {table}") == []


@pytest.mark.parametrize(
    ("state", "verdict", "area", "label"),
    [
        ("positive", "accepted", None, 1),
        ("negative", "accepted", None, 0),
        ("declined", "accepted", None, None),
        ("positive", "rejected", None, 0),
        ("negative", "rejected", None, None),
        ("negative", "corrected", 50, 1),
        ("positive", "corrected", 0, 0),
        ("declined", "corrected", 50, 1),
    ],
)
def test_what_a_correction_says_of_the_film(
    store: Store, state: str, verdict: Any, area: int | None, label: int | None
) -> None:
    film = arrival(store, b"film")
    store.receive([film], [])
    with pytest.raises(Refused, match="waiting"):
        corrections.add(store, film.id, Said("accepted", "", "me", "local"))
    store.judge(film.id, judged(state, None if state == "declined" else 0.5))
    mask = None if area is None else b"png"
    kept, is_new = corrections.add(
        store, film.id, Said(verdict, "why", "me", "local", 2.0, mask, area or 0)
    )
    assert (kept["label"], kept["number"], is_new) == (label, 1, True)
    assert kept["area_fraction"] == (None if area is None else area / 200)
    assert kept["model_sha256"] == "m"
    other, is_new = corrections.add(store, film.id, Said("accepted", "", "other", "local"))
    assert (other["number"], is_new) == (2, True)
    row = store.film(film.id)
    assert row is not None
    assert (row["verdict"], row["state"]) == ("accepted", state)
    assert [one["reader"] for one in corrections.of_film(store, film.id)] == ["me", "other"]


def test_the_order_of_suspicion() -> None:
    order = [
        suspicion("positive", 0.9),
        suspicion("positive", 0.1),
        suspicion("declined", None),
        suspicion("failed", None),
        suspicion("negative", 0.99),
        suspicion("negative", 0.0),
        suspicion("waiting", None),
    ]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) == len(order)


def test_pages_hold_while_films_come(store: Store) -> None:
    films = [arrival(store, bytes([n])) for n in range(9)]
    store.receive(films, [])
    for n, film in enumerate(films):
        store.judge(film.id, judged("negative", n / 10))
    first = page(store, Query(limit=4))
    assert [row["probability"] for row in first.rows] == [0.8, 0.7, 0.6, 0.5]
    late = arrival(store, b"late")
    store.receive([late], [])
    store.judge(late.id, judged("positive", 0.9))
    second = page(store, Query(limit=4, cursor=first.next))
    assert [row["probability"] for row in second.rows] == [0.4, 0.3, 0.2, 0.1]
    assert (second.total, page(store, Query(limit=4, cursor=second.next)).next) == (10, None)


def test_what_another_presence_threshold_would_change(store: Store) -> None:
    # state, probability, regions; the model's own threshold is 0.5
    told = [
        ("positive", 0.9, True),
        ("positive", 0.6, True),
        ("negative", 0.7, False),  # suspected, and nothing to draw
        ("negative", 0.45, True),
        ("negative", 0.45, None),  # a cascade made no map of it
        ("negative", 0.1, True),
        ("declined", None, None),
    ]
    films = [arrival(store, bytes([n])) for n in range(8)]
    store.receive(films, [])
    for film, (state, probability, regions) in zip(films, told, strict=False):
        store.judge(film.id, judged(state, probability, has_regions=regions))

    def at(presence: float, **query: Any) -> tuple[int, ...]:
        return tuple(at_threshold(store, Query(**query), presence).values())

    # judged, positive, would, gained, lost, unknown
    assert at(0.5) == (6, 2, 2, 0, 0, 0)
    assert at(0.45) == (6, 2, 3, 1, 0, 1)
    assert at(0.0) == (6, 2, 4, 2, 0, 1)
    assert at(0.8) == (6, 2, 1, 0, 1, 0)
    assert at(1.0) == (6, 2, 0, 0, 2, 0)
    assert at(0.0, states=["negative"]) == (4, 0, 2, 2, 0, 1)
    assert at(0.0, states=["waiting"]) == (0, 0, 0, 0, 0, 0)
    changed = page(store, Query(changes_at=0.8)).rows
    assert [row["probability"] for row in changed] == [0.6]
    assert page(store, Query(changes_at=0.0)).total == 2
    assert page(store, Query(changes_at=0.5)).total == 0
    assert store.counts()["positive"] == 2  # nothing was changed


def test_retention_spares_what_was_corrected(store: Store, tmp_path: Path) -> None:
    films = [arrival(store, bytes([n])) for n in range(4)]
    store.receive(films, [])
    for film in films[:3]:
        store.judge(film.id, judged())
    corrections.add(store, films[1].id, Said("accepted", "", "me", "local"))
    audit = Audit(tmp_path / "audit.jsonl")
    forgotten: list[int] = []
    keeper = Housekeeping(store, audit, 2.0, forgotten.append)
    keeper.once(time.time() + 1.9 * 86400)
    assert store.counts()["positive"] == 3
    keeper.once(time.time() + 2.1 * 86400)
    left = {row["id"] for row in store.database.rows("SELECT id FROM films")}
    assert left == {films[1].id, films[3].id}  # corrected; still waiting
    assert forgotten == sorted(forgotten)
    audit.close()
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert {(line["who"], line["what"]) for line in lines} == {
        ("retention", films[0].id),
        ("retention", films[2].id),
    }


def test_a_clock_that_was_set_makes_no_film_old() -> None:
    said = {"now": 1e9, "ticked": 50.0}

    def passes(seconds: float, jump: float = 0.0) -> None:
        said["now"] += seconds + jump
        said["ticked"] += seconds

    clock = Clock(lambda: said["now"], lambda: said["ticked"])
    passes(300.0, jump=5.0)  # as time servers do
    assert clock.may_be_believed()
    passes(300.0, jump=40 * 86400.0)
    assert not clock.may_be_believed()
    passes(86000.0)
    assert not clock.may_be_believed()
    passes(1000.0)
    assert clock.may_be_believed()
    passes(300.0, jump=-40 * 86400.0)  # somebody saw to it
    assert not clock.may_be_believed()


def test_a_clock_that_was_set_is_not_believed_after_a_restart(store: Store, tmp_path: Path) -> None:
    audit, said = Audit(tmp_path / "audit.jsonl"), {"now": 1e9, "ticked": 50.0}
    for jump, passes, believed in (
        (0.0, 300.0, True),
        (4e7, 300.0, False),  # to the next year
        (0.0, 300.0, False),
        (-4e7, 600.0, False),  # somebody saw to it
        (0.0, 86400.0, True),
    ):
        keeper = Housekeeping(store, audit, 2.0, lambda _: None)  # of a service that starts
        clock = keeper.clock(lambda: said["now"], lambda: said["ticked"])
        said["now"] += passes + jump
        said["ticked"] += passes
        assert clock.may_be_believed() is believed
    audit.close()


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="of Linux")
def test_a_machine_that_slept_had_no_clock_set(monkeypatch: pytest.MonkeyPatch) -> None:
    awake, slept = 50.0, 0.0
    monkeypatch.setattr(
        time, "clock_gettime", lambda which: awake + slept * (which == time.CLOCK_BOOTTIME)
    )
    clock = Clock(lambda: 1e9 + awake + slept)
    awake, slept = awake + 300.0, 8 * 3600.0
    assert clock.may_be_believed()


def test_films_that_are_retained_grow_no_older(store: Store, tmp_path: Path) -> None:
    film = arrival(store, b"x")
    store.receive([film], [])
    store.judge(film.id, judged())
    audit = Audit(tmp_path / "audit.jsonl")
    keeper = Housekeeping(store, audit, 2.0, lambda _: None)
    keeper.once(time.time() + 40 * 86400, retain=True)
    assert store.has(film.id)
    keeper.once(time.time() + 40 * 86400)
    assert not store.has(film.id)
    audit.close()


def test_a_full_disk_has_room_to_delete(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = [arrival(store, bytes([n])) for n in range(2)]
    store.receive(films, [])
    audit, note = Audit(tmp_path / "audit.jsonl"), Audit.note

    def noted(self: Audit, *said: str, durable: bool = False) -> None:
        if (store.folders.root / "reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        note(self, *said, durable=durable)

    monkeypatch.setattr(Audit, "note", noted)
    store.folders.keep_reserve(10**18)
    assert not (store.folders.root / "reserve").exists()  # others need the room
    store.folders.keep_reserve(0)
    assert (store.folders.root / "reserve").stat().st_size == RESERVE_BYTES
    delete(store, audit, [films[0].id], "me")
    assert not store.has(films[0].id)
    monkeypatch.setattr(
        Audit, "note", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, ""))
    )
    with pytest.raises(OSError, match="5"):
        delete(store, audit, [films[1].id], "me")
    assert store.has(films[1].id)
    audit.close()


def test_what_is_deleted_is_in_the_index_no_longer(store: Store) -> None:
    film = arrival(store, b"x")
    store.receive([film], [{"name": "MUSTERMANN_MAX.pdf", "reason": "is no film"}])
    store.delete([film.id])
    store.database.checkpoint()
    index = [path.read_bytes() for path in store.folders.root.glob("store.sqlite*")]
    assert b"MUSTERMANN" not in b"".join(index)


def test_a_damaged_record_of_the_jobs_is_told_from_the_index(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ServiceError, match=r"jobs\.sqlite cannot be used .* move it away"):
        jobs._sqlite(tmp_path)


def test_what_another_service_began_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    mine: Any = SimpleNamespace(
        _version="1-me", _at_work={"mine"}, submit=lambda task, films: begun.append(task)
    )
    known = {
        "mine": SimpleNamespace(status="PENDING", app_version="1-me"),
        "before": SimpleNamespace(status="PENDING", app_version="1"),
        "ended": SimpleNamespace(status="SUCCESS", app_version="1-me"),
    }
    monkeypatch.setattr(jobs.DBOS, "get_workflow_status", known.get)
    monkeypatch.setattr(jobs.DBOS, "delete_workflow", known.pop)
    Jobs.take_up(mine, {key: ["film"] for key in ("mine", "before", "ended", "new")})
    assert begun == ["before", "ended", "new"]
    assert list(known) == ["mine"]


def test_turns_that_are_ended_are_nobodys() -> None:
    turns, had = Turns(1), []

    def work() -> None:
        with turns.turn(1) as has_turn:
            had.append(has_turn)

    with turns.turn(1) as first:
        waits = threading.Thread(target=work)
        waits.start()
        turns.end()
        waits.join(5)
    work()
    assert (first, had) == (True, [False, False])


def test_what_no_upload_was_answered_for_is_removed(store: Store, tmp_path: Path) -> None:
    kept, orphan = (arrival(store, name) for name in (b"kept", b"orphan"))
    store.receive([kept], [])
    folder = store.folders.folder(kept.id)
    written = folder / f".heat.png.{os.getpid()}.partial"  # just now
    for path in (
        written,
        folder / ".mask.png.9999999.partial",
    ):  # and before the service was killed
        path.touch()
    audit = Audit(tmp_path / "a")
    Housekeeping(store, audit, None, lambda _: None).remove_orphans()
    audit.close()
    assert [store.folders.folder(one.id).exists() for one in (kept, orphan)] == [True, False]
    assert set(folder.iterdir()) == {folder / FILM, written}


def test_what_was_half_written_goes_at_the_next_start(tmp_path: Path) -> None:
    Folders(tmp_path).close()
    for name in (".reserve.4711.partial", "cache/.film.pixels-1.4711.partial"):
        (tmp_path / name).write_bytes(b"half")
    Folders(tmp_path).close()
    assert not list(tmp_path.rglob("*.partial"))


def test_the_cache_keeps_what_was_asked_for_last(store: Store) -> None:
    for n in range(4):
        os.utime(store.folders.remember(f"{n}", b"x" * 10), (n + 1, n + 1))
    store.folders.trim_cache(25)
    assert sorted(path.name for path in store.folders.cache.iterdir()) == ["2", "3"]


def test_the_cache_leaves_the_reserve_free(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folders, size = store.folders, 1000

    def room(self: Folders) -> int:
        return size - sum(path.stat().st_size for path in self.cache.iterdir())

    monkeypatch.setattr(Folders, "room", room)
    for n in range(9):
        path = folders.remember(f"{n}", b"x" * 100, 700)
        if path.exists():
            os.utime(path, (n + 1, n + 1))
    assert sorted(path.name for path in folders.cache.iterdir()) == ["6", "7", "8"]
    assert not folders.remember("large", b"x" * 400, 700).exists()
    assert list(folders.cache.iterdir()) == []  # it was tried
    folders.remember("9", b"x" * 100)
    assert folders.make_room(1000)
    assert not folders.make_room(1001)


def test_the_cache_is_given_up_before_anything_that_needs_room(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = arrival(store, b"x")
    store.receive([film], [])
    gone = "f" * 32
    audit = Audit(tmp_path / "a")
    keeper = Housekeeping(store, audit, 1.0, lambda _: None, 10**18)
    store.folders.remember(f"{film.id}.pixels", b"x")
    monkeypatch.setattr(keeper, "delete_before", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        keeper.once(time.time())
    assert list(store.folders.cache.iterdir()) == []
    for name in (f"{film.id}.pixels", f"{gone}.pixels", f".{gone}.pixels-1.partial"):
        (store.folders.cache / name).write_bytes(b"x")
    keeper.clear_cache()
    assert [path.name for path in store.folders.cache.iterdir()] == [f"{film.id}.pixels"]
    audit.close()


def test_names_of_refused_files_go_with_their_films(store: Store) -> None:
    films = [arrival(store, bytes([n])) for n in range(2)]
    job, _ = store.receive(films, [{"name": "DOE_JOHN.pdf", "reason": "is no film"}])
    for film, left in zip(films, (1, 0), strict=True):
        store.delete([film.id])
        told = store.job(job)
        assert told is not None
        assert len(told["refused"]) == left


def test_a_store_is_one_service_s(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="another service works on"):
        Folders(tmp_path / "store")
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0
    assert (tmp_path / "store" / "secret").stat().st_mode & 0o077 == 0


def test_an_index_of_another_format_is_refused(tmp_path: Path) -> None:
    first = Store(tmp_path / "s")
    with first.database.transaction() as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE name = 'format'")
    first.close()
    with pytest.raises(ServiceError, match="is of format 99"):
        Store(tmp_path / "s")
    broken = tmp_path / "t"
    Store(broken).close()
    (broken / "store.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ServiceError, match="cannot be used"):
        Store(broken)
