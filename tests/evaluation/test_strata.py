"""Kinds of films: which films are in each, by hand, and what is said of the small ones."""

from dataclasses import replace

import pytest
from made_up_scores import score

from pleura.data.manifest import Film
from pleura.errors import UnknownName
from pleura.evaluation.scores import ScoreTable
from pleura.evaluation.strata import OTHER, UNKNOWN, stratify


def film(n, **more):
    return Film(
        film_id=f"f{n}", corpus="a", source_path="x", label_quality="expert", label=0,
        patient_id=f"p{n}", patient_basis="table", rows=10, columns=10, stored_rows=10,
        stored_columns=10, bits=8, pixel_sha256="", thumbnail="", image="", **more,
    )  # fmt: skip


def ten():
    """Four positives of 1, 1, 5 and 40 px of 1,000, and six negatives, two of them called."""
    areas = [1, 1, 5, 40]
    scores = [
        score(n, 1, 0.9 if n > 1 else 0.2, pred=areas[n], truth=areas[n], shared=areas[n] // 2)
        for n in range(4)
    ] + [score(n, 0, 0.6 if n < 6 else 0.1, pred=1) for n in range(4, 10)]
    return [replace(s, pixels=1000, side="left" if s.label else None) for s in scores]


def by_name(scores, films, **options):
    found = stratify(ScoreTable.of(scores), films, resamples=100, **options)
    return {s.name: {x.name: x for x in s.strata} for s in found}, found


def test_sizes_divide_the_positives_and_share_the_negatives():
    found, listed = by_name(ten(), {})
    assert list(found) == ["Label, share of the image"]  # one side only, nothing known
    sizes = found["Label, share of the image"]
    assert list(sizes) == ["below 0.5 %", "0.5 % to 2 %", "2 % or more"]
    small, large = sizes["below 0.5 %"], sizes["2 % or more"]
    assert (small.films, small.positives, small.patients) == (2, 2, 2)
    assert small.metrics["sensitivity"].value == 0.0
    assert large.metrics["sensitivity"].value == 1.0
    assert small.metrics["auc"].value == pytest.approx(4 / 6)  # 0.2 beats the four at 0.1
    assert small.metrics["auc"].n == 8
    assert large.metrics["dice_positives"].value == pytest.approx(0.5)
    assert small.metrics["specificity"].value is None
    assert small.warning == "2 positive: too few to say anything"
    assert listed[0].of_label


def test_area_in_cm2_only_where_the_spacing_is_believable():
    scores = [replace(s, pixel_mm2=None if s.film_id == "f0" else 100.0) for s in ten()]
    found, _ = by_name(scores, {})
    areas = found["Label, cm²"]
    # 1, 5 and 40 px of 1 cm² each; exactly 5 is in the middle band
    assert {k: v.positives for k, v in areas.items()} == {
        "below 5 cm²": 1, "5 cm² to 20 cm²": 1, "20 cm² or more": 1, UNKNOWN: 1,
    }  # fmt: skip


def test_what_the_manifest_knows_divides_all_films():
    films = {f"f{n}": film(n, view="AP" if n % 2 else "PA", age_years=30 + n * 5) for n in range(9)}
    found, listed = by_name(ten(), films)
    views = found["View"]
    assert {k: (v.films, v.positives) for k, v in views.items()} == {
        "AP": (4, 2), "PA": (5, 2), UNKNOWN: (1, 0),
    }  # fmt: skip
    assert views["AP"].metrics["specificity"].value == 0.5
    assert list(found["Age"]) == ["18 to 40", "40 to 60", "60 to 80", UNKNOWN]
    assert "Sex" not in found
    assert not listed[-1].of_label


def test_any_column_may_be_asked_for_and_the_rare_are_pooled():
    films = {f"f{n}": film(n, facts={"ward": f"w{n:02d}"} if n < 8 else {}) for n in range(10)}
    found, _ = by_name(ten(), films, by=["ward"])
    assert list(found["ward"]) == [*(f"w{n:02d}" for n in range(8)), UNKNOWN]
    many = [score(n, n % 2, 0.5) for n in range(30)]
    films = {f"f{n}": film(n, facts={"ward": f"w{n:02d}"}) for n in range(30)}
    found, _ = by_name(many, films, by=["ward"])
    assert len(found["ward"]) == 13
    assert found["ward"][OTHER].films == 18
    numbers = {f"f{n}": film(n, facts={"dose": f"{n / 10}"} if n else {}) for n in range(30)}
    found, _ = by_name(many, numbers, by=["dose", "bits"])
    # 0.1 to 2.9: quartiles 0.8, 1.5 and 2.2
    assert {k: v.films for k, v in found["dose"].items()} == {
        "below 0.8": 7, "0.8 to 1.5": 7, "1.5 to 2.2": 7, "2.2 or more": 8, UNKNOWN: 1,
    }  # fmt: skip
    assert list(found["bits"]) == ["8"]  # asked for, and so shown
    found, _ = by_name(many, numbers, by=["mask"])
    assert list(found["mask"]) == [UNKNOWN]
    with pytest.raises(UnknownName, match="Did you mean 'ward'"):
        stratify(ScoreTable.of(many), films, by=["wards"])


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (
            [f"201903{n:02d}" for n in range(1, 14)],
            ["below 20190304", "20190304 to 20190307", "20190307 to 20190310", "20190310 or more"],
        ),
        (
            [f"{1000 + n / 100}" for n in range(13)],
            ["below 1000.03", "1000.03 to 1000.06", "1000.06 to 1000.09", "1000.09 or more"],
        ),
    ],
)
def test_quarters_of_large_numbers_are_kept_apart(values, names):
    films = {f"f{n}": film(n, facts={"x": value}) for n, value in enumerate(values)}
    scores = [score(n, n % 2, 0.5) for n in range(13)]
    (found,) = (s for s in by_name(scores, films, by=["x"])[1] if s.name == "x")
    assert [(s.name, s.films) for s in found.strata] == list(zip(names, (3, 3, 3, 4), strict=True))


def test_values_that_read_like_our_own_words_are_counted_once():
    said = [None, UNKNOWN, UNKNOWN, *(OTHER,) * 3, *(f"w{n:02d}" for n in range(12))]
    films = {f"f{n}": film(n, facts={"x": x} if x else {}) for n, x in enumerate(said)}
    scores = [score(n, n % 2, 0.5) for n in range(len(said))]
    (found,) = (s for s in by_name(scores, films, by=["x"])[1] if s.name == "x")
    assert sum(s.films for s in found.strata) == len(said)
    assert [s.films for s in found.strata if s.name in (UNKNOWN, OTHER)] == [2, 3, 2, 1]
