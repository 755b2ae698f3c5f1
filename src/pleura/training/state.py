"""`State`: where a run stands."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass
class State:
    """Where a run stands after a completed epoch.

    Attributes:
        epoch: completed ones, of all phases.
        step: optimiser steps taken.
        best, best_epoch: the best value of the phase's monitor, and when.
        history: one completed epoch a row, as logged.
        phase: which one, from 0.
        phase_began: epochs completed before it.
        kept: value and epoch of each checkpoint that is kept, the best first.
    """

    epoch: int = 0
    step: int = 0
    best: float | None = None
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    phase: int = 0
    phase_began: int = 0
    kept: list[tuple[float, int]] = field(default_factory=list)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "State":
        """The state in a checkpoint; what one of an earlier version lacks has its default."""
        return cls(**{f.name: stored[f.name] for f in fields(cls) if f.name in stored})

    def as_plain(self) -> dict[str, Any]:
        """As a checkpoint holds it."""
        return asdict(self)

    def in_phase(self) -> int:
        """Epochs completed of the phase."""
        return self.epoch - self.phase_began

    def next_phase(self) -> None:
        """The phase is over; the next has neither a best epoch nor anything kept."""
        self.phase += 1
        self.phase_began = self.best_epoch = self.epoch
        self.best, self.kept = None, []
