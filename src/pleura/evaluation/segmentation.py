"""Numbers of the outlines beyond overlap: surface distance, regions, and the bias of the area.

Each says over which films it is taken, since a mask that is empty has no surface: the distance is over films
on which both masks hold something, the regions over all films, the area over films with a labelled mask,
missed ones as an area of 0.
"""

import numpy as np

from pleura.evaluation.bootstrap import mean_of, nothing, ratio_of
from pleura.evaluation.interval import Z
from pleura.evaluation.resampling import Block, Floats, Statistic, per_patient, ratio
from pleura.evaluation.scores import ScoreTable

SEGMENTATION = {
    "hd95_mm": ("HD95, mm", "both masks, spacing believable"),
    "hd95_px": ("HD95, px", "both masks"),
    "region_sensitivity": ("Regions found", "labelled regions"),
    "false_regions": ("False regions a film", "all films"),
    "area_bias": ("Area bias, % of the image", "films with a labelled mask"),
    "area_low": ("Area, lower limit of agreement", "films with a labelled mask"),
    "area_high": ("Area, upper limit of agreement", "films with a labelled mask"),
}
"""Key -> what it is, and over what it is taken."""

_SILENT = "the model does not localise"


def segmentation_statistics(table: ScoreTable) -> dict[str, Statistic]:
    """The statistics of `SEGMENTATION`, to be resampled."""
    if table.pred_area is None:
        return {key: Statistic(nothing, 0, _SILENT) for key in SEGMENTATION}
    return _distances(table) | _regions(table) | _areas(table)


def area_differences(table: ScoreTable) -> tuple[Floats, Floats]:
    """For films with a labelled mask: mean of both areas, and predicted minus labelled, % of the image."""
    if table.pred_area is None:
        return np.zeros(0), np.zeros(0)
    marked = table.truth_area > 0
    pixels = np.array([film.pixels for film in table.films], np.float64)
    pred, truth = 100.0 * table.pred_area / pixels, 100.0 * table.truth_area / pixels
    return ((pred + truth) / 2.0)[marked], (pred - truth)[marked]


def _distances(table: ScoreTable) -> dict[str, Statistic]:
    found = {}
    for key in ("hd95_mm", "hd95_px"):
        given = [getattr(film, key) for film in table.films]
        there = np.array([value is not None for value in given], np.float64)
        values = np.array([value or 0.0 for value in given], np.float64)
        reason = "no film with a surface in both masks"
        if key == "hd95_mm":
            reason += " and a believable spacing"
        found[key] = mean_of(table, values, there, reason, int(there.sum()))
    return found


def _regions(table: ScoreTable) -> dict[str, Statistic]:
    counted = [film for film in table.films if film.truth_regions is not None]
    if len(counted) < len(table):
        reason = "regions were not counted when these films were scored"
        return {
            key: Statistic(nothing, 0, reason) for key in ("region_sensitivity", "false_regions")
        }

    def sums(name: str) -> Floats:
        return per_patient(table, [getattr(film, name) for film in table.films])

    labelled = sums("truth_regions")
    return {
        "region_sensitivity": Statistic(
            ratio_of(sums("found_regions"), labelled),
            int(labelled.sum()),
            "no film has a labelled mask",
        ),
        "false_regions": Statistic(
            ratio_of(sums("false_regions"), per_patient(table, np.ones(len(table)))),
            len(table),
            "no films",
        ),
    }


def _areas(table: ScoreTable) -> dict[str, Statistic]:
    """Mean difference and limits of agreement (Bland and Altman 1986)."""
    marked = table.truth_area > 0
    difference = np.zeros(len(table))
    difference[marked] = area_differences(table)[1]
    count = per_patient(table, marked)
    first, second = per_patient(table, difference), per_patient(table, difference**2)

    def limit(sign: float, block: Block) -> Floats:
        weight, total = block.weights @ count, block.weights @ first
        mean = ratio(total, weight)
        squares = np.maximum(block.weights @ second - total * mean, 0.0)
        return np.asarray(mean + sign * Z * np.sqrt(ratio(squares, weight - 1.0)), np.float64)

    n, reason = int(marked.sum()), "fewer than two films with a labelled mask"
    return {
        "area_bias": Statistic(ratio_of(first, count), n, "no film has a labelled mask"),
        "area_low": Statistic(lambda block: limit(-1.0, block), n, reason),
        "area_high": Statistic(lambda block: limit(1.0, block), n, reason),
    }
