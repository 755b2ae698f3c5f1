"""A damaged picture in a dataset is named, however it is damaged."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from synthetic import film, write_dataset, write_png

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


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 4), np.uint8)])
def test_a_picture_in_colour_is_refused(tmp_path: Path, image: np.ndarray) -> None:
    data = write_dataset(tmp_path, [film("a", "p")])
    write_png(tmp_path / "images/a.png", image)
    with pytest.raises(DatasetError, match="is not a grey PNG"):
        data.pixels(data.by_id["a"])


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    data = write_dataset(tmp_path, [film("a", "p")])
    with pytest.raises(DatasetError, match=r"a\.png cannot be read"):
        data.pixels(data.by_id["a"])
