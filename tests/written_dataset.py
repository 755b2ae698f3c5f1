"""A prepared dataset, written by hand."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.manifest import Dataset, Film, dataset_description, mask_sha256, write_manifest
from pleura.finding import PNEUMOTHORAX


class Given(NamedTuple):
    """A film to write: pixels uint8 (H, W), and a mask bool (H, W) that is empty on negatives."""

    film_id: str
    patient_id: str
    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    thumbnail: NDArray[np.uint8]


def written(root: Path, corpus: str, given: Iterable[Given]) -> Dataset:
    """The dataset of these films in `root`; each film's `pixel_sha256` is made of its number."""
    films = []
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for number, (film_id, patient_id, pixels, mask, thumbnail) in enumerate(given):
        (rows, columns), label = mask.shape, bool(mask.any())
        cv2.imwrite(str(root / "images" / f"{film_id}.png"), pixels)
        if label:
            cv2.imwrite(str(root / "masks" / f"{film_id}.png"), mask.astype(np.uint8) * 255)
        films.append(
            Film(
                film_id=film_id,
                corpus=corpus,
                source_path=f"{film_id}.png",
                label_quality="expert",
                label=int(label),
                patient_id=patient_id,
                patient_basis="table",
                rows=rows,
                columns=columns,
                stored_rows=rows,
                stored_columns=columns,
                bits=8,
                pixel_sha256=f"{number:02x}" * 32,
                thumbnail=thumbnail.tobytes().hex(),
                image=f"images/{film_id}.png",
                mask=f"masks/{film_id}.png" if label else None,
                mask_sha256=mask_sha256(mask) if label else None,
                mask_area_px=int(mask.sum()),
                mask_area_fraction=float(mask.mean()),
            )
        )
    write_manifest(root / "manifest.csv", films)
    (root / "dataset.json").write_text(json.dumps(dataset_description(PNEUMOTHORAX, [])))
    return Dataset.open(root)
