# ruff: noqa: T201
"""Films a second that each library augments, with their masks, on one core: OpenCV, torchvision v2, kornia.

    python benchmarks/augment.py [--size S] [--turns N] [--films N] [--kornia FOLDER]

The same steps, each taken every time, on synthetic films float32 in [0, 1] with masks. OpenCV is what
`pleura.data.augment` does, film by film, as a loader's worker does; torchvision likewise; kornia, which is
made for batches, gets sixteen films at once. The ways take turns and change their order. What a library
lacks, or cannot do on this machine, is left out. kornia is no dependency: install it anywhere
(`pip install --no-deps --target FOLDER kornia kornia_rs`) and name the folder.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch

from pleura.data.augment import geometry, grey
from pleura.data.augment.step import Image, Mask, Step
from pleura.networks.torchvision_ops import declare_missing

BATCH = 16
Pairs = list[tuple[Image, Mask]]
Turn = Callable[[], None]

OPENCV: Mapping[str, Step] = {
    "flip": geometry.flip_horizontal,
    "affine": geometry.Affine(0.06, 0.15, 0.0, 12.0),
    "elastic": geometry.Elastic(120.0, 6.0, 0.0),
    "crop and resize": geometry.SizedCrop(0.75),
    "brightness, contrast": grey.BrightnessContrast(0.15, 0.25),
    "gamma": grey.Gamma(1.5),
    "noise": grey.GaussianNoise(0.03),
    "CLAHE": grey.Clahe(3.0, 8),
    "JPEG": grey.Recompression(1.0, 1.0, generations=1),
}
TOGETHER = ("flip", "affine", "elastic", "brightness, contrast", "gamma", "noise")


def films(size: int, count: int) -> Pairs:
    """Smooth films with an ellipse for a mask."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        levels = cv2.GaussianBlur(rng.random((size, size), dtype=np.float32), (0, 0), size / 30)
        mask = np.zeros((size, size), np.uint8)
        at = [int(v) for v in rng.integers(size // 4, 3 * size // 4, 2)]
        cv2.ellipse(mask, at, (size // 6, size // 20), 60, 0, 360, 255, -1)
        made.append((cv2.normalize(levels, None, 0, 1, cv2.NORM_MINMAX), mask))
    return made


def by_opencv(pairs: Pairs) -> Iterator[tuple[str, Turn]]:
    """A turn a step, and one of several steps together."""

    def turn(*steps: Step) -> Turn:
        def run() -> None:
            for number, (image, mask) in enumerate(pairs):
                rng = np.random.default_rng([0, number])
                for step in steps:
                    image, mask = step(image, mask, rng)

        return run

    for name, step in OPENCV.items():
        yield name, turn(step)
    yield "together", turn(*(OPENCV[name] for name in TOGETHER))


def by_torchvision(pairs: Pairs) -> Iterator[tuple[str, Turn]]:
    """The same by torchvision.transforms.v2, film by film."""
    declare_missing()
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    size, bilinear = pairs[0][0].shape[0], v2.InterpolationMode.BILINEAR
    given = [
        (tv_tensors.Image(torch.from_numpy(i)[None]), tv_tensors.Mask(torch.from_numpy(m)[None]))
        for i, m in pairs
    ]

    def gamma(image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        power = 1.5 ** (2 * torch.rand(()).item() - 1)
        return v2.functional.adjust_gamma(image, power), mask

    steps = {
        "flip": v2.RandomHorizontalFlip(1.0),
        "affine": v2.RandomAffine(12, (0.06, 0.06), (0.85, 1.15), interpolation=bilinear),
        "elastic": v2.ElasticTransform(120.0, 6.0, interpolation=bilinear),
        "crop and resize": v2.RandomResizedCrop(size, (0.56, 1.0), (1.0, 1.0), antialias=False),
        "brightness, contrast": v2.ColorJitter(0.15, 0.25),
        "gamma": gamma,
        "noise": v2.GaussianNoise(0.0, 0.03),
    }

    def turn(*taken: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> Turn:
        def run() -> None:
            for image, mask in given:
                for step in taken:
                    image, mask = step(image, mask)

        return run

    for name, step in steps.items():
        yield name, turn(step)
    yield "together", turn(*(steps[name] for name in TOGETHER))


def by_kornia(pairs: Pairs) -> Iterator[tuple[str, Turn]]:
    """The same by kornia.augmentation, in batches."""
    import kornia.augmentation as K

    size = pairs[0][0].shape[0]
    images = torch.from_numpy(np.stack([image for image, _ in pairs]))[:, None]
    masks = torch.from_numpy(np.stack([mask for _, mask in pairs]))[:, None].float()
    steps = {
        "flip": K.RandomHorizontalFlip(p=1.0),
        "affine": K.RandomAffine(12.0, (0.06, 0.06), (0.85, 1.15), p=1.0),
        "elastic": K.RandomElasticTransform((49, 49), (6.0, 6.0), (1.0, 1.0), p=1.0),
        "crop and resize": K.RandomResizedCrop((size, size), (0.56, 1.0), (1.0, 1.0), p=1.0),
        "brightness, contrast": K.ColorJiggle(0.15, 0.25, p=1.0),
        "gamma": K.RandomGamma((0.67, 1.5), p=1.0),
        "noise": K.RandomGaussianNoise(0.0, 0.03, p=1.0),
        "CLAHE": K.RandomClahe((1.0, 3.0), (8, 8), p=1.0),
    }

    def turn(*taken: torch.nn.Module) -> Turn:
        chain = K.AugmentationSequential(*taken, data_keys=["input", "mask"])

        def run() -> None:
            for first in range(0, len(images), BATCH):
                chain(images[first : first + BATCH], masks[first : first + BATCH])

        return run

    for name, step in steps.items():
        yield name, turn(step)
    yield "together", turn(*(steps[name] for name in TOGETHER))


def measure(ways: Mapping[str, Turn], turns: int) -> dict[str, list[float]]:
    """Seconds of each way's turns; the order is turned round each time."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in ways.values():
        turn()  # warm up
    for number in range(turns):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def main() -> None:
    """Measures and prints milliseconds a film of each way, and ratios with their spread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--films", type=int, default=2 * BATCH)
    parser.add_argument("--kornia", type=Path, help="where kornia was installed")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")
    pairs = films(given.size, given.films)
    libraries = {"OpenCV": dict(by_opencv(pairs)), "torchvision": dict(by_torchvision(pairs))}
    if given.kornia:
        sys.path.append(str(given.kornia))
        libraries["kornia"] = dict(by_kornia(pairs))
    print(
        f"{given.size} px, {given.films} films a turn, one core; ms a film, and times OpenCV's (quartiles)"
    )
    for step in libraries["OpenCV"]:
        ways = {name: made[step] for name, made in libraries.items() if step in made}
        seconds = measure(ways, given.turns)
        cells = []
        for name, measured in seconds.items():
            ratios = [a / b for a, b in zip(measured, seconds["OpenCV"], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            spread = "" if name == "OpenCV" else f" {middle:.1f} x ({low:.1f} to {high:.1f})"
            cells.append(f"{name} {1000 * statistics.median(measured) / len(pairs):.2f}{spread}")
        print(f"{step:22s}" + "; ".join(cells), flush=True)


if __name__ == "__main__":
    main()
