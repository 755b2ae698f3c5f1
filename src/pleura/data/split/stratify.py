"""Shares out whole groups of films so that every part looks like the whole."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pleura.data.manifest import Film

SIZE_QUANTILES = (0.25, 0.5, 0.75)
"""Cuts of the groups' largest masks, among groups with a positive film."""

MANY_FILMS = 4
"""Patients with more films are shared out apart."""

DEALS = 8
"""Deals made, of which the most even is kept."""

_PHASES = 1_000

Group = tuple[Film, ...]


def share_out(
    groups: Sequence[Group], shares: Sequence[float], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Deals `groups` out, one part for each of `shares`.

    Systematic sampling (Madow and Madow 1944): groups are lined up by stratum (no positive film, or
    the quantile of the largest mask), whether they have many films, and chance; then dealt along
    the line in turns proportional to the shares, from a random starting turn. So every stratum is
    shared in proportion, to within a group, and a group's chances hardly depend on how many films
    it has. Of a few such deals the one is kept whose parts are nearest to their shares in
    positive and in negative films (rerandomisation, Morgan and Rubin 2012).

    Args:
        groups: of labelled films.
        shares: of the groups, positive, summing to 1.
        rng: the same state gives the same parts.

    Returns:
        int64 (len(groups),): the part of each group, an index into `shares`.
    """
    if not groups:
        return np.zeros(0, dtype=np.int64)
    counts = np.array([_counts(group) for group in groups], dtype=np.float64)  # (G, 2)
    deals = [_deal(groups, shares, rng) for _ in range(DEALS)]
    return min(deals, key=lambda dealt: _unevenness(dealt, counts, shares))


def _deal(
    groups: Sequence[Group], shares: Sequence[float], rng: np.random.Generator
) -> NDArray[np.int64]:
    dealt = np.zeros(len(groups), dtype=np.int64)
    dealt[_line_up(groups, rng)] = _turns(shares, len(groups), int(rng.integers(_PHASES)))
    return dealt


def _unevenness(
    dealt: NDArray[np.int64], counts: NDArray[np.float64], shares: Sequence[float]
) -> float:
    totals = np.maximum(counts.sum(axis=0), 1.0)
    got = np.array([counts[dealt == part].sum(axis=0) / totals for part in range(len(shares))])
    return float(((got / np.asarray(shares)[:, None] - 1.0) ** 2).sum())


def _counts(group: Group) -> tuple[int, int]:
    positives = sum(film.label == 1 for film in group)
    return len(group) - positives, positives


def _turns(shares: Sequence[float], count: int, start: int) -> NDArray[np.int64]:
    """Turns `start` to `start + count`, each to the part that is furthest short of its share."""
    fractions = np.asarray(shares, dtype=np.float64)
    owed = np.zeros(len(shares))
    turns = np.empty(start + count, dtype=np.int64)
    for turn in range(start + count):
        owed += fractions
        turns[turn] = np.argmax(owed)
        owed[turns[turn]] -= 1.0
    return turns[start:]


def _line_up(groups: Sequence[Group], rng: np.random.Generator) -> NDArray[np.intp]:
    # Much is left to chance on purpose: were the line nearly fixed, the same few deals would always be
    # the most even, and some patients tested for every seed, others for none.
    many = np.array([len(group) for group in groups]) > MANY_FILMS
    return np.lexsort((rng.permutation(len(groups)), many, _strata(groups)))


def _strata(groups: Sequence[Group]) -> NDArray[np.int64]:
    """0 for a group without a positive film, else 1 and up by the quantile of its largest mask."""
    positive = np.array([any(film.label == 1 for film in group) for group in groups])
    largest = np.array([max(film.mask_area_fraction or 0.0 for film in group) for group in groups])
    strata = np.zeros(len(groups), dtype=np.int64)
    if positive.any():
        cuts = np.quantile(largest[positive], SIZE_QUANTILES)
        strata[positive] = 1 + np.searchsorted(cuts, largest[positive], side="right")
    return strata
