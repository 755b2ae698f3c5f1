"""Datasets in memory and on disk for the tests of splitting and verification."""

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pleura.data.manifest import Dataset, Film, dataset_description, write_manifest
from pleura.finding import PNEUMOTHORAX


def film(film_id: str, patient: str, label: int | None = 0, area: float = 0.0, **more: Any) -> Film:
    """A film on a 100x100 matrix; `area` is the mask's share of it."""
    values: dict[str, Any] = {
        "film_id": film_id,
        "corpus": "a",
        "source_path": f"{film_id}.dcm",
        "label_quality": "none" if label is None else "expert",
        "label": label,
        "patient_id": patient,
        "patient_basis": "table",
        "rows": 100,
        "columns": 100,
        "bits": 8,
        "pixel_sha256": hashlib.sha256(film_id.encode()).hexdigest(),
        "thumbnail": "",
        "image": f"images/{film_id}.png",
        "mask": f"masks/{film_id}.png" if label and area else None,
        "mask_area_px": None if label is None else round(area * 10_000),
        "mask_area_fraction": None if label is None else area,
    }
    values |= more
    values = {"stored_rows": values["rows"], "stored_columns": values["columns"]} | values
    return Film(**values)


def dataset(*films: Film, root: Path = Path("memory")) -> Dataset:
    return Dataset(root, PNEUMOTHORAX, tuple(films), {})


def cohort(patients: int = 200, seed: int = 0) -> list[Film]:
    """Patients of one to six films; a quarter of the patients have positives of log-normal area."""
    rng = np.random.default_rng(seed)
    films = []
    for patient in range(patients):
        ill = rng.random() < 0.25
        for number in range(int(rng.integers(1, 7))):
            label = int(ill and rng.random() < 0.7)
            area = float(np.clip(rng.lognormal(-4.5, 1.0), 1e-4, 0.5)) if label else 0.0
            films.append(film(f"f{patient:04d}-{number}", f"p{patient:04d}", label, area))
    return films


def write_png(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def write_dataset(root: Path, films: list[Film]) -> Dataset:
    """Writes the two tables; images and masks are the caller's."""
    root.mkdir(parents=True, exist_ok=True)
    description = dataset_description(PNEUMOTHORAX, [])
    (root / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    write_manifest(root / "manifest.csv", films)
    return Dataset.open(root)
