"""Splits: whole patients, stratified, repeatable, and refused when anything leaks or changed."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng
from synthetic import cohort, dataset, film, write_dataset
from typer.testing import CliRunner, Result

from pleura.cli import app
from pleura.data.manifest import Film
from pleura.data.split import Split, divide_folds, make_split
from pleura.data.split.stratify import share_out
from pleura.errors import DatasetError, LeakError, UnknownName

FILMS = cohort()
DATA = dataset(*FILMS)


def patients(split_ids: tuple[str, ...]) -> set[str]:
    return {DATA.by_id[i].patient_id for i in split_ids}


def everything(split: Split) -> list[str]:
    parts = [split.test, split.train, split.tune, split.unlabelled, split.aside]
    return [i for part in [*parts, *split.folds, *split.companions] for i in part]


@pytest.mark.parametrize("folds", [None, 5])
def test_every_film_is_in_one_part_and_every_patient_on_one_side(folds: int | None) -> None:
    split = make_split(DATA, seed=1, folds=folds)
    assert sorted(everything(split)) == sorted(DATA.by_id)
    sides = [split.test, split.train, split.tune, *split.folds]
    for i, a in enumerate(sides):
        for b in sides[i + 1 :]:
            assert not patients(a) & patients(b)
    split.check(DATA)


def test_shares_are_as_asked_and_strata_alike() -> None:
    split = make_split(DATA, seed=3, test_fraction=0.2, tune_fraction=0.25)
    n = len(FILMS)
    assert len(split.test) == pytest.approx(0.2 * n, abs=8)
    assert len(split.tune) == pytest.approx(0.25 * 0.8 * n, abs=8)
    share = np.mean([f.label for f in FILMS])
    for part in (split.test, split.tune, split.train):
        assert np.mean([DATA.by_id[i].label for i in part]) == pytest.approx(share, abs=0.02)


def test_folds_have_alike_sizes_positives_and_mask_sizes() -> None:
    split = make_split(DATA, seed=0, test_fraction=0.0, folds=4)
    assert split.test == ()
    assert split.notes == ()
    positives = [f for f in FILMS if f.label]
    middle = np.median([f.mask_area_fraction for f in positives])
    for fold in split.folds:
        assert len(fold) == pytest.approx(len(FILMS) / 4, abs=8)
        areas = [DATA.by_id[i].mask_area_fraction for i in fold if DATA.by_id[i].label]
        assert len(areas) == pytest.approx(len(positives) / 4, abs=4)
        assert np.mean(np.array(areas) > middle) == pytest.approx(0.5, abs=0.15)


def test_the_seed_decides_and_the_order_of_the_manifest_does_not() -> None:
    split = make_split(DATA, seed=5, folds=3)
    shuffled = [FILMS[i] for i in default_rng(9).permutation(len(FILMS))]
    again = make_split(dataset(*shuffled), seed=5, folds=3)
    assert split == again
    assert split.sha256 == again.sha256
    assert make_split(DATA, seed=6, folds=3).test != split.test


def test_which_films_are_tested_is_left_to_chance() -> None:
    tested = np.zeros(len(FILMS))
    for seed in range(60):
        test = set(make_split(DATA, seed=seed).test)
        tested += [f.film_id in test for f in FILMS]
    # Each film is tested with probability 0.2: 12 of 60 times, standard deviation 3.1.
    assert tested.min() >= 1
    assert tested.max() <= 29
    sizes = np.array([sum(g.patient_id == f.patient_id for g in FILMS) for f in FILMS])
    assert tested[sizes >= 5].mean() == pytest.approx(12, abs=1.5)
    assert tested[sizes == 1].mean() == pytest.approx(12, abs=1.5)


def test_copies_make_two_patients_one() -> None:
    twins = [replace(f, patient_id=f"other-{f.patient_id}", film_id=f"x{f.film_id}") for f in FILMS]
    films = [*FILMS, *twins]
    split = make_split(dataset(*films), seed=0, folds=3)
    side = split.sides()
    assert all(side[f.film_id] == side[f"x{f.film_id}"] for f in FILMS)


def mixed() -> list[Film]:
    """Ten patients: expert films of corpus a, and for each a silver, a foreign and an unlabelled film."""
    films = []
    for n in range(10):
        p = f"p{n}"
        films.append(film(f"{p}-expert", p, n % 2, 0.01 * (n % 2)))
        films.append(film(f"{p}-silver", p, 1, 0.02, label_quality="silver"))
        films.append(film(f"{p}-foreign", p, 1, 0.02, corpus="b"))
        films.append(film(f"{p}-bare", p, None))
    return films


def test_only_experts_of_the_named_corpora_are_tested_and_tuned() -> None:
    split = make_split(dataset(*mixed()), seed=0, tune_fraction=0.3, test_corpora=["a"])
    for part in (split.test, split.tune):
        assert part
        assert all(i.endswith("expert") for i in part)
    held = {i.split("-")[0] for i in split.test + split.tune}
    assert {i.split("-")[0] for i in split.aside} == held
    assert len(split.aside) == 3 * len(held)
    assert {i.split("-")[1] for i in split.train} == {"expert", "silver", "foreign"}
    assert {i.split("-")[1] for i in split.unlabelled} == {"bare"}


def test_companions_train_in_the_other_folds_only() -> None:
    films = [*mixed(), film("alone-silver", "q", 1, 0.02, label_quality="silver")]
    split = make_split(dataset(*films), seed=0, test_fraction=0.2, folds=2, test_corpora=["a"])
    assert split.train == ("alone-silver",)
    for fold in (0, 1):
        tune, train = split.part("tune", fold), split.part("train", fold)
        assert all(i.endswith("expert") for i in tune)
        assert not {i.split("-")[0] for i in tune} & {i.split("-")[0] for i in train}
        assert "alone-silver" in train
        assert any(i.endswith("-silver") and i != "alone-silver" for i in train)
    split.check(dataset(*films))


def test_balanced_tuning_has_as_many_negatives_and_keeps_patients_whole() -> None:
    split = make_split(DATA, seed=2, tune_fraction=0.3, balanced_tuning=True)
    labels = [DATA.by_id[i].label for i in split.tune]
    assert sum(labels) * 2 == len(labels) > 10
    assert not patients(split.tune) & patients(split.train)
    assert patients(split.aside) <= patients(split.tune)
    plain = make_split(DATA, seed=2, tune_fraction=0.3)
    assert len(split.train) > len(plain.train)
    split.check(DATA)


def test_the_frozen_test_part_stays_whatever_else_changes() -> None:
    first = make_split(DATA, seed=0)
    patient = DATA.by_id[first.test[0]].patient_id
    grown = dataset(*FILMS, film("new-1", patient, 1, 0.3), film("new-2", "brand-new"))
    split = make_split(grown, seed=99, test_fraction=0.5, folds=3, frozen=first)
    assert split.test == first.test
    assert split.test_sha256 == first.test_sha256
    assert "new-1" in split.aside
    assert (split.seed, split.test_seed, split.test_fraction) == (99, 0, 0.2)
    split.check(grown)
    # The same command on the same data again writes the same file.
    assert make_split(grown, seed=99, test_fraction=0.5, folds=3, frozen=split) == split


def test_a_split_without_test_films_freezes_none() -> None:
    none = make_split(DATA, seed=0, test_fraction=0.0)
    split = make_split(DATA, seed=1, test_fraction=0.3, frozen=none)
    assert split == make_split(DATA, seed=1, test_fraction=0.3)
    assert len(split.test) == pytest.approx(0.3 * len(FILMS), abs=8)


def test_a_frozen_test_film_that_is_gone_or_changed_is_named() -> None:
    first = make_split(DATA, seed=0)
    gone = first.test[0]
    without = dataset(*(f for f in FILMS if f.film_id != gone))
    with pytest.raises(DatasetError, match=f"{gone}.*refreeze"):
        make_split(without, seed=0, frozen=first)
    for change in ({"pixel_sha256": "0"}, {"mask_sha256": "0"}, {"stored_rows": 50}):
        changed = dataset(*(replace(f, **change) if f.film_id == gone else f for f in FILMS))
        with pytest.raises(DatasetError, match=f"changed.*{gone}"):
            make_split(changed, seed=0, frozen=first)


def test_test_corpora_are_inherited_from_the_frozen_split() -> None:
    data = dataset(*mixed())
    first = make_split(data, seed=0, test_corpora=["a"])
    split = make_split(data, seed=1, frozen=first)
    assert split.test_corpora == ("a",)
    assert all(i.endswith("expert") for i in split.tune)


def test_unknown_patients_and_one_sided_parts_are_noted() -> None:
    films = [film(str(n), str(n), 1, 0.1, patient_basis="film") for n in range(10)]
    notes = make_split(dataset(*films), seed=0).notes
    assert any("10 films (a) are unknown" in note for note in notes)
    assert any("films of the test part are positive" in note for note in notes)
    lonely = make_split(dataset(film("a", "a")), seed=0)
    assert sum("is empty" in note for note in lonely.notes) >= 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"test_fraction": 1.0}, "test_fraction is 1.0"),
        ({"test_fraction": float("nan")}, "test_fraction is nan"),
        ({"tune_fraction": 0.0}, "tune_fraction is 0.0"),
        ({"folds": 1}, "folds is 1"),
        ({"folds": 10_000}, "10000 folds of"),
        ({"folds": 3, "balanced_tuning": True}, "balanced"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, float], says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        make_split(DATA, **({"seed": 0} | options))


def test_unknown_corpora_and_datasets_without_expert_labels_are_refused() -> None:
    with pytest.raises(UnknownName, match="sim"):
        make_split(DATA, seed=0, test_corpora=["sim"])
    with pytest.raises(DatasetError, match="nothing"):
        make_split(dataset(film("a", "a", None)), seed=0)
    with pytest.raises(DatasetError, match="nothing"):
        make_split(dataset(), seed=0)
    with pytest.raises(DatasetError, match=r"1 film\(s\) stand in the manifest twice: a"):
        make_split(dataset(film("a", "p"), film("a", "q")), seed=0)


def test_finer_folds_lie_within_the_coarse_ones_and_nothing_else_moves() -> None:
    films = [
        *FILMS,
        *(
            film(f"silver{i}", f.patient_id, 1, label_quality="silver")
            for i, f in enumerate(FILMS[::9])
        ),
    ]
    data = dataset(*films)
    coarse = make_split(data, seed=0, folds=2)
    fine = divide_folds(data, coarse, 3, seed=4)
    fine.check(data)
    assert len(fine.folds) == 6
    for k, (films_of, companions) in enumerate(zip(coarse.folds, coarse.companions, strict=True)):
        parts = fine.folds[3 * k : 3 * k + 3]
        assert sorted(i for part in parts for i in part) == list(films_of)
        kept = fine.companions[3 * k : 3 * k + 3]
        assert sorted(i for part in kept for i in part) == list(companions)
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= 16
        positives = [sum(data.by_id[i].label == 1 for i in part) for part in parts]
        assert max(positives) - min(positives) <= 8
        # what a network of the coarse fold learnt from, and more, and never what it is judged by
        for part in range(3 * k, 3 * k + 3):
            assert set(coarse.part("train", k)) < set(fine.part("train", part))
            assert not set(fine.part("tune", part)) & set(fine.part("train", part))
    assert any(fine.companions)
    assert (fine.test, fine.train, fine.aside) == (coarse.test, coarse.train, coarse.aside)
    assert fine.test_sha256 == coarse.test_sha256
    assert divide_folds(data, coarse, 3, seed=4) == fine
    assert divide_folds(data, coarse, 3, seed=5) != fine


def test_folds_that_cannot_be_divided_are_refused() -> None:
    coarse = make_split(DATA, seed=0, folds=2)
    with pytest.raises(DatasetError, match="no folds"):
        divide_folds(DATA, make_split(DATA, seed=0), 2, seed=0)
    with pytest.raises(DatasetError, match="folds is 1"):
        divide_folds(DATA, coarse, 1, seed=0)
    with pytest.raises(DatasetError, match="stand in the dataset, not in the split"):
        divide_folds(dataset(*FILMS, film("new", "new", 1)), coarse, 2, seed=0)


def test_the_command_never_divides_over_a_frozen_test_part(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_dataset(data, [replace(f, thumbnail="00" * 256) for f in FILMS])

    def split(*options: object) -> Result:
        return CliRunner().invoke(app, ["split", str(data), *map(str, options)])

    coarse, fine = data / "split.json", tmp_path / "fine.json"
    assert split("--folds", 2).exit_code == 0
    before = coarse.read_bytes()
    link = tmp_path / "link.json"
    link.symlink_to(coarse)
    for out in ([], ["--out", link]):
        for more in ([], ["--refreeze"]):
            ran = split("--folds", 2, "--within", coarse, *out, *more)
            assert "is the split to divide" in str(ran.exception)
    assert coarse.read_bytes() == before
    divide = ("--folds", 2, "--within", coarse, "--out", fine)
    assert split(*divide).exit_code == 0
    assert split(*divide, "--seed", 3).exit_code == 0  # the same test part
    assert len(Split.load(fine).folds) == 4
    assert split("--seed", 7, "--out", fine, "--refreeze").exit_code == 0
    other = fine.read_bytes()
    assert "holds a frozen test part" in str(split(*divide).exception)
    assert fine.read_bytes() == other
    assert split(*divide, "--refreeze").exit_code == 0
    assert Split.load(fine).test == Split.load(coarse).test
    nowhere = split("--folds", 2, "--within", tmp_path / "nowhere.json", "--out", fine)
    assert "does not exist" in str(nowhere.exception)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--folds", "3", "--tune-fraction", "0.3"), "--tune-fraction: .* with --folds"),
        (
            ("--folds", "2", "--within", "s.json", "--test-fraction", "0.3", "--balanced-tuning"),
            "--test-fraction, --balanced-tuning: .* with --within",
        ),
    ],
)
def test_what_a_split_would_pass_over_is_refused(options: tuple[str, ...], names: str) -> None:
    ran = CliRunner().invoke(app, ["split", "data", *options])
    assert re.search(names, str(ran.exception))


def test_parts_by_name_and_fold() -> None:
    plain, folded = make_split(DATA, seed=0), make_split(DATA, seed=0, folds=3)
    assert plain.part("train") == plain.train
    assert plain.part("tune") == plain.tune
    assert folded.part("test") == folded.test
    assert set(folded.part("train", 0)) == set(folded.folds[1] + folded.folds[2])
    with pytest.raises(UnknownName, match="Did you mean 'train'"):
        plain.part("trian")
    with pytest.raises(DatasetError, match="no folds"):
        plain.part("train", 0)
    for fold in (None, 3, -1):
        with pytest.raises(DatasetError, match="folds 0 to 2"):
            folded.part("train", fold)


def test_saving_and_loading_give_the_same_split(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/.split.json.9999999.partial").touch()  # of a process that was killed
    for options in ({"folds": 3}, {"test_corpora": ["a"], "test_fraction": 0}):
        split = make_split(DATA, seed=0, **options)
        split.save(tmp_path / "deep" / "split.json")
        assert Split.load(tmp_path / "deep" / "split.json") == split
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["split.json"]
    (tmp_path / "folder").mkdir()
    for nowhere in (tmp_path / "folder", tmp_path / "deep/split.json/below.json"):
        with pytest.raises(DatasetError, match="cannot be written"):
            split.save(nowhere)


def test_a_file_edited_by_hand_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    make_split(DATA, seed=0).save(path)
    content = json.loads(path.read_text())
    content["train"].append(content["test"].pop())
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="does not match its hash"):
        Split.load(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"train": 3}, "train"),
        ({"train": [3]}, "train"),
        ({"folds": [["a"], 1]}, "folds"),
        ({"seed": "0"}, "seed"),
        ({"seed": True}, "seed"),
        ({"fingerprints": ["a"]}, "fingerprints"),
        ({"surprise": 1}, "surprise"),
        ({"format_version": 99}, "99"),
        ({"train": ["a", "a"]}, "two parts"),
    ],
)
def test_a_damaged_file_is_a_named_error(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    path = tmp_path / "split.json"
    make_split(DATA, seed=0).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DatasetError, match=says):
        Split.load(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a"', "[" * 100_000, "\x00\xff"])
def test_what_is_no_split_at_all_is_a_named_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.json"
    with pytest.raises(DatasetError, match="does not exist"):
        Split.load(path)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError):
        Split.load(path)


def test_check_names_missing_new_and_changed_films() -> None:
    split = make_split(DATA, seed=0)
    name = FILMS[0].film_id
    with pytest.raises(DatasetError, match=f"not in the dataset: {name}"):
        split.check(dataset(*FILMS[1:]))
    with pytest.raises(DatasetError, match="not in the split: new"):
        split.check(dataset(*FILMS, film("new", "new")))
    with pytest.raises(DatasetError, match=f"changed.*{name}"):
        split.check(dataset(replace(FILMS[0], label=1, mask_area_px=7), *FILMS[1:]))


def test_check_finds_a_patient_on_both_sides() -> None:
    split = make_split(DATA, seed=0)
    tested, trained = split.test[0], split.train[0]
    one = DATA.by_id[tested].patient_id
    leaky = [replace(f, patient_id=one) if f.film_id == trained else f for f in FILMS]
    with pytest.raises(LeakError, match=f"{tested} .test..*patient {one}"):
        split.check(dataset(*leaky))


def test_check_finds_equal_pixels_on_both_sides() -> None:
    films = [film(str(n), str(n), n % 2, 0.1 * (n % 2)) for n in range(40)]
    split = make_split(dataset(*films), seed=0)
    a, b = split.tune[0], split.train[0]
    # A split drawn before the copies were known: the same films, now with equal pixels.
    copies = [replace(f, pixel_sha256="same") if f.film_id in (a, b) else f for f in films]
    forged = replace(
        split, fingerprints=make_split(dataset(*copies), seed=0).fingerprints, notes=()
    )
    with pytest.raises(LeakError, match="equal pixels"):
        forged.check(dataset(*copies))


def test_a_film_in_two_parts_cannot_be_built() -> None:
    split = make_split(DATA, seed=0)
    with pytest.raises(LeakError, match=split.test[0]):
        replace(split, train=(*split.train, split.test[0]))


def test_share_out_by_hand() -> None:
    groups = [(film(str(n), str(n)),) for n in range(10)]
    dealt = share_out(groups, [0.5, 0.3, 0.2], default_rng(0))
    assert np.bincount(dealt).tolist() == [5, 3, 2]
    assert share_out([], [0.5, 0.5], default_rng(0)).tolist() == []


def test_near_copies_stay_together_and_their_leak_is_seen() -> None:
    rng = default_rng(0)
    levels = rng.integers(0, 255, (40, 256)).astype(np.uint8)
    films = [
        film(f"{n:02d}", str(n), n % 2, 0.1 * (n % 2), thumbnail=levels[n].tobytes().hex())
        for n in range(40)
    ]
    before = make_split(dataset(*films), seed=0)
    a, b = before.test[0], before.train[0]
    twin = np.clip(levels[int(a)].astype(int) + 1, 0, 255).astype(np.uint8).tobytes().hex()
    copied = dataset(*(replace(f, thumbnail=twin) if f.film_id == b else f for f in films))
    with pytest.raises(LeakError, match=r"\(train\) and .* \(test\): copies of one film"):
        before.check(copied)
    sides = make_split(copied, seed=0).sides()
    assert sides[a] == sides[b]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 8),
            st.sampled_from([0, 1, None]),
            st.sampled_from(["expert", "silver"]),
            st.sampled_from(["a", "b"]),
            st.floats(0.0, 0.5),
        ),
        min_size=1,
        max_size=40,
    ),
    options=st.fixed_dictionaries(
        {
            "seed": st.integers(0, 3),
            "test_fraction": st.sampled_from([0.0, 0.2, 0.9]),
            "folds": st.sampled_from([None, None, 2]),
            "balanced_tuning": st.booleans(),
            "test_corpora": st.sampled_from([None, ["a"]]),
        }
    ),
)
def test_whatever_is_split_nothing_leaks_and_nothing_is_lost(
    rows: list[tuple[int, int | None, str, str, float]], options: dict[str, object]
) -> None:
    films = [
        film(str(n), f"p{p}", label, area if label else 0.0, corpus=corpus)
        if label is None
        else film(
            str(n), f"p{p}", label, area if label else 0.0, corpus=corpus, label_quality=quality
        )
        for n, (p, label, quality, corpus, area) in enumerate(rows)
    ]
    data = dataset(*films)
    try:
        split = make_split(data, **options)
    except (DatasetError, UnknownName):
        return  # refused by name: too few patients, folds with balance, no such corpus
    assert sorted(everything(split)) == sorted(data.by_id)
    split.check(data)
    allowed = options["test_corpora"] or ["a", "b"]
    for part in (split.test, split.tune, *split.folds):
        for film_id in part:
            assert data.by_id[film_id].label_quality == "expert"
            assert data.by_id[film_id].corpus in allowed
    if options["balanced_tuning"]:
        labels = [data.by_id[film_id].label for film_id in split.tune]
        assert 2 * sum(labels) == len(labels)
    assert make_split(data, **options, frozen=split).test == split.test
