"""`Radiograph` refuses what no reader makes: pixels of another kind, form or range."""

from typing import Any

import numpy as np
import pytest

from pleura.radiograph import Radiograph


def made(pixels: Any) -> Radiograph:
    return Radiograph(pixels, source_bits=8, source_format="png", source="an array")


@pytest.mark.parametrize(
    ("pixels", "error", "says"),
    [
        ([[0.0, 1.0]], TypeError, "got a list"),
        (np.zeros((2, 3)), ValueError, r"got float64 \(2, 3\)"),
        (np.zeros((1, 2, 3), np.float32), ValueError, r"got float32 \(1, 2, 3\)"),
        (np.zeros((0, 3), np.float32), ValueError, r"got float32 \(0, 3\)"),
        (np.full((2, 3), 1.5, np.float32), ValueError, "got 1.5 to 1.5"),
        (np.full((2, 3), np.nan, np.float32), ValueError, "got nan to nan"),
    ],
)
def test_pixels_that_are_none(pixels: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        made(pixels)


def test_a_spacing_is_trusted_only_on_a_basis() -> None:
    film = made(np.zeros((2, 3), np.float32))
    assert film.shape == (2, 3)
    for basis, trusted in (("calibrated", True), ("detector", True), ("implausible", False)):
        told: Any = {"spacing_mm": (0.1, 0.2), "spacing_basis": basis}
        spaced = Radiograph(film.pixels, source_bits=8, source_format="png", source="", **told)
        assert (spaced.trusted_spacing_mm == (0.1, 0.2)) == trusted
