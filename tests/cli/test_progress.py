"""The progress bar: whose time counts, one bar at a time; and texts that look like markup."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from pleura.cli import progress
from pleura.cli.progress import Bar


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    made = Console(
        file=io.StringIO(), force_terminal=True, width=80, markup=False, emoji=False, soft_wrap=True
    )
    monkeypatch.setattr(progress, "console", made)
    return made


def test_without_a_terminal_only_this_runs_work_counts(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bar("Training") as bar:
        clock.now += 1000  # loading, before the work
        bar(500, 1000)  # done by a former run
        clock.now += 10
        bar(520, 1000)  # too soon for a line
        clock.now += 10
        bar(540, 1000)
        clock.now += 230
        bar(1000, 1000)
    assert capsys.readouterr().out.splitlines() == [
        "Training: 540/1000 films, 2.0/s, 230 s left",
        "Training: 1000/1000 films, 2.0/s, 0 s left",
    ]


def test_without_a_terminal_a_second_series_has_a_clock_of_its_own(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bar("Reading") as bar:
        for start in (1, 1):
            bar(start, 21)
            clock.now += 20
            bar(21, 21)
            clock.now += 500
        bar(0, 0)
        bar(7, 7)  # nothing was left to do: no rate
    assert capsys.readouterr().out.splitlines() == [
        "Reading: 21/21 films, 1.0/s, 0 s left",
        "Reading: 21/21 films, 1.0/s, 0 s left",
        "Reading: 0/0 films",
        "Reading: 7/7 films",
    ]


def test_of_several_bars_the_last_one_called_is_live(
    terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    live: list[str] = []
    most = 0

    class Counted(progress.Progress):
        def start(self) -> None:
            nonlocal most
            super().start()
            live.append(self.tasks[0].description)
            most = max(most, len(live))

        def stop(self) -> None:
            if self.live.is_started:
                live.remove(self.tasks[0].description)
            super().stop()

    monkeypatch.setattr(progress, "Progress", Counted)
    with Bar("one") as one, Bar("two") as two, Bar("three"):
        assert live == []  # none before its first call
        one(1, 3)
        assert live == ["one"]
        two(1, 2)
        assert live == ["two"]
        one(2, 3)
        assert live == ["one"]
        one(3, 3)
        assert live == []  # done
        two(1, 2)
    assert live == []  # left
    assert most == 1
    assert Bar._shown is None


def test_on_a_terminal_only_this_runs_work_counts(terminal: Console) -> None:
    bar = Bar("x")
    bar(500, 1000)
    assert bar._live is not None
    drawn, _ = bar._live
    bar(501, 1000)
    assert sum(sample.completed for sample in drawn.tasks[0]._progress) == 1
    bar._stop()


@pytest.mark.parametrize("text", ["a [copy].dcm", "a [/x].dcm", "[red]a", "a:smile:b", "a\\[b"])
def test_the_console_prints_names_as_they_are(text: str) -> None:
    made = progress.console
    with made.capture() as captured:
        table = Table(text, title=text)
        table.add_row(text)
        made.print(text)
        made.print(table)
    assert captured.get().count(text) == 4


def test_progress_goes_nowhere_where_standard_output_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with Bar("Training") as bar:
        bar(1, 1)
