"""Where the time of a film goes: a clock that costs nothing until someone looks at it.

stages = Stages()
with stages.watched():
    detector(read(path))
    stages.next_film()
stages.milliseconds["network"]
"""

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter

STAGES = ("read", "decode", "preprocess", "network", "postprocess", "write")
"""From the file's bytes to what is written of a film, in order."""

_watching: ContextVar["Stages | None"] = ContextVar("watching", default=None)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """What runs inside is part of a film's stage `name`; stages do not nest."""
    stages = _watching.get()
    if stages is None:
        yield
        return
    start = perf_counter()
    try:
        yield
    finally:
        stages.add(name, 1e3 * (perf_counter() - start))


class Stages:
    """Milliseconds of each stage, film by film.

    Attributes:
        milliseconds: of each of `STAGES`, one number a film; 0 where a film never came to it. A stage that a
            film passes several times, as with several networks, counts their sum.
    """

    def __init__(self) -> None:
        self.milliseconds = {name: array("d") for name in STAGES}
        self._film = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Takes down every stage that this thread goes through inside."""
        token = _watching.set(self)
        try:
            yield
        finally:
            _watching.reset(token)

    def add(self, name: str, milliseconds: float) -> None:
        """Adds to a stage of the film under way.

        Raises:
            KeyError: it is none of `STAGES`.
        """
        self._film[name] += milliseconds

    def next_film(self) -> None:
        """The film under way is done."""
        for name, milliseconds in self._film.items():
            self.milliseconds[name].append(milliseconds)
        self._film = dict.fromkeys(STAGES, 0.0)
