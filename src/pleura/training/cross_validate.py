"""Cross-validation: every fold trained, every development film judged by the one model that never saw it.

OUT/
  fold-0, fold-1, ...   a training run each
  split.json            the split they were made of
  bundles, scores, out-of-fold: see `out_of_fold`

No film has a say in the model that judges it. Each fold trains to its last epoch (`monitor: last`), since
the best epoch on its tuning films would have been chosen by the very films it is scored on.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pleura.data.manifest import Dataset
from pleura.data.split import SPLIT_FILE, Split
from pleura.errors import TrainingError
from pleura.evaluation.pixel_sweep import sweep
from pleura.finding import ModelIdentity
from pleura.inference.calibration import Calibrator
from pleura.inference.manifest import SEGMENTER
from pleura.training.cascade import runs_of, train_plan
from pleura.training.export import check_trained_on, export
from pleura.training.out_of_fold import (
    CALIBRATOR_FILE,
    PART,
    POINT_FILE,
    CrossValidation,
    Progress,
    is_made_of,
    numbers_in,
    score_out_of_fold,
)
from pleura.training.recipe import Plan
from pleura.training.run import RunFolder, is_cascade
from pleura.training.train import Report, undecided


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
    _check_folds(split)
    sweeps = []
    for fold, film_ids in enumerate(split.folds):
        if fold_begins:
            fold_begins(fold)
        run = train_fold(plan, dataset, split, out, fold, device=device, report=report)
        detector = undecided(runs_of(plan, run), dataset.target, device)
        relative = plan.decision == "relative"
        sweeps.append(
            sweep(detector, dataset, film_ids, part=PART, relative=relative, progress=sweeping)
        )
    split.save(out / SPLIT_FILE)  # so that whoever exports it need not name it
    return score_out_of_fold(
        [[run_of_fold(out, fold)] for fold in range(len(split.folds))],
        sweeps,
        dataset,
        split,
        out,
        rule=plan.decision,
        aim=plan.aim,
        device=device,
        command=command,
        scoring=scoring,
    )


def train_fold(
    plan: Plan,
    dataset: Dataset,
    split: Split,
    out: Path,
    fold: int,
    *,
    device: str = "auto",
    devices: int | None = None,
    report: Report | None = None,
) -> Path:
    """Trains one fold of a cross-validation to its last epoch, or goes on with it; gives its run's folder.

    Folds may be trained each by itself, on devices or machines of their own, before `cross_validate` is
    called, which then only scores.

    Args:
        plan, dataset, split, out, device, report: as `cross_validate` has them.
        fold: which, from 0.
        devices: as `train` has them.

    Raises:
        TrainingError: the split has no folds, or not this one, or as `train` says.
    """
    _check_folds(split)
    if fold not in range(len(split.folds)):
        raise TrainingError(
            f"there is no fold {fold} to train: the split has {len(split.folds)}, counted from 0"
        )
    run = run_of_fold(out, fold)
    train_plan(
        plan.to_the_end(),
        dataset,
        split,
        run,
        fold=fold,
        device=device,
        devices=devices,
        fit=False,
        report=report,
    )
    return run


def _check_folds(split: Split) -> None:
    if len(split.folds) < 2:
        raise TrainingError(
            "this split has no folds to validate across; make one with `pleura split --folds 5`"
        )


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
        TrainingError: the cross-validation is not finished, its folds were trained anew since, or as `export`
            says.
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
    first = run_of_fold(folder, 0)
    check_trained_on(RunFolder(first / SEGMENTER if is_cascade(first) else first), dataset, split)
    runs = [run_of_fold(folder, fold) for fold in range(len(split.folds))]
    if not is_made_of(folder, [[run] for run in runs]):
        raise TrainingError(
            f"{folder / PART} is of other weights than the folds hold now; run the same `pleura "
            "cross-validate` again, which scores these"
        )
    told = point | numbers_in(folder / PART)
    return export(runs, dataset, split, out, fitted=told, calibrator=curve, **options)


def split_of(folder: Path, dataset: Path) -> Path:
    """The split file that a run, or a cross-validation, is to be exported with where none is named.

    A cross-validation keeps its own; of anything else it is the dataset's.
    """
    own = folder / SPLIT_FILE
    return own if is_cross_validation(folder) and own.exists() else dataset / SPLIT_FILE


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
