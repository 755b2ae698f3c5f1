"""The loop that trains the anatomy network: resumable, and the same again from the same seed."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pleura.errors import NonFiniteLoss
from pleura.networks.anatomy import PRESENTATIONS, AnatomyOutput
from pleura.training.anatomy.samples import Batch, Material, Samples
from pleura.training.anatomy.settings import AnatomySettings
from pleura.training.average import Average
from pleura.training.depthwise import quicken
from pleura.training.recipe import OptimizerRecipe
from pleura.training.run import RunFolder
from pleura.training.schedule import learning_rate

LOSSES = ("lungs", "presentation", "inverted")
_INVERTED_WEIGHT = 0.5
_CLIP_NORM = 1.0


def losses_of(output: AnatomyOutput, batch: Batch) -> dict[str, Tensor]:
    """What the network loses on a batch, by answer; films without an answer do not count.

    Lungs: cross-entropy and one minus the Dice of each plane, over the batch; presentation and inversion:
    cross-entropy. Each is 0 where no film of the batch has that answer.

    Args:
        output: float32, of N films.
        batch: samples, stacked.
    """
    known = batch.planes_known[:, :, None, None]
    logits, planes = output.lung_logits, batch.planes
    bce = F.binary_cross_entropy_with_logits(logits, planes, reduction="none")
    probability = logits.sigmoid() * known
    overlap = (probability * planes).sum(dim=(0, 2, 3))
    both = (probability + planes * known).sum(dim=(0, 2, 3))
    dice = (2 * overlap + 1) / (both + 1)
    asked = (known.sum(dim=(0, 2, 3)) > 0).float()
    cells = known.sum().clamp_min(1) * logits.shape[2] * logits.shape[3]
    lungs = (bce * known).sum() / cells + ((1 - dice) * asked).sum() / asked.sum().clamp_min(1)

    names = output.presentation_logits[:, : len(PRESENTATIONS)]
    inverted = output.presentation_logits[:, len(PRESENTATIONS)]
    lies = batch.presentation
    presentation = F.cross_entropy(names, lies.clamp_min(0), reduction="none")
    bone = F.binary_cross_entropy_with_logits(
        inverted, batch.inverted.float().clamp_min(0), reduction="none"
    )
    return {
        "lungs": lungs,
        "presentation": _mean(presentation, lies >= 0),
        "inverted": _INVERTED_WEIGHT * _mean(bone, batch.inverted >= 0),
    }


class AnatomyTrainer:
    """One run's network, optimiser and average, and the folder it is recorded in.

    Args:
        settings: what to do.
        network: with its initial weights.
        material: what to learn from.
        folder: where to record; resumed from where it holds a checkpoint.
        fabric: device and precision.
    """

    def __init__(
        self,
        settings: AnatomySettings,
        network: nn.Module,
        material: Material,
        folder: RunFolder,
        fabric: Fabric,
    ) -> None:
        self.settings, self.material, self.folder, self.fabric = settings, material, folder, fabric
        self._rates = OptimizerRecipe(
            "adamw", settings.learning_rate, settings.weight_decay, "cosine", 0.5
        )
        optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            foreach=True,
        )
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        quicken(network)
        self.network, self.optimizer = fabric.setup(network, optimizer)
        self.average = Average(self.network.module, settings.ema_decay)
        self.epoch = self.step = 0
        self.history: list[dict[str, Any]] = []
        stored = folder.load_checkpoint()
        if stored:
            self._resume(stored)

    def epochs(
        self, progress: Callable[[int, int], None] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Trains to the end, yielding each epoch's row of the log once it is recorded.

        Args:
            progress: called with (films shown, films of all epochs).

        Raises:
            NonFiniteLoss: names the epoch and the step.
        """
        while self.epoch < self.settings.epochs:
            yield self._epoch(progress)

    def _epoch(self, progress: Callable[[int, int], None] | None) -> dict[str, Any]:
        settings = self.settings
        seeds = np.random.SeedSequence([settings.seed, self.epoch, 1])
        torch.manual_seed(int(seeds.generate_state(1)[0]))  # dropout; samples have their own seeds
        started = time.monotonic()
        loader: DataLoader[Any] = DataLoader(
            Samples(self.material, settings, self.epoch),
            batch_size=settings.batch_size,
            drop_last=True,
        )
        self.network.train()
        totals = dict.fromkeys(LOSSES, 0.0)
        for number, batch in enumerate(self.fabric.setup_dataloaders(loader)):
            at = self.epoch + number / len(loader)
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self._rates, at, settings.epochs)
            for name, value in self._train_on(Batch(*batch)).items():
                totals[name] += value / len(loader)
            if progress:
                shown = self.epoch * len(loader) + number + 1
                progress(
                    shown * settings.batch_size, settings.epochs * len(loader) * settings.batch_size
                )
        return self._record(totals, time.monotonic() - started, len(loader) * settings.batch_size)

    def _train_on(self, batch: Batch) -> dict[str, float]:
        images = batch.image.contiguous(memory_format=torch.channels_last)
        parts = losses_of(AnatomyOutput(*self.network(images)).float(), batch)
        loss = torch.stack(list(parts.values())).sum()
        if not bool(loss.isfinite()):
            raise NonFiniteLoss(
                f"the loss is not finite in epoch {self.epoch + 1}, step {self.step + 1}; lower the learning "
                "rate, or set precision 32"
            )
        self.fabric.backward(loss)
        self.fabric.clip_gradients(self.network, self.optimizer, max_norm=_CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.average.update(self.network.module, self.step)
        return {name: float(value.detach()) for name, value in parts.items()}

    def _record(self, totals: dict[str, float], seconds: float, shown: int) -> dict[str, Any]:
        self.epoch += 1
        row = {
            "epoch": self.epoch,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **totals,
            "films_per_second": round(shown / max(seconds, 1e-9), 2),
            "seconds": round(seconds, 2),
        }
        self.history.append(row)
        self.folder.write_log(self.history)
        self.folder.save_checkpoint(
            {
                "epoch": self.epoch,
                "step": self.step,
                "history": self.history,
                "network": self.network.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average.tensors,
            }
        )
        return row

    def _resume(self, stored: dict[str, Any]) -> None:
        self.epoch, self.step = stored["epoch"], stored["step"]
        self.history = stored["history"]
        self.network.module.load_state_dict(stored["network"])
        self.optimizer.load_state_dict(stored["optimizer"])
        for name, tensor in stored["average"].items():
            self.average.tensors[name].copy_(tensor)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    return (values * counted).sum() / counted.sum().clamp_min(1)
