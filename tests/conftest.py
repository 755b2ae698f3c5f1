"""Fixtures every test may use."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from pleura.data.manifest import Dataset
from pleura.data.split import Split, make_split
from written_dataset import Given, written

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
    rng = np.random.default_rng(7)

    def film(number: int) -> Given:
        pixels = rng.integers(40, 100, (160, 160)).astype(np.uint8)
        mask = np.zeros((160, 160), np.bool_)
        if number % 5 < 2:
            top, left = rng.integers(10, 90, 2)
            mask[top : top + 50, left : left + 50] = True
            pixels[mask] += 120
        thumbnail = rng.integers(0, 256, 256, np.uint8)
        return Given(f"film-{number:02d}", f"patient-{number // 2:02d}", pixels, mask, thumbnail)

    return written(tmp_path_factory.mktemp("blocks"), "blocks", map(film, range(40)))


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
