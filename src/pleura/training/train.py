"""`train`: a recipe, a dataset and a split to a finished run."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from pleura.data.dataset import SURROUND, FilmSet
from pleura.data.instances import InstanceSet
from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import TrainingError, UnknownName
from pleura.evaluation.operating_point import fit_operating_point
from pleura.evaluation.pixel_sweep import sweep
from pleura.files import write_json
from pleura.finding import Target
from pleura.inference.bundle import PRESENCE_HEAD, TOP_PIXELS, Bundle, BundleManifest, Member
from pleura.inference.detector import Detector
from pleura.inference.manifest import SEGMENTER
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import PREPROCESS_VERSION, squeeze
from pleura.networks import has_presence_head
from pleura.training.check import check_recipe
from pleura.training.fabric import choose_fabric
from pleura.training.loop import Trainer
from pleura.training.losses import MIN_INSTANCE_PX, own_loss
from pleura.training.lungs import Anatomy, anatomy_of, lung_frames, lung_labels
from pleura.training.memory import keep_freed_memory
from pleura.training.pictures import draw_curves, draw_tuning
from pleura.training.processes import Follower, launch
from pleura.training.recipe import Recipe
from pleura.training.run import Identity, RunFolder
from pleura.training.soft_presence import soft_presence, soft_presence_sha256
from pleura.training.start import build, card_hashes, check_unseen, shown_before, start
from pleura.training.state import State

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Report:
    """Whom a run tells how it goes; every field may be None.

    Attributes:
        lungs, cache, films, operating_point: called with (done, in all) while lungs are found, while the
            film caches are made, while training (films shown, of all epochs), and while the operating point
            is fitted.
        epoch: called with each completed epoch's row of the log.
        note: called with sentences worth a person's attention.
    """

    lungs: Progress | None = None
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
    devices: int | None = None,
    finish: bool = False,
    fit: bool = True,
    report: Report | None = None,
) -> State:
    """Trains `recipe` on the split's training films, or resumes where `out` holds an unfinished run.

    Stops by the tuning films, keeps the best epoch's weights, and fits the operating point on
    the tuning films with the very detector that will serve. Interrupted at any time, by a signal
    or a lost machine, the same call goes on after the last completed epoch and, on a CPU with the same
    precision and number of threads, ends with the same weights.

    On several devices each has a process of its own, which sees its part of every batch: a step is that of
    the whole batch, but that batch norms see the part, and dropout is drawn for each. Processes that this
    one starts run the program's own command again; where torchrun has started them, all call this.

    Args:
        recipe: what to do.
        dataset: prepared.
        split: of that dataset.
        out: the run's folder.
        fold: which fold tunes, where the split has folds.
        device: `auto`, `cpu` or `cuda`.
        devices: how many, of this machine; None: one, or as many as torchrun started processes. On a CPU
            a device is a share of its cores.
        finish: train no further, but fit the operating point of the best weights so far, so that an
            interrupted run can be exported.
        fit: fit an operating point at the end; not where the tuning films are yet to judge the model.
        report: whom to tell.

    Raises:
        LeakError: a patient or a film stands on both sides of the split, or the weights to start from were
            trained on films that tune or test.
        DatasetError: the split is of another dataset, or films are missing.
        RecipeError, UnknownName: the recipe asks for what there is not.
        TrainingError: `out` holds another run, or there is nothing to train or tune on, or batches cannot
            be divided among the devices.
        DeviceUnavailable: there is no such device, or not as many.
        NonFiniteLoss: the loss diverged; names the films.
        KeyboardInterrupt: passed on once the folder holds usable weights.
    """
    report = report or Report()
    split.check(dataset)
    check_recipe(recipe)
    anatomy = Anatomy.of(Path(recipe.anatomy)) if recipe.anatomy else None
    if anatomy:
        anatomy.check_unseen(dataset, split)
    keep_freed_memory()
    torch.manual_seed(recipe.seed)
    folder = RunFolder(out)
    learnt = trained_on(recipe, dataset, split, fold)
    soft = soft_presence(recipe.soft_presence, dataset, learnt)
    if recipe.soft_presence is not None and not soft:
        raise TrainingError(
            f"no film that is trained on has {recipe.soft_presence} and no expert's label, so that it would "
            "change nothing; leave soft_presence out of the recipe"
        )
    fabric = choose_fabric(recipe, device, folder.precision, None if finish else devices)
    identity = Identity(
        recipe=recipe,
        dataset=str(dataset.root),
        dataset_sha256=dataset.sha256,
        split_sha256=split.sha256,
        fold=fold,
        device=fabric.device.type,
        precision=str(fabric._precision.precision),
        anatomy_sha256=anatomy.sha256 if anatomy else None,
        soft_presence_sha256=soft_presence_sha256(soft),
    )
    resumed = folder.holds(identity)
    shown = card_hashes(dataset, learnt)
    if not resumed:
        check_unseen(recipe, dataset, split, fold)
        shown |= shown_before(recipe, fold)
    launch(fabric)
    if not fabric.is_global_zero:
        report, folder = Report(), Follower(out)
    with fabric.rank_zero_first():  # which fetches what the network starts from
        network, began = (build(recipe), None) if resumed else start(recipe, report.note, fold)
    parts = learnt, split.part("tune", fold)
    films = partial(_film_sets, recipe, dataset, parts, soft, anatomy, fabric.device.type, report)
    trainer = Trainer(recipe, network, films, folder, fabric)
    if not fabric.is_global_zero:
        for _ in () if finish else trainer.epochs():
            pass
        return trainer.state
    claimed = folder.claim(identity, began, network, shown, fabric.world_size)
    if not finish and not trainer.finished:
        _say_threads(claimed, fabric.world_size, report)
        folder.operating_point.unlink(missing_ok=True)  # it would be of an earlier epoch
        _run(trainer, folder, report)
    if not folder.best.exists():
        raise TrainingError(f"{out} has no weights yet to finish with; train an epoch first")
    if fit and not folder.operating_point.exists():
        detector = undecided([(SEGMENTER, recipe, folder)], dataset.target, device)
        progress = report.operating_point
        relative = recipe.decision == "relative"
        swept = sweep(
            detector,
            dataset,
            trainer.tuning.film_ids,
            part="tune",
            relative=relative,
            progress=progress,
        )
        fitted = fit_operating_point(swept, part="tune", rule=recipe.decision, aim=recipe.aim)
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
                    if name not in ("epoch", "phase") and value is not None:
                        board.add_scalar(name, value, row["epoch"])
                draw_curves(trainer.state.history, folder.curves)
                if tuning and tuning.maps:
                    picture = folder.root / f"tuning-{row['epoch']:04d}.png"
                    draw_tuning(trainer.tuning, tuning.maps, picture)
                if report.epoch:
                    report.epoch(row)
        except KeyboardInterrupt:
            if not folder.best.exists():
                folder.save_best(trainer.weights())
            raise


def _say_threads(recorded: Mapping[str, Any], processes: int, report: Report) -> None:
    """A run goes on exactly only with the number of devices and of threads it began with."""
    pairs = (
        ("devices", recorded.get("processes", 1), processes, "--devices {}"),
        ("threads", recorded["threads"], torch.get_num_threads(), "OMP_NUM_THREADS={}"),
    )
    for what, before, now, kept in pairs:
        if before == now:
            continue
        message = (
            f"this run began with {before} {what} and goes on with {now}: its numbers will differ a "
            f"little from those of one that never stopped. {kept.format(before)} keeps them equal"
        )
        log.warning(message)
        if report.note:
            report.note(message)


def _film_sets(
    recipe: Recipe,
    dataset: Dataset,
    parts: tuple[Sequence[str], Sequence[str]],
    presence: Mapping[str, float],
    anatomy: Anatomy | None,
    device: str,
    report: Report,
    size: int,
) -> tuple[FilmSet, FilmSet]:
    """The training and the tuning films at `size`, after a look at whether anything can come of `parts`."""
    for part, film_ids in zip(("train", "tune"), parts, strict=True):
        positives = sum(dataset.by_id[film_id].label == 1 for film_id in film_ids)
        if not 0 < positives < len(film_ids):
            raise TrainingError(
                f"the split's films to {part} on are {positives} positive of {len(film_ids)}; both kinds "
                "are needed: make another with `pleura split`"
            )
    often = repeated(recipe, dataset, parts[0])
    frames = (
        lung_frames(anatomy, dataset, chain.from_iterable(parts), device, report.lungs)
        if anatomy
        else None
    )
    make: Callable[..., FilmSet] = partial(
        FilmSet, squeeze_version=PREPROCESS_VERSION, frames=frames
    )
    if (own := own_loss(recipe.phase(0).loss)) is not None:  # such a network learns from instances
        min_px = int(own.options.get("min_instance_px", MIN_INSTANCE_PX))
        make = partial(InstanceSet, squeeze_version=PREPROCESS_VERSION, min_px=min_px)
    more: dict[str, Any] = {"surround": SURROUND} if frames else {}
    more |= {"presence": presence} if presence else {}
    if recipe.painted_collapses is not None and anatomy:
        healthy = [film_id for film_id in parts[0] if dataset.by_id[film_id].label == 0]
        more["lungs"] = lung_labels(anatomy, dataset, healthy, device, report.lungs)
    train = make(dataset, often, size, squeeze, report.cache, **more)
    return train, make(dataset, parts[1], size, squeeze, report.cache)


def trained_on(recipe: Recipe, dataset: Dataset, split: Split, fold: int | None) -> tuple[str, ...]:
    """The ids of the films that a run of `recipe` learns from.

    Raises:
        UnknownName: a corpus to be left out is not in the dataset, or no film has the fact asked for.
        DatasetError: a value of it is no probability.
    """
    _check_corpora("without_corpora", recipe.without_corpora, dataset)
    films = split.part("train", fold)
    films += tuple(soft_presence(recipe.soft_presence, dataset, split.unlabelled))
    return tuple(i for i in films if dataset.by_id[i].corpus not in recipe.without_corpora)


def repeated(recipe: Recipe, dataset: Dataset, film_ids: Sequence[str]) -> tuple[str, ...]:
    """The films as often as `recipe.repeat_corpora` says, the repeats side by side.

    Raises:
        UnknownName: a corpus to be repeated is not in the dataset.
    """
    times = recipe.repeat_corpora
    _check_corpora("repeat_corpora", times, dataset)
    return tuple(i for i in film_ids for _ in range(times.get(dataset.by_id[i].corpus, 1)))


def _check_corpora(key: str, named: Iterable[str], dataset: Dataset) -> None:
    known = sorted({film.corpus for film in dataset.by_id.values()})
    for corpus in named:
        if corpus not in known:
            raise UnknownName.among(f"corpus of this dataset (the recipe's {key})", corpus, known)


def undecided(
    runs: Sequence[tuple[str, Recipe, RunFolder]], target: Target, device: str
) -> Detector:
    """The detector of the weights that runs have kept, with thresholds of zero, so that it decides nothing.

    It scores each film and gives its map: what an operating point is fitted on. Networks that see the lungs
    alone have their anatomy network with them, which declines films as it will.

    Args:
        runs: role, recipe and folder of each.
        target, device: what is looked for, and on what.
    """
    kept = [folder.model_weights() for _, _, folder in runs]
    members = [
        member_of(recipe, role=role)
        for (role, recipe, _), several in zip(runs, kept, strict=True)
        for _ in several
    ]
    anatomy = anatomy_of((recipe, folder) for _, recipe, folder in runs)
    manifest = BundleManifest(
        name="undecided",
        version="unreleased",
        members=(*members, *((anatomy.member,) if anatomy else ())),
        admission=anatomy.thresholds if anatomy else None,
        flip=any(recipe.flip for _, recipe, _ in runs),
        target=target,
        operating_point=OperatingPoint(0, 0, 0),
    )
    weights = [one for several in kept for one in several]
    weights += [anatomy.weights] if anatomy else []
    return Detector.of(Bundle.in_memory(manifest, weights), device)


def member_of(
    recipe: Recipe, *, role: str = SEGMENTER, training: Mapping[str, Any] | None = None
) -> Member:
    """What a bundle says of a network that this recipe trained."""
    head = has_presence_head(recipe.network.name, recipe.network.options)
    return Member(
        network=recipe.network.name,
        network_options=recipe.network.options,
        input=recipe.input,
        presence_score=PRESENCE_HEAD if head else TOP_PIXELS,
        role=role,
        training=training or {},
    )
