"""A calibrator for a bundle: fitted on films of a site, or moved to another prevalence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pleura.errors import EvaluationError
from pleura.evaluation.calibration import (
    CalibrationNumbers,
    assess,
    cross_fitted,
    fit_calibrator,
)
from pleura.evaluation.scores import FilmScore, ScoreTable
from pleura.finding import ModelIdentity
from pleura.inference.bundle import Bundle, write_bundle
from pleura.inference.calibration import Calibrator, Kind


@dataclass(frozen=True)
class Recalibration:
    """A calibrator, and how well calibrated the films were without it and would be with one.

    Attributes:
        calibrator: fitted on all films.
        before: of the raw scores.
        after: of probabilities from calibrators fitted without the films' own patients, at the prevalence of
            these films; None where too few films were left for that.
    """

    calibrator: Calibrator
    before: CalibrationNumbers | None
    after: CalibrationNumbers | None


def without_calibrator(bundle: Bundle) -> Bundle:
    """The bundle with its raw scores, held in memory."""
    manifest = replace(bundle.manifest, calibrator=None)
    return Bundle.in_memory(manifest, bundle.weights, bundle.graphs)


def recalibrate(
    scores: Sequence[FilmScore],
    *,
    part: str,
    kind: Kind = "platt",
    prevalence: float | None = None,
    seed: int = 0,
) -> Recalibration:
    """A calibrator fitted on films that were scored raw.

    Args:
        scores: of films that made neither the model nor its operating point, ideally; declined ones are
            left out.
        part: what the films are called; refused where it is a test part.
        kind: see `Calibrator`.
        prevalence: share of positives where it will be used, if another than among these films.
        seed: of the patients' dealing and the intervals.

    Raises:
        EvaluationError: as `fit_calibrator` says, or the prevalence does not lie between 0 and 1.
    """
    table = ScoreTable.of(film for film in scores if not film.declined)
    fitted = fit_calibrator(table.score, table.label, part=part, kind=kind)
    try:
        after = assess(cross_fitted(table, kind, part=part, seed=seed), seed=seed)
    except EvaluationError:  # with a fifth of the patients less, there are too few
        after = None
    return Recalibration(moved(fitted, prevalence), assess(table, seed=seed), after)


def moved(calibrator: Calibrator | None, prevalence: float | None) -> Calibrator:
    """The calibrator for another prevalence.

    Raises:
        EvaluationError: there is no calibrator, or the prevalence does not lie between 0 and 1.
    """
    if calibrator is None:
        raise EvaluationError(
            "this bundle has no calibrator whose prior could be shifted; calibrate it on films first (--data)"
        )
    try:
        return calibrator if prevalence is None else calibrator.at_prevalence(prevalence)
    except ValueError as error:
        raise EvaluationError(str(error)) from error


def write_calibrated(out: Path, bundle: Bundle, calibrator: Calibrator) -> ModelIdentity:
    """Writes the bundle with `calibrator` to `out`; a path that ends in `.zip` becomes a zip.

    Raises:
        BundleError: `out` exists and is no bundle.
    """
    manifest = replace(bundle.manifest, calibrator=calibrator)
    zipped = out.suffix == ".zip"
    return write_bundle(out, manifest, bundle.weights, graphs=bundle.graphs, zipped=zipped)
