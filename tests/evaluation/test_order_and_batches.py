"""Which films come first, and how many at a time, changes no number."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_scores import MODEL, score

from pleura.evaluation.comparison import Entrant, compare
from pleura.evaluation.provenance import Provenance
from pleura.evaluation.run import Run
from pleura.evaluation.score_file import ScoreWriter, read_scores
from pleura.evaluation.scores import ScoreTable
from pleura.evaluation.summary import summarise

RUN = Run("tune", MODEL, "0" * 64, None, "0" * 64, 1, Provenance(0, same_dataset=True))


@st.composite
def some_films(draw):
    """Films of any kind: ties, declined, positive without a mask, few patients, one class, one film."""
    films = []
    for n in range(draw(st.integers(1, 12))):
        label = draw(st.integers(0, 1))
        value = draw(st.sampled_from([None, 0.0, 0.2, 0.5, 0.5, 0.7, 1.0]))
        truth = draw(st.integers(0, 40)) * label
        pred = draw(st.integers(0, 40)) if value is not None and value >= 0.5 else 0
        film = score(
            n,
            label,
            value,
            patient=f"p{draw(st.integers(0, 5))}",
            truth=truth,
            pred=pred,
            shared=draw(st.integers(0, min(truth, pred))),
            corpus=draw(st.sampled_from("ab")),
        )
        both = truth > 0 and pred > 0
        films.append(
            replace(
                film,
                hd95_px=draw(st.floats(0, 50)) if both else None,
                truth_regions=int(truth > 0),
                found_regions=int(film.intersection > 0),
                false_regions=int(pred > 0 and not film.intersection),
                side="left" if truth else None,
            )
        )
    return films


def facts_of(films):
    return summarise(RUN, films, resamples=100).facts()


def check_same(one, other, at="the facts"):
    """Equal but for the last digits of sums taken in another order."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), at
        for key in one:
            check_same(one[key], other[key], f"{at}, {key}")
    elif isinstance(one, list):
        assert len(one) == len(other), at
        for n, (a, b) in enumerate(zip(one, other, strict=True)):
            check_same(a, b, f"{at}, {n}")
    elif isinstance(one, float) and isinstance(other, float):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9), at
    else:
        assert one == other, at


@settings(max_examples=25)
@given(some_films(), st.randoms(use_true_random=False))
def test_the_order_of_films_changes_no_number(films, random):
    mixed = list(films)
    random.shuffle(mixed)
    check_same(facts_of(films), facts_of(mixed))


@settings(max_examples=25)
@given(some_films(), st.data())
def test_films_in_batches_are_the_films_at_once(tmp_path_factory, films, data):
    path = tmp_path_factory.mktemp("batches") / "films.csv"
    left = list(films)
    while left:  # an evaluation that is broken off and taken up again, any number of times
        size = data.draw(st.integers(1, len(left)))
        with ScoreWriter(path) as writer:
            writer.write(left[:size])
        left = left[size:]
    assert list(read_scores(path)) == films
    assert facts_of(list(read_scores(path))) == facts_of(films)


@settings(max_examples=15)
@given(some_films(), st.randoms(use_true_random=False))
def test_a_model_is_equal_to_itself_in_any_order(films, random):
    mixed = list(films)
    random.shuffle(mixed)
    found = compare(
        [Entrant("a", ScoreTable.of(films)), Entrant("b", ScoreTable.of(mixed))], resamples=100
    )
    for row in found.differences["b"]:
        assert row.verdict == "equal" or row.first is None
