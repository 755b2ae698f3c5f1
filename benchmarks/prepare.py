# ruff: noqa: T201
"""DICOM files a second that one core prepares, against the loop that notebooks write.

    python benchmarks/prepare.py FOLDER [--films N] [--chunk N]

FOLDER is of the SIIM layout (`dicom-images-train`, `train-rle.csv`). The naive loop decodes with
`pydicom.dcmread(...).pixel_array`, paints the mask run by run in Python and saves both as PNG with the
library's defaults; it finds no copies, keeps no facts and resumes nothing. `pleura` does its whole
conversion: reading, checking, hashing, thumbnail, both files and the row. Both save at the source's
size. The ways take turns chunk by chunk, and change their order, so that a busy machine slows all alike.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom
from PIL import Image

from pleura.data.corpora import Case, CorpusSpec, find_cases
from pleura.data.prepare.convert import convert


def naive_mask(texts: tuple[str, ...], rows: int, columns: int) -> np.ndarray:
    """The union of run lengths, painted run by run."""
    mask = np.zeros(rows * columns, dtype=np.uint8)
    for text in texts:
        if text.strip() == "-1":
            continue
        numbers = [int(word) for word in text.split()]
        position = 0
        for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
            position += gap
            mask[position : position + length] = 255
            position += length
    return mask.reshape(columns, rows).T


def naive(save: Callable[[Path, np.ndarray], object]) -> Callable[[Case, Path], None]:
    """The naive loop's body, with the given way to save a PNG."""

    def one(case: Case, out: Path) -> None:
        pixels = pydicom.dcmread(case.file).pixel_array
        save(out / "images" / f"{case.key}.png", pixels)
        save(out / "masks" / f"{case.key}.png", naive_mask(case.annotations, *pixels.shape))

    return one


def by_pleura(case: Case, out: Path) -> None:
    """What a worker of `pleura prepare` does with a film."""
    converted = convert(case, case.key, out, None)
    if converted.film is None:
        raise SystemExit(f"{case.file}: {converted.reason}")


WAYS: dict[str, Callable[[Case, Path], None]] = {
    "naive, saved by Pillow": naive(lambda path, levels: Image.fromarray(levels).save(path)),
    "naive, saved by OpenCV": naive(lambda path, levels: cv2.imwrite(str(path), levels)),
    "pleura": by_pleura,
}


def measure(cases: list[Case], chunk: int, out: Path) -> dict[str, list[float]]:
    """Films a second of each way, a chunk each."""
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for number, start in enumerate(range(0, len(cases), chunk)):
        part = cases[start : start + chunk]
        for case in part:  # from the page cache for all, whoever is first
            case.file.read_bytes()
        names = list(WAYS)
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            began = time.perf_counter()
            for case in part:
                WAYS[name](case, out)
            rates[name].append(len(part) / (time.perf_counter() - began))
    return rates


def main() -> None:
    """Measures and prints a table: films a second, and pleura's multiple of each way, with quartiles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--films", type=int, default=None, help="only so many")
    parser.add_argument("--chunk", type=int, default=40, help="films a turn")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    began = time.perf_counter()
    found = find_cases(CorpusSpec(given.folder, layout="siim"))[0]
    planning = time.perf_counter() - began
    cases = [case for case in found if case.annotations][: given.films]
    out = Path(tempfile.mkdtemp(prefix="pleura-benchmark-"))
    try:
        for name in ("images", "masks"):
            (out / name).mkdir()
        rates = measure(cases, given.chunk, out)
    finally:
        shutil.rmtree(out)
    print(
        f"{len(cases)} films in chunks of {given.chunk}, one process; "
        f"listing {len(found)} took {planning:.2f} s"
    )
    print(f"{'':24s}{'films/s':>9s}{'quartiles':>16s}{'pleura is':>12s}{'quartiles':>14s}")
    for name, measured in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["pleura"], measured, strict=True)]
        low, middle, high = statistics.quantiles(measured, n=4)
        less, ratio, more = statistics.quantiles(ratios, n=4)
        print(
            f"{name:24s}{middle:9.1f}{low:9.1f} to {high:.1f}{ratio:10.2f} x{less:8.2f} to {more:.2f}"
        )


if __name__ == "__main__":
    main()
