"""What every verb prints through: the console, and the progress bar with done, rate and time left."""

import time
from types import TracebackType
from typing import ClassVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# Paths and messages from outside are printed as they are: "[copy]" in a name is no markup.
console = Console(soft_wrap=True, markup=False, emoji=False)


def note(text: str) -> None:
    """Prints what is worth a person's attention."""
    console.print(f"Note: {text}", style="yellow", markup=False)


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self.unit}/s", style="cyan")


class Bar:
    """A context manager whose call takes (done, total); on a terminal a bar, else a line now and then.

    Library functions take any `Callable[[int, int], None]`; this is the one the CLI hands them. The clock
    starts at the first call, and what was done by then does not count for the rate: a run that is taken up
    again has not made it. When all is done, the next call begins another series.

    Several may be open at once; the one that was called last is shown.
    """

    LINE_SECONDS = 15.0
    _shown: ClassVar["Bar | None"] = None

    def __init__(self, label: str, unit: str = "films") -> None:
        self.label, self.unit = label, unit
        self._running = False
        self._first = 0
        self._started = self._said = 0.0
        self._live: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def __call__(self, done: int, total: int) -> None:
        if not self._running:
            self._running, self._first = True, done
            self._started = self._said = time.monotonic()
        if console.is_terminal:
            self._draw(done, total)
        else:
            self._write(done, total)
        if done >= total:
            self._stop()

    def _draw(self, done: int, total: int) -> None:
        if self._live is None:
            if Bar._shown is not None:  # a terminal has room for one
                Bar._shown._stop()
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(self.unit),
                TimeRemainingColumn(),
            )
            live = Progress(*columns, console=console)
            self._live = live, live.add_task(self.label, total=total, completed=done)
            self._running = True
            live.start()
            Bar._shown = self
        progress, task = self._live
        progress.update(task, completed=done, total=total)

    def _write(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said < self.LINE_SECONDS and done < total:
            return
        self._said = now
        text = f"{self.label}: {done}/{total} {self.unit}"
        seconds, made = now - self._started, done - self._first
        if seconds > 0 and made > 0:
            rate = made / seconds
            text += f", {rate:.1f}/s, {(total - done) / rate:.0f} s left"
        console.file.write(text + "\n")  # to nowhere, where standard output is closed
        console.file.flush()

    def _stop(self) -> None:
        self._running = False
        if self._live is not None:
            self._live[0].stop()
            self._live = None
        if Bar._shown is self:
            Bar._shown = None
