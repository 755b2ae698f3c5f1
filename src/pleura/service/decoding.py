"""The processes that open untrusted files: bounded in time and memory, and replaced when they break a bound.

What comes back from them is JSON and bytes, never a pickle: a file that takes such a process over must not
reach the service through it.
"""

import json
import logging
import multiprocessing
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from pleura import errors
from pleura.errors import DecodeError, ReadError, ServiceError
from pleura.service.decoder import serve

log = logging.getLogger(__name__)

_SPAWN = multiprocessing.get_context("spawn")
_MAX_HEADER = 4 << 20
_START_SECONDS = 120.0

Answer = tuple[dict[str, Any], list[bytes]]


class DecoderBroke(DecodeError):
    """A file that hung or broke the process that opened it: whether it is a film, nobody can say."""


class _Broken(Exception):
    """A worker that hung or died."""


class _Worker:
    """One process, and the pipe to it."""

    def __init__(self, max_memory: int) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=serve, args=(theirs, max_memory), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, request: dict[str, Any], parts: Sequence[bytes], seconds: float) -> Answer:
        until = time.monotonic() + seconds
        try:
            self._pipe.send_bytes(json.dumps({**request, "parts": len(parts)}).encode())
            for part in parts:
                self._pipe.send_bytes(part)
            header = json.loads(_received(self._pipe, until, _MAX_HEADER))
            sizes = [int(size) for size in header.pop("parts", ())]
            if sum(sizes) > request.get("most_bytes", 1 << 30):
                raise _Broken("answered with too much")
            return header, [_received(self._pipe, until, size) for size in sizes]
        except (EOFError, OSError, ValueError, TypeError) as error:
            raise _Broken(f"died ({type(error).__name__})") from None

    def stop(self) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.join(5.0)

    @property
    def alive(self) -> bool:
        return self._process.is_alive()


def _received(pipe: Connection, until: float, most: int) -> bytes:
    left = until - time.monotonic()
    if left <= 0.0 or not pipe.poll(left):
        raise _Broken("took too long")
    return pipe.recv_bytes(most)


class Decoders:
    """A pool of processes that open files; safe to call from several threads.

    Args:
        processes: how many; as many requests are answered at once, the others wait.
        seconds: for each request.
        max_memory: bytes of address space of each.
        broke: called with the reason when a process was killed or died.
    """

    def __init__(
        self,
        processes: int,
        *,
        seconds: float = 60.0,
        max_memory: int = 4 << 30,
        broke: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._seconds, self._max_memory, self._broke = seconds, max_memory, broke
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(processes):
            self._idle.put(None)  # a process is started when it is first needed

    def start(self) -> None:
        """Starts one process, so that the first film does not wait for it.

        Raises:
            ServiceError: it cannot start.
        """
        try:
            self.ask({"do": "nothing"}, seconds=_START_SECONDS)
        except ReadError as error:
            raise ServiceError(f"the process that opens files cannot start: {error}") from None

    def ask(
        self, request: dict[str, Any], parts: Sequence[bytes] = (), *, seconds: float | None = None
    ) -> Answer:
        """What a process answers; see `decoder.OPERATIONS`.

        Raises:
            ReadError: the file cannot be used, or broke the process over it.
        """
        with self._worker() as worker:
            most = self._seconds if seconds is None else seconds
            header, answered = worker.ask(request, parts, most)
        if "error" in header:
            kind = getattr(errors, str(header["error"]), ReadError)
            known = isinstance(kind, type) and issubclass(kind, ReadError)
            raise (kind if known else ReadError)(str(header.get("reason", ""))[:2000])
        return header, answered

    @contextmanager
    def _worker(self) -> Iterator[_Worker]:
        worker = self._idle.get()
        try:
            if worker is None or not worker.alive:
                worker = _Worker(self._max_memory)
                worker.ask({"do": "nothing"}, (), _START_SECONDS)
            yield worker
        except _Broken as error:
            if worker is not None:
                worker.stop()
            worker = None
            self._broke(str(error))
            log.warning("a process that opens files %s; it is replaced", error)
            raise DecoderBroke(
                f"opening it {error}: the file is damaged, or made to do harm; export it again"
            ) from None
        except BaseException:
            if worker is not None:  # its answer may still be under way
                worker.stop()
            worker = None
            raise
        finally:
            self._idle.put(worker)

    def stop(self) -> None:
        """Ends the processes that are idle; those at work end with this process."""
        with suppress(queue.Empty):
            while True:
                worker = self._idle.get_nowait()
                if worker is not None:
                    worker.stop()
