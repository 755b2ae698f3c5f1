"""Choosing the operating point on tuning films, from the table of a `PixelSweep`.

Three rules say what is chosen:

- `threshold`: a pixel threshold, a smallest region, and any presence threshold that tells two films apart;
- `relative`: the same, the pixel threshold being a share of the film's presence score, and the largest
  region of a film that reaches the presence threshold being kept, however small;
- `triplet`: a pixel threshold, a top threshold, and the area that must reach the latter; no presence
  threshold. It is how the winner of the SIIM-ACR challenge decided.

An aim says what for: the best competition Dice (mean Dice on the source matrix, empty/empty = 1); a share
of the best at least, and then the best Dice on positives, since the best is often one end of a plateau, and
nothing is lost at its more sensitive end; or a stated specificity or sensitivity, or the largest Youden
index. The rule `triplet` serves the first alone. A stated share comes first; among the points that serve it
equally well, the competition Dice decides.

What it finds is fitted to these films: the value it reports is not an estimate for others.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pleura.errors import EvaluationError, UnknownName
from pleura.evaluation.metrics import all_empty_dice, dice_of, youden
from pleura.evaluation.parts import refuse_test
from pleura.evaluation.pixel_sweep import PixelSweep
from pleura.inference.postprocess import OperatingPoint

MIN_TOP_AREA_FRACTIONS = (0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008)
COMPETITION_DICE = "competition Dice"
SPECIFICITY, SENSITIVITY, YOUDEN = "specificity", "sensitivity", "Youden"
AIMS = (
    COMPETITION_DICE,
    f"{COMPETITION_DICE} 0.99",
    f"{SPECIFICITY} 0.95",
    f"{SENSITIVITY} 0.95",
    YOUDEN,
)
"""As they are written; the numbers may be others between 0 and 1."""
# The winner's own (sneddy, SIIM-ACR 2019): 2000 px of 1024 x 1024 at 0.75 or above, drawn at 0.3.
WINNERS_TRIPLET = OperatingPoint(0.3, 0.0, 0.0, "default", "nothing", 0.75, 2000 / 1024**2)
_TIE = 1e-9
_LEEWAY = 0.01  # of sensitivity, specificity or the Youden index, given away for a better Dice

Rule = Literal["threshold", "relative", "triplet"]
Tried = list[tuple[float, float, OperatingPoint]]
"""Mean Dice, distance from the default, and the point."""


@dataclass(frozen=True)
class FittedPoint:
    """An operating point and what it was fitted on.

    Attributes:
        point: the choice.
        n, positives: tuning films, and those of them with a labelled mask.
        value: competition Dice of these films at `point`; fitted to them, so optimistic.
        sensitivity, specificity: of these films at `point`, likewise; None where they hold one class only.
        all_empty: competition Dice of predicting nothing.
        youden_threshold, youden_j: presence threshold of the largest sensitivity + specificity - 1, and that
            value; None where only one class is there.
    """

    point: OperatingPoint
    n: int
    positives: int
    value: float
    all_empty: float
    sensitivity: float | None
    specificity: float | None
    youden_threshold: float | None
    youden_j: float | None

    def facts(self) -> dict[str, Any]:
        """Everything, as JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Aim:
    """What an operating point is chosen for.

    Attributes:
        name: one of `COMPETITION_DICE`, `SPECIFICITY`, `SENSITIVITY`, `YOUDEN`.
        value: the share to reach at least; of competition Dice, of the best, and None for the best itself; of
            the Youden index None.
    """

    name: str = COMPETITION_DICE
    value: float | None = None

    @classmethod
    def of(cls, text: str) -> "Aim":
        """The aim in words such as `competition Dice` or `specificity 0.95`.

        Raises:
            UnknownName: there is no such aim.
            EvaluationError: a share is missing, or lies outside of (0, 1].
        """
        spelled = " ".join(text.split())
        known = (COMPETITION_DICE, SPECIFICITY, SENSITIVITY, YOUDEN)
        name = next((n for n in known if spelled.lower().startswith(n.lower())), None)
        if name is None:
            raise UnknownName.among("aim", text, AIMS)
        rest = spelled[len(name) :].strip()
        if not rest and name in (COMPETITION_DICE, YOUDEN):
            return cls(name)
        if name == YOUDEN:
            raise UnknownName.among("aim", text, AIMS)
        try:
            share = float(rest)
        except ValueError:
            share = math.nan
        if not 0.0 < share <= 1.0:
            raise EvaluationError(
                f"the aim {text!r} needs the {name} to reach, above 0 and at most 1; write {name} 0.95"
            )
        return cls(name, share)

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name} {self.value:g}"


def fit_operating_point(
    swept: PixelSweep, *, part: str, rule: Rule = "threshold", aim: str = COMPETITION_DICE
) -> FittedPoint:
    """The operating point that serves `aim` best on the films of `swept`.

    Among equals it is the one nearest to `OperatingPoint`'s defaults, or to the winner's triplet, then the
    one that calls less.

    Args:
        swept: tuning films.
        part: what they are called; it is put on record.
        rule: which thresholds are fitted, see above.
        aim: what for, as `Aim.of` reads it.

    Raises:
        UnknownName: there is no such aim.
        EvaluationError: `part` is a test part, or there are no films, or none with a labelled mask, or the
            aim cannot be reached on them, or needs another rule, or the films were swept for another.
    """
    refuse_test(part)
    if swept.relative != (rule == "relative"):
        raise EvaluationError(
            f"the rule {rule} needs a sweep of {'relative' if rule == 'relative' else 'absolute'} thresholds"
        )
    wanted = Aim.of(aim)
    scores, _, truth = swept.arrays()
    if not (truth > 0).any():
        raise EvaluationError(
            f"an operating point cannot be fitted on {len(swept)} films without one labelled mask; "
            "choose a tuning part that holds films with the target"
        )
    if rule == "triplet":
        if wanted != Aim():
            raise EvaluationError(
                f"the aim {aim!r} needs the rule threshold; a triplet cannot serve it"
            )
        tried = _triplets(swept, part)
    elif wanted.name == COMPETITION_DICE:
        tried = _thresholds(swept, part, wanted)
    else:
        tried = _at_presence(swept, part, wanted)
    if not tried:
        raise EvaluationError(
            f"the aim {aim!r} cannot be reached on these {len(swept)} films ({int((truth > 0).sum())} "
            "positive) at any threshold; choose a lower one"
        )
    highest = max(value for value, _, _ in tried)
    equals = [(far, point) for value, far, point in tried if value >= highest - _TIE]
    chosen = min(equals, key=lambda pair: (pair[0], -pair[1].presence_threshold))[1]
    cut = youden(scores, truth > 0)
    called = called_at(swept, chosen)
    return FittedPoint(
        point=chosen,
        n=len(swept),
        positives=int((truth > 0).sum()),
        value=highest,
        all_empty=float(all_empty_dice(truth) or 0.0),
        sensitivity=_share(called[truth > 0]),
        specificity=_share(~called[truth == 0]),
        youden_threshold=cut[0] if cut else None,
        youden_j=cut[1] if cut else None,
    )


def _share(hits: NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if hits.size else None


def called_at(swept: PixelSweep, point: OperatingPoint) -> NDArray[np.bool_]:
    """Whether each film (N,) is called positive at a point of the sweep's grid, as the detector would."""
    scores, judged, _ = swept.arrays()
    t = swept.pixel_thresholds.index(point.pixel_threshold)
    predicted, _ = swept.areas(t, swept.min_area_fractions.index(point.min_area_fraction))
    called: NDArray[np.bool_] = judged & (predicted > 0) & (scores >= point.presence_threshold)
    if point.top_threshold is not None:
        u = swept.pixel_thresholds.index(point.top_threshold)
        called &= swept.reaching(u, point.min_top_area_fraction)
    return called


def _at_presence(swept: PixelSweep, part: str, aim: Aim) -> Tried:
    """The pixel thresholds and smallest regions that serve the aim best, with the presence threshold for it.

    A film without a region is never called, whatever its score; so the aim is judged by both together. Best
    is what reaches the aim and has the most of what it leaves open (sensitivity at a specificity, and the
    other way round; the Youden index), or at most `_LEEWAY` less: the Dice decides between those.
    """
    scores, judged, truth = swept.arrays()
    silent = (truth == 0).astype(np.float64)
    default = OperatingPoint()
    tried, served = [], []
    for t, pixel in enumerate(swept.pixel_thresholds):
        for a, smallest in enumerate(swept.min_area_fractions):
            predicted, shared = swept.areas(t, a)
            able = judged & (predicted > 0)
            cut = _presence_for(aim, np.where(able, scores, -1.0), truth > 0)
            if cut is None:
                continue
            presence, open_share = cut
            dice = np.where(able & (scores >= presence), dice_of(predicted, truth, shared), silent)
            far = abs(pixel - default.pixel_threshold) + abs(smallest - default.min_area_fraction)
            point = _point(swept, pixel, smallest, presence, aim, part)
            tried.append((float(dice.mean()), far, point))
            served.append(open_share)
    least = max(served, default=0.0) - _LEEWAY
    return [one for one, share in zip(tried, served, strict=True) if share >= least]


def _point(
    swept: PixelSweep, pixel: float, smallest: float, presence: float, aim: Aim, part: str
) -> OperatingPoint:
    drawn = {"relative": swept.relative, "keep_largest": swept.relative}
    return OperatingPoint(pixel, smallest, presence, str(aim), part, **drawn)


def _presence_for(
    aim: Aim, scores: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[float, float] | None:
    """The presence threshold that an aim asks for, and how much it gets of what the aim leaves open.

    Args:
        aim: not competition Dice.
        scores: in [0, 1], or -1 of a film that is never called, (N,).
        positive: by its label, (N,); one at least.

    Returns:
        None where no threshold reaches the aim.
    """
    ranked = np.unique(scores[scores >= 0])  # rising; a threshold lies in the middle between two
    cuts = (np.concatenate([[0.0], ranked]) + np.concatenate([ranked, [1.0]])) / 2.0
    if ranked.size and ranked[-1] >= 1.0:
        cuts = cuts[:-1]  # a film of score 1 is called at any threshold
    sensitivity = _at_or_above(scores[positive], cuts) / np.count_nonzero(positive)
    negatives = scores[~positive]
    specificity = (
        (negatives.size - _at_or_above(negatives, cuts)) / negatives.size
        if negatives.size
        else np.ones(len(cuts))
    )
    if aim.name == YOUDEN:
        index = sensitivity + specificity - 1.0
        best = int(np.flatnonzero(index >= index.max() - _TIE)[-1])
        return float(cuts[best]), float(index[best])
    falls = aim.name == SENSITIVITY  # with a rising threshold
    reached, left = (sensitivity, specificity) if falls else (specificity, sensitivity)
    able = np.flatnonzero(reached >= (aim.value or 0.0) - _TIE)
    if not able.size:
        return None
    chosen = int(able[-1] if falls else able[0])
    return float(cuts[chosen]), float(left[chosen])


def _at_or_above(scores: NDArray[np.float64], cuts: NDArray[np.float64]) -> NDArray[np.intp]:
    """How many of the scores reach each cut, in memory that grows with either and not with both."""
    return scores.size - np.searchsorted(np.sort(scores), cuts, side="left")


def _thresholds(swept: PixelSweep, part: str, aim: Aim) -> Tried:
    """Every pixel threshold and smallest region, each with its best presence threshold.

    Of an aim with a share, those alone whose Dice on positives is the best of all that reach that share.
    """
    default = OperatingPoint()
    curves = {
        (pixel, smallest): _presence_curve(swept, t, a)
        for t, pixel in enumerate(swept.pixel_thresholds)
        for a, smallest in enumerate(swept.min_area_fractions)
    }
    least = (aim.value or 1.0) * max(curve.dice.max() for curve in curves.values())
    tried, found = [], []
    for (pixel, smallest), curve in curves.items():
        if aim.value is None:
            best = int(np.argmax(curve.dice >= curve.dice.max() - _TIE))
        else:
            on_positives = np.where(curve.dice >= least - _TIE, curve.on_positives, -1.0)
            equal = on_positives >= on_positives.max() - _TIE
            best = int(np.argmax(np.where(equal, curve.dice, -np.inf)))
            found.append(float(on_positives[best]))
        far = abs(pixel - default.pixel_threshold) + abs(smallest - default.min_area_fraction)
        point = _point(swept, pixel, smallest, float(curve.cuts[best]), aim, part)
        tried.append((float(curve.dice[best]), far, point))
    if aim.value is None:
        return tried
    highest = max(found)
    return [one for one, value in zip(tried, found, strict=True) if value >= highest - _TIE]


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


class _Curve(NamedTuple):
    """What each presence threshold gives, the highest first.

    Attributes:
        cuts: the thresholds (K,).
        dice: competition Dice (K,); minus infinity where no threshold does what it stands for.
        on_positives: mean Dice of the films with a labelled mask (K,); a film that is not called has 0.
    """

    cuts: NDArray[np.float64]
    dice: NDArray[np.float64]
    on_positives: NDArray[np.float64]


def _presence_curve(swept: PixelSweep, t: int, a: int) -> _Curve:
    """Every presence threshold that tells two films apart, at a pixel threshold and a smallest region."""
    scores, judged, truth = swept.arrays()
    pred, shared = swept.areas(t, a)
    silent = (truth == 0).astype(np.float64)  # Dice where nothing is predicted
    dice = dice_of(pred, truth, shared)
    order = np.argsort(-scores[judged], kind="stable")
    ranked = scores[judged][order]
    last = (
        np.flatnonzero(np.append(np.diff(ranked) != 0, True)) if ranked.size else np.empty(0, int)
    )

    def summed(gain: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([np.zeros(1), np.cumsum(gain[judged][order])[last]])

    values = (silent.sum() + summed(dice - silent)) / truth.size
    on_positives = summed(np.where(truth > 0, dice, 0.0)) / max(1, int(np.count_nonzero(truth)))
    # Between two scores any threshold gives the same calls; the middle is the least fitted one.
    edges = np.concatenate([np.ones(1), ranked[last], np.zeros(1)])
    cuts = (edges[:-1] + edges[1:]) / 2.0
    if ranked.size and cuts[0] <= ranked[0]:
        values[0] = -np.inf  # a film of score 1 is called at any threshold
    return _Curve(cuts, values, on_positives)
