"""The training loop, on Lightning Fabric: plain, resumable, and the same again from the same seed.

Several processes that train together (`processes`) all go through it, and all keep the same state.
"""

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pleura.data.dataset import FilmSet
from pleura.errors import NonFiniteLoss
from pleura.training.average import Average, between
from pleura.training.batches import batches
from pleura.training.check import unreached
from pleura.training.depthwise import quicken
from pleura.training.frozen import Frozen
from pleura.training.losses import Loss, loss_of
from pleura.training.monitor import worth, worth_so_far
from pleura.training.pictures import sheet_films
from pleura.training.processes import share, told_of_others
from pleura.training.recipe import OptimizerRecipe, Recipe
from pleura.training.run import RunFolder
from pleura.training.sampling import epoch_order, epoch_size
from pleura.training.schedule import is_resting, learning_rate
from pleura.training.state import State
from pleura.training.tuning import Tuning, tune


class Trainer:
    """One run: a network, its films, and the folder it is recorded in.

    Args:
        recipe: what to do.
        network: with its initial weights.
        films: the training and the tuning films at a size in px, asked for as each phase begins.
        folder: where to record; resumed from where it holds a checkpoint.
        fabric: device and precision, and which of several processes this is.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        films: Callable[[int], tuple[FilmSet, FilmSet]],
        folder: RunFolder,
        fabric: Fabric,
    ) -> None:
        self.recipe, self.films, self.folder, self.fabric = recipe, films, folder, fabric
        stored = folder.load_checkpoint()
        self.state = State.of(stored or {})
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        quicken(network)
        self._begin_phase(network)
        self.began = copied(self.network.module.state_dict()) if recipe.start_share else None
        if stored:
            self._resume(stored)

    def _begin_phase(self, network: nn.Module) -> None:
        """Everything that is of one phase: its films, its loss, what is held, the optimiser, the average."""
        fabric = self.fabric
        self.phase = self.recipe.phase(self.state.phase)
        with fabric.rank_zero_first():  # which makes the caches that the others find
            self.train, self.tuning = self.films(self.phase.input.size)
        self.loss: Loss | None = loss_of(self.phase.loss)
        self.frozen = Frozen(network, self.phase.frozen_stages)
        if fabric.world_size > 1:  # which wait for the gradient of all that learns
            self.frozen.hold(unreached(self.recipe, self.phase))
        self.network, self.optimizer = fabric.setup(
            network, _optimizer(self.phase.optimizer, network)
        )
        if self.loss is None:
            self.network.mark_forward_method("losses")
        self.average = self._new_average()

    def weights(self) -> dict[str, Tensor]:
        """What would be kept now: the average where there is one, else the network's own; with their share
        of those that the run began with.
        """
        came = self.average.tensors if self.average else self.network.module.state_dict()
        share = self.recipe.start_share
        return came if self.began is None or share is None else between(self.began, came, share)

    @property
    def phase_over(self) -> bool:
        """Whether the phase's epochs are done, or none was better for `patience` of them.

        Patience begins with the first epoch of the phase that was scored, and ends with one that was.
        """
        state, patience = self.state, self.phase.patience
        scored = state.best_epoch > state.phase_began and self.tuning_due(state.epoch)
        waited = state.epoch - state.best_epoch
        done = state.in_phase() >= self.phase.epochs
        return done or (patience is not None and scored and waited >= patience)

    @property
    def finished(self) -> bool:
        """Whether no epoch is left of any phase."""
        return self.phase_over and self.in_last_phase

    @property
    def in_last_phase(self) -> bool:
        """Whether no phase comes after this one."""
        return self.state.phase + 1 >= len(self.recipe.phases)

    def pictures_due(self, epoch: int) -> bool:
        """Whether a sheet of tuning films is drawn after this epoch, counted from 1."""
        return epoch == 1 or epoch % self.recipe.pictures_every == 0

    def tuning_due(self, epoch: int) -> bool:
        """Whether the tuning films are scored after this epoch, counted from 1."""
        every, last = self.recipe.tune_every, self.state.phase_began + self.phase.epochs
        return every is not None and (epoch % every == 0 or epoch == last)

    def epochs(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Tuning | None]:
        """Trains until `finished`, yielding each epoch's tuning scores, if it has any, once it is recorded.

        Args:
            progress: called with (films shown, films of all the epochs the recipe allows).

        Raises:
            NonFiniteLoss: names the epoch and the films of the batch.
            TrainingError: another process of the run is gone.
        """
        while not self.finished:
            if self.phase_over:
                self._next_phase()
            with told_of_others():
                tuning = self._epoch(progress)
            yield tuning

    def _next_phase(self) -> None:
        """Goes on from the best weights, with a new optimiser.

        Recorded at once: the next epoch may put another file in the best weights' place.
        """
        network = self.network.module
        self.fabric.barrier()  # the first process has written the best weights
        network.load_state_dict(self.folder.load_best())
        self.state.next_phase()
        self.frozen.thaw()
        self._begin_phase(network)
        self._save()

    def _new_average(self) -> Average | None:
        decay = self.recipe.ema_decay
        return Average(self.network.module, decay) if decay else None

    def _epoch(self, progress: Callable[[int, int], None] | None) -> Tuning | None:
        recipe, epoch = self.recipe, self.state.epoch
        seeds = np.random.SeedSequence([recipe.seed, epoch])
        rank = (
            self.fabric.global_rank
        )  # dropout; films have their own seeds, whichever process sees them
        torch.manual_seed(int(seeds.generate_state(rank + 1)[rank]))
        order = epoch_order(
            self.train.labels,
            seed=recipe.seed,
            epoch=epoch,
            positive_share=self.phase.share(self.state.in_phase()),
            films=recipe.epoch_films,
        )
        started = time.monotonic()
        total, shown = 0.0, 0
        self.network.train()
        self.frozen.rest()
        loader = self.loader(order)
        before, planned = self._planned()
        for batch, (images, masks, indices) in enumerate(loader):
            self._set_rate(self.state.in_phase() + batch / len(loader))
            total += self.step(images, masks, indices)
            shown += len(indices) * self.fabric.world_size
            if progress:
                progress(before + shown, planned)
        seconds = time.monotonic() - started
        tuning = None
        if self.tuning_due(epoch + 1):
            if self.fabric.is_global_zero:
                due = self.pictures_due(epoch + 1)
                tuning = self._tune(sheet_films(self.tuning) if due else ())
            tuning = self.fabric.broadcast(tuning)
        self._record(total / max(shown, 1), tuning, seconds, shown)
        return tuning

    def _set_rate(self, epoch: float) -> None:
        """The learning rate for a point of the phase, in epochs since it began."""
        phase = self.phase
        rate = learning_rate(phase.optimizer, epoch, phase.epochs, worth_so_far(phase, self.state))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _planned(self) -> tuple[int, int]:
        """Films shown before this epoch, and in all, if no phase ends early."""
        each = []
        for number in range(max(len(self.recipe.phases), 1)):
            phase = self.recipe.phase(number)
            each.append([self._shown(phase, epoch) for epoch in range(phase.epochs)])
        here = self.state.phase
        before = sum(map(sum, each[:here])) + sum(each[here][: self.state.in_phase()])
        return before, sum(map(sum, each))

    def _shown(self, phase: Recipe, epoch: int) -> int:
        """Films that an epoch trains on: whole batches, or what there is where that is less than one."""
        films = epoch_size(self.train.labels, phase.share(epoch), phase.epoch_films)
        return len(share(films, self.fabric, phase.batch_size)) * self.fabric.world_size

    def loader(self, order: NDArray[np.int64]) -> DataLoader[tuple[Tensor, Tensor, int]]:
        """Batches of augmented films in `order`, on the device."""
        return batches(self.train, self.phase, self.state.epoch, order, self.fabric)

    def step(self, images: Tensor, masks: Tensor, indices: Tensor) -> float:
        """One optimiser step; returns the sum of the films' losses, those of all processes."""
        size = self.recipe.micro_batch or len(images)
        several = self.fabric.world_size > 1
        parts = []
        for part in range(0, len(images), size):
            window = slice(part, part + size)
            inputs = images[window].contiguous(memory_format=torch.channels_last)
            waits = several and part + size < len(images)  # gradients are exchanged once a step
            with self.fabric.no_backward_sync(self.network, enabled=waits):
                losses = self._losses(inputs, masks[window], indices[window])
                self.fabric.backward(losses.sum() / len(images))
            parts.append(losses.detach())
        losses = torch.cat(parts)
        summed: Any = self.fabric.all_reduce(losses.sum(), reduce_op="sum")
        total = float(summed)
        if not math.isfinite(total):
            self._stop("loss", indices, losses)
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
        return total

    def _losses(self, images: Tensor, masks: Tensor, indices: Tensor) -> Tensor:
        """A loss an image, (N,), of inputs and masks (N, K, S, S); K is 1 but for a network's own loss."""
        if self.loss is not None:
            films, at = self.train, indices.cpu().numpy()
            presence = torch.from_numpy(films.presence[at]).to(images.device)
            drawn = torch.from_numpy(films.drawn[at]).to(images.device)
            return self.loss(self.network(images).float(), masks, presence, drawn)
        with self.fabric.autocast():
            own: Tensor = self.network.losses(images, masks)
        return own

    def _stop(self, what: str, indices: Tensor, losses: Tensor | None = None) -> None:
        values = [""] * len(indices)
        if losses is not None:
            values = [f" ({value:.3g})" for value in losses.tolist()]
        here = [
            f"{self.train.film_ids[i]}{value}"
            for i, value in zip(indices.tolist(), values, strict=True)
        ]
        everywhere = [self.fabric.broadcast(here, src=r) for r in range(self.fabric.world_size)]
        named = ", ".join(chain.from_iterable(everywhere))
        raise NonFiniteLoss(
            f"the {what} is not finite in epoch {self.state.epoch + 1}, step {self.state.step + 1}; "
            f"films of the batch: {named}. Look at these films (`pleura verify`), lower the learning "
            "rate, or set precision: 32"
        )

    def _tune(self, keep: Collection[int]) -> Tuning:
        """Scores the weights that would be kept, then puts the network's own back."""
        module = self.network.module
        own = copied(module.state_dict()) if self.average or self.began else None
        if own:
            module.load_state_dict(self.weights())
        try:
            return tune(
                module,
                self.tuning,
                self.phase.input,
                self.loss,
                batch_size=self.recipe.micro_batch or self.recipe.batch_size,
                device=self.fabric.device,
                keep=keep,
            )
        finally:
            if own:
                module.load_state_dict(own)

    def _keep_if_best(self, value: float | None) -> bool:
        """Writes the weights where they are the best so far, or among those to be kept; says if the best."""
        state, phase = self.state, self.phase
        if value is None:
            return False
        last = phase.monitor == "last"
        better = last or state.best is None or value > state.best
        if better:
            state.best, state.best_epoch = None if last else value, state.epoch
            self.folder.save_best(self.weights())
        if phase.keep_checkpoints > 1 and self.in_last_phase:
            if not last or self._worth_keeping():
                best = sorted([*state.kept, (value, state.epoch)], reverse=True)
                state.kept = best[: phase.keep_checkpoints]
            if (value, state.epoch) in state.kept:
                self.folder.save_kept(state.epoch, self.weights())
        return better

    def _worth_keeping(self) -> bool:
        """Whether the schedule is at rest; or at its end, and has rested fewer times than are to be kept."""
        epoch, phase = self.state.in_phase(), self.phase
        few = len(self.state.kept) < phase.keep_checkpoints
        return is_resting(phase.optimizer, epoch) or (epoch >= phase.epochs and few)

    def _record(self, train_loss: float, tuning: Tuning | None, seconds: float, shown: int) -> None:
        """Writes everything of a completed epoch; the checkpoint last, since resuming goes by it."""
        state = self.state
        state.epoch += 1
        better = self._keep_if_best(worth(tuning, self.phase, self.state))
        phase = {"phase": self.recipe.phases[state.phase].name} if self.recipe.phases else {}
        state.history.append(
            {
                "epoch": state.epoch,
                **phase,
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
        self._save()

    def _save(self) -> None:
        """Writes the checkpoint, and only then removes what it no longer needs."""
        self.folder.save_checkpoint(
            self.state.as_plain()
            | {
                "network": self.network.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average.tensors if self.average else None,
                "began": self.began,
            }
        )
        self.folder.remove_kept_but([epoch for _, epoch in self.state.kept])

    def _resume(self, stored: Mapping[str, Any]) -> None:
        self.network.module.load_state_dict(stored["network"])
        self.optimizer.load_state_dict(stored["optimizer"])
        if self.average:
            for name, tensor in stored["average"].items():
                self.average.tensors[name].copy_(tensor)
        if self.began:
            for name, tensor in stored["began"].items():
                self.began[name].copy_(tensor)
        self.folder.remove_kept_but([epoch for _, epoch in self.state.kept])


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that do not follow those they were copied from."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


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
