"""The durable work, on DBOS: what was promised is done, across crashes and restarts, and not twice.

A task judges a few films. It is in the index before it is started, so that nothing is lost between the two:
at each start the tasks of the index are started again, and DBOS knows those it has. DBOS counts how often a
task was taken up again after the service died in it; beyond `MAX_DEATHS` its films are given up instead of
ending the service for ever.
"""

import json
import logging
import socket
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID

log = logging.getLogger(__name__)

MAX_DEATHS = 3
_NAME = "pleura"
_VERSION = "1"  # of what a task is; tasks of another are not taken up
_FAILED = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED")


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
        store: the folder of the service; its name tells this worker from others that share a database.
        url: of the database, SQLAlchemy's way; None: SQLite in `store`.
        judge, give_up: what is done for each film, and instead of it where that killed the service.
        done: called with the task's id once all its films are judged.
        workers: tasks that run at once.
    """

    def __init__(
        self,
        store: Path,
        url: str | None,
        *,
        judge: Callable[[str], None],
        give_up: Callable[[str], None],
        done: Callable[[str], None],
        workers: int,
    ) -> None:
        self._judge, self._give_up, self._done = judge, give_up, done
        logging.getLogger("dbos").setLevel(logging.CRITICAL)  # it would print what it logs
        config: DBOSConfig = {
            "name": _NAME,
            "system_database_url": url or _sqlite(store),
            "executor_id": f"{socket.gethostname()}:{store.absolute()}",
            "application_version": _VERSION,
            "serializer": _Json(),
            "log_level": "CRITICAL",
            "max_executor_threads": workers,
            "enable_otlp": False,
            "scheduler_polling_interval_sec": 3600.0,
        }
        DBOS(config=config)

        @DBOS.workflow(name="judge", max_recovery_attempts=MAX_DEATHS)
        def run(task: str, films: list[str]) -> None:
            self._run(task, films)

        self._task = run

    def start(self, tasks: Mapping[str, Sequence[str]]) -> None:
        """Takes up what was under way when the service died, and starts the tasks that never began."""
        DBOS.launch()
        for task, films in tasks.items():
            status = DBOS.get_workflow_status(task)
            if status is not None and status.status in _FAILED:
                log.error(
                    "task %s was given up after it ended the service %s times", task, MAX_DEATHS
                )
                for film in films:
                    self._give_up(film)
                self._done(task)
            elif status is not None and status.status == "SUCCESS":
                self._done(task)
            else:
                self.submit(task, films)

    def submit(self, task: str, films: Sequence[str]) -> None:
        """Starts a task; one that is known is not started again."""
        with SetWorkflowID(task):
            DBOS.start_workflow(self._task, task, list(films))

    def _run(self, task: str, films: list[str]) -> None:
        for film in films:
            self._judge(film)
        self._done(task)

    def forget(self, before_ms: int) -> None:
        """Removes what is known of tasks that ended before a time, ms since 1970."""
        ended = DBOS.list_workflows(status=["SUCCESS", *_FAILED], limit=1000, load_input=False)
        old = [one.workflow_id for one in ended if (one.updated_at or before_ms) < before_ms]
        if old:
            DBOS.delete_workflows(old)

    def stop(self, seconds: int = 30) -> None:
        """Waits for the tasks that run, `seconds` at most; the rest goes on at the next start."""
        DBOS.destroy(workflow_completion_timeout_sec=seconds)


def _sqlite(store: Path) -> str:
    path = store.absolute() / "jobs.sqlite"
    with sqlite3.connect(path) as connection:  # WAL stays set: a third of the time a task takes
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return f"sqlite:///{path}"
