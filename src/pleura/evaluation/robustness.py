"""Whether a model says the same of a film that came another way.

Between a detector and a model a film may be squeezed, halved, compressed or shown through another window.
None of that changes what it shows, so that its finding should stay; what is counted here is where it does
not. No labels are needed, and nothing is scored: a model may be steady and wrong.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pleura.errors import EvaluationError
from pleura.evaluation.changes import CHANGES, Change, Pixels
from pleura.evaluation.interval import Interval, wilson
from pleura.evaluation.metrics import dice
from pleura.evaluation.pixel_sweep import Detector
from pleura.finding import Finding, ModelIdentity
from pleura.radiograph import Radiograph

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Looked:
    """A film as a model judged it, as it is and changed.

    Attributes:
        film: as it is.
        finding: of that.
        changed: pixels and finding of each change, by its name.
    """

    film: Radiograph
    finding: Finding
    changed: Mapping[str, tuple[Pixels, Finding]]


@dataclass(frozen=True)
class Kept:
    """What a change did to one finding.

    Attributes:
        source, patient: of the film; its name where the patient is not known.
        change: by name.
        before, after: decisions.
        probability, changed_probability: None where declined.
        dice: of both outlines, on the film's own matrix; None unless both films are positive.
    """

    source: str
    patient: str
    change: str
    before: str
    after: str
    probability: float | None
    changed_probability: float | None
    dice: float | None

    @property
    def shift(self) -> float | None:
        """By how much the probability rose; None where one of both is declined."""
        if self.probability is None or self.changed_probability is None:
            return None
        return self.changed_probability - self.probability


@dataclass(frozen=True)
class Stability:
    """What a change did to the findings of many films.

    Attributes:
        change: by name.
        films: that were not declined as they were.
        decided_otherwise: share of them with another decision, with its interval by patient.
        moves: how many went from which decision to which, such as `negative to positive`.
        median_shift: of the probability, with its sign: where it leans.
        typical_shift, largest_shift: of the probability, without: the median and the largest.
        outlines: films that are positive both ways.
        mean_dice, least_dice: of their outlines; None without any.
    """

    change: str
    films: int
    decided_otherwise: Interval
    moves: Mapping[str, int]
    median_shift: float | None
    typical_shift: float | None
    largest_shift: float | None
    outlines: int
    mean_dice: float | None
    least_dice: float | None


@dataclass(frozen=True)
class Robustness:
    """How a model bears every change.

    Attributes:
        model: whose findings they are.
        films, declined: looked at, and declined as they were, which are left out of the rest.
        changes: one of each.
        kept: one of each film and change.
    """

    model: ModelIdentity
    films: int
    declined: int
    changes: tuple[Stability, ...]
    kept: tuple[Kept, ...]


def judge_changed(
    detector: Detector, films: Iterable[Radiograph], changes: Sequence[Change] = CHANGES
) -> Iterator[Looked]:
    """Judges each film as it is and under every change."""
    for film in films:
        changed = {}
        for change in changes:
            pixels = change.make(film.pixels)
            # A film without a header: what the header says of the matrix no longer holds.
            other = Radiograph(
                pixels, film.source_bits, film.source_format, film.source, view=film.view
            )
            changed[change.name] = pixels, detector(other)
        yield Looked(film, detector(film), changed)


def compared(looked: Looked) -> list[Kept]:
    """What each change did to a film's finding."""
    film, finding = looked.film, looked.finding
    return [
        Kept(
            source=film.source,
            patient=film.patient_id or film.source,
            change=name,
            before=finding.decision,
            after=other.decision,
            probability=finding.probability,
            changed_probability=other.probability,
            dice=_overlap(finding, other),
        )
        for name, (_, other) in looked.changed.items()
    ]


def summarised(model: ModelIdentity, kept: Sequence[Kept]) -> Robustness:
    """What every change did, of what `compared` gives of each film.

    Raises:
        EvaluationError: there is no film, or every one was declined as it was.
    """
    names = list(dict.fromkeys(one.change for one in kept))
    by_change = {name: [one for one in kept if one.change == name] for name in names}
    films = len(by_change[names[0]]) if names else 0
    declined = sum(one.before == "declined" for one in kept) // max(1, len(names))
    if films == declined:
        raise EvaluationError(
            f"none of {films} films was judged, so that nothing can be told; give frontal chest films"
        )
    changes = tuple(_stability(name, rows) for name, rows in by_change.items())
    return Robustness(model, films, declined, changes, tuple(kept))


def _stability(name: str, kept: Sequence[Kept]) -> Stability:
    judged = [one for one in kept if one.before != "declined"]
    otherwise = [one.before != one.after for one in judged]
    shifts = np.array([one.shift for one in judged if one.shift is not None], np.float64)
    dices = [one.dice for one in judged if one.dice is not None]
    moves = Counter(f"{one.before} to {one.after}" for one in judged if one.before != one.after)
    patients = np.unique([one.patient for one in judged], return_inverse=True)[1]
    return Stability(
        change=name,
        films=len(judged),
        decided_otherwise=wilson(np.array(otherwise), patients),
        moves=dict(moves.most_common()),
        median_shift=float(np.median(shifts)) if shifts.size else None,
        typical_shift=float(np.median(np.abs(shifts))) if shifts.size else None,
        largest_shift=float(np.abs(shifts).max()) if shifts.size else None,
        outlines=len(dices),
        mean_dice=float(np.mean(dices)) if dices else None,
        least_dice=min(dices, default=None),
    )


def _overlap(finding: Finding, other: Finding) -> float | None:
    if finding.mask is None or other.mask is None or not (finding.mask.any() and other.mask.any()):
        return None
    height, width = finding.mask.shape
    resized = cv2.resize(
        other.mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
    )
    return dice(finding.mask, resized.astype(bool))
