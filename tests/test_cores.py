"""Nothing takes more cores than there are for it."""

from pathlib import Path

import pytest

from pleura import cores
from pleura.inference.runtimes.base import RuntimeOptions

SOURCE = Path(cores.__file__).parent


@pytest.mark.parametrize(
    ("content", "usable"),
    [("150000 100000", 2), ("10000 100000", 1), ("max 100000", 8), ("1 0", 8), ("", 8), (None, 8)],
)
def test_a_containers_quota_bounds_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, usable: int
) -> None:
    monkeypatch.setattr(cores, "_CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    if content is not None:
        (tmp_path / "cpu.max").write_text(content)
    assert cores.usable_cores() == RuntimeOptions().thread_count == usable
    assert RuntimeOptions(threads=5).thread_count == 5


def test_cores_are_counted_in_one_place() -> None:
    counting = [path.name for path in SOURCE.rglob("*.py") if "cpu_count(" in path.read_text()]
    assert counting == ["cores.py"]
