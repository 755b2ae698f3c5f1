"""The durable work, on DBOS: what was promised is done, across crashes and restarts, and not twice.

A task judges a few films. It is in the index before it is started, so that nothing is lost between the two:
those that DBOS does not know are started again at each start. They are handed over by a thread of their own,
so that no upload waits for a database that does not answer. Of the tasks under way the smallest is first:
who drops one film does not wait for an archive. A film that was being judged when the service died is judged
alone the next time, so that the one that ends the service is known, and is given up after a few deaths.
"""

import heapq
import itertools
import json
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from pleura.errors import ServiceError

log = logging.getLogger(__name__)

_NAME = "pleura"
_THREADS = 100  # of tasks under way, nearly all of which wait for their turn
_VERSION = "1"  # of what a task is
_UNDER_WAY = ("PENDING", "ENQUEUED", "DELAYED")
_HAND_OVER_SECONDS = 5.0
_LOOK_SECONDS = 5.0  # between two looks at a database that has nothing to do
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


class _Json(Serializer):
    """Keeps what DBOS keeps as JSON: its own way is pickle."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=str)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "pleura_json"


class Jobs:
    """Runs tasks, at most `workers` at once.

    Only one may be alive in a process: DBOS has one state for all.

    Args:
        store: the folder of the service.
        worker: tells this service from others that share a database; the same at every start.
        url: of a PostgreSQL database, SQLAlchemy's way; None: SQLite in `store`.
        judge: what is done for each film.
        suspected: whether the service died over a film before; it is then judged alone.
        done: called with the task's id once all its films are judged.
        workers: films that are judged at once.

    Raises:
        ServiceError: `url` is not that of a PostgreSQL database.
    """

    def __init__(
        self,
        store: Path,
        worker: str,
        url: str | None,
        *,
        judge: Callable[[str], None],
        suspected: Callable[[str], bool],
        done: Callable[[str], None],
        workers: int,
    ) -> None:
        self._judge, self._suspected, self._done = judge, suspected, done
        self._turns = Turns(workers)
        # Tasks wait in a thread each, but films are judged by these few: memory that films pass through stays
        # with the thread that had it (glibc's arenas), and would be kept a hundred times.
        self._judges = ThreadPoolExecutor(workers, "judge")
        self._shown = "jobs.sqlite" if url is None else _shown(url)
        self._handed: queue.SimpleQueue[tuple[str, list[str]] | None] = queue.SimpleQueue()
        self._handing_since: float | None = None
        self._at_work: set[str] = set()  # tasks that this process was given, until they end
        self._handing = threading.Thread(target=self._hand_over, name="tasks", daemon=True)
        logging.getLogger("dbos").setLevel(logging.CRITICAL)  # it would print what it logs
        # DBOS takes up what is of its own version, whoever left it: another service must not.
        self._version = f"{_VERSION}-{worker}"
        config: DBOSConfig = {
            "name": _NAME,
            "system_database_url": url or _sqlite(store),
            "executor_id": worker,
            "application_version": self._version,
            "serializer": _Json(),
            "log_level": "CRITICAL",
            "max_executor_threads": _THREADS,
            "enable_otlp": False,
            "scheduler_polling_interval_sec": 3600.0,
        }
        DBOS(config=config)

        @DBOS.workflow(name="judge", max_recovery_attempts=None)
        def run(task: str, films: list[str]) -> None:
            self._run(task, films)

        self._task = run

    def start(self, tasks: Mapping[str, Sequence[str]]) -> None:
        """Takes up what was under way when the service died, and starts the tasks that never began.

        Raises:
            ServiceError: the database does not answer, or is not to be used.
        """
        self._at_work.update(tasks)  # those that were under way, DBOS goes on with
        try:
            DBOS.launch()
            self.take_up(tasks)
        except SQLAlchemyError as error:
            DBOS.destroy()
            why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise ServiceError(
                f"the database of the jobs, {self._shown}, cannot be used: {why}; start it, or check --jobs"
            ) from error
        self._handing.start()

    def take_up(self, tasks: Mapping[str, Sequence[str]]) -> None:
        """Starts those of the tasks that nobody works on: never begun, or broken off, as on a full disk.

        Where the disk had no room to note that it was broken off, a task seems to be under way.
        """
        for task, films in tasks.items():
            status = DBOS.get_workflow_status(task)
            if (
                status is not None
                and status.status in _UNDER_WAY
                and status.app_version == self._version
                and task in self._at_work
            ):
                continue
            if status is not None:
                DBOS.delete_workflow(task)
            self.submit(task, films)

    def submit(self, task: str, films: Sequence[str]) -> None:
        """Starts a task, soon; one that is known is not started again."""
        self._handed.put((task, list(films)))

    @property
    def waits_seconds(self) -> float:
        """For how long the database has not taken a task, s."""
        since = self._handing_since
        return 0.0 if since is None else time.monotonic() - since

    def _hand_over(self) -> None:
        while True:
            try:
                given = self._handed.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                with self._timed("the jobs could not be looked at"):
                    DBOS.get_workflow_status("none")  # is the database still there?
                continue
            if given is None:
                return
            task, films = given
            with self._timed(f"task {task} could not be started"), SetWorkflowID(task):
                self._at_work.add(task)
                try:
                    DBOS.start_workflow(self._task, task, films)
                except BaseException:
                    self._at_work.discard(task)
                    raise

    @contextmanager
    def _timed(self, failed: str) -> Iterator[None]:
        """Has it known for how long the database is waited for; a task that fails is taken up again."""
        self._handing_since = time.monotonic()
        try:
            yield
        except Exception:
            log.exception(failed)
        self._handing_since = None

    def _run(self, task: str, films: list[str]) -> None:
        try:
            for film in films:
                with self._turns.turn(len(films), alone=self._suspected(film)) as has_turn:
                    if not has_turn:  # stopping: the task is taken up at the next start
                        return
                    self._judges.submit(self._judge, film).result()
            self._done(task)
        finally:
            self._at_work.discard(task)

    def forget(self, before_ms: int) -> None:
        """Removes what is known of tasks that ended before a time, ms since 1970."""
        ended = DBOS.list_workflows(status=list(_ENDED), limit=1000, load_input=False)
        old = [one.workflow_id for one in ended if (one.updated_at or before_ms) < before_ms]
        if old:
            DBOS.delete_workflows(old)

    def stop(self, seconds: int = 30) -> None:
        """Waits for the films in hand, `seconds` at most; the rest goes on at the next start."""
        self._turns.end()
        self._handed.put(None)
        self._handing.join(_HAND_OVER_SECONDS)
        DBOS.destroy(workflow_completion_timeout_sec=seconds)
        self._judges.shutdown(wait=False)


class Turns:
    """Lets so many through at a time, the smallest number first, and those of equal numbers as they came.

    Once they are ended, nobody has a turn any more.
    """

    def __init__(self, count: int) -> None:
        self._count, self._free, self._condition = count, count, threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._numbers = itertools.count()
        self._ended = False

    def end(self) -> None:
        """Nobody is let through from now on."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    @contextmanager
    def turn(self, size: int, *, alone: bool = False) -> Iterator[bool]:
        """Waits for one's turn, and has it until the block ends, or has none: the turns are ended.

        Args:
            size: who has the smallest is first.
            alone: nobody else has a turn then.
        """
        takes = self._count if alone else 1
        with self._condition:
            ticket = (size, next(self._numbers))
            heapq.heappush(self._waiting, ticket)
            self._condition.wait_for(
                lambda: self._ended or (self._free >= takes and self._waiting[0] == ticket)
            )
            has_turn = not self._ended
            if has_turn:
                heapq.heappop(self._waiting)
                self._free -= takes
                self._condition.notify_all()
        try:
            yield has_turn
        finally:
            if has_turn:
                with self._condition:
                    self._free += takes
                    self._condition.notify_all()


def _shown(url: str) -> str:
    """A database's URL without its password.

    Raises:
        ServiceError: it is not one of PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql":
        raise ServiceError(
            "--jobs takes the URL of a PostgreSQL database, such as postgresql://pleura@127.0.0.1/pleura; "
            "what was given is none"
        )
    return parsed.render_as_string(hide_password=True)


def _sqlite(store: Path) -> str:
    path = store.absolute() / "jobs.sqlite"
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # stays set: a third of a task's time
    except sqlite3.DatabaseError as error:
        raise ServiceError(
            f"{path} cannot be used ({error}). If it is damaged, move it away: it is only the record of the "
            "work under way, which is begun anew from the index"
        ) from error
    return f"sqlite:///{path}"
