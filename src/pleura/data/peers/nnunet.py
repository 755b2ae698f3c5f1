"""nnU-Net v2's raw dataset: one channel, PNG, labels 0 and 1 (Isensee et al. 2021).

OUT/Dataset001_NAME/
  dataset.json         channels, labels, count
  imagesTr, labelsTr   films that train or tune
  imagesTs, labelsTs   test films; nnU-Net never reads their labels
  splits_final.json    the folds, or the one tuning part; belongs into nnU-Net's preprocessed folder
"""

import re
from pathlib import Path

import numpy as np

from pleura.data.manifest import Dataset
from pleura.data.peers.write import Exported, Progress, check_masks, film_pixels, fresh, write_png
from pleura.data.split import Split
from pleura.files import write_json


def write_nnunet(
    dataset: Dataset, split: Split, out: Path, progress: Progress | None = None
) -> Exported:
    """Writes the films of `split` into `out` as nnU-Net's `Dataset001_...`.

    Raises:
        DatasetError: `out` is not empty, or a positive film has no mask.
    """
    folds = [
        (split.part("train", n), split.part("tune", n))
        for n in (range(len(split.folds)) if split.folds else (None,))
    ]
    development = sorted({i for train, tune in folds for i in (*train, *tune)})
    check_masks(dataset, [*development, *split.test])
    target = re.sub(r"\W+", "", dataset.target.name) or "Target"
    folder = out / f"Dataset001_{target}"
    parts = {"Tr": development, "Ts": sorted(split.test)}
    total, done = sum(map(len, parts.values())), 0
    with fresh(folder) as partial:
        for part, film_ids in parts.items():
            images, labels = partial / f"images{part}", partial / f"labels{part}"
            images.mkdir()
            labels.mkdir()
            for film_id in film_ids:
                film = dataset.by_id[film_id]
                write_png(images / f"{film_id}_0000.png", film_pixels(dataset, film))
                write_png(labels / f"{film_id}.png", dataset.mask(film).astype(np.uint8))
                done += 1
                if progress:
                    progress(done, total)
        write_json(
            partial / "splits_final.json",
            [{"train": sorted(train), "val": sorted(tune)} for train, tune in folds],
        )
        write_json(
            partial / "dataset.json",
            {
                "channel_names": {"0": "radiograph"},
                "labels": {"background": 0, dataset.target.name: 1},
                "numTraining": len(development),
                "file_ending": ".png",
            },
        )
    return Exported(
        {"train and tune": len(development), "test": len(split.test)},
        f"Set nnUNet_raw to {out}; after `nnUNetv2_plan_and_preprocess -d 1`, copy splits_final.json into "
        f"nnUNet_preprocessed/{folder.name}, or nnU-Net draws folds of its own, which leak patients.",
    )
