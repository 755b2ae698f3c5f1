"""`train`: a recipe, a dataset and a split to a finished run."""

import hashlib
import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from pleura.data.augment import AUGMENTATIONS
from pleura.data.dataset import FilmSet
from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import TrainingError, UnknownName
from pleura.evaluation.operating_point import FittedPoint, fit_operating_point, sweep
from pleura.files import write_json
from pleura.inference.bundle import Bundle, BundleManifest
from pleura.inference.detector import Detector
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import squeeze
from pleura.inference.runtime import TorchRuntime
from pleura.networks import create
from pleura.networks.encoder import imagenet_weights, load_encoder, read_weights
from pleura.training.loop import State, Trainer
from pleura.training.losses import weighted_sum
from pleura.training.pictures import draw_curves, draw_tuning
from pleura.training.recipe import Recipe
from pleura.training.run import Identity, RunFolder

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Report:
    """Whom a run tells how it goes; every field may be None.

    Attributes:
        cache, films, operating_point: called with (done, in all) while the film caches are made, while
            training (films shown, of all epochs), and while the operating point is fitted.
        epoch: called with each completed epoch's row of the log.
        note: called with sentences worth a person's attention.
    """

    cache: Progress | None = None
    films: Progress | None = None
    operating_point: Progress | None = None
    epoch: Callable[[dict[str, Any]], None] | None = None
    note: Callable[[str], None] | None = None


def train(
    recipe: Recipe,
    dataset: Dataset,
    split: Split,
    out: Path,
    *,
    fold: int | None = None,
    device: str = "auto",
    report: Report | None = None,
) -> State:
    """Trains `recipe` on the split's training films, or resumes where `out` holds an unfinished run.

    Stops by the tuning films, keeps the best epoch's weights, and fits the operating point on
    the tuning films with the very detector that will serve. Interrupted at any time, by a signal
    or a lost machine, the same call goes on after the last completed epoch and, on the same device,
    precision and number of threads, ends with the same weights.

    Args:
        recipe: what to do.
        dataset: prepared.
        split: of that dataset.
        out: the run's folder.
        fold: which fold tunes, where the split has folds.
        device: `auto`, `cpu` or `cuda`.
        report: whom to tell.

    Raises:
        LeakError: a patient or a film stands on both sides of the split.
        DatasetError: the split is of another dataset, or films are missing.
        RecipeError, UnknownName: the recipe asks for what there is not.
        TrainingError: `out` holds another run, or there is nothing to train or tune on.
        NonFiniteLoss: the loss diverged; names the films.
        KeyboardInterrupt: passed on once the folder holds usable weights.
    """
    report = report or Report()
    split.check(dataset)
    _check_names(recipe)
    torch.manual_seed(recipe.seed)
    fabric = choose_fabric(recipe, device)
    folder = RunFolder(out)
    folder.claim(
        Identity(
            recipe=recipe,
            dataset=str(dataset.root),
            dataset_sha256=dataset.sha256,
            split_sha256=split.sha256,
            fold=fold,
            init_sha256=_init_sha256(recipe.network.init),
            device=fabric.device.type,
            precision=str(fabric._precision.precision),
        )
    )
    parts = [
        FilmSet(dataset, _some(split, part, fold), recipe.input.size, squeeze, report.cache)
        for part in ("train", "tune")
    ]
    network = _network(recipe, report, resumed=folder.last.exists())
    trainer = Trainer(recipe, network, parts[0], parts[1], folder, fabric)
    _run(trainer, folder, report)
    if not folder.operating_point.exists():
        fitted = _fit(recipe, folder, dataset, parts[1].film_ids, device, report.operating_point)
        write_json(folder.operating_point, fitted.facts(), durable=True)
    return trainer.state


def _run(trainer: Trainer, folder: RunFolder, report: Report) -> None:
    """The epochs, with their pictures; a Ctrl-C before the first best epoch still leaves weights."""
    from torch.utils.tensorboard import SummaryWriter

    state = trainer.state
    with SummaryWriter(folder.tensorboard, purge_step=state.epoch + 1) as board:
        try:
            for tuning in trainer.epochs(report.films):
                row = trainer.state.history[-1]
                for name, value in row.items():
                    if name != "epoch" and value is not None:
                        board.add_scalar(name, value, row["epoch"])
                draw_curves(trainer.state.history, folder.curves)
                if tuning.maps:
                    picture = folder.root / f"tuning-{row['epoch']:04d}.png"
                    draw_tuning(trainer.tuning, tuning.maps, picture)
                if report.epoch:
                    report.epoch(row)
        except KeyboardInterrupt:
            if not folder.best.exists():
                folder.save_best(trainer.weights())
            raise


def _check_names(recipe: Recipe) -> None:
    """Everything a recipe names must exist, before any time is spent."""
    weighted_sum(recipe.loss)
    if recipe.augmentation not in AUGMENTATIONS:
        raise UnknownName.among("augmentation set", recipe.augmentation, AUGMENTATIONS)


def _some(split: Split, part: str, fold: int | None) -> tuple[str, ...]:
    film_ids = split.part(part, fold)
    if not film_ids:
        raise TrainingError(
            f"the split has no films to {part} on; make another with `pleura split`"
        )
    return film_ids


def _network(recipe: Recipe, report: Report, *, resumed: bool) -> nn.Module:
    network = create(
        recipe.network.name,
        channels=recipe.input.channels,
        size=recipe.input.size,
        **recipe.network.options,
    )
    init = recipe.network.init
    if init == "random" or resumed:
        return network
    encoder = network.encoder
    assert isinstance(encoder, nn.Module)
    if init == "imagenet":
        name = str(network.encoder_name)
        weights = imagenet_weights(name)
        if weights is None:
            message = (
                f"ImageNet weights of {name} cannot be had: timm's hub is out of reach. Starting from "
                "random weights, which costs accuracy; `--init FILE.safetensors` starts from a file"
            )
            log.warning(message)
            if report.note:
                report.note(message)
            return network
        load_encoder(encoder, weights, f"timm's {name}")
    else:
        load_encoder(encoder, read_weights(Path(init)), init)
    return network


def _init_sha256(init: str) -> str | None:
    path = Path(init)
    if init in ("random", "imagenet") or not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def choose_fabric(recipe: Recipe, device: str) -> Fabric:
    """Device and precision for a recipe.

    Raises:
        UnknownName, TrainingError: there is no such device, or no GPU.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UnknownName.among("device", device, ("auto", "cpu", "cuda"))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device cuda was asked for, but torch finds no GPU; use --device cpu")
    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and _computes_bf16(device))
    torch.backends.cudnn.deterministic = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Fabric's advice on GPUs that are not used
        return Fabric(accelerator=device, devices=1, precision="bf16-mixed" if bf16 else "32-true")


def _computes_bf16(device: str) -> bool:
    """Whether the machine has bf16 arithmetic, rather than emulating it, which is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    asks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # torch has no public question
    return any(bool(getattr(torch.cpu, ask, bool)()) for ask in asks)


def _fit(
    recipe: Recipe,
    folder: RunFolder,
    dataset: Dataset,
    film_ids: tuple[str, ...],
    device: str,
    progress: Progress | None,
) -> FittedPoint:
    """The operating point of the best weights on the tuning films, by the detector that will serve.

    The detector scores each film and gives its map; thresholds of zero keep it from deciding anything.
    """
    manifest = bundle_manifest(recipe, dataset, version="unreleased", point=OperatingPoint(0, 0, 0))
    bundle = Bundle.in_memory(manifest, folder.best.read_bytes())
    detector = Detector(bundle, TorchRuntime(bundle, device))
    return fit_operating_point(
        sweep(detector, dataset, film_ids, part="tune", progress=progress), part="tune"
    )


def bundle_manifest(
    recipe: Recipe, dataset: Dataset, *, version: str, point: OperatingPoint, **more: Any
) -> BundleManifest:
    """What a bundle of this recipe says, but for what only an export knows (`more`)."""
    return BundleManifest(
        **{
            "name": recipe.name,
            "version": version,
            "network": recipe.network.name,
            "network_options": recipe.network.options,
            "input": recipe.input,
            "target": dataset.target,
            "operating_point": point,
            "training": {"recipe": json.loads(json.dumps(asdict(recipe)))},
            **more,
        }
    )
