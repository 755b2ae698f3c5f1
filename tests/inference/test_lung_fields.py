"""Lung fields from label maps drawn by hand."""

import numpy as np
import pytest

from pleura.inference.lung_fields import LungFields
from pleura.radiograph import Radiograph


def film(shape: tuple[int, int] = (40, 40), **more) -> Radiograph:
    return Radiograph(np.full(shape, 0.5, np.float32), 8, "png", "f.png", **more)


def label_map() -> np.ndarray:
    """40x40: a lung of 20x10 at the image's left, one of 20x8 at its right, a heart between."""
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, 5:15] = 1
    labels[10:30, 25:33] = 2
    labels[20:30, 16:24] = 3
    return labels


def test_the_fields_are_those_of_the_map() -> None:
    labels = label_map()
    fields = LungFields.of(labels, film())
    assert fields.doubt is None
    np.testing.assert_array_equal(fields.right, labels == 1)
    np.testing.assert_array_equal(fields.left, labels == 2)
    np.testing.assert_array_equal(fields.labels, np.where(labels == 3, 0, labels))
    assert fields.lung("right") is fields.right
    assert fields.lung("left") is fields.left


@pytest.mark.parametrize("view", ["PA", "AP", None])
def test_the_side_follows_from_the_orientation_alone(view) -> None:
    labels = label_map()
    turned = LungFields.of(labels, film(image_left="left", side_basis="orientation", view=view))
    np.testing.assert_array_equal(turned.left, labels == 1)
    np.testing.assert_array_equal(turned.right, labels == 2)
    usual = LungFields.of(labels, film(view=view))
    np.testing.assert_array_equal(usual.right, labels == 1)


def test_specks_go_and_holes_are_filled() -> None:
    labels = label_map()
    labels[2:4, 2:4] = 1  # a speck
    labels[38, 38] = 2
    labels[15:18, 8:11] = 0  # a hole
    labels[20:22, 28:30] = 3  # of another label
    fields = LungFields.of(labels, film())
    np.testing.assert_array_equal(fields.labels, np.where(label_map() == 3, 0, label_map()))


@pytest.mark.parametrize("shape", [(400, 200), (100, 130), (20, 24), (3000, 2500)])
def test_the_map_covers_the_whole_film_whatever_its_matrix(shape) -> None:
    fields = LungFields.of(label_map(), film(shape))
    rows, columns = np.nonzero(fields.right)
    down, along = shape[0] / 40, shape[1] / 40
    assert rows.min() == pytest.approx(10 * down, abs=1)
    assert rows.max() + 1 == pytest.approx(30 * down, abs=1)
    assert columns.min() == pytest.approx(5 * along, abs=1)
    assert columns.max() + 1 == pytest.approx(15 * along, abs=1)
    # straight edges stay where they are; corners are rounded by the interpolation
    assert fields.right.mean() == pytest.approx(200 / 1600, rel=0.03)


def test_touching_lungs_do_not_overlap() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, 5:20], labels[10:30, 20:35] = 1, 2
    fields = LungFields.of(labels, film((333, 77)))
    assert not (fields.right & fields.left).any()
    assert fields.right.any()
    assert fields.left.any()


def changed(rows: slice, columns: slice, value: int, was: int | None = None) -> np.ndarray:
    labels = label_map()
    if was is not None:
        labels[labels == was] = 0
    labels[rows, columns] = value
    return labels


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.zeros((40, 40), np.uint8), "The right lung was not found."),
        (changed(slice(0), slice(0), 0, was=2), "The left lung was not found."),
        (changed(slice(0, 5), slice(5, 10), 1, was=1), "too small: 1.6 %"),
        (changed(slice(0, 40), slice(0, 17), 1), "right lung is too large: 42.5 %"),
        (changed(slice(10, 17), slice(25, 30), 2, was=2), "6 times as large"),
        (label_map()[:, ::-1].copy(), "each other's side"),
    ],
)
def test_what_is_no_pair_of_lungs(labels, says) -> None:
    assert says in (LungFields.of(labels, film()).doubt or "")


def test_in_doubt_the_patients_side_is_named() -> None:
    labels = changed(slice(0), slice(0), 0, was=2)
    turned = LungFields.of(labels, film(image_left="left", side_basis="orientation"))
    assert turned.doubt == "The right lung was not found."


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((4, 4), np.int64),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.full((4, 4), 4, np.uint8),
    ],
)
def test_what_is_no_label_map(labels) -> None:
    with pytest.raises(ValueError, match="a label map is uint8"):
        LungFields.of(labels, film())


def test_fields_are_of_one_shape() -> None:
    one, other = np.zeros((4, 4), bool), np.zeros((4, 5), bool)
    with pytest.raises(ValueError, match="of one shape"):
        LungFields(one, other)
    with pytest.raises(ValueError, match="of one shape"):
        LungFields(one.astype(np.uint8), one)


@pytest.mark.parametrize(
    ("window", "side"),
    [
        ((slice(12, 20), slice(10, 20)), "right"),  # half of it in the lung at the image's left
        ((slice(12, 20), slice(14, 27)), "left"),  # one column in that, two in the other
        ((slice(2, 6), slice(8, 12)), "right"),  # above the one, in neither
        ((slice(32, 36), slice(26, 30)), "left"),  # below the other
        (
            (slice(2, 6), slice(18, 20)),
            "right",
        ),  # nearer to the one's middle column, 9.5, than to 28.5
        ((slice(2, 6), slice(19, 21)), "left"),  # the other way round
    ],
)
def test_a_region_s_side_is_that_of_the_lung_it_shares_most_with_or_is_nearer_to(
    window: tuple[slice, slice], side: str
) -> None:
    rows, columns = window
    region = np.ones((rows.stop - rows.start, columns.stop - columns.start), np.bool_)
    for image_left in ("right", "left"):
        fields = LungFields.of(label_map(), film(image_left=image_left))
        found = fields.side_of(region, rows.start, columns.start)
        assert (found == side) == (image_left == "right")
