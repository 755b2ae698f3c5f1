"""Other parts of the body, as plain shadows: enough to be taken for a radiograph, and not for a chest."""

from itertools import pairwise

import numpy as np

from pleura.data.impostors.plate import Layer, Plate


def hand(rng: np.random.Generator, size: int) -> Layer:
    """A hand from behind: five rays of bones in their flesh, the wrist and the ends of the forearm."""
    plate = Plate(rng, size, turn=30)
    spread = rng.uniform(0.7, 1.3)
    plate.ellipse((0.5, 0.66), (0.19, 0.2), 2.2)
    plate.shape(np.array([(0.38, 0.72), (0.62, 0.72), (0.6, 1.2), (0.4, 1.2)]), 3.0)
    for number, (degrees, length) in enumerate(
        [(-52, 0.3), (-16, 0.5), (-4, 0.54), (8, 0.5), (22, 0.42)]
    ):
        angle = np.radians(degrees * spread + rng.normal(0, 2))
        way = np.array([np.sin(angle), -np.cos(angle)])
        start = np.array([0.5, 0.78]) + 0.08 * way + np.array([0.022 * (number - 2), 0])
        joints = [0.0, 0.4, 0.68, 0.86, 1.0] if number else [0.0, 0.45, 0.75, 1.0]
        tip = start + 1.04 * length * way
        plate.bone(tuple(start + 0.3 * length * way), tuple(tip), 0.075, 1.3)
        for near, far in pairwise(joints):
            a, b = start + (near + 0.015) * length * way, start + (far - 0.015) * length * way
            plate.bone(tuple(a), tuple(b), 0.04, 1.8)
    for _ in range(8):  # the carpal bones
        plate.ellipse((rng.uniform(0.43, 0.57), rng.uniform(0.74, 0.82)), (0.024, 0.024), 1.5)
    plate.bone((0.46, 0.85), (0.45, 1.2), 0.07, 2.2)
    plate.bone((0.55, 0.85), (0.56, 1.2), 0.06, 2.0)
    return plate.film()


def skull(rng: np.random.Generator, size: int) -> Layer:
    """A skull from the front or the side: the vault, orbits or sinuses, jaw, teeth and neck."""
    plate = Plate(rng, size)
    side = bool(rng.random() < 0.5)
    width = 0.4 if side else 0.31
    plate.shape(np.array([(0.4, 0.7), (0.6, 0.7), (0.64, 1.2), (0.36, 1.2)]), 9)
    plate.ring((0.5, 0.4), (width, 0.34), 0.022, 7)
    plate.ellipse((0.5, 0.42), (width, 0.34), 7)
    jaw = 0.64 if side else 0.5
    plate.ring((jaw, 0.74), (0.17, 0.14), 0.04, 4)
    plate.ellipse((jaw, 0.7), (0.17, 0.16), 5)
    for x in [0.72] if side else [0.4, 0.6]:  # orbits
        plate.ring((x, 0.5), (0.075, 0.06), 0.012, 3)
        plate.ellipse((x, 0.5), (0.06, 0.05), -4)
    plate.ellipse((0.66 if side else 0.5, 0.6), (0.035, 0.06), -4)
    for number in range(8):
        x = jaw - 0.08 + 0.023 * number
        plate.ellipse((x, 0.71 + 0.01 * rng.standard_normal()), (0.009, 0.03), 3)
    plate.mottle(9, 0.4)
    return plate.film()


def abdomen(rng: np.random.Generator, size: int) -> Layer:
    """A plain film of the abdomen: spine, pelvis, bowel gas and the lowest ribs."""
    plate = Plate(rng, size, turn=6)
    plate.ellipse((0.5, 0.5), (0.62, 0.75), 20)
    _column(plate, 0.5, -0.05, 0.72, rng)
    for sign in (-1, 1):
        plate.ellipse((0.5 + 0.22 * sign, 0.82), (0.17, 0.13), 3, turned=-30 * sign)
        plate.ring((0.5 + 0.24 * sign, 1.0), (0.08, 0.08), 0.02, 4)
        for rib in range(3):
            y = 0.02 + 0.07 * rib
            plate.curve(
                [
                    (0.5 + 0.05 * sign, y),
                    (0.5 + 0.25 * sign, y + 0.06),
                    (0.5 + 0.4 * sign, y + 0.15),
                ],
                0.025,
                1.2,
            )
        plate.shape(  # the psoas
            np.array(
                [(0.5 + 0.03 * sign, 0.2), (0.5 + 0.09 * sign, 0.35), (0.5 + 0.17 * sign, 0.75)]
            ),
            3,
        )
    for _ in range(int(rng.integers(5, 16))):  # gas
        centre = rng.uniform(0.15, 0.85), rng.uniform(0.1, 0.8)
        radii = rng.uniform(0.02, 0.09), rng.uniform(0.02, 0.07)
        plate.ellipse(centre, radii, -rng.uniform(2, 7), turned=rng.uniform(0, 180))
    plate.mottle(12, 0.8)
    return plate.film()


def spine(rng: np.random.Generator, size: int) -> Layer:
    """A spine from the side or the front, alone in its tissue."""
    plate = Plate(rng, size, turn=8)
    plate.ellipse((0.5, 0.5), (rng.uniform(0.3, 0.7), 1.0), 18)
    _column(
        plate, 0.5, -0.05, 1.05, rng, width=rng.uniform(0.08, 0.15), bend=rng.uniform(-0.15, 0.15)
    )
    plate.mottle(10, 0.8)
    return plate.film()


def knee(rng: np.random.Generator, size: int) -> Layer:
    """A knee from the front: femur, tibia, fibula, the joint and perhaps a prosthesis."""
    plate = Plate(rng, size, turn=20)
    plate.shape(
        np.array([(0.22, -0.2), (0.78, -0.2), (0.68, 0.5), (0.72, 1.2), (0.3, 1.2), (0.32, 0.5)]), 9
    )
    plate.bone((0.5, -0.25), (0.5, 0.47), 0.22, 5)
    plate.bone((0.51, 0.51), (0.5, 1.25), 0.22, 5)
    plate.bone((0.68, 0.58), (0.68, 1.25), 0.06, 2.5)
    for x in (0.42, 0.58):
        plate.ellipse((x, 0.43), (0.09, 0.07), 3)
    plate.ellipse((0.5, 0.4), (0.07, 0.08), 2)
    if rng.random() < 0.25:
        plate.shape(np.array([(0.36, 0.44), (0.64, 0.44), (0.6, 0.54), (0.4, 0.54)]), 25)
    return plate.film()


def lateral_chest(rng: np.random.Generator, size: int) -> Layer:
    """A chest from the side: one dark field between sternum and spine, the heart low in front of it."""
    plate = Plate(rng, size, turn=6)
    front = 1 if rng.random() < 0.5 else -1

    def x(value: float) -> float:
        return 0.5 + front * (value - 0.5)

    plate.ellipse((0.5, 0.55), (0.42, 0.62), 24)
    field = [
        (0.36, 0.12),
        (0.55, 0.1),
        (0.72, 0.3),
        (0.78, 0.55),
        (0.7, 0.72),
        (0.5, 0.7),
        (0.28, 0.85),
    ]
    field += [(0.22, 0.55), (0.26, 0.28)]
    plate.shape(np.array([(x(a), b) for a, b in field]), -rng.uniform(9, 14), blur=0.012)
    plate.ellipse((x(0.62), 0.6), (0.14, 0.13), rng.uniform(4, 8), turned=30 * front, blur=0.01)
    plate.ellipse((x(0.48), 0.36), (0.06, 0.08), 3, blur=0.01)
    _column(plate, x(0.23), 0.0, 1.0, rng, width=0.09)
    plate.curve([(x(0.68), 0.15), (x(0.8), 0.35), (x(0.84), 0.6)], 0.025, 1.5)
    for number in range(9):
        y = 0.1 + 0.085 * number
        plate.curve([(x(0.2), y), (x(0.45), y + 0.1), (x(0.78), y + 0.16)], 0.016, 0.7)
    plate.ellipse((x(0.35), 0.02), (0.14, 0.12), 7)  # the arms, raised
    plate.mottle(24, 0.35)
    return plate.film()


def _column(
    plate: Plate,
    x: float,
    top: float,
    bottom: float,
    rng: np.random.Generator,
    width: float = 0.09,
    bend: float = 0.0,
) -> None:
    """Vertebrae one below the other, with their discs between and processes behind."""
    height = rng.uniform(0.05, 0.09)
    for y in np.arange(top, bottom, 1.18 * height):
        centre = x + bend * np.sin(np.pi * (y - top) / (bottom - top))
        half = 0.5 * width
        plate.shape(
            np.array(
                [
                    (centre - half, y),
                    (centre + half, y),
                    (centre + 0.92 * half, y + 0.5 * height),
                    (centre + half, y + height),
                    (centre - half, y + height),
                    (centre - 0.92 * half, y + 0.5 * height),
                ]
            ),
            3.5,
        )
        plate.ellipse((centre, y + 0.5 * height), (0.12 * width, 0.4 * height), 1.5)
