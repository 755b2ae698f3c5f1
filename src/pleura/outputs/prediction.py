"""A folder of predictions: tables, masks and overlays, one film at a time."""

import re
from collections import Counter
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.files import write_bytes
from pleura.finding import Finding
from pleura.outputs.overlay import overlay
from pleura.outputs.table import FindingTable, write_failures
from pleura.radiograph import Radiograph

OVERLAY_SIDE = 1024
_NAME_BYTES = 180  # of the 255 a file system allows, with room for an ending and a temporary name


class PredictionFolder:
    """Writes findings as they come; a context manager.

        OUT/
          findings.csv, findings.json   one finding each, with the names of its pictures; written
                                        under `.partial` until whole
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
        self._used: set[str] = set()
        self._next: Counter[str] = Counter()
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
        """Writes one finding and its pictures."""
        name = self._name(film)
        mask = drawn = None
        if self.masks and finding.mask is not None:
            mask = f"masks/{name}"
            _write_png(self.root / mask, finding.mask.astype(np.uint8) * 255)
        if self.overlays:
            drawn = f"overlays/{name}"
            image = overlay(film, finding, size=OVERLAY_SIDE)
            _write_png(self.root / drawn, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self._table.add(finding, mask, drawn)
        self.counts[finding.decision] += 1

    def fail(self, source: str, reason: str) -> None:
        """Takes down a file that could not be read."""
        self._failures.append((source, reason))
        self.counts["failed"] += 1

    def _name(self, film: Radiograph) -> str:
        """A file name for the film's pictures that no other has: its file's, numbered where that is taken.

        Names that differ only in case count as equal: some file systems cannot hold both.
        """
        path = Path(film.source)
        # A UID as a file name has dots, but no ending.
        stem = path.stem if path.suffix.lower() in _ENDINGS else path.name
        stem = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "_", stem)  # what is no text
        stem = stem.encode()[:_NAME_BYTES].decode(errors="ignore")
        name, key = stem, stem.lower()
        while name.lower() in self._used:
            self._next[key] += 1
            name = f"{stem}~{self._next[key] + 1}"
        self._used.add(name.lower())
        return f"{name}.png"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._table.__exit__(kind, error, trace)
        write_failures(self.root / "failures.csv", self._failures)


_ENDINGS = {".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"}


def _write_png(path: Path, image: NDArray[np.generic]) -> None:
    encoded = cv2.imencode(".png", np.asarray(image), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    write_bytes(path, encoded.data)
