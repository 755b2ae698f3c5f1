"""The running service: its parts, their start and their stop."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pleura.inference.bundle import Bundle
from pleura.inference.detector import Detector
from pleura.service.access import Sessions
from pleura.service.audit import Audit
from pleura.service.decoding import Decoders
from pleura.service.housekeeping import Housekeeping
from pleura.service.jobs import Jobs
from pleura.service.judging import Judge
from pleura.service.metrics import Metrics
from pleura.service.node_settings import NodeSettings
from pleura.service.problems import NO_ROOM, Refused
from pleura.service.settings import Settings
from pleura.service.store import Store
from pleura.service.uploads import Uploads

if TYPE_CHECKING:
    from pleura.service.deliveries import Deliveries
    from pleura.service.dicom_node import Node

log = logging.getLogger(__name__)

MOST_OPENINGS = 20
"""Requests that wait for a process that opens files; half of the threads that answer requests."""

DISK_FULL = "the disk is full"
_MOST_WAIT_SECONDS = 10.0  # until a database that takes no task is said to be away


class Running:
    """All parts of a service; made before the server listens, started and stopped with it.

    Raises:
        PleuraError: the store or the bundle cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.store = Store(settings.store)
        try:
            self.audit = Audit(self.store.folders.root / "audit.jsonl")
            self.detector = Detector.load(
                settings.bundle,
                settings.device,
                runtime=settings.runtime,
                precision=settings.precision,
                threads=settings.threads,
            )
        except BaseException:
            self.store.close()
            raise
        identity = self.detector.bundle.identity
        self.metrics.model.info(
            {"name": identity.name, "version": identity.version, "sha256": identity.sha256}
        )
        self.metrics.refer(self.detector.bundle.manifest)
        bounds = settings.bounds
        self.sessions = Sessions(settings.token, self.store.folders.secret, self.store.database)
        # One more than films are judged at once, so that a page opens while an archive is read.
        self.decoders = Decoders(
            settings.workers + 1,
            seconds=bounds.decode_seconds,
            max_memory=bounds.decoder_bytes,
            broke=lambda reason: self.metrics.broken.inc(),
        )
        self.uploads = Uploads(settings, self.store, self.decoders, self.metrics)
        self._judge = Judge(self.store, self.detector, self.decoders, self.metrics, bounds.film)
        self.node: Node | None = None
        self.deliveries: Deliveries | None = None
        self.node_port: int | None = None
        if settings.node is not None:
            self._make_node(settings.node)
        self.jobs: Jobs | None = None
        self.stopping = asyncio.Event()
        self._uploading, self._counting = 0, threading.Lock()
        self._opening = threading.BoundedSemaphore(MOST_OPENINGS)

    def _make_node(self, node: NodeSettings) -> None:
        if node.peers:
            from pleura.service.deliveries import Deliveries

            film = self.settings.bounds.film
            self.deliveries = Deliveries(
                node, self.store, self.decoders, film, self.metrics, self.audit
            )
        if node.port is None:
            return
        from pleura.service.dicom_node import Node

        self.node = Node(
            node,
            self.settings.bounds,
            receive=self.uploads.receive,
            keep_going=self.sent,
            unready=self.unready,
            audit=self.audit,
        )

    @property
    def bundle(self) -> Bundle:
        """The model."""
        return self.detector.bundle

    def start(self) -> None:
        """Makes everything ready, and goes on with what an earlier run left undone.

        Raises:
            PleuraError: something of it cannot start; then none of it runs.
        """
        begun: list[Callable[[], None]] = [self.store.close, self.audit.close]
        try:
            self._start(begun)
        except BaseException:
            for stop in reversed(begun):
                with suppress(Exception):  # the first error says more
                    stop()
            raise

    def _start(self, begun: list[Callable[[], None]]) -> None:
        begun.append(self.decoders.stop)
        self.decoders.start()
        self.detector.warm_up()
        peers = self.settings.node.peers if self.settings.node is not None else ()
        self.store.outbox.keep_to([str(peer) for peer in peers])
        jobs = Jobs(
            self.store.folders.root,
            self.store.folders.identity,
            self.settings.jobs_url,
            judge=self._judge,
            suspected=self.store.was_begun,
            done=self.store.done,
            workers=self.settings.workers,
        )
        begun.append(jobs.stop)
        jobs.start(self.store.tasks())
        self.housekeeping = Housekeeping(
            self.store,
            self.audit,
            self.settings.keep_days,
            tidy=lambda before_ms: self._tidy(jobs, before_ms),
            reserve=self.settings.bounds.free_bytes,
        )
        self.housekeeping.start()
        begun.append(self.housekeeping.stop)
        if self.deliveries is not None:
            self.deliveries.start()
            begun.append(self.deliveries.stop)
        if self.node is not None:
            self.node_port = self.node.start()
        self.jobs = jobs
        self.audit.note("service", "started", self.bundle.identity.sha256, durable=True)

    def hush(self) -> None:
        """Ends the live channels, for which a server that stops would wait."""
        self.stopping.set()
        self.store.changed()

    def stop(self) -> None:
        """Ends everything in order, once; what is undone goes on at the next start."""
        jobs, self.jobs = self.jobs, None
        if jobs is None:
            return
        if self.node is not None:
            self.node.stop()
        if self.deliveries is not None:
            self.deliveries.stop()
        self.housekeeping.stop()
        jobs.stop()
        self.decoders.stop()
        self.audit.note("service", "stopped", durable=True)
        self.audit.close()
        self.store.close()

    def _tidy(self, jobs: Jobs, before_ms: int) -> None:
        jobs.forget(before_ms)
        jobs.take_up(self.store.tasks())

    def submit(self, tasks: Mapping[str, Sequence[str]]) -> None:
        """Has films judged that were received."""
        jobs = self.jobs
        if jobs is None:  # stopping: the tasks are in the index, and start with the service
            return
        for task, films in tasks.items():
            jobs.submit(task, films)

    def sent(self, job: str, tasks: Mapping[str, Sequence[str]]) -> None:
        """What is done with films that an archive sent, before it is told that they are safe."""
        if self.deliveries is not None:
            found = self.store.job(job, most=self.settings.bounds.files_per_upload)
            self.deliveries.expect(found["film_ids"] if found else [])
        self.submit(tasks)

    @contextmanager
    def one_more_upload(self) -> Iterator[None]:
        """Counts an upload while it is received.

        Raises:
            Refused: there are as many as may be.
        """
        with self._counting:
            if self._uploading >= self.settings.bounds.uploads:
                raise Refused(503, "too many uploads at once; send it again", retry_seconds=5)
            self._uploading += 1
        try:
            yield
        finally:
            with self._counting:
                self._uploading -= 1

    @contextmanager
    def one_more_opening(self) -> Iterator[None]:
        """Counts a request that needs a process that opens files: others are answered while it waits.

        Raises:
            Refused: there are as many as may be.
        """
        if not self._opening.acquire(blocking=False):
            raise Refused(503, "too many films are opened at once; ask again", retry_seconds=2)
        try:
            yield
        finally:
            self._opening.release()

    def check_ready(self, what: str) -> None:
        """Raises Refused where films cannot be judged now; `what` cannot be done with them."""
        reason = self.unready()
        if reason == DISK_FULL:
            raise Refused(507, f"no film can be {what}: {NO_ROOM}")
        if reason is not None:
            raise Refused(503, f"no film can be {what}: {reason}", retry_seconds=5)

    def unready(self) -> str | None:
        """Why the service does not judge films now; None where it does."""
        if self.jobs is None:
            return "it is starting or stopping"
        if not self.store.folders.make_room(self.settings.bounds.free_bytes):
            return DISK_FULL
        if self.jobs.waits_seconds > _MOST_WAIT_SECONDS:
            return "the database of the jobs does not answer"
        return None
