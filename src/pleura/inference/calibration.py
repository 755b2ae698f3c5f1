"""`Calibrator`: turns a presence score into the chance of the target, with numpy alone.

`pleura.evaluation.calibration` fits it; a bundle carries it as plain JSON.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Kind = Literal["temperature", "platt", "isotonic"]

EDGE = 1e-6
"""Scores and probabilities are kept this far from 0 and 1, where the logit has no value."""

MAX_KNOTS = 100_000


@dataclass(frozen=True)
class Calibrator:
    """A map, never falling, from scores in [0, 1] to probabilities.

    Attributes:
        kind: `temperature` (slope on the logit; Guo et al. 2017), `platt` (slope and intercept on the logit;
            Platt 1999) or `isotonic` (steps joined by lines; Zadrozny and Elkan 2002).
        slope, intercept: of the first two.
        scores, values: of the third: rising knots, and the probabilities at them.
        fitted_on: which films.
        films, positives: how many of them, and how many with the target.
        prevalence: share of positives where it is used, or None: that of the films it was fitted on. Another
            one moves the log-odds by the difference of the prior's (Elkan 2001).
    """

    kind: Kind
    slope: float = 1.0
    intercept: float = 0.0
    scores: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    fitted_on: str = "nothing"
    films: int = 2
    positives: int = 1
    prevalence: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown kind of calibrator {self.kind!r}: update pleura")
        numbers = (self.slope, self.intercept, *self.scores, *self.values)
        if len(numbers) > MAX_KNOTS or not all(_is_number(x) for x in numbers):
            raise ValueError(f"a calibrator holds at most {MAX_KNOTS} finite numbers")
        if self.slope <= 0:
            raise ValueError(f"a calibrator rises with the score; got the slope {self.slope}")
        if not (isinstance(self.films, int) and isinstance(self.positives, int)) or not (
            0 < self.positives < self.films
        ):
            raise ValueError(
                f"a calibrator is fitted on films of both kinds; got {self.positives} positive of "
                f"{self.films}"
            )
        if self.prevalence is not None and not 0.0 < self.prevalence < 1.0:
            raise ValueError(f"a prevalence lies between 0 and 1; got {self.prevalence}")
        object.__setattr__(self, "scores", tuple(self.scores))  # JSON has lists
        object.__setattr__(self, "values", tuple(self.values))
        if self.kind == "isotonic":
            self._check_knots()

    def _check_knots(self) -> None:
        scores, values = np.array(self.scores), np.array(self.values)
        rises = scores.size and scores.size == values.size and (np.diff(scores) > 0).all()
        if not rises or (np.diff(values) < 0).any() or values[0] < 0.0 or values[-1] > 1.0:
            raise ValueError("the knots of an isotonic calibrator rise, within 0 and 1")

    def __call__(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of `scores` in [0, 1], of their shape."""
        given = np.asarray(scores, np.float64)
        if self.kind == "isotonic":
            odds = logit(np.interp(given, self.scores, self.values))
        else:
            odds = self.intercept + self.slope * logit(given)
        return sigmoid(odds + self._shift)

    @property
    def _shift(self) -> float:
        if self.prevalence is None:
            return 0.0
        share = self.positives / self.films
        return float(math.log(self.prevalence / (1 - self.prevalence) * (1 - share) / share))

    def at_prevalence(self, prevalence: float | None) -> "Calibrator":
        """The same calibrator for films of which `prevalence` show the target.

        Sound where the films differ in that share only, and not in how the target looks.

        Raises:
            ValueError: the prevalence does not lie between 0 and 1.
        """
        return replace(self, prevalence=prevalence)


def logit(probability: ArrayLike) -> NDArray[np.float64]:
    """Log-odds, of probabilities kept `EDGE` away from 0 and 1."""
    p = np.clip(np.asarray(probability, np.float64), EDGE, 1.0 - EDGE)
    return np.asarray(np.log(p) - np.log1p(-p), np.float64)


def sigmoid(odds: ArrayLike) -> NDArray[np.float64]:
    """Probabilities of log-odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -60.0, 60.0))), np.float64)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
