"""Run lengths: hand-computed examples, round trips, and everything that is not a mask."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pleura.errors import RunLengthError
from pleura.read import decode_rle, encode_rle

HAND = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [1, 0, 0, 1]], dtype=np.bool_)
# down the columns: 001 110 100 001: skip 2, set 3, skip 1, set 1, skip 4, set 1
HAND_RLE = "2 3 1 1 4 1"


def test_hand_computed() -> None:
    assert encode_rle(HAND) == HAND_RLE
    assert np.array_equal(decode_rle(HAND_RLE, (3, 4)), HAND)


def test_runs_cross_columns_and_gaps_are_relative() -> None:
    mask = np.zeros((4, 3), dtype=np.bool_)
    mask[3, 0] = mask[0, 1] = mask[2, 2] = True
    assert encode_rle(mask) == "3 2 5 1"


def test_first_pixel_and_full() -> None:
    assert encode_rle(np.ones((2, 3), dtype=np.bool_)) == "0 6"
    assert decode_rle("0 6", (2, 3)).all()


def test_empty() -> None:
    assert encode_rle(np.zeros((5, 7), dtype=np.bool_)) == "-1"
    decoded = decode_rle(" -1\n", (5, 7))
    assert decoded.shape == (5, 7)
    assert decoded.dtype == np.bool_
    assert not decoded.any()


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_shapes_without_pixels(shape: tuple[int, int]) -> None:
    assert encode_rle(np.zeros(shape, dtype=np.bool_)) == "-1"
    assert decode_rle("-1", shape).shape == shape
    with pytest.raises(RunLengthError):
        decode_rle("0 1", shape)


def test_default_shape_is_the_challenges() -> None:
    assert decode_rle("-1").shape == (1024, 1024)


def test_zero_gap_continues_the_run() -> None:
    assert np.array_equal(decode_rle("1 2 0 1", (4, 1)), decode_rle("1 3", (4, 1)))


def test_leading_zeros_are_numbers() -> None:
    assert np.array_equal(decode_rle("0001 00003", (4, 1)), decode_rle("1 3", (4, 1)))


def test_decoded_is_contiguous_and_writable() -> None:
    mask = decode_rle(HAND_RLE, (3, 4))
    assert mask.flags.c_contiguous
    assert mask.flags.writeable


def test_strided_masks_encode_alike() -> None:
    big = np.zeros((6, 8), dtype=np.bool_)
    big[::2, ::2] = HAND
    assert encode_rle(big[::2, ::2]) == HAND_RLE
    assert encode_rle(np.asfortranarray(HAND)) == HAND_RLE


@settings(deadline=None, max_examples=150)
@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=23)))
def test_round_trip(mask: np.ndarray) -> None:
    assert np.array_equal(decode_rle(encode_rle(mask), mask.shape), mask)


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=40), st.integers(0, 12), st.integers(0, 12))
def test_any_text_is_a_mask_or_a_named_error(text: str, rows: int, columns: int) -> None:
    try:
        mask = decode_rle(text, (rows, columns))
    except RunLengthError:
        return
    assert mask.shape == (rows, columns)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1", "odd count"),
        ("1 2 3", "odd count"),
        ("1 -2", "'-2'"),
        ("-1 -1", "'-1'"),
        ("3 0", "length 0"),
        ("1 1 1 0", "run 2 has length 0"),
        ("0 13", "reach pixel 13 of 12"),
        ("10 2 1 1", "reach pixel 14"),
        ("0 99999999999999999999999999", "past the end"),
        ("1.5 2", "'1.5'"),
        ("nan", "'nan'"),
        ("a b", "'a'"),
        ("1_0 1", "'1_0'"),
        ("² 1", "'²'"),
        ("", "empty text"),
        ("  ", "empty text"),
        ("1 1 " * 1000, "characters"),
    ],
)
def test_garbage(text: str, says: str) -> None:
    with pytest.raises(RunLengthError) as caught:
        decode_rle(text, (3, 4))
    assert says in str(caught.value)


@pytest.mark.parametrize("cell", [float("nan"), -1, None])
def test_a_cell_that_is_no_text_is_called_so(cell: object) -> None:
    """As pandas reads an empty one, or a column of -1 alone."""
    with pytest.raises(RunLengthError, match="as text"):
        decode_rle(cell, (3, 4))  # type: ignore[arg-type]


def test_negative_shape() -> None:
    with pytest.raises(RunLengthError):
        decode_rle("-1", (-3, 4))


@pytest.mark.parametrize(
    "mask", [np.zeros((3, 4), np.uint8), np.zeros(12, np.bool_), np.zeros((1, 3, 4), np.bool_)]
)
def test_only_boolean_matrices_encode(mask: np.ndarray) -> None:
    with pytest.raises(RunLengthError):
        encode_rle(mask)


def test_the_challenges_own_rows(real_data: Path) -> None:
    with (real_data / "siim" / "train-rle.csv").open(newline="") as file:
        rows = [row[1].strip() for row in list(csv.reader(file))[1:]]
    drawn = [text for text in rows if text != "-1"][:60]
    assert drawn
    for text in drawn:
        mask = decode_rle(text)
        numbers = [int(word) for word in text.split()]
        assert int(mask.sum()) == sum(numbers[1::2])
        assert np.array_equal(decode_rle(encode_rle(mask)), mask)
