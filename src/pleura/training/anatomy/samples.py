"""What the anatomy network is shown: one film a sample, of a kind drawn at random, with all its answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pleura.data.augment.geometry import Affine, flip_horizontal
from pleura.data.augment.grey import BrightnessContrast, Clahe, Gamma, GaussianNoise, Recompression
from pleura.data.augment.step import Image, Sometimes, Step, binary, clipped
from pleura.data.dataset import FilmSet
from pleura.data.impostors import MADE, SPOILT
from pleura.data.lung_films import LABELS, LungFilm
from pleura.data.phantom import phantom
from pleura.inference.preprocess import normalise, squeeze
from pleura.networks.anatomy import PRESENTATIONS
from pleura.training.anatomy.settings import AnatomySettings

Planes = NDArray[np.uint8]

UPRIGHT, NO_CHEST = 0, PRESENTATIONS.index("no frontal chest")
STRIDE = 4  # of the network's planes

SHARES = {"lungs": 0.3, "upright": 0.22, "turned": 0.18, "impostor": 0.24, "phantom": 0.06}
"""How often each kind of sample is drawn."""

TAUGHT_SHARE = 0.8
"""Of the upright films, where a teacher drew lungs on some."""

INVERTED_SHARE = 0.15
"""Of the films that are chests."""

_POSE = Sometimes(0.8, Affine(0.04, 0.1, 0.25, 9.0))
_GREY: tuple[Step, ...] = (
    Sometimes(0.2, Clahe(3.0, 8)),
    Sometimes(0.5, BrightnessContrast(0.15, 0.4)),
    Sometimes(0.6, Gamma(2.2)),
    Sometimes(0.4, Recompression()),
    Sometimes(0.3, GaussianNoise(0.04)),
)


class Sample(NamedTuple):
    """One film and what the network should say of it.

    Attributes:
        image: float32 (1, S, S), normalised.
        planes: float32 (3, S / 4, S / 4), the share of each cell that a plane of `LABELS` covers.
        planes_known: float32 (3,), 1 where that plane was drawn.
        presentation: index into `PRESENTATIONS`; -1 where it should not be asked.
        inverted: 1, 0, or -1 likewise.
    """

    image: torch.Tensor
    planes: torch.Tensor
    planes_known: torch.Tensor
    presentation: int
    inverted: int


class Batch(NamedTuple):
    """Samples stacked: tensors of the same names with N in front."""

    image: torch.Tensor
    planes: torch.Tensor
    planes_known: torch.Tensor
    presentation: torch.Tensor
    inverted: torch.Tensor


@dataclass(frozen=True, eq=False)
class Material:
    """What samples are made from.

    Attributes:
        lungs: films with drawn lungs.
        chests: further frontal films, at the network's size.
        taught: lungs of some of the latter as a teacher drew them, by index: uint8 (S, S, 3) of 0 or 255.
        whole: one of the chests by its index, float32 (H, W) at full size: small parts of it are enlarged.
    """

    lungs: Sequence[LungFilm]
    chests: FilmSet
    whole: Callable[[int], Image]
    taught: Mapping[int, Planes] = field(default_factory=dict)


class Samples(torch.utils.data.Dataset[Sample]):
    """The samples of one epoch; each is a function of the seed, the epoch and its number."""

    def __init__(self, material: Material, settings: AnatomySettings, epoch: int) -> None:
        self.material, self.settings, self.epoch = material, settings, epoch

    def __len__(self) -> int:
        return self.settings.epoch_films

    def __getitem__(self, number: int) -> Sample:
        if not 0 <= number < len(self):
            raise IndexError(number)
        rng = np.random.default_rng([self.settings.seed, self.epoch, number])
        kind = rng.choice(list(SHARES), p=list(SHARES.values()))
        draw = {
            "lungs": self._lungs,
            "upright": self._upright,
            "turned": self._turned,
            "impostor": self._impostor,
            "phantom": self._phantom,
        }[kind]
        return draw(rng)

    def _lungs(self, rng: np.random.Generator) -> Sample:
        film = self._drawn(rng)
        image, planes = film.pixels.astype(np.float32) / np.float32(255), film.planes
        whole = True
        if rng.random() < 0.7:
            image, planes, whole = framed(image, planes, rng)
        image, planes = self._squeezed(image, planes)
        return self._sample(image, planes, (1, 1, 1), UPRIGHT if whole else -1, rng)

    def _upright(self, rng: np.random.Generator) -> Sample:
        taught = self.material.taught
        if taught and rng.random() < TAUGHT_SHARE:
            index = list(taught)[int(rng.integers(len(taught)))]
            image = self.material.chests.get(index)[0]
            return self._sample(image, taught[index], (1, 1, 1), UPRIGHT, rng)
        return self._sample(self._chest(rng), None, (0, 0, 0), UPRIGHT, rng)

    def _turned(self, rng: np.random.Generator) -> Sample:
        if rng.random() < 0.3:
            film = self._drawn(rng)
            image = film.pixels.astype(np.float32) / np.float32(255)
            if rng.random() < 0.5:
                image, _, _ = framed(image, film.planes, rng, inside=0.0)
            image = squeeze(image, self.settings.size)
        else:
            image = self._chest(rng)
        quarters = int(rng.integers(1, 4))
        image = np.ascontiguousarray(np.rot90(image, quarters))
        return self._sample(image, None, (0, 0, 0), quarters, rng)

    def _phantom(self, rng: np.random.Generator) -> Sample:
        made = phantom(int(rng.integers(2**31)), 256, squeeze=bool(rng.random() < 0.5))
        _, regions = cv2.connectedComponents(made.lungs.astype(np.uint8))
        planes = np.zeros((*made.pixels.shape, len(LABELS)), np.uint8)
        for label in range(1, int(regions.max()) + 1):
            inside = regions == label
            plane = int(np.nonzero(inside)[1].mean() > 0.5 * made.pixels.shape[1])
            planes[inside, plane] = 255
        image, planes = self._squeezed(made.pixels, planes)
        return self._sample(image, planes, (1, 1, 0), UPRIGHT, rng)

    def _impostor(self, rng: np.random.Generator) -> Sample:
        kinds, size = self.settings.shown_kinds, self.settings.size
        kind = kinds[rng.integers(len(kinds))]
        made = MADE.get(kind)
        image = made(rng, size) if made else squeeze(SPOILT[kind](self._whole(rng), rng), size)
        if rng.random() < 0.15:
            image = np.ascontiguousarray(np.rot90(image, int(rng.integers(1, 4))))
        return self._sample(image, None, (0, 0, 0), NO_CHEST, rng)

    def _drawn(self, rng: np.random.Generator) -> LungFilm:
        return self.material.lungs[int(rng.integers(len(self.material.lungs)))]

    def _chest(self, rng: np.random.Generator) -> Image:
        return self.material.chests.get(int(rng.integers(len(self.material.chests))))[0]

    def _whole(self, rng: np.random.Generator) -> Image:
        """A frontal film at full size, of either source."""
        if rng.random() < 0.3:
            return np.asarray(self._drawn(rng).pixels / np.float32(255), np.float32)
        return self.material.whole(int(rng.integers(len(self.material.chests))))

    def _squeezed(self, image: Image, planes: Planes) -> tuple[Image, Planes]:
        size = self.settings.size
        small = cv2.resize(planes, (size, size), interpolation=cv2.INTER_AREA)
        return squeeze(image, size), binary(small)

    def _sample(
        self,
        image: Image,
        planes: Planes | None,
        known: tuple[int, int, int],
        presentation: int,
        rng: np.random.Generator,
    ) -> Sample:
        size = self.settings.size
        if planes is None:
            planes = np.zeros((size, size, len(LABELS)), np.uint8)
        if rng.random() < 0.5:
            image, planes = flip_horizontal(image, planes, rng)
            planes = np.ascontiguousarray(
                planes[..., [1, 0, 2]]
            )  # they go by the side of the image
            presentation = _mirrored(presentation)
        image, planes = _POSE(image, planes, rng)
        inverted = -1
        if presentation != NO_CHEST:
            inverted = int(rng.random() < INVERTED_SHARE)
            image = 1 - image if inverted else image
        for step in _GREY:
            image, planes = step(image, planes, rng)
        cells = cv2.resize(planes, (size // STRIDE,) * 2, interpolation=cv2.INTER_AREA)
        return Sample(
            torch.from_numpy(normalise(clipped(image), self.settings.input)),
            torch.from_numpy(cells.transpose(2, 0, 1).astype(np.float32) / np.float32(255)),
            torch.tensor(known, dtype=torch.float32),
            presentation,
            inverted,
        )


def framed(
    image: Image, planes: Planes, rng: np.random.Generator, inside: float = 0.08
) -> tuple[Image, Planes, bool]:
    """A film cut to a window about its lungs, as other hospitals frame theirs.

    Args:
        image: float32 (H, W).
        planes: uint8 (H, W, 3).
        rng: draws the window.
        inside: how far the window's edges may cut into the lungs, as a share of their box.

    Returns:
        Film and planes in the window, which lies within the film, and whether the window cuts no lung.
    """
    lungs = np.asarray(planes[..., :2].max(axis=2) > 0)
    if not lungs.any():
        return image, planes, True
    edges = []
    for axis in (1, 0):
        at = np.flatnonzero(lungs.max(axis=axis))
        first, last = int(at[0]), int(at[-1]) + 1
        span = last - first
        before, after = rng.uniform(-inside, 0.4, 2)
        edges.append((max(round(first - before * span), 0), round(last + after * span)))
    (top, bottom), (left, right) = edges
    whole = not lungs.sum() > lungs[top:bottom, left:right].sum()
    return image[top:bottom, left:right], planes[top:bottom, left:right], whole


def _mirrored(presentation: int) -> int:
    """How a film lies once it is mirrored: a quarter to the left becomes one to the right."""
    return {1: 3, 3: 1}.get(presentation, presentation)
