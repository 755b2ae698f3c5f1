"""The page of an evaluation: numbers, curves, and the films that went best and worst."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pleura.data.manifest import Dataset
from pleura.evaluation.metrics import roc_curve
from pleura.evaluation.numbers import METRICS, Numbers
from pleura.evaluation.operating_point import Detector
from pleura.evaluation.scores import FilmScore
from pleura.evaluation.summary import Evaluation
from pleura.outputs.charts import histogram, roc
from pleura.outputs.html import jpeg_uri, render, write_page
from pleura.outputs.overlay import FINDING, TRUTH, overlay

SHOWN = 8
_PICTURE_PX = 448
_LOG_FROM = 500  # films, from where a few negatives would flatten everything else
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

    The films of the galleries, `shown` each at most, are judged once more for their pictures.
    """
    galleries = [
        Gallery(
            name, rule, len(scores), tuple(_picture(s, detector, dataset) for s in scores[:shown])
        )
        for name, rule, scores in choose(evaluation.scores)
        if scores
    ]
    page = render(
        "report.html.j2",
        evaluation=evaluation,
        run=evaluation.run,
        numbers=evaluation.numbers,
        names=METRICS,
        headlines=_HEADLINES,
        charts=_charts(evaluation),
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
    declined = [s for s in scores if s.declined]
    return [
        ("Missed", "Labelled positive, called negative; the largest first.",
         sorted(missed, key=lambda s: (-s.truth_area / s.pixels, s.film_id))),
        ("False alarms", "Labelled negative, called positive; the highest score first.",
         sorted(alarms, key=lambda s: (-(s.presence_score or 0.0), s.film_id))),
        ("Worst outlines", "Found, in the lower half by Dice; the lowest first.", by_dice[:half]),
        ("Best outlines", "Found, in the upper half by Dice; the highest first.",
         by_dice[half:][::-1]),
        ("Declined", "The model would not judge these.",
         sorted(declined, key=lambda s: s.film_id)),
    ]  # fmt: skip


def _picture(score: FilmScore, detector: Detector, dataset: Dataset) -> Picture:
    film = dataset.by_id[score.film_id]
    radiograph = dataset.radiograph(film)
    drawn = overlay(
        radiograph, detector(radiograph), dataset.mask(film), _PICTURE_PX, caption=False
    )
    return Picture(jpeg_uri(drawn, 82), score)


def _charts(evaluation: Evaluation) -> list[str]:
    scores = evaluation.scores
    curves = {}
    for name, numbers in {"all films": evaluation.numbers, **evaluation.by_corpus}.items():
        chosen = [s for s in scores if name == "all films" or s.corpus == name]
        value = numbers.metrics["auc"].value
        if value is not None:
            fpr, tpr, _ = roc_curve(
                [s.presence_score or 0.0 for s in chosen], [s.label for s in chosen]
            )
            curves[f"{name}, AUC {value:.3f}"] = _corners(fpr, tpr)
    charts = []
    if curves:
        charts.append(roc(curves, points=_operating_point(evaluation.numbers)))
    charts.append(
        histogram(
            {
                "with the target": _presence(scores, 1),
                "without": _presence(scores, 0),
            },
            title="Presence score by label",
            xlabel="presence score",
            limits=(0.0, 1.0),
            log=len(scores) >= _LOG_FROM,
            bins=30,
        )
    )
    dices = [s.dice for s in scores if s.truth_area > 0 and s.dice is not None]
    if dices:
        charts.append(
            histogram(
                np.array(dices, np.float64),
                title="Dice of films with a labelled mask",
                xlabel="Dice",
                limits=(0.0, 1.0),
                bins=20,
                marks=[(float(np.median(dices)), "median")],
            )
        )
    return list(charts)


def _corners(
    fpr: NDArray[np.float64], tpr: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The points where a curve turns: the same picture from far fewer points."""
    along, up = np.diff(fpr), np.diff(tpr)
    turns = ~np.isclose(along[:-1] * up[1:], along[1:] * up[:-1], rtol=1e-9, atol=0.0)
    keep = np.concatenate([[True], turns, [True]])
    return fpr[keep], tpr[keep]


def _presence(scores: Sequence[FilmScore], label: int) -> list[float]:
    # A declined film has no score of its own to show: NaN is left out and counted by the chart.
    return [
        float("nan") if s.presence_score is None else s.presence_score
        for s in scores
        if s.label == label
    ]


def _operating_point(numbers: Numbers) -> list[tuple[float, float, str]]:
    sensitivity = numbers.metrics["sensitivity"].value
    specificity = numbers.metrics["specificity"].value
    if sensitivity is None or specificity is None:
        return []
    return [(1.0 - specificity, sensitivity, "as called")]
