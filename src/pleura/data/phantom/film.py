"""Synthetic chest films with and without a collapsed lung, for demos and tests; never for evaluation claims.

A film is composed as X-rays see a chest: thicknesses of tissue, bone and air add up along the ray
(in cm of soft tissue), their sum attenuates exponentially, scatter and noise are added, and the logarithm is
windowed for display. So things that lie over each other look like it, and a pneumothorax is what it is on
a real film: air without vessels between the chest wall and a thin line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.phantom import layers
from pleura.data.phantom.anatomy import LUNG_HEIGHT_MM, LUNG_TOP_MM, Anatomy
from pleura.data.phantom.layers import Canvas, Layer
from pleura.errors import CorpusError, UnknownName
from pleura.radiograph import Side, View

SIZES = (64, 2048)
"""The smallest and the largest size of a phantom, in pixels."""

MAX_DEPTH_MM = 90.0
_LUNG_DENSITY = 0.22  # of soft tissue, in full inspiration


@dataclass(frozen=True)
class Pneumothorax:
    """What is asked of a collapsed lung.

    Attributes:
        side: the patient's side, `right` or `left`.
        depth_mm: greatest distance between chest wall and visceral pleura at the apex; 6 to 90. Above 40
            the lung also leaves the diaphragm.
        extent: how far down the air reaches, as a share of the lung's height; 0.15 to 2. Above 1 it is
            still open at the base.
        adhesion: share of the height at which the lung still clings to the wall, which parts the air in two;
            None without.
    """

    side: Side
    depth_mm: float
    extent: float
    adhesion: float | None = None

    def __post_init__(self) -> None:
        if self.side not in get_args(Side):
            raise UnknownName.among("side", str(self.side), get_args(Side))
        _within("depth_mm", self.depth_mm, 6, MAX_DEPTH_MM)
        _within("extent", self.extent, 0.15, 2)
        if self.adhesion is not None:
            _within("adhesion", self.adhesion, 0, 1)

    @classmethod
    def draw(cls, rng: np.random.Generator, side: Side | None = None) -> "Pneumothorax":
        """Draws one, apical to large, smaller ones more often; on `side`, or on either."""
        drawn: Side = "right" if rng.random() < 0.5 else "left"
        depth = float(np.clip(20 * np.exp(0.6 * rng.standard_normal()), 9, 75))
        extent = float(np.clip(0.3 + depth / 55 + 0.25 * rng.standard_normal(), 0.25, 1.8))
        adhesion = float(rng.uniform(0.25, 0.5)) if extent > 0.7 and rng.random() < 0.3 else None
        return cls(side or drawn, depth, extent, adhesion)


@dataclass(frozen=True, eq=False)
class Phantom:
    """One synthetic film and the truth about it.

    Attributes:
        pixels: float32 (H, W) in [0, 1], bright is dense.
        mask: bool (H, W), the visible air between chest wall and lung; all False without any.
        lungs: bool (H, W), the visible lung fields, that air included.
        pneumothorax: what the mask shows, or None.
        spacing_mm: true (row, column) spacing in the plane of the detector.
        view: `PA` or `AP`.
        sex, age_years: of the imaginary patient.
        confounders: what else lies on the film: `skin fold`, `chest tube`, `leads`.
    """

    pixels: Layer
    mask: NDArray[np.bool_]
    lungs: NDArray[np.bool_]
    pneumothorax: Pneumothorax | None
    spacing_mm: tuple[float, float]
    view: View
    sex: str
    age_years: int
    confounders: tuple[str, ...]


def phantom(
    seed: int | Sequence[int],
    size: int = 512,
    *,
    film: int = 0,
    pneumothorax: Pneumothorax | bool | None = None,
    squeeze: bool = True,
) -> Phantom:
    """Makes one film; the same arguments give the same film.

    Args:
        seed: one or several integers >= 0, which stand for the patient.
        size: of the longer side, 64 to 2048 pixels.
        film: number of the film among the patient's: the same anatomy in another pose and exposure.
        pneumothorax: what to show, True for one drawn at random, False for none, None for the throw of a
            coin that shows one on three films in ten.
        squeeze: whether the film is squeezed to a square whatever its field, as the SIIM-ACR films were; its
            rows and columns are then spaced differently. Else pixels are square.

    Raises:
        CorpusError: a number is outside its range.
    """
    _within("size", size, *SIZES)
    _within("film", film, 0, 2**31)
    seeds = [int(s) for s in (seed if isinstance(seed, Sequence) else [seed])]
    if not seeds or min(seeds) < 0:
        raise CorpusError(f"seed is {seed}; give integers of 0 or more")
    # The collapse has a stream of its own, so that the same film can be had with and without it.
    person, pose, collapse = (
        np.random.default_rng([*seeds, *stream]) for stream in ((0, 1), (film, 2), (film, 3))
    )
    if pneumothorax is None:
        pneumothorax = bool(collapse.random() < 0.3)
    if pneumothorax is True:
        pneumothorax = Pneumothorax.draw(collapse)
    canvas = Canvas(Anatomy.draw(person), pose, size)
    return _expose(canvas, pneumothorax or None, collapse, squeeze)


def _expose(
    canvas: Canvas, collapse: Pneumothorax | None, rng: np.random.Generator, squeeze: bool
) -> Phantom:
    """Adds everything up and develops the film."""
    anatomy = canvas.anatomy
    body = canvas.fill(anatomy.body())
    thorax = [canvas.fill(anatomy.hemithorax(side)) for side in (-1.0, 1.0)]
    domes = [anatomy.diaphragm(side, canvas.raised_mm) for side in (-1.0, 1.0)]
    wall = canvas.depth(np.maximum(*thorax))  # mm inwards of the chest wall
    diaphragm = canvas.fill(*domes, blur_mm=0.5) * (wall > 0)
    seen = (1 - 0.94 * diaphragm) * (1 - layers.mediastinum(canvas))
    fields = (wall > 0) & (seen > 0.5)
    lung, line, air = _lung(canvas, collapse, rng, thorax, wall, diaphragm)
    air &= fields

    tissue = layers.soft_tissue(canvas, body, diaphragm, wall)
    tissue -= 16.5 * layers.dome(wall, 55) * seen * (1 - lung * layers.lung_texture(canvas))
    behind = seen + 0.25 * (1 - seen)
    tissue += 2.5 * layers.vessels(canvas) * np.minimum(lung / _LUNG_DENSITY, 1) * behind
    tissue += 0.75 * line * seen
    tissue += layers.bones(canvas)
    tissue -= layers.hollows(canvas)
    strange, names = layers.confounders(canvas, collapse is not None)
    picture = layers.develop(canvas, body * np.maximum(tissue, 0) + strange)
    layers.mark(canvas, picture)
    return _finish(canvas, picture, air, fields, collapse, names, squeeze)


def _lung(
    canvas: Canvas,
    collapse: Pneumothorax | None,
    rng: np.random.Generator,
    thorax: list[Layer],
    wall: Layer,
    diaphragm: Layer,
) -> tuple[Layer, Layer, NDArray[np.bool_]]:
    """Density of what fills the rib cage (of soft tissue), the pleural line, and where air is outside it."""
    lung = _LUNG_DENSITY * (wall > 0).astype(np.float32)
    if collapse is None:
        return lung, np.zeros_like(lung), np.zeros(canvas.shape, np.bool_)
    own = thorax[int(collapse.side == "left")] > 0.5
    gap = _gap(canvas, collapse, rng, wall, diaphragm)
    inside = np.clip(gap / canvas.px_mm + 0.5, 0, 1)
    rounded = 0.5 + 0.5 * np.sqrt(np.clip(gap / 22, 0, 1))  # the lung's edge is round
    denser = 1 + 0.008 * collapse.depth_mm  # the air left in it is less
    lung = np.where(own, lung * denser * inside * rounded, lung).astype(np.float32)
    thickness = max(0.55, 0.45 * canvas.px_mm)
    # Where the air ends the two layers of pleura touch, and no line is seen.
    line = own * (wall > 1.5) * np.exp(-0.5 * (gap / np.float32(thickness)) ** 2)
    return lung, line.astype(np.float32), own & (gap < 0)


def _gap(
    canvas: Canvas,
    collapse: Pneumothorax,
    rng: np.random.Generator,
    wall: Layer,
    diaphragm: Layer,
) -> Layer:
    """Signed distance from the visceral pleura in mm, negative in the air outside it."""
    t = np.linspace(0, 1.4, 160)  # down the lung, as a share of its height
    depth = collapse.depth_mm * np.clip(1 - t / collapse.extent, 0, 1) ** 0.75
    knots = rng.uniform(-1, 1, 9)
    depth *= 1 + 0.22 * np.interp(t, np.linspace(0, 1.4, 9), knots)
    if collapse.adhesion is not None:
        depth *= np.clip(1.25 - 1.6 * np.exp(-(((t - collapse.adhesion) / 0.07) ** 2)), 0, 1)
    down = (canvas.millimetres[1] / canvas.anatomy.stature - LUNG_TOP_MM) / LUNG_HEIGHT_MM
    gap = wall - np.interp(down, t, depth).astype(np.float32)
    if collapse.depth_mm > 40:
        gap = np.minimum(gap, canvas.depth(1 - diaphragm) - (collapse.depth_mm - 40) * 0.7)
    return np.asarray(
        cv2.GaussianBlur(gap, (0, 0), (2 + 0.12 * collapse.depth_mm) / canvas.px_mm), np.float32
    )


def _finish(
    canvas: Canvas,
    picture: Layer,
    air: NDArray[np.bool_],
    fields: NDArray[np.bool_],
    collapse: Pneumothorax | None,
    confounders: tuple[str, ...],
    squeeze: bool,
) -> Phantom:
    rows, columns = canvas.shape
    height, width = (max(rows, columns),) * 2 if squeeze else (rows, columns)

    def resized(values: Layer) -> Layer:
        scaled = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(scaled, np.float32)

    return Phantom(
        pixels=np.clip(resized(picture), 0, 1),
        mask=resized(air.astype(np.float32)) > 0.5,
        lungs=resized(fields.astype(np.float32)) > 0.5,
        pneumothorax=collapse,
        spacing_mm=(rows * canvas.px_mm / height, columns * canvas.px_mm / width),
        view=canvas.view,
        sex=canvas.anatomy.sex,
        age_years=canvas.anatomy.age_years,
        confounders=confounders,
    )


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also true for NaN
        raise CorpusError(f"a phantom's {name} lies between {low} and {high}; got {value}")
