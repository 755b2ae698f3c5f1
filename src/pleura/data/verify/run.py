"""`verify`: whether a prepared dataset is safe to train on, and what in it deserves a look."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pleura
from pleura.cores import usable_cores
from pleura.data.manifest import Dataset
from pleura.data.split.file import Split
from pleura.data.verify.checks import (
    CorpusRow,
    check_balance,
    check_copies,
    check_labels,
    check_patients,
    check_split,
    check_tables,
    corpus_rows,
)
from pleura.data.verify.measure import Looks, Measured, measure
from pleura.data.verify.outliers import Z_LIMIT, looks_scores, odd_poses
from pleura.data.verify.problems import Problem, Problems, Severity
from pleura.data.workers import each
from pleura.errors import DatasetError
from pleura.files import write_json

VERIFICATION_FORMAT_VERSION = 1
SCORED = ("brightness", "contrast", "noise", "sharpness")
MEASURES = tuple(f.name for f in fields(Looks))
_FILMS_A_PROCESS = 64  # below this a worker costs more to start than it saves


@dataclass(frozen=True, eq=False)
class Verification:
    """What was found.

    Attributes:
        dataset: its folder, as given.
        dataset_sha256, split_sha256: what was verified; None without a split.
        films: how many.
        problems: the gravest first.
        corpora: counts by corpus and label quality.
        film_ids: of all films, in the manifest's order.
        looks: each measure of `Looks`, float64 (films,), NaN where the film could not be read.
        scores: robust z-scores of those in `SCORED`, float64 (films,), signed.
        seconds: it took.
    """

    dataset: str
    dataset_sha256: str
    split_sha256: str | None
    films: int
    problems: tuple[Problem, ...]
    corpora: tuple[CorpusRow, ...]
    film_ids: tuple[str, ...]
    looks: Mapping[str, NDArray[np.float64]]
    scores: Mapping[str, NDArray[np.float64]]
    seconds: float

    @property
    def safe_to_train(self) -> bool:
        """Whether no problem is an error."""
        return not any(problem.severity == "error" for problem in self.problems)

    def of(self, severity: Severity) -> tuple[Problem, ...]:
        """The problems of one severity."""
        return tuple(problem for problem in self.problems if problem.severity == severity)

    def facts(self) -> dict[str, Any]:
        """Everything but the measures film by film, as JSON has it."""
        return {
            "format_version": VERIFICATION_FORMAT_VERSION,
            "pleura_version": pleura.__version__,
            "dataset": self.dataset,
            "dataset_sha256": self.dataset_sha256,
            "split_sha256": self.split_sha256,
            "films": self.films,
            "safe_to_train": self.safe_to_train,
            "problems": [
                {"severity": p.severity, "message": p.message, "count": p.count} | asdict(p)
                for p in self.problems
            ],
            "corpora": [asdict(row) | {"share": row.share} for row in self.corpora],
            "looks": {name: _quantiles(values) for name, values in self.looks.items()},
            "seconds": round(self.seconds, 3),
        }

    def save(self, path: Path) -> None:
        """Writes `facts` to `path` as JSON, whole or not at all.

        Raises:
            DatasetError: it cannot be written there.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, self.facts())
        except OSError as error:
            raise DatasetError(
                f"{path} cannot be written ({error}); choose another place"
            ) from error


def verify(
    dataset: Dataset,
    split: Split | None = None,
    *,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Reads every film and mask of a dataset and compares the films with each other.

    Args:
        dataset: prepared.
        split: also looked through for leaks, where given.
        processes: to measure films with; one for each core by default.
        progress: called with (films done, films in all).
    """
    started = time.monotonic()
    problems = Problems()
    films = dataset.films
    measured = _measure_all(dataset, processes, progress)
    for film, result in zip(films, measured, strict=True):
        for code, detail in result.faults:
            problems.add(code, film.film_id, detail)
    check_labels(films, problems)
    check_copies(films, problems)
    check_patients(films, problems)
    check_tables(dataset, problems)
    rows = corpus_rows(films)
    check_balance(rows, problems)
    if split is not None:
        check_split(dataset, split, problems)
    looks = _columns(measured)
    scores = _check_looks(dataset, looks, problems)
    return Verification(
        dataset=str(dataset.root),
        dataset_sha256=dataset.sha256,
        split_sha256=None if split is None else split.sha256,
        films=len(films),
        problems=problems.gathered(),
        corpora=rows,
        film_ids=tuple(film.film_id for film in films),
        looks=looks,
        scores=scores,
        seconds=time.monotonic() - started,
    )


def _measure_all(
    dataset: Dataset, processes: int | None, progress: Callable[[int, int], None] | None
) -> list[Measured]:
    films = dataset.films
    wanted = processes or min(usable_cores(), max(1, len(films) // _FILMS_A_PROCESS))
    # A task takes the dataset along to its worker: without the films it is small.
    task = partial(_measure_at, replace(dataset, films=()))
    results: list[Measured | None] = [None] * len(films)
    for done, ((index, _), result) in enumerate(each(task, list(enumerate(films)), wanted), 1):
        results[index] = result
        if progress is not None:
            progress(done, len(films))
    crashed = (("image-unreadable", "reading it crashed the process"),)
    return [
        result or Measured(film.film_id, crashed)
        for film, result in zip(films, results, strict=True)
    ]


def _measure_at(dataset: Dataset, item: tuple[int, Any]) -> Measured:
    return measure(dataset, item[1])


def _columns(measured: list[Measured]) -> dict[str, NDArray[np.float64]]:
    return {
        name: np.array(
            [np.nan if m.looks is None else getattr(m.looks, name) for m in measured],
            dtype=np.float64,
        )
        for name in MEASURES
    }


def _check_looks(
    dataset: Dataset, looks: Mapping[str, NDArray[np.float64]], problems: Problems
) -> dict[str, NDArray[np.float64]]:
    corpora = [film.corpus for film in dataset.films]
    scores = looks_scores({name: looks[name] for name in SCORED}, corpora)
    for name, z in scores.items():
        for index in np.flatnonzero(np.abs(z) > Z_LIMIT):
            detail = f"{name} {looks[name][index]:.3g} (z {z[index]:+.1f})"
            problems.add(f"odd-{name}", dataset.films[index].film_id, detail)
    for code, odd in odd_poses(dataset.films).items():
        for film, detail in odd:
            problems.add(code, film.film_id, detail)
    return scores


def _quantiles(values: NDArray[np.float64]) -> dict[str, float] | None:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    points = np.quantile(finite, (0.05, 0.5, 0.95))
    return dict(zip(("p5", "median", "p95"), map(float, points), strict=True))
