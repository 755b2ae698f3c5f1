"""Near duplicates by thumbnail, and what is kept of the same film met twice."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from tiny_corpora import film

from pleura.data.duplicates import NEAR, keep_once, near_duplicates, thumbnail, unit_rows
from pleura.data.manifest import Film


def row(name: str, pixels: np.ndarray, corpus: str = "a", quality: str = "expert", **more) -> Film:
    plain = Film(
        film_id=name,
        corpus=corpus,
        source_path=f"{name}.png",
        label_quality=quality,
        label=0,
        patient_id=f"film-{name}",
        patient_basis="film",
        rows=1,
        columns=1,
        stored_rows=1,
        stored_columns=1,
        bits=8,
        pixel_sha256=name,
        thumbnail=thumbnail(pixels.astype(np.float32) / np.float32(255)),
        image=f"images/{name}.png",
    )
    return replace(plain, **more)


def test_a_thumbnail_is_the_mean_of_each_of_256_fields() -> None:
    pixels = np.repeat(np.repeat(np.arange(256).reshape(16, 16), 4, axis=0), 2, axis=1)
    assert bytes.fromhex(thumbnail((pixels / 255).astype(np.float32))) == bytes(range(256))


def test_the_distance_is_one_minus_the_correlation() -> None:
    one = np.zeros((16, 16), np.uint8)
    one[:8] = 200
    other = one.copy()
    other[:, :8] = 200  # the halves agree on three of four quarters
    films = [row("a", one), row("b", other)]
    expected = 1 - np.corrcoef(one.ravel(), other.ravel())[0, 1]
    ((i, j, distance),) = near_duplicates(films, threshold=0.9)
    assert (i, j) == (0, 1)
    assert distance == pytest.approx(expected, abs=1e-6)
    assert near_duplicates(films) == []


def test_copies_are_near_at_any_size_and_coding_and_other_films_are_not() -> None:
    original = film(1, 512, 512)
    small = cv2.resize(original, (200, 260), interpolation=cv2.INTER_AREA)
    coded = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0)
    pictures = [original, coded, *(film(seed, 512, 512) for seed in range(2, 30))]
    pairs = near_duplicates([row(str(n), p) for n, p in enumerate(pictures)])
    assert [pair[:2] for pair in pairs] == [(0, 1)]
    assert pairs[0][2] < NEAR / 2


def test_pairs_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pleura.data.duplicates._BLOCK", 3)
    films = [row(str(n), film(n % 5)) for n in range(10)]
    assert [p[:2] for p in near_duplicates(films)] == [(n, n + 5) for n in range(5)]


@pytest.mark.parametrize("films", [[], [row("a", film(1))]])
def test_none_and_one_have_no_pairs(films: list[Film]) -> None:
    assert near_duplicates(films) == []
    assert keep_once(films) == (films, [])


def test_even_grey_is_near_to_nothing() -> None:
    grey = [row("a", np.full((32, 32), 90, np.uint8)), row("b", np.full((32, 32), 91, np.uint8))]
    assert near_duplicates(grey) == []


def test_the_better_labelled_copy_is_kept_and_names_the_others() -> None:
    silver = row("s", film(1), corpus="b", quality="silver", label=1, source_path="x|y.png")
    unlabelled = row("n", film(1), corpus="c", quality="none", label=None)
    expert = row("e", film(1), corpus="a")
    kept, contradictions = keep_once([unlabelled, silver, expert])
    assert [f.film_id for f in kept] == ["e"]
    assert kept[0].also_in == ("b:x%7Cy.png", "c:n.png")
    assert contradictions == []


def test_among_equals_the_first_is_kept_in_the_order_given() -> None:
    films = [row("p", film(2)), row("q", film(1)), row("r", film(1), corpus="b")]
    kept, _ = keep_once(films)
    assert [f.film_id for f in kept] == ["p", "q"]


def test_within_a_corpus_only_equal_pixels_are_one_film() -> None:
    near = [row("a", film(1)), row("b", film(1))]
    assert len(keep_once(near)[0]) == 2
    equal = [near[0], replace(near[1], pixel_sha256="a")]
    assert [f.film_id for f in keep_once(equal)[0]] == ["a"]


def test_a_copy_of_a_dropped_copy_is_dropped_too() -> None:
    first = row("a", film(1), corpus="a")
    second = row("b", film(1), corpus="b")
    third = row("c", np.full((16, 16), 7, np.uint8), corpus="b", pixel_sha256="b")
    kept, _ = keep_once([first, second, third])
    assert [f.film_id for f in kept] == ["a"]
    assert kept[0].also_in == ("b:b.png", "b:c.png")


def test_the_better_known_patient_is_taken_over() -> None:
    expert = row("e", film(1))
    silver = row("s", film(1), "b", "silver", patient_id="17", patient_basis="table")
    (kept,), _ = keep_once([expert, silver])
    assert (kept.patient_id, kept.patient_basis) == ("17", "table")


def test_patients_whose_films_are_copies_are_one() -> None:
    films = [
        row("a1", film(1), "a", patient_id="A", patient_basis="table"),
        row("a2", film(2), "a", patient_id="A", patient_basis="table"),
        row("b1", film(1), "b", patient_id="B", patient_basis="table"),
        row("b3", film(3), "b", patient_id="B", patient_basis="table"),
        row("c3", film(3), "c", patient_id="C", patient_basis="header", pixel_sha256="b3"),
        row("c4", film(4), "c", patient_id="C", patient_basis="header"),
        row("d5", film(5), "d", patient_id="D", patient_basis="header"),
    ]
    kept, _ = keep_once(films)
    assert [(f.film_id, f.patient_id, f.patient_basis) for f in kept] == [
        ("a1", "A", "table"),
        ("a2", "A", "table"),
        ("b3", "A", "table"),
        ("c4", "A", "table"),
        ("d5", "D", "header"),
    ]


def test_a_film_stays_with_its_sister_when_a_copy_knows_the_patient_better() -> None:
    films = [
        row("h1", film(1), "a", patient_id="H1", patient_basis="header"),
        row("h2", film(2), "a", patient_id="H1", patient_basis="header"),
        row("n1", film(1), "b", "silver", patient_id="N9", patient_basis="table"),
    ]
    kept, _ = keep_once(films)
    assert [(f.film_id, f.patient_id) for f in kept] == [("h1", "N9"), ("h2", "N9")]


def test_a_kept_film_of_an_unknown_patient_keeps_its_own_name() -> None:
    films = [row("s", film(1), "b", "silver"), row("e", film(1))]
    assert [f.patient_id for f in keep_once(films)[0]] == ["film-e"]


def test_equal_pixels_in_one_corpus_join_patients_too() -> None:
    films = [
        row("a", film(1), patient_id="1", patient_basis="table"),
        row("b", film(1), patient_id="2", patient_basis="table", pixel_sha256="a"),
        row("c", film(2), patient_id="2", patient_basis="table"),
    ]
    kept, _ = keep_once(films)
    assert [(f.film_id, f.patient_id) for f in kept] == [("a", "1"), ("c", "1")]


def test_a_contradiction_at_equal_quality_is_told() -> None:
    films = [row("a", film(1)), row("b", film(1), corpus="b", label=1)]
    kept, ((source, reason),) = keep_once(films)
    assert [f.label for f in kept] == [0]
    assert source == "b:b.png"
    assert "labelled positive where that is negative" in reason


def test_an_all_but_even_thumbnail_is_near_to_nothing() -> None:
    for side in (8, 16):
        even = np.full((2, side * side), 100, np.uint8)
        even[1, ::2] = 101  # half a grey level of deviation
        told = np.tile(np.array([90, 110], np.uint8), side * side // 2)[None]
        rows = unit_rows(np.concatenate([even, told]))
        assert not rows[:2].any()
        assert rows[2] @ rows[2] == pytest.approx(1.0)
        assert rows[2].sum() == pytest.approx(0.0, abs=1e-5)
