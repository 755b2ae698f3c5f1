"""Soft labels of presence: another model's probability in the place of a label that no expert gave."""

import hashlib
import json
from collections.abc import Iterable, Mapping

from pleura.data.manifest import Dataset, Film
from pleura.errors import DatasetError, UnknownName


def soft_presence(
    fact: str | None, dataset: Dataset, film_ids: Iterable[str]
) -> Mapping[str, float]:
    """The probabilities by which films' presence is learnt, of those that have one.

    A model learns more from another's doubt than from its verdict (Hinton, Vinyals and Dean, "Distilling the
    knowledge in a neural network", arXiv 1503.02531, 2015). An expert's label stands whatever a model says.

    Args:
        fact: the column of the corpora's tables with the probabilities, 0 to 1; None: no film has one.
        dataset: with such a column, in some corpus at least.
        film_ids: of which films.

    Raises:
        UnknownName: no film of the dataset has such a fact.
        DatasetError: a value is no probability; names the film.
    """
    if fact is None:
        return {}
    known = {name for film in dataset.films for name, value in film.facts.items() if value}
    if fact not in known:
        raise UnknownName.among("fact of this dataset (the recipe's soft_presence)", fact, known)
    asked = (dataset.by_id[film_id] for film_id in film_ids)
    return {film.film_id: _probability(film, fact) for film in asked if _is_soft(film, fact)}


def soft_presence_sha256(soft: Mapping[str, float]) -> str | None:
    """A hash over what is learnt from (hex): other probabilities are another run; None without any."""
    if not soft:
        return None
    return hashlib.sha256(json.dumps(sorted(soft.items())).encode()).hexdigest()


def _is_soft(film: Film, fact: str) -> bool:
    return film.label_quality != "expert" and bool(film.facts.get(fact))


def _probability(film: Film, fact: str) -> float:
    try:
        value = float(film.facts[fact])
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:  # nor is a NaN
        raise DatasetError(
            f"film {film.film_id} has {fact} {film.facts[fact]!r}, which is no probability from 0 to 1; mend "
            "the corpus's table and prepare it again, or name another column in soft_presence"
        )
    return value
