"""Which way a film's rows and columns run."""

from itertools import permutations

import numpy as np
import pytest

from pleura.orientation import edges, turned

FACING = [
    pair
    for pair in permutations("LRHFAP", 2)
    if set(pair) not in ({"L", "R"}, {"H", "F"}, {"A", "P"})
]


@pytest.mark.parametrize("orientation", FACING)
@pytest.mark.parametrize("quarters", [-1, 0, 1, 2, 3, 4])
def test_edges_turn_as_the_pixels_do(orientation, quarters) -> None:
    letters = edges(orientation)
    film = np.full((3, 3), "")
    for letter, edge in letters.items():
        film[{"top": (0, 1), "bottom": (2, 1), "left": (1, 0), "right": (1, 2)}[edge]] = letter
    film = np.rot90(film, quarters)
    assert edges(turned(orientation, quarters)) == {
        film[0, 1]: "top",
        film[2, 1]: "bottom",
        film[1, 0]: "left",
        film[1, 2]: "right",
    }


def test_the_usual_display() -> None:
    assert edges(("L", "F")) == {"R": "left", "L": "right", "H": "top", "F": "bottom"}
    assert turned(("L", "F"), 2) == ("R", "H")
