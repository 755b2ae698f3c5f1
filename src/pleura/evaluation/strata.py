"""The same few numbers for kinds of films: by size and side of the label, by patient, view and source.

What is a property of the label (its size, its side) divides the positive films only; each kind is then set
against all negative films, for which there is no such property. All else divides both alike.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pleura.data.manifest import Film
from pleura.errors import UnknownName
from pleura.evaluation.bootstrap import overlap_statistics
from pleura.evaluation.clustered_auc import auc_interval
from pleura.evaluation.interval import Interval, wilson
from pleura.evaluation.resampling import RESAMPLES, resample
from pleura.evaluation.scores import FilmScore, ScoreTable

STRATUM_METRICS = ("auc", "sensitivity", "specificity", "dice_positives")
SIZE_EDGES = (
    0.005,
    0.02,
)  # shares of the image, to a third of the challenge's positives each, about
AREA_EDGES_CM2 = (5.0, 20.0)
AGE_EDGES = (18, 40, 60, 80)
FEW, TOO_FEW = 30, 10
MOST = 12
UNKNOWN, OTHER = "not stated", "others"

Kind = Callable[[FilmScore, Film | None], str | None]


class _Group(NamedTuple):
    """A stratum's name, and the kinds of film in it; None is the unknown one."""

    name: str
    kinds: frozenset[str | None]


@dataclass(frozen=True)
class Stratum:
    """The numbers of one kind of film.

    Attributes:
        name: of the kind.
        films, positives, patients: how many.
        metrics: key of `STRATUM_METRICS` -> value with its interval; specificity has no value where all
            strata share the negatives.
        warning: where there are too few films to say much, or None.
    """

    name: str
    films: int
    positives: int
    patients: int
    metrics: Mapping[str, Interval]
    warning: str | None


@dataclass(frozen=True)
class Stratification:
    """Films by one property.

    Attributes:
        name: of the property.
        of_label: whether it divides the positive films only.
        strata: in order.
    """

    name: str
    of_label: bool
    strata: tuple[Stratum, ...]


def stratify(
    table: ScoreTable,
    films: Mapping[str, Film],
    *,
    by: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Stratification, ...]:
    """The films of `table` by every property that tells them apart.

    Args:
        table: the scores.
        films: what the manifest says of each, by `film_id`.
        by: further columns of the manifest, fields of `Film` or of its facts; they are shown even where all
            films are of one kind, and in quarters where they hold more than `MOST` different numbers.
        resamples, seed: of the bootstrap.

    Raises:
        UnknownName: no film has a column of that name; lists those there are.
    """
    found = []
    for name, of_label, order, kind in _properties(table, films, by):
        kinds = [kind(s, films.get(s.film_id)) for s in table.films]
        divided = [k for s, k in zip(table.films, kinds, strict=True) if s.label or not of_label]
        groups = _groups(divided, order)
        if name in by:
            groups = groups or [_Group(UNKNOWN, frozenset((None,)))]
        elif len(groups) < 2:
            continue
        strata = tuple(
            _stratum(group.name, _chosen(table, kinds, group, of_label), of_label, resamples, seed)
            for group in groups
        )
        found.append(Stratification(name, of_label, strata))
    return tuple(found)


def _properties(
    table: ScoreTable, films: Mapping[str, Film], by: Sequence[str]
) -> list[tuple[str, bool, tuple[str, ...], Kind]]:
    """(name, whether of the label, order of its kinds if there is one, kind of a film)."""
    listed: list[tuple[str, bool, tuple[str, ...], Kind]] = [
        ("Label, share of the image", True, _bands(SIZE_EDGES, _percent), _size),
        ("Label, cm²", True, _bands(AREA_EDGES_CM2, _cm2), _area),
        ("Side of label", True, ("right", "left", "bilateral"), lambda s, f: s.side),
        ("View", False, (), lambda s, f: f.view if f else None),
        ("Sex", False, (), lambda s, f: f.sex if f else None),
        ("Age", False, _bands(AGE_EDGES, _plain), _age),
        ("Corpus", False, (), lambda s, f: s.corpus),
    ]
    return listed + [(name, False, *_column(name, table, films)) for name in dict.fromkeys(by)]


def check_columns(names: Sequence[str], films: Iterable[Film]) -> set[str]:
    """Raises UnknownName where a name is no column of the manifest; gives those that are facts."""
    columns = {f.name for f in fields(Film)} - {"facts", "thumbnail"}
    facts = {fact for film in films for fact in film.facts}
    for name in names:
        if name not in columns | facts:
            raise UnknownName.among("column of the manifest", name, columns | facts)
    return facts


def _column(
    name: str, table: ScoreTable, films: Mapping[str, Film]
) -> tuple[tuple[str, ...], Kind]:
    """The order and the kinds of a column: its values, or the quarters of its many numbers."""
    facts = check_columns([name], films.values())

    def kind(score: FilmScore, film: Film | None) -> str | None:
        if film is None:
            return None
        value = film.facts.get(name) if name in facts else getattr(film, name)
        if value is None or value == ():
            return None
        return _plain(value) if isinstance(value, float) else str(value)

    values = [kind(score, films.get(score.film_id)) for score in table.films]
    numbers = _numbers({value for value in values if value is not None})
    if len(numbers) <= MOST:
        return (), kind
    known = [numbers[value] for value in values if value is not None]
    edges = np.unique(np.quantile(known, (0.25, 0.5, 0.75))).tolist()
    unit = _distinct(edges)

    def quarter(score: FilmScore, film: Film | None) -> str | None:
        value = kind(score, film)
        return None if value is None else _band(numbers[value], edges, unit)

    return _bands(edges, unit), quarter


def _numbers(values: Iterable[str]) -> dict[str, float]:
    """What texts say as numbers; nothing where one is none."""
    try:
        found = {value: float(value) for value in values}
    except ValueError:
        return {}
    return found if np.isfinite(list(found.values())).all() else {}


def _groups(kinds: Sequence[str | None], order: Sequence[str]) -> list[_Group]:
    """The strata to show, in order; the rarest of many kinds are pooled, the unknown come last."""
    counts = Counter(k for k in kinds if k is not None)
    frequent = sorted(counts, key=lambda name: (-counts[name], name))
    shown = [name for name in order if counts[name]] if order else sorted(frequent[:MOST])
    groups = [_Group(name, frozenset((name,))) for name in shown]
    if not order and len(frequent) > MOST:
        groups.append(_Group(OTHER, frozenset(frequent[MOST:])))
    if groups and None in kinds:
        groups.append(_Group(UNKNOWN, frozenset((None,))))
    return groups


def _chosen(
    table: ScoreTable, kinds: Sequence[str | None], group: _Group, of_label: bool
) -> list[FilmScore]:
    """The films of one stratum; with a property of the label, every negative film besides."""
    return [
        film
        for film, kind in zip(table.films, kinds, strict=True)
        if (of_label and film.label == 0)
        or (kind in group.kinds and (film.label == 1 or not of_label))
    ]


def _stratum(
    name: str, films: Sequence[FilmScore], of_label: bool, resamples: int, seed: int
) -> Stratum:
    table = ScoreTable.of(films)
    label, call, patient = table.label, table.call, table.patient
    metrics = {
        "auc": auc_interval(table.score, label, patient),
        "sensitivity": wilson(call[label], patient[label], "no film is labelled positive"),
        "specificity": Interval(None, reason="the negative films are common to all")
        if of_label
        else wilson(~call[~label], patient[~label], "no film is labelled negative"),
        "dice_positives": _dice(films, resamples, seed),
    }
    positives = int(label.sum())
    own = positives if of_label else len(table)
    patients = np.unique(patient[label]).size if of_label else table.patients
    warning = _warning(positives, None if of_label else len(table) - positives)
    return Stratum(name, own, positives, int(patients), metrics, warning)


def _dice(films: Sequence[FilmScore], resamples: int, seed: int) -> Interval:
    marked = [film for film in films if film.truth_area > 0]
    if not marked:
        return Interval(None, reason="no film has a labelled mask")
    table = ScoreTable.of(marked)
    return resample(table, overlap_statistics, resamples=resamples, seed=seed)["dice_positives"]


def _warning(positives: int, negatives: int | None) -> str | None:
    fewest = positives if negatives is None else min(positives, negatives)
    if fewest >= FEW:
        return None
    kind = "positive" if fewest == positives else "negative"
    says = "too few to say anything" if fewest < TOO_FEW else "few, read with care"
    return f"{fewest} {kind}: {says}"


def _bands(edges: Sequence[float], unit: Callable[[float], str]) -> tuple[str, ...]:
    inner = [f"{unit(a)} to {unit(b)}" for a, b in pairwise(edges)]
    return (f"below {unit(edges[0])}", *inner, f"{unit(edges[-1])} or more")


def _band(value: float, edges: Sequence[float], unit: Callable[[float], str]) -> str:
    return _bands(edges, unit)[int(np.searchsorted(edges, value, side="right"))]


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _cm2(area: float) -> str:
    return f"{area:g} cm²"


def _plain(number: float) -> str:
    return f"{number:.4g}"


def _distinct(edges: Sequence[float]) -> Callable[[float], str]:
    """How to write edges: with four digits, or as many as keep them apart and write them out."""
    for digits in range(4, 17):
        texts = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(texts)) == len(texts) and not any("e+" in text for text in texts):
            return lambda number: f"{number:.{digits}g}"
    return repr


def _size(score: FilmScore, film: Film | None) -> str | None:
    if not score.truth_area:
        return None
    return _band(score.truth_area / score.pixels, SIZE_EDGES, _percent)


def _area(score: FilmScore, film: Film | None) -> str | None:
    if not score.truth_area or score.pixel_mm2 is None:
        return None
    return _band(score.truth_area * score.pixel_mm2 / 100.0, AREA_EDGES_CM2, _cm2)


def _age(score: FilmScore, film: Film | None) -> str | None:
    if film is None or film.age_years is None:
        return None
    return _band(film.age_years, AGE_EDGES, _plain)
