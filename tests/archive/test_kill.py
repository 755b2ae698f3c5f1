"""Killed at any moment, a run goes on to the very files of a run that was never stopped."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bright import write_film

# Dies at the n-th of the moments at which something has just been, or is about to be, written.
CHILD = """
import os, signal, sys
sys.path.insert(0, {here!r})
from pathlib import Path
import pleura.archive.journal as journal
import pleura.archive.pictures as pictures
from bright import predict

left = int(sys.argv[2])
def moment():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def with_moments(owner, name):
    real = getattr(owner, name)
    def wrapped(*arguments):
        moment()
        result = real(*arguments)
        moment()
        return result
    setattr(owner, name, wrapped)

with_moments(journal.Journal, "record")
with_moments(journal.Journal, "_record")
with_moments(pictures, "write_bytes")
_, counts = predict(Path(sys.argv[1]), Path("films"), batch_size=3, readers=2, overlays=True)
print(counts)
"""


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Twenty files: films, two copies, names that come twice, broken ones and a text."""
    for number in range(16):
        folder = tmp_path / "films" / ("a" if number < 8 else "b")
        write_film(folder / f"{number % 8}.png", number, bright=number % 3 == 0)
    for number, name in ((2, "a/copy.png"), (9, "b/copy.png")):
        write_film(tmp_path / "films" / name, number, bright=number % 3 == 0)
    for name in ("a/5x.png", "b/broken.png"):
        (tmp_path / "films" / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (tmp_path / "films/a/notes.txt").write_text("no film")
    return tmp_path


def run(cwd: Path, out: str, moments: int) -> subprocess.CompletedProcess[str]:
    program = CHILD.format(here=str(Path(__file__).parent))
    return subprocess.run(
        [sys.executable, "-c", program, out, str(moments)],
        cwd=cwd,
        capture_output=True,
        text=True,
    )


def files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith("journal.sqlite")
    }


def test_ten_kills_change_nothing(films: Path) -> None:
    whole = run(films, "whole", -1)
    assert (whole.returncode, whole.stdout) == (
        0,
        "{'failed': 2, 'judged': 18, 'passed over': 1}\n",
    )
    kills = 0
    for moments in (1, 4, 8, 13, 14, 19, 25, 30, 31, 37, -1):
        done = run(films, "killed", moments)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not (films / "killed/findings.csv").exists()
        kills += 1
    assert kills == 10
    assert done.stdout == whole.stdout
    assert files(films / "killed") == files(films / "whole")


def test_half_a_table_of_failures_goes_with_the_next_run(films: Path) -> None:
    whole = run(films, "whole", -1)
    assert whole.returncode == 0, whole.stderr
    (films / "killed").mkdir()
    (films / "killed/.failures.csv.4711.partial").write_text("file,rea")
    assert run(films, "killed", -1).returncode == 0
    assert files(films / "killed") == files(films / "whole")
