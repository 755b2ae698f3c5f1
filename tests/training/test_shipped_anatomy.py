"""The anatomy network in pleura-weights: what it lets in, puts right and declines, on films that are made."""

import json
from pathlib import Path

import numpy as np
import pytest

import pleura
from pleura.data.impostors import MADE
from pleura.data.phantom import phantom
from pleura.inference.admission.doorkeeper import Doorkeeper
from pleura.inference.admission.mending import Mending
from pleura.inference.runtimes.base import RuntimeOptions
from pleura.inference.runtimes.onnx_runtime import OnnxRuntime
from pleura.inference.shipped import shipped_anatomy
from pleura.training.anatomy.finished import finished_anatomy
from pleura.training.graph import graph_of
from pleura.training.quantise import half

SEEDS = range(4)


@pytest.fixture(scope="module")
def door() -> Doorkeeper:
    member, weights, thresholds = finished_anatomy(shipped_anatomy())
    runtime = OnnxRuntime(member, half(graph_of(member, weights)), RuntimeOptions(threads=1))
    return Doorkeeper(member, runtime, thresholds)


def film(pixels: np.ndarray) -> pleura.Radiograph:
    return pleura.Radiograph(np.ascontiguousarray(pixels, np.float32), 8, "png", "film")


def test_what_ships_says_what_it_was_made_from() -> None:
    folder = shipped_anatomy()
    member, weights, thresholds = finished_anatomy(folder)
    assert member.training["corpora"] == ["siim-stage2"]
    assert member.training["effort"]["films"] == 2560
    assert thresholds.fitted_on == "862 tuning films"
    assert len(weights) < 6e6
    shown = json.loads((folder / "anatomy.json").read_text())["shown_pixel_sha256"]
    assert len(shown) == member.training["films"]["chests"] == 2839


@pytest.mark.parametrize("seed", SEEDS)
def test_chests_are_judged_as_they_are(door: Doorkeeper, seed: int) -> None:
    (found,) = door([film(phantom(seed, 320).pixels)])
    assert found.reason is None
    assert not found.mending


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mending", [Mending(1, 0), Mending(2, 1), Mending(3, 0), Mending(0, 1)])
def test_turned_and_inverted_chests_are_put_right(
    door: Doorkeeper, seed: int, mending: Mending
) -> None:
    pixels = phantom(seed, 320).pixels
    (found,) = door([film(np.rot90(1 - pixels if mending.inverted else pixels, mending.quarters))])
    assert (found.reason, found.mending) == (None, mending)


@pytest.mark.parametrize("kind", MADE)
def test_what_is_no_chest_is_declined(door: Doorkeeper, kind: str) -> None:
    pictures = [film(MADE[kind](np.random.default_rng([seed, 11]), 256)) for seed in SEEDS]
    assert all(found.reason for found in door(pictures))


def test_films_of_another_hospital_are_judged(door: Doorkeeper, real_data: Path) -> None:
    """Their lungs were drawn for it, so this asks no more than that it works as it was trained."""
    paths = sorted((real_data / "lungs" / "images").iterdir())[::8]
    assert len(paths) > 30
    for path in paths:
        (found,) = door([pleura.read(path)])
        assert (found.reason, bool(found.mending)) == (None, False), path.name
