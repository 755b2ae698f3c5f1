"""From stored values to grey levels: every step against numbers worked out by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pleura.errors import DecodeError
from pleura.read import read
from pleura.read.display import window

MakeDicom = Callable[..., bytes]
EXACT = {"atol": 1e-6, "rtol": 0}


def column(*values: int, dtype: type = np.uint16) -> np.ndarray:
    return np.array([values], dtype=dtype)


def lut(first: int, bits: int, data: list[int], entries: int | None = None) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(data) if entries is None else entries, first, bits])
    item.add_new("LUTData", "US", data)
    return item


def test_without_window_deep_films_span_their_values(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(100, 200, 300), bits=12))
    np.testing.assert_allclose(film.pixels, [[0, 0.5, 1]], **EXACT)
    assert film.notes == ("No window: shown from the least to the largest value (100 to 300).",)
    assert film.source_bits == 12


def test_without_window_8_bit_films_stay_as_they_are(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(51, 102, 204, dtype=np.uint8)))
    np.testing.assert_allclose(film.pixels, [[0.2, 0.4, 0.8]], **EXACT)
    assert film.notes == ("No window: the whole range of 8 bits is shown.",)


def test_constant_film_without_window_is_black(make_dicom: MakeDicom) -> None:
    assert not read(make_dicom(column(7, 7, 7))).pixels.any()


def test_linear_window(make_dicom: MakeDicom) -> None:
    # C.11.2.1.2.1 with c=100, w=101: (x - 99.5) / 100 + 0.5
    film = read(make_dicom(column(0, 49, 50, 100, 150, 4000), WindowCenter=100, WindowWidth=101))
    np.testing.assert_allclose(film.pixels, [[0, 0, 0.005, 0.505, 1, 1]], **EXACT)
    assert film.notes == ("Window 1 of 1 applied (LINEAR, center 100, width 101).",)


def test_linear_exact_window(make_dicom: MakeDicom) -> None:
    data = make_dicom(
        column(50, 75, 100, 150), WindowCenter=100, WindowWidth=100, VOILUTFunction="LINEAR_EXACT"
    )
    np.testing.assert_allclose(read(data).pixels, [[0, 0.25, 0.5, 1]], **EXACT)


def test_sigmoid_window(make_dicom: MakeDicom) -> None:
    data = make_dicom(
        column(0, 75, 100, 125), WindowCenter=100, WindowWidth=100, VOILUTFunction="SIGMOID"
    )
    # 1 / (1 + e^4), 1 / (1 + e), 1 / 2, 1 / (1 + 1/e)
    want = [[0.01798621, 0.26894142, 0.5, 0.73105858]]
    np.testing.assert_allclose(read(data).pixels, want, **EXACT)


def test_sigmoid_far_away_does_not_overflow() -> None:
    ends = window(np.array([-1e6, 1e6]), 0.0, 1.0, "SIGMOID")
    np.testing.assert_array_equal(ends, [0.0, 1.0])


def test_window_of_width_one_is_a_step(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(99, 100, 101), WindowCenter=100, WindowWidth=1))
    np.testing.assert_array_equal(film.pixels, [[0, 1, 1]])


def test_first_of_several_windows(make_dicom: MakeDicom) -> None:
    data = make_dicom(column(0, 100, 200), WindowCenter=[100.5, 7], WindowWidth=[201, 3])
    film = read(data)
    np.testing.assert_allclose(film.pixels, [[0, 0.5, 1]], **EXACT)
    assert "Window 1 of 2" in film.notes[0]


@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
def test_first_window_counts_even_beside_an_empty_one(make_dicom: MakeDicom) -> None:
    data = make_dicom(column(0, 100, 200), WindowCenter="100.5", WindowWidth="201")
    data = data.replace(b"DS\x06\x00100.5 ", b"DS\x06\x00100.5\\")
    film = read(data)
    np.testing.assert_allclose(film.pixels, [[0, 0.5, 1]], **EXACT)
    assert "center 100.5, width 201" in film.notes[0]


@pytest.mark.parametrize("width", [0, -5, 0.5])
def test_impossible_windows_are_ignored_and_noted(make_dicom: MakeDicom, width: float) -> None:
    film = read(make_dicom(column(0, 100, 200), WindowCenter=7, WindowWidth=width))
    np.testing.assert_allclose(film.pixels, [[0, 0.5, 1]], **EXACT)
    assert "is ignored" in film.notes[0]


def test_center_without_width_is_no_window(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(0, 100, 200), WindowCenter=7))
    np.testing.assert_allclose(film.pixels, [[0, 0.5, 1]], **EXACT)


def test_unknown_voi_function_is_linear(make_dicom: MakeDicom) -> None:
    data = make_dicom(
        column(0, 100, 200), WindowCenter=100.5, WindowWidth=201, VOILUTFunction="LOGARITHM"
    )
    film = read(data)
    np.testing.assert_allclose(film.pixels, [[0, 0.5, 1]], **EXACT)
    assert "unknown" in film.notes[0]


def test_rescale_comes_before_the_window(make_dicom: MakeDicom) -> None:
    # 2x - 100: 0 -> -100, 50 -> 0, 100 -> 100; window -100.5 + 201 wide about 0.5
    data = make_dicom(
        column(0, 50, 100), RescaleSlope=2, RescaleIntercept=-100, WindowCenter=0.5, WindowWidth=201
    )
    np.testing.assert_allclose(read(data).pixels, [[0, 0.5, 1]], **EXACT)


def test_negative_slope_turns_the_film(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(0, 50, 100), RescaleSlope=-1, RescaleIntercept=4095))
    np.testing.assert_allclose(film.pixels, [[1, 0.5, 0]], **EXACT)


def test_8_bit_film_with_rescale_spans_its_values(make_dicom: MakeDicom) -> None:
    data = make_dicom(column(10, 20, 30, dtype=np.uint8), RescaleSlope=3, RescaleIntercept=0)
    np.testing.assert_allclose(read(data).pixels, [[0, 0.5, 1]], **EXACT)


def test_slope_zero_is_ignored(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(0, 50, 100), RescaleSlope=0, RescaleIntercept=5))
    np.testing.assert_allclose(film.pixels, [[0, 0.5, 1]], **EXACT)
    assert "slope of 0" in film.notes[0]


def test_modality_lut_clamps_at_both_ends(make_dicom: MakeDicom) -> None:
    table = lut(10, 12, [1000, 0, 500])
    film = read(make_dicom(column(0, 10, 11, 12, 99), ModalityLUTSequence=[table]))
    np.testing.assert_allclose(film.pixels, [[1, 1, 0, 0.5, 0.5]], **EXACT)
    assert film.notes[0] == "Modality LUT applied."


def test_voi_lut_is_on_its_own_scale_and_precedes_the_window(make_dicom: MakeDicom) -> None:
    table = lut(0, 8, [0, 51, 255])
    data = make_dicom(
        column(0, 1, 2, 3), VOILUTSequence=[table, table], WindowCenter=1, WindowWidth=1
    )
    film = read(data)
    np.testing.assert_allclose(film.pixels, [[0, 0.2, 1, 1]], **EXACT)
    assert film.notes == ("VOI LUT 1 of 2 applied.",)


def test_voi_lut_starts_at_a_negative_value(make_dicom: MakeDicom) -> None:
    table = lut(65534, 8, [0, 51, 102])  # 65534 read as signed is -2
    data = make_dicom(column(-2, -1, 0, dtype=np.int16), VOILUTSequence=[table])
    np.testing.assert_allclose(read(data).pixels, [[0, 0.2, 0.4]], **EXACT)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_voi_lut_behind_a_rescale_to_negative_values(make_dicom: MakeDicom, syntax: UID) -> None:
    table = lut(65534, 8, [0, 51, 102])  # -2: signed as its inputs are (C.11.2.1.1)
    data = {"RescaleSlope": 1, "RescaleIntercept": -1024, "VOILUTSequence": [table]}
    film = read(make_dicom(column(1022, 1023, 1024), bits=12, syntax=syntax, **data))
    np.testing.assert_allclose(film.pixels, [[0, 0.2, 0.4]], **EXACT)


def test_a_voi_lut_from_below_zero_of_signed_samples_above_it(make_dicom: MakeDicom) -> None:
    table = lut(65534, 8, [0, 51, 102, 153, 204])  # from -2
    film = read(make_dicom(column(0, 1, 2, dtype=np.int16), VOILUTSequence=[table]))
    np.testing.assert_allclose(film.pixels, [[0.4, 0.6, 0.8]], **EXACT)


def test_a_voi_lut_behind_a_modality_lut_of_signed_samples(make_dicom: MakeDicom) -> None:
    modality = lut(65535, 16, [40000, 40001, 40002])  # from -1
    tables = {"ModalityLUTSequence": [modality], "VOILUTSequence": [lut(40000, 8, [0, 51, 102])]}
    film = read(make_dicom(column(-1, 0, 1, dtype=np.int16), **tables))
    np.testing.assert_allclose(film.pixels, [[0, 0.2, 0.4]], **EXACT)


def test_lut_of_65536_entries_is_written_as_0(make_dicom: MakeDicom) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [0, 0, 16])
    item.add_new("LUTData", "OW", np.arange(65535, -1, -1, dtype=np.uint16).tobytes())
    film = read(make_dicom(column(0, 65535), VOILUTSequence=[item]))
    np.testing.assert_allclose(film.pixels, [[1, 0]], **EXACT)


def test_lut_of_bytes(make_dicom: MakeDicom) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 0, 8])
    item.add_new("LUTData", "OW", bytes([0, 51, 102, 255]))
    film = read(make_dicom(column(0, 1, 2, 3), VOILUTSequence=[item]))
    np.testing.assert_allclose(film.pixels, [[0, 0.2, 0.4, 1]], **EXACT)


@pytest.mark.parametrize(
    ("syntax", "order"),
    [
        (ExplicitVRBigEndian, ">u2"),
        (ExplicitVRLittleEndian, "<u2"),
        (ImplicitVRLittleEndian, "<u2"),
    ],
)
def test_words_of_a_lut_are_in_the_files_byte_order(
    make_dicom: MakeDicom, syntax: UID, order: str
) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [3, 0, 12])
    item.add_new("LUTData", "OW", np.array([0, 819, 4095], dtype=order).tobytes())
    film = read(make_dicom(column(0, 1, 2), syntax=syntax, VOILUTSequence=[item]))
    np.testing.assert_allclose(film.pixels, [[0, 0.2, 1]], **EXACT)


@pytest.mark.parametrize("bits", [8, 12])
def test_a_lut_of_words_with_one_too_few(make_dicom: MakeDicom, bits: int) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, bits])
    item.add_new("LUTData", "OW", np.arange(4095, dtype="<u2").tobytes())
    with pytest.raises(DecodeError, match="VOILUTSequence has 4095 of 4096 entries"):
        read(make_dicom(column(0, 4095), bits=12, VOILUTSequence=[item]))


@pytest.mark.filterwarnings("ignore:Invalid value. a value for a tag with VR US")
def test_a_lut_of_many_entries_beside_signed_samples(make_dicom: MakeDicom) -> None:
    """Implicit VR: pydicom takes the descriptor as signed, 49,152 as -16,384."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [49152, 0, 16])
    item.add_new("LUTData", "OW", np.arange(49152, dtype="<u2").tobytes())
    samples = column(0, 30000, dtype=np.int16)
    film = read(make_dicom(samples, syntax=ImplicitVRLittleEndian, VOILUTSequence=[item]))
    np.testing.assert_allclose(film.pixels, [[0, 30000 / 65535]], **EXACT)


@pytest.mark.parametrize("kept", ["LUTDescriptor", "LUTData", "LUTExplanation"])
def test_an_emptied_lut_leaves_it_to_the_window(make_dicom: MakeDicom, kept: str) -> None:
    item = lut(0, 8, [0, 51, 255])
    item.LUTExplanation = "NORMAL"
    for keyword in {"LUTDescriptor", "LUTData"} - {kept}:
        delattr(item, keyword)
    data = {"VOILUTSequence": [item], "WindowCenter": 100.5, "WindowWidth": 201}
    film = read(make_dicom(column(0, 100, 200), **data))
    np.testing.assert_allclose(film.pixels, [[0, 0.5, 1]], **EXACT)
    assert film.notes[0] == "A VOI LUT without its data is ignored."
    with pytest.raises(DecodeError, match="VOILUTSequence"):
        read(make_dicom(column(0, 100, 200), VOILUTSequence=[item]))


@pytest.mark.parametrize(
    ("entries", "bits", "data"), [(9, 8, [1, 2]), (2, 0, [1, 2]), (2, 17, [1, 2])]
)
def test_broken_luts(make_dicom: MakeDicom, entries: int, bits: int, data: list[int]) -> None:
    with pytest.raises(DecodeError, match="VOILUTSequence"):
        read(make_dicom(column(0, 1), VOILUTSequence=[lut(0, bits, data, entries)]))


def test_monochrome1(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(0, 100, 200), PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(film.pixels, [[1, 0.5, 0]], **EXACT)
    assert film.notes[-1] == "Inverted for display (MONOCHROME1)."


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_inverse_is_applied_once(make_dicom: MakeDicom, photometric: str) -> None:
    data = make_dicom(
        column(0, 50, 200),
        PhotometricInterpretation=photometric,
        PresentationLUTShape="INVERSE",
        WindowCenter=100.5,
        WindowWidth=201,
    )
    np.testing.assert_allclose(read(data).pixels, [[1, 0.75, 0]], **EXACT)


def test_identity_shape_does_nothing(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(0, 200), PresentationLUTShape="IDENTITY"))
    np.testing.assert_array_equal(film.pixels, [[0, 1]])


def test_padding_is_air_and_does_not_stretch(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(4095, 100, 200, 300), PixelPaddingValue=4095))
    np.testing.assert_allclose(film.pixels, [[0, 0, 0.5, 1]], **EXACT)
    assert film.notes[0] == "Pixels of the padding value are drawn as air."


def test_padding_is_air_after_inversion_too(make_dicom: MakeDicom) -> None:
    data = make_dicom(
        column(0, 100, 200, 300), PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1"
    )
    np.testing.assert_allclose(read(data).pixels, [[0, 1, 0.5, 0]], **EXACT)


def test_padding_range(make_dicom: MakeDicom) -> None:
    data = make_dicom(column(5, 7, 10, 20), PixelPaddingValue=7, PixelPaddingRangeLimit=0)
    np.testing.assert_allclose(read(data).pixels, [[0, 0, 0, 1]], **EXACT)


def test_all_padding(make_dicom: MakeDicom) -> None:
    assert not read(make_dicom(column(9, 9), PixelPaddingValue=9)).pixels.any()


def test_signed_padding(make_dicom: MakeDicom) -> None:
    data = make_dicom(column(-2000, -100, 0, 100, dtype=np.int16), PixelPaddingValue=-2000)
    np.testing.assert_allclose(read(data).pixels, [[0, 0, 0.5, 1]], **EXACT)


def test_signed_samples(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(-100, 0, 100, dtype=np.int16)))
    np.testing.assert_allclose(film.pixels, [[0, 0.5, 1]], **EXACT)


def test_signed_12_bit_samples_without_sign_extension(make_dicom: MakeDicom) -> None:
    # 0xF9C is -100 in 12 bits
    data = make_dicom(column(0xF9C, 0, 100), bits=12, PixelRepresentation=1)
    np.testing.assert_allclose(read(data).pixels, [[0, 0.5, 1]], **EXACT)


def test_garbage_above_the_stored_bits(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(0xF000 | 100, 0x3000 | 200, 300), bits=12))
    np.testing.assert_allclose(film.pixels, [[0, 0.5, 1]], **EXACT)


def test_high_bit_above_the_stored_bits(make_dicom: MakeDicom) -> None:
    data = make_dicom(column(100 << 4 | 15, 200 << 4, 300 << 4), bits=12, HighBit=15)
    np.testing.assert_allclose(read(data).pixels, [[0, 0.5, 1]], **EXACT)


def test_16_bit_values_above_half(make_dicom: MakeDicom) -> None:
    film = read(make_dicom(column(0, 32768, 65535)))
    np.testing.assert_allclose(film.pixels, [[0, 32768 / 65535, 1]], **EXACT)


@pytest.mark.parametrize("bits", [10, 12, 14, 15, 16])
def test_every_depth(make_dicom: MakeDicom, bits: int) -> None:
    top = 2**bits - 1
    film = read(make_dicom(column(0, top // 3, top), bits=bits))
    np.testing.assert_allclose(film.pixels, [[0, (top // 3) / top, 1]], **EXACT)
    assert film.source_bits == bits
