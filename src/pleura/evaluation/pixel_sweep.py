"""Areas and intersections of films over a grid of thresholds: one pass over the maps, then arithmetic."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.manifest import Dataset
from pleura.errors import EvaluationError
from pleura.evaluation.parts import refuse_test
from pleura.finding import Finding
from pleura.radiograph import Radiograph

PIXEL_THRESHOLDS = tuple(round(0.05 * n, 2) for n in range(1, 20))
MIN_AREA_FRACTIONS = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008)


class Detector(Protocol):
    """What is evaluated: one radiograph in, one finding out."""

    def __call__(self, film: Radiograph, /) -> Finding:
        """The finding for one film."""
        ...


class PixelSweep:
    """Accumulates areas and intersections of films over a grid of thresholds.

    Args:
        pixel_thresholds: rising, 0 to 1.
        min_area_fractions: rising, of the image.
        relative: whether the pixel thresholds are shares of each film's presence score, and its largest
            region is kept, however small: `relative` and `keep_largest` of an `OperatingPoint`.

    Raises:
        EvaluationError: a grid is empty, does not rise, or leaves [0, 1].
    """

    def __init__(
        self,
        pixel_thresholds: Sequence[float] = PIXEL_THRESHOLDS,
        min_area_fractions: Sequence[float] = MIN_AREA_FRACTIONS,
        *,
        relative: bool = False,
    ) -> None:
        self.pixel_thresholds = _grid("pixel thresholds", pixel_thresholds)
        self.min_area_fractions = _grid("smallest regions", min_area_fractions)
        self.relative = relative
        self._ids: set[str] = set()
        self._scores: list[float] = []
        self._judged: list[bool] = []
        self._truth: list[int] = []
        self._sizes: list[int] = []
        self._tables: list[NDArray[np.int64]] = []  # (2, T, A): predicted area, intersection
        self._tops: list[NDArray[np.int64]] = []  # (T,): area at each threshold, small regions too

    def __len__(self) -> int:
        return len(self._ids)

    @classmethod
    def joined(cls, sweeps: Sequence["PixelSweep"]) -> "PixelSweep":
        """The films of several sweeps over one grid, as out-of-fold predictions of several folds.

        Raises:
            EvaluationError: there is none, their grids differ, or a film stands in two.
        """
        grids = {(one.pixel_thresholds, one.min_area_fractions, one.relative) for one in sweeps}
        if len(grids) != 1:
            raise EvaluationError(f"sweeps of one grid can be joined; got {len(grids)} grids")
        thresholds, fractions, relative = grids.pop()
        whole = cls(thresholds, fractions, relative=relative)
        for one in sweeps:
            if whole._ids & one._ids:
                film_id = min(whole._ids & one._ids)
                raise EvaluationError(f"film {film_id} is swept twice; give each film once")
            whole._ids |= one._ids
            for name in ("_scores", "_judged", "_truth", "_sizes", "_tables", "_tops"):
                getattr(whole, name).extend(getattr(one, name))
        return whole

    def add(self, film_id: str, finding: Finding, truth: NDArray[np.bool_], *, part: str) -> None:
        """Takes in one film: its finding's map and presence score, and its mask `truth`, bool (H, W).

        A declined film stays in, as a film that is never called.

        Raises:
            EvaluationError: `part` is a test part, the film is there already, the finding's probability is
                calibrated, so that it is no score, or its map is missing or not of the truth's shape.
        """
        refuse_test(part)
        if finding.calibrated:
            raise EvaluationError(
                f"film {film_id}: its finding is calibrated, and a bundle's thresholds are on scores; sweep "
                "the bundle without its calibrator"
            )
        if film_id in self._ids:
            raise EvaluationError(f"film {film_id} is swept twice; give each film once")
        table = np.zeros((2, len(self.pixel_thresholds), len(self.min_area_fractions)), np.int64)
        tops = np.zeros(len(self.pixel_thresholds), np.int64)
        declined = finding.decision == "declined"
        if not declined:
            probability = finding.probability_map
            if probability is None or probability.shape != truth.shape:
                shape = None if probability is None else probability.shape
                raise EvaluationError(
                    f"film {film_id}: a sweep needs the probability map on the source matrix "
                    f"{truth.shape}; the finding has {shape}"
                )
            scale = (finding.probability or 0.0) if self.relative else 1.0
            self._fill(table, tops, probability, truth, scale)
        self._ids.add(film_id)
        self._scores.append(finding.probability or 0.0)
        self._judged.append(not declined)
        self._truth.append(int(truth.sum()))
        self._sizes.append(truth.size)
        self._tables.append(table)
        self._tops.append(tops)

    def _fill(
        self,
        table: NDArray[np.int64],
        tops: NDArray[np.int64],
        probability: NDArray[np.float32],
        truth: NDArray[np.bool_],
        scale: float,
    ) -> None:
        size = probability.size
        for t, threshold in enumerate(self.pixel_thresholds):
            above = probability >= threshold * scale
            top, left, height, width = _extent(above)
            if not height:
                return  # thresholds rise: nothing passes the rest either
            # Only the box around what passed is looked at from here on, which is most of the speed.
            window = (slice(top, top + height), slice(left, left + width))
            probability, truth, above = probability[window], truth[window], above[window]
            regions, labels = cv2.connectedComponents(above.astype(np.uint8), connectivity=8)
            areas = np.bincount(labels.ravel(), minlength=regions)[1:]
            tops[t] = areas.sum()
            shared = np.bincount(labels[truth], minlength=regions)[1:]
            for a, fraction in enumerate(self.min_area_fractions):
                kept = areas >= fraction * size
                if self.relative:
                    kept[areas.argmax()] = True
                table[:, t, a] = areas[kept].sum(), shared[kept].sum()

    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
        """Presence scores (N,), whether judged (N,), and labelled areas (N,) in px."""
        return (
            np.array(self._scores, np.float64),
            np.array(self._judged, np.bool_),
            np.array(self._truth, np.int64),
        )

    def areas(self, t: int, a: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Predicted areas (N,) and intersections (N,), px, at pixel threshold `t` and smallest region `a`."""
        pairs = np.array([table[:, t, a] for table in self._tables], np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]

    def reaching(self, t: int, fraction: float) -> NDArray[np.bool_]:
        """Whether at least `fraction` of each film (N,) is at threshold `t` or above, as `draw_mask` asks."""
        areas = np.array([tops[t] for tops in self._tops], np.int64)
        called: NDArray[np.bool_] = areas >= fraction * np.array(self._sizes, np.int64)
        return called


def sweep(
    detector: Detector,
    dataset: Dataset,
    film_ids: Sequence[str],
    *,
    part: str,
    relative: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PixelSweep:
    """`PixelSweep` of a detector over films of a dataset, one at a time; `relative` as there.

    Raises:
        EvaluationError: `part` is a test part, a film is unknown or unlabelled, or the detector has a
            calibrator.
    """
    refuse_test(part)
    swept = PixelSweep(relative=relative)
    for done, film_id in enumerate(film_ids, start=1):
        film = dataset.by_id.get(film_id)
        if film is None or film.label is None:
            state = "not in" if film is None else "unlabelled in"
            raise EvaluationError(
                f"film {film_id} is {state} {dataset.root}; choose labelled films"
            )
        swept.add(film_id, detector(dataset.radiograph(film)), dataset.mask(film), part=part)
        if progress:
            progress(done, len(film_ids))
    return swept


def _extent(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Top, left, height and width of the box around what is set; zeros where nothing is."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return top, left, height, width


def _grid(what: str, values: Sequence[float]) -> tuple[float, ...]:
    grid = tuple(float(v) for v in values)
    rises = all(a < b for a, b in pairwise(grid))
    if not grid or not rises or grid[0] < 0.0 or grid[-1] > 1.0:
        raise EvaluationError(
            f"the {what} of a sweep rise from 0 at least to 1 at most; got {values}"
        )
    return grid
