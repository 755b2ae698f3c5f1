"""COCO instances: one JSON a part, one connected region an annotation, run lengths (Lin et al. 2014).

OUT/
  train, tune, test    the films, 8-bit PNG
  instances_PART.json  images, categories, annotations; a film without the target has none
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.manifest import Dataset, Film
from pleura.data.peers.write import Exported, Progress, check_masks, film_pixels, fresh, write_png
from pleura.data.split import Split
from pleura.errors import DatasetError
from pleura.files import write_json


def write_coco(
    dataset: Dataset, split: Split, out: Path, progress: Progress | None = None
) -> Exported:
    """Writes the films of `split` into `out` as COCO instances.

    Raises:
        DatasetError: `out` is not empty, a positive film has no mask, or the split has folds, which COCO
            has no place for.
    """
    if split.folds:
        raise DatasetError("COCO has one tuning part; export a split without folds")
    parts = {name: sorted(split.part(name)) for name in ("train", "tune", "test")}
    check_masks(dataset, [i for film_ids in parts.values() for i in film_ids])
    total, done = sum(map(len, parts.values())), 0
    with fresh(out) as partial:
        for name, film_ids in parts.items():
            (partial / name).mkdir()
            images: list[dict[str, Any]] = []
            annotations: list[dict[str, Any]] = []
            for number, film_id in enumerate(film_ids, start=1):
                film = dataset.by_id[film_id]
                write_png(partial / name / f"{film_id}.png", film_pixels(dataset, film))
                images.append(_image(film, number))
                for annotation in regions(dataset.mask(film)):
                    place = {"id": len(annotations) + 1, "image_id": number, "category_id": 1}
                    annotations.append(place | annotation)
                done += 1
                if progress:
                    progress(done, total)
            write_json(
                partial / f"instances_{name}.json",
                {
                    "info": {"description": f"{dataset.target.name}, part {name}"},
                    "categories": [{"id": 1, "name": dataset.target.name}],
                    "images": images,
                    "annotations": annotations,
                },
            )
    return Exported(
        {name: len(film_ids) for name, film_ids in parts.items()},
        "Masks are uncompressed run lengths, which pycocotools and torchvision read.",
    )


def regions(mask: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """A COCO annotation for each connected region (8-neighbourhood) of `mask`, bool (H, W)."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    return [
        {
            "bbox": stats[n, :4].tolist(),  # left, top, width, height
            "area": int(stats[n, cv2.CC_STAT_AREA]),
            "iscrowd": 0,
            "segmentation": {"size": list(mask.shape), "counts": run_lengths(labels == n)},
        }
        for n in range(1, count)
    ]


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs of 0 and 1 in turn, column by column, beginning with 0."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *runs] if flat.size and flat[0] else runs


def _image(film: Film, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "file_name": f"{film.film_id}.png",
        "height": film.rows,
        "width": film.columns,
    }
