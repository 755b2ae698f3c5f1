"""A run's pictures: its curves, and sheets of films with outlines."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.dataset import SURROUND, FilmSet
from pleura.data.manifest import Dataset
from pleura.errors import DatasetError
from pleura.files import write_bytes
from pleura.inference.preprocess import PREPROCESS_VERSION, squeeze
from pleura.outputs.curves import save_png, training_curves
from pleura.outputs.drawing import draw_contour
from pleura.outputs.overlay import FINDING, TRUTH, contact_sheet
from pleura.training.recipe import Recipe
from pleura.training.sampling import beforehand

SHEET_FILMS = 16
CELL_PX = 256


def draw_curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Losses and scores over the epochs, to a PNG."""
    save_png(training_curves(history), path)


def sheet_films(films: FilmSet) -> list[int]:
    """Indices of the films a sheet shows: three in four positive, spread over the part, always the same."""
    labels = np.array(films.labels)
    positives = _spread(np.flatnonzero(labels == 1), SHEET_FILMS * 3 // 4)
    negatives = _spread(np.flatnonzero(labels == 0), SHEET_FILMS - len(positives))
    return [int(i) for i in (*positives, *negatives)]


def draw_tuning(films: FilmSet, maps: Mapping[int, NDArray[np.float32]], path: Path) -> None:
    """Tuning films with the outlines of truth and of the prediction at 0.5, to a PNG.

    Args:
        films: the tuning part.
        maps: pixel probabilities (S, S) of the films to show, by their index.
        path: of the PNG.
    """
    cells, captions = [], []
    for i, probability in maps.items():
        image, mask = films.get(i)
        predicted = probability >= 0.5
        cells.append(film_cell(image, mask > 127, predicted))
        both = int((predicted & (mask > 127)).sum())
        either = int(predicted.sum() + (mask > 127).sum())
        captions.append(f"Dice {2 * both / either:.2f}" if either else "empty, and found empty")
    write_png(path, contact_sheet(cells, 4, captions))


def draw_augmented(
    recipe: Recipe,
    dataset: Dataset,
    path: Path,
    films: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    unseen: Collection[str] = (),
) -> int:
    """Films in rows, each as it is and then five times augmented, with their masks, to a PNG.

    Positive films come first, and are half of them where collapses are painted into others; which ones is the
    seed's choice. Returns how many films are shown.

    Args:
        recipe: whose input, region and augmentation are shown.
        dataset: with labelled films.
        path: of the PNG.
        films: how many at most.
        seed: decides which, and how they are changed.
        progress: called with (films read, films in all).
        unseen: films that are not to be looked at, such as those of a test part.

    Raises:
        DatasetError: the dataset has no labelled film, or none but those.
    """
    hidden = frozenset(unseen)
    labelled = sorted(
        (f for f in dataset.films if f.label is not None and f.film_id not in hidden),
        key=lambda f: f.film_id,
    )
    if not labelled:
        raise DatasetError(f"{dataset.root} has no labelled film to show")
    order = np.random.default_rng(seed).permutation(len(labelled))
    drawn = [labelled[i] for i in order]
    positive, negative = ([f for f in drawn if f.label == label] for label in (1, 0))
    most = (films + 1) // 2 if recipe.painted_collapses is not None else films
    chosen = [*positive[:most], *negative][:films]
    ids = [f.film_id for f in chosen]
    frames = lungs = None
    if recipe.anatomy:
        # It needs PyTorch, which nothing else here does.
        from pleura.training.lungs import Anatomy, lung_frames, lung_labels

        anatomy = Anatomy.of(Path(recipe.anatomy))
        frames = lung_frames(anatomy, dataset, ids)
        if recipe.painted_collapses is not None:
            lungs = lung_labels(anatomy, dataset, ids)
    held = FilmSet(
        dataset,
        ids,
        recipe.input.size,
        squeeze,
        progress,
        squeeze_version=PREPROCESS_VERSION,
        frames=frames,
        surround=SURROUND if frames else 0.0,
        lungs=lungs,
    )
    cells, captions = [], []
    for i, film in enumerate(chosen):
        shown = [held.get(i)]
        captions.append(f"as it is, {'positive' if film.label else 'negative'}")
        for epoch in range(5):
            first = beforehand(i, held.labels[i], np.arange(len(chosen)), recipe, (seed, epoch))
            shown.append(held.augmented(i, recipe.augmentation, (seed, epoch), first))
            drawn_into = ", painted" if first.painted and shown[-1][1].any() else ""
            captions.append(f"{recipe.augmentation}, {epoch + 1}{drawn_into}")
        cells += [film_cell(image, mask > 127) for image, mask in shown]
    write_png(path, contact_sheet(cells, 6, captions))
    return len(chosen)


def film_cell(
    image: NDArray[np.float32], truth: NDArray[np.bool_], predicted: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """A film float32 (S, S) with outlines, as RGB uint8 (CELL_PX, CELL_PX, 3)."""
    size = (CELL_PX, CELL_PX)
    grey = cv2.resize(np.round(image * 255).astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    cell = np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    for mask, colour in ((truth, TRUTH), (predicted, FINDING)):
        if mask is not None and mask.any():
            draw_contour(cell, mask, colour)
    return cell


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes RGB uint8 (H, W, 3) to a PNG, whole or not at all."""
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    write_bytes(path, encoded.data)


def _spread(indices: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(indices) <= most:
        return indices
    chosen: NDArray[np.int64] = indices[np.linspace(0, len(indices) - 1, most).round().astype(int)]
    return chosen
