"""What the ways of sending results have in common: what became of each, and that an archive is away."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pydicom

_IS_THERE = 0x0111  # duplicate SOP instance
_TAKES_NOT = (0x0122, 0x0124)  # SOP class not supported, not authorised


class Away(Exception):
    """An archive that cannot be reached, and why."""


@dataclass
class Outcome:
    """What became of the results of one film.

    Attributes:
        kept: how many the archive keeps.
        left: modalities of those that it will never take.
        refused: those that it did not take now, and by which status.
    """

    kept: int = 0
    left: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add(self, result: pydicom.Dataset, status: int) -> None:
        """Counts a result by the status that the archive answered (PS3.4 B.2.3, PS3.18 I.2.2)."""
        name = str(result.Modality)
        if status in (0, _IS_THERE) or 0xB000 <= status <= 0xBFFF:  # warnings: it has been kept
            self.kept += 1
        elif status in _TAKES_NOT or status >> 8 == 0xA9 or status >> 12 == 0xC:
            self.left.append(name)
        else:
            self.refused.append(f"{name} with status 0x{status:04X}")


class Line(Protocol):
    """A connection to an archive."""

    def send(self, results: Sequence[pydicom.Dataset]) -> Outcome:
        """Sends a film's results, each whatever becomes of the others.

        Raises:
            Away: the connection broke.
        """

    def close(self) -> None:
        """Ends it."""
