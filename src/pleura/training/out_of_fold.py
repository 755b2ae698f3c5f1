"""Out-of-fold scores: every development film judged by models that never saw it.

OUT/
  bundles/fold-0, ...   what judges the films of a fold
  bundles/made-of.json  the recipes and weights that all of it was made of; of others, it is made anew
  scores/fold-0, ...    its films, scored
  out-of-fold/          all of them together: numbers, page, operating point, calibrator

A fold's films are called at the operating point that was best on the other folds' out-of-fold films.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import EvaluationError
from pleura.evaluation.aims import Outcome, cross_fitted
from pleura.evaluation.calibration import fit_calibrator
from pleura.evaluation.numbers import Numbers, numbers_of
from pleura.evaluation.operating_point import Rule, fit_operating_point
from pleura.evaluation.page import write_report
from pleura.evaluation.pixel_sweep import PixelSweep
from pleura.evaluation.report import NUMBERS_FILE, REPORT_FILE
from pleura.evaluation.run import FILMS_FILE, RUN_FILE, Run, score_films
from pleura.evaluation.score_file import ScoreWriter
from pleura.evaluation.scores import FilmScore, ScoreTable
from pleura.evaluation.summary import Evaluation, summarise
from pleura.files import write_json
from pleura.finding import Finding, ModelIdentity
from pleura.inference.bundle import MANIFEST
from pleura.inference.calibration import Calibrator
from pleura.inference.detector import Detector
from pleura.radiograph import Radiograph
from pleura.training.cascade import runs_in
from pleura.training.export import export
from pleura.training.run import RunFolder

log = logging.getLogger(__name__)

PART = "out-of-fold"
POINT_FILE, CALIBRATOR_FILE = "operating_point.json", "calibrator.json"
MADE_OF_FILE = "made-of.json"
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


def score_out_of_fold(
    models: Sequence[Sequence[Path]],
    sweeps: Sequence[PixelSweep],
    dataset: Dataset,
    split: Split,
    out: Path,
    *,
    rule: Rule,
    aim: str,
    device: str = "auto",
    command: str | None = None,
    scoring: Progress | None = None,
) -> CrossValidation:
    """Scores every film of the folds, and writes what came of it.

    Args:
        models: of each fold, the finished runs that have not seen its films, which are averaged.
        sweeps: of each fold, their answers to its films.
        dataset, split: with folds.
        out: a folder; what it holds of bundles and scores of these very runs is taken up.
        rule, aim: by which, and for what, operating points are fitted: that of a fold on all the others.
        device: `auto`, `cpu` or `cuda`.
        command: what was typed, for the report.
        scoring: called with (films done, films in all) of a fold.

    Raises:
        EvaluationError: no film of the other folds has a mask to fit an operating point on.
        TrainingError: as `export` says.
    """
    _claim(out, {"rule": rule, "aim": aim, "folds": _made_of(models)}, len(models))
    detectors: dict[int, Detector] = {}
    scores: list[FilmScore] = []
    runs: list[Run] = []
    for fold in range(len(split.folds)):
        place = _bundle(out, fold)
        if not place.exists():  # made once: its identity holds when it was made
            others = [one for n, one in enumerate(sweeps) if n != fold]
            fitted = fit_operating_point(PixelSweep.joined(others), part=PART, rule=rule, aim=aim)
            export(
                models[fold],
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
            out=_scores(out, fold),
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
    _write_fitted(out / PART, rule, aim, sweeps, scores)
    aims = cross_fitted(sweeps, part=PART)
    write_json(out / PART / AIMS_FILE, [asdict(outcome) for outcome in aims])
    return CrossValidation(together, folds, aims)


def is_made_of(out: Path, models: Sequence[Sequence[Path]]) -> bool:
    """Whether what `score_out_of_fold` has left in `out` is of the weights that these runs hold now."""
    path = out / "bundles" / MADE_OF_FILE
    try:
        if not path.exists():  # it was made before there was such a file
            return all(_holds(_bundle(out, fold), roots) for fold, roots in enumerate(models))
        told = json.loads(path.read_text(encoding="utf-8"))
        return bool(told["folds"] == _made_of(models))
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # a fold without weights, damage
        return False


def _bundle(out: Path, fold: int) -> Path:
    return out / "bundles" / f"fold-{fold}"


def _scores(out: Path, fold: int) -> Path:
    return out / "scores" / f"fold-{fold}"


def _made_of(models: Sequence[Sequence[Path]]) -> list[list[dict[str, Any]]]:
    """Of each fold's runs, hashes of the recipe and of the weights."""
    return [[_hashes(run) for root in roots for *_, run in runs_in(root)] for roots in models]


def _hashes(run: RunFolder) -> dict[str, Any]:
    recipe = json.dumps(run.described()["recipe"], sort_keys=True)
    return {
        "recipe": hashlib.sha256(recipe.encode()).hexdigest(),
        "weights": weights_sha256(run),
    }


def weights_sha256(run: RunFolder) -> list[str]:
    """The SHA-256 of each file that makes the model of a run (hex)."""
    return [hashlib.sha256(one).hexdigest() for one in run.model_weights()]


def _holds(bundle: Path, roots: Sequence[Path]) -> bool:
    """Whether a bundle holds the weights of these runs, besides perhaps an anatomy network's."""
    try:
        listed = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))["files"].values()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    own = {one for root in roots for *_, run in runs_in(root) for one in weights_sha256(run)}
    return own <= set(listed)


def _claim(out: Path, made_of: Mapping[str, Any], folds: int) -> None:
    """Says in `out` what is scored there, and removes what was made of something else.

    All of it goes, since the operating point of each fold was fitted on the answers of all others.
    """
    path = out / "bundles" / MADE_OF_FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        told = None
    if told == made_of:
        return
    log.info("bundles and scores in %s are not known to be of these weights: made anew", out)
    for name in (POINT_FILE, CALIBRATOR_FILE):
        (out / PART / name).unlink(missing_ok=True)
    for fold in range(folds):
        for name in (RUN_FILE, FILMS_FILE):
            (_scores(out, fold) / name).unlink(missing_ok=True)
        if _bundle(out, fold).exists():
            shutil.rmtree(_bundle(out, fold))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, made_of, durable=True)


def numbers_in(part: Path) -> dict[str, Any]:
    """What the out-of-fold evaluation found, for the bundle's record."""
    facts = json.loads((part / NUMBERS_FILE).read_text(encoding="utf-8"))
    kept = ("run", "numbers", "by_corpus", "points", "segmentation", "strata", "calibration")
    return {key: facts[key] for key in kept}


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
    write_json(out / RUN_FILE, asdict(together.run))
    write_json(out / NUMBERS_FILE, together.facts() | {"folds": [asdict(n) for n in folds]})
    write_report(out / REPORT_FILE, together, detector, dataset)


def _write_fitted(
    out: Path, rule: Rule, aim: str, sweeps: Sequence[PixelSweep], scores: list[FilmScore]
) -> None:
    """What a model of all folds may be set to: fitted on all out-of-fold films."""
    fitted = fit_operating_point(PixelSweep.joined(sweeps), part=PART, rule=rule, aim=aim)
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
