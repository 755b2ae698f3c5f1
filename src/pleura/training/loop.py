"""The training loop, on Lightning Fabric: plain, resumable, and the same again from the same seed."""

import math
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pleura.data.dataset import FilmSet
from pleura.errors import NonFiniteLoss, TrainingError
from pleura.inference.preprocess import normalise
from pleura.training.losses import Loss, weighted_sum
from pleura.training.pictures import sheet_films
from pleura.training.recipe import OptimizerRecipe, Recipe
from pleura.training.run import RunFolder
from pleura.training.sampling import epoch_order, epoch_size
from pleura.training.tuning import Tuning, tune

FINAL_RATE = 0.01  # of the learning rate, where a cosine schedule ends


@dataclass
class State:
    """Where a run stands after a completed epoch.

    Attributes:
        epoch: completed ones.
        step: optimiser steps taken.
        best, best_epoch: the best value of the recipe's monitor, and when.
        history: one completed epoch a row, as logged.
    """

    epoch: int = 0
    step: int = 0
    best: float | None = None
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class Average:
    """An exponential moving average of a network's parameters and buffers.

    The decay rises with the steps taken, (1 + n) / (10 + n) up to `decay`, so that a short run is not
    an average over its own random start.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {k: v.detach().clone() for k, v in network.state_dict().items()}

    def update(self, network: nn.Module, step: int) -> None:
        """Takes in the network after its `step`-th step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor.detach(), 1 - decay)
            else:
                self.tensors[name].copy_(tensor)


class _Epoch(torch.utils.data.Dataset[tuple[Tensor, Tensor, int]]):
    """One epoch's films, augmented; each film's randomness comes from the seed, the epoch and itself."""

    def __init__(
        self, films: FilmSet, recipe: Recipe, epoch: int, order: NDArray[np.int64]
    ) -> None:
        self.films, self.recipe, self.epoch, self.order = films, recipe, epoch, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor, int]:
        index = int(self.order[position])
        seeds = (self.recipe.seed, self.epoch)
        image, mask = self.films.augmented(index, self.recipe.augmentation, seeds)
        inputs = torch.from_numpy(normalise(image, self.recipe.input))
        return inputs, torch.from_numpy((mask[None] > 127).astype(np.float32)), index


class Trainer:
    """One run: a network, its films, and the folder it is recorded in.

    Args:
        recipe: what to do.
        network: with its initial weights.
        train, tuning: the films.
        folder: where to record; resumed from where it holds a checkpoint.
        fabric: device and precision.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        train: FilmSet,
        tuning: FilmSet,
        folder: RunFolder,
        fabric: Fabric,
    ) -> None:
        self.recipe, self.train, self.tuning = recipe, train, tuning
        self.folder, self.fabric = folder, fabric
        self.loss: Loss = weighted_sum(recipe.loss)
        optimizer = _optimizer(recipe.optimizer, network)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, self.optimizer = fabric.setup(network, optimizer)
        self.average = Average(self.network.module, recipe.ema_decay) if recipe.ema_decay else None
        self.state = State()
        self._resume()

    def weights(self) -> dict[str, Tensor]:
        """What would be kept now: the average where there is one, else the network's own."""
        return self.average.tensors if self.average else self.network.module.state_dict()

    @property
    def finished(self) -> bool:
        """Whether no epoch is left: all are done, or none was better for `patience` epochs."""
        state, patience = self.state, self.recipe.patience
        waited = state.epoch - state.best_epoch
        return state.epoch >= self.recipe.epochs or (patience is not None and waited >= patience)

    def pictures_due(self, epoch: int) -> bool:
        """Whether a sheet of tuning films is drawn after this epoch, counted from 1."""
        return epoch == 1 or epoch % self.recipe.pictures_every == 0

    def tuning_due(self, epoch: int) -> bool:
        """Whether the tuning films are scored after this epoch, counted from 1."""
        return epoch % self.recipe.tune_every == 0 or epoch == self.recipe.epochs

    def epochs(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Tuning | None]:
        """Trains until `finished`, yielding each epoch's tuning scores, if it has any, once it is recorded.

        Args:
            progress: called with (films shown, films of all the epochs the recipe allows).

        Raises:
            NonFiniteLoss: names the epoch and the films of the batch.
        """
        while not self.finished:
            yield self._epoch(progress)

    def _epoch(self, progress: Callable[[int, int], None] | None) -> Tuning | None:
        recipe, epoch = self.recipe, self.state.epoch
        seeds = np.random.SeedSequence([recipe.seed, epoch])
        torch.manual_seed(int(seeds.generate_state(1)[0]))  # dropout; films have their own seeds
        order = epoch_order(
            self.train.labels,
            seed=recipe.seed,
            epoch=epoch,
            positive_share=recipe.share(epoch),
            films=recipe.epoch_films,
        )
        started = time.monotonic()
        total, shown = 0.0, 0
        self.network.train()
        loader = self.loader(order)
        planned = [self._shown(each) for each in range(recipe.epochs)]
        for batch, (images, masks, indices) in enumerate(loader):
            rate = _rate(recipe.optimizer, epoch + batch / len(loader), recipe.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            total += self.step(images, masks, indices)
            shown += len(indices)
            if progress:
                progress(sum(planned[:epoch]) + shown, sum(planned))
        seconds = time.monotonic() - started
        tuning = None
        if self.tuning_due(epoch + 1):
            tuning = self._tune(sheet_films(self.tuning) if self.pictures_due(epoch + 1) else ())
        self._record(total / max(shown, 1), tuning, seconds, shown)
        return tuning

    def _shown(self, epoch: int) -> int:
        """Films that an epoch trains on: whole batches, or what there is where that is less than one."""
        recipe = self.recipe
        films = epoch_size(self.train.labels, recipe.share(epoch), recipe.epoch_films)
        batch = recipe.batch_size
        return films // batch * batch if films > batch else films

    def loader(self, order: NDArray[np.int64]) -> DataLoader[tuple[Tensor, Tensor, int]]:
        """Batches of augmented films in `order`, on the device."""
        on_gpu = self.fabric.device.type == "cuda"
        loader = DataLoader(
            _Epoch(self.train, self.recipe, self.state.epoch, order),
            batch_size=self.recipe.batch_size,
            # A rest of a batch would weigh more than its films deserve; it comes again next epoch.
            drop_last=len(order) > self.recipe.batch_size,
            num_workers=_workers() if on_gpu else 0,
            pin_memory=on_gpu,
        )
        return self.fabric.setup_dataloaders(loader)  # type: ignore[return-value]

    def step(self, images: Tensor, masks: Tensor, indices: Tensor) -> float:
        """One optimiser step; returns the sum of the films' losses."""
        size = self.recipe.micro_batch or len(images)
        total = torch.zeros((), device=images.device)
        for part in range(0, len(images), size):
            window = slice(part, part + size)
            inputs = images[window].contiguous(memory_format=torch.channels_last)
            losses = self.loss(self.network(inputs).float(), masks[window])
            if not bool(losses.isfinite().all()):
                self._stop("loss", indices[window], losses)
            self.fabric.backward(losses.sum() / len(images))
            total += losses.detach().sum()
        norm = self.fabric.clip_gradients(
            self.network,
            self.optimizer,
            max_norm=self.recipe.clip_norm or math.inf,
            error_if_nonfinite=False,
        )
        if norm is not None and not bool(norm.isfinite()):  # before it reaches the weights
            self._stop("gradient", indices)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state.step += 1
        if self.average:
            self.average.update(self.network.module, self.state.step)
        return float(total)

    def _stop(self, what: str, indices: Tensor, losses: Tensor | None = None) -> None:
        values = [""] * len(indices)
        if losses is not None:
            values = [f" ({value:.3g})" for value in losses.tolist()]
        named = ", ".join(
            f"{self.train.film_ids[i]}{value}"
            for i, value in zip(indices.tolist(), values, strict=True)
        )
        raise NonFiniteLoss(
            f"the {what} is not finite in epoch {self.state.epoch + 1}, step {self.state.step + 1}; "
            f"films of the batch: {named}. Look at these films (`pleura verify`), lower the learning "
            "rate, or set precision: 32"
        )

    def _tune(self, keep: Collection[int]) -> Tuning:
        """Scores the weights that would be kept, then puts the network's own back."""
        module = self.network.module
        own = (
            {k: v.detach().clone() for k, v in module.state_dict().items()}
            if self.average
            else None
        )
        if self.average:
            module.load_state_dict(self.average.tensors)
        try:
            return tune(
                module,
                self.tuning,
                self.recipe.input,
                self.loss,
                batch_size=self.recipe.micro_batch or self.recipe.batch_size,
                device=self.fabric.device,
                keep=keep,
            )
        finally:
            if own:
                module.load_state_dict(own)

    def _better(self, tuning: Tuning | None) -> bool:
        """Whether the completed epoch's weights are to be kept; if so, it is noted as the best."""
        state, monitor = self.state, self.recipe.monitor
        if monitor != "last":
            if tuning is None:
                return False
            value = -tuning.loss if monitor == "loss" else getattr(tuning, monitor)
            if value is None:
                raise TrainingError(
                    f"the tuning films give no {monitor}: they need films of both classes; "
                    "split again, or set monitor: loss"
                )
            if state.best is not None and value <= state.best:
                return False
            state.best = value
        state.best_epoch = state.epoch
        return True

    def _record(self, train_loss: float, tuning: Tuning | None, seconds: float, shown: int) -> None:
        """Writes everything of a completed epoch; the checkpoint last, since resuming goes by it."""
        state = self.state
        state.epoch += 1
        better = self._better(tuning)
        if better:
            self.folder.save_best(self.weights())
        state.history.append(
            {
                "epoch": state.epoch,
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                "train_loss": train_loss,
                "tune_loss": tuning and tuning.loss,
                "dice_positive": tuning and tuning.dice_positive,
                "competition_dice": tuning and tuning.competition_dice,
                "all_empty_dice": tuning and tuning.all_empty,
                "auc": tuning and tuning.auc,
                "best": int(better),
                "films_per_second": round(shown / max(seconds, 1e-9), 2),
                "seconds": round(seconds, 2),
            }
        )
        self.folder.write_log(state.history)
        self.folder.save_checkpoint(
            {
                "epoch": state.epoch,
                "step": state.step,
                "best": state.best,
                "best_epoch": state.best_epoch,
                "history": state.history,
                "network": self.network.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average.tensors if self.average else None,
            }
        )

    def _resume(self) -> None:
        stored = self.folder.load_checkpoint()
        if stored is None:
            return
        self.network.module.load_state_dict(stored["network"])
        self.optimizer.load_state_dict(stored["optimizer"])
        if self.average:
            for name, tensor in stored["average"].items():
                self.average.tensors[name].copy_(tensor)
        self.state = State(
            stored["epoch"], stored["step"], stored["best"], stored["best_epoch"], stored["history"]
        )


def _optimizer(recipe: OptimizerRecipe, network: nn.Module) -> torch.optim.Optimizer:
    kinds: dict[str, type[torch.optim.Adam]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    return kinds[recipe.name](
        network.parameters(),
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        foreach=True,
    )


def _rate(recipe: OptimizerRecipe, epoch: float, epochs: int) -> float:
    """The learning rate at a point of the run, in epochs from its start."""
    if epoch < recipe.warmup_epochs:
        return recipe.learning_rate * max(epoch / recipe.warmup_epochs, 0.01)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    share = (epoch - recipe.warmup_epochs) / max(epochs - recipe.warmup_epochs, 1e-9)
    falling = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return recipe.learning_rate * (FINAL_RATE + (1 - FINAL_RATE) * falling)


def _workers() -> int:
    return min(8, os.cpu_count() or 1)
