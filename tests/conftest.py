"""Fixtures every test may use."""

from pathlib import Path

import pytest

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """The folder of real chest films; tests that ask for it are skipped where there is none."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real films on this machine")
    return REAL_DATA
