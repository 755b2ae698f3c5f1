"""Sweep and scores on expert masks of real films, against drawing and counting one by one."""

import cv2
import numpy as np
import pytest
from made_up_scores import finding

from pleura.evaluation.metrics import dice
from pleura.evaluation.operating_point import fit_operating_point
from pleura.evaluation.pixel_sweep import PixelSweep
from pleura.evaluation.scores import FilmScore
from pleura.inference.postprocess import OperatingPoint, draw_mask


@pytest.fixture
def masks(real_data):
    paths = sorted((real_data / "siim" / "png" / "png_masks").glob("*.png"))[::10]
    return {path.stem: cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127 for path in paths}


def test_the_sweep_is_the_postprocessing(masks):
    assert any(mask.any() for mask in masks.values())
    swept = PixelSweep()
    films = {}
    for n, (name, truth) in enumerate(masks.items()):
        moved = np.roll(truth, (9, -7), (0, 1)).astype(np.float32)
        speckle = np.random.default_rng(n).random((64, 64)).astype(np.float32)
        speckle = cv2.resize(speckle, truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
        probability = np.clip(0.8 * cv2.GaussianBlur(moved, (0, 0), 7) + 0.5 * speckle**4, 0, 1)
        score = 0.6 + 0.01 * n if truth.any() else 0.5 - 0.01 * n
        films[name] = finding(name, truth, score, probability_map=probability.astype(np.float32))
        swept.add(name, films[name], truth, part="tune")

    for t, a in ((0, 0), (5, 2), (9, 3), (14, 6)):
        point = OperatingPoint(swept.pixel_thresholds[t], swept.min_area_fractions[a])
        areas, shared = swept.areas(t, a)
        for n, (name, truth) in enumerate(masks.items()):
            mask = draw_mask(films[name].probability_map, point, 1.0)
            assert (areas[n], shared[n]) == (mask.sum(), (mask & truth).sum())

    fitted = fit_operating_point(swept, part="tune")
    scores = []
    for name, truth in masks.items():
        mask = draw_mask(films[name].probability_map, fitted.point, 1.0)
        mask &= films[name].probability >= fitted.point.presence_threshold
        made = finding(name, mask, films[name].probability)
        score = FilmScore.of(
            made, truth, film_id=name, patient_id=name, corpus="png", label=int(truth.any())
        )
        assert score.dice == pytest.approx(dice(mask, truth))
        scores.append(score.dice)
    assert np.mean(scores) == pytest.approx(fitted.value)
    assert fitted.value > fitted.all_empty
