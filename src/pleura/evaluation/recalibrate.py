"""A calibrator for a bundle: fitted on films of a site, or moved to another prevalence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pleura.data.manifest import Film
from pleura.errors import EvaluationError
from pleura.evaluation.calibration import (
    CalibrationNumbers,
    assess,
    cross_fitted,
    fit_calibrator,
)
from pleura.evaluation.near_copies import card_thumbnails
from pleura.evaluation.provenance import CALIBRATE
from pleura.evaluation.scores import FilmScore, ScoreTable
from pleura.finding import ModelIdentity
from pleura.inference.bundle import CARD_HASH_CHARACTERS, Bundle, check_replaceable, write_bundle
from pleura.inference.calibration import Calibrator, Kind


@dataclass(frozen=True)
class Recalibration:
    """A calibrator, and how well calibrated the films were without it and would be with one.

    Attributes:
        calibrator: fitted on all films.
        before: of the raw scores.
        after: of probabilities from calibrators fitted without the films' own patients, at the prevalence of
            these films; None where there could be none.
        doubts: why there could be none, and why the calibrator should not be believed; whole sentences.
    """

    calibrator: Calibrator
    before: CalibrationNumbers | None
    after: CalibrationNumbers | None
    doubts: tuple[str, ...] = ()


def without_calibrator(bundle: Bundle) -> Bundle:
    """The bundle with its raw scores, held in memory."""
    manifest = replace(bundle.manifest, calibrator=None)
    return Bundle.in_memory(manifest, bundle.weights, bundle.graphs)


def check_asked(out: Path, prevalence: float | None) -> None:
    """Refuses, before films are scored, what could not be written afterwards.

    Raises:
        EvaluationError: the prevalence does not lie between 0 and 1.
        BundleError: `out` exists and is no bundle.
    """
    if prevalence is not None and not 0.0 < prevalence < 1.0:
        raise EvaluationError(f"a prevalence lies between 0 and 1; got {prevalence}")
    check_replaceable(out)


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
    before, after, doubts = assess(table, seed=seed), None, []
    slope = None if before is None else before.slope
    if slope is not None and slope.low is not None and slope.low <= 0:
        doubts.append(
            "It cannot be told that these scores rise with the share of positive films at all (the "
            f"interval of their slope, {slope}, holds 0): probabilities made of them may mean nothing."
        )
    try:
        after = assess(cross_fitted(table, kind, part=part, seed=seed), seed=seed)
    except EvaluationError as error:
        doubts.append(
            "How good it is on films it was not fitted on is not known: of the films without a fifth of "
            f"the patients, none could be fitted ({error})."
        )
    return Recalibration(moved(fitted, prevalence), before, after, tuple(doubts))


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


def write_calibrated(
    out: Path, bundle: Bundle, calibrator: Calibrator, films: Sequence[Film] = ()
) -> ModelIdentity:
    """Writes the bundle with `calibrator` to `out`; a path that ends in `.zip` becomes a zip.

    Args:
        out: where.
        bundle: the one to be calibrated.
        calibrator: the new one.
        films: that it was fitted on; the data card lists them, so that the model is not tested on them. None
            where only its prior was moved: the card keeps those it has.

    Raises:
        BundleError: `out` exists and is no bundle.
    """
    manifest = replace(bundle.manifest, calibrator=calibrator)
    if films:
        manifest = replace(manifest, data_card=_with_films(manifest.data_card, films))
    zipped = out.suffix == ".zip"
    return write_bundle(out, manifest, bundle.weights, graphs=bundle.graphs, zipped=zipped)


def _with_films(card: Mapping[str, Any], films: Sequence[Film]) -> dict[str, Any]:
    """The data card with the part `calibrate`; with thumbnails only where another part has them."""
    held = card.get("parts")
    parts = dict(held) if isinstance(held, Mapping) else {}
    others = [part for name, part in parts.items() if name != CALIBRATE]
    part: dict[str, Any] = {
        "films": len(films),
        "positives": sum(film.label == 1 for film in films),
        "patients": len({film.patient_id for film in films}),
        "silver": sum(film.label_quality == "silver" for film in films),
        "pixel_sha256": sorted(film.pixel_sha256[:CARD_HASH_CHARACTERS] for film in films),
    }
    if any("thumbnails" in other for other in others if isinstance(other, Mapping)):
        part["thumbnails"] = card_thumbnails(films)
    return {**card, "parts": parts | {CALIBRATE: part}}
