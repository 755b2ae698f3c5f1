"""Choosing the operating point on tuning films: one pass over the maps, then arithmetic on a table.

`PixelSweep` keeps, of each film, the area and the intersection that every pair of pixel threshold and
smallest region would give; `fit_operating_point` then finds the point of the best mean Dice on the source
matrix (empty/empty = 1), by one of two rules:

- `threshold`: a pixel threshold, a smallest region, and any presence threshold that tells two films apart;
- `triplet`: a pixel threshold, a top threshold, and the area that must reach the latter; no presence
  threshold. It is how the winner of the SIIM-ACR challenge decided.

What it finds is fitted to these films: the value it reports is not an estimate for others.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.manifest import Dataset
from pleura.errors import EvaluationError
from pleura.evaluation.metrics import all_empty_dice, dice_of, youden
from pleura.finding import Finding
from pleura.inference.postprocess import OperatingPoint
from pleura.radiograph import Radiograph

PIXEL_THRESHOLDS = tuple(round(0.05 * n, 2) for n in range(1, 20))
MIN_AREA_FRACTIONS = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008)
MIN_TOP_AREA_FRACTIONS = (0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008)
COMPETITION_DICE = "competition Dice"
# The winner's own (sneddy, SIIM-ACR 2019): 2000 px of 1024 x 1024 at 0.75 or above, drawn at 0.3.
WINNERS_TRIPLET = OperatingPoint(0.3, 0.0, 0.0, "default", "nothing", 0.75, 2000 / 1024**2)
_TIE = 1e-9

Rule = Literal["threshold", "triplet"]


class Detector(Protocol):
    """What is evaluated: one radiograph in, one finding out."""

    def __call__(self, film: Radiograph, /) -> Finding:
        """The finding for one film."""
        ...


@dataclass(frozen=True)
class FittedPoint:
    """An operating point and what it was fitted on.

    Attributes:
        point: the choice.
        n, positives: tuning films, and those of them with a labelled mask.
        value: competition Dice of these films at `point`; fitted to them, so optimistic.
        all_empty: competition Dice of predicting nothing.
        youden_threshold, youden_j: presence threshold of the largest sensitivity + specificity - 1, and that
            value; None where only one class is there.
    """

    point: OperatingPoint
    n: int
    positives: int
    value: float
    all_empty: float
    youden_threshold: float | None
    youden_j: float | None

    def facts(self) -> dict[str, Any]:
        """Everything, as JSON types."""
        return asdict(self)


class PixelSweep:
    """Accumulates areas and intersections of films over a grid of thresholds.

    Args:
        pixel_thresholds: rising, 0 to 1.
        min_area_fractions: rising, of the image.

    Raises:
        EvaluationError: a grid is empty, does not rise, or leaves [0, 1].
    """

    def __init__(
        self,
        pixel_thresholds: Sequence[float] = PIXEL_THRESHOLDS,
        min_area_fractions: Sequence[float] = MIN_AREA_FRACTIONS,
    ) -> None:
        self.pixel_thresholds = _grid("pixel thresholds", pixel_thresholds)
        self.min_area_fractions = _grid("smallest regions", min_area_fractions)
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
        grids = {(one.pixel_thresholds, one.min_area_fractions) for one in sweeps}
        if len(grids) != 1:
            raise EvaluationError(f"sweeps of one grid can be joined; got {len(grids)} grids")
        whole = cls(*grids.pop())
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
            EvaluationError: `part` is a test part, the film is there already, or the finding's map is
                missing or not of the truth's shape.
        """
        refuse_test(part)
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
            self._fill(table, tops, probability, truth)
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
    ) -> None:
        size = probability.size
        for t, threshold in enumerate(self.pixel_thresholds):
            above = probability >= threshold
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
    progress: Callable[[int, int], None] | None = None,
) -> PixelSweep:
    """`PixelSweep` of a detector over films of a dataset, one at a time.

    Raises:
        EvaluationError: `part` is a test part, or a film is unknown or unlabelled.
    """
    refuse_test(part)
    swept = PixelSweep()
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


def fit_operating_point(swept: PixelSweep, *, part: str, rule: Rule = "threshold") -> FittedPoint:
    """The operating point of the best competition Dice on the films of `swept`.

    Among equals it is the one nearest to `OperatingPoint`'s defaults, or to the winner's triplet, then the
    one that calls less.

    Args:
        swept: tuning films.
        part: what they are called; it is put on record.
        rule: which thresholds are fitted, see above.

    Raises:
        EvaluationError: `part` is a test part, or there are no films, or none with a labelled mask.
    """
    refuse_test(part)
    scores, _, truth = swept.arrays()
    if not (truth > 0).any():
        raise EvaluationError(
            f"an operating point cannot be fitted on {len(swept)} films without one labelled mask; "
            "choose a tuning part that holds films with the target"
        )
    tried = _triplets(swept, part) if rule == "triplet" else _thresholds(swept, part)
    highest = max(value for value, _, _ in tried)
    equals = [(far, point) for value, far, point in tried if value >= highest - _TIE]
    chosen = min(equals, key=lambda pair: (pair[0], -pair[1].presence_threshold))[1]
    cut = youden(scores, truth > 0)
    return FittedPoint(
        point=chosen,
        n=len(swept),
        positives=int((truth > 0).sum()),
        value=highest,
        all_empty=float(all_empty_dice(truth) or 0.0),
        youden_threshold=cut[0] if cut else None,
        youden_j=cut[1] if cut else None,
    )


Tried = list[tuple[float, float, OperatingPoint]]
"""Mean Dice, distance from the default, and the point."""


def _thresholds(swept: PixelSweep, part: str) -> Tried:
    """Every pixel threshold and smallest region, each with its best presence threshold."""
    scores, judged, truth = swept.arrays()
    default = OperatingPoint()
    tried = []
    for t, pixel in enumerate(swept.pixel_thresholds):
        for a, smallest in enumerate(swept.min_area_fractions):
            value, presence = _best_presence(*swept.areas(t, a), scores, judged, truth)
            far = abs(pixel - default.pixel_threshold) + abs(smallest - default.min_area_fraction)
            point = OperatingPoint(pixel, smallest, presence, COMPETITION_DICE, part)
            tried.append((value, far, point))
    return tried


def _triplets(swept: PixelSweep, part: str) -> Tried:
    """Every pixel threshold with every top threshold not below it and every area that must reach that."""
    _, _, truth = swept.arrays()
    silent = (truth == 0).astype(np.float64)
    smallest, aim = swept.min_area_fractions[0], f"{COMPETITION_DICE}, triplet"
    thresholds, winners = swept.pixel_thresholds, WINNERS_TRIPLET
    dices = []
    for t in range(len(thresholds)):
        predicted, shared = swept.areas(t, 0)
        dices.append(dice_of(predicted, truth, shared))
    tried = []
    for u, top in enumerate(thresholds):
        for area in MIN_TOP_AREA_FRACTIONS:
            called = swept.reaching(u, area)
            for pixel, dice in zip(thresholds[: u + 1], dices, strict=False):
                value = float(np.where(called, dice, silent).mean())
                far = abs(pixel - winners.pixel_threshold) + abs(
                    top - (winners.top_threshold or 0.0)
                )
                far += abs(area - winners.min_top_area_fraction)
                tried.append(
                    (value, far, OperatingPoint(pixel, smallest, 0.0, aim, part, top, area))
                )
    return tried


def refuse_test(part: str) -> None:
    """Raises EvaluationError where `part` names a test part: nothing may be chosen on it."""
    if "test" in part.lower():
        raise EvaluationError(
            f"an operating point was to be chosen on the part {part!r}; test films are never chosen on: "
            "use the tuning part"
        )


def _best_presence(
    pred: NDArray[np.int64],
    shared: NDArray[np.int64],
    scores: NDArray[np.float64],
    judged: NDArray[np.bool_],
    truth: NDArray[np.int64],
) -> tuple[float, float]:
    """The best mean Dice over all presence thresholds, and the highest threshold that gives it."""
    silent = (truth == 0).astype(np.float64)  # Dice where nothing is predicted
    gain = (dice_of(pred, truth, shared) - silent)[judged]
    order = np.argsort(-scores[judged], kind="stable")
    ranked = scores[judged][order]
    last = (
        np.flatnonzero(np.append(np.diff(ranked) != 0, True)) if ranked.size else np.empty(0, int)
    )
    values = silent.sum() + np.concatenate([np.zeros(1), np.cumsum(gain[order])[last]])
    # Between two scores any threshold gives the same calls; the middle is the least fitted one.
    edges = np.concatenate([np.ones(1), ranked[last], np.zeros(1)])
    cuts = (edges[:-1] + edges[1:]) / 2.0
    if ranked.size and cuts[0] <= ranked[0]:
        values[0] = -np.inf  # a film of score 1 is called at any threshold
    best = int(np.argmax(values >= values.max() - _TIE))
    return float(values[best]) / truth.size, float(cuts[best])


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
