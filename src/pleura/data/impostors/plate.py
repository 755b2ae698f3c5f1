"""A plate under X-rays: shadows of tissue and bone add up along the ray, and a film is developed."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Layer = NDArray[np.float32]
Point = tuple[float, float]

_ATTENUATION = 0.2  # a cm of soft tissue


class Plate:
    """Draws in units of the plate's side, x to the right and y down, each from 0 to 1.

    Args:
        rng: draws the pose, the exposure and the noise.
        size: of the plate, in px.
        turn: largest rotation, in degrees; the whole drawing is also shifted and scaled a little.
    """

    def __init__(self, rng: np.random.Generator, size: int, turn: float = 15.0) -> None:
        self.rng, self.size = rng, size
        self.tissue: Layer = np.zeros((size, size), np.float32)
        angle, scale = np.radians(rng.uniform(-turn, turn)), rng.uniform(0.8, 1.15)
        wide, high = scale * rng.uniform(0.88, 1.14), scale
        self._matrix = np.array(
            [
                [wide * np.cos(angle), -high * np.sin(angle)],
                [wide * np.sin(angle), high * np.cos(angle)],
            ]
        )
        self._shift = 0.5 + rng.uniform(-0.05, 0.05, 2)

    def _pixels(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """Points (n, 2) as OpenCV's fixed-point pixels, four fractional bits."""
        placed = (points - 0.5) @ self._matrix.T + self._shift
        fixed = np.clip(np.round(placed * self.size * 16), -(2**24), 2**24)
        return np.asarray(fixed, np.int32)

    def shape(self, outline: NDArray[np.float64], cm: float, *, blur: float = 0.004) -> None:
        """Adds `cm` of tissue inside an outline (n, 2), thinner towards its edge."""
        layer = np.zeros((self.size, self.size), np.uint8)
        cv2.fillPoly(layer, [self._pixels(outline)], 255, cv2.LINE_AA, 4)
        inside = cv2.distanceTransform((layer > 127).astype(np.uint8), cv2.DIST_L2, 3)
        reach = max(float(inside.max()), 1.0)
        round_ = np.sqrt(np.clip(inside / reach, 0, 1)) * (layer / np.float32(255))
        self.tissue += np.float32(cm) * _blurred(np.asarray(round_, np.float32), blur * self.size)

    def ellipse(
        self, centre: Point, radii: Point, cm: float, *, turned: float = 0.0, blur: float = 0.004
    ) -> None:
        """Adds an ellipse; `turned` in degrees."""
        t, a = np.linspace(0, 2 * np.pi, 64, endpoint=False), np.radians(turned)
        x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
        wobble = 1 + 0.03 * self.rng.standard_normal() * np.cos(2 * t + self.rng.uniform(0, 6))
        turned_points = np.stack((x * np.cos(a) - y * np.sin(a), x * np.sin(a) + y * np.cos(a)), 1)
        self.shape(turned_points * wobble[:, None] + np.array(centre), cm, blur=blur)

    def ring(
        self, centre: Point, radii: Point, wall: float, cm: float, turned: float = 0.0
    ) -> None:
        """Adds an ellipse's wall, of a width `wall`: a skull, a vertebra's end plate."""
        self.ellipse(centre, radii, cm, turned=turned)
        inner = (max(radii[0] - wall, 0.002), max(radii[1] - wall, 0.002))
        self.ellipse(centre, inner, -0.8 * cm, turned=turned)

    def bone(self, start: Point, end: Point, width: float, cm: float) -> None:
        """Adds a long bone: a shaft with a dense cortex and wider ends."""
        a, b = np.array(start), np.array(end)
        along = b - a
        across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6)
        t = np.linspace(0, 1, 24)
        half = width * (0.36 + 0.24 * np.abs(2 * t - 1) ** 3)
        left, right = (a + np.outer(t, along) + sign * np.outer(half, across) for sign in (1, -1))
        self.shape(np.vstack([left, right[::-1]]), cm)
        marrow = [
            a + np.outer(t[4:-4], along) + s * np.outer(0.5 * half[4:-4], across) for s in (1, -1)
        ]
        self.shape(np.vstack([marrow[0], marrow[1][::-1]]), -0.35 * cm)

    def curve(self, points: Sequence[Point], width: float, cm: float) -> None:
        """Adds a line, such as a rib or a gas-filled loop (with less than no tissue)."""
        layer = np.zeros((self.size, self.size), np.uint8)
        path = self._pixels(np.array(points, np.float64))
        cv2.polylines(layer, [path], False, 255, max(1, round(width * self.size)), cv2.LINE_AA, 4)
        self.tissue += np.float32(cm) * _blurred(
            layer.astype(np.float32) / np.float32(255), 0.004 * self.size
        )

    def mottle(self, cells: int, cm: float) -> None:
        """Adds smooth noise with so many cells a side."""
        coarse = self.rng.standard_normal((cells, cells), dtype=np.float32)
        grown = cv2.resize(coarse, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        self.tissue += np.float32(cm) * np.asarray(grown, np.float32) * (self.tissue > 0.5)

    def film(self) -> Layer:
        """The developed film, float32 (size, size) in [0, 1], bright where there is much tissue."""
        rng = self.rng
        dose = np.exp(-np.float32(_ATTENUATION) * np.clip(self.tissue, 0, 40))
        dose = dose + np.float32(rng.uniform(0.0, 0.2)) * _blurred(dose, 0.1 * self.size)
        noise = rng.standard_normal(dose.shape, dtype=np.float32) * np.sqrt(dose)
        dose = np.clip(dose + np.float32(rng.uniform(0.001, 0.01)) * noise, 1e-3, None)
        grey = -np.log(_blurred(dose, rng.uniform(0.3, 0.8)))
        low, high = np.percentile(grey, [rng.uniform(0, 3), rng.uniform(97, 100)])
        shown = np.clip((grey - low) / max(float(high - low), 1e-3), 0, 1)
        return np.asarray(shown ** np.float32(rng.uniform(0.7, 1.4)), np.float32)


def _blurred(layer: Layer, sigma: float) -> Layer:
    return np.asarray(cv2.GaussianBlur(layer, (0, 0), max(sigma, 0.2)), np.float32)
