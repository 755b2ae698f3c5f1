"""PNG, JPEG, WebP and TIFF films: depth, colour, transparency, orientation, refusals."""

import contextlib
import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pleura.errors import DecodeError, FilmTooLarge, UnrecognisedFormat, UnsupportedFilm
from pleura.read import Limits, read, read_image

GREY = np.array([[0, 51, 102], [153, 204, 255]], dtype=np.uint8)
SHOWN = np.array([[0, 0.2, 0.4], [0.6, 0.8, 1.0]])


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def deep(samples: np.ndarray, kind: str) -> bytes:
    return cv2.imencode(f".{kind}", samples)[1].tobytes()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_8_bit_grey_is_exact(kind: str) -> None:
    film = read(saved(Image.fromarray(GREY), kind))
    np.testing.assert_allclose(film.pixels, SHOWN, atol=1e-6)
    assert (film.source_bits, film.source_format) == (8, kind.lower())
    assert film.pixels.dtype == np.float32
    assert film.pixels.flags.c_contiguous
    assert film.notes == ()
    assert (film.image_left, film.side_basis) == ("right", "convention")
    assert film.spacing_mm is None


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_grey(kind: str) -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    film = read(saved(Image.fromarray(ramp), kind, quality=95))
    np.testing.assert_allclose(film.pixels * 255, ramp, atol=6)
    assert film.source_format == kind.lower()


def test_webp_without_loss() -> None:
    film = read(saved(Image.fromarray(GREY), "WEBP", lossless=True))
    np.testing.assert_allclose(film.pixels, SHOWN, atol=1e-3)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_16_bit_grey(kind: str) -> None:
    film = read(deep(np.array([[0, 13107], [32768, 65535]], dtype=np.uint16), kind))
    np.testing.assert_allclose(film.pixels, [[0, 0.2], [32768 / 65535, 1]], atol=1e-6)
    assert film.source_bits == 16


def test_big_endian_tiff() -> None:
    samples = np.array([[0, 13107], [32768, 65535]], dtype=">u2")
    tags = [(256, 3, 2), (257, 3, 2), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    film = read(tiff(tags, samples.tobytes()))
    np.testing.assert_allclose(film.pixels, [[0, 0.2], [32768 / 65535, 1]], atol=1e-6)


def test_16_bit_white_is_zero() -> None:
    samples = np.array([[0, 65535]], dtype="<u2")
    tags = [(256, 3, 2), (257, 3, 1), (258, 3, 16), (259, 3, 1), (262, 3, 0), (273, 4, 8)]
    film = read(tiff(tags, samples.tobytes(), order="<"))
    np.testing.assert_array_equal(film.pixels, [[1, 0]])
    assert "WhiteIsZero" in film.notes[-1]


def test_8_bit_white_is_zero() -> None:
    tags = [(256, 3, 2), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 0), (273, 4, 8)]
    film = read(tiff(tags, bytes([0, 255])))
    np.testing.assert_array_equal(film.pixels, [[1, 0]])


def tiff(tags: list[tuple[int, int, int]], data: bytes, follow: int = 0, order: str = ">") -> bytes:
    """A TIFF of one strip; SHORT values are left-aligned in their field."""
    tags = sorted([*tags, (279, 4, len(data))])
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, 1)
        + (struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value))
        for tag, kind, value in tags
    )
    directory = struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", follow)
    magic = b"MM\0*" if order == ">" else b"II*\0"
    return magic + struct.pack(f"{order}I", 8 + len(data)) + data + directory


@pytest.mark.parametrize(
    ("high", "bits"), [(255, 8), (1023, 10), (4095, 12), (16383, 14), (16384, 16), (0, 16)]
)
def test_deep_films_of_fewer_bits_are_not_shown_black(high: int, bits: int) -> None:
    film = read(deep(np.array([[0, high]], dtype=np.uint16), "png"))
    assert film.source_bits == bits
    assert film.pixels.max() == pytest.approx(high / (2**bits - 1), abs=1e-6)
    assert any(f"use {bits} bits" in note for note in film.notes) == (bits < 16)


def test_1_bit() -> None:
    film = read(saved(Image.fromarray(GREY > 100).convert("1"), "PNG"))
    np.testing.assert_array_equal(film.pixels, [[0, 0, 1], [1, 1, 1]])
    assert film.source_bits == 1


def test_grey_in_colour() -> None:
    film = read(saved(Image.fromarray(GREY).convert("RGB"), "PNG"))
    np.testing.assert_allclose(film.pixels, SHOWN, atol=1e-3)
    assert film.notes == ("A grey film stored in colour; its luminance is taken.",)


def test_grey_palette() -> None:
    film = read(saved(Image.fromarray(GREY).convert("P"), "PNG"))
    np.testing.assert_allclose(film.pixels, SHOWN, atol=1e-3)


def test_colour_photograph_is_refused() -> None:
    with pytest.raises(UnsupportedFilm, match="coloured"):
        read(saved(Image.new("RGB", (9, 9), (200, 30, 30)), "PNG"))


def test_alpha_is_laid_over_black() -> None:
    alpha = np.array([[255, 255, 255], [0, 255, 0]], dtype=np.uint8)
    film = read(saved(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)]), "PNG"))
    np.testing.assert_allclose(film.pixels, SHOWN * (alpha > 0), atol=1e-3)
    assert film.notes[0] == "Transparent pixels are laid over black."


def test_half_transparent() -> None:
    film = read(saved(Image.new("RGBA", (2, 2), (255, 255, 255, 51)), "PNG"))
    np.testing.assert_allclose(film.pixels, 0.2, atol=1e-3)


def test_deep_colour_is_noted() -> None:
    rgb = np.repeat(np.array([[0, 65535]], dtype=np.uint16)[:, :, None], 3, axis=2)
    film = read(deep(rgb, "png"))
    np.testing.assert_allclose(film.pixels, [[0, 1]], atol=1e-3)
    assert film.source_bits == 8
    assert "read with 8 bits" in film.notes[-1]


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_deep_colour_of_fewer_bits_is_not_shown_black(kind: str) -> None:
    rgb = np.repeat(np.array([[0, 2048, 4095]], dtype=np.uint16)[:, :, None], 3, axis=2)
    with pytest.raises(UnsupportedFilm, match="upper bits unused"):
        read(deep(rgb, kind))
    assert "read with 8 bits" in read(deep(16 * rgb, kind)).notes[-1]


def test_deep_colour_in_planes_is_refused() -> None:
    data = deep(np.full((2, 2, 3), 65535, dtype=np.uint16), "tiff")
    interleaved, planes = (struct.pack("<HHII", 284, 3, 1, value) for value in (1, 2))
    assert data.count(interleaved) == 1
    with pytest.raises(UnsupportedFilm, match="in planes"):
        read(data.replace(interleaved, planes))


def test_signed_8_bit_samples_are_refused() -> None:
    tags = [(256, 4, 4), (257, 4, 1), (258, 3, 8), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    samples = np.array([-128, -1, 0, 127], dtype=np.int8).tobytes()
    with pytest.raises(UnsupportedFilm, match="signed 8-bit"):
        read(tiff([*tags, (339, 3, 2)], samples))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_orientation_is_honoured(kind: str) -> None:
    wide = np.zeros((16, 48), dtype=np.uint8)
    wide[:, :16] = 255  # white at the left
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise for display: white comes to the top
    film = read(saved(Image.fromarray(wide), kind, exif=exif))
    assert film.shape == (48, 16)
    assert film.pixels[:12].min() > 0.9
    assert film.pixels[20:].max() < 0.1
    assert any("orientation (6)" in note for note in film.notes)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_several_pictures_are_refused(kind: str) -> None:
    pages = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    data = saved(pages[0], kind, save_all=True, append_images=pages[1:])
    with pytest.raises(UnsupportedFilm, match=r"it has 2 (pages|frames)"):
        read(data)


def test_tiff_whose_pages_go_in_a_circle() -> None:
    tags = [(256, 3, 2), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    data = tiff(tags, bytes([0, 255]), follow=10)
    with contextlib.suppress(DecodeError, UnsupportedFilm):
        assert read(data).shape == (1, 2)


def test_floating_point_is_refused() -> None:
    with pytest.raises(UnsupportedFilm, match="floating point"):
        read(saved(Image.fromarray(np.ones((4, 4), dtype=np.float32)), "TIFF"))


def test_32_bit_integers_are_refused() -> None:
    with pytest.raises(UnsupportedFilm, match="32-bit"):
        read(saved(Image.fromarray(np.full((4, 4), 70_000, dtype=np.int32)), "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_cut_short(kind: str) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (64, 64), dtype=np.uint8)
    data = saved(Image.fromarray(noise), kind)
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(DecodeError):
            read(data[: int(len(data) * share)])


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_001, 12_000, 100_000, 2**31 - 1])
def test_bombs_are_not_decoded(side: int) -> None:
    with pytest.raises(FilmTooLarge):
        read(png_header(side, side))


def test_pixel_limit() -> None:
    data = saved(Image.fromarray(GREY), "PNG")
    assert read(data, limits=Limits(max_pixels=6)).shape == (2, 3)
    with pytest.raises(FilmTooLarge, match="2x3 is 6 pixels, the limit is 5"):
        read(data, limits=Limits(max_pixels=5))


def test_read_image_wants_an_image() -> None:
    assert read_image(saved(Image.fromarray(GREY), "PNG")).shape == (2, 3)
    with pytest.raises(UnrecognisedFormat):
        read_image(b"\0" * 128 + b"DICM")
