"""Cross-validation: every fold trained, every development film judged by the one model that never saw it.

OUT/
  fold-0, fold-1, ...   a training run each
  bundles/fold-0, ...   its model
  scores/fold-0, ...    its out-of-fold films, scored
  out-of-fold/          all of them together: numbers, page, operating point, calibrator

A model's decisions on its own tuning films would be made at a threshold fitted to them. Here each fold's
films are called at the operating point that was best on the other folds' out-of-fold films.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import EvaluationError, TrainingError
from pleura.evaluation.calibration import fit_calibrator
from pleura.evaluation.numbers import Numbers, numbers_of
from pleura.evaluation.operating_point import PixelSweep, fit_operating_point, sweep
from pleura.evaluation.page import write_report
from pleura.evaluation.report import NUMBERS_FILE, REPORT_FILE
from pleura.evaluation.run import FILMS_FILE, Run, score_films
from pleura.evaluation.score_file import ScoreWriter
from pleura.evaluation.scores import FilmScore, ScoreTable
from pleura.evaluation.summary import Evaluation, summarise
from pleura.files import write_json
from pleura.finding import Finding, ModelIdentity
from pleura.inference.bundle import Bundle, open_bundle
from pleura.inference.detector import Detector
from pleura.inference.postprocess import OperatingPoint
from pleura.radiograph import Radiograph
from pleura.training.export import export
from pleura.training.recipe import Recipe
from pleura.training.train import Report, train

PART = "out-of-fold"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CrossValidation:
    """What came of it.

    Attributes:
        together: the evaluation of all development films, each by the model that never saw it.
        folds: the numbers of each fold apart.
    """

    together: Evaluation
    folds: tuple[Numbers, ...]


class _ByFold:
    """Judges each film with the model of the fold it was held out of."""

    def __init__(self, detectors: Mapping[int, Detector], fold_of: Mapping[str, int]) -> None:
        self.detectors, self.fold_of = detectors, fold_of

    def __call__(self, film: Radiograph) -> Finding:
        return self.detectors[self.fold_of[film.source]](film)


def cross_validate(
    recipe: Recipe,
    dataset: Dataset,
    split: Split,
    out: Path,
    *,
    device: str = "auto",
    command: str | None = None,
    report: Report | None = None,
    fold_begins: Callable[[int], None] | None = None,
    sweeping: Progress | None = None,
    scoring: Progress | None = None,
) -> CrossValidation:
    """Trains a recipe on every fold and scores the out-of-fold films; the same call goes on where it stopped.

    Args:
        recipe: what to train.
        dataset, split: with folds.
        out: a folder, new or of this very cross-validation.
        device: `auto`, `cpu` or `cuda`.
        command: what was typed, for the report.
        report: whom training tells.
        fold_begins: called with the number of the fold that training turns to.
        sweeping, scoring: called with (films done, films in all) of a fold.

    Raises:
        TrainingError: the split has no folds, or as `train` says.
        EvaluationError: no film of the other folds has a mask to fit an operating point on.
    """
    if len(split.folds) < 2:
        raise TrainingError(
            "this split has no folds to validate across; make one with `pleura split --folds 5`"
        )
    bundles = []
    for fold in range(len(split.folds)):
        if fold_begins:
            fold_begins(fold)
        run, place = out / f"fold-{fold}", out / "bundles" / f"fold-{fold}"
        train(recipe, dataset, split, run, fold=fold, device=device, report=report)
        if not place.exists():  # made once: its identity holds when it was made
            place.parent.mkdir(parents=True, exist_ok=True)
            export([run], dataset, split, place, device=device)
        bundles.append(open_bundle(place))
    sweeps = [
        sweep(_silent(bundle, device), dataset, split.folds[n], part=PART, progress=sweeping)
        for n, bundle in enumerate(bundles)
    ]
    detectors: dict[int, Detector] = {}
    scores: list[FilmScore] = []
    runs: list[Run] = []
    for fold, bundle in enumerate(bundles):
        point = _point(recipe, [one for n, one in enumerate(sweeps) if n != fold])
        detectors[fold] = Detector.of(_with_point(bundle, point), device)
        made, found = score_films(
            detectors[fold],
            dataset,
            split.folds[fold],
            part=f"{PART}, fold {fold}",
            out=out / "scores" / f"fold-{fold}",
            split_sha256=split.sha256,
            progress=scoring,
        )
        runs.append(made)
        scores += found
    together = summarise(
        _joint_run(recipe, runs, scores), scores, films=dataset.by_id, command=command
    )
    fold_of = {film_id: n for n, film_ids in enumerate(split.folds) for film_id in film_ids}
    folds = tuple(
        numbers_of(ScoreTable.of(f for f in scores if fold_of[f.film_id] == n))
        for n in range(len(runs))
    )
    _write(out / PART, together, folds, _ByFold(detectors, fold_of), dataset)
    _write_fitted(out / PART, recipe, sweeps, scores)
    return CrossValidation(together, folds)


def _silent(bundle: Bundle, device: str) -> Detector:
    """The model with thresholds of zero, so that it decides nothing and gives every map."""
    return Detector.of(_with_point(bundle, OperatingPoint(0, 0, 0)), device)


def _with_point(bundle: Bundle, point: OperatingPoint) -> Bundle:
    manifest = replace(bundle.manifest, operating_point=point)
    identity = bundle.identity
    told = hashlib.sha256(f"{identity.sha256} {point}".encode()).hexdigest()
    return replace(bundle, manifest=manifest, identity=replace(identity, sha256=told))


def _point(recipe: Recipe, sweeps: list[PixelSweep]) -> OperatingPoint:
    return fit_operating_point(PixelSweep.joined(sweeps), part=PART, rule=recipe.decision).point


def _joint_run(recipe: Recipe, runs: list[Run], scores: list[FilmScore]) -> Run:
    """What all folds together are: one model by name, and a hash over the folds' models."""
    digest = hashlib.sha256("\n".join(run.model.sha256 for run in runs).encode()).hexdigest()
    ids = "\n".join(sorted(score.film_id for score in scores))
    return replace(
        runs[0],
        part=PART,
        model=ModelIdentity(recipe.name, f"{len(runs)} folds", digest),
        films_sha256=hashlib.sha256(ids.encode()).hexdigest(),
        films=len(scores),
    )


def _write(
    out: Path, together: Evaluation, folds: tuple[Numbers, ...], detector: _ByFold, dataset: Dataset
) -> None:
    """The files of an evaluation, so that `pleura compare` takes the folder, with each fold's numbers."""
    out.mkdir(parents=True, exist_ok=True)
    (out / FILMS_FILE).unlink(missing_ok=True)
    with ScoreWriter(out / FILMS_FILE) as writer:
        writer.write(together.scores)
    write_json(out / "run.json", asdict(together.run))
    write_json(out / NUMBERS_FILE, together.facts() | {"folds": [asdict(n) for n in folds]})
    write_report(out / REPORT_FILE, together, detector, dataset)


def _write_fitted(
    out: Path, recipe: Recipe, sweeps: list[PixelSweep], scores: list[FilmScore]
) -> None:
    """What a model of all folds may be set to: fitted on all out-of-fold films."""
    fitted = fit_operating_point(PixelSweep.joined(sweeps), part=PART, rule=recipe.decision)
    write_json(out / "operating_point.json", fitted.facts())
    judged = [score for score in scores if not score.declined]
    try:
        calibrator = fit_calibrator(
            [score.presence_score or 0.0 for score in judged],
            [score.label for score in judged],
            part=PART,
        )
    except EvaluationError:  # too few films for one; the numbers stand without it
        return
    write_json(out / "calibrator.json", asdict(calibrator))
