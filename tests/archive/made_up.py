"""A film and findings for it."""

import numpy as np

from pleura.finding import PNEUMOTHORAX, Finding, ModelIdentity
from pleura.radiograph import Radiograph

MODEL = ModelIdentity("made-up", "1", "ab" * 32)


def box_film() -> Radiograph:
    """A grey film of 60x80."""
    return Radiograph(np.full((60, 80), 0.5, np.float32), 8, "png", "x.png")


def findings_of(film: Radiograph) -> tuple[Finding, Finding, Finding]:
    """A positive finding with a box of 400 px, a negative one, and a declined one."""
    mask = np.zeros(film.shape, np.bool_)
    mask[20:40, 10:30] = True
    common = (MODEL, film.source)
    return (
        Finding(PNEUMOTHORAX, "positive", "High.", *common, probability=0.9, mask=mask),
        Finding(PNEUMOTHORAX, "negative", "Low.", *common, probability=0.1, mask=mask & False),
        Finding(PNEUMOTHORAX, "declined", "It is a lateral view.", *common),
    )
