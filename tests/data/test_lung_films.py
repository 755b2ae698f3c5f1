"""Films with drawn lungs: read whole, and refused where they are not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pleura.data.lung_films import MAX_SIDE_PX, read_lung_films
from pleura.errors import CorpusError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two films, 40x60, whose lungs are two boxes and whose heart is one."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for number in range(2):
        write(tmp_path, f"film-{number}", (40, 60))
    return tmp_path


def write(folder: Path, name: str, shape: tuple[int, int]) -> None:
    label = np.zeros(shape, np.uint8)
    rows, columns = shape
    label[rows // 4 : rows // 2, columns // 6 : columns // 3] = 1
    label[rows // 4 : rows // 2, columns // 2 : columns * 2 // 3] = 2
    label[rows // 2 : rows * 3 // 4, columns // 3 : columns // 2] = 3
    cv2.imwrite(str(folder / "images" / f"{name}.png"), np.full(shape, 51, np.uint8))
    cv2.imwrite(str(folder / "labels" / f"{name}.png"), label)


def test_films_are_squeezed_to_squares(folder: Path) -> None:
    films = read_lung_films(folder)
    assert [film.name for film in films] == ["film-0", "film-1"]
    film = films[0]
    assert film.pixels.shape == (60, 60)
    assert set(np.unique(film.pixels)) == {51}
    assert film.planes.shape == (60, 60, 3)
    assert set(np.unique(film.planes)) == {0, 255}
    for plane in range(3):  # each box is a quarter of the height and a sixth of the width
        assert np.mean(film.planes[..., plane] > 0) == pytest.approx(1 / 24, rel=0.1)
    columns = [np.nonzero(film.planes[..., plane])[1].mean() for plane in range(3)]
    assert columns[0] < columns[2] < columns[1]


def test_large_films_are_kept_smaller(folder: Path) -> None:
    write(folder, "large", (1200, 900))
    assert read_lung_films(folder)[-1].pixels.shape == (MAX_SIDE_PX,) * 2


def test_progress(folder: Path) -> None:
    seen = []
    read_lung_films(folder, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_what_is_refused(folder: Path) -> None:
    with pytest.raises(CorpusError, match="has 0 films"):
        read_lung_films(folder / "images")
    (folder / "labels" / "film-1.png").rename(folder / "labels" / "other.png")
    with pytest.raises(CorpusError, match=r"2 files .* no counterpart, such as film-1"):
        read_lung_films(folder)
    (folder / "labels" / "other.png").rename(folder / "labels" / "film-1.png")
    cv2.imwrite(str(folder / "labels" / "film-1.png"), np.full((40, 60), 4, np.uint8))
    with pytest.raises(CorpusError, match="has a label 4"):
        read_lung_films(folder)
    cv2.imwrite(str(folder / "labels" / "film-1.png"), np.zeros((40, 61), np.uint8))
    with pytest.raises(CorpusError, match="is 40x61, its film 40x60"):
        read_lung_films(folder)
    (folder / "labels" / "film-1.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(CorpusError, match="repair or remove it"):
        read_lung_films(folder)
