"""An epoch's films in batches: augmented, normalised, on the device."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from pleura.data.dataset import FilmSet
from pleura.data.instances import padded
from pleura.inference.preprocess import normalise
from pleura.training.recipe import Recipe
from pleura.training.sampling import other_half

Sample = tuple[Tensor, NDArray[np.uint8], int]


class _Epoch(torch.utils.data.Dataset[Sample]):
    """One epoch's films, augmented; each film's randomness comes from the seed, the epoch and itself."""

    def __init__(
        self, films: FilmSet, recipe: Recipe, epoch: int, order: NDArray[np.int64]
    ) -> None:
        self.films, self.recipe, self.epoch, self.order = films, recipe, epoch, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> Sample:
        index = int(self.order[position])
        seeds = (self.recipe.seed, self.epoch)
        other = other_half(index, self.order, self.recipe.hemithorax_cutmix, seeds)
        image, planes = self.films.augmented_planes(index, self.recipe.augmentation, seeds, other)
        return torch.from_numpy(normalise(image, self.recipe.input)), planes, index


def _together(samples: Sequence[Sample]) -> tuple[Tensor, Tensor, Tensor]:
    """Samples as a batch; films of fewer instances than others have empty masks for the rest."""
    images, planes, indices = zip(*samples, strict=True)
    return torch.stack(images), torch.from_numpy(padded(planes)), torch.tensor(indices)


def batches(
    films: FilmSet, recipe: Recipe, epoch: int, order: NDArray[np.int64], fabric: Fabric
) -> DataLoader[tuple[Tensor, Tensor, int]]:
    """Batches of films in `order`: inputs (N, channels, S, S), masks (N, K, S, S) of 0 or 1, indices (N,).

    K is 1, but where films are learnt from by instance.
    """
    on_gpu = fabric.device.type == "cuda"
    loader: DataLoader[Any] = DataLoader(
        _Epoch(films, recipe, epoch, order),
        batch_size=recipe.batch_size,
        collate_fn=_together,
        # A rest of a batch would weigh more than its films deserve; it comes again next epoch.
        drop_last=len(order) > recipe.batch_size,
        num_workers=min(8, os.cpu_count() or 1) if on_gpu else 0,
        pin_memory=on_gpu,
    )
    return fabric.setup_dataloaders(loader)  # type: ignore[return-value]
