"""Every transfer syntax gives the same film as the uncompressed one."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import gdcm
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from pleura.errors import DecodeError, FilmTooLarge, UnsupportedFilm
from pleura.read import Limits, read
from pleura.read.dicom_pixels import complete_description, decode

MakeDicom = Callable[..., bytes]

# 500 x + 77 y on 6 rows of 5, 16 bits, reversible; coded by another library, which can write HTJ2K
HTJ2K_FRAME = (
    "ff4fff5100294000000000050000000600000000000000000000000500000006000000000000000000010f0101ff50000800"
    "020000000aff52000c00020001000504044001ff5c00132088909090909090909090909090888888ff64001700014f70656e"
    "4a50482056657220302e32362e332eff90000a0000000000410001ff93c00026eff6050774000000c00012c00013009e0307"
    "74008cfe02077400a000094031fe323300a0001520989898c02101feb600ffd9"
)


def waves(rows: int = 40, columns: int = 33, bits: int = 12) -> np.ndarray:
    """A smooth film that uses all `bits`; odd sizes show row and column mix-ups."""
    y, x = np.mgrid[:rows, :columns]
    grey = (np.sin(x / 5.0) + np.cos(y / 7.0) + 2) / 4
    return np.round(grey * (2**bits - 1)).astype(np.uint16 if bits > 8 else np.uint8)


def shown(samples: np.ndarray) -> np.ndarray:
    low, high = int(samples.min()), int(samples.max())
    return (samples.astype(np.float64) - low) / (high - low)


def compressed(data: bytes, syntax: UID, **how: object) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(data))
    ds.compress(syntax, generate_instance_uid=False, **how)
    buffer = io.BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()


def lossless_jpeg(data: bytes, folder: Path, first_order: bool = True) -> bytes:
    source, target = str(folder / "in.dcm"), str(folder / "out.dcm")
    Path(source).write_bytes(data)
    reader = gdcm.ImageReader()
    reader.SetFileName(source)
    assert reader.Read()
    kinds = gdcm.TransferSyntax
    kind = kinds.JPEGLosslessProcess14_1 if first_order else kinds.JPEGLosslessProcess14
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(kind))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(target)
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return Path(target).read_bytes()


def jpeg(samples: np.ndarray) -> bytes:
    done, coded = cv2.imencode(".jpg", samples, [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return coded.tobytes()


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
@pytest.mark.parametrize("bits", [8, 12])
def test_uncompressed(make_dicom: MakeDicom, syntax: UID, bits: int) -> None:
    samples = waves(bits=bits)
    film = read(make_dicom(samples, bits=bits, syntax=syntax))
    want = samples / 255 if bits == 8 else shown(samples)
    np.testing.assert_allclose(film.pixels, want, atol=1e-6)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless(make_dicom: MakeDicom, syntax: UID, bits: int) -> None:
    samples = waves(bits=bits)
    film = read(compressed(make_dicom(samples, bits=bits), syntax))
    want = samples / 255 if bits == 8 else shown(samples)
    np.testing.assert_allclose(film.pixels, want, atol=1e-6)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_signed(make_dicom: MakeDicom, syntax: UID) -> None:
    samples = waves(bits=12).astype(np.int16) - 2048
    film = read(compressed(make_dicom(samples, bits=12), syntax))
    np.testing.assert_allclose(film.pixels, shown(samples), atol=1e-6)


@pytest.mark.parametrize(
    ("syntax", "slow"),
    [
        (RLELossless, "pydicom"),
        (JPEGLSLossless, "gdcm"),
        (JPEGLSNearLossless, "pyjpegls"),
        (JPEG2000Lossless, "pylibjpeg"),
        (JPEG2000, "pylibjpeg"),
        (JPEGLosslessSV1, "gdcm"),
    ],
)
@pytest.mark.parametrize("bits", [8, 10, 16])
def test_decoders_agree_with_slower_ones(
    make_dicom: MakeDicom, tmp_path: Path, syntax: UID, slow: str, bits: int
) -> None:
    noise = np.random.default_rng(bits).integers(-3, 4, (58, 43))
    samples = (waves(58, 43, bits).astype(int) + noise).clip(0, 2**bits - 1)
    data = make_dicom(samples.astype(np.uint16 if bits > 8 else np.uint8), bits=bits)
    how = {
        JPEGLSNearLossless: {"jls_error": 3},
        JPEG2000: {"j2k_cr": [4]},
        RLELossless: {"encoding_plugin": "pydicom"},  # gdcm may die of it
    }
    if syntax == JPEGLosslessSV1:
        data = lossless_jpeg(data, tmp_path)
    else:
        data = compressed(data, syntax, **how.get(syntax, {}))
    ds = pydicom.dcmread(io.BytesIO(data))
    ds.pixel_array_options(decoding_plugin=slow, raw=True)
    ours = pydicom.dcmread(io.BytesIO(data))
    complete_description(ours, [])
    np.testing.assert_array_equal(decode(ours, Limits(), []), ds.pixel_array)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless, JPEGLosslessSV1])
def test_grey_films_stored_in_colour(make_dicom: MakeDicom, syntax: UID) -> None:
    grey = waves(40, 33, bits=8)
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    rgb[:3, :3] = (255, 0, 0)  # a mark, and a pixel by which the channels' order shows
    if syntax == JPEGLosslessSV1:
        frame = imagecodecs.jpeg8_encode(rgb, lossless=True, colorspace="RGB", outcolorspace="RGB")
        data = make_dicom(rgb, syntax=syntax, frame=frame)
    else:
        data = compressed(make_dicom(rgb), syntax)
    ds = pydicom.dcmread(io.BytesIO(data))
    complete_description(ds, [])
    np.testing.assert_array_equal(decode(ds, Limits(), []), rgb)
    assert "stored in colour" in read(data).notes[-1]


def test_near_lossless_jpeg_ls(make_dicom: MakeDicom) -> None:
    samples = waves(bits=12)
    ds = pydicom.dcmread(io.BytesIO(make_dicom(samples, bits=12)))
    ds.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
    buffer = io.BytesIO()
    ds.save_as(buffer)
    np.testing.assert_allclose(read(buffer.getvalue()).pixels, shown(samples), atol=6 / 4095)


@pytest.mark.parametrize("first_order", [True, False])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_lossless(make_dicom: MakeDicom, tmp_path: Path, bits: int, first_order: bool) -> None:
    samples = waves(bits=bits)
    film = read(lossless_jpeg(make_dicom(samples, bits=bits), tmp_path, first_order))
    want = samples / 255 if bits == 8 else shown(samples)
    np.testing.assert_allclose(film.pixels, want, atol=1e-6)


def test_jpeg_baseline_agrees_with_another_decoder(make_dicom: MakeDicom) -> None:
    samples = waves(64, 48, bits=8)
    data = make_dicom(samples, syntax=JPEGBaseline8Bit, frame=jpeg(samples))
    film = read(data)
    ds = pydicom.dcmread(io.BytesIO(data))
    ds.pixel_array_options(decoding_plugin="pillow")
    np.testing.assert_allclose(film.pixels * 255, ds.pixel_array, atol=1.001)
    np.testing.assert_allclose(film.pixels * 255, samples, atol=6)


def test_jpeg_baseline_in_16_allocated_bits(make_dicom: MakeDicom) -> None:
    samples = waves(64, 48, bits=8)
    data = make_dicom(
        samples,
        syntax=JPEGBaseline8Bit,
        frame=jpeg(samples),
        BitsAllocated=16,
        BitsStored=8,
        HighBit=7,
    )
    np.testing.assert_allclose(read(data).pixels * 255, samples, atol=6)


def test_jpeg_that_ends_too_early(make_dicom: MakeDicom) -> None:
    samples = waves(200, 160, bits=8)
    cut = jpeg(samples)[:-1500]
    with pytest.raises(DecodeError, match="cut short"):
        read(make_dicom(samples, syntax=JPEGBaseline8Bit, frame=cut + b"\0" * (len(cut) % 2)))


@pytest.mark.parametrize("behind", [b"\n", b" ", b"\xff\xff", b"\r\n\0\0", b"\0" * 50])
@pytest.mark.parametrize("bits", [8, 12])
def test_bytes_behind_the_end_of_a_jpeg(make_dicom: MakeDicom, behind: bytes, bits: int) -> None:
    samples = waves(64, 48, bits=bits)
    syntax, frame = JPEGBaseline8Bit, jpeg(samples) if bits == 8 else b""
    if bits == 12:
        frame = imagecodecs.jpeg8_encode(samples, level=97, bitspersample=12, optimize=True)
        syntax, frame = JPEGExtended12Bit, frame.replace(b"\xff\xc0", b"\xff\xc1", 1)
    plain = read(make_dicom(samples, bits=bits, syntax=syntax, frame=frame))
    film = read(make_dicom(samples, bits=bits, syntax=syntax, frame=frame + behind))
    np.testing.assert_array_equal(film.pixels, plain.pixels)


def test_frame_of_another_size_than_the_header(make_dicom: MakeDicom) -> None:
    samples = waves(64, 48, bits=8)
    with pytest.raises(DecodeError, match="64x48x1, its header says 10x10x1"):
        read(make_dicom(samples, syntax=JPEGBaseline8Bit, frame=jpeg(samples), Rows=10, Columns=10))


def test_12_bit_jpeg_extended(make_dicom: MakeDicom) -> None:
    samples = waves(64, 48, bits=12)
    frame = imagecodecs.jpeg8_encode(samples, level=97, bitspersample=12, optimize=True)
    frame = frame.replace(b"\xff\xc0", b"\xff\xc1", 1)
    film = read(make_dicom(samples, bits=12, syntax=JPEGExtended12Bit, frame=frame))
    np.testing.assert_allclose(film.pixels, shown(samples), atol=6 / 4095)
    with pytest.raises(DecodeError, match="cut short"):
        read(make_dicom(samples, bits=12, syntax=JPEGExtended12Bit, frame=frame[:-200]))


def test_8_bit_jpeg_extended(make_dicom: MakeDicom) -> None:
    samples = waves(64, 48, bits=8)
    frame = jpeg(samples).replace(b"\xff\xc0", b"\xff\xc1", 1)
    film = read(make_dicom(samples, syntax=JPEGExtended12Bit, frame=frame))
    np.testing.assert_allclose(film.pixels * 255, samples, atol=6)


def test_jpeg2000_in_a_box(make_dicom: MakeDicom) -> None:
    """Some writers put a JP2 file where its codestream belongs."""
    samples = waves(bits=12)
    data = compressed(make_dicom(samples, bits=12), JPEG2000Lossless)
    ds = pydicom.dcmread(io.BytesIO(data))
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    box = b"\0\0\0\x0cjP  \r\n\x87\n"
    ds.PixelData = encapsulate([box + struct.pack(">I", 8 + len(frame)) + b"jp2c" + frame])
    buffer = io.BytesIO()
    ds.save_as(buffer)
    np.testing.assert_allclose(read(buffer.getvalue()).pixels, shown(samples), atol=1e-6)


def stream_of(samples: np.ndarray, syntax: UID, folder: Path, make_dicom: MakeDicom) -> bytes:
    """A compressed frame of as many bits as the samples have."""
    bits = int(samples.max()).bit_length()
    plain = make_dicom(samples, bits=bits)
    whole = lossless_jpeg(plain, folder) if syntax == JPEGLosslessSV1 else compressed(plain, syntax)
    ds = pydicom.dcmread(io.BytesIO(whole))
    return get_frame(ds.PixelData, 0, number_of_frames=1)


DEEP = [JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1]


@pytest.mark.parametrize("syntax", DEEP, ids=lambda one: one.name)
def test_a_stream_deeper_than_bits_stored(
    make_dicom: MakeDicom, tmp_path: Path, syntax: UID
) -> None:
    samples = waves(bits=14)
    frame = stream_of(samples, syntax, tmp_path, make_dicom)
    film = read(make_dicom(samples, bits=12, syntax=syntax, frame=frame))
    np.testing.assert_allclose(film.pixels, shown(samples), atol=1e-6)
    claimed = 16 if syntax == JPEGLosslessSV1 else 14  # gdcm writes so
    assert film.source_bits == claimed
    assert f"have {claimed} bits, not the 12 of Bits Stored" in film.notes[0]


@pytest.mark.parametrize("syntax", DEEP, ids=lambda one: one.name)
def test_a_high_bit_that_the_stream_has_not(
    make_dicom: MakeDicom, tmp_path: Path, syntax: UID
) -> None:
    samples = waves(bits=12)
    frame = stream_of(samples, syntax, tmp_path, make_dicom)
    film = read(make_dicom(samples, bits=12, HighBit=15, syntax=syntax, frame=frame))
    np.testing.assert_allclose(film.pixels, shown(samples), atol=1e-6)
    np.testing.assert_array_equal(
        film.pixels, read(make_dicom(samples, bits=12, syntax=syntax, frame=frame)).pixels
    )


def test_a_high_bit_that_the_stream_has(make_dicom: MakeDicom, tmp_path: Path) -> None:
    samples = waves(bits=12) << 4
    frame = stream_of(samples, JPEG2000Lossless, tmp_path, make_dicom)
    data = make_dicom(samples, bits=12, HighBit=15, syntax=JPEG2000Lossless, frame=frame)
    film = read(data)
    np.testing.assert_allclose(film.pixels, shown(samples), atol=1e-6)
    assert film.source_bits == 12


@pytest.mark.parametrize(
    ("low", "high", "bits", "overlay"),
    [
        (0, 0xFFF, 12, False),
        (-2048, 2047, 12, False),
        (-2048, 5000, 16, False),
        (0, 0xFFFF, 12, True),
    ],
)
def test_a_deeper_stream_of_which_only_the_stored_bits_count(
    make_dicom: MakeDicom, low: int, high: int, bits: int, overlay: bool
) -> None:
    """The sign repeated in the upper bits, or an overlay, is no depth."""
    samples = waves(bits=12).astype(int)
    samples[samples > high] = high
    samples[0, :2] = low, high
    stored = (samples & 0xFFFF).astype(np.uint16)
    frame = imagecodecs.jpegls_encode(stored | np.uint16(0x8000) * overlay)
    more = {} if low == 0 else {"PixelRepresentation": 1}
    data = make_dicom(stored, bits=12, syntax=JPEGLSLossless, frame=frame, **more)
    ds = pydicom.dcmread(io.BytesIO(data))
    if overlay:
        ds.add_new(0x60000102, "US", 15)
    complete_description(ds, [])
    decode(ds, Limits(), [])
    assert ds.BitsStored == bits


def test_htj2k(make_dicom: MakeDicom) -> None:
    y, x = np.mgrid[:6, :5]
    samples = (x * 500 + y * 77).astype(np.uint16)
    film = read(make_dicom(samples, syntax=HTJ2KLossless, frame=bytes.fromhex(HTJ2K_FRAME)))
    np.testing.assert_allclose(film.pixels, shown(samples), atol=1e-6)


@pytest.mark.parametrize("first_order", [True, False])
def test_damaged_markers_never_reach_the_lossless_decoder(
    make_dicom: MakeDicom, tmp_path: Path, first_order: bool
) -> None:
    """gdcm ends the process where a table's marker is broken; here it is one byte of DHT."""
    data = lossless_jpeg(make_dicom(waves(), bits=12), tmp_path, first_order)
    broken = data.replace(b"\xff\xc4\x00", b"\xc9\xc4\x00", 1)
    assert broken != data
    with pytest.raises(DecodeError, match="damaged or cut short"):
        read(broken)


def test_lossless_jpeg_cut_short(make_dicom: MakeDicom, tmp_path: Path) -> None:
    ds = pydicom.dcmread(io.BytesIO(lossless_jpeg(make_dicom(waves(), bits=12), tmp_path)))
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    ds.PixelData = encapsulate([frame[: len(frame) // 4 * 2]])
    buffer = io.BytesIO()
    ds.save_as(buffer)
    with pytest.raises(DecodeError):
        read(buffer.getvalue())


def test_uncompressed_pixels_cut_short(make_dicom: MakeDicom) -> None:
    data = make_dicom(waves(bits=12), bits=12)
    with pytest.raises(DecodeError, match="cut short"):
        read(data[:-400])


@pytest.mark.parametrize("offsets", [(), (0,), (1234,), (0, 16), (0, 308)])
def test_a_frame_in_fragments_whatever_the_offset_table_says(
    make_dicom: MakeDicom, offsets: tuple[int, ...]
) -> None:
    samples = waves(bits=8)
    whole = make_dicom(samples, syntax=JPEGLSLossless, frame=imagecodecs.jpegls_encode(samples))
    ds = pydicom.dcmread(io.BytesIO(whole))
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    table = struct.pack(f"<{len(offsets)}I", *offsets)
    items = [
        struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
        for item in (table, frame[:300], frame[300:])
    ]
    ds.PixelData = b"".join(items) + b"\xfe\xff\xdd\xe0" + bytes(4)
    buffer = io.BytesIO()
    ds.save_as(buffer)
    np.testing.assert_allclose(read(buffer.getvalue()).pixels, samples / 255, atol=1e-6)


@pytest.mark.parametrize("behind", [1, 2, 3, 4, 6, 64])
@pytest.mark.parametrize("segment", [0, 1])
def test_rle_segments_that_are_padded(make_dicom: MakeDicom, segment: int, behind: int) -> None:
    samples = waves()
    ds = pydicom.dcmread(io.BytesIO(compressed(make_dicom(samples, bits=12), RLELossless)))
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    _, start, end = struct.unpack("<3I", frame[:12])
    segments = [frame[start:end], frame[end:]]
    segments[segment] += b"\0" * behind
    header = struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13)
    padded = header + segments[0] + segments[1]
    film = read(make_dicom(samples, bits=12, syntax=RLELossless, frame=padded))
    np.testing.assert_allclose(film.pixels, shown(samples), atol=1e-6)
    cut = header + segments[0] + frame[end : end + 300]
    with pytest.raises(DecodeError, match="damaged or cut short"):
        read(make_dicom(samples, bits=12, syntax=RLELossless, frame=cut))


def test_rle_that_expands_without_end(make_dicom: MakeDicom) -> None:
    header = struct.pack("<16I", 2, 64, 64 + 50_000, *[0] * 13)
    frame = header + b"\x81\0" * 50_000
    with pytest.raises(DecodeError, match="far larger"):
        read(make_dicom(waves(), bits=12, syntax=RLELossless, frame=frame))


def test_deflated_bomb(make_dicom: MakeDicom) -> None:
    samples = np.zeros((4000, 4000), dtype=np.uint16)
    data = make_dicom(samples, syntax=DeflatedExplicitVRLittleEndian)
    assert len(data) < 100_000
    with pytest.raises(FilmTooLarge, match="inflated"):
        read(data, limits=Limits(max_bytes=1_000_000))


def test_the_deflated_syntax_may_be_mentioned(make_dicom: MakeDicom) -> None:
    samples = waves(bits=8)
    film = read(make_dicom(samples, ImageComments=str(DeflatedExplicitVRLittleEndian)))
    np.testing.assert_allclose(film.pixels, samples / 255, atol=1e-6)


def test_video_is_no_film(make_dicom: MakeDicom) -> None:
    with pytest.raises(DecodeError, match="MPEG2"):
        read(make_dicom(waves(), syntax=MPEG2MPML, frame=b"\0\0\1\xb3"))


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("uid", ["1.2.3.4.5", "nonsense"])
def test_unknown_transfer_syntax(make_dicom: MakeDicom, uid: str) -> None:
    known = str(ExplicitVRLittleEndian)
    data = make_dicom(waves()).replace(known.encode(), uid.ljust(len(known), "\0").encode())
    with pytest.raises(DecodeError, match="transfer syntax is unknown"):
        read(data)


def test_without_preamble(make_dicom: MakeDicom) -> None:
    samples = waves(bits=12)
    film = read(make_dicom(samples, bits=12, preamble=False))
    np.testing.assert_allclose(film.pixels, shown(samples), atol=1e-6)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_without_file_meta(make_dicom: MakeDicom, syntax: UID) -> None:
    samples = waves(bits=12)
    film = read(make_dicom(samples, bits=12, syntax=syntax, meta=False))
    np.testing.assert_allclose(film.pixels, shown(samples), atol=1e-6)
    assert any("transfer syntax" in note for note in film.notes)


@pytest.mark.parametrize("planar", [0, 1])
def test_grey_film_in_colour(make_dicom: MakeDicom, planar: int) -> None:
    grey = waves(bits=8)
    rgb = np.stack([grey, grey, grey], axis=2)
    stored = rgb if planar == 0 else np.ascontiguousarray(rgb.transpose(2, 0, 1)).reshape(rgb.shape)
    film = read(make_dicom(stored, PlanarConfiguration=planar))
    np.testing.assert_allclose(film.pixels, grey / 255, atol=1e-3)
    assert "stored in colour" in film.notes[-1]


def test_a_small_coloured_mark_is_no_reason_to_refuse(make_dicom: MakeDicom) -> None:
    rgb = np.repeat(waves(100, 100, bits=8)[:, :, None], 3, axis=2)
    rgb[:8, :8] = (255, 0, 0)
    assert read(make_dicom(rgb)).shape == (100, 100)


def test_coloured_picture_is_refused(make_dicom: MakeDicom) -> None:
    rgb = np.zeros((10, 10, 3), dtype=np.uint8)
    rgb[..., 0] = 200
    with pytest.raises(UnsupportedFilm, match="coloured"):
        read(make_dicom(rgb))


def test_grey_palette(make_dicom: MakeDicom) -> None:
    table = np.arange(256, dtype=np.uint16) * 257
    colours = {
        f"{name}PaletteColorLookupTable{what}": value
        for name in ("Red", "Green", "Blue")
        for what, value in (("Descriptor", [256, 0, 16]), ("Data", table.tobytes()))
    }
    samples = waves(bits=8)
    film = read(make_dicom(samples, PhotometricInterpretation="PALETTE COLOR", **colours))
    np.testing.assert_allclose(film.pixels, samples / 255, atol=1e-3)


@pytest.mark.parametrize(
    ("keyword", "error"),
    [("Rows", DecodeError), ("Columns", DecodeError), ("BitsAllocated", DecodeError)],
)
def test_what_cannot_be_assumed(make_dicom: MakeDicom, keyword: str, error: type) -> None:
    with pytest.raises(error, match="damaged"):
        read(make_dicom(waves(), drop=(keyword,)))


def test_what_can_be_assumed(make_dicom: MakeDicom) -> None:
    samples = waves(bits=16)
    missing = ("PhotometricInterpretation", "BitsStored", "HighBit", "SamplesPerPixel")
    film = read(make_dicom(samples, drop=(*missing, "PixelRepresentation")))
    np.testing.assert_allclose(film.pixels, shown(samples), atol=1e-6)
    assert sum("taken as 16" in n or "MONOCHROME2 is assumed" in n for n in film.notes) == 2


def test_pixel_limit_is_checked_before_decoding(make_dicom: MakeDicom) -> None:
    data = make_dicom(waves(), Rows=65535, Columns=65535)
    with pytest.raises(FilmTooLarge, match="65535x65535"):
        read(data)


def test_decoded_samples_are_as_stored(make_dicom: MakeDicom) -> None:
    samples = waves(bits=12)
    ds = pydicom.dcmread(io.BytesIO(make_dicom(samples, bits=12, syntax=ExplicitVRBigEndian)))
    notes: list[str] = []
    complete_description(ds, notes)
    decoded = decode(ds, Limits(), notes)
    assert decoded.dtype == np.uint16
    assert decoded.dtype.isnative
    np.testing.assert_array_equal(decoded, samples)
