"""Do two detectors decide the same? Asked of films, of their findings, not of tensors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pleura.errors import EvaluationError
from pleura.finding import Finding
from pleura.inference.detector import Detector
from pleura.radiograph import Radiograph


@dataclass(frozen=True)
class Bound:
    """What two detectors may differ by, and still decide the same.

    Attributes:
        same_presence: least share of films on which both say positive, or neither.
        dice_mean, dice_worst: least Dice of their masks, over the films that both call positive.
        probability_mean, probability_worst: largest difference of their probabilities, over all films.
    """

    same_presence: float
    dice_mean: float
    dice_worst: float
    probability_mean: float
    probability_worst: float


EXACT = Bound(1.0, 0.995, 0.995, 0.01, 0.01)
"""Of float32 against float32: the same decision, and the same digits as far as anyone reads them."""

REDUCED = Bound(0.99, 0.98, 0.0, 0.02, 1.0)
"""Of numbers with fewer bits: the same decisions, all but a few, and the same masks on the average."""


@dataclass(frozen=True)
class Parity:
    """How two detectors' findings differed.

    Attributes:
        films: how many both judged.
        positives: how many both called positive.
        changed: the films on which one saw the target and the other did not.
        dice_mean, dice_worst: of their masks on the positives; None without any.
        dice_worst_film: where.
        probability_mean, probability_worst: absolute difference of their probabilities.
        probability_worst_film: where.
    """

    films: int
    positives: int
    changed: tuple[str, ...]
    dice_mean: float | None
    dice_worst: float | None
    dice_worst_film: str | None
    probability_mean: float
    probability_worst: float
    probability_worst_film: str

    def misses(self, bound: Bound) -> list[str]:
        """What of `bound` is not kept, each with its number; empty where all of it is."""
        same = 1 - len(self.changed) / self.films
        missed = []
        if same < bound.same_presence:
            missed.append(
                f"presence is the same on {same:.1%} of films, not {bound.same_presence:.0%} "
                f"({', '.join(self.changed[:3])})"
            )
        for name in ("dice_mean", "dice_worst"):
            value = getattr(self, name)
            if value is not None and value < getattr(bound, name):
                missed.append(
                    f"{_said(name)} of the masks is {value:.4f}, below {getattr(bound, name)}"
                )
        for name in ("probability_mean", "probability_worst"):
            value = getattr(self, name)
            if value > getattr(bound, name):
                missed.append(
                    f"{_said(name)} differs by {value:.4f}, more than {getattr(bound, name)}"
                )
        return missed

    def facts(self) -> dict[str, Any]:
        """The numbers, as JSON can say them."""
        return asdict(self) | {"changed": list(self.changed)}

    def __str__(self) -> str:
        dice = "no mask" if self.dice_worst is None else f"worst Dice {self.dice_worst:.4f}"
        return (
            f"{len(self.changed)} of {self.films} decisions changed, {dice}, "
            f"largest difference of probability {self.probability_worst:.4f}"
        )


def compare(
    reference: Detector,
    others: Mapping[str, Detector],
    films: Iterable[tuple[str, Radiograph]],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Parity]:
    """Each of `others` against `reference`, film by film; one film is in memory at a time.

    Args:
        reference: what is right by definition.
        others: by name.
        films: (identifier, film) pairs.
        progress: called with the films done.

    Raises:
        EvaluationError: the reference judges none of the films.
    """
    pairs: dict[str, list[_Difference]] = {name: [] for name in others}
    for done, (film_id, film) in enumerate(films, start=1):
        expected = reference(film)
        if expected.decision != "declined":
            for name, other in others.items():
                pairs[name].append(_Difference.between(film_id, expected, other(film)))
        if progress:
            progress(done)
    if not all(pairs.values()):
        raise EvaluationError(
            "there is no film to compare decisions on: all were declined, or none given"
        )
    return {name: _summary(found) for name, found in pairs.items()}


@dataclass(frozen=True)
class _Difference:
    """Of one film: whether it is positive to both, and how the two findings differ."""

    film_id: str
    positive: bool
    changed: bool
    dice: float
    probability: float

    @classmethod
    def between(cls, film_id: str, one: Finding, other: Finding) -> "_Difference":
        a = np.zeros((), np.bool_) if one.mask is None else one.mask
        b = np.zeros((), np.bool_) if other.mask is None else other.mask
        area = int(a.sum()) + int(b.sum())
        return cls(
            film_id=film_id,
            positive=one.decision == other.decision == "positive",
            changed=one.decision != other.decision,
            dice=2 * int((a & b).sum()) / area if area else 1.0,
            probability=abs((one.probability or 0.0) - (other.probability or 0.0)),
        )


def _summary(found: list[_Difference]) -> Parity:
    positives = [one for one in found if one.positive]
    worst = min(positives, key=lambda one: one.dice, default=None)
    furthest = max(found, key=lambda one: one.probability)
    return Parity(
        films=len(found),
        positives=len(positives),
        changed=tuple(one.film_id for one in found if one.changed),
        dice_mean=float(np.mean([one.dice for one in positives])) if positives else None,
        dice_worst=worst.dice if worst else None,
        dice_worst_film=worst.film_id if worst else None,
        probability_mean=float(np.mean([one.probability for one in found])),
        probability_worst=furthest.probability,
        probability_worst_film=furthest.film_id,
    )


def _said(name: str) -> str:
    kind, which = name.split("_")
    what = "Dice" if kind == "dice" else "probability"
    return f"the {'mean' if which == 'mean' else 'worst'} {what}"
