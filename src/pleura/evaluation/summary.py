"""The numbers of an evaluation, computed from film scores alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pleura.data.manifest import Film
from pleura.evaluation.bootstrap import RESAMPLES, bootstrap
from pleura.evaluation.calibration import CalibrationNumbers, assess
from pleura.evaluation.caveats import caveats_of, of_provenance
from pleura.evaluation.detection import (
    PREVALENCES,
    NamedPoint,
    detection_statistics,
    named_points,
)
from pleura.evaluation.interval import Interval
from pleura.evaluation.numbers import EMPTY_RULES, METRICS, Numbers, numbers_from, numbers_of
from pleura.evaluation.run import Run
from pleura.evaluation.scores import FilmScore, ScoreTable
from pleura.evaluation.segmentation import SEGMENTATION, segmentation_statistics
from pleura.evaluation.strata import Stratification, stratify

FORMAT_VERSION = 4


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        run: what was scored: part, model, dataset.
        scores: of every film, in the order given.
        numbers: of all films.
        by_corpus: of the films of each corpus, where there are several.
        accepted: of the films the model did not decline, where it declined some and not all.
        auc_by_bootstrap: the AUC with the interval of its bootstrap, beside that by formula in `numbers`.
        points: sensitivity and its kin at named operating points.
        segmentation: key of `SEGMENTATION` -> number of the outlines.
        strata: the same few numbers for kinds of films.
        calibration: of the scores; None with one class only. Mind `run.calibrated`.
        test_openings: how often test films of this dataset have been opened, this time included; None where
            the part is no test part.
        caveats: what to know before believing the numbers, a sentence or two each, the gravest first.
        command: that made it, or None.
    """

    run: Run
    scores: tuple[FilmScore, ...]
    numbers: Numbers
    by_corpus: Mapping[str, Numbers]
    accepted: Numbers | None
    auc_by_bootstrap: Interval
    points: tuple[NamedPoint, ...]
    segmentation: Mapping[str, Interval]
    strata: tuple[Stratification, ...]
    calibration: CalibrationNumbers | None
    test_openings: int | None
    caveats: tuple[str, ...]
    command: str | None = None

    def table(self) -> list[tuple[str, str, str, str]]:
        """Rows (metric, value with its interval, all-empty baseline, films) for a terminal."""
        rows = []
        for key, name in METRICS.items():
            interval, base = self.numbers.metrics[key], self.numbers.all_empty[key]
            baseline = "–" if base is None else f"{base:.3f}"
            rows.append((name, str(interval), baseline, f"{interval.n:,}"))
        return rows

    def facts(self) -> dict[str, Any]:
        """Everything but the films, as JSON types."""
        described = {
            "format_version": FORMAT_VERSION,
            "run": asdict(self.run),
            "numbers": asdict(self.numbers),
            "empty_rules": dict(EMPTY_RULES),
            "by_corpus": {name: asdict(numbers) for name, numbers in self.by_corpus.items()},
            "accepted": asdict(self.accepted) if self.accepted else None,
            "auc_by_bootstrap": asdict(self.auc_by_bootstrap),
            "points": [asdict(point) for point in self.points],
            "segmentation": {key: asdict(value) for key, value in self.segmentation.items()},
            "strata": [asdict(stratification) for stratification in self.strata],
            "calibration": asdict(self.calibration) if self.calibration else None,
            "test_openings": self.test_openings,
            "caveats": list(self.caveats),
            "command": self.command,
        }
        return dict(json.loads(json.dumps(described)))


def summarise(
    run: Run,
    scores: Sequence[FilmScore],
    *,
    films: Mapping[str, Film] | None = None,
    by: Sequence[str] = (),
    prevalences: Sequence[float] = PREVALENCES,
    test_openings: int | None = None,
    command: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """The evaluation that film scores amount to; no image is needed.

    Args:
        run: what was scored.
        scores: of every film.
        films: the manifest's rows by film, for strata by what they say.
        by: further columns of the manifest to stratify by.
        prevalences: at which predictive values are wanted.
        test_openings, command: put on record.
        resamples, seed: of the bootstrap.

    Raises:
        EvaluationError: there are no scores, one is there twice, `resamples` is too small, or a prevalence
            does not lie between 0 and 1.
        UnknownName: there is no such column.
    """
    table = ScoreTable.of(scores)
    again = {"resamples": resamples, "seed": seed}
    points = detection_statistics(prevalences)
    found = bootstrap(table, **again, more=lambda t: segmentation_statistics(t) | points(t))
    corpora = sorted({film.corpus for film in scores})
    by_corpus = {
        name: numbers_of(ScoreTable.of(f for f in table.films if f.corpus == name), **again)
        for name in (corpora if len(corpora) > 1 else ())
    }
    judged = [film for film in scores if not film.declined]
    some = 0 < len(judged) < len(scores)
    numbers = numbers_from(table, found)
    return Evaluation(
        run=run,
        scores=table.films,
        numbers=numbers,
        by_corpus=by_corpus,
        accepted=numbers_of(ScoreTable.of(judged), **again) if some else None,
        auc_by_bootstrap=found["auc"],
        points=named_points(table, found, prevalences),
        segmentation={key: found[key] for key in SEGMENTATION},
        strata=stratify(table, films or {}, by=by, **again),
        calibration=assess(table, **again) if judged else None,
        test_openings=test_openings,
        caveats=of_provenance(run) + caveats_of(table, numbers, corpora, test_openings),
        command=command,
    )
