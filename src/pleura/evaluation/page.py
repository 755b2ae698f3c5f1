"""The page of an evaluation: numbers, curves, and the films that went best and worst."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from pleura.data.manifest import Dataset
from pleura.evaluation.detection import RATES
from pleura.evaluation.figures import (
    FOREST,
    calibration_chart,
    curves,
    distributions,
    of_strata,
)
from pleura.evaluation.numbers import EMPTY_RULES, METRICS
from pleura.evaluation.pixel_sweep import Detector
from pleura.evaluation.provenance import bundle_of
from pleura.evaluation.scores import FilmScore
from pleura.evaluation.segmentation import SEGMENTATION
from pleura.evaluation.strata import STRATUM_METRICS
from pleura.evaluation.summary import Evaluation
from pleura.outputs.html import jpeg_uri, render, write_page
from pleura.outputs.overlay import FINDING, TRUTH, overlay

SHOWN = 8
_PICTURE_PX = 448
_HEADLINES = ("competition_dice", "dice_positives", "auc", "sensitivity", "specificity")


@dataclass(frozen=True)
class Picture:
    """A film in the gallery."""

    uri: str
    score: FilmScore


@dataclass(frozen=True)
class Gallery:
    """Films chosen by one rule."""

    name: str
    rule: str
    of: int
    pictures: tuple[Picture, ...]


def write_report(
    path: Path, evaluation: Evaluation, detector: Detector, dataset: Dataset, shown: int = SHOWN
) -> None:
    """Writes the page of `evaluation` to `path`, one file that needs nothing beside it.

    The films of the galleries, `shown` each at most, are judged once more for their pictures; with 0 the page
    has none, and may be published where no picture of a patient may be.
    """
    galleries = [
        Gallery(
            name, rule, len(scores), tuple(_picture(s, detector, dataset) for s in scores[:shown])
        )
        for name, rule, scores in choose(evaluation.scores)
        if scores and shown
    ]
    page = render(
        "report.html.j2",
        evaluation=evaluation,
        run=evaluation.run,
        target=dataset.target,
        numbers=evaluation.numbers,
        names=METRICS,
        empty_rules=EMPTY_RULES,
        headlines=_HEADLINES,
        rates=RATES,
        rate_names=METRICS,
        segmentation_names=SEGMENTATION,
        stratum_metrics=STRATUM_METRICS,
        curves=curves(evaluation),
        distributions=distributions(evaluation),
        strata_charts=of_strata(
            evaluation.strata, {key: evaluation.numbers.metrics[key].value for key in FOREST}
        ),
        reliability=_reliability(evaluation),
        card=_card(detector),
        galleries=galleries,
        finding_colour="#{:02x}{:02x}{:02x}".format(*FINDING),
        truth_colour="#{:02x}{:02x}{:02x}".format(*TRUTH),
    )
    write_page(path, page)


def choose(scores: Sequence[FilmScore]) -> list[tuple[str, str, list[FilmScore]]]:
    """(name, rule, films in order) of each gallery; films of equal rank stand by their id."""
    found = [s for s in scores if s.label == 1 and s.decision == "positive" and s.dice is not None]
    by_dice = sorted(found, key=lambda s: (s.dice or 0.0, s.film_id))
    half = len(by_dice) // 2
    missed = [s for s in scores if s.label == 1 and s.decision == "negative"]
    alarms = [s for s in scores if s.label == 0 and s.decision == "positive"]
    cleared = [s for s in scores if s.label == 0 and s.decision == "negative"]
    declined = [s for s in scores if s.declined]
    return [
        ("Missed", "Labelled positive, called negative (false negatives); the largest first.",
         sorted(missed, key=lambda s: (-s.truth_area / s.pixels, s.film_id))),
        ("False alarms",
         "Labelled negative, called positive (false positives); the highest score first.",
         sorted(alarms, key=lambda s: (-(s.presence_score or 0.0), s.film_id))),
        ("Worst outlines", "Found (true positives), in the lower half by Dice; the lowest first.",
         by_dice[:half]),
        ("Best outlines", "Found (true positives), in the upper half by Dice; the highest first.",
         by_dice[half:][::-1]),
        ("Rightly cleared",
         "Labelled negative, called negative (true negatives); the highest score first.",
         sorted(cleared, key=lambda s: (-(s.presence_score or 0.0), s.film_id))),
        ("Declined", "The model would not judge these.",
         sorted(declined, key=lambda s: s.film_id)),
    ]  # fmt: skip


def _reliability(evaluation: Evaluation) -> Markup | None:
    found = evaluation.calibration
    if found is None:
        return None
    return calibration_chart({"": found}, calibrated=evaluation.run.calibrated)


def _card(detector: Detector) -> list[tuple[str, str]]:
    """What the bundle says of itself and of the films that made it, as (name, text)."""
    bundle = bundle_of(detector)
    if bundle is None:
        return []
    manifest = bundle.manifest
    said = [
        ("Networks", f"{', '.join(m.network for m in manifest.members)} ({manifest.combination})"),
        ("Intended use", manifest.intended_use),
        ("Licence", manifest.licence),
        ("Exported", manifest.created),
        (
            "Operating point",
            f"{manifest.operating_point.aim}, on {manifest.operating_point.fitted_on} films",
        ),
    ]
    if manifest.calibrator:
        made = manifest.calibrator
        said.append(("Calibrator", f"{made.kind}, on {made.films} {made.fitted_on} films"))
    parts = manifest.data_card.get("parts")
    for name, part in parts.items() if isinstance(parts, dict) else ():
        if isinstance(part, dict):
            counts = [
                f"{part[k]} {k}"
                for k in ("films", "patients", "positives", "silver", "unlabelled")
                if k in part
            ]
            said.append((f"Films to {name}", ", ".join(counts)))
    return said


def _picture(score: FilmScore, detector: Detector, dataset: Dataset) -> Picture:
    film = dataset.by_id[score.film_id]
    radiograph = dataset.radiograph(film)
    drawn = overlay(
        radiograph, detector(radiograph), dataset.mask(film), _PICTURE_PX, caption=False
    )
    return Picture(jpeg_uri(drawn, 82), score)
