"""Fixtures every test may use."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

from pleura.data.manifest import (
    Dataset,
    Film,
    dataset_description,
    mask_sha256,
    write_manifest,
)
from pleura.data.split import Split, make_split
from pleura.finding import PNEUMOTHORAX

settings.register_profile("untimed", deadline=None)  # no test asserts a time
settings.load_profile("untimed")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """The folder of real chest films; tests that ask for it are skipped where there is none."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real films on this machine")
    return REAL_DATA


@pytest.fixture(scope="session")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """40 films of 20 patients, 160x160, whose target is a bright block: learnt in seconds."""
    root = tmp_path_factory.mktemp("blocks")
    rng = np.random.default_rng(7)
    films = []
    for number in range(40):
        film_id, label = f"film-{number:02d}", int(number % 5 < 2)
        pixels = rng.integers(40, 100, (160, 160)).astype(np.uint8)
        mask = np.zeros((160, 160), np.uint8)
        if label:
            top, left = rng.integers(10, 90, 2)
            mask[top : top + 50, left : left + 50] = 255
            pixels[mask > 0] += 120
        for folder, image in (("images", pixels), ("masks", mask)):
            (root / folder).mkdir(exist_ok=True)
            if folder == "images" or label:
                cv2.imwrite(str(root / folder / f"{film_id}.png"), image)
        area = int((mask > 0).sum())
        films.append(
            Film(
                film_id=film_id,
                corpus="blocks",
                source_path=f"{film_id}.png",
                label_quality="expert",
                label=label,
                patient_id=f"patient-{number // 2:02d}",
                patient_basis="table",
                rows=160,
                columns=160,
                stored_rows=160,
                stored_columns=160,
                bits=8,
                pixel_sha256=f"{number:02x}" * 32,
                thumbnail=bytes(rng.integers(0, 256, 256, np.uint8)).hex(),
                image=f"images/{film_id}.png",
                mask=f"masks/{film_id}.png" if label else None,
                mask_sha256=mask_sha256(mask > 0) if label else None,
                mask_area_px=area,
                mask_area_fraction=area / 160**2,
            )
        )
    write_manifest(root / "manifest.csv", films)
    (root / "dataset.json").write_text(json.dumps(dataset_description(PNEUMOTHORAX, [])))
    return Dataset.open(root)


@pytest.fixture(scope="session")
def blocks_split(blocks: Dataset) -> Split:
    """A split of `blocks` by patient."""
    return make_split(blocks, seed=0, test_fraction=0.25, tune_fraction=0.3)


@pytest.fixture
def leaky_split(blocks: Dataset, blocks_split: Split) -> Split:
    """`blocks_split` with one training film of a two-film patient moved into the test part."""
    moved = next(
        i
        for i in blocks_split.train
        if sum(blocks.by_id[j].patient_id == blocks.by_id[i].patient_id for j in blocks_split.train)
        == 2
    )
    train = tuple(i for i in blocks_split.train if i != moved)
    return replace(blocks_split, train=train, test=(*blocks_split.test, moved))


@pytest.fixture(autouse=True)
def _torch_keeps_its_threads() -> Iterator[None]:
    """torch has one number of threads for the process, and training's numbers depend on it."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else None
    yield
    if torch and before and torch.get_num_threads() != before:
        torch.set_num_threads(before)
