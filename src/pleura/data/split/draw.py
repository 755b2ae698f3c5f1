"""`make_split`: draws a frozen test part, then tuning films or folds, by patient and stratified.

`divide_folds` draws finer folds within those of a split that was trained with before.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pleura.data.manifest import Dataset, Film
from pleura.data.split.file import Split, fingerprint, refuse_films
from pleura.data.split.linked import linked_groups
from pleura.data.split.stratify import Group, share_out
from pleura.errors import DatasetError, UnknownName


def make_split(
    dataset: Dataset,
    *,
    seed: int,
    test_fraction: float = 0.2,
    folds: int | None = None,
    tune_fraction: float = 0.15,
    balanced_tuning: bool = False,
    test_corpora: Sequence[str] | None = None,
    frozen: Split | None = None,
) -> Split:
    """Splits a dataset by patient, stratified by presence and by the size of the mask.

    Films of one patient and copies of one film stay together (`linked_groups`). Only expert labels are
    tested or tuned on; silver ones train, unless their patient is tested or tuned on. The same
    films, options and seed give the same split, in whatever order the manifest has them.

    Args:
        dataset: to split.
        seed: not negative.
        test_fraction: share of the testable films to test on, in [0, 1).
        folds: as many folds of the development films instead of one tuning part.
        tune_fraction: share of the testable films left after the test part to tune on, in (0, 1).
        balanced_tuning: give patients of the more frequent class back to training until the tuning
            part has as many negatives as positives; what then is over, in patients who
            stay, is set aside. Not with folds.
        test_corpora: the corpora films are tested and tuned on; None takes those of `frozen`, or all.
        frozen: an earlier split, whose test part is kept as it is; `test_fraction` is then unused, and
            further films of its patients are set aside. One without a test film freezes none.

    Raises:
        DatasetError: an option is out of its range, there is nothing to split, or a frozen test film
            is missing or changed.
        UnknownName: a corpus is not in the dataset.
    """
    repeated = [i for i, count in Counter(f.film_id for f in dataset.films).items() if count > 1]
    refuse_films(repeated, "stand in the manifest twice", "Prepare the dataset again")
    _check_options(seed, test_fraction, folds, tune_fraction, balanced_tuning)
    if test_corpora is None and frozen is not None:
        test_corpora = frozen.test_corpora
    if frozen is not None and not frozen.test:
        frozen = None
    known = {film.corpus for film in dataset.films}
    for name in test_corpora or ():
        if name not in known:
            raise UnknownName.among("corpus of this dataset", name, known)
    allowed = known if test_corpora is None else set(test_corpora)

    parts = _Parts()
    groups = linked_groups(dataset.films)
    testable = [_testable(group, allowed) for group in groups]
    if not any(testable):
        raise DatasetError(
            f"{dataset.root} has no film with an expert label in {', '.join(sorted(allowed))}: nothing "
            "can be tested or tuned on. Prepare labelled films, or name other corpora"
        )
    if frozen is not None:
        rest = _keep_test(groups, dataset, frozen, parts)
    else:
        rest = _draw_test(groups, testable, test_fraction, np.random.default_rng([seed, 0]), parts)
    rng = np.random.default_rng([seed, 1])
    left = [(groups[i], testable[i]) for i in rest if testable[i]]
    for i in rest:
        if not testable[i]:
            parts.add_train(groups[i])
    if folds is None:
        _draw_tuning(left, tune_fraction, balanced_tuning, rng, parts)
    else:
        _draw_folds(left, folds, rng, parts)

    return Split(
        seed=seed,
        test_seed=frozen.test_seed if frozen else seed,
        test_fraction=float(frozen.test_fraction if frozen else test_fraction),
        dataset_sha256=dataset.sha256,
        tune_fraction=float(tune_fraction),
        balanced_tuning=balanced_tuning,
        test_corpora=None if test_corpora is None else tuple(sorted(set(test_corpora))),
        test=_ids(parts.test),
        train=_ids(parts.train),
        tune=_ids(parts.tune),
        folds=tuple(_ids(films) for films in parts.folds),
        companions=tuple(_ids(films) for films in parts.companions),
        unlabelled=_ids(parts.unlabelled),
        aside=_ids(parts.aside),
        fingerprints={film.film_id: fingerprint(film) for film in dataset.films},
        notes=_notes(dataset, parts, wants_test=test_fraction > 0.0),
    )


def divide_folds(dataset: Dataset, coarse: Split, into: int, *, seed: int) -> Split:
    """Divides every fold of a split into finer ones, by patient and stratified; no other film moves.

    Fold k of `coarse` becomes folds `into * k` to `into * k + into - 1`, so that a network trained for fold
    k never saw a film of those either: training goes on from it (`{fold//2}` in `network.init`, for two)
    with more films than before, and its scores stay out of fold.

    Raises:
        DatasetError: the split has no folds, is not of this dataset, or a fold has fewer patients than parts.
        LeakError: films that belong together stand apart in `coarse`.
    """
    _check_options(seed, 0.0, into, 0.0, balanced=False)
    if not coarse.folds:
        raise DatasetError(
            "the split to divide has no folds; make one that has with `pleura split --folds`"
        )
    coarse.check(dataset)
    fold_of = {film_id: k for k, films in enumerate(coarse.folds) for film_id in films}
    companion = {film_id for films in coarse.companions for film_id in films}
    left: list[list[tuple[Group, Group]]] = [[] for _ in coarse.folds]
    for group in linked_groups(dataset.films):
        tuned = tuple(film for film in group if film.film_id in fold_of)
        if tuned:
            others = tuple(film for film in group if film.film_id in companion)
            left[fold_of[tuned[0].film_id]].append((tuned + others, tuned))
    rng = np.random.default_rng([seed, 1])
    parts = _Parts()
    folds, companions = [], []
    for pairs in left:
        _draw_folds(pairs, into, rng, parts)
        folds += parts.folds
        companions += parts.companions
    parts.folds, parts.companions = folds, companions
    parts.test = [dataset.by_id[film_id] for film_id in coarse.test]
    return replace(
        coarse,
        seed=seed,
        dataset_sha256=dataset.sha256,
        folds=tuple(_ids(films) for films in folds),
        companions=tuple(_ids(films) for films in companions),
        notes=_notes(dataset, parts, wants_test=bool(coarse.test)),
    )


@dataclass
class _Parts:
    test: list[Film] = field(default_factory=list)
    train: list[Film] = field(default_factory=list)
    tune: list[Film] = field(default_factory=list)
    unlabelled: list[Film] = field(default_factory=list)
    aside: list[Film] = field(default_factory=list)
    folds: list[list[Film]] = field(default_factory=list)
    companions: list[list[Film]] = field(default_factory=list)

    def add_train(self, films: Iterable[Film]) -> None:
        for film in films:
            (self.train if _labelled(film) else self.unlabelled).append(film)


def _check_options(
    seed: int, test_fraction: float, folds: int | None, tune_fraction: float, balanced: bool
) -> None:
    if seed < 0:
        raise DatasetError(f"seed is {seed}; it is 0 or more")
    if not 0.0 <= test_fraction < 1.0:
        raise DatasetError(f"test_fraction is {test_fraction}; it is at least 0 and below 1")
    if folds is None and not 0.0 < tune_fraction < 1.0:
        raise DatasetError(f"tune_fraction is {tune_fraction}; it lies between 0 and 1")
    if folds is not None and folds < 2:
        raise DatasetError(f"folds is {folds}; there are 2 or more, or none with a tuning part")
    if folds is not None and balanced:
        raise DatasetError("balanced tuning needs a single tuning part: leave the folds out")


def _labelled(film: Film) -> bool:
    return film.label is not None and film.label_quality != "none"


def _testable(group: Group, corpora: set[str]) -> Group:
    """The films of the group that may be tested or tuned on: an expert's label, an allowed corpus."""
    return tuple(
        f for f in group if _labelled(f) and f.label_quality == "expert" and f.corpus in corpora
    )


def _without(group: Group, films: Iterable[Film]) -> list[Film]:
    taken = {film.film_id for film in films}
    return [film for film in group if film.film_id not in taken]


def _keep_test(
    groups: Sequence[Group], dataset: Dataset, frozen: Split, parts: _Parts
) -> list[int]:
    """Keeps the frozen test part; returns the indices of the groups it does not touch."""
    again = "Restore them, or draw a new test part (--refreeze)"
    here = dataset.by_id
    test = set(frozen.test)
    refuse_films(test - here.keys(), "of the frozen test part are not in the dataset", again)
    changed = (i for i in test if fingerprint(here[i]) != frozen.fingerprints[i])
    refuse_films(changed, "of the frozen test part changed in pixels, size, label or mask", again)
    rest = []
    for index, group in enumerate(groups):
        tested = [film for film in group if film.film_id in test]
        if tested:
            parts.test += tested
            parts.aside += _without(group, tested)
        else:
            rest.append(index)
    return rest


def _draw_test(
    groups: Sequence[Group],
    testable: Sequence[Group],
    fraction: float,
    rng: np.random.Generator,
    parts: _Parts,
) -> list[int]:
    """Draws the test part; returns the indices of the groups left."""
    drawable = [i for i, films in enumerate(testable) if films]
    chosen: set[int] = set()
    if fraction > 0.0:
        dealt = share_out([testable[i] for i in drawable], [fraction, 1.0 - fraction], rng)
        chosen = {i for i, part in zip(drawable, dealt, strict=True) if part == 0}
    for i in chosen:
        parts.test += testable[i]
        parts.aside += _without(groups[i], testable[i])
    return [i for i in range(len(groups)) if i not in chosen]


def _draw_tuning(
    left: Sequence[tuple[Group, Group]],
    fraction: float,
    balanced: bool,
    rng: np.random.Generator,
    parts: _Parts,
) -> None:
    dealt = share_out([films for _, films in left], [fraction, 1.0 - fraction], rng)
    tuned = [pair for pair, part in zip(left, dealt, strict=True) if part == 0]
    for (group, _), part in zip(left, dealt, strict=True):
        if part == 1:
            parts.add_train(group)
    for group, films in _balance(tuned, rng, parts) if balanced else tuned:
        parts.tune += films
        parts.aside += _without(group, films)


def _balance(
    tuned: Sequence[tuple[Group, Group]], rng: np.random.Generator, parts: _Parts
) -> list[tuple[Group, Group]]:
    """Drops films of the more frequent class until the classes are even, whole patients first."""
    positives = sum(film.label == 1 for _, films in tuned for film in films)
    surplus = sum(len(films) for _, films in tuned) - 2 * positives
    common = 0 if surplus > 0 else 1
    surplus = abs(surplus)
    kept = []
    for index in rng.permutation(len(tuned)):
        group, films = tuned[index]
        if len(films) <= surplus and all(film.label == common for film in films):
            surplus -= len(films)
            parts.add_train(group)
        else:
            kept.append((group, films))
    even = []
    for group, films in kept:
        over = [film for film in films if film.label == common][:surplus]
        surplus -= len(over)
        even.append((group, tuple(_without(films, over))))
    return even


def _draw_folds(
    left: Sequence[tuple[Group, Group]], folds: int, rng: np.random.Generator, parts: _Parts
) -> None:
    if folds > len(left):
        raise DatasetError(
            f"{folds} folds of {len(left)} patients with testable films: ask for {len(left)} or fewer"
        )
    parts.folds = [[] for _ in range(folds)]
    parts.companions = [[] for _ in range(folds)]
    dealt = share_out([films for _, films in left], [1.0 / folds] * folds, rng)
    for (group, films), fold in zip(left, dealt, strict=True):
        parts.folds[fold] += films
        for film in _without(group, films):
            (parts.companions[fold] if _labelled(film) else parts.aside).append(film)


def _ids(films: Iterable[Film]) -> tuple[str, ...]:
    return tuple(sorted(film.film_id for film in films))


def _notes(dataset: Dataset, parts: _Parts, *, wants_test: bool) -> tuple[str, ...]:
    notes = []
    unknown = [film for film in dataset.films if film.patient_basis == "film"]
    if unknown:
        corpora = ", ".join(sorted({film.corpus for film in unknown}))
        notes.append(
            f"The patients of {len(unknown)} films ({corpora}) are unknown: leaks between the parts "
            "cannot be excluded."
        )
    drawn = {"test": parts.test} if parts.test or wants_test else {}
    drawn |= {f"fold {i}": films for i, films in enumerate(parts.folds)} or {"tuning": parts.tune}
    for name, films in drawn.items():
        if not films:
            notes.append(f"The {name} part is empty: there are too few patients.")
        if films and len({film.label for film in films}) == 1:
            kind = "positive" if films[0].label else "negative"
            notes.append(f"All {len(films)} films of the {name} part are {kind}.")
    return tuple(notes)
