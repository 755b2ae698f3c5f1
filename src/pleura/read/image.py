"""Films as PNG, JPEG, WebP or TIFF: bytes -> `Radiograph`."""

import struct
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pleura.errors import DecodeError, FilmTooLarge, UnrecognisedFormat, UnsupportedFilm
from pleura.radiograph import Radiograph
from pleura.read.colour import luminance
from pleura.read.quiet import quiet
from pleura.read.source import DEFAULT_LIMITS, Limits, Source, load, name_of, named

_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_PLANAR = 284
_SAMPLE_FORMAT = 339
_DEPTHS = (8, 10, 12, 14, 16)


class _Grey(NamedTuple):
    pixels: NDArray[np.float32]
    bits: int


def format_of(head: bytes) -> str | None:
    """`png`, `jpeg`, `webp` or `tiff` by the first bytes of a file, or None."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    return None


def read_image(source: Source, *, limits: Limits = DEFAULT_LIMITS) -> Radiograph:
    """One film from a PNG, JPEG, WebP or TIFF file.

    Args:
        source: a path, the file's bytes, or a binary stream.
        limits: on bytes and pixels, checked before decoding.

    Returns:
        The film with white as 1 and the side by display convention. Nothing in such a file says
        that bright is dense, nor how large a pixel is: dots an inch are a printer's, not a detector's.

    Raises:
        UnrecognisedFormat: it is none of the four.
        DecodeError: it is damaged.
        UnsupportedFilm: several pages or frames, samples that are no 1 to 16 bit integers, or in colour.
        FilmTooLarge: it is beyond `limits`.
        ReadError: it cannot be opened.
    """
    with named(source), quiet():
        data = load(source, limits)
        kind = format_of(data[:16])
        if kind is None:
            raise UnrecognisedFormat("is no PNG, JPEG, WebP or TIFF; use `read` for DICOM")
        return radiograph(data, kind, name_of(source), limits)


def radiograph(data: bytes, kind: str, source: str, limits: Limits) -> Radiograph:
    """`read_image` for bytes that start as a file of `kind` does; errors do not name the film."""
    notes: list[str] = []
    try:
        image = Image.open(BytesIO(data), formats=(kind.upper(),))
        limits.check_pixels(image.height, image.width)
        _refuse_sequences(image, kind, notes)
        tags = _tiff_tags(image)
        grey = _grey(_upright(image, notes), tags, notes)
        if not image.mode.startswith("I") and (data[24] if kind == "png" else tags.bits) == 16:
            _check_shortened(grey, notes)
    except UnidentifiedImageError:
        raise DecodeError(
            f"this {kind.upper()} file is damaged, or of a variant that cannot be read; "
            "export it again as a grey PNG"
        ) from None
    except Image.DecompressionBombError:
        raise FilmTooLarge("its size is beyond what Pillow opens; reduce it first") from None
    except (OSError, SyntaxError, EOFError, struct.error) as error:  # Pillow's ways to say: damaged
        raise DecodeError(
            f"this {kind.upper()} file is damaged or cut short ({error}); copy or export it again"
        ) from error
    return Radiograph(
        pixels=grey.pixels,
        source_bits=grey.bits,
        source_format=kind,
        source=source,
        notes=tuple(notes),
    )


def _refuse_sequences(image: Image.Image, kind: str, notes: list[str]) -> None:
    frames = int(getattr(image, "n_frames", 1))
    if frames <= 1:
        return
    if image.format == "MPO":
        notes.append("The first of several pictures in a JPEG file is taken.")
        return
    word = "pages" if kind == "tiff" else "frames"
    raise UnsupportedFilm(f"it has {frames} {word}; save the one film as a file of its own")


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation in range(2, 9):
        notes.append(f"Turned upright by its EXIF orientation ({orientation}).")
    image.load()  # a TIFF is turned here and loses the tag
    return ImageOps.exif_transpose(image)


def _check_shortened(grey: _Grey, notes: list[str]) -> None:
    """Pillow gives the upper 8 of 16 bits in colour; of a film of 10 to 14 bits that is next to nothing."""
    if float(grey.pixels.max()) * 255 < 2 ** (_DEPTHS[-2] - 8):
        raise UnsupportedFilm(
            "its 16-bit samples, in colour or with transparency, leave the upper bits unused and would be "
            "shown black; save it in grey with 16 bits"
        )
    notes.append("16-bit samples in colour or with transparency are read with 8 bits.")


class _Tiff(NamedTuple):
    bits: int | None = None
    white_is_zero: bool = False


def _tiff_tags(image: Image.Image) -> _Tiff:
    """Bits a sample and photometric interpretation, which Pillow keeps to itself for deep samples.

    Raises:
        UnsupportedFilm: the samples are of a kind that Pillow takes for another.
    """
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return _Tiff()
    bits = int(tags.get(_BITS_PER_SAMPLE, (1,))[0])
    if bits <= 8 and tags.get(_SAMPLE_FORMAT, (1,))[0] == 2:
        raise UnsupportedFilm(
            f"its samples are signed {bits}-bit integers; save it with unsigned ones"
        )
    if bits == 16 and tags.get(_PLANAR) == 2 and not image.mode.startswith("I"):
        raise UnsupportedFilm("its 16-bit colours lie in planes; save it in grey with 16 bits")
    return _Tiff(bits, tags.get(_PHOTOMETRIC) == 0)


def _grey(image: Image.Image, tiff: _Tiff, notes: list[str]) -> _Grey:
    mode = image.mode
    if mode == "1":
        return _Grey(np.ascontiguousarray(image, dtype=np.float32), 1)
    if mode == "L" and "transparency" not in image.info:
        return _Grey(np.asarray(image, dtype=np.float32) / np.float32(255), 8)
    if mode.startswith("I"):
        return _deep_grey(image, tiff, notes)
    if mode == "F":
        raise UnsupportedFilm(
            "its samples are floating point, of which nothing says what is white; save it with 16 bits"
        )
    return _Grey(_coloured(image, notes), 8)


def _coloured(image: Image.Image, notes: list[str]) -> NDArray[np.float32]:
    """Colour, palette and transparent pictures: luminance where they are grey, over black."""
    if image.has_transparency_data:
        notes.append("Transparent pixels are laid over black.")
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    if image.mode not in ("L", "LA"):
        notes.append("A grey film stored in colour; its luminance is taken.")
    return luminance(np.asarray(image.convert("RGB")), 255)


def _deep_grey(image: Image.Image, tiff: _Tiff, notes: list[str]) -> _Grey:
    """16-bit grey, which Pillow calls `I;16` (its variants give the byte order) or `I`."""
    samples = np.asarray(image)
    depth = tiff.bits or 16
    low, high = int(samples.min()), int(samples.max())
    if depth > 16 or low < 0 or high > 2**16 - 1:
        raise UnsupportedFilm(
            f"its samples are {depth}-bit integers from {low} to {high}; save it with unsigned 16 bits"
        )
    if depth == 16:
        depth = _depth_in_use(high)
        if depth < 16:
            notes.append(
                f"Its 16-bit samples use {depth} bits; full scale is taken as {2**depth - 1}."
            )
    grey = samples.astype(np.float32) / np.float32(2**depth - 1)
    if tiff.white_is_zero:
        notes.append("Inverted for display (TIFF WhiteIsZero).")
        grey = np.float32(1) - grey
    return _Grey(np.ascontiguousarray(grey), depth)


def _depth_in_use(high: int) -> int:
    """The bits of a film whose largest sample is `high`: detectors give 10, 12 or 14 in 16.

    Taking 4,095 of a 12-bit film as 6 % of white would show it black.
    """
    if high == 0:
        return 16
    return next(bits for bits in _DEPTHS if high < 2**bits)
