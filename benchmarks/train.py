# ruff: noqa: T201
"""Films a second that a recipe trains on, against the loop that notebooks write.

    python benchmarks/train.py DATA [--recipe NAME] [--settings KEY=VALUE ...] [--against KEY=VALUE ...]

DATA is a prepared dataset. Both ways train the recipe's network on the same films with the same batch size.
The naive loop decodes and resizes each PNG whenever it comes up, flips at random, and computes in float32
with tensors as they are. `pleura` reads its film cache, augments by the recipe, averages weights, computes
in bf16 where the machine is quicker in it, and channels last. With --against, a third way is `pleura` with
these changes to the recipe besides. The ways take turns and change their order.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pleura.data.dataset import FilmSet
from pleura.data.manifest import Dataset as Prepared
from pleura.inference.preprocess import squeeze
from pleura.networks import create
from pleura.training.fabric import choose_fabric
from pleura.training.loop import Trainer
from pleura.training.recipe import Recipe, find_recipe, read_recipe
from pleura.training.run import RunFolder

Turn = Callable[[], int]


class Files(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Films and masks from their PNG files, as a notebook reads them."""

    def __init__(self, root: Path, names: list[tuple[str, str | None]], size: int) -> None:
        self.root, self.names, self.size = root, names, size

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image_name, mask_name = self.names[index]
        image = cv2.imread(str(self.root / image_name), cv2.IMREAD_GRAYSCALE)
        mask = np.zeros_like(image)
        if mask_name:
            mask = cv2.imread(str(self.root / mask_name), cv2.IMREAD_GRAYSCALE)
        image, mask = (cv2.resize(a, (self.size, self.size)) for a in (image, mask))
        if np.random.rand() < 0.5:
            image, mask = image[:, ::-1].copy(), mask[:, ::-1].copy()
        pixels = torch.from_numpy(image.astype(np.float32) / 255.0 - 0.5)[None]
        return pixels, torch.from_numpy((mask > 127).astype(np.float32))[None]


def forever(loader: DataLoader) -> Iterator:
    while True:
        yield from loader


def naive_turn(data: Prepared, recipe: Recipe, film_ids: list[str], steps: int) -> Turn:
    names = [(data.by_id[i].image, data.by_id[i].mask) for i in film_ids]
    network = create(
        recipe.network.name, channels=1, size=recipe.input.size, **recipe.network.options
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    loss = torch.nn.BCEWithLogitsLoss()
    files = Files(data.root, names, recipe.input.size)
    batches = forever(DataLoader(files, recipe.batch_size, shuffle=True, drop_last=True))

    def turn() -> int:
        network.train()
        for _ in range(steps):
            images, masks = next(batches)
            optimizer.zero_grad()
            loss(network(images).mask_logits, masks).backward()
            optimizer.step()
        return steps * recipe.batch_size

    return turn


def pleura_turn(data: Prepared, recipe: Recipe, film_ids: list[str], steps: int, out: Path) -> Turn:
    films = FilmSet(data, film_ids, recipe.input.size, squeeze)
    network = create(
        recipe.network.name, channels=1, size=recipe.input.size, **recipe.network.options
    )
    fabric = choose_fabric(recipe, "auto")
    trainer = Trainer(recipe, network, lambda _: (films, films), RunFolder(out), fabric)
    batches = forever(trainer.loader(np.arange(len(films))))

    def turn() -> int:
        trainer.network.train()
        trainer.frozen.rest()
        for _ in range(steps):
            trainer.step(*next(batches))
        return steps * recipe.batch_size

    return turn


def of_recipe(name: str, settings: list[str]) -> Recipe:
    """With its last phase for the whole, every film as it comes."""
    recipe = read_recipe(find_recipe(name), settings)
    recipe = recipe.phase(len(recipe.phases) - 1) if recipe.phases else recipe
    return replace(recipe, positive_share=None)


def main() -> None:
    """Measures and prints films a second of both ways, and the ratio with its spread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="light")
    parser.add_argument("--settings", nargs="*", default=[], help="changes to the recipe")
    parser.add_argument("--against", nargs="*", default=[], help="further ones, as a third way")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="batches a turn")
    parser.add_argument("--films", type=int, default=128)
    given = parser.parse_args()
    recipe = of_recipe(given.recipe, given.settings)
    data = Prepared.open(given.data)
    film_ids = [film.film_id for film in data.films if film.label is not None][: given.films]
    with tempfile.TemporaryDirectory(prefix="pleura-benchmark-") as scratch:
        ways = {
            "naive, float32": naive_turn(data, recipe, film_ids, given.steps),
            "pleura": pleura_turn(data, recipe, film_ids, given.steps, Path(scratch) / "a"),
        }
        if given.against:
            other = of_recipe(given.recipe, [*given.settings, *given.against])
            ways[" ".join(given.against)] = pleura_turn(
                data, other, film_ids, given.steps, Path(scratch) / "b"
            )
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for turn in ways.values():
            turn()  # warm up
        for number in range(given.turns):
            names = list(ways) if number % 2 else list(ways)[::-1]
            for name in names:
                began = time.perf_counter()
                films = ways[name]()
                rates[name].append(films / (time.perf_counter() - began))
    print(
        f"{recipe.name} at {recipe.input.size}, batch {recipe.batch_size}, {torch.get_num_threads()} threads"
    )
    for name, measured in rates.items():
        low, middle, high = statistics.quantiles(measured, n=4)
        print(f"{name:20s}{middle:8.1f} films/s ({low:.1f} to {high:.1f})")
    for name, than in pairwise(reversed(rates)):
        ratios = [a / b for a, b in zip(rates[name], rates[than], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{name} is {middle:.2f} x (quartiles {low:.2f} to {high:.2f}) {than}")


if __name__ == "__main__":
    main()
