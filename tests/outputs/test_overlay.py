"""Overlays: what is drawn, where, and in whose colour; and sheets of pictures."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_findings import (
    box_mask,
    declined,
    film,
    measured_extent,
    negative,
    positive,
    unmeasured_extent,
)

from pleura.extent import Line
from pleura.finding import Instance
from pleura.orientation import turned
from pleura.outputs import measures
from pleura.outputs import overlay as module
from pleura.outputs.drawing import INK, STRIP, draw_contour
from pleura.outputs.overlay import FINDING, TRUTH, contact_sheet, overlay


def where(picture, colour, tolerance=12):
    return (np.abs(picture.astype(int) - np.array(colour)) <= tolerance).all(axis=2)


def headline(*args):
    return module._headline(*args)


def test_the_contour_lies_on_the_edge_of_the_mask():
    picture = overlay(film(), positive(box_mask()), caption=False)
    assert picture.shape == (60, 80, 3)
    assert picture.dtype == np.uint8
    rows, columns = np.nonzero(where(picture, FINDING, 60))
    assert (rows.min(), rows.max()) == (20, 39)
    assert (columns.min(), columns.max()) == (10, 29)
    assert (picture[24:36, 14:26] == 128).all()  # the inside stays as it was
    assert (picture[45:58, 2:] == 128).all()


def test_instances_have_their_boxes_and_scores():
    boxes = (Instance((20, 10, 40, 30), 0.93), Instance((2, 50, 30, 70), 0.4))
    found = replace(positive(box_mask()), instances=boxes)
    picture = overlay(film(), found, size=800, caption=False)  # ten times the film
    for top, left, bottom, right in ((200, 100, 399, 299), (20, 500, 299, 699)):
        edge = where(picture, FINDING)
        assert edge[top, left + 60 : right].all()
        assert edge[bottom, left:right].all()
        assert edge[top:bottom, left].all()
        assert edge[top:bottom, right].all()
    above, below = picture[160:198, 100:180], picture[302:340, 500:580]
    assert where(above, FINDING, 60).any()  # the score
    assert where(below, FINDING, 60).any()  # where there is no room above
    plain = overlay(film(), positive(box_mask()), size=800, caption=False)
    assert (plain[160:190, 100:180] == 128).all()


@pytest.mark.parametrize("size", [40, 160, 320])
def test_the_contour_scales_with_the_picture(size):
    picture = overlay(film(), positive(box_mask()), size=size, caption=False)
    assert picture.shape == (size * 60 // 80, size, 3)
    rows, columns = np.nonzero(where(picture, FINDING, 60))
    scale, slack = size / 80, 1.5 * size / 80 + 1
    assert rows.min() == pytest.approx(20 * scale, abs=slack)
    assert columns.max() == pytest.approx(30 * scale, abs=slack)


def test_the_aspect_of_the_matrix_is_kept():
    tall = overlay(film((100, 50)), negative((100, 50)), size=200, caption=False)
    assert tall.shape == (200, 100, 3)


def test_truth_has_its_own_colour():
    picture = overlay(film(), negative(), box_mask(), caption=False)
    assert where(picture, TRUTH, 60).any()
    assert not where(picture, FINDING, 60).any()


def test_a_negative_film_is_left_as_it_is():
    picture = overlay(film(level=1.0), negative(), caption=False)
    assert (picture[20:] == 255).all()  # below the side markers
    assert (picture[:20, :20] < 200).any()  # which stand there


def test_heat_tints_where_it_is_probable():
    probability = box_mask().astype(np.float32)
    found = positive(box_mask(), probability_map=probability)
    picture = overlay(film(), found, heat=True, caption=False)
    red, _, blue = picture[30, 20].astype(int)
    assert red > blue + 40
    assert (picture[50, 60] == 128).all()
    assert (overlay(film(), found, caption=False)[30, 20] == 128).all()


def test_a_film_stays_itself():
    given = film()
    before = given.pixels.copy()
    overlay(given, positive(box_mask()), box_mask(), heat=True)
    np.testing.assert_array_equal(given.pixels, before)


def test_the_caption_stands_below_the_film():
    given = film((300, 400))
    bare = overlay(given, negative((300, 400)), caption=False)
    whole = overlay(given, negative((300, 400)))
    assert whole.shape[1] == 400
    assert whole.shape[0] > 320
    np.testing.assert_array_equal(whole[:300], bare)


def test_what_the_caption_says():
    mask = box_mask()  # 400 of 4,800 px
    assert headline(positive(mask)) == "Pneumothorax: positive, score 0.90, 8.3 % of the image"
    assert headline(positive(mask, calibrated=True)).startswith(
        "Pneumothorax: positive, probability 0.90"
    )
    assert headline(negative()) == "Pneumothorax: negative, score 0.10"
    nearly = replace(negative(), probability=0.9975)
    assert (
        headline(nearly) == "Pneumothorax: negative, score 0.9975"
    )  # never "negative, score 1.00"
    assert headline(declined()) == "Pneumothorax: declined"


@pytest.mark.parametrize(
    ("sides", "basis", "orientation", "says"),
    [
        (("right",), "convention", ("L", "F"), "right (image left), by convention"),
        (("left",), "convention", ("L", "F"), "left (image right), by convention"),
        (("left",), "orientation", ("R", "F"), "left (image left)"),
        (("left",), "orientation", ("R", "H"), "left (image left)"),
        (("left",), "orientation", ("F", "R"), "left (image top)"),
        (("right",), "orientation", ("F", "R"), "right (image bottom)"),
        (("left", "right"), "convention", ("L", "F"), "right and left, by convention"),
    ],
)
def test_the_side_is_the_patients(sides, basis, orientation, says):
    found = positive(box_mask(), sides=sides, basis=basis)
    assert module._side_words(found, orientation) == says


def test_side_markers_follow_the_film(monkeypatch):
    drawn = []
    real = module.ImageDraw.ImageDraw.text

    def spy(pen, at, text, *args, **kwargs):
        drawn.append((text, at[0] < 40))
        return real(pen, at, text, *args, **kwargs)

    monkeypatch.setattr(module.ImageDraw.ImageDraw, "text", spy)
    overlay(film(), negative(), caption=False)
    overlay(film(image_left="left", side_basis="orientation"), negative(), caption=False)
    assert sorted(drawn) == sorted([("R", True), ("L", False), ("L", True), ("R", False)])


@pytest.mark.parametrize("view", ["lateral", "other"])
def test_a_film_that_is_not_frontal_has_no_side_markers(monkeypatch, view):
    def marked(*_):
        raise AssertionError("R and L are not at its edges")

    monkeypatch.setattr(module, "_side_markers", marked)
    overlay(film(view=view), declined())
    overlay(film(view="PA"), declined())  # by convention alone, of what may be no chest at all
    with pytest.raises(AssertionError):
        overlay(film(view="PA", side_basis="orientation"), declined())


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_markers_of_a_turned_film_stand_where_the_sides_are(monkeypatch, quarters):
    """Of a film with the patient's right at its left, turned with its picture."""
    drawn = {}
    real = module.ImageDraw.ImageDraw.text

    def spy(pen, at, text, *args, **kwargs):
        drawn[text] = at
        return real(pen, at, text, *args, **kwargs)

    monkeypatch.setattr(module.ImageDraw.ImageDraw, "text", spy)
    given = film((300, 300))
    patient = np.zeros(given.shape, np.uint8)
    patient[:, :100], patient[:, 200:] = 1, 2  # right, left
    patient = np.rot90(patient, quarters)
    found = replace(negative((300, 300)), patient_orientation=turned(("L", "F"), quarters))
    overlay(given, found, caption=False)
    for letter, label in (("R", 1), ("L", 2)):
        column, row = (min(int(at), 299) for at in drawn[letter])
        assert patient[row, column] == label


def test_a_declined_film_is_framed_and_its_reason_wrapped():
    long = declined(reason="word " * 400)
    picture = overlay(film((200, 200)), long)
    assert (picture[0, 50] == module._DECLINED).all()
    assert picture.shape[0] < 400  # four lines at most
    assert overlay(film((200, 200)), declined(reason="w" * 5000)).shape[1] == 200


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (17, 16), (3000, 40)])
def test_odd_films_are_drawn(shape):
    mask = np.ones(shape, bool)
    for size in (None, 16, 128):
        picture = overlay(film(shape), positive(mask), mask, size)
        assert picture.ndim == 3
        assert picture.shape[1] == (
            shape[1] if size is None else max(1, round(size * shape[1] / max(shape)))
        )
        # a single pixel is all outline, and half hidden by its rim
        assert where(picture, FINDING, 80).any() or shape == (1, 1)


def lungs():
    drawn = np.zeros((60, 80), np.uint8)
    drawn[15:55, 8:36], drawn[15:55, 44:72] = 1, 2
    return drawn


def test_distances_lie_where_they_were_taken():
    found = positive(box_mask(), extents=(measured_extent(),), lung_fields=lungs())
    with_them = overlay(film(), found, size=800, caption=False)  # ten times the film
    without = overlay(film(), found, size=800, caption=False, measures=False)
    added = (with_them != without).any(axis=2)
    assert not (without[150:190, 400:] != 128).any()
    ink = where(with_them, INK)
    assert ink[202:323, 220].all()  # the apex: column 22, rows 20 to 32.5
    assert ink[365, 102:218].all()  # the hilum: row 36.5, columns 10 to 22
    assert ink[345, 102:248].all()
    # the upper edges of the lungs, through the centres of the film's row 15
    assert added[152:158, 90:350].any(axis=0).all()
    assert added[152:158, 450:710].any(axis=0).all()
    faint = with_them[152:158, 500].max(axis=0).astype(int) - 128
    assert (faint > 5).all()
    assert (faint < 35).all()  # on grey 128, little more than half of MUTED
    assert added[250:290, 232:420].any()  # the words beside the apex


def test_a_distance_is_told_once_and_no_words_lie_on_others():
    lines = (
        Line("apex_to_cupola_mm", (20.0, 20.0), (40.0, 20.0), 20.0),
        Line("rim_lateral_mm", (30.5, 10.0), (30.5, 20.0), 10.0),
        Line("collins_upper", (30.5, 10.0), (30.5, 20.0), 10.0),
        Line("collins_lower", (31.5, 10.0), (31.5, 20.0), 10.0),
    )
    assert measures._told_once(lines) == [lines[0], lines[1], lines[3]]
    picture = measures.Image.new("RGB", (800, 600))
    pen = measures.ImageDraw.Draw(picture)
    taken = []
    for line in lines:
        at = [(column * 10, row * 10) for row, column in (line.start, line.end)]
        taken.append(measures._label(pen, line, at[1], at[0], 16, taken))
    pairs = [(one, other) for i, one in enumerate(taken) for other in taken[:i]]
    assert not any(measures._meet(one, other) for one, other in pairs)


def test_what_is_said_of_the_extent():
    known = measured_extent()
    assert measures.words(known) == (
        "Right: 25 % of the lung field; apex 32 mm (ACCP 2001: large), hilum 12 mm (BTS 2010: small), "
        "lateral 15 mm (BTS 2023: large), Collins 35 %; mm at the detector"
    )
    assert measures.words(unmeasured_extent()) == (
        "The film is AP: the patient's posture is not known."
    )
    reasons = {name: why for name, why in unmeasured_extent().reasons.items() if "lung" not in name}
    share = replace(unmeasured_extent(), area_fraction_of_lung=0.1, reasons=reasons)
    assert measures.words(share) == (
        "Left: 10 % of the lung field. The film is AP: the patient's posture is not known."
    )


def test_the_caption_tells_of_the_extent_where_lungs_are_located():
    given, mask = film((300, 400)), box_mask((300, 400))
    plain = positive(mask, extents=(unmeasured_extent(),))
    labels = np.zeros((300, 400), np.uint8)
    labels[50:200, 50:350] = 1
    told = replace(plain, lung_fields=labels)
    heights = [
        overlay(given, found, measures=on).shape[0]
        for found, on in ((plain, True), (told, False), (told, True))
    ]
    assert heights[0] == heights[1] < heights[2]


def test_what_does_not_belong_to_the_film():
    other = np.ones((5, 5), bool)
    with pytest.raises(ValueError, match="finding's mask"):
        overlay(film(), positive(other))
    with pytest.raises(ValueError, match="labelled mask"):
        overlay(film(), negative(), other)
    with pytest.raises(ValueError, match="probability map"):
        overlay(film(), negative(probability_map=other.astype(np.float32)))
    with pytest.raises(ValueError, match="lung fields"):
        overlay(film(), negative(lung_fields=other.astype(np.uint8)))
    with pytest.raises(ValueError, match="at least 16 px"):
        overlay(film(), negative(), size=15)


def test_a_contour_is_anti_aliased_and_drawn_in_place():
    picture = np.zeros((64, 64, 3), np.uint8)
    rows, columns = np.mgrid[:64, :64]
    draw_contour(picture, (rows - 32) ** 2 + (columns - 32) ** 2 < 400, (255, 255, 255), 2.0)
    levels = np.unique(picture[..., 0])
    assert levels.max() == 255
    assert len(levels) > 8


def test_a_sheet_has_a_tile_for_each_picture():
    tiles = [np.full((50, 50), 40 * n, np.uint8) for n in range(1, 6)]
    sheet = contact_sheet(tiles, 3)
    gap = 2
    assert sheet.shape == (2 * 52 + gap, 3 * 52 + gap, 3)
    for n in range(5):
        y, x = gap + n // 3 * 52 + 25, gap + n % 3 * 52 + 25
        assert (sheet[y, x] == 40 * (n + 1)).all()
    assert (sheet[gap + 77, gap + 129] == STRIP).all()  # the sixth place is empty


def test_a_sheet_fits_pictures_of_any_shape():
    wide, tall = np.full((20, 100, 3), 200, np.uint8), np.full((100, 20), 100, np.uint8)
    sheet = contact_sheet([wide, tall], 9, tile=50)
    assert sheet.shape == (54, 106, 3)
    assert (sheet[27, 5] == 200).all()
    assert (sheet[5, 27] == STRIP).all()
    assert (sheet[5, 79] == 100).all()


def test_captions_make_room_for_themselves():
    tiles = [np.zeros((100, 100), np.uint8)] * 2
    plain = contact_sheet(tiles, 2)
    named = contact_sheet(tiles, 2, ["one", "two words that take more than a line of their tile"])
    assert named.shape[0] > plain.shape[0] + 20
    assert named.shape[1] == plain.shape[1]


@pytest.mark.parametrize(
    ("images", "columns", "captions", "says"),
    [
        ([], 3, (), "needs a picture"),
        ([np.zeros((20, 20), np.uint8)], 0, (), "0 columns"),
        ([np.zeros((20, 20), np.uint8)], 1, ("a", "b"), "2 captions"),
        ([np.zeros((20, 20))], 1, (), "uint8"),
        ([np.zeros((20, 20, 4), np.uint8)], 1, (), "uint8"),
        ([np.zeros((4, 4), np.uint8)], 1, (), "at least 16 px"),
    ],
)
def test_what_is_no_sheet(images, columns, captions, says):
    with pytest.raises(ValueError, match=says):
        contact_sheet(images, columns, captions)
