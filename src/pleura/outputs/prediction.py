"""A folder of predictions: tables, masks and overlays, one film at a time."""

import csv
from collections import Counter
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.files import whole, write_bytes
from pleura.finding import Finding
from pleura.outputs.overlay import overlay
from pleura.outputs.table import FindingTable, cell
from pleura.radiograph import Radiograph

OVERLAY_SIDE = 1024


class PredictionFolder:
    """Writes findings as they come; a context manager.

        OUT/
          findings.csv, findings.json   one finding each; written under `.partial` until whole
          failures.csv                  file,reason
          masks/NAME.png                0 or 255 on the source matrix; every film that was judged
          overlays/NAME.png             the film with its finding

    Args:
        root: the folder; made if absent. Files of an earlier prediction are replaced.
        masks, overlays: whether to write those pictures.
    """

    def __init__(self, root: Path, *, masks: bool = True, overlays: bool = True) -> None:
        self.root, self.masks, self.overlays = root, masks, overlays
        self.counts: Counter[str] = Counter()
        self._names: Counter[str] = Counter()
        self._failures: list[tuple[str, str]] = []
        self._table = FindingTable(root / "findings.csv", root / "findings.json")

    def __enter__(self) -> "PredictionFolder":
        for name, wanted in (("masks", self.masks), ("overlays", self.overlays)):
            if wanted:
                (self.root / name).mkdir(parents=True, exist_ok=True)
        self.root.mkdir(parents=True, exist_ok=True)
        self._table.__enter__()
        return self

    def add(self, film: Radiograph, finding: Finding) -> None:
        """Writes one finding."""
        self._table.add(finding)
        self.counts[finding.decision] += 1
        name = self._name(film)
        if self.masks and finding.mask is not None:
            _write_png(self.root / "masks" / name, finding.mask.astype(np.uint8) * 255)
        if self.overlays:
            drawn = overlay(film, finding, size=OVERLAY_SIDE)
            _write_png(self.root / "overlays" / name, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))

    def fail(self, source: str, reason: str) -> None:
        """Takes down a file that could not be read."""
        self._failures.append((cell(source), cell(reason)))
        self.counts["failed"] += 1

    def _name(self, film: Radiograph) -> str:
        """A file name for the film's pictures: its file's, numbered where two files share it."""
        path = Path(film.source)
        # A UID as a file name has dots, but no ending.
        stem = path.stem if path.suffix.lower() in _ENDINGS else path.name
        self._names[stem] += 1
        count = self._names[stem]
        return f"{stem}.png" if count == 1 else f"{stem}~{count}.png"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._table.__exit__(kind, error, trace)
        with (
            whole(self.root / "failures.csv") as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows([("file", "reason"), *self._failures])


_ENDINGS = {".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"}


def _write_png(path: Path, image: NDArray[np.generic]) -> None:
    encoded = cv2.imencode(".png", np.asarray(image), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    write_bytes(path, encoded.data)
