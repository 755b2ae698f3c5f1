"""The guidelines' sizes, on chests whose sizes are known in mm."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from chests import box, ellipse, film, found, header, rectangles
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from pydicom import Dataset

from pleura.extent import MEASURES, Extent, Line
from pleura.inference.lung_fields import LungFields
from pleura.inference.measurements import measure
from pleura.inference.measurements.distances import collins_percent
from pleura.inference.measurements.posture import why_no_distances
from pleura.read.posture import posture_doubt

DISTANCES = ("apex_to_cupola_mm", "rim_at_hilum_mm", "rim_lateral_mm", "collins_percent")


def measured(mask, chest, fields) -> tuple[Extent, ...]:
    return measure(mask, found(mask, chest, fields), chest, fields)


def collapse(chest, apex=40, rim=25):
    """Air of `apex` mm above and `rim` mm lateral to the lung at the image's left."""
    return box(chest, 60, 40, 60 + apex, 150) | box(chest, 60, 40, 300, 40 + rim)


def only(mask, chest, fields=None) -> Extent:
    (extent,) = measured(mask, chest, fields or rectangles(chest))
    return extent


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 2.0), (2.0, 0.5), (0.2, 0.25)])
def test_a_rectangular_collapse(spacing) -> None:
    chest = film(spacing)
    rim = 26  # a whole number of columns at each spacing
    extent = only(collapse(chest, rim=rim), chest)
    assert extent.side == "right"
    assert extent.apex_to_cupola_mm == pytest.approx(40)
    assert extent.rim_at_hilum_mm == pytest.approx(rim)
    assert extent.rim_lateral_mm == pytest.approx(rim)
    assert extent.collins_percent == pytest.approx(4.2 + 4.7 * (4.0 + 2.6 + 2.6))
    # of 240 x 110 mm: 40 x 110 above, and 200 x 26 beside the lung
    assert extent.area_fraction_of_lung == pytest.approx((4400 + 5200) / 26400)
    assert (extent.accp_2001, extent.bts_2010, extent.bts_2023) == ("large", "large", "large")
    assert extent.spacing_basis == "detector"
    assert extent.reasons == {}


def test_the_lines_lie_where_the_distances_were_taken() -> None:
    chest = film((0.5, 2.0))
    lines = {line.name: line for line in only(collapse(chest, rim=26), chest).lines}
    assert set(lines) == {
        "apex_to_cupola_mm",
        "rim_at_hilum_mm",
        "rim_lateral_mm",
        "collins_upper",
        "collins_lower",
    }
    # the lung begins 26 mm from the wall at 40 mm: its middle is at 108 mm, column 54
    assert lines["apex_to_cupola_mm"] == Line("apex_to_cupola_mm", (120, 54), (200, 54), 40)
    # 45 % of 480 rows below row 120, in the middle of the row; from column 20 to 33
    assert lines["rim_at_hilum_mm"] == Line("rim_at_hilum_mm", (336.5, 20), (336.5, 33), 26)
    # the lung has 400 rows from 200 on
    assert lines["collins_upper"].start == (300.5, 20)
    assert lines["collins_lower"].end == (500.5, 33)


def test_lines_of_the_other_side_start_at_its_wall() -> None:
    chest = film()
    mask = collapse(chest)[:, ::-1].copy()  # 320 to 295 mm
    line = next(line for line in only(mask, chest).lines if line.name == "rim_at_hilum_mm")
    assert (line.start[1], line.end[1], line.mm) == (320, 295, 25)


def test_a_lung_collapsed_to_an_ellipse() -> None:
    chest = film((0.4, 0.5))
    fields = rectangles(chest)
    lung = ellipse(chest, 200, 110, 80, 30)  # from 120 to 280 mm, and from 80 mm on at its middle
    extent = only(fields.right & ~lung, chest, fields)
    assert extent.apex_to_cupola_mm == pytest.approx(60, abs=0.8)
    # at 45 % of 240 mm below 60: 168 mm, 32 above the middle
    assert extent.rim_at_hilum_mm == pytest.approx(
        110 - 30 * np.sqrt(1 - (32 / 80) ** 2) - 40, abs=0.8
    )
    # at a quarter and at three quarters of its height, 40 mm from its middle
    rim = 110 - 30 * np.sqrt(0.75) - 40
    assert extent.rim_lateral_mm == pytest.approx(rim, abs=0.8)
    assert extent.collins_percent == pytest.approx(
        min(100.0, collins_percent(60 + 2 * rim)), abs=0.8
    )


@pytest.mark.parametrize(
    ("apex", "rim", "classes"),
    [
        (30, 20, ("large", "large", "large")),
        (29, 19, ("small", "small", "large")),  # apically more than 2 cm
        (19, 19, ("small", "small", "small")),
        (19, 20, ("small", "large", "large")),
        (0, 25, ("small", "large", "large")),
        (35, 0, ("large", "small", "large")),
    ],
)
def test_classes_follow_from_the_distances_alone(apex, rim, classes) -> None:
    extent = only(collapse(film(), apex, rim), film())
    assert (extent.apex_to_cupola_mm, extent.rim_lateral_mm) == (apex, rim)
    assert (extent.accp_2001, extent.bts_2010, extent.bts_2023) == classes


def test_a_large_area_alone_is_not_large() -> None:
    chest = film()
    basal = box(chest, 250, 45, 300, 150)  # beneath the lung: wide, and nothing lateral or apical
    extent = only(basal, chest)
    assert extent.area_fraction_of_lung == pytest.approx(50 * 105 / 26400)
    assert (extent.apex_to_cupola_mm, extent.rim_lateral_mm) == (0, 0)
    assert extent.collins_percent is None  # 4.2 % would be of nothing measured
    assert "no air at the three places" in extent.reasons["collins_percent"]
    assert extent.lines == ()


def test_the_lung_field_may_leave_the_air_out() -> None:
    """As a network does that takes a lung's field for what is aerated."""
    chest = film()
    air, fields = collapse(chest), rectangles(chest)
    without = LungFields(fields.right & ~air, fields.left)
    assert only(air, chest, without) == only(air, chest, fields)


@pytest.mark.parametrize("off_mm", [3, 9, 14])
def test_what_lies_between_the_air_and_the_wall_is_neither_lung_nor_air(off_mm) -> None:
    """A lung's field that was drawn too large changes nothing."""
    chest = film()
    air = collapse(chest, apex=40, rim=25)
    large = box(chest, 60 - off_mm, 40 - off_mm, 300, 150)
    extent = only(air, chest, LungFields(large, rectangles(chest).left))
    assert extent.apex_to_cupola_mm == 40
    assert (extent.rim_at_hilum_mm, extent.rim_lateral_mm) == (25, 25)


def test_air_inside_of_the_lung_is_no_rim() -> None:
    chest = film()
    inner = box(chest, 100, 70, 240, 85)  # 30 mm off the wall, 40 mm below the cupola
    extent = only(inner, chest)
    assert (extent.apex_to_cupola_mm, extent.rim_lateral_mm) == (0, 0)


@pytest.mark.parametrize(("across", "rim"), [(10, 0), (20, 40), (30, 50)])
def test_a_rim_is_one_where_half_of_it_is_air(across, rim) -> None:
    """Air from top to bottom, 20 mm from the wall: what it cuts off of the lung is not the lung."""
    chest = film()
    extent = only(box(chest, 60, 60, 300, 60 + across), chest)
    assert extent.rim_lateral_mm == pytest.approx(rim)
    assert extent.rim_at_hilum_mm == pytest.approx(rim)
    assert (extent.collins_percent is None) == (rim == 0)


@pytest.mark.parametrize("off_mm", [-3, 3])
def test_outlines_a_few_mm_off_change_distances_by_as_much(off_mm) -> None:
    """The lesion's outline by one network, the lung's by another: neither is exact."""
    chest = film()
    fields = rectangles(chest)
    lung = ellipse(chest, 200, 110, 80, 30)
    air = fields.right & ~lung
    kernel = np.ones((7, 7), np.uint8)
    turn = cv2.erode if off_mm < 0 else cv2.dilate
    exact = only(air, chest, fields)
    for mask, field in (
        (turn(air.astype(np.uint8), kernel) > 0, fields.right),
        (air, turn(fields.right.astype(np.uint8), kernel) > 0),
    ):
        found_so = only(mask, chest, LungFields(field, fields.left))
        for name in ("apex_to_cupola_mm", "rim_at_hilum_mm", "rim_lateral_mm"):
            assert abs(getattr(found_so, name) - getattr(exact, name)) <= 7  # at both ends


def test_the_lateral_rim_is_never_less_than_that_at_the_hilum() -> None:
    chest = film()
    # The lung begins 40 % down the cavity, so that the hilum lies in its uppermost quarter.
    air = box(chest, 60, 40, 156, 150) | box(chest, 156, 40, 180, 80) | box(chest, 180, 40, 300, 60)
    extent = only(air, chest)
    assert extent.apex_to_cupola_mm == 96
    assert (extent.rim_at_hilum_mm, extent.rim_lateral_mm) == (40, 40)
    assert extent.collins_percent == pytest.approx(4.2 + 4.7 * (9.6 + 2 + 2))


def test_one_odd_row_does_not_count() -> None:
    chest = film()
    air = collapse(chest)
    spike = air | box(chest, 167, 65, 169, 140)
    assert only(spike, chest).rim_at_hilum_mm == 25
    assert only(spike, chest).rim_lateral_mm == 25


def test_disease_of_both_sides_is_two_extents() -> None:
    chest = film()
    mask = collapse(chest, 40, 25) | collapse(chest, 20, 10)[:, ::-1]
    extents = measured(mask, chest, rectangles(chest))
    assert [extent.side for extent in extents] == ["right", "left"]
    assert [extent.apex_to_cupola_mm for extent in extents] == [40, 20]
    assert [extent.rim_at_hilum_mm for extent in extents] == [25, 10]
    other = measured(mask[:, ::-1], chest, rectangles(chest))
    assert [extent.side for extent in other] == ["left", "right"]  # the larger area first


def test_two_lesions_of_a_side_are_one_extent() -> None:
    chest = film()
    mask = box(chest, 60, 40, 90, 150) | box(chest, 120, 40, 240, 60)
    assert len(found(mask, chest)) == 2
    extent = only(mask, chest)
    assert (extent.apex_to_cupola_mm, extent.rim_at_hilum_mm) == (30, 20)


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (lambda chest: box(chest, 60, 40, 300, 150), "no lung is left"),
        (lambda chest: box(chest, 60, 40, 200, 150), "No lung is left at the level of the hilum"),
        (lambda chest: box(chest, 250, 40, 400, 60), "lower edge"),
        (lambda chest: box(chest, 100, 0, 200, 60), "lateral edge"),
        (
            lambda chest: box(chest, 100, 40, 200, 60) | box(chest, 320, 60, 340, 90),
            "apart from the lung field",
        ),
    ],
)
def test_what_cannot_be_measured(mask, says) -> None:
    chest = film()
    extent = only(mask(chest), chest)
    assert says in extent.reasons["rim_at_hilum_mm"]
    assert extent.rim_at_hilum_mm is None
    assert extent.bts_2010 is None
    assert extent.area_fraction_of_lung is not None


@pytest.mark.parametrize("spacing", [(0.5, 2.0), (2.0, 0.5)])
@pytest.mark.parametrize(("off_mm", "apart"), [(6, False), (14, True)])
def test_a_lesion_is_apart_from_10_mm_on_in_either_direction(spacing, off_mm, apart) -> None:
    chest = film(spacing)
    rim = collapse(chest, rim=26)
    for speck in (
        box(chest, 60 - off_mm - 8, 80, 60 - off_mm, 100),  # above the field
        box(chest, 180, 40 - off_mm - 8, 200, 40 - off_mm),  # beside it
    ):
        extent = only(rim | speck, chest)
        said = extent.reasons.get("rim_lateral_mm", "")
        assert said.startswith("A lesion lies apart") == apart


def test_lungs_cut_off_at_the_top_are_not_measured() -> None:
    chest = film()
    fields = LungFields(box(chest, 0, 40, 240, 150), box(chest, 0, 210, 240, 320))
    extent = only(box(chest, 0, 40, 40, 150), chest, fields)
    assert "upper edge" in extent.reasons["apex_to_cupola_mm"]
    assert extent.area_fraction_of_lung == pytest.approx(40 / 240)


@pytest.mark.parametrize(
    ("right", "says"),
    [
        # found in parts: the lung but for a broad strip across its middle; the same below the air
        (((60, 40, 130, 150), (210, 40, 300, 70)), "right lung field does not have the shape"),
        (((60, 40, 165, 150),), "right lung field is too low"),  # 105 of 400 mm
        (((60, 40, 300, 85),), "One lung field is too small beside the other"),  # 45 of 110 mm
        (((90, 40, 300, 150),), "cupolas"),  # 30 mm lower than the other, of 240
    ],
)
def test_what_does_not_look_like_two_lungs_is_not_measured(right, says) -> None:
    chest = film()
    whole = rectangles(chest)
    field = np.logical_or.reduce([box(chest, *corners) for corners in right])
    fields = LungFields(field, whole.left)
    air = box(chest, 120, 40, 160, 60)
    extent = only(air, chest, fields)
    assert all(says in why for why in extent.reasons.values())
    assert extent.area_fraction_of_lung is None
    assert only(air, chest).reasons == {}
    healthy = only(air[:, ::-1].copy(), chest, fields)  # the lung in doubt is the other one
    assert healthy.side == "left"
    assert all(says in why for why in healthy.reasons.values())


def test_the_air_may_make_up_for_what_the_field_leaves_out() -> None:
    chest = film()
    whole = rectangles(chest)
    air = collapse(chest, apex=60, rim=60)
    fields = LungFields(
        whole.right & ~air, whole.left
    )  # itself less than half as large as the other
    assert np.count_nonzero(fields.right) < 0.45 * np.count_nonzero(fields.left)
    assert only(air, chest, fields).apex_to_cupola_mm == 60


def test_bts_2023_is_large_by_one_distance_and_small_by_both() -> None:
    reasons = dict.fromkeys(MEASURES, "Because.")

    def size(**known) -> str | None:
        left = {name: why for name, why in reasons.items() if name not in known}
        return Extent("right", **known, reasons=left).bts_2023

    assert size(apex_to_cupola_mm=20.0) == "large"
    assert size(rim_lateral_mm=20.0) == "large"
    assert size(rim_lateral_mm=19.9) is None
    assert size(rim_lateral_mm=19.9, apex_to_cupola_mm=0.0) == "small"


def test_an_extent_says_why() -> None:
    with pytest.raises(ValueError, match="a reason for each measure"):
        Extent("right")
    with pytest.raises(ValueError, match="for no other"):
        Extent("right", 0.1, 1.0, 1.0, 1.0, 1.0, reasons={"collins_percent": "Because."})


def test_collins_formula_as_published() -> None:
    assert collins_percent(10 + 20 + 30) == pytest.approx(4.2 + 4.7 * 6)
    assert collins_percent(500) == 100


def of_view(code: str, meaning: str, modifier: Dataset | None = None) -> Dataset:
    more = {} if modifier is None else {"ViewModifierCodeSequence": [modifier]}
    return header(ViewCodeSequence=[header(CodeValue=code, CodeMeaning=meaning, **more)])


def lying(code: str) -> Dataset:
    posture = header(CodeValue=code, CodeMeaning="")
    recumbent = header(
        CodeValue="", CodeMeaning="", PatientOrientationModifierCodeSequence=[posture]
    )
    return header(PatientOrientationCodeSequence=[recumbent])


@pytest.mark.parametrize(
    ("film_says", "why"),
    [
        ({}, None),
        ({"header": header(SeriesDescription="W Chest PA erect")}, None),
        ({"header": header(ProtocolName="Thorax p.a. stehend", PatientPosition="")}, None),
        ({"header": header(SeriesDescription="BEDFORD GENERAL chest")}, None),
        ({"header": header(ViewPosition="PA ERECT")}, None),
        (
            {"header": header(ViewPosition="PA SUPINE")},
            "ViewPosition (supine)",
        ),
        ({"spacing_basis": "calibrated"}, None),
        ({"view": "AP"}, "The film is AP: the patient's posture is not known."),
        ({"view": None}, "It is not known whether the film is PA"),
        ({"spacing_basis": "implausible"}, "not that of a chest film"),
        ({"spacing_basis": "unknown"}, "how large a pixel is"),
        ({"spacing_mm": None, "spacing_basis": "unknown"}, "how large a pixel is"),
        ({"header": header(ProtocolName="CHEST_SUPINE_ICU")}, "ProtocolName (supine)"),
        ({"header": header(SeriesDescription="Portable chest")}, "SeriesDescription (portable)"),
        ({"header": header(StudyDescription="Thorax im Liegen")}, "StudyDescription (liegen)"),
        ({"header": header(SeriesDescription="Chest, bed")}, "SeriesDescription (bed)"),
        ({"header": header(ProtocolName="semi-erect")}, "ProtocolName (semi-erect)"),
        ({"header": header(ViewPosition="PA NOT ERECT")}, "ViewPosition (not erect)"),
        ({"header": header(PatientPosition="HFS")}, "PatientPosition (HFS)"),
        ({"header": lying("40199007")}, "PatientOrientationModifierCodeSequence (a code)"),
        ({"header": of_view("272479007", "postero-anterior")}, None),
        (
            {"header": of_view("1", "", header(CodeValue="260450008", CodeMeaning="lordotic"))},
            "ViewModifierCodeSequence (a code)",
        ),
    ],
)
def test_when_no_distance_is_taken(film_says, why) -> None:
    said = film_says.get("header")
    chest = film(**film_says, posture_doubt=None if said is None else posture_doubt(said))
    assert (why_no_distances(chest) is None) == (why is None)
    assert (why or "") in (why_no_distances(chest) or "")
    extent = only(collapse(film(), rim=25), chest, rectangles(film()))
    for name in DISTANCES:
        assert (getattr(extent, name) is None) == (why is not None)
        assert (name in extent.reasons) == (why is not None)
    assert extent.area_fraction_of_lung == pytest.approx((4400 + 5000) / 26400)  # needs no mm


@pytest.mark.parametrize("doubt", [None, "The left lung was not found."])
def test_without_lung_fields_nothing_is_measured(doubt) -> None:
    chest = film()
    mask, fields = collapse(chest), replace(rectangles(chest), doubt=doubt) if doubt else None
    (extent,) = measure(mask, found(mask, chest, fields), chest, fields)
    assert all(getattr(extent, name) is None for name in MEASURES)
    assert set(extent.reasons.values()) == {doubt or "The model does not locate the lungs."}


def test_no_lesion_no_extent() -> None:
    chest = film()
    assert measured(np.zeros(chest.shape, bool), chest, rectangles(chest)) == ()


def test_a_lesion_has_the_side_of_the_lung_field_it_lies_in() -> None:
    chest = film()
    fields = LungFields(box(chest, 60, 10, 300, 90), box(chest, 60, 120, 300, 220))
    across = box(chest, 100, 125, 160, 170)  # in the left lung, in the image's left half
    assert [lesion.side for lesion in found(across, chest)] == ["right"]
    assert [lesion.side for lesion in found(across, chest, fields)] == ["left"]
    doubted = replace(fields, doubt="Because.")
    assert [lesion.side for lesion in found(across, chest, doubted)] == ["right"]
    outside = box(chest, 10, 100, 20, 104)  # in neither: nearer to the right lung's middle
    assert [lesion.side for lesion in found(outside, chest, fields)] == ["right"]
    assert found(across, chest, fields)[0].side_basis == "convention"


sizes = st.integers(5, 60)


@hypothesis_given(apex=sizes, rim=sizes)
@settings(max_examples=15)
def test_mirroring_swaps_the_sides_and_nothing_else(apex, rim) -> None:
    chest = film((2.0, 2.0))
    mask, fields = collapse(chest, apex, rim), rectangles(chest)
    mirrored = LungFields(fields.left[:, ::-1], fields.right[:, ::-1])
    one, other = only(mask, chest, fields), only(mask[:, ::-1], chest, mirrored)
    assert (one.side, other.side) == ("right", "left")
    assert replace(one, side="left", lines=()) == replace(other, lines=())
    turned = film(
        (2.0, 2.0), image_left="left", side_basis="orientation"
    )  # the film, not the patient
    assert replace(one, side="left") == only(mask, turned, rectangles(turned))


@hypothesis_given(apex=sizes, rim=sizes, down=st.floats(0.7, 1.2), along=st.floats(0.7, 1.2))
@settings(max_examples=15)
def test_spacing_scales_distances_along_its_own_direction(apex, rim, down, along) -> None:
    chest = film((2.0, 2.0))
    mask, fields = collapse(chest, apex, rim), rectangles(chest)
    scaled = replace(chest, spacing_mm=(2.0 * down, 2.0 * along))
    one, other = only(mask, chest, fields), only(mask, scaled, fields)
    assert other.apex_to_cupola_mm == pytest.approx(one.apex_to_cupola_mm * down)
    assert other.rim_at_hilum_mm == pytest.approx(one.rim_at_hilum_mm * along)
    assert other.rim_lateral_mm == pytest.approx(one.rim_lateral_mm * along)
    assert other.area_fraction_of_lung == one.area_fraction_of_lung


@hypothesis_given(
    across=st.floats(0.6, 1.7), middle=st.integers(190, 215), height=st.integers(70, 85)
)
@settings(max_examples=10)
def test_squeezed_pixels_measure_the_same(across, middle, height) -> None:
    def measures(spacing):
        chest = film(spacing)
        fields = rectangles(chest)
        lung = ellipse(chest, middle, 110, height, 32)
        return only(fields.right & ~lung, chest, fields)

    one, other = measures((1.0, 1.0)), measures((1.0, across))
    pixel = max(1.0, across)
    for name in ("apex_to_cupola_mm", "rim_at_hilum_mm", "rim_lateral_mm"):
        assert abs(getattr(one, name) - getattr(other, name)) <= 2 * pixel
    assert one.area_fraction_of_lung == pytest.approx(other.area_fraction_of_lung, abs=0.01)


@hypothesis_given(seed=st.integers(0, 10_000))
@settings(max_examples=40)
def test_whatever_is_found_is_measured_within_the_film_or_has_its_reason(seed) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = (int(n) for n in rng.integers(40, 90, 2))
    spacing = (float(rng.uniform(3, 6)), float(rng.uniform(3, 6)))
    chest = replace(film(), pixels=np.zeros((rows, columns), np.float32), spacing_mm=spacing)
    labels, mask = np.zeros((rows, columns), np.uint8), np.zeros((rows, columns), bool)
    for value, half in ((1, slice(2, columns // 2)), (2, slice(columns // 2, columns - 2))):
        top, bottom = int(rng.integers(2, rows // 3)), int(rng.integers(rows // 2, rows - 1))
        left = int(rng.integers(0, columns // 6))
        labels[top:bottom, half][:, left : left + rng.integers(5, columns // 2)] = value
    edge = rng.integers(0, 3)  # none, one or two pixels off
    for _ in range(rng.integers(1, 4)):
        top, left = (int(rng.integers(edge, size * 3 // 4)) for size in (rows, columns))
        height, width = (int(rng.integers(1, size // 2)) for size in (rows, columns))
        mask[top : min(top + height, rows - edge), left : min(left + width, columns - edge)] = True
    fields = LungFields.of(labels, chest)
    extents = measured(mask, chest, fields)
    assert 1 <= len(extents) <= 2
    for extent in extents:
        assert extent.area_fraction_of_lung is None or 0 < extent.area_fraction_of_lung <= 1
        assert 0 <= (extent.apex_to_cupola_mm or 0) < rows * spacing[0]
        assert 0 <= (extent.rim_at_hilum_mm or 0) <= (extent.rim_lateral_mm or 0)
        assert (extent.rim_lateral_mm or 0) < columns * spacing[1]
        assert extent.collins_percent is None or 4.2 < extent.collins_percent <= 100
        for line in extent.lines:
            for row, column in (line.start, line.end):
                assert 0 <= row <= rows
                assert 0 <= column <= columns
            lengths = [
                abs(a - b) * mm for a, b, mm in zip(line.start, line.end, spacing, strict=True)
            ]
            assert sum(lengths) == pytest.approx(line.mm)
