"""Cross-validation: every fold trained, every development film judged by the one model that never saw it.

OUT/
  fold-0, fold-1, ...   a training run each
  bundles/fold-0, ...   its model
  scores/fold-0, ...    its out-of-fold films, scored
  out-of-fold/          all of them together: numbers, page, operating point, calibrator

No film has a say in the model that judges it. Each fold trains to its last epoch (`monitor: last`), since
the best epoch on its tuning films would have been chosen by the very films it is scored on; and its films are
called at the operating point that was best on the other folds' out-of-fold films.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import EvaluationError, TrainingError
from pleura.evaluation.aims import Outcome, cross_fitted
from pleura.evaluation.calibration import fit_calibrator
from pleura.evaluation.numbers import Numbers, numbers_of
from pleura.evaluation.operating_point import fit_operating_point
from pleura.evaluation.page import write_report
from pleura.evaluation.pixel_sweep import PixelSweep, sweep
from pleura.evaluation.report import NUMBERS_FILE, REPORT_FILE
from pleura.evaluation.run import FILMS_FILE, Run, score_films
from pleura.evaluation.score_file import ScoreWriter
from pleura.evaluation.scores import FilmScore, ScoreTable
from pleura.evaluation.summary import Evaluation, summarise
from pleura.files import write_json
from pleura.finding import Finding, ModelIdentity
from pleura.inference.calibration import Calibrator
from pleura.inference.detector import Detector
from pleura.radiograph import Radiograph
from pleura.training.cascade import runs_of, train_plan
from pleura.training.export import export
from pleura.training.recipe import Plan
from pleura.training.train import Report, undecided

PART = "out-of-fold"
POINT_FILE, CALIBRATOR_FILE = "operating_point.json", "calibrator.json"
AIMS_FILE = "aims.json"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CrossValidation:
    """What came of it.

    Attributes:
        together: the evaluation of all development films, each by the model that never saw it.
        folds: the numbers of each fold apart.
        aims: what other aims than the recipe's would come to.
    """

    together: Evaluation
    folds: tuple[Numbers, ...]
    aims: tuple[Outcome, ...]


class _ByFold:
    """Judges each film with the model of the fold it was held out of."""

    def __init__(self, detectors: Mapping[int, Detector], fold_of: Mapping[str, int]) -> None:
        self.detectors, self.fold_of = detectors, fold_of

    def __call__(self, film: Radiograph) -> Finding:
        return self.detectors[self.fold_of[film.source]](film)


def cross_validate(
    plan: Plan,
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
    """Trains a plan on every fold and scores the out-of-fold films; the same call goes on where it stopped.

    Args:
        plan: what to train; its `monitor` and `patience` are put aside, see above.
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
    plan = plan.to_the_end()
    sweeps = []
    for fold, film_ids in enumerate(split.folds):
        if fold_begins:
            fold_begins(fold)
        run = run_of_fold(out, fold)
        train_plan(plan, dataset, split, run, fold=fold, device=device, fit=False, report=report)
        detector = undecided(runs_of(plan, run), dataset.target, device)
        sweeps.append(sweep(detector, dataset, film_ids, part=PART, progress=sweeping))
    detectors: dict[int, Detector] = {}
    scores: list[FilmScore] = []
    runs: list[Run] = []
    for fold in range(len(split.folds)):
        place = out / "bundles" / f"fold-{fold}"
        if not place.exists():  # made once: its identity holds when it was made
            place.parent.mkdir(parents=True, exist_ok=True)
            others = [one for n, one in enumerate(sweeps) if n != fold]
            fitted = fit_operating_point(
                PixelSweep.joined(others), part=PART, rule=plan.decision, aim=plan.aim
            )
            export(
                [run_of_fold(out, fold)],
                dataset,
                split,
                place,
                fitted=fitted.facts(),
                device=device,
            )
        detectors[fold] = Detector.load(place, device)
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
    together = summarise(_joint_run(runs, scores), scores, films=dataset.by_id, command=command)
    fold_of = {film_id: n for n, film_ids in enumerate(split.folds) for film_id in film_ids}
    folds = tuple(
        numbers_of(ScoreTable.of(f for f in scores if fold_of[f.film_id] == n))
        for n in range(len(runs))
    )
    _write(out / PART, together, folds, _ByFold(detectors, fold_of), dataset)
    _write_fitted(out / PART, plan, sweeps, scores)
    aims = cross_fitted(sweeps, part=PART)
    write_json(out / PART / AIMS_FILE, [asdict(outcome) for outcome in aims])
    return CrossValidation(together, folds, aims)


def export_folds(
    folder: Path, dataset: Dataset, split: Split, out: Path, **options: Any
) -> ModelIdentity:
    """The models of all folds as one bundle, averaged, with what was fitted on the out-of-fold films.

    Its operating point and calibrator were fitted on scores of single models, each on films it never saw.
    The average of the folds is another model, somewhat better and somewhat less extreme; but no film is left
    that none of them has seen, to fit it on.

    Args:
        folder: of a finished cross-validation.
        dataset, split: it was made of.
        out, options: as `export` has them.

    Raises:
        TrainingError: the cross-validation is not finished, or as `export` says.
    """
    fitted, calibrator = folder / PART / POINT_FILE, folder / PART / CALIBRATOR_FILE
    check_finished(folder)
    try:
        point = json.loads(fitted.read_text(encoding="utf-8"))
        curve = (
            Calibrator(**json.loads(calibrator.read_text(encoding="utf-8")))
            if calibrator.exists()
            else None
        )
    except (ValueError, TypeError) as error:
        raise TrainingError(
            f"what was fitted in {fitted.parent} is damaged ({error!r}); remove it and run "
            "`pleura cross-validate` again"
        ) from error
    runs = [run_of_fold(folder, fold) for fold in range(len(split.folds))]
    told = point | _numbers_of(folder / PART)
    return export(runs, dataset, split, out, fitted=told, calibrator=curve, **options)


def _numbers_of(part: Path) -> dict[str, Any]:
    """What the out-of-fold evaluation found, for the bundle's record."""
    facts = json.loads((part / NUMBERS_FILE).read_text(encoding="utf-8"))
    kept = ("run", "numbers", "by_corpus", "points", "segmentation", "strata", "calibration")
    return {key: facts[key] for key in kept}


def is_cross_validation(folder: Path) -> bool:
    """Whether `folder` holds a finished cross-validation."""
    return (folder / PART / POINT_FILE).exists()


def check_finished(folder: Path) -> None:
    """Raises TrainingError unless `folder` holds a finished cross-validation."""
    if not is_cross_validation(folder):
        raise TrainingError(
            f"{folder} holds no finished cross-validation ({PART}/{POINT_FILE} is missing); run the same "
            "`pleura cross-validate` again to go on"
        )


def run_of_fold(out: Path, fold: int) -> Path:
    """The folder of a fold's training run, or of its cascade's."""
    return out / f"fold-{fold}"


def _joint_run(runs: list[Run], scores: list[FilmScore]) -> Run:
    """What all folds together are: one model by name, and a hash over the folds' models."""
    digest = hashlib.sha256("\n".join(run.model.sha256 for run in runs).encode()).hexdigest()
    ids = "\n".join(sorted(score.film_id for score in scores))
    return replace(
        runs[0],
        part=PART,
        model=ModelIdentity(runs[0].model.name, f"{len(runs)} folds", digest),
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


def _write_fitted(out: Path, plan: Plan, sweeps: list[PixelSweep], scores: list[FilmScore]) -> None:
    """What a model of all folds may be set to: fitted on all out-of-fold films."""
    fitted = fit_operating_point(
        PixelSweep.joined(sweeps), part=PART, rule=plan.decision, aim=plan.aim
    )
    write_json(out / POINT_FILE, fitted.facts())
    judged = [score for score in scores if not score.declined]
    calibrator = calibrator_of(
        [score.presence_score or 0.0 for score in judged], [score.label for score in judged]
    )
    if calibrator is not None:
        write_json(out / CALIBRATOR_FILE, asdict(calibrator))


def calibrator_of(scores: ArrayLike, labels: ArrayLike) -> Calibrator | None:
    """A calibrator of out-of-fold scores (N,) and labels (N,); None where the films are too few for one."""
    try:
        return fit_calibrator(scores, labels, part=PART)
    except EvaluationError:  # the numbers stand without it
        return None
