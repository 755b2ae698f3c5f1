"""What the ways of sending results have in common: what became of each, and that an archive is away."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import pydicom
from pydicom.uid import ComprehensiveSRStorage, SecondaryCaptureImageStorage, SegmentationStorage

_IS_THERE = 0x0111  # duplicate SOP instance
_WARNINGS = (0x0107, 0x0116)  # attribute list error, attribute value out of range (PS3.7 C)
_TAKES_NOT = (0x0122, 0x0124)  # SOP class not supported, not authorised


CLASSES: Mapping[str, str] = {
    "seg": SegmentationStorage,
    "sr": ComprehensiveSRStorage,
    "sc": SecondaryCaptureImageStorage,
}
"""The SOP classes of results, by kind, as they are sent: a report refers to the outline."""

WAITS = (1.0, 4.0, 16.0)
"""Seconds until an archive that does not answer is asked again; after the last it is given up."""

MOST_BUSY = 3
"""Films after one another over which an archive may be busy until it counts as away: it is not they, then."""


class Away(Exception):
    """An archive that cannot be reached, and why."""


class Broken(Away):
    """A line that broke over what was sent: that may be what broke it, and another line may hold."""


State = Literal["kept", "left", "refused"]
"""Of a result: the archive keeps it; it never takes such; it did not take it now."""


class Told(NamedTuple):
    """What became of one result; `why` is empty unless it was refused."""

    uid: str
    modality: str
    state: State
    why: str


class Outcome:
    """What became of the results of one film.

    Attributes:
        told: of each.
        busy: why the archive takes nothing now, where it said that of the whole; None where it did not.
    """

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.busy: str | None = None

    def add(self, result: pydicom.Dataset, status: int) -> None:
        """Notes a result by the status that the archive answered (PS3.4 B.2.3, PS3.18 I.2.2)."""
        if (
            status in (0, _IS_THERE, *_WARNINGS) or 0xB000 <= status <= 0xBFFF
        ):  # warnings: it has been kept
            self._add(result, "kept")
        elif status in _TAKES_NOT or status >> 8 == 0xA9 or status >> 12 == 0xC:
            self.leave(result)
        else:
            self.refuse(result, f"with status 0x{status:04X}")

    def leave(self, result: pydicom.Dataset) -> None:
        """Notes one that the archive never takes."""
        self._add(result, "left")

    def refuse(self, result: pydicom.Dataset, why: str) -> None:
        """Notes one that it did not take now."""
        self._add(result, "refused", why)

    def _add(self, result: pydicom.Dataset, state: State, why: str = "") -> None:
        self.told.append(Told(str(result.SOPInstanceUID), str(result.Modality), state, why))

    @property
    def kept(self) -> int:
        """How many the archive keeps."""
        return sum(one.state == "kept" for one in self.told)

    @property
    def left(self) -> list[str]:
        """Modalities of those that it will never take."""
        return [one.modality for one in self.told if one.state == "left"]

    @property
    def refused(self) -> list[str]:
        """Those that it did not take now, and why."""
        return [f"{one.modality} {one.why}" for one in self.told if one.state == "refused"]


class Line(Protocol):
    """A connection to an archive."""

    def send(self, results: Sequence[pydicom.Dataset]) -> Outcome:
        """Sends a film's results, each whatever becomes of the others.

        Raises:
            Away: nobody is there.
            Broken: the connection broke.
        """

    def close(self) -> None:
        """Ends it."""
