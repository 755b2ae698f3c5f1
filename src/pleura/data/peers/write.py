"""What every peer's layout needs: an empty folder, films as 8-bit PNGs, and the parts of a split."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.manifest import Dataset, Film
from pleura.data.split import Split
from pleura.errors import DatasetError
from pleura.files import write_bytes

Progress = Callable[[int, int], None]
Layout = Callable[[Dataset, Split, Path, "Progress | None"], "Exported"]


@dataclass(frozen=True)
class Exported:
    """What was written: films by part, and what the user does next."""

    films: Mapping[str, int]
    advice: str


@contextmanager
def fresh(out: Path) -> Iterator[Path]:
    """Gives a folder to write into, which becomes `out` when all is written.

    Until then it is called `OUT.partial`; one that an interruption left is begun anew.

    Raises:
        DatasetError: `out` holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} is not empty; write into a new folder")
    partial = out.with_name(f"{out.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    yield partial
    if out.exists():
        out.rmdir()
    partial.rename(out)


def check_masks(dataset: Dataset, film_ids: list[str]) -> None:
    """Refuses films that a peer would learn as negative for want of a mask.

    Raises:
        DatasetError: a film is labelled positive and has no mask; names some.
    """
    unmasked = [
        i for i in film_ids if dataset.by_id[i].label == 1 and dataset.by_id[i].mask is None
    ]
    if unmasked:
        raise DatasetError(
            f"{len(unmasked)} films are labelled positive and have no mask: {', '.join(unmasked[:5])}; give "
            "their masks, or leave these films out"
        )


def film_pixels(dataset: Dataset, film: Film) -> NDArray[np.uint8]:
    """The film on its source matrix, uint8 (H, W)."""
    return np.round(dataset.radiograph(film).pixels * 255.0).astype(np.uint8)


def write_png(path: Path, image: NDArray[Any]) -> None:
    """Writes uint8 (H, W) as a PNG, whole or not at all."""
    done, encoded = cv2.imencode(".png", image)
    if not done:
        raise DatasetError(f"an image of shape {image.shape} could not be written to {path}")
    write_bytes(path, encoded.data)
