"""Models compared on the same films: what differs, by how much, and whether it can be told from chance."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pleura.errors import EvaluationError
from pleura.evaluation.bootstrap import overlap_statistics, rank_statistics, ratio_of
from pleura.evaluation.clustered_auc import PairedAUC, compare_auc
from pleura.evaluation.interval import Interval
from pleura.evaluation.resampling import (
    RESAMPLES,
    Block,
    Floats,
    Ranks,
    Statistic,
    check_resamples,
    interval,
    ordered,
    patient_weights,
    per_patient,
)
from pleura.evaluation.run import FILMS_FILE, RUN_FILE
from pleura.evaluation.score_file import read_scores
from pleura.evaluation.scores import ScoreTable

COMPARED: Mapping[str, str] = {
    "competition_dice": "Competition Dice",
    "dice_positives": "Dice on positives",
    "auc": "AUC",
    "average_precision": "Average precision",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "f1": "F1",
}
FORMAT_VERSION = 1
_NAMED = 5


@dataclass(frozen=True)
class Entrant:
    """One evaluation that takes part."""

    name: str
    table: ScoreTable


@dataclass(frozen=True)
class Difference:
    """One model against the first, in one metric.

    Attributes:
        metric: of `COMPARED`.
        first, second: the values; None where there is none.
        difference: second minus first, with its paired interval.
        p: of the paired clustered test, for the AUC only; not adjusted for the number of comparisons.
    """

    metric: str
    first: float | None
    second: float | None
    difference: Interval
    p: float | None = None

    @property
    def verdict(self) -> str:
        """In words: `higher`, `lower`, or that it cannot be told."""
        found = self.difference
        if found.value is None:
            return f"not comparable: {found.reason}"
        if found.low is None or found.high is None:
            return "equal" if found.value == 0 else "no interval"
        if found.low > 0:
            return "higher"
        return "lower" if found.high < 0 else "not distinguishable"

    @property
    def p_value(self) -> str | None:
        """`p` in words; no test says that a chance is nil."""
        if self.p is None:
            return None
        return "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"


@dataclass(frozen=True)
class Comparison:
    """Every model against the first.

    Attributes:
        first: its name.
        films, patients, positives: of the common films.
        differences: name of another model -> one row a metric.
        aucs: name -> the AUCs by formula; None with one class only.
    """

    first: str
    films: int
    patients: int
    positives: int
    differences: Mapping[str, tuple[Difference, ...]]
    aucs: Mapping[str, PairedAUC | None]


def read_entrants(folders: Sequence[Path]) -> list[Entrant]:
    """The evaluations in `folders`, each named for its model; for its folder where two share a name.

    Raises:
        EvaluationError: there are fewer than two, or one is missing or unfinished.
    """
    if len(folders) < 2:
        raise EvaluationError(f"a comparison needs two evaluations at least; got {len(folders)}")
    found = []
    for folder in folders:
        try:
            run = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
            films, name = int(run["films"]), str(run["model"]["name"])
            table = ScoreTable.of(read_scores(folder / FILMS_FILE))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise EvaluationError(
                f"{folder} holds no evaluation ({Path(error.filename).name} is missing); make one with "
                "`pleura evaluate`"
            ) from None
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, EvaluationError):
                raise
            raise EvaluationError(
                f"{folder / RUN_FILE} is damaged ({error!r}); evaluate into a new folder"
            ) from error
        if len(table) != films:
            raise EvaluationError(
                f"{folder} is unfinished ({len(table)} of {films} films); run its `pleura evaluate` again"
            )
        found.append((folder, name, table))
    names = [name for _, name, _ in found]
    shared = {name for name in names if names.count(name) > 1}
    named = [str(folder) if name in shared else name for folder, name, _ in found]
    if len(set(named)) < len(named):
        raise EvaluationError("an evaluation is given twice; give each once")
    return [Entrant(name, table) for name, (_, _, table) in zip(named, found, strict=True)]


def compare(
    entrants: Sequence[Entrant], *, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compares every model with the first, on the same resamples of patients.

    Raises:
        EvaluationError: the films, their patients or their labels differ, or `resamples` is too small.
    """
    check_resamples(resamples)
    first, others = entrants[0], entrants[1:]
    for other in others:
        _check_same(first, other)
    tables = {entrant.name: ordered(entrant.table) for entrant in entrants}
    values, drawn = _values(tables, resamples, seed)
    base = tables[first.name]
    aucs = {
        other.name: compare_auc(base.score, tables[other.name].score, base.label, base.patient)
        for other in others
    }
    return Comparison(
        first=first.name,
        films=len(base),
        patients=base.patients,
        positives=int(base.label.sum()),
        differences={
            other.name: tuple(
                _difference(key, first.name, other.name, values, drawn, aucs[other.name], len(base))
                for key in COMPARED
            )
            for other in others
        },
        aucs=aucs,
    )


def _values(
    tables: Mapping[str, ScoreTable], resamples: int, seed: int
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], Floats]]:
    """(model, metric) -> its value, and its values in the resamples, which all models share."""
    base = next(iter(tables.values()))
    made = {
        name: (Ranks(t.score, t.label, t.patient), _statistics(t)) for name, t in tables.items()
    }

    def at(weights: Floats) -> dict[tuple[str, str], Floats]:
        found: dict[tuple[str, str], Floats] = {}
        for name, (ranks, statistics) in made.items():
            block = Block(weights, ranks)
            found |= {(name, key): statistic.of(block) for key, statistic in statistics.items()}
        return found

    values = {key: float(value[0]) for key, value in at(np.ones((1, base.patients))).items()}
    parts = [at(w) for w in patient_weights(base.patients, len(base), resamples, seed)]
    return values, {key: np.concatenate([part[key] for part in parts]) for key in values}


def _statistics(table: ScoreTable) -> dict[str, Statistic]:
    def share(hits: NDArray[np.bool_], of: NDArray[np.bool_]) -> Callable[[Block], Floats]:
        return ratio_of(per_patient(table, hits), per_patient(table, of))

    call, label = table.call, table.label
    found = overlap_statistics(table) | rank_statistics(table)
    found["sensitivity"] = Statistic(share(call & label, label), len(table), "")
    found["specificity"] = Statistic(share(~call & ~label, ~label), len(table), "")
    return {key: found[key] for key in COMPARED}


def _difference(
    key: str,
    first: str,
    second: str,
    values: Mapping[tuple[str, str], float],
    drawn: Mapping[tuple[str, str], Floats],
    area: PairedAUC | None,
    n: int,
) -> Difference:
    a, b = values[first, key], values[second, key]
    known = [float(v) if np.isfinite(v) else None for v in (a, b)]
    if None in known:
        missing = first if known[0] is None else second
        found = Interval(None, n=n, reason=f"{missing} has no {COMPARED[key]}")
    else:
        found = interval(b - a, drawn[second, key] - drawn[first, key], n)
    p = area.p if key == "auc" and area else None
    return Difference(key, known[0], known[1], found, p)


def _check_same(first: Entrant, other: Entrant) -> None:
    a = {f.film_id: f for f in first.table.films}
    b = {f.film_id: f for f in other.table.films}
    if a.keys() != b.keys():
        alone = sorted(a.keys() ^ b.keys())
        raise EvaluationError(
            f"{first.name} and {other.name} were not scored on the same films; {len(alone)} are in one only: "
            f"{', '.join(alone[:_NAMED])}{', ...' if len(alone) > _NAMED else ''}. Evaluate both on one part"
        )
    changed = [
        i
        for i in sorted(a)
        if (a[i].label, a[i].truth_area, a[i].patient_id, a[i].pixels)
        != (b[i].label, b[i].truth_area, b[i].patient_id, b[i].pixels)
    ]
    if changed:
        raise EvaluationError(
            f"{first.name} and {other.name} were scored against other labels or patients of {len(changed)} "
            f"films: {', '.join(changed[:_NAMED])}{', ...' if len(changed) > _NAMED else ''}. Evaluate "
            "both on one dataset"
        )
