"""Several finished cross-validations of one split as one model, whose average is fitted out of fold, too.

In each fold, the networks of all of them judge together the films that none of them has seen; operating
point and calibrator are fitted on these answers, and by them the whole is scored as one cross-validation is.
The challenge's winner blended four networks of five folds.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import TrainingError
from pleura.evaluation.operating_point import Aim, FittedPoint, Rule, fit_operating_point
from pleura.evaluation.pixel_sweep import PixelSweep, sweep
from pleura.files import is_empty, remove_partial, write_json
from pleura.finding import ModelIdentity
from pleura.inference.calibration import Calibrator
from pleura.inference.manifest import SEGMENTER
from pleura.training.cascade import runs_in
from pleura.training.cross_validate import check_finished, run_of_fold
from pleura.training.export import check_trained_on, export
from pleura.training.out_of_fold import (
    MADE_OF_FILE,
    PART,
    Progress,
    calibrator_of,
    numbers_in,
    score_out_of_fold,
    weights_sha256,
)
from pleura.training.recipe import Recipe
from pleura.training.run import RunFolder, is_cascade
from pleura.training.train import undecided

Runs = list[tuple[str, Recipe, RunFolder]]
"""Role, recipe and folder of each."""


def export_blend(
    folders: Sequence[Path],
    dataset: Dataset,
    split: Split,
    out: Path,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    scores: Path | None = None,
    command: str | None = None,
    scoring: Progress | None = None,
    **options: Any,
) -> ModelIdentity:
    """The models of all folds of several cross-validations as one bundle, averaged.

    Its operating point, by the rule and for the aim of the first one's recipe, and its calibrator are fitted
    on the average of their networks out of fold. As with a single cross-validation, what serves averages the
    folds besides; but no film is left that none of them has seen, to fit that on.

    Args:
        folders: of finished cross-validations, all of one split; cascades go with cascades alone.
        dataset, split: they were made of.
        out, options: as `export` has them.
        device: `auto`, `cpu` or `cuda`.
        progress: called with (films done, films of the fold) while the average is asked.
        scores: a folder, new or of this very blend, for what `cross_validate` writes of one: the average's
            scores out of fold, each fold's at the point that was best on the others, with a page; the bundle
            then says the numbers.
        command: what was typed, for that page.
        scoring: called as `progress` is, while they are made.

    Raises:
        TrainingError: one is not finished, or of another dataset or split, or cascades are among others;
            `scores` holds something else; or as `export` says.
    """
    folds = [_runs(folders, dataset, split, fold) for fold in range(len(split.folds))]
    if scores is not None:
        _claim(scores, folds)
    relative = _rule(folds[0]) == "relative"
    sweeps = [
        sweep(
            undecided(runs, dataset.target, device),
            dataset,
            films,
            part=PART,
            relative=relative,
            progress=progress,
        )
        for runs, films in zip(folds, split.folds, strict=True)
    ]
    swept = PixelSweep.joined(sweeps)
    told = _point(swept, folds[0]).facts()
    if scores is not None:
        score_out_of_fold(
            [[run_of_fold(one, fold) for one in folders] for fold in range(len(split.folds))],
            sweeps,
            dataset,
            split,
            scores,
            rule=_rule(folds[0]),
            aim=_segmenters(folds[0])[0].aim,
            device=device,
            command=command,
            scoring=scoring,
        )
        told |= numbers_in(scores / PART)
    return export(
        [run_of_fold(folder, fold) for folder in folders for fold in range(len(split.folds))],
        dataset,
        split,
        out,
        fitted=told,
        calibrator=_calibrator(swept, dataset, split),
        device=device,
        **options,
    )


def _runs(folders: Sequence[Path], dataset: Dataset, split: Split, fold: int) -> Runs:
    """What judges the films of a fold: the runs of every cross-validation that have not seen them."""
    roots = [run_of_fold(folder, fold) for folder in folders]
    for folder, root in zip(folders, roots, strict=True):
        check_finished(folder)
        for _, _, run in runs_in(root):
            check_trained_on(run, dataset, split)
    if len({is_cascade(root) for root in roots}) > 1:
        raise TrainingError(
            "cascades are among these cross-validations, whose gates would decide for the others too; "
            "blend cascades with cascades"
        )
    return [one for root in roots for one in runs_in(root)]


def _claim(scores: Path, folds: Sequence[Runs]) -> None:
    """Says in the folder whose scores it holds, so that those of other networks are not taken up."""
    made_of = [[one for *_, run in runs for one in weights_sha256(run)] for runs in folds]
    path = scores / MADE_OF_FILE
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) == made_of:
        return
    if not is_empty(scores):
        raise TrainingError(f"{scores} holds something else; give a new folder for the scores")
    scores.mkdir(parents=True, exist_ok=True)
    remove_partial(scores, shared=True)
    write_json(path, made_of)


def _segmenters(runs: Runs) -> list[Recipe]:
    return [recipe for role, recipe, _ in runs if role == SEGMENTER]


def _rule(runs: Runs) -> Rule:
    """That of every recipe; but a gate, and some aims, need a presence threshold, which a triplet lacks."""
    recipes = _segmenters(runs)
    rules = {recipe.decision for _, recipe, _ in runs}
    if rules == {"relative"}:
        return "relative"
    free = len(recipes) == len(runs) and Aim.of(recipes[0].aim) == Aim()
    return "triplet" if free and rules == {"triplet"} else "threshold"


def _point(swept: PixelSweep, runs: Runs) -> FittedPoint:
    return fit_operating_point(swept, part=PART, rule=_rule(runs), aim=_segmenters(runs)[0].aim)


def _calibrator(swept: PixelSweep, dataset: Dataset, split: Split) -> Calibrator | None:
    """Of the films that were judged: a declined one has no score."""
    scores, judged, _ = swept.arrays()
    labels = [dataset.by_id[film_id].label == 1 for films in split.folds for film_id in films]
    return calibrator_of(scores[judged], np.array(labels, np.bool_)[judged])
