# ruff: noqa: T201
"""How often the 95 % intervals of an evaluation hold the truth, by simulation.

    python benchmarks/coverage.py [--repeats N] [--resamples N] [--positives N ...] [--separations X ...]

Films are drawn from a population whose numbers are known: patients with one film to four, the sick with more
of them, whose scores and outlines resemble one another. Each draw goes through the very functions of
`pleura evaluate`. An interval is worth its name where it holds the population's number in 95 of 100 draws.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from pleura.evaluation.bootstrap import bootstrap
from pleura.evaluation.interval import Interval
from pleura.evaluation.metrics import auc, average_precision
from pleura.evaluation.numbers import numbers_from
from pleura.evaluation.scores import FilmScore, ScoreTable

SHARE = 0.3  # of patients with the disease
ALIKE = 0.6  # share of a score's variance that films of one patient have in common
SEPARATIONS = 1.8, 2.7  # standard deviations between the classes: a good model and a very good one
CUT = 0.6  # how far from one class to the other a film is called
AREA, PIXELS = 10_000, 1_000_000
POPULATION = 400_000  # patients from which the true numbers are taken
METRICS = (
    "auc",
    "auc_by_bootstrap",
    "average_precision",
    "dice_positives",
    "competition_dice",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
)


@dataclass(frozen=True)
class Films:
    """Simulated films.

    Attributes:
        patient: int (N,).
        label, call: bool (N,).
        score: in (0, 1), (N,).
        shared: px of the predicted mask in the label, which are of one size where a film is called, (N,).
    """

    patient: NDArray[np.int64]
    label: NDArray[np.bool_]
    call: NDArray[np.bool_]
    score: NDArray[np.float64]
    shared: NDArray[np.int64]


def draw(patients: int, separation: float, generator: np.random.Generator) -> Films:
    """The films of so many patients, patients independent of one another."""
    sick = generator.random(patients) < SHARE
    films = 1 + generator.binomial(3, np.where(sick, 0.5, 0.2))
    patient = np.repeat(np.arange(patients), films)
    label = sick[patient] & (generator.random(patient.size) < 0.8)

    def alike() -> NDArray[np.float64]:
        common = generator.normal(0.0, np.sqrt(ALIKE), patients)[patient]
        return common + generator.normal(0.0, np.sqrt(1.0 - ALIKE), patient.size)

    latent = alike() + separation * label
    dice = 1.0 / (1.0 + np.exp(-(1.0 + alike())))
    call = latent > CUT * separation
    shared = np.where(call & label, np.rint(dice * AREA), 0.0).astype(np.int64)
    return Films(patient, label, call, 1.0 / (1.0 + np.exp(-latent)), shared)


def truths(separation: float, seed: int = 0) -> dict[str, float]:
    """The population's numbers, by their definitions on films without masks."""
    films = draw(POPULATION, separation, np.random.default_rng([seed, 1]))
    label, call = films.label, films.call
    # Both masks have one area, so Dice is the share of it that they share; empty on empty is 1.
    dice = np.where(label | call, films.shared / AREA, 1.0)
    area = float(auc(films.score, label) or 0.0)
    return {
        "auc": area,
        "auc_by_bootstrap": area,
        "average_precision": float(average_precision(films.score, label) or 0.0),
        "dice_positives": float(dice[label].mean()),
        "competition_dice": float(dice.mean()),
        "sensitivity": float(call[label].mean()),
        "specificity": float((~call[~label]).mean()),
        "ppv": float(label[call].mean()),
        "npv": float((~label[~call]).mean()),
    }


def table_of(films: Films) -> ScoreTable:
    """The films as an evaluation has them."""
    columns = (films.patient, films.label, films.call, films.score, films.shared)
    return ScoreTable.of(
        FilmScore(
            film_id=f"f{n:06d}",
            patient_id=f"p{patient:06d}",
            corpus="simulated",
            label_quality="expert",
            label=int(label),
            decision="positive" if call else "negative",
            presence_score=score,
            pixels=PIXELS,
            truth_area=AREA * label,
            pred_area=AREA * call,
            intersection=shared,
        )
        for n, (patient, label, call, score, shared) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        )
    )


def intervals(films: Films, resamples: int, seed: int) -> dict[str, Interval]:
    """The intervals that an evaluation of these films shows."""
    table = table_of(films)
    sampled = bootstrap(table, resamples=resamples, seed=seed)
    found = dict(numbers_from(table, sampled).metrics) | {"auc_by_bootstrap": sampled["auc"]}
    return {key: found[key] for key in METRICS}


def outcomes(
    positives: int, separation: float, repeats: int, resamples: int, seed: int = 0
) -> Iterator[dict[str, tuple[int, float]]]:
    """For each draw and metric, whether the interval lies below (-1), about (0) or above (1) the truth,
    and its width; one that does not exist holds nothing and is counted as below."""
    true = truths(separation, seed)
    for repeat in range(repeats):
        generator = np.random.default_rng([seed, 2, positives, repeat])
        films = draw(round(positives / SHARE), separation, generator)
        found = {}
        for key, interval in intervals(films, resamples, repeat).items():
            if interval.low is None or interval.high is None:
                found[key] = -1, np.nan
            else:
                side = int(interval.low > true[key]) - int(interval.high < true[key])
                found[key] = side, interval.high - interval.low
        yield found


def measure(
    positives: int, separation: float, repeats: int, resamples: int, seed: int = 0
) -> dict[str, tuple[float, float, float, float]]:
    """Metric -> shares of draws whose interval holds the truth, lies below and above it, and mean width."""
    rows = list(outcomes(positives, separation, repeats, resamples, seed))
    result = {}
    for key in METRICS:
        sides = np.array([row[key][0] for row in rows])
        widths = np.array([row[key][1] for row in rows])
        result[key] = (
            float((sides == 0).mean()),
            float((sides < 0).mean()),
            float((sides > 0).mean()),
            float(np.nanmean(widths)),
        )
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulates and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--positives", type=int, nargs="+", default=[20, 50, 100, 200])
    parser.add_argument("--separations", type=float, nargs="+", default=SEPARATIONS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    for separation, positives in product(given.separations, given.positives):
        true = truths(separation, given.seed)
        print(
            f"{positives} patients with the disease, classes {separation:g} apart, {given.repeats} draws"
        )
        print(f"{'':18s}{'truth':>7s}{'held':>8s}{'below':>8s}{'above':>8s}{'width':>8s}")
        found = measure(positives, separation, given.repeats, given.resamples, given.seed)
        for key, (held, below, above, width) in found.items():
            print(
                f"{key:18s}{true[key]:7.3f}{100 * held:7.1f}%"
                f"{100 * below:7.1f}%{100 * above:7.1f}%{width:8.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
