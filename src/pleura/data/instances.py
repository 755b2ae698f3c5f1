"""The target's instances in a film, one mask each, for networks that find them one by one.

Where a film has several annotation rows, each row is an instance. Where it has one, or its mask was a
picture, instances are the mask's connected regions.
"""

import csv
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.augment import augment
from pleura.data.dataset import AS_IT_IS, Beforehand, FilmSet, Squeeze
from pleura.data.manifest import Dataset
from pleura.errors import DatasetError
from pleura.read import decode_rle

MAX_CELL = 1 << 24  # characters; the run lengths of a ragged mask pass csv's own limit
Mask = NDArray[np.uint8]
Planes = NDArray[np.uint8]


class InstanceSet(FilmSet):
    """A `FilmSet` whose films are learnt from by instance.

    Args:
        dataset, film_ids, size, squeeze, progress, squeeze_version: as in `FilmSet`.
        min_px: connected regions of fewer pixels, at the network's size, are no instances; a film's largest
            region is one whatever its size.

    Raises:
        DatasetError: as `FilmSet`, or the annotation rows cannot be read.
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
        min_px: int = 50,
    ) -> None:
        super().__init__(
            dataset, film_ids, size, squeeze, progress, squeeze_version=squeeze_version
        )
        self.min_px = min_px
        rows = read_rows(dataset, film_ids)
        self._rows: Mapping[int, tuple[tuple[int, int], Sequence[str]]] = {
            index: ((film.rows, film.columns), rows[film.film_id])
            for index, film in enumerate(dataset.by_id[i] for i in film_ids)
            if film.film_id in rows
        }

    def planes(self, index: int) -> Planes:
        """A film's instances, uint8 (K, S, S) of 0 or 255; K is 0 on a negative film."""
        rows = self._masks(index)
        return components(self.get(index)[1], self.min_px) if rows is None else _stacked(rows)

    def augmented_planes(
        self, index: int, name: str, seeds: Iterable[int], first: Beforehand = AS_IT_IS
    ) -> tuple[NDArray[np.float32], Planes]:
        """A film, float32 (S, S), and its instances, as `planes`, augmented alike.

        Each row's mask goes through the augmentation by itself, with a generator of the same seeds.

        Raises:
            DatasetError: something is to be done first: instances may lie across the seam of two halves, and
                no lungs are located in whole films.
        """
        if first != AS_IT_IS:
            raise DatasetError(
                "hemithorax_cutmix and painted_collapses are not for networks that learn instances: leave "
                "them out of the recipe"
            )
        image, mask = self.get(index)
        rows, seeds = self._masks(index), [*seeds, index]
        film, moved = augment(name, image, mask, np.random.default_rng(seeds))
        if rows is None:
            return film, components(moved, self.min_px)
        masks = [augment(name, image, row, np.random.default_rng(seeds))[1] for row in rows]
        return film, _stacked(masks)

    def _masks(self, index: int) -> list[Mask] | None:
        """The masks of a film's annotation rows at the network's size, 0 or 255; None of a single one."""
        if index not in self._rows:
            return None
        shape, texts = self._rows[index]
        masks = []
        for text in texts:
            whole = decode_rle(text, shape).astype(np.float32)
            covered = cv2.resize(whole, (self.size, self.size), interpolation=cv2.INTER_AREA)
            masks.append(np.where(covered >= 0.5, np.uint8(255), np.uint8(0)))
        return masks


def components(mask: Mask, min_px: int) -> Planes:
    """The connected regions (8-neighbourhood) of a mask, each by itself.

    Args:
        mask: uint8 (S, S) of 0 or 255.
        min_px: smaller regions are left out, but for the largest.

    Returns:
        uint8 (K, S, S) of 0 or 255.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return np.zeros((0, *mask.shape), np.uint8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = 1 + np.flatnonzero(areas >= min(min_px, areas.max()))
    return _stacked([np.where(labels == n, np.uint8(255), np.uint8(0)) for n in kept])


def padded(films: Sequence[Planes]) -> NDArray[np.float32]:
    """The instances of several films, uint8 (K, S, S) each, as one float32 (N, most, S, S) of 0 or 1.

    `most` is the largest K, and at least 1; what a film lacks are empty planes at its end.
    """
    most = max(1, *(len(planes) for planes in films))
    batch = np.zeros((len(films), most, *films[0].shape[1:]), np.float32)
    for row, planes in zip(batch, films, strict=True):
        row[: len(planes)] = planes > 127
    return batch


def read_rows(dataset: Dataset, film_ids: Collection[str]) -> dict[str, list[str]]:
    """The run lengths of each annotation row, for those of the films that have several.

    Raises:
        DatasetError: `annotations.csv` is missing or damaged, or says otherwise than the manifest.
    """
    several = {i for i in film_ids if dataset.by_id[i].annotations > 1}
    if not several:
        return {}
    path = dataset.root / "annotations.csv"
    rows: dict[str, list[str]] = {film_id: [] for film_id in several}
    former = csv.field_size_limit(MAX_CELL)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                if row["film_id"] in several and row["rle"].strip() != "-1":
                    rows[row["film_id"]].append(row["rle"])
    except (OSError, KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read ({error}); prepare the dataset again") from error
    finally:
        csv.field_size_limit(former)
    wrong = sorted(i for i in several if len(rows[i]) != dataset.by_id[i].annotations)
    if wrong:
        raise DatasetError(
            f"{path} has {len(rows[wrong[0]])} rows of film {wrong[0]}, the manifest says "
            f"{dataset.by_id[wrong[0]].annotations}; prepare the dataset again"
        )
    return rows


def _stacked(masks: Sequence[Any]) -> Planes:
    """Masks uint8 (S, S) as (K, S, S), without the empty ones."""
    held = [mask for mask in masks if mask.any()]
    return np.stack(held) if held else np.zeros((0, *masks[0].shape), np.uint8)
