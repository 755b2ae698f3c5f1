"""What is no radiograph at all."""

import cv2
import numpy as np

from pleura.data.impostors.plate import Layer

_WORDS = "No lungs here, 12.5 mg, page one: the patient was seen on Monday; see table 4 and note 7b"


def noise(rng: np.random.Generator, size: int) -> Layer:
    """Noise whose power falls with the frequency by a drawn exponent: white at 0, clouds at 3."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij"))
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    drawn = np.fft.irfft2(spectrum * frequency ** -(rng.uniform(0, 3) / 2), s=(size, size))
    return _stretched(drawn, rng)


def gradient(rng: np.random.Generator, size: int) -> Layer:
    """Greys that change evenly across the picture or from a point, perhaps in steps."""
    y, x = np.mgrid[:size, :size] / size
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        drawn = x * np.cos(angle) + y * np.sin(angle)
    else:
        centre = rng.uniform(-0.2, 1.2, 2)
        drawn = np.hypot(x - centre[0], y - centre[1])
    if rng.random() < 0.4:
        steps = rng.integers(3, 12)
        drawn = np.floor(drawn * steps) / steps
    return _stretched(drawn + rng.normal(0, 0.01, drawn.shape), rng)


def pattern(rng: np.random.Generator, size: int) -> Layer:
    """A checkerboard, bars, a grid or circles, as test images have them."""
    y, x = np.mgrid[:size, :size] / size
    angle, waves = rng.uniform(0, np.pi), rng.uniform(3, 24)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    bars = [np.sin(2 * np.pi * waves * one) for one in (along, across)]
    rings = np.sin(2 * np.pi * waves * np.hypot(x - rng.uniform(), y - rng.uniform()))
    drawn = (bars[0] * bars[1], bars[0], np.maximum(*bars), rings)[rng.integers(4)]
    if rng.random() < 0.6:
        drawn = np.sign(drawn)
    return _stretched(drawn + rng.normal(0, 0.05, drawn.shape), rng)


def leaves(rng: np.random.Generator, size: int) -> Layer:
    """Things before things: discs and boxes of all sizes over each other, the larger the rarer.

    The dead-leaves model, whose statistics are those of photographs (Lee, Mumford and Huang, IJCV 2001).
    """
    drawn = np.full((size, size), rng.random(), np.float32)
    for _ in range(int(rng.integers(60, 220))):
        radius = size * 0.02 / max(rng.random(), 0.05) ** 0.9
        centre = rng.uniform(0, size, 2)
        level = float(rng.random())
        if rng.random() < 0.5:
            cv2.circle(drawn, tuple(int(v) for v in centre), int(radius), level, -1, cv2.LINE_AA)
        else:
            box = cv2.boxPoints((tuple(centre), (2 * radius, radius), float(rng.uniform(0, 180))))
            cv2.fillPoly(drawn, [box.astype(np.int32)], level, cv2.LINE_AA)
    shade = noise(rng, size)
    blurred = cv2.GaussianBlur(drawn, (0, 0), rng.uniform(0.4, 2.5))
    return _stretched(blurred + rng.uniform(0, 0.3) * shade, rng)


def page(rng: np.random.Generator, size: int) -> Layer:
    """A page of text, dark on bright or the reverse, a little askew."""
    scale = 4  # letters are drawn large, and shrunk
    paper = int(rng.integers(200, 256))
    sheet = np.full((scale * size,) * 2, paper, np.uint8)
    height = int(rng.uniform(0.03, 0.08) * scale * size)
    for y in range(height, scale * size, int(1.6 * height)):
        start = int(rng.integers(0, 30))
        text = _WORDS[start : start + int(rng.integers(8, 50))]
        place = (int(0.06 * scale * size), y)
        cv2.putText(
            sheet,
            text,
            place,
            cv2.FONT_HERSHEY_SIMPLEX,
            height / 32,
            (20,),
            max(1, height // 12),
            cv2.LINE_AA,
        )
    turn = cv2.getRotationMatrix2D((scale * size / 2,) * 2, float(rng.normal(0, 3)), 1.0)
    askew = cv2.warpAffine(sheet, turn, (scale * size,) * 2, borderValue=(paper,))
    small = cv2.resize(askew, (size, size), interpolation=cv2.INTER_AREA)
    drawn = np.asarray(small, np.float32) / np.float32(255)
    return drawn if rng.random() < 0.6 else np.asarray(1 - drawn, np.float32)


def _stretched(drawn: np.ndarray, rng: np.random.Generator) -> Layer:
    """Any numbers brought to a drawn part of [0, 1]."""
    low, high = np.percentile(drawn, [0.5, 99.5])
    shown = np.clip((drawn - low) / max(float(high - low), 1e-6), 0, 1)
    dark, bright = rng.uniform(0, 0.3), rng.uniform(0.6, 1.0)
    return np.asarray(dark + (bright - dark) * shown, np.float32)
