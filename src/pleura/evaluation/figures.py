"""The figures of an evaluation's page, from its numbers and film scores alone."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pleura.evaluation.calibration import CalibrationNumbers
from pleura.evaluation.detection import AS_CALLED
from pleura.evaluation.metrics import precision_recall_curve, roc_curve
from pleura.evaluation.scores import FilmScore, ScoreTable
from pleura.evaluation.segmentation import area_differences
from pleura.evaluation.strata import Stratification
from pleura.evaluation.summary import Evaluation
from pleura.outputs.charts import histogram, lines, roc
from pleura.outputs.forest import Row, forest
from pleura.outputs.points import Point, reliability, scatter

_LOG_FROM = 500  # films, from where a few negatives would flatten everything else
FOREST = {
    "auc": "AUC",
    "sensitivity": "Sensitivity as called",
    "dice_positives": "Dice on positives",
}

Floats = NDArray[np.float64]


def curves(evaluation: Evaluation) -> list[Markup]:
    """ROC and precision-recall curves, of all films and of each corpus; none with one class only."""
    names = ["all films", *evaluation.by_corpus]
    of_roc: dict[str, tuple[Floats, Floats]] = {}
    of_precision: dict[str, tuple[Floats, Floats]] = {}
    for name, numbers in zip(
        names, (evaluation.numbers, *evaluation.by_corpus.values()), strict=True
    ):
        area = numbers.metrics["auc"].value
        if area is None:
            continue
        chosen = [s for s in evaluation.scores if name == names[0] or s.corpus == name]
        table = ScoreTable.of(chosen)
        fpr, tpr, _ = roc_curve(table.score, table.label)
        of_roc[f"{name}, AUC {area:.3f}"] = corners(fpr, tpr)
        precision = numbers.metrics["average_precision"].value or 0.0
        of_precision[f"{name}, AP {precision:.3f}"] = _steps(table)
    if not of_roc:
        return []
    share = evaluation.numbers.positives / evaluation.numbers.films
    return [
        roc(of_roc, points=_as_called(evaluation)),
        lines(
            of_precision,
            title="Precision and recall",
            xlabel="recall (sensitivity)",
            ylabel="precision (PPV)",
            xlim=(0.0, 1.0),
            ylim=(0.0, 1.0),
            points=[(0.0, share, f"by chance {share:.2f}")],
        ),
    ]


def distributions(evaluation: Evaluation) -> list[Markup]:
    """Scores by label, Dice of the films with a labelled mask, and the agreement of areas."""
    scores = evaluation.scores
    charts = [
        histogram(
            {"with the target": _presence(scores, 1), "without": _presence(scores, 0)},
            title="Probability by label" if evaluation.run.calibrated else "Score by label",
            xlabel="probability" if evaluation.run.calibrated else "presence score",
            limits=(0.0, 1.0),
            log=len(scores) >= _LOG_FROM,
            bins=30,
        )
    ]
    dices = [s.dice for s in scores if s.truth_area > 0 and s.dice is not None]
    if dices:
        charts.append(
            histogram(
                np.array(dices, np.float64),
                title="Dice of films with a labelled mask",
                xlabel="Dice, 0 where nothing is found",
                limits=(0.0, 1.0),
                bins=20,
                marks=[(float(np.median(dices)), "median")],
            )
        )
    mean, difference = area_differences(ScoreTable.of(scores))
    if mean.size:
        named = (("area_bias", "bias"), ("area_low", ""), ("area_high", "limits of agreement"))
        values = [(evaluation.segmentation[key].value, name) for key, name in named]
        charts.append(
            scatter(
                mean,
                difference,
                title="Area found against area labelled",
                xlabel="mean of both, % of the image",
                ylabel="found − labelled, %",
                levels=[(value, name) for value, name in values if value is not None],
            )
        )
    return charts


def of_strata(
    strata: Sequence[Stratification], overall: Mapping[str, float | None]
) -> list[Markup]:
    """A forest plot for each metric of `FOREST` that any stratum has."""
    charts = []
    for key, title in FOREST.items():
        rows: list[Row] = []
        for stratification in strata:
            shown = [s for s in stratification.strata if s.metrics[key].value is not None]
            if not shown:
                continue
            rows.append(Row(stratification.name, heading=True))
            for stratum in shown:
                found = stratum.metrics[key]
                note = f"{stratum.positives:,}"
                if key == "auc" and not stratification.of_label:
                    note = f"{stratum.positives:,} of {stratum.films:,}"
                few = stratum.warning is not None
                rows.append(Row(stratum.name, found.value, found.low, found.high, note, faint=few))
        if rows:
            charts.append(
                forest(
                    rows,
                    title=f"{title} by kind of film",
                    xlabel=f"{title}, 95 % interval; dashed: all films",
                    limits=(0.0, 1.0) if key != "auc" else None,
                    reference=overall[key],
                )
            )
    return charts


def calibration_chart(
    numbers: Mapping[str, CalibrationNumbers], *, calibrated: bool = True
) -> Markup:
    """The reliability diagram of one or several sets of probabilities."""
    return reliability(
        {
            name: [
                Point(
                    b.mean,
                    b.share.value or 0.0,
                    b.share.low,
                    b.share.high,
                    f"{b.share.n} films: told {b.mean:.3f}, seen {b.share.value:.3f}",
                )
                for b in found.bins
            ]
            for name, found in numbers.items()
        },
        xlabel="probability told" if calibrated else "score, which is no probability",
        ylabel="share with the target",
    )


def corners(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The points where a curve turns: the same picture from far fewer points."""
    along, up = np.diff(x), np.diff(y)
    turns = ~np.isclose(along[:-1] * up[1:], along[1:] * up[:-1], rtol=1e-9, atol=0.0)
    keep = np.concatenate([[True], turns, [True]])
    return x[keep], y[keep]


def _steps(table: ScoreTable) -> tuple[Floats, Floats]:
    """The precision-recall curve as its steps: a precision holds for the recall gained with it."""
    recall, precision, _ = precision_recall_curve(table.score, table.label)
    x = np.repeat(np.concatenate([[0.0], recall]), 2)[1:-1]
    y = np.repeat(precision, 2)
    return corners(x, y)


def _presence(scores: Sequence[FilmScore], label: int) -> list[float]:
    # A declined film has no score of its own to show: NaN is left out and counted by the chart.
    return [
        float("nan") if s.presence_score is None else s.presence_score
        for s in scores
        if s.label == label
    ]


def _as_called(evaluation: Evaluation) -> list[tuple[float, float, str]]:
    sensitivity = evaluation.numbers.metrics["sensitivity"].value
    specificity = evaluation.numbers.metrics["specificity"].value
    if sensitivity is None or specificity is None:
        return []
    return [(1.0 - specificity, sensitivity, AS_CALLED)]
