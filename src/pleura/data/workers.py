"""A pool of processes that outlives its workers' deaths.

A decoder that crashes takes its process along, and `ProcessPoolExecutor` then gives every unfinished task
up. Here the tasks that were under way are tried again one at a time, so that the one at fault is
known by name and all others get their result.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from typing import TypeVar

import cv2

from pleura.errors import CorpusError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4  # tasks a worker that are handed out at once: enough to keep it busy, few to try again


def each(
    task: Callable[[Item], Result], items: Iterable[Item], processes: int
) -> Iterator[tuple[Item, Result | None]]:
    """Yields (item, task(item)) as they are done, in any order; None where the worker died over the item.

    With one process all is done in this one, and nothing is survived. Workers are spawned, so a script
    that calls this needs its ``if __name__ == "__main__"``. What a task raises is raised here.

    Raises:
        CorpusError: the workers cannot start at all.
    """
    if processes == 1:
        for item in items:
            yield item, task(item)
        return
    waiting = deque(items)
    while waiting:
        suspects = yield from _until_a_death(task, waiting, processes, _AHEAD * processes)
        while suspects:
            tried = deque(suspects)
            suspects = yield from _until_a_death(task, tried, 1, 1)
            for item in suspects:  # it was alone: it is the one
                yield item, None
            suspects = list(tried)


def _until_a_death(
    task: Callable[[Item], Result], waiting: deque[Item], processes: int, ahead: int
) -> Generator[tuple[Item, Result | None], None, list[Item]]:
    """Works `waiting` off until it is empty or a worker dies; returns the items then under way."""
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start)
    try:
        try:
            pool.submit(os.getpid).result()
        except BrokenProcessPool as error:
            raise CorpusError(
                "no worker process can start; in a script, put the call under "
                "'if __name__ == \"__main__\":', or take one process"
            ) from error
        under_way: dict[Future[Result], Item] = {}
        while waiting or under_way:
            while waiting and len(under_way) < ahead:
                try:
                    future = pool.submit(task, waiting[0])
                except BrokenProcessPool:
                    if not under_way:  # it died idle: no task is to blame
                        return []
                    break
                under_way[future] = waiting.popleft()
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            dead = False
            for future in done:
                try:
                    result = future.result()
                except BrokenProcessPool:
                    dead = True
                    continue
                yield under_way.pop(future), result
            if dead:
                return list(under_way.values())
        return []
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start() -> None:
    """One thread a worker; Ctrl-C is the parent's; none outlives a killed parent, to wait forever."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)
