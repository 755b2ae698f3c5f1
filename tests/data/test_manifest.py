"""A damaged picture in a dataset is named, however it is damaged."""

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import dataset, film, write_dataset, write_png

from pleura.data.manifest import Dataset, mask_sha256, write_manifest
from pleura.data.split.linked import thumbnail_is_whole
from pleura.errors import DatasetError


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(columns: int, rows: int) -> bytes:
    """A grey PNG of 8 bit whose header claims this size, with ten bytes of pixels."""
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(10)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a picture",
        png(0, 10),
        png(100_000, 100_000),  # more than OpenCV takes, which it says by raising
        png(2**31 - 1, 2**31 - 1),
        png(2**20 + 1, 1),
    ],
    ids=["empty", "text", "no columns", "1e10 pixels", "largest", "too wide"],
)
def test_a_picture_that_cannot_be_decoded_is_named(tmp_path: Path, content: bytes) -> None:
    data = write_dataset(tmp_path, [film("a", "p", 1, 0.1)])
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(content)
    for read in (data.pixels, data.mask, data.radiograph):
        with pytest.raises(DatasetError, match=r"a\.png is not a grey PNG of 8 or 16 bit; prepare"):
            read(data.by_id["a"])


@pytest.mark.parametrize("image", [np.eye(3, dtype=np.uint8)[None], np.zeros((4, 4, 4), np.uint8)])
def test_a_picture_in_colour_is_refused(tmp_path: Path, image: np.ndarray) -> None:
    data = write_dataset(tmp_path, [film("a", "p")])
    write_png(tmp_path / "images/a.png", image)
    with pytest.raises(DatasetError, match="is not a grey PNG"):
        data.pixels(data.by_id["a"])


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    data = write_dataset(tmp_path, [film("a", "p")])
    with pytest.raises(DatasetError, match=r"a\.png cannot be read"):
        data.pixels(data.by_id["a"])


def test_a_masks_hash_tells_shape_and_place_apart() -> None:
    masks = [np.zeros((4, 16), np.bool_) for _ in range(3)]
    masks[1][0, 3] = masks[2][3, 0] = True
    masks += [np.zeros((16, 4), np.bool_), np.zeros((4, 15), np.bool_)]
    assert len({mask_sha256(mask) for mask in masks}) == 5
    assert mask_sha256(masks[1].T) == mask_sha256(np.ascontiguousarray(masks[1].T))


def test_the_datasets_hash_covers_masks_and_stored_size() -> None:
    plain = film("a", "p", 1, 0.1, mask_sha256="1" * 64)
    changed = [replace(plain, **c) for c in ({"mask_sha256": "2" * 64}, {"stored_rows": 50})]
    assert len({dataset(f).sha256 for f in (plain, *changed)}) == 3


def test_a_dataset_of_the_former_format_is_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path, [film("a", "p")])
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 1}))
    with pytest.raises(DatasetError, match=r"is of format 1; .*prepare it again"):
        Dataset.open(tmp_path)


def test_a_manifest_that_lost_or_changed_rows_is_refused(tmp_path: Path) -> None:
    films = [film("a", "p"), film("b", "q")]
    sha256 = write_dataset(tmp_path, films).sha256
    path = tmp_path / "dataset.json"
    counted = {"film_count": 2, "sha256": sha256}
    path.write_text(json.dumps(json.loads(path.read_text()) | counted))
    assert len(Dataset.open(tmp_path).films) == 2
    for others in (films[:1], [films[0], replace(films[1], patient_id="p")]):
        write_manifest(tmp_path / "manifest.csv", others)
        with pytest.raises(DatasetError, match="is not what was prepared"):
            Dataset.open(tmp_path)


def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, [film("a", "p")])
    path = tmp_path / "manifest.csv"
    whole = path.read_text()
    for text in (whole.rstrip() + ",more\n", whole.rstrip().rpartition(",")[0] + "\n"):
        path.write_text(text)
        with pytest.raises(DatasetError, match="line 2: there are more or fewer cells"):
            Dataset.open(tmp_path)
    header, row = whole.splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    path.write_text(f"{header}\n{','.join((cells | {'thumbnail': ''}).values())}\n")
    (kept,) = Dataset.open(tmp_path).films
    assert not thumbnail_is_whole(kept)
    for name in ("patient_id", "pixel_sha256", "rows"):
        path.write_text(f"{header}\n{','.join((cells | {name: ''}).values())}\n")
        with pytest.raises(DatasetError, match=f"line 2: {name} is empty"):
            Dataset.open(tmp_path)
    path.write_bytes(whole.encode() + b"\xff")
    with pytest.raises(DatasetError, match=r"manifest\.csv cannot be read"):
        Dataset.open(tmp_path)
    path.unlink()
    with pytest.raises(DatasetError, match=r"manifest\.csv cannot be read"):
        Dataset.open(tmp_path)
