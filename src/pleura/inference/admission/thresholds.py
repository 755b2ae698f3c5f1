"""`AdmissionThresholds`: what the anatomy network may say of a film that is judged."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class AdmissionThresholds:
    """When a film is declined, or put right first.

    Attributes:
        no_chest: probability of showing no whole frontal chest, at which a film is declined.
        novelty: as `pleura.networks.anatomy.Density` measures it; at more a film is declined.
        lung_share: of the film; with less lung found on it, a film is declined.
        cut_share: of the film's width; a film whose lungs meet its upper edge over more is declined.
        sure: probability of lying turned, or of inverted greys, at which a film is put right. One that is
            neither surely so nor surely not is declined.
        fitted_on: which films the first four were fitted on.
        films, declined: how many those were, and how many of them are declined.
    """

    no_chest: float = 0.5
    novelty: float = 1e6
    lung_share: float = 0.0
    cut_share: float = 1.0
    sure: float = 0.9
    fitted_on: str = "nothing"
    films: int = 0
    declined: int = 0

    def __post_init__(self) -> None:
        for name in ("no_chest", "lung_share", "cut_share", "sure"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} lies in [0, 1]; got {value!r}")
        if not isinstance(self.novelty, int | float) or not 0.0 < self.novelty < math.inf:
            raise ValueError(f"novelty is a positive number; got {self.novelty!r}")
        if not self.sure > 0.5:
            raise ValueError(f"sure is above 0.5; got {self.sure!r}")
        if not isinstance(self.fitted_on, str):
            raise TypeError(f"fitted_on is a text; got {self.fitted_on!r}")
