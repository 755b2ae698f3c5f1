"""A detector that needs no network, and archives for it."""

import threading
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from pleura.archive.inputs import files_in
from pleura.archive.journal import Journal
from pleura.archive.run import Options, identity_of, predict_archive
from pleura.finding import PNEUMOTHORAX, Finding, ModelIdentity
from pleura.outputs.table import FindingTable
from pleura.radiograph import Radiograph


class Bright:
    """Calls a film positive whose upper left quarter is bright, there; remembers what it saw."""

    bundle = SimpleNamespace(identity=ModelIdentity("bright", "1", "00"))
    runtimes = (SimpleNamespace(name="numpy"),)

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self._lock = threading.Lock()

    def batch(self, films: list[Radiograph]) -> list[Finding]:
        with self._lock:
            self.seen.append([film.source for film in films])
        return [self._judge(film) for film in films]

    def _judge(self, film: Radiograph) -> Finding:
        mask = np.zeros(film.shape, np.bool_)
        score = float(film.pixels[: film.shape[0] // 2, : film.shape[1] // 2].mean())
        mask[: film.shape[0] // 2, : film.shape[1] // 2] = score > 0.5
        return Finding(
            target=PNEUMOTHORAX,
            decision="positive" if score > 0.5 else "negative",
            reason="A test.",
            model=self.bundle.identity,
            source=film.source,
            probability=score,
            probability_map=np.full(film.shape, score, np.float32),
            mask=mask,
        )


def write_film(path: Path, number: int, *, bright: bool = False) -> None:
    """A film of 160x128 that no other number gives."""
    image = np.full((160, 128), 200 if bright else 30, np.uint8)
    image[-1, -3:] = (number >> 16, number >> 8 & 255, number & 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def predict(out: Path, *arguments: Path, detector: Bright | None = None, **options: object):
    """Films to `out`, as `pleura predict` does; gives what became of them and the journal's counts."""
    detector = detector or Bright()
    out.mkdir(parents=True, exist_ok=True)
    call = {name: options.pop(name) for name in ("progress", "failed", "stages") if name in options}
    with Journal(out, identity_of(detector)) as journal:
        journal.expect(files_in(map(str, arguments), out))
        table = FindingTable(out / "findings.csv", out / "findings.json")
        tally = predict_archive(detector, journal, [table], Options(**options), **call)
        return tally, journal.counts()
