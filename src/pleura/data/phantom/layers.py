"""The drawing of the synthetic films: a canvas that knows where the patient stands, and layers on it."""

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.phantom.anatomy import Anatomy, Points
from pleura.radiograph import View

Layer = NDArray[np.float32]

ATTENUATION = 0.17  # a cm of soft tissue, at about 120 kV


class Canvas:
    """One exposure of one patient: where things come to lie on the film, and tools to draw them.

    Args:
        anatomy: the patient.
        rng: draws the pose and, later, the noise.
        size: of the longer side in pixels.
    """

    def __init__(self, anatomy: Anatomy, rng: np.random.Generator, size: int) -> None:
        self.anatomy, self.rng = anatomy, rng
        self.view: View = "AP" if rng.random() < 0.35 else "PA"
        supine = self.view == "AP"
        field = rng.uniform(365, 430), rng.uniform(350, 430)  # height and width, mm
        self.px_mm = max(field) / size
        self.shape = (round(field[0] / self.px_mm), round(field[1] / self.px_mm))
        angle, scale = np.radians(rng.normal(0, 1.8)), rng.uniform(0.97, 1.05) / self.px_mm
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = (self.shape[1] / 2, self.shape[0] * rng.uniform(0.46, 0.53))
        self.matrix = np.column_stack([turn, centre + rng.normal(0, 7, 2) / self.px_mm])
        self.raised_mm = rng.uniform(0, 14) + 18 * supine  # short of full inspiration
        self.clavicle_mm = rng.uniform(-4, 6) + 14 * supine
        self.magnified = 1.14 if supine else 1.0
        self.twist_mm = rng.normal(0, 5)  # what lies in front moves when the patient is turned
        self.scatter = rng.uniform(0.12, 0.3) + 0.14 * supine
        self.dose = rng.uniform(0.6, 2.0)
        self.blur_mm = rng.uniform(0.25, 0.5) + 0.2 * supine

    def pixel(self, points: Points) -> NDArray[np.int32]:
        """`points` (n, 2) in mm as OpenCV's fixed-point pixels, four fractional bits."""
        placed = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return np.clip(np.round(placed * 16), -(2**24), 2**24).astype(np.int32)

    @cached_property
    def millimetres(self) -> tuple[Layer, Layer]:
        """x and y of each pixel in the patient's frame."""
        inverse = cv2.invertAffineTransform(self.matrix).astype(np.float32)
        column = np.arange(self.shape[1], dtype=np.float32)[None]
        row = np.arange(self.shape[0], dtype=np.float32)[:, None]
        x = inverse[0, 0] * column + inverse[0, 1] * row + inverse[0, 2]
        y = inverse[1, 0] * column + inverse[1, 1] * row + inverse[1, 2]
        return x, y

    def fill(self, *outlines: Points, blur_mm: float = 0.0) -> Layer:
        """A layer (H, W) of 1 inside the outlines and 0 outside."""
        layer = np.zeros(self.shape, np.uint8)
        for outline in outlines:
            cv2.fillPoly(layer, [self.pixel(outline)], 255, cv2.LINE_AA, 4)
        return self.soften(layer, blur_mm)

    def soften(self, layer: NDArray[np.uint8], blur_mm: float) -> Layer:
        """An 8-bit layer as float32 in [0, 1], blurred."""
        values = layer.astype(np.float32) / np.float32(255)
        if blur_mm:
            cv2.GaussianBlur(values, (0, 0), blur_mm / self.px_mm, dst=values)
        return values

    def stroke(
        self, layer: NDArray[np.uint8], lines: Sequence[Points], width_mm: float, value: float
    ) -> None:
        """Draws lines into an 8-bit layer; those thinner than a pixel get fainter instead."""
        width = width_mm / self.px_mm
        level = round(255 * value * min(1.0, width))
        paths = [self.pixel(line) for line in lines]
        cv2.polylines(layer, paths, False, level, max(1, round(width)), cv2.LINE_AA, 4)

    def depth(self, layer: Layer) -> Layer:
        """Distance in mm of each pixel from the edge of the layer's inside."""
        inside = (layer > 0.5).astype(np.uint8)
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5)
        return np.asarray(distance, np.float32) * np.float32(self.px_mm)

    def noise(self, cell_mm: float) -> Layer:
        """Smooth noise (H, W) of unit variance or so, with structures of about `cell_mm`."""
        cells = [max(3, round(n * self.px_mm / cell_mm)) for n in self.shape]
        coarse = self.rng.standard_normal(cells, dtype=np.float32)
        size = (self.shape[1], self.shape[0])
        return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.float32)


def mediastinum(canvas: Canvas) -> Layer:
    """How much of the lung each ray misses because heart and mediastinum are there, 0 to 1."""
    outline = canvas.anatomy.mediastinum(canvas.magnified)
    outline[:, 0] += canvas.twist_mm
    layer = canvas.fill(outline, blur_mm=0.7)
    inwards = 1 - np.exp(canvas.depth(layer) / np.float32(-26))
    return np.asarray(layer * (0.5 + 0.5 * inwards), np.float32)


def soft_tissue(canvas: Canvas, body: Layer, diaphragm: Layer, wall: Layer) -> Layer:
    """Thickness of the body in cm, as if it were solid; `wall` is the depth in mm inside the rib cage."""
    anatomy = canvas.anatomy
    tissue = (20.5 + 0.09 * anatomy.fat_mm) * dome(canvas.depth(body), 66)
    arms = 1 + np.exp((168 - np.abs(canvas.millimetres[0])) / 14)
    tissue *= 1 - 0.35 / arms
    tissue += 2.5 * diaphragm * dome(wall, 30) + 0.35 * canvas.noise(60) * body
    if anatomy.sex == "F":
        for side in (-1.0, 1.0):
            inside = canvas.depth(canvas.fill(anatomy.breast(side)))
            tissue += (1.6 + 0.05 * anatomy.fat_mm) * dome(inside, 45)
    return tissue


def vessels(canvas: Canvas) -> Layer:
    """The vessels of both lungs and the hila they come from, 0 to 1."""
    layer = np.zeros(canvas.shape, np.uint8)
    segments = canvas.anatomy.vessels
    ends = canvas.anatomy.scaled(segments[:, :4].reshape(-1, 2))
    placed = canvas.pixel(ends).reshape(-1, 2, 2)
    widths = segments[:, 4] / canvas.px_mm
    levels = 235 * np.minimum(1, widths) * np.minimum(1, (segments[:, 4] / 4) ** 0.6)
    order = np.argsort(levels)  # a bright vessel lies over a faint one
    for i in order:
        (x0, y0), (x1, y1) = placed[i].tolist()
        thickness = max(1, round(float(widths[i])))
        cv2.line(layer, (x0, y0), (x1, y1), int(levels[i]), thickness, cv2.LINE_AA, 4)
    angle = np.linspace(0, 2 * np.pi, 24)
    hilum = np.column_stack([34 + 10 * np.cos(angle), 2 + 24 * np.sin(angle)])
    hila = [canvas.anatomy.scaled(hilum * (side, 1)) for side in (-1.0, 1.0)]
    return canvas.soften(layer, 0.45) + 0.5 * canvas.fill(*hila, blur_mm=6)


def bones(canvas: Canvas) -> Layer:
    """Ribs, clavicles, shoulder blades and spine, in cm of soft tissue."""
    back, front = np.zeros(canvas.shape, np.uint8), np.zeros(canvas.shape, np.uint8)
    shift = canvas.twist_mm * 0.6
    for side in (-1.0, 1.0):
        for posterior, anterior in canvas.anatomy.ribs(side):
            _rib(canvas, back, posterior, 8.0)
            _rib(canvas, front, moved(anterior, shift), 9.5)
    bones = 2.0 * canvas.soften(back, 0.5) + 1.25 * canvas.soften(front, 0.8)
    collar = np.zeros(canvas.shape, np.uint8)
    for side in (-1.0, 1.0):
        _rib(canvas, collar, moved(canvas.anatomy.clavicle(side, canvas.clavicle_mm), shift), 11.0)
    blades = canvas.fill(*(canvas.anatomy.scapula(side) for side in (-1.0, 1.0)), blur_mm=1.0)
    bones += 3.0 * canvas.soften(collar, 0.6) + 0.9 * blades + _spine(canvas)
    return np.asarray(bones * np.float32(canvas.anatomy.bone), np.float32)


def _rib(canvas: Canvas, layer: NDArray[np.uint8], line: Points, width_mm: float) -> None:
    """A hollow bone: marrow with a denser rim."""
    along = np.gradient(line, axis=0)
    across = np.column_stack([-along[:, 1], along[:, 0]])
    across *= width_mm / 2 / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    upper, lower = line - across, line + across
    outline = np.concatenate([upper, lower[::-1]])
    cv2.fillPoly(layer, [canvas.pixel(outline)], 135, cv2.LINE_AA, 4)
    canvas.stroke(layer, [upper, lower], 1.2, 0.9)


def _spine(canvas: Canvas) -> Layer:
    rows = np.arange(-330, 330, 25.5)
    box = np.array([(-16, 2), (16, 2), (18, 6), (16, 12), (18, 19), (16, 23), (-16, 23), (-18, 19),
                    (-16, 12), (-18, 6)], float)  # fmt: skip
    bodies = canvas.fill(*(canvas.anatomy.scaled(moved(box, 0, y)) for y in rows), blur_mm=1.8)
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    drop = np.column_stack([3 * np.cos(angle), 8 * np.sin(angle) + 16])
    spines = canvas.fill(*(canvas.anatomy.scaled(moved(drop, 0, y)) for y in rows), blur_mm=1.0)
    return 1.0 * bodies + 0.7 * spines


def hollows(canvas: Canvas) -> Layer:
    """Air in the trachea, the main bronchi and the stomach, in cm."""
    trachea = np.array([(0, -230), (1, -120), (4, -62), (4, -48)], float)
    trachea[:3, 0] += canvas.twist_mm
    bronchi = [
        np.array([(4, -48), (-14, -30), (-26, -12)], float),
        np.array([(4, -48), (24, -32), (40, -22)], float),
    ]
    layer = np.zeros(canvas.shape, np.uint8)
    canvas.stroke(layer, [canvas.anatomy.scaled(b) for b in bronchi], 10.0, 0.6)
    canvas.stroke(layer, [canvas.anatomy.scaled(trachea)], 15.0, 1.0)
    hollow = 1.7 * canvas.soften(layer, 1.5)
    if canvas.rng.random() < 0.55:
        angle = np.linspace(0, 2 * np.pi, 40)
        width, top = canvas.rng.uniform(20, 34), canvas.anatomy.domes_mm[1] - canvas.raised_mm
        x = 66 + width * np.cos(angle)
        y = top + 26 + 14 * np.minimum(np.sin(angle), 0.75)
        bubble = canvas.fill(canvas.anatomy.scaled(np.column_stack([x, y])), blur_mm=1.0)
        hollow += 5.0 * dome(canvas.depth(bubble), 14)
    return np.asarray(hollow, np.float32)


def lung_texture(canvas: Canvas) -> Layer:
    """Unevenness of the lung's density, about 1."""
    uneven = canvas.noise(2.2) + canvas.noise(7) + canvas.noise(40)
    return np.asarray(1 + np.float32(0.05) * uneven, np.float32)


def develop(canvas: Canvas, tissue: Layer) -> Layer:
    """From cm of soft tissue to a picture in [0, 1]: attenuation, scatter, noise, window."""
    rng, px_mm = canvas.rng, canvas.px_mm
    beam = np.exp(np.float32(-ATTENUATION) * tissue)
    reduced = cv2.resize(beam, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    scattered = cv2.GaussianBlur(np.minimum(reduced, 0.25), (0, 0), 35 / 8 / px_mm)
    size = (canvas.shape[1], canvas.shape[0])
    beam += np.float32(canvas.scatter) * cv2.resize(scattered, size)
    beam = cv2.GaussianBlur(beam, (0, 0), max(canvas.blur_mm / px_mm, 0.3))
    quanta = rng.standard_normal(canvas.shape, dtype=np.float32)
    beam += 0.0028 / np.float32(canvas.dose) * np.sqrt(beam) / np.float32(max(px_mm, 0.2)) * quanta
    density = -np.log(np.maximum(beam, 1e-3))
    density += np.float32(rng.normal(0, 0.06)) * (canvas.millimetres[1] / np.float32(200))
    rows, columns = canvas.shape
    inner = density[rows // 5 : -rows // 5, columns // 6 : -columns // 6]
    dark, bright = np.percentile(inner[::4, ::4], [4, 92])
    centre = dark + (bright - dark) * rng.uniform(0.42, 0.58)
    width = (bright - dark) * rng.uniform(1.1, 1.5)
    picture = 1 / (1 + np.exp((centre - density) * np.float32(4 / width)))
    floor, ceiling = rng.uniform(0, 0.03), rng.uniform(0.88, 0.99)
    least = 1 / (1 + np.exp(centre * 4 / width))
    return np.asarray(floor + (picture - least) * (ceiling - floor) / (1 - least), np.float32)


def mark(canvas: Canvas, picture: Layer) -> None:
    """Burns the side marker in: a leaden L at the patient's left."""
    rows, columns = canvas.shape
    corner = np.array(
        [columns * canvas.rng.uniform(0.85, 0.94), rows * canvas.rng.uniform(0.07, 0.2)]
    )
    letter = np.array([(-4, -8), (-4, 8), (5, 8)]) / canvas.px_mm + corner
    layer = np.zeros(canvas.shape, np.uint8)
    thickness = max(1, round(2.4 / canvas.px_mm))
    cv2.polylines(layer, [letter.round().astype(np.int32)], False, 245, thickness, cv2.LINE_AA)
    np.maximum(picture, canvas.soften(layer, 0.3), out=picture)


def confounders(canvas: Canvas, collapsed: bool) -> tuple[Layer, tuple[str, ...]]:
    """What is mistaken for a pneumothorax, or for a sign of one, in cm; and what it is."""
    rng = canvas.rng.spawn(1)[0]
    added = []
    layer = np.zeros(canvas.shape, np.float32)
    fold, tube, wires = rng.random(3)
    side = 1.0 if rng.random() < 0.5 else -1.0
    if fold < (0.06 if collapsed else 0.25):
        layer += _skin_fold(canvas, rng, side)
        added.append("skin fold")
    if tube < 0.12:  # as often with a collapse as without: it must not give the answer away
        layer += _chest_tube(canvas, rng, side)
        added.append("chest tube")
    if wires < 0.25:
        layer += _leads(canvas, rng)
        added.append("leads")
    return layer, tuple(added)


def _skin_fold(canvas: Canvas, rng: np.random.Generator, side: float) -> Layer:
    """Denser and denser outwards, then a soft edge; no line, and vessels go on beyond it."""
    x, y = canvas.millimetres
    start, slope, bend = (
        rng.uniform(78, 108), rng.uniform(-0.1, 0.25), rng.uniform(0, 0.0012)
    )  # fmt: skip
    beyond = side * x - (start + slope * y - bend * y * y).astype(np.float32)
    top, bottom = rng.uniform(-130, -60), rng.uniform(40, 130)
    along = 1 / (1 + np.exp((top - y) / 12)) / (1 + np.exp((y - bottom) / 12))
    ramp = np.exp(np.minimum(beyond, 0) / 16) / (1 + np.exp(np.minimum(beyond / 0.9, 50)))
    return np.asarray(rng.uniform(0.8, 1.5) * ramp * along, np.float32)


def _chest_tube(canvas: Canvas, rng: np.random.Generator, side: float) -> Layer:
    """A drain from the chest wall towards the apex: two walls and a marker stripe."""
    t = np.linspace(0, 1, 30)
    enters, ends = rng.uniform(20, 90), rng.uniform(-100, -50)
    x = 175 - 70 * t - rng.uniform(15, 45) * np.sin(np.pi * t * 0.75)
    y = enters + 15 * np.sin(np.pi * t) + (ends - enters) * t
    middle = np.column_stack([x * side, y])
    layer = np.zeros(canvas.shape, np.uint8)
    canvas.stroke(layer, [moved(middle, -4), moved(middle, 4)], 0.8, 0.55)
    canvas.stroke(layer, [moved(middle, 1)], 1.4, 1.0)
    return 2.2 * canvas.soften(layer, 0.3)


def _leads(canvas: Canvas, rng: np.random.Generator) -> Layer:
    """Two or three electrodes with their wires, on the skin."""
    layer = np.zeros(canvas.shape, np.uint8)
    angle = np.linspace(0, 2 * np.pi, 24)
    for place in ((-1, -78), (1, -74), (1, 70))[: int(rng.integers(2, 4))]:
        x, y = place[0] * rng.uniform(70, 125), place[1] + rng.uniform(-18, 18)
        disc = np.column_stack([x + 5.5 * np.cos(angle), y + 5.5 * np.sin(angle)])
        cv2.fillPoly(layer, [canvas.pixel(disc)], 150, cv2.LINE_AA, 4)
        t = np.linspace(0, 1, 25)
        bow = rng.uniform(-40, 40) * np.sin(np.pi * t)
        wire = np.column_stack([x + (rng.uniform(-60, 60)) * t + bow, y + (220 - y) * t])
        canvas.stroke(layer, [wire], 1.1, 0.5)
    return 3.0 * canvas.soften(layer, 0.3)


def moved(points: Points, x_mm: float, y_mm: float = 0.0) -> Points:
    """`points` (n, 2), elsewhere."""
    return np.asarray(points + np.array([x_mm, y_mm]))


def dome(depth_mm: Layer, radius_mm: float) -> Layer:
    """Thickness, 0 to 1, of something round seen from the front, `depth_mm` inwards of its edge."""
    short = 1 - np.minimum(depth_mm / np.float32(radius_mm), 1)
    return np.asarray(np.sqrt(1 - short * short), np.float32)
