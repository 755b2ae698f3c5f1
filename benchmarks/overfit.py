# ruff: noqa: T201
"""Whether each network can learn at all: eight positive films, shown until their masks come back.

    python benchmarks/overfit.py DATA [KEY=VALUE ...] [--recipes unet unetpp ...] [--size 128] [--steps 400]

DATA is a prepared dataset with a split; the eight are positives of its training part (or of its folds),
drawn with seed 0 from those whose mask is 0.2 % of the film or more. No augmentation; the recipe's own
network and loss; AdamW at 1e-3 falling as a cosine, all eight in each step, gradients clipped at 1.
Printed is the Dice at 0.5, in evaluation mode, every twenty steps. It is no measure of quality: only a
network that cannot do this has a fault.
"""

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pleura.data.dataset import FilmSet
from pleura.data.instances import InstanceSet, padded
from pleura.data.manifest import Dataset
from pleura.data.split import SPLIT_FILE, Split
from pleura.inference.preprocess import PREPROCESS_VERSION, normalise, squeeze
from pleura.networks import has_own_loss
from pleura.training.fabric import choose_fabric
from pleura.training.losses import loss_of
from pleura.training.recipe import Recipe, find_recipe, read_recipe
from pleura.training.start import build

FILMS, RATE, ENOUGH, EVERY = 8, 1e-3, 0.93, 20
LEAST = 0.002  # of the film


def chosen(dataset: Dataset, split: Split) -> list[str]:
    """Eight positives that may be trained on, whose masks do not vanish when the film is made small."""
    ids = split.train or [i for fold in split.folds for i in fold]
    positive = [i for i in ids if (dataset.by_id[i].mask_area_fraction or 0.0) >= LEAST]
    return [str(i) for i in np.random.default_rng(0).permutation(positive)[:FILMS]]


def films_of(dataset: Dataset, ids: Sequence[str], recipe: Recipe) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (8, channels, S, S), what the loss takes (8, K, S, S), and masks, bool (8, S, S)."""
    own = has_own_loss(recipe.network.name)
    kind = InstanceSet if own else FilmSet
    films = kind(dataset, ids, recipe.input.size, squeeze, squeeze_version=PREPROCESS_VERSION)
    pairs = [films.get(i) for i in range(len(ids))]
    inputs = torch.stack([torch.from_numpy(normalise(image, recipe.input)) for image, _ in pairs])
    masks = torch.from_numpy(np.stack([mask > 127 for _, mask in pairs]))
    if isinstance(films, InstanceSet):
        taught = torch.from_numpy(padded([films.planes(i) for i in range(len(ids))]))
    else:
        taught = masks[:, None].float()
    return inputs.contiguous(memory_format=torch.channels_last), taught, masks


def dice(network: nn.Module, inputs: Tensor, masks: Tensor, part: int, fabric: Fabric) -> Tensor:
    """Of each film, at 0.5."""
    network.eval()
    with torch.inference_mode(), fabric.autocast():
        logits = [network(one).mask_logits[:, 0].float() for one in inputs.split(part)]
    called = torch.cat(logits) >= 0
    both = (called & masks).sum((1, 2))
    return 2 * both / (called.sum((1, 2)) + masks.sum((1, 2)))


def overfit(recipe: Recipe, dataset: Dataset, ids: Sequence[str], steps: int) -> None:
    """Trains, printing as it goes, until the Dice is enough or the steps are over."""
    inputs, taught, masks = films_of(dataset, ids, recipe)
    loss = loss_of(recipe.loss)
    fabric = choose_fabric(recipe, "cpu")
    torch.manual_seed(0)
    network = build(recipe).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.0)
    part = recipe.micro_batch or FILMS
    started = time.monotonic()
    for step in range(1, steps + 1):
        network.train()
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, step / 10) * (1 + math.cos(math.pi * step / steps)) / 2
        for images, target in zip(inputs.split(part), taught.split(part), strict=True):
            with fabric.autocast():
                given = network.losses(images, target) if loss is None else network(images)
            each = given if loss is None else loss(given.float(), target)
            (each.sum() / FILMS).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % EVERY == 0:
            found = dice(network, inputs, masks, part, fabric)
            print(
                f"{recipe.name}: step {step}, Dice {found.mean():.3f}, {found.min():.3f} at worst, "
                f"{time.monotonic() - started:.0f} s",
                flush=True,
            )
            if found.mean() > ENOUGH:
                return


def main() -> None:
    """Overfits and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("settings", nargs="*", help="changes to the recipes, key=value")
    parser.add_argument("--recipes", nargs="+", default=["joint", "light", "unet", "unetpp"])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=400)
    given = parser.parse_args()
    dataset = Dataset.open(given.data)
    ids = chosen(dataset, Split.load(given.data / SPLIT_FILE))
    for name in given.recipes:
        settings = [f"input.size={given.size}", "network.init=random", *given.settings]
        recipe = read_recipe(find_recipe(name), settings)
        recipe = recipe.phase(len(recipe.phases) - 1) if recipe.phases else recipe
        overfit(recipe, dataset, ids, given.steps)


if __name__ == "__main__":
    main()
