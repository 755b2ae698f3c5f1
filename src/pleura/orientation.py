"""The patient's directions along a film's rows and columns (Patient Orientation, PS3.3 C.7.6.1.1.1)."""

from typing import Literal

Direction = Literal["L", "R", "H", "F", "A", "P"]
Edge = Literal["left", "top", "right", "bottom"]

Orientation = tuple[Direction, Direction]
"""To where rows run, and to where columns: the patient's left, right, head, feet, front (A) or back (P)."""

_OPPOSITE: dict[Direction, Direction] = {
    "L": "R",
    "R": "L",
    "H": "F",
    "F": "H",
    "A": "P",
    "P": "A",
}


def turned(orientation: Orientation, quarters: int) -> Orientation:
    """The orientation of a film that has been turned counter-clockwise, as `numpy.rot90` turns it."""
    rows, columns = orientation
    for _ in range(quarters % 4):  # what lay below is at the right, what lay at the left is below
        rows, columns = columns, _OPPOSITE[rows]
    return rows, columns


def edges(orientation: Orientation) -> dict[Direction, Edge]:
    """At which edge of the film each of the patient's sides lies."""
    rows, columns = orientation
    return {
        rows: "right",
        _OPPOSITE[rows]: "left",
        columns: "bottom",
        _OPPOSITE[columns]: "top",
    }
