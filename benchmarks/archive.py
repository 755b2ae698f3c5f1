# ruff: noqa: T201
"""What an archive of any size costs in memory, and that ten times kill -9 costs no film.

    python benchmarks/archive.py [--films 1000 10000 100000] [--kills 10] [--scratch FOLDER]

The films are small (160x128, PNG, all different; one in fifty is a copy, one in a hundred is broken) and the
network is a threshold, so that reading, the journal and the tables are what is measured. Each archive is
predicted by a process of its own, which says how much memory it held at most. The largest is then predicted
again by processes that are killed at random moments, and the files of both are compared, byte by byte.
"""

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

CHILD = """
import resource, sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from archive import Threshold
from pleura.archive.inputs import files_in
from pleura.archive.journal import Journal
from pleura.archive.run import Options, identity_of, predict_archive
from pleura.outputs.table import FindingTable

out, began = Path(sys.argv[2]), time.perf_counter()
out.mkdir(parents=True, exist_ok=True)
with Journal(out, identity_of(Threshold())) as journal:
    journal.expect(files_in(["@" + sys.argv[1]]))
    table = FindingTable(out / "findings.csv", out / "findings.json")
    predict_archive(Threshold(), journal, [table], Options(masks=False, batch_size=8, readers=2))
    counts = journal.counts()
seconds = time.perf_counter() - began
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, counts)
"""


class Threshold:
    """A detector that calls bright films positive."""

    def __init__(self) -> None:
        from types import SimpleNamespace

        from pleura.finding import ModelIdentity

        self.bundle = SimpleNamespace(identity=ModelIdentity("threshold", "1", "00"))
        self.runtimes = (SimpleNamespace(name="numpy"),)

    def batch(self, films: list) -> list:
        """Findings of films."""
        return [self._judge(film) for film in films]

    def _judge(self, film: object) -> object:
        from pleura.finding import PNEUMOTHORAX, Finding

        mask = film.pixels > 0.9
        score = float(film.pixels.mean())
        decision = "positive" if mask.any() else "negative"
        identity = self.bundle.identity
        return Finding(
            PNEUMOTHORAX, decision, "A test.", identity, film.source, probability=score, mask=mask
        )


def make_films(folder: Path, count: int) -> Path:
    """Films in folders of a thousand, and the list of them."""
    image = np.full((160, 128), 40, np.uint8)
    names = []
    for number in range(count):
        path = folder / f"{number // 1000:04}" / f"{number % 1000:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = number - 1 if number % 50 == 49 else number
        image[0, :16:4] = np.array([content]).astype(">u4").view(np.uint8)
        image[80, 64] = 255 if content % 3 == 0 else 40
        data = cv2.imencode(".png", image)[1].tobytes()
        path.write_bytes(data[:50] if number % 100 == 7 else data)
        names.append(str(path))
    listing = folder / "list.txt"
    listing.write_text("\n".join(names))
    return listing


def predict(listing: Path, out: Path) -> subprocess.Popen:
    """A process that predicts the listed films."""
    program = CHILD.format(here=str(Path(__file__).parent))
    return subprocess.Popen(
        [sys.executable, "-c", program, str(listing), str(out)], stdout=subprocess.PIPE, text=True
    )


def digest(out: Path) -> dict[str, str]:
    """The hash of every file but the journal's."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.iterdir())
        if path.is_file() and not path.name.startswith("journal.sqlite")
    }


def killed(listing: Path, out: Path, kills: int, seconds: float) -> int:
    """Predicts with so many kills at random moments; gives how many hit."""
    dice, hits = random.Random(0), 0
    while True:
        process = predict(listing, out)
        if hits < kills:
            try:
                process.wait(1.0 + dice.random() * 1.2 * seconds / (kills + 1))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                hits += 1
        process.communicate()
        if process.returncode == 0:
            return hits
        if process.returncode != -signal.SIGKILL:
            raise SystemExit("prediction failed")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--scratch", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.scratch, prefix="pleura-archive-") as name:
        scratch = Path(name)
        for count in given.films:
            listing = make_films(scratch / f"films-{count}", count)
            process = predict(listing, scratch / f"out-{count}")
            said = process.communicate()[0].split(maxsplit=2)
            seconds, megabytes = float(said[0]), float(said[1])
            journal = (scratch / f"out-{count}" / "journal.sqlite").stat().st_size / 2**20
            print(
                f"{count:8d} films: {megabytes:6.0f} MB resident at most, {seconds:7.1f} s, "
                f"{count / seconds:6.0f} films/s, journal {journal:.0f} MB, {said[2].strip()}"
            )
        began = time.perf_counter()
        hits = killed(listing, scratch / "killed", given.kills, seconds)
        same = digest(scratch / "killed") == digest(scratch / f"out-{count}")
        print(
            f"killed {hits} times, {time.perf_counter() - began:.1f} s: the tables are "
            f"{'the same, byte by byte' if same else 'DIFFERENT'}"
        )
        if not same:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
