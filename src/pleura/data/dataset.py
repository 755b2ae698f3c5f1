"""`FilmSet`: a dataset's films at a network's size, held in one array on disk, for training."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from pleura.cores import usable_cores
from pleura.data.augment import augment, hemithorax_cutmix, painted_collapse
from pleura.data.manifest import Dataset, Film
from pleura.errors import DatasetError
from pleura.files import whole
from pleura.frame import WHOLE, Frame

SURROUND = 0.125
"""Of the frame's side, what training films keep around it: as far as the augmentations mostly reach."""

Squeeze = Callable[[NDArray[np.float32], int], NDArray[np.float32]]


class Beforehand(NamedTuple):
    """What is done to a film before its augmentation.

    Attributes:
        other: the index of the film of which a half takes the place of one of its own; None: none does.
        painted: whether a collapse is drawn into a lung of it, if it is known where that is; not where it
            is halved.
    """

    other: int | None = None
    painted: bool = False


AS_IT_IS = Beforehand()


class FilmSet:
    """Films squeezed to one size, as uint8, read from a memory-mapped cache made on first use.

    The cache lies in `DATASET/cache`, named for the films, their pixels and masks, the size and the way of
    resizing, so that another selection or a changed dataset makes another file. It may be deleted at any
    time.

    Args:
        dataset: prepared, with these films labelled.
        film_ids: which, in this order.
        size: of the network's input.
        squeeze: the serving path's resizing: float32 (H, W) in [0, 1] to (size, size).
        progress: called with (films done, films in all) while the cache is made.
        squeeze_version: of `squeeze`: another number is another cache.
        frames: of each film, the part that the network sees; None: the whole film.
        surround: how much more is kept around what the network sees, on every side, as a share of its side:
            augmentation then turns and shifts what lies there into sight, rather than black.
        presence: of films, the probability from 0 to 1 that the target is present, which their presence is
            learnt from instead of their label; such films may be unlabelled, and their masks unknown.
        lungs: of films, a PNG of their label map, of any size over the whole film, 1 in the lung at the
            image's left and 2 in the other: collapses can be painted into these films.

    Attributes:
        film_ids: of the films.
        labels: of each film, 0 or 1: of an unlabelled one, whether its probability is a half or more.
        presence: float32 (N,), each film's probability; NaN where its mask tells.
        drawn: bool (N,), whether its mask is known, an empty one of a negative film too.

    Raises:
        DatasetError: a film is not in the dataset, is unlabelled without such a probability, is labelled
            positive without a mask, or cannot be read.
    """

    def __init__(
        self,
        dataset: Dataset,
        film_ids: Sequence[str],
        size: int,
        squeeze: Squeeze,
        progress: Callable[[int, int], None] | None = None,
        *,
        squeeze_version: int = 1,
        frames: Mapping[str, Frame] | None = None,
        surround: float = 0.0,
        presence: Mapping[str, float] | None = None,
        lungs: Mapping[str, Path] | None = None,
    ) -> None:
        presence = presence or {}
        unknown = [i for i in film_ids if i not in dataset.by_id]
        if unknown:
            raise DatasetError(f"{len(unknown)} films are not in {dataset.root}: {unknown[0]}, ...")
        self.film_ids = tuple(film_ids)
        films = [dataset.by_id[i] for i in film_ids]
        unlabelled = [f.film_id for f in films if f.label is None and f.film_id not in presence]
        if unlabelled:
            raise DatasetError(f"{len(unlabelled)} films are unlabelled: {unlabelled[0]}, ...")
        unmasked = [f.film_id for f in films if f.label == 1 and f.mask is None]
        if unmasked:
            raise DatasetError(
                f"{len(unmasked)} films are labelled positive and have no mask, so they would be learnt as "
                f"negative: {unmasked[0]}, ...; give their masks, or leave these films out"
            )
        nan = float("nan")
        self.presence = np.array([presence.get(i, nan) for i in film_ids], np.float32)
        self.drawn = np.array([f.label is not None for f in films], np.bool_)
        self.labels = tuple(
            int(presence[f.film_id] >= 0.5 if f.label is None else f.label) for f in films
        )
        self.size = size
        seen = None if frames is None else tuple(frames[i] for i in film_ids)
        self._border = round(size * surround)
        fields = None if lungs is None else tuple(lungs.get(i) for i in film_ids)
        self._path = _cached(
            dataset,
            self.film_ids,
            size,
            self._border,
            squeeze,
            progress,
            squeeze_version,
            seen,
            fields,
        )
        self._open()

    def _open(self) -> None:
        self._pixels: NDArray[np.uint8] = np.load(self._path, mmap_mode="r")

    def __getstate__(self) -> dict[str, Any]:
        # A loader's worker opens the file again rather than being sent its contents.
        return {key: value for key, value in self.__dict__.items() if key != "_pixels"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self.film_ids)

    def get(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """A film, float32 (S, S) in [0, 1], and its mask, uint8 (S, S) of 0 or 255."""
        image, mask = self._surrounded(index)
        return self._inner(image), self._inner(mask)

    def _surrounded(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """As `get`, with what is kept around it."""
        image = self._pixels[index, 0].astype(np.float32) / np.float32(255.0)
        return image, np.where(self._pixels[index, 1] > 127, np.uint8(255), np.uint8(0))

    def _inner(self, plane: NDArray[Any]) -> NDArray[Any]:
        inner = slice(self._border, self._border + self.size)
        return np.ascontiguousarray(plane[inner, inner])

    def augmented(
        self, index: int, name: str, seeds: Iterable[int], first: Beforehand = AS_IT_IS
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """As `get`, passed through the augmentation set `name` with a generator from `seeds`.

        What is to be done `first` is done with the same generator.
        """
        rng = np.random.default_rng([*seeds, index])
        image, mask = self._surrounded(index)
        if first.other is not None:
            image, mask = hemithorax_cutmix(image, mask, *self._surrounded(first.other), rng)
        elif first.painted:
            lung = int(rng.integers(1, 3))
            field = self._pixels[index, 2] == lung
            image, mask = painted_collapse(image, field, rng, at_left=lung == 1) or (image, mask)
        image, mask = augment(name, image, mask, rng)
        return self._inner(image), self._inner(mask)

    def planes(self, index: int) -> NDArray[np.uint8]:
        """What a network learns a film from, uint8 (K, S, S) of 0 or 255: here the one mask."""
        return self.get(index)[1][None]

    def augmented_planes(
        self, index: int, name: str, seeds: Iterable[int], first: Beforehand = AS_IT_IS
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """A film, float32 (S, S), and its `planes`, augmented as by `augmented`."""
        image, mask = self.augmented(index, name, seeds, first)
        return image, mask[None]


def _cached(
    dataset: Dataset,
    film_ids: Sequence[str],
    size: int,
    border: int,
    squeeze: Squeeze,
    progress: Callable[[int, int], None] | None,
    squeeze_version: int,
    frames: Sequence[Frame] | None,
    lungs: Sequence[Path | None] | None,
) -> Path:
    """A file of uint8 (N, 2, S + 2 borders, S + 2 borders): each film, and its mask's share of each pixel.

    With `lungs` a third plane has the label map of each film, 0 where it has none.
    """
    told = f"{dataset.sha256} {size} v{squeeze_version} {' '.join(film_ids)}"
    told += "" if frames is None else f" {frames}"
    told += f" border {border}" if border else ""
    told += "" if lungs is None else f" lungs {[path and path.parent.name for path in lungs]}"
    key = hashlib.sha256(told.encode()).hexdigest()[:16]
    path = dataset.root / "cache" / f"films-{size}-{key}.npy"
    side = size + 2 * border
    shape = (len(film_ids), 2 if lungs is None else 3, side, side)
    if path.exists():
        stored = np.load(path, mmap_mode="r")
        if stored.shape == shape and stored.dtype == np.uint8:
            return path
    path.parent.mkdir(exist_ok=True)
    with whole(path) as temporary:
        _fill(temporary, shape, border / size, dataset, film_ids, squeeze, progress, frames, lungs)
    return path


def _mask(dataset: Dataset, film: Film) -> NDArray[np.float32]:
    """A film's mask, 0 or 1; empty where it is unknown."""
    if film.label is None:
        return np.zeros((film.rows, film.columns), np.float32)
    return dataset.mask(film).astype(np.float32)


def _fill(
    path: Path,
    shape: tuple[int, int, int, int],
    surround: float,
    dataset: Dataset,
    film_ids: Sequence[str],
    squeeze: Squeeze,
    progress: Callable[[int, int], None] | None,
    frames: Sequence[Frame] | None,
    lungs: Sequence[Path | None] | None,
) -> None:
    pixels = open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    size = shape[-1]

    def one(index: int) -> None:
        film = dataset.by_id[film_ids[index]]
        frame = frames[index] if frames else WHOLE
        image, mask = (
            frame.cut(plane, surround) for plane in (dataset.pixels(film), _mask(dataset, film))
        )
        image = squeeze(image, size)
        covered = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)
        pixels[index, 0] = np.round(image * 255.0)
        pixels[index, 1] = np.round(covered * 255.0)
        if lungs and (path := lungs[index]) is not None:
            labels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if labels is not None:
                cut = frame.cut(labels, surround)
                pixels[index, 2] = cv2.resize(cut, (size, size), interpolation=cv2.INTER_NEAREST)

    # Threads suffice: decoding and resizing run outside the interpreter's lock.
    with ThreadPoolExecutor(usable_cores()) as pool:
        for done, _ in enumerate(pool.map(one, range(len(film_ids))), start=1):
            if progress:
                progress(done, len(film_ids))
    pixels.flush()
