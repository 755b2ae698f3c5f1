"""The masks, overlays and DICOM results of a prediction, each under a name of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.archive.journal import Journal
from pleura.archive.rows import FOLDERS, Task, stem_of
from pleura.errors import ResultError
from pleura.files import remove_partial, write_bytes
from pleura.finding import Finding
from pleura.outputs.dicom import KINDS, check_installed, dicom_files
from pleura.outputs.overlay import overlay
from pleura.radiograph import Radiograph

OVERLAY_SIDE = 1024
# A mask is all runs, which no filter makes shorter: without one it is written 7 times as fast, and as small.
_MASK = [
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
]
# An overlay is to be looked at: as JPEG, with its colours whole, it is a quarter of PNG and 14 times as fast.
_OVERLAY = [
    *(cv2.IMWRITE_JPEG_QUALITY, 90),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]


class Drawn(NamedTuple):
    """What was written of a film, below the folder.

    Attributes:
        mask, overlay: pictures; None where there is none.
        dicom: the folder of its DICOM results; None where there are none.
        sizes: bytes of each file.
        without: why there are no DICOM results, where they were wanted.
    """

    mask: str | None
    overlay: str | None
    dicom: str | None
    sizes: dict[str, int]
    without: str | None = None


class Pictures:
    """Writes the pictures of films below `root`; safe to call from several threads.

    masks/NAME.png      0 or 255 on the source matrix; every film that was judged
    overlays/NAME.jpg   the film with its finding
    dicom/NAME/         KIND.dcm of each kind of result, see `pleura.outputs.dicom`

    Args:
        root: an existing folder.
        masks, overlays, dicom: whether to write those.
        geometry: of segmentations, as `dicom_results` has it.

    Raises:
        MissingExtra: DICOM results are wanted, and highdicom is not installed.
    """

    def __init__(
        self,
        root: Path,
        *,
        masks: bool,
        overlays: bool,
        dicom: bool = False,
        geometry: bool = False,
    ) -> None:
        self.root, self.masks, self.overlays = root, masks, overlays
        self.dicom, self.geometry = dicom, geometry
        if dicom:
            check_installed()
        for name, wanted in zip(FOLDERS, (masks, overlays, dicom), strict=True):
            if wanted:
                (root / name).mkdir(exist_ok=True)
                remove_partial(root / name)

    def __bool__(self) -> bool:
        """Whether anything is written at all."""
        return self.masks or self.overlays or self.dicom

    def write(self, name: str, film: Radiograph, finding: Finding) -> Drawn:
        """Writes a film's pictures, each whole or not at all."""
        mask = drawn = results = without = None
        sizes = {}
        if self.masks and finding.mask is not None:
            mask = f"masks/{name}.png"
            levels = finding.mask.view(np.uint8) * np.uint8(255)
            sizes[mask] = self._write(mask, levels, _MASK)
        if self.overlays:
            drawn = f"overlays/{name}.jpg"
            image = overlay(film, finding, size=OVERLAY_SIDE)
            sizes[drawn] = self._write(drawn, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _OVERLAY)
        if self.dicom:
            try:
                made = dicom_files(film, finding, geometry=self.geometry)
            except ResultError as error:
                without = str(error).removeprefix(f"{film.source}: ")
                self._write_results(f"dicom/{name}", {})
            else:
                results = f"dicom/{name}"
                sizes |= self._write_results(results, made)
        return Drawn(mask, drawn, results, sizes, without)

    def _write_results(self, name: str, made: Mapping[str, bytes]) -> dict[str, int]:
        """Writes these, and removes what an earlier run left of other kinds."""
        folder = self.root / name
        if made:
            folder.mkdir(exist_ok=True)
        if folder.is_dir():
            remove_partial(folder)
        for kind in KINDS:
            if kind not in made:
                (folder / f"{kind}.dcm").unlink(missing_ok=True)
        sizes = {}
        for kind, data in made.items():
            write_bytes(folder / f"{kind}.dcm", data)
            sizes[f"{name}/{kind}.dcm"] = len(data)
        return sizes

    def _write(self, name: str, image: NDArray[np.generic], how: list[int]) -> int:
        encoded = cv2.imencode(Path(name).suffix, np.asarray(image), how)[1]
        write_bytes(self.root / name, encoded.data)
        return int(encoded.size)


class Names:
    """Gives each film a name for its pictures that no other has.

    It is its file's; where that is taken, the number of its row is put behind it. Names that differ only
    in case count as equal: some file systems cannot hold both.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._under_way: dict[str, int] = {}

    def take(self, task: Task) -> str:
        """A name for the film, without an ending."""
        stem = stem_of(task.source)
        name = stem
        while name.lower() in self._under_way or self.journal.has_name(name):
            name = f"{stem}~{task.id}" if name == stem else f"{name}~"
        self._under_way[name.lower()] = task.id
        return name

    def settled(self, last: int) -> None:
        """The films up to row `last` are in the journal."""
        self._under_way = {name: n for name, n in self._under_way.items() if n > last}
