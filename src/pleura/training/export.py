"""`export`: a finished run to a bundle."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import TrainingError
from pleura.finding import ModelIdentity
from pleura.inference.bundle import write_bundle
from pleura.inference.detector import Detector
from pleura.inference.postprocess import OperatingPoint
from pleura.training.run import RunFolder
from pleura.training.train import bundle_manifest

HASH_CHARACTERS = 16  # of each film's pixel hash in the data card: enough to find a film again


def export(
    run: Path,
    dataset: Dataset,
    split: Split,
    out: Path,
    *,
    name: str | None = None,
    version: str = "0",
    licence: str = "unstated",
    metrics: Mapping[str, Any] | None = None,
) -> ModelIdentity:
    """Writes the run's best weights, its operating point and its data card as a bundle.

    A path that ends in `.zip` becomes a zip, any other a directory. The bundle is opened again, and its
    network made, before this returns.

    Args:
        run: the folder of a finished training run.
        dataset, split: those the run was trained on.
        out: the bundle to write.
        name, version, licence: of the model; by default the recipe's name.
        metrics: figures to put on record, by part.

    Raises:
        TrainingError: there is no run, it is not finished, or it was trained on another dataset or split.
        BundleError: `out` exists and is no bundle.
    """
    folder = RunFolder(run)
    described = folder.described()
    for what, here in (("dataset", dataset.sha256), ("split", split.sha256)):
        if described[f"{what}_sha256"] != here:
            raise TrainingError(
                f"{run} was trained on another {what} than the one given; give the one it names: "
                f"{described['dataset']}"
            )
    try:
        fitted = json.loads(folder.operating_point.read_text(encoding="utf-8"))
        point = OperatingPoint(**fitted["point"])
        weights = folder.best.read_bytes()
    except FileNotFoundError as error:
        raise TrainingError(
            f"{run} is not finished ({Path(error.filename).name} is missing); run the same `pleura train` "
            "again to go on, or with --finish to take the best weights so far"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{folder.operating_point} is damaged ({error!r}); remove it and run `pleura train` again"
        ) from error
    recipe = folder.recipe()
    manifest = bundle_manifest(
        recipe,
        dataset,
        version=version,
        point=point,
        licence=licence,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics={"tune": {k: v for k, v in fitted.items() if k != "point"}, **(metrics or {})},
        data_card=_data_card(dataset, split, described["fold"]),
        training=_training(described),
        **({"name": name} if name else {}),
    )
    identity = write_bundle(out, manifest, weights, zipped=out.suffix == ".zip")
    Detector.load(out, device="cpu")
    return identity


def _training(described: Mapping[str, Any]) -> dict[str, Any]:
    """What a bundle says of its training; places on the disk stay behind."""
    keys = ("recipe", "fold", "device", "precision", "start", "threads", "parameters", "versions")
    training = {key: described[key] for key in keys}
    network = training["recipe"]["network"]
    training["recipe"] = training["recipe"] | {
        "network": network | {"init": Path(network["init"]).name}
    }
    return training


def _data_card(dataset: Dataset, split: Split, fold: int | None) -> dict[str, Any]:
    """Which films made the model: corpora, counts, patients, and their pixels' hashes."""
    card: dict[str, Any] = {
        "corpora": [
            {key: corpus.get(key) for key in ("name", "layout", "quality")}
            for corpus in dataset.description["corpora"]
        ],
        "dataset_sha256": dataset.sha256,
        "split_sha256": split.sha256,
        "test_sha256": split.test_sha256,
        "seed": split.seed,
        "parts": {},
    }
    for part in ("train", "tune", "test"):
        films = [dataset.by_id[i] for i in split.part(part, None if part == "test" else fold)]
        card["parts"][part] = {
            "films": len(films),
            "positives": sum(film.label == 1 for film in films),
            "patients": len({film.patient_id for film in films}),
            "silver": sum(film.label_quality == "silver" for film in films),
        }
        if part != "test":
            hashes = sorted(film.pixel_sha256[:HASH_CHARACTERS] for film in films)
            card["parts"][part]["pixel_sha256"] = hashes
    return card
