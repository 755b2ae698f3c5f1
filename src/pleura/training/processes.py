"""Several processes that train one run together, one a device: launched here, or by torchrun.

Each process calls `train` and goes the same way through it. The first one, of rank 0, is the run: it alone
tells, tunes and writes. The others follow: they compute their share of each batch, and read what it wrote.
"""

import atexit
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from subprocess import Popen
from typing import Any, Final

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor

from pleura.errors import DeviceUnavailable, PleuraError, TrainingError
from pleura.training.run import RunFolder

_PATIENCE: Final = timedelta(hours=6)
"""How long processes wait for one another: while the first one tunes, or makes a cache of many films."""

_LOST: Final = re.compile("gloo|nccl", re.IGNORECASE)
"""Stands in what torch says where it cannot reach another process."""


@dataclass(frozen=True)
class Processes:
    """How many there are.

    Attributes:
        local: on this machine.
        machines: with as many each.
        launched: whether torchrun has started them already.
    """

    local: int = 1
    machines: int = 1
    launched: bool = False

    @property
    def all(self) -> int:
        """On all machines."""
        return self.local * self.machines

    @classmethod
    def wanted(cls, devices: int | None) -> "Processes":
        """As many as torchrun started, or else as `devices` says; None is one.

        Raises:
            DeviceUnavailable: fewer than one is asked for, or another number than torchrun started.
        """
        if devices is not None and devices < 1:
            raise DeviceUnavailable(f"a run needs at least one device; {devices} were asked for")
        if not torch.distributed.is_torchelastic_launched():
            return cls(devices or 1)
        local, world = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
        if devices not in (None, local):
            raise DeviceUnavailable(
                f"{devices} devices were asked for, and torchrun started {local} processes on this machine; "
                "leave out --devices, or give torchrun the same number"
            )
        return cls(local, world // local, launched=True)

    def check(self, device: str, batch_size: int) -> None:
        """Whether this machine and a recipe's batches go into as many equal parts.

        Raises:
            DeviceUnavailable: there are fewer GPUs.
            TrainingError: the batch cannot be divided.
        """
        found = torch.cuda.device_count()
        if device == "cuda" and self.local > found:
            raise DeviceUnavailable(
                f"{self.local} devices were asked for, and torch finds {found} "
                f"GPU{'s' if found > 1 else ''}; give --devices {found}"
            )
        if batch_size % self.all:
            raise TrainingError(
                f"a batch of {batch_size} films cannot be divided among {self.all} devices; give "
                f"batch_size={-(-batch_size // self.all) * self.all}, or another number of devices"
            )

    def options(self) -> dict[str, Any]:
        """What `Fabric` is to be made with."""
        if self.all == 1:
            return {"devices": 1}
        environment: ClusterEnvironment = (
            TorchElasticEnvironment() if self.launched else LightningEnvironment()
        )
        return {
            "devices": self.local,
            "num_nodes": self.machines,
            "strategy": DDPStrategy(timeout=_PATIENCE),
            "plugins": [environment],
        }


def follows() -> bool:
    """Whether this process was started to follow another one; before anything was launched, too."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0) > 0


def launch(fabric: Fabric) -> None:
    """Starts the other processes, where nobody has, and waits until all have come as far as this.

    They end with this one, whatever ends it. A Ctrl-C is this one's affair, which still has weights to keep.
    """
    if not isinstance(fabric.strategy, DDPStrategy):
        return
    if follows() and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its banners
    fabric.launch()
    atexit.register(_end, fabric)


def processes_here(fabric: Fabric) -> int:
    """How many of them compute on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", fabric.world_size))


def _end(fabric: Fabric) -> None:
    started: Sequence[Popen[bytes]] = getattr(fabric.strategy.launcher, "procs", ())
    for process in started:
        process.kill()
        process.wait()


@contextmanager
def told_of_others() -> Iterator[None]:
    """Says in a line that a process this one computes with is gone.

    Raises:
        TrainingError: it is.
    """
    try:
        yield
    except RuntimeError as error:
        first = (str(error).splitlines() or [""])[0]
        if isinstance(error, PleuraError) or not _LOST.search(first):
            raise
        raise TrainingError(
            f"another process of this run has ended ({first}); what it said stands above, if it could say "
            "anything. The same command goes on after the last whole epoch"
        ) from error


def share(positions: int, fabric: Fabric, batch_size: int) -> Sequence[int]:
    """Which of an epoch's films this process sees, in its order: an equal part of each whole batch.

    A rest of a batch is left out: it would weigh more than its films deserve, and comes again next epoch. Of
    fewer films than one batch, each process sees as many.

    Args:
        positions: how many films the epoch has.
        fabric: which process this is, and of how many.
        batch_size: of all processes together.

    Raises:
        TrainingError: there is not a film for each process.
    """
    world, rank = fabric.world_size, fabric.global_rank
    batch = min(batch_size, positions) // world * world
    if batch == 0:
        raise TrainingError(
            f"an epoch of {positions} films cannot be divided among {world} devices; give fewer devices"
        )
    part = batch // world
    return [
        start + rank * part + one
        for start in range(0, positions // batch * batch, batch)
        for one in range(part)
    ]


class Follower(RunFolder):
    """A run's folder as a process sees it that follows: read, and never written."""

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """The first process writes it."""

    def save_best(self, weights: Mapping[str, Tensor]) -> None:
        """The first process writes it."""

    def save_kept(self, epoch: int, weights: Mapping[str, Tensor]) -> None:
        """The first process writes it."""

    def remove_kept_but(self, epochs: Any) -> None:
        """The first process removes them."""

    def write_log(self, history: Any) -> None:
        """The first process writes it."""
