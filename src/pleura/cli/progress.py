"""The progress bar of every long verb: done, rate, time left."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

console = Console(soft_wrap=True)


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self.unit}/s", style="cyan")


class Bar:
    """A context manager whose call takes (done, total); on a terminal a bar, else a line now and then.

    Library functions take any `Callable[[int, int], None]`; this is the one the CLI hands them.
    """

    LINE_SECONDS = 15.0

    def __init__(self, label: str, unit: str = "films") -> None:
        self.label, self.unit = label, unit
        self._started = self._said = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(unit),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task(label, total=None)

    def __enter__(self) -> "Bar":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        if self._bar:
            self._bar.update(self._task, completed=done, total=total)
            return
        now = time.monotonic()
        if now - self._said >= self.LINE_SECONDS or done == total:
            self._said = now
            seconds = max(now - self._started, 1e-9)
            left = (total - done) * seconds / done if done else float("nan")
            sys.stdout.write(
                f"{self.label}: {done}/{total} {self.unit}, {done / seconds:.1f}/s, {left:.0f} s left\n"
            )
            sys.stdout.flush()
