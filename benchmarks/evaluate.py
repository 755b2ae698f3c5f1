# ruff: noqa: T201
"""Time and memory of an evaluation, against the loop that notebooks write.

    python benchmarks/evaluate.py [--films N] [--resamples N]

Both score the same simulated pairs of masks at 1024 x 1024, one at a time. `pleura` runs the whole of
`pleura evaluate`: overlap, surface distance and regions of each film, every number with its interval by
patient, operating points, kinds of films, calibration, and the page. The naive loop takes Dice and IoU with
numpy, then draws patients in a Python loop and calls scikit-learn on each draw. Beside it stand the surface
distance and the regions as scipy gives them, which the naive loop leaves out. What would take the naive ways
too long is measured on fewer films or draws and scaled, and marked so. Each way has a process of its own
with one thread, and times are the processor's, so that other programs disturb them little.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

SIZE = 1024
POSITIVE, CALLED, ALARMS = 0.22, 0.8, 0.08  # shares: of films; of positives; of negatives
SAMPLE_FILMS, SAMPLE_DRAWS = 300, 100  # what the naive ways are measured on where they are slow


class Pair:
    """Film `n`: labelled and predicted mask, bool (1024, 1024), and a presence score; the same each time."""

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(n)
        self.label = int(rng.random() < POSITIVE)
        centre, axes = rng.integers(250, 774, 2), rng.integers(20, 170, 2)
        self.truth = ellipse(centre, axes) if self.label else np.zeros((SIZE, SIZE), np.bool_)
        called = rng.random() < (CALLED if self.label else ALARMS)
        moved = centre + rng.integers(-30, 31, 2), np.maximum(5, axes + rng.integers(-15, 16, 2))
        self.pred = ellipse(*moved) if called else np.zeros((SIZE, SIZE), np.bool_)
        self.score = float(0.5 + rng.random() / 2 if called else rng.random() / 2)


def ellipse(centre: np.ndarray, axes: np.ndarray) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.ellipse(mask, centre.tolist(), axes.tolist(), 0.0, 0.0, 360.0, 1, cv2.FILLED)
    return mask.view(np.bool_)


def patient_of(n: int) -> int:
    """Patients have two films, but where every seventh film moves on to the next patient."""
    return n // 2 + (n % 7 == 0)


def simulate(films: int, resamples: int) -> dict[str, float]:
    """The simulation alone, which every other way pays for too."""
    for n in range(films):
        Pair(n)
    return {}


def by_pleura(films: int, resamples: int) -> dict[str, float]:
    """The whole of `pleura evaluate`, but for a network."""
    from pleura.data.manifest import PNEUMOTHORAX, Dataset, Film, dataset_description
    from pleura.evaluation.page import write_report
    from pleura.evaluation.run import score_films
    from pleura.evaluation.summary import summarise
    from pleura.finding import Finding, ModelIdentity
    from pleura.radiograph import Radiograph

    pixels = np.random.default_rng(0).random((SIZE, SIZE), np.float32)
    model = ModelIdentity("simulated", "1", "0" * 64)

    class Archive(Dataset):
        def radiograph(self, film: Film) -> Radiograph:
            return Radiograph(pixels, 8, "dataset", film.film_id)

        def mask(self, film: Film) -> np.ndarray:
            return Pair(int(film.film_id)).truth

    def detect(film: Radiograph) -> Finding:
        pair = Pair(int(film.source))
        decision = "positive" if pair.pred.any() else "negative"
        return Finding(
            PNEUMOTHORAX,
            decision,
            "Simulated.",
            model,
            film.source,
            probability=pair.score,
            mask=pair.pred,
        )

    rows = [
        Film(
            film_id=str(n), corpus="simulated", source_path=str(n), label_quality="expert",
            label=Pair(n).label, patient_id=f"p{patient_of(n)}", patient_basis="table", rows=SIZE,
            columns=SIZE, stored_rows=SIZE, stored_columns=SIZE, bits=8, pixel_sha256=f"{n:064x}",
            thumbnail="0" * 512, image="", mask_area_px=0, view="AP" if n % 3 else "PA",
            sex="F" if n % 2 else "M", age_years=20.0 + n % 70,
        )
        for n in range(films)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="pleura-benchmark-") as folder:
        root = Path(folder)
        dataset = Archive(root, PNEUMOTHORAX, tuple(rows), dataset_description(PNEUMOTHORAX, []))
        clock = Clock()
        run, scores = score_films(
            detect, dataset, [f.film_id for f in rows], part="tune", out=root / "evaluation"
        )
        clock("films")
        found = summarise(run, scores, films=dataset.by_id, resamples=resamples)
        clock("numbers")
        write_report(root / "report.html", found, detect, dataset)
        clock("report")
    intervals = json.dumps(found.facts()).count('"method"')
    return clock.took | {"intervals": float(intervals)}


def naive(films: int, resamples: int) -> dict[str, float]:
    """Dice and IoU a film, and a Python loop over draws of patients with scikit-learn."""
    from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

    clock = Clock()
    rows = []
    for n in range(films):
        pair = Pair(n)
        shared, total = (pair.pred & pair.truth).sum(), pair.pred.sum() + pair.truth.sum()
        dice = 2 * shared / total if total else 1.0
        iou = shared / (total - shared) if total else 1.0
        rows.append((patient_of(n), pair.label, pair.score, dice, iou))
    clock("films")
    patient, label, score, dice, iou = (np.array(column) for column in zip(*rows, strict=True))
    films_of = {p: np.flatnonzero(patient == p) for p in np.unique(patient)}
    patients, rng = list(films_of), np.random.default_rng(0)
    drawn, draws = [], min(resamples, SAMPLE_DRAWS)
    clock("grouping")
    for _ in range(draws):
        at = np.concatenate([films_of[p] for p in rng.choice(patients, len(patients))])
        y, s, d, j = label[at], score[at], dice[at], iou[at]
        tn, fp, fn, tp = confusion_matrix(y, s >= 0.5).ravel()
        drawn.append(
            (
                roc_auc_score(y, s), average_precision_score(y, s), d.mean(), d[y == 1].mean(),
                j[y == 1].mean(), tp / (tp + fn), tn / (tn + fp), tp / (tp + fp), tn / (tn + fn),
                2 * tp / (2 * tp + fp + fn),
            )
        )  # fmt: skip
    intervals = np.percentile(drawn, (2.5, 97.5), axis=0).shape[1]
    clock("numbers")
    took = clock.took
    scaled = took["numbers"] * resamples / draws + took.pop("grouping")
    return took | {"numbers": scaled, "intervals": float(intervals), "draws": float(draws)}


def by_scipy(films: int, resamples: int) -> dict[str, float]:
    """The surface distance by distance transforms of the whole film, and the regions by scipy."""
    from scipy import ndimage

    clock, measured = Clock(), min(films, SAMPLE_FILMS)
    for n in range(measured):
        pair = Pair(n)
        for mask, other in ((pair.truth, pair.pred), (pair.pred, pair.truth)):
            labels, count = ndimage.label(mask, np.ones((3, 3)))
            ndimage.mean(other, labels, np.arange(1, count + 1))
        if pair.truth.any() and pair.pred.any():
            surfaces = [m & ~ndimage.binary_erosion(m) for m in (pair.truth, pair.pred)]
            for of, to in (surfaces, surfaces[::-1]):
                np.percentile(ndimage.distance_transform_edt(~to)[of], 95)
    clock("films")
    return {"films": clock.took["films"] * films / measured, "measured": float(measured)}


class Clock:
    """Seconds of the processor between calls, by name."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}
        self._began = time.process_time()

    def __call__(self, name: str) -> None:
        now = time.process_time()
        self.took[name], self._began = now - self._began, now


WAYS: dict[str, Callable[[int, int], dict[str, float]]] = {
    "simulate": simulate,
    "pleura": by_pleura,
    "naive": naive,
    "scipy": by_scipy,
}


def child(way: str, films: int, resamples: int) -> dict[str, float]:
    """What a way measured in a process of its own, with that process's peak of memory in MiB."""
    command = [sys.executable, __file__, "--way", way]
    command += ["--films", str(films), "--resamples", str(resamples)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def one(way: str, films: int, resamples: int) -> None:
    """The child's part: runs a way and prints what it measured as JSON."""
    cv2.setNumThreads(1)
    began = time.process_time()
    found = WAYS[way](films, resamples)
    found["all"] = time.process_time() - began
    found["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


def main() -> None:
    """Measures every way and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=12_000)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        one(given.way, given.films, given.resamples)
        return
    made = child("simulate", given.films, given.resamples)["all"]
    few = child("pleura", max(300, given.films // 10), given.resamples)["peak_mib"]
    ours, theirs, scipy = (
        child(way, given.films, given.resamples) for way in ("pleura", "naive", "scipy")
    )
    # pleura asks for the label and for the prediction apart, and so has each film simulated twice.
    own = ours["films"] - 2 * made
    print(
        f"{given.films} pairs of masks at {SIZE} x {SIZE}, {given.resamples} resamples, seconds of one core"
    )
    print(f"{'':34s}{'pleura':>9s}{'naive':>9s}{'ratio':>8s}")
    row("films: Dice and IoU", own, theirs["films"] - made)
    row("films: HD95 and regions too", own, theirs["films"] + scipy["films"] - 2 * made)
    row("numbers", ours["numbers"], theirs["numbers"])
    row(
        "ms for each interval",
        1e3 * ours["numbers"] / ours["intervals"],
        1e3 * theirs["numbers"] / theirs["intervals"],
    )
    print(f"{'the page':34s}{ours['report']:9.1f}")
    print(f"{'peak of memory, MiB':34s}{ours['peak_mib']:9.0f}{theirs['peak_mib']:9.0f}")
    print(
        f"Numbers with intervals: {ours['intervals']:.0f} against {theirs['intervals']:.0f}. Simulating "
        f"({made:.1f} s a pass) is taken off. A tenth of the films: {few:.0f} MiB.\nNaive numbers from "
        f"{theirs['draws']:.0f} draws, HD95 and regions from {scipy['measured']:.0f} films, scaled."
    )


def row(name: str, ours: float, theirs: float) -> None:
    print(f"{name:34s}{ours:9.1f}{theirs:9.1f}{theirs / ours:7.1f}x")


if __name__ == "__main__":
    main()
