"""An epoch's films in batches: augmented, normalised, on the device."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from pleura.cores import usable_cores
from pleura.data.dataset import FilmSet
from pleura.data.instances import padded
from pleura.inference.preprocess import normalise
from pleura.training.processes import processes_here, share
from pleura.training.recipe import Recipe
from pleura.training.sampling import beforehand

Sample = tuple[Tensor, NDArray[np.uint8], int]


class _Epoch(torch.utils.data.Dataset[Sample]):
    """One process's share of an epoch's films, augmented.

    Each film's randomness comes from the seed, the epoch and itself, whichever process sees it.
    """

    def __init__(
        self,
        films: FilmSet,
        recipe: Recipe,
        epoch: int,
        order: NDArray[np.int64],
        shared: Sequence[int],
    ) -> None:
        self.films, self.recipe, self.epoch, self.order = films, recipe, epoch, order
        self.shared = shared

    def __len__(self) -> int:
        return len(self.shared)

    def __getitem__(self, position: int) -> Sample:
        index = int(self.order[self.shared[position]])
        seeds = (self.recipe.seed, self.epoch)
        first = beforehand(index, self.films.labels[index], self.order, self.recipe, seeds)
        image, planes = self.films.augmented_planes(index, self.recipe.augmentation, seeds, first)
        return torch.from_numpy(normalise(image, self.recipe.input)), planes, index


def _together(samples: Sequence[Sample]) -> tuple[Tensor, Tensor, Tensor]:
    """Samples as a batch; films of fewer instances than others have empty masks for the rest."""
    images, planes, indices = zip(*samples, strict=True)
    return torch.stack(images), torch.from_numpy(padded(planes)), torch.tensor(indices)


def batches(
    films: FilmSet, recipe: Recipe, epoch: int, order: NDArray[np.int64], fabric: Fabric
) -> DataLoader[tuple[Tensor, Tensor, int]]:
    """Batches of films in `order`: inputs (N, channels, S, S), masks (N, K, S, S) of 0 or 1, indices (N,).

    K is 1, but where films are learnt from by instance. Where several processes train together, each has its
    part of every batch.
    """
    on_gpu = fabric.device.type == "cuda"
    cores = usable_cores() // processes_here(fabric)
    loader: DataLoader[Any] = DataLoader(
        _Epoch(films, recipe, epoch, order, share(len(order), fabric, recipe.batch_size)),
        batch_size=recipe.batch_size // fabric.world_size,
        collate_fn=_together,
        num_workers=max(1, min(8, cores)) if on_gpu else 0,
        pin_memory=on_gpu,
    )
    return fabric.setup_dataloaders(  # type: ignore[return-value]
        loader, use_distributed_sampler=False
    )
