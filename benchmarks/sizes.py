# ruff: noqa: T201
"""On how many films sizes can be measured, and how far a model's masks change them against the labels'.

    python benchmarks/sizes.py RUN --data DATA --out OUT [--bundles BUNDLE...]

RUN is a run of `pleura train-anatomy`, whose network locates the lungs. Films are the labelled positives that
tune (of all folds); test films stay shut. BUNDLEs, one a fold in their order, judge the films that they have
not seen; without any, only the labels' masks are measured. OUT gets sizes.json and sizes.png.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from pleura.data.manifest import Dataset, Film
from pleura.data.split import SPLIT_FILE, Split
from pleura.evaluation.interval import wilson
from pleura.extent import MEASURES, Extent
from pleura.files import write_json
from pleura.finding import PNEUMOTHORAX, Finding, ModelIdentity
from pleura.inference.admission.answers import answers_of
from pleura.inference.detector import Detector
from pleura.inference.lung_fields import LungFields
from pleura.inference.measurements import measure
from pleura.inference.postprocess import lesions
from pleura.inference.preprocess import network_input
from pleura.inference.runtimes.base import RuntimeOptions
from pleura.inference.runtimes.onnx_runtime import OnnxRuntime
from pleura.outputs.overlay import contact_sheet, overlay
from pleura.radiograph import Radiograph
from pleura.training.anatomy.finished import finished_anatomy
from pleura.training.graph import graph_of
from pleura.training.quantise import half

LABEL = ModelIdentity("label", "", "")
CLASSES = ("accp_2001", "bts_2010", "bts_2023")
SHOWN = 24


class Sized(NamedTuple):
    """A film's extents by its label, and by a model's mask where there is one."""

    film: Film
    view: str | None
    doubt: str | None
    label: tuple[Extent, ...]
    model: tuple[Extent, ...] | None


class Lungs:
    """Locates lungs as a bundle with the run's network would."""

    def __init__(self, run: Path) -> None:
        self.member, weights, _ = finished_anatomy(run)
        graph = half(graph_of(self.member, weights))
        self.runtime = OnnxRuntime(self.member, graph, RuntimeOptions(threads=1))

    def __call__(self, film: Radiograph) -> LungFields:
        batch = network_input(film.pixels, self.member.input)[None]
        return LungFields.of(answers_of(self.runtime.outputs(batch))[0].labels, film)


def finding_of(mask: np.ndarray, film: Radiograph, fields: LungFields) -> Finding:
    """What a model would say that draws this mask."""
    found = lesions(mask, mask.astype(np.float32), film, fields)
    return Finding(
        PNEUMOTHORAX,
        "positive" if found else "negative",
        "Labelled.",
        LABEL,
        film.source,
        probability=1.0,
        mask=mask,
        lesions=found,
        extents=measure(mask, found, film, fields),
        lung_fields=None if fields.doubt else fields.labels,
    )


def sized(
    dataset: Dataset, folds: list[list[str]], lungs: Lungs, detectors: list[Detector]
) -> Iterator[tuple[Sized, np.ndarray]]:
    """Every labelled positive film of the folds, and a picture of it."""
    for number, fold in enumerate(folds):
        for film in (dataset.by_id[film_id] for film_id in fold):
            if not film.mask:
                continue
            radiograph = dataset.radiograph(film)
            fields = lungs(radiograph)
            finding = finding_of(dataset.mask(film), radiograph, fields)
            model = None
            if detectors:
                mask = detectors[number](radiograph).mask
                drawn = np.zeros(radiograph.shape, bool) if mask is None else mask
                model = finding_of(drawn, radiograph, fields).extents
            row = Sized(film, radiograph.view, fields.doubt, finding.extents, model)
            yield row, overlay(radiograph, finding, size=640, caption=False)


def measured(rows: list[Sized]) -> dict[str, object]:
    """On how many sides with a lesion each measure is known, and why the others are not."""
    extents = [(row, extent) for row in rows for extent in row.label]
    patients = np.unique([row.film.patient_id for row, _ in extents], return_inverse=True)[1]
    known: dict[str, object] = {}
    for name in MEASURES:
        values = [getattr(extent, name) for _, extent in extents]
        there = np.array([value is not None for value in values])
        numbers = [value for value in values if value is not None]
        known[name] = {
            "n": len(values),
            "known": int(there.sum()),
            "share": asdict(wilson(there, patients)),
            "quartiles": np.quantile(numbers, [0.25, 0.5, 0.75]).tolist() if numbers else None,
        }
    reasons = Counter(why for _, extent in extents for why in set(extent.reasons.values()))
    classes = {name: Counter(str(getattr(one, name)) for _, one in extents) for name in CLASSES}
    return {"sides": len(extents), "known": known, "reasons": reasons, "classes": classes}


def agreement(rows: list[Sized]) -> dict[str, object]:
    """Sizes by the model's mask less those by the label's, on sides where both are known."""
    pairs = [
        (label, model)
        for row in rows
        for label in row.label
        for model in row.model or ()
        if label.side == model.side
    ]
    told: dict[str, object] = {"sides found": len(pairs)}
    for name in MEASURES:
        both = [(getattr(label, name), getattr(model, name)) for label, model in pairs]
        off = np.array([model - label for label, model in both if None not in (label, model)])
        if len(off) > 1:
            mean, spread = float(off.mean()), float(off.std(ddof=1))
            limits = [mean - 1.96 * spread, mean + 1.96 * spread]  # Bland and Altman, Lancet 1986
            told[name] = {"n": len(off), "mean": mean, "limits of agreement": limits}
            told[name]["median of absolute"] = float(np.median(abs(off)))
    for name in CLASSES:
        told[name] = Counter(f"{getattr(a, name)} -> {getattr(b, name)}" for a, b in pairs)
    return told


def main() -> None:
    """As the module says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bundles", type=Path, nargs="*", default=[])
    parser.add_argument("--films", type=int, help="of each fold at most")
    given = parser.parse_args()
    dataset, split = Dataset.open(given.data), Split.load(given.data / SPLIT_FILE)
    folds = [list(fold)[: given.films] for fold in split.folds or [split.tune]]
    if given.bundles and len(given.bundles) != len(folds):
        parser.error(f"give one bundle for each of {len(folds)} folds; got {len(given.bundles)}")
    given.out.mkdir(parents=True, exist_ok=True)
    detectors = [Detector.load(bundle, threads=1) for bundle in given.bundles]
    rows, pictures = [], []
    for row, picture in sized(dataset, folds, Lungs(given.run), detectors):
        rows.append(row)
        if row.view == "PA" and len(pictures) < SHOWN:
            pictures.append(picture)
    told: dict[str, object] = {}
    for name, chosen in (
        ("all views", rows),
        ("PA", [row for row in rows if row.view == "PA"]),
    ):
        told[name] = {"films": len(chosen), "doubts": sum(row.doubt is not None for row in chosen)}
        told[name] |= measured(chosen) if chosen else {}
        told[name]["model"] = agreement(chosen) if detectors else None
    write_json(given.out / "sizes.json", told)
    sheet = contact_sheet(pictures, 6, tile=480)
    cv2.imwrite(str(given.out / "sizes.png"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    for name, numbers in told.items():
        print(name, {key: numbers[key] for key in ("films", "doubts", "sides")})
        for measure_name, known in numbers["known"].items():
            low, high = (100 * known["share"][key] for key in ("low", "high"))
            print(f"  {measure_name}: {known['known']} of {known['n']} ({low:.0f} to {high:.0f} %)")
        for why, count in numbers["reasons"].most_common():
            print(f"    {count:4} {why}")
        if numbers["model"]:
            print("  model against label:", numbers["model"])


if __name__ == "__main__":
    main()
