"""Films and findings made up for tests."""

import numpy as np

from pleura.extent import MEASURES, Extent, Line
from pleura.finding import PNEUMOTHORAX, Finding, Lesion, ModelIdentity
from pleura.radiograph import Radiograph

MODEL = ModelIdentity("made-up", "1", "ab" * 32)


def film(shape=(60, 80), level=0.5, **more):
    """A film of one grey level."""
    return Radiograph(np.full(shape, level, np.float32), 8, "png", "film.png", **more)


def box_mask(shape=(60, 80), top=20, left=10, bottom=40, right=30):
    """A mask of one box."""
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def positive(mask, source="film.png", *, sides=("right",), value=0.9, basis="convention", **more):
    """A positive finding with a lesion on each of `sides`."""
    lesions = tuple(
        Lesion(side, basis, int(mask.sum()), float(mask.mean()), None, (20, 10, 40, 30), 0.9)
        for side in sides
    )
    return Finding(
        PNEUMOTHORAX,
        "positive",
        "Score 0.900 reaches the threshold 0.500.",
        MODEL,
        source,
        probability=value,
        mask=mask,
        lesions=lesions,
        **more,
    )


def negative(shape=(60, 80), source="film.png", **more):
    """A negative finding."""
    mask = np.zeros(shape, bool)
    return Finding(
        PNEUMOTHORAX, "negative", "Low.", MODEL, source, probability=0.1, mask=mask, **more
    )


def declined(source="film.png", reason="It is a lateral view.", **more):
    """A finding of a film that could not be judged."""
    return Finding(PNEUMOTHORAX, "declined", reason, MODEL, source, **more)


MEASURED_CELLS = ["right", 0.25, 32.5, 12.0, 15.0, 34.75, "large", "small", "large"]
"""`EXTENT_COLUMNS` of `measured_extent()`."""


def measured_extent(side="right"):
    """An extent of which everything is known; its lines fit the mask of `box_mask()`."""
    return Extent(
        side,
        *(0.25, 32.5, 12.0, 15.0, 34.75),
        spacing_basis="detector",
        lines=(
            Line("apex_to_cupola_mm", (20.0, 22.0), (32.5, 22.0), 32.5),
            Line("rim_at_hilum_mm", (36.5, 10.0), (36.5, 22.0), 12.0),
            Line("rim_lateral_mm", (34.5, 10.0), (34.5, 25.0), 15.0),
        ),
    )


def unmeasured_extent(side="left", why="The film is AP: the patient's posture is not known."):
    """An extent of which nothing is known."""
    return Extent(side, reasons=dict.fromkeys(MEASURES, why))
