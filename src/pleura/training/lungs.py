"""The anatomy network beside a model: it looks at films first, and finds the lungs that some networks see."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import TrainingError
from pleura.files import write_bytes, write_json
from pleura.frame import Frame
from pleura.inference.admission.doorkeeper import Doorkeeper
from pleura.inference.admission.thresholds import AdmissionThresholds
from pleura.inference.bundle import Member
from pleura.inference.lung_fields import ABOVE, BELOW, BESIDE, lung_frame
from pleura.inference.runtimes import Runtime, RuntimeOptions
from pleura.inference.runtimes.onnx_runtime import OnnxRuntime
from pleura.inference.runtimes.pytorch import TorchRuntime
from pleura.inference.shipped import SHIPPED, shipped_anatomy
from pleura.networks.encoder import SHOWN
from pleura.training.anatomy.finished import check_unseen, finished_anatomy
from pleura.training.graph import graph_of
from pleura.training.recipe import Recipe
from pleura.training.run import RunFolder

_FILMS_A_LOOK = 8
_SAVED_EVERY = 512  # films
_MANY_FILMS = 256

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Anatomy:
    """A finished anatomy run, as it goes into a model.

    Attributes:
        root: the run's folder.
        member, weights, thresholds: what a bundle holds of it.
        shown: of the films that it was trained on, the beginnings of `pixel_sha256`; None where the run does
            not say.
    """

    root: Path
    member: Member
    weights: bytes
    thresholds: AdmissionThresholds
    shown: Sequence[str] | None

    @property
    def sha256(self) -> str:
        """Of the weights; runs that learn from its lungs keep it."""
        return hashlib.sha256(self.weights).hexdigest()

    @classmethod
    def of(cls, run: Path) -> "Anatomy":
        """The anatomy in a run's folder; `shipped` is the one that `pleura-weights` holds.

        Raises:
            TrainingError: there is none, it is not finished, or it is damaged.
            BundleError: `pleura-weights` is not installed, or holds none.
        """
        root = shipped_anatomy() if run == Path(SHIPPED) else run
        member, weights, thresholds = finished_anatomy(root)
        told = {key: value for key, value in member.training.items() if key != SHOWN}
        shown = member.training.get(SHOWN)
        return cls(root, replace(member, training=told), weights, thresholds, shown)

    def card(self) -> dict[str, Any]:
        """What a data card says of the films that it was shown."""
        shown = list(self.shown or ())
        return {"films": len(shown), "pixel_sha256": shown}

    def check_unseen(self, dataset: Dataset, split: Split) -> None:
        """Raises TrainingError where it was shown films that tune or test here."""
        check_unseen(self.root, self.shown, dataset, split)


def anatomy_of(
    runs: Iterable[tuple[Recipe, RunFolder]], named: Path | None = None
) -> Anatomy | None:
    """The anatomy network of a model of these runs; None where nobody named one and all see the whole film.

    Args:
        runs: recipe and folder of each.
        named: a run of `pleura train-anatomy`, or `shipped`; None: what the recipes name.

    Raises:
        TrainingError: a run learnt from the lungs that another one found; or as `Anatomy.of` says.
    """
    seeing = [(recipe, folder) for recipe, folder in runs if recipe.anatomy is not None]
    if named is None and not seeing:
        return None
    anatomy = Anatomy.of(named or Path(str(seeing[0][0].anatomy)))
    for _, folder in seeing:
        if folder.described().get("anatomy_sha256") != anatomy.sha256:
            raise TrainingError(
                f"{folder.root} learnt from the lungs that another network found than {anatomy.root}, and a "
                "model has one: name that which it learnt from, or train again"
            )
    return anatomy


def lung_frames(
    anatomy: Anatomy,
    dataset: Dataset,
    film_ids: Iterable[str],
    device: str = "cpu",
    progress: Progress | None = None,
) -> Mapping[str, Frame]:
    """The frame around the lungs of each film, as the serving path finds it.

    A film that would be declined, or turned first, keeps its whole frame. What was found is kept in
    `DATASET/cache`, named for the network and the margins, and may be deleted at any time.

    Args:
        anatomy: what finds them.
        dataset: where the films are.
        film_ids: which.
        device: `cpu` or `cuda`.
        progress: called with (films done, films in all) of those that are new.
    """
    told = f"{dataset.sha256} {anatomy.sha256} {anatomy.thresholds} {BESIDE} {ABOVE} {BELOW}"
    key = hashlib.sha256(told.encode()).hexdigest()[:16]
    path = dataset.root / "cache" / f"lungs-{key}.json"
    known = _read(path)
    wanted = sorted(set(film_ids) - known.keys())
    if not wanted:
        return known
    path.parent.mkdir(exist_ok=True)
    looked_at = _looked_at(anatomy, dataset, wanted, device, progress)
    for done, (film_id, labels) in enumerate(looked_at, start=1):
        known[film_id] = lung_frame(labels)
        if done == len(wanted) or done % _SAVED_EVERY == 0:
            write_json(path, {i: (f.top, f.left, f.bottom, f.right) for i, f in known.items()})
    return known


def lung_labels(
    anatomy: Anatomy,
    dataset: Dataset,
    film_ids: Iterable[str],
    device: str = "cpu",
    progress: Progress | None = None,
) -> Mapping[str, Path]:
    """A PNG of the label map of each film, uint8 (S, S) over the whole film, as the anatomy network sees it.

    It is empty for a film that would be declined, or turned first. They are kept in `DATASET/cache`, in a
    folder named for the network, and may be deleted at any time.

    Args:
        anatomy, dataset, film_ids, device, progress: as `lung_frames` has them.
    """
    told = f"{dataset.sha256} {anatomy.sha256} {anatomy.thresholds}"
    key = hashlib.sha256(told.encode()).hexdigest()[:16]
    folder = dataset.root / "cache" / f"lung-labels-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    found = {film_id: folder / f"{film_id}.png" for film_id in sorted(set(film_ids))}
    wanted = [film_id for film_id, path in found.items() if not path.exists()]
    for film_id, labels in _looked_at(anatomy, dataset, wanted, device, progress):
        kept = np.zeros((1, 1), np.uint8) if labels is None else labels
        write_bytes(found[film_id], cv2.imencode(".png", kept)[1].data)
    return found


def _looked_at(
    anatomy: Anatomy,
    dataset: Dataset,
    wanted: Sequence[str],
    device: str,
    progress: Progress | None,
) -> Iterator[tuple[str, NDArray[np.uint8] | None]]:
    """Each film with its label map; None where it would be declined, or turned first."""
    if not wanted:
        return
    door = Doorkeeper(anatomy.member, _runtime(anatomy, device, len(wanted)), anatomy.thresholds)
    for start in range(0, len(wanted), _FILMS_A_LOOK):
        chosen = wanted[start : start + _FILMS_A_LOOK]
        admissions = door([dataset.radiograph(dataset.by_id[film_id]) for film_id in chosen])
        for film_id, admission in zip(chosen, admissions, strict=True):
            yield film_id, None if admission.mending else admission.labels
        if progress:
            progress(start + len(chosen), len(wanted))


def _runtime(anatomy: Anatomy, device: str, films: int) -> Runtime:
    """PyTorch; for many films on a CPU the graph: made in seconds, and then a quarter of the time a film."""
    options = RuntimeOptions(device=device, precision="f32")
    if device == "cuda" or films < _MANY_FILMS:
        return TorchRuntime(anatomy.member, anatomy.weights, options)
    return OnnxRuntime(anatomy.member, graph_of(anatomy.member, anatomy.weights), options)


def _read(path: Path) -> dict[str, Frame]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {film_id: Frame(*sides) for film_id, sides in kept.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):  # it is only a cache
        return {}
