"""The folder of a training run: what is in it, written whole or not at all, and found again.

RUN/
  run.json              the recipe, dataset and split this run is of, what it started from, where, and
                        which films it has seen
  recipe.yaml           the recipe, for people
  last.ckpt             everything needed to go on after the last completed epoch
  best.safetensors      the weights of the best epoch so far
  kept-0012.safetensors those of the best few, where the recipe keeps several
  log.csv               one completed epoch a row
  tensorboard/          the same, for TensorBoard
  curves.png            the same, as a picture
  tuning-0005.png       tuning films with outlines of truth and prediction, now and then
  operating_point.json  fitted on the tuning films when training ends
"""

import csv
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from pleura.errors import TrainingError
from pleura.files import is_empty, remove_partial, whole, write_bytes, write_json
from pleura.inference.manifest import GATE, SEGMENTER
from pleura.networks import parameter_count
from pleura.networks.encoder import SHOWN
from pleura.training.recipe import Recipe, recipe_from
from pleura.training.start import Start

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Identity:
    """What makes two runs the same run; a run is only resumed as itself.

    Attributes:
        recipe: of the run.
        dataset, dataset_sha256: the prepared dataset's path and hash.
        split_sha256, fold: of the split file, and which fold is tuned on.
        device: the kind of device, `cpu` or `cuda`.
        precision: what `auto` came to.
        anatomy_sha256: of the weights that found the lungs, where the network sees those alone.
        soft_presence_sha256: of the probabilities that presence is learnt from, where it is.
    """

    recipe: Recipe
    dataset: str
    dataset_sha256: str
    split_sha256: str
    fold: int | None
    device: str
    precision: str
    anatomy_sha256: str | None = None
    soft_presence_sha256: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As `run.json` holds it."""
        described: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {"format_version": FORMAT_VERSION, **described}


def is_cascade(folder: Path) -> bool:
    """Whether `folder` holds the two runs of a cascade rather than one."""
    return all((folder / role / "run.json").exists() for role in (GATE, SEGMENTER))


class RunFolder:
    """The files of one run.

    Args:
        root: the folder; made when something is first written.
        shown: the films that its weights come from, by the beginnings of their `pixel_sha256`; written into
            the header of each file of weights.
    """

    def __init__(self, root: Path, shown: Collection[str] = ()) -> None:
        self.root, self.shown = root, sorted(shown)
        self.last = root / "last.ckpt"
        self.best = root / "best.safetensors"
        self.log = root / "log.csv"
        self.curves = root / "curves.png"
        self.tensorboard = root / "tensorboard"
        self.operating_point = root / "operating_point.json"

    @property
    def precision(self) -> str | None:
        """What `auto` came to when the run in the folder began; None where there is none."""
        if not (self.root / "run.json").exists():
            return None
        return str(self.described().get("precision"))

    def holds(self, identity: Identity) -> bool:
        """Whether the folder holds a completed epoch of this very run.

        Raises:
            TrainingError: it holds another run (says in what they differ), or something else.
        """
        if not (self.root / "run.json").exists():
            if self.root.is_dir() and not is_empty(self.root):
                raise TrainingError(
                    f"{self.root} is not empty and holds no run; choose another folder"
                )
            return False
        described, other = identity.as_json(), self.described()
        # As it reads today: a recipe written before some key existed has that key's default.
        other["recipe"] = json.loads(json.dumps(asdict(self.recipe())))
        differs = [key for key in described if described[key] != other.get(key)]
        differs = [key for key in differs if key != "dataset"]  # the folder may have moved
        if differs:
            told = ", ".join(_difference(key, other.get(key), described[key]) for key in differs)
            raise TrainingError(
                f"{self.root} holds another run: {told}; give the same recipe and data to resume it, or "
                "another folder for a new run"
            )
        return self.last.exists()

    def claim(
        self,
        identity: Identity,
        began: Start | None,
        network: nn.Module,
        shown: Collection[str] = (),
        processes: int = 1,
    ) -> dict[str, Any]:
        """Marks the folder as `identity`'s, and gives what `run.json` then says.

        Args:
            identity: of a run that `holds` did not refuse.
            began: what the network starts from; None where the run goes on.
            network: of the run.
            shown: the films that it trains on, and those that its start was trained on; where the run goes
                on, what it said of them when it began holds.
            processes: that train it together, with as many threads each.
        """
        if began is not None:
            self.root.mkdir(parents=True, exist_ok=True)
            recorded = {
                "start": asdict(began),
                "threads": torch.get_num_threads(),
                "processes": processes,
                "parameters": parameter_count(network),
                "versions": {"pleura": version("pleura"), "torch": torch.__version__},
                SHOWN: sorted(shown),
            }
            write_json(self.root / "run.json", identity.as_json() | recorded, durable=True)
            write_bytes(self.root / "recipe.yaml", identity.recipe.to_yaml().encode())
        remove_partial(self.root)
        described = self.described()
        self.shown = self.films_shown() or sorted(shown)  # runs of before do not say it
        return described

    def described(self) -> dict[str, Any]:
        """What `run.json` says.

        Raises:
            TrainingError: there is no run here, or it is damaged.
        """
        path = self.root / "run.json"
        try:
            described = json.loads(path.read_text(encoding="utf-8"))
            if described["format_version"] != FORMAT_VERSION:
                raise TrainingError(f"{path} is of another version of pleura; train anew")
        except (FileNotFoundError, NotADirectoryError):
            raise TrainingError(
                f"{self.root} holds no training run; make one with `pleura train`"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{path} is damaged ({error!r}); train anew elsewhere") from error
        return dict(described)

    def recipe(self) -> Recipe:
        """The run's recipe."""
        return recipe_from(self.described()["recipe"], str(self.root / "run.json"))

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Writes `last.ckpt`; `state` holds tensors and plain Python values only."""
        with whole(self.last, durable=True) as temporary:
            torch.save(dict(state), temporary)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """What `save_checkpoint` wrote last, or None. Nothing in it is unpickled but plain values.

        Raises:
            TrainingError: the file is damaged.
        """
        if not self.last.exists():
            return None
        try:
            state = torch.load(self.last, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds, and each means the same here
            raise TrainingError(
                f"{self.last} is damaged ({error}); remove it to train anew"
            ) from error
        return dict(state)

    def save_best(self, weights: Mapping[str, Tensor]) -> None:
        """Writes `best.safetensors`."""
        self._save_weights(self.best, weights)

    def _save_weights(self, path: Path, weights: Mapping[str, Tensor]) -> None:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        # Not `save_file`: what that makes only its owner may read, whatever the umask.
        metadata = {SHOWN: " ".join(self.shown)} if self.shown else None
        write_bytes(path, save(tensors, metadata), durable=True)

    def load_best(self) -> dict[str, Tensor]:
        """What `save_best` wrote last."""
        return load(self.best.read_bytes())

    def save_kept(self, epoch: int, weights: Mapping[str, Tensor]) -> None:
        """Writes the weights of an epoch, counted from 1, that is kept beside the best."""
        self._save_weights(self._kept(epoch), weights)

    def remove_kept_but(self, epochs: Collection[int]) -> None:
        """Removes the weights of all other epochs."""
        wanted = {self._kept(epoch) for epoch in epochs}
        for path in self.root.glob("kept-*.safetensors"):
            if path not in wanted:
                path.unlink()

    def model_weights(self) -> list[bytes]:
        """The files whose networks make the model: those that were kept, or else the best one's.

        Raises:
            FileNotFoundError: there are no weights yet.
        """
        kept = sorted(self.root.glob("kept-*.safetensors"))
        return [path.read_bytes() for path in kept or [self.best]]

    def films_shown(self) -> list[str]:
        """The films that the weights come from, their start's too; empty where the run does not say."""
        return list(self.described().get(SHOWN, ()))

    def _kept(self, epoch: int) -> Path:
        return self.root / f"kept-{epoch:04d}.safetensors"

    def effort(self) -> dict[str, float] | None:
        """Films shown, seconds of training and threads of all processes; None without a log."""
        logged, told = self.logged(), self.described()
        return logged and logged | {"threads": told["threads"] * told.get("processes", 1)}

    def logged(self) -> dict[str, float] | None:
        """Films shown and seconds of training, by the log; None where there is none."""
        try:
            with self.log.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            seconds = [float(row["seconds"]) for row in rows]
            rates = [float(row["films_per_second"]) for row in rows]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        films = sum(round(s * r) for s, r in zip(seconds, rates, strict=True))
        return {"films": films, "seconds": sum(seconds)}

    def write_log(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Writes `log.csv`, one epoch a row."""
        with (
            whole(self.log, durable=True) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(history[0]))
            writer.writeheader()
            writer.writerows(history)


def _difference(key: str, there: Any, here: Any) -> str:
    """Where two runs differ, of nested values the innermost names, as a person would write them."""
    if isinstance(there, dict) and isinstance(here, dict):
        names = [n for n in (*here, *(there.keys() - here.keys())) if there.get(n) != here.get(n)]
        inner = (_difference(f"{key}.{name}", there.get(name), here.get(name)) for name in names)
        return ", ".join(inner)
    return f"{key.removeprefix('recipe.')} is {_short(there)} there and {_short(here)} here"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
