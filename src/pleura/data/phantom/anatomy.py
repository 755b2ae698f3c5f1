"""The geometry behind the synthetic films: outlines, ribs and vessels of one imaginary patient, in mm.

The frame is the film's as displayed: x grows to the image's right (the patient's left), y downwards, the
origin is midway between the hila. Proportions were chosen by eye to look like an adult's frontal film;
they are no statistical model of anybody.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

LUNG_TOP_MM, LUNG_HEIGHT_MM = -124.0, 262.0
"""Apex of the average lung, and its height down to the costophrenic angle."""

_WALL = [  # one hemithorax, from the midline over the apex down the chest wall, seen on the image's right
    (-6, -58), (14, -90), (24, -114), (44, -126), (68, -121), (90, -101), (110, -64),
    (123, -22), (132, 24), (137, 74), (140, 120), (141, 200), (141, 420), (-6, 420),
]  # fmt: skip
_MEDIASTINUM = [  # right border downwards, left border upwards; the heart is what lies below y = -10
    (-28, -300), (-24, -130), (-22, -90), (-25, -50), (-25, -14), (-36, 14), (-47, 44), (-48, 74),
    (-40, 100), (-34, 125), (-40, 300), (60, 300), (84, 130), (94, 108), (93, 84), (80, 48), (60, 20),
    (46, 4), (39, -14), (30, -32), (28, -40), (38, -50), (38, -66), (26, -82), (22, -130), (28, -300),
]  # fmt: skip
_BODY = [  # half of the skin line: neck, shoulder, arm held off the trunk, flank
    (0, -420), (56, -420), (54, -172), (66, -152), (120, -138), (176, -120), (230, -84), (300, 10),
    (300, 120), (250, 40), (200, 6), (172, 30), (164, 80), (165, 160), (172, 420), (0, 420),
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One imaginary patient: everything the films of that patient share.

    Attributes:
        sex: `M` or `F`.
        age_years: whole years.
        stature, breadth: factors on lengths along the body and across it, about 0.88 to 1.12.
        heart: factor on the heart's breadth, 0.85 to 1.25.
        fat_mm: thickness of the soft tissue outside the rib cage, beyond a slim person's.
        domes_mm: heights (y) of the right and left diaphragm domes at full inspiration.
        rib_gap_mm: distance between neighbouring ribs at the spine.
        bone: factor on the density of bone; falls with age.
        vessels: float (n, 5): x0, y0, x1, y1 and width of each vessel segment, largest first.
    """

    sex: Literal["M", "F"]
    age_years: int
    stature: float
    breadth: float
    heart: float
    fat_mm: float
    domes_mm: tuple[float, float]
    rib_gap_mm: float
    bone: float
    vessels: Points

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Anatomy":
        """Draws a patient."""
        sex: Literal["M", "F"] = "F" if rng.random() < 0.45 else "M"
        age = int(rng.integers(18, 90))
        right_dome = float(rng.uniform(86, 106))
        left_dome = right_dome + float(rng.uniform(4, 16))  # the liver holds the right one up
        trees = [_vessel_tree(rng, -1.0), _vessel_tree(rng, 1.0)]
        vessels = np.concatenate(trees)
        return cls(
            sex=sex,
            age_years=age,
            stature=float(rng.uniform(0.95, 1.1) - (0.06 if sex == "F" else 0.0)),
            breadth=float(rng.uniform(0.95, 1.1) - (0.06 if sex == "F" else 0.0)),
            heart=float(rng.uniform(0.88, 1.08) + max(0, age - 50) * 0.003),
            fat_mm=float(rng.gamma(2.0, 7.0)),
            domes_mm=(right_dome, left_dome),
            rib_gap_mm=float(rng.uniform(21.5, 24.5)),
            bone=float(rng.uniform(0.85, 1.1) - max(0, age - 55) * 0.006),
            vessels=vessels[np.argsort(-vessels[:, 4])],
        )

    def scaled(self, points: Points) -> Points:
        """`points` (n, 2) of the average body, on this one."""
        return points * (self.breadth, self.stature)

    def hemithorax(self, side: float) -> Points:
        """The inner chest wall of one side as a polygon (n, 2); `side` is -1 for right, 1 for left."""
        return self.scaled(smooth(np.array(_WALL, float)) * (side, 1.0))

    def mediastinum(self, magnified: float) -> Points:
        """The outline of mediastinum and heart; `magnified` is the heart's factor from the projection."""
        points = np.array(_MEDIASTINUM, float)
        points[points[:, 1] > -10, 0] *= self.heart * magnified
        return self.scaled(smooth(points))

    def body(self) -> Points:
        """The skin line."""
        half = np.array(_BODY, float)
        half[:, 0] += np.where(half[:, 1] > -170, self.fat_mm, self.fat_mm / 3) * (half[:, 0] > 0)
        points = np.concatenate([half, half[::-1] * (-1, 1)])
        return self.scaled(smooth(points))

    def diaphragm(self, side: float, raised_mm: float) -> Points:
        """The region below one dome; `raised_mm` is how far short of full inspiration the film is."""
        top = self.domes_mm[0 if side < 0 else 1] - raised_mm
        angle = top + 50  # the costophrenic angle
        x = np.linspace(-30, 160, 48)
        outer = np.clip((x - 56) / 86, 0, 1.1)
        rise = np.where(x < 56, 1 - 0.62 * ((56 - x) / 86) ** 2, 1 - outer**2.4)
        y = angle - (angle - top) * rise
        points = np.column_stack([np.append(x, [160, -30]) * side, np.append(y, [460, 460])])
        return self.scaled(points)

    def ribs(self, side: float) -> list[tuple[Points, Points]]:
        """Posterior and anterior arc (n, 2) of ribs 1 to 10 of one side, by their middle lines.

        A rib is half an ellipse in a plane that falls forwards; its projection is what a film shows.
        """
        wall = smooth(np.array(_WALL, float))[:-8]
        wall = wall[np.argmax(-wall[:, 1]) :]
        arcs = []
        for number in range(10):
            spine_y = -112 + number * self.rib_gap_mm
            fall = 50 + 6.5 * number
            reach = float(np.interp(spine_y + fall / 2, wall[:, 1], wall[:, 0])) - 1.0
            angle = np.radians(np.linspace(4, 152 if number else 120, 46))
            x = reach * np.sin(angle) ** 0.8
            y = spine_y - 6 * np.sin(2 * angle).clip(0) + fall * (1 - np.cos(angle)) / 2
            arc = self.scaled(np.column_stack([x * side, y]))
            back = int(np.searchsorted(angle, np.pi / 2)) + 1
            arcs.append((arc[:back], arc[back - 1 :]))
        return arcs

    def clavicle(self, side: float, raised_mm: float) -> Points:
        """The middle line (n, 2) of one clavicle; an AP film shows it higher by `raised_mm`."""
        x = np.linspace(16, 172, 30)
        t = (x - 16) / 156
        y = -84 - raised_mm - 44 * t + 9 * np.sin(2 * np.pi * t)
        return self.scaled(np.column_stack([x * side, y]))

    def scapula(self, side: float) -> Points:
        """The outline of one shoulder blade, turned outwards as on a good PA film."""
        points = [
            (118, -118),
            (190, -128),
            (204, -96),
            (170, -60),
            (150, 10),
            (140, 24),
            (130, -20),
        ]
        return self.scaled(smooth(np.array(points, float)) * (side, 1.0))

    def breast(self, side: float) -> Points:
        """The outline of one breast's shadow."""
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        droop = 0.7 * max(0, self.age_years - 30)
        x = 82 + (52 + self.fat_mm / 2) * np.cos(angle)
        y = 62 + droop / 2 + (46 + self.fat_mm / 2) * np.sin(angle)
        return self.scaled(np.column_stack([x * side, y]))


def smooth(points: Points, rounds: int = 3) -> Points:
    """A closed polygon (n, 2) with its corners cut `rounds` times (Chaikin 1974)."""
    for _ in range(rounds):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], 1)
        points = points.reshape(-1, 2)
    return points


def _vessel_tree(rng: np.random.Generator, side: float) -> Points:
    """Vessels of one lung as segments (n, 5), branching in two and thinning from the hilum outwards."""
    stems = 8
    heading = np.radians(np.linspace(-80, 88, stems) + rng.uniform(-9, 9, stems))
    start = np.column_stack([rng.uniform(26, 40, stems), np.linspace(-16, 26, stems)])
    width = rng.uniform(4.5, 8.0, stems)
    length = rng.uniform(14, 28, stems)
    parts = []
    for _ in range(6):
        bend = rng.normal(0, 0.3, len(heading))
        middle = start + 0.5 * length[:, None] * _unit(heading + bend)
        end = middle + 0.5 * length[:, None] * _unit(heading - bend)
        parts.append(np.column_stack([start, middle, width]))
        parts.append(np.column_stack([middle, end, width * 0.92]))
        spread = rng.uniform(0.5, 1.1, len(heading)) * rng.choice([-1, 1], len(heading))
        uneven = rng.uniform(0.55, 0.85, len(heading))
        heading = np.concatenate([heading + spread * (1 - uneven), heading - spread * uneven])
        start = np.concatenate([end, end])
        width = np.concatenate([width * uneven, width * (1.38 - uneven)])
        length = np.concatenate([length * 0.95, length * 0.85]) * rng.uniform(0.7, 1.2, len(width))
    tree = np.concatenate(parts)
    tree[:, [0, 2]] *= side
    return tree


def _unit(angle: NDArray[np.float64]) -> Points:
    return np.column_stack([np.cos(angle), np.sin(angle)])
