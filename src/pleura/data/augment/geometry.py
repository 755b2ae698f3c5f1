"""Steps that move the film, and its mask by the same map: bilinear, the mask then cut at half."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.augment.step import Image, Mask, binary

Edges = Literal["black", "mirror"]
_BORDERS = {"black": cv2.BORDER_CONSTANT, "mirror": cv2.BORDER_REFLECT_101}


def flip_vertical(image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Upside down."""
    return np.ascontiguousarray(image[::-1]), np.ascontiguousarray(mask[::-1])


def flip_horizontal(image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Left and right exchanged."""
    return np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])


@dataclass(frozen=True)
class Affine:
    """Shift, scale, aspect and rotation about the centre.

    Attributes:
        shift: largest shift, as a share of the side.
        scale: largest relative change of size, both ways.
        aspect: largest relative change of width against height, both ways.
        degrees: largest rotation, both ways.
        edges: what enters from outside: nothing (`black`), or the film `mirror`ed.
    """

    shift: float = 0.0625
    scale: float = 0.1
    aspect: float = 0.0
    degrees: float = 15.0
    edges: Edges = "black"

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Moves film and mask alike."""
        size = image.shape[0]
        angle = np.deg2rad(rng.uniform(-self.degrees, self.degrees))
        scale = 1.0 + rng.uniform(-self.scale, self.scale)
        aspect = np.sqrt(1.0 + rng.uniform(-self.aspect, self.aspect))
        shift = rng.uniform(-self.shift, self.shift, size=2) * size
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turn @ np.diag([scale * aspect, scale / aspect])
        centre = np.full(2, (size - 1) / 2)
        moved = np.column_stack([matrix, centre + shift - matrix @ centre])
        side, border = (size, size), _BORDERS[self.edges]
        film = cv2.warpAffine(image, moved, side, flags=cv2.INTER_LINEAR, borderMode=border)
        region = cv2.warpAffine(mask, moved, side, flags=cv2.INTER_LINEAR, borderMode=border)
        return film.astype(np.float32, copy=False), binary(region)


@dataclass(frozen=True)
class Elastic:
    """Smooth random displacement (Simard, Steinkraus and Platt, ICDAR 2003) and a slight affine one.

    Attributes:
        alpha: scale of the displacement: uniform noise in [-1, 1], smoothed, times this many pixels.
        sigma: of the Gaussian that smooths it, in pixels.
        affine: largest shift of each of the three points that define the affine part, in pixels.
        edges: as of `Affine`.
    """

    alpha: float = 120.0
    sigma: float = 6.0
    affine: float = 3.6
    edges: Edges = "mirror"

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Moves film and mask alike."""
        size = image.shape[0]
        near, far = size / 6, size * 5 / 6
        given = np.array([[far, far], [far, near], [near, near]], np.float32)
        shifted = given + rng.uniform(-self.affine, self.affine, (3, 2)).astype(np.float32)
        matrix = cv2.getAffineTransform(given, shifted).astype(np.float32)
        noise = rng.uniform(-1.0, 1.0, (size, size, 2)).astype(np.float32)
        shift = cv2.GaussianBlur(noise, (0, 0), self.sigma) * np.float32(self.alpha)
        y, x = np.mgrid[:size, :size].astype(np.float32)
        at = np.stack((x, y, np.ones_like(x)), axis=-1) @ matrix.T + shift  # (S, S, 2): x, y
        return _remapped(image, mask, at[..., 0], at[..., 1], self.edges)


@dataclass(frozen=True)
class GridDistortion:
    """Columns and rows of a grid, each stretched or squeezed by an amount of its own.

    Attributes:
        cells: of the grid, a side.
        limit: largest relative change of a cell's width or height, both ways.
        edges: as of `Affine`.
    """

    cells: int = 5
    limit: float = 0.3
    edges: Edges = "mirror"

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Moves film and mask alike."""
        size = image.shape[0]
        lines = np.linspace(0.0, size, self.cells + 1)
        sources = []
        for _ in range(2):  # columns, then rows
            factors = 1.0 + rng.uniform(-self.limit, self.limit, self.cells)
            reached = np.concatenate([[0.0], np.cumsum(np.diff(lines) * factors)])
            sources.append(np.interp(np.arange(size), lines, reached))
        x, y = np.meshgrid(*sources)
        return _remapped(image, mask, x, y, self.edges)


@dataclass(frozen=True)
class LensDistortion:
    """Barrel or pincushion: a point at a distance r from the centre is taken from r (1 + k r² + k r⁴).

    Attributes:
        limit: largest k, both ways, with r in sides of the film. Beyond 0.4 the corners fold over.
        shift_px: largest shift of the centre, both ways.
        edges: as of `Affine`.
    """

    limit: float = 0.3
    shift_px: float = 0.5
    edges: Edges = "mirror"

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Moves film and mask alike."""
        size = image.shape[0]
        k = rng.uniform(-self.limit, self.limit)
        centre = (size - 1) / 2 + rng.uniform(-self.shift_px, self.shift_px, 2)
        y, x = np.mgrid[:size, :size] - centre[::-1, None, None]
        squared = (x**2 + y**2) / size**2
        factor = 1.0 + k * squared + k * squared**2
        return _remapped(image, mask, centre[0] + x * factor, centre[1] + y * factor, self.edges)


@dataclass(frozen=True)
class SizedCrop:
    """A square of at least `smallest` of the side, anywhere in the film, enlarged to the whole."""

    smallest: float = 0.6875

    def __call__(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """Cuts film and mask alike."""
        size = image.shape[0]
        side = int(rng.integers(round(self.smallest * size), size + 1))
        top, left = rng.integers(0, size - side + 1, 2)
        window = (slice(top, top + side), slice(left, left + side))
        film = cv2.resize(image[window], (size, size), interpolation=cv2.INTER_LINEAR)
        region = cv2.resize(mask[window], (size, size), interpolation=cv2.INTER_LINEAR)
        return film.astype(np.float32, copy=False), binary(region)


def _remapped(
    image: Image, mask: Mask, x: NDArray[np.floating], y: NDArray[np.floating], edges: Edges
) -> tuple[Image, Mask]:
    """Film and mask, each pixel taken from column `x` and row `y`, (S, S) each."""
    maps = (np.ascontiguousarray(x, np.float32), np.ascontiguousarray(y, np.float32))
    border = _BORDERS[edges]
    film = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=border)
    region = cv2.remap(mask, *maps, cv2.INTER_LINEAR, borderMode=border)
    return film.astype(np.float32, copy=False), binary(region)
