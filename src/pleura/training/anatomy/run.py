"""`train_anatomy`: a folder of drawn lungs and a dataset to a finished run."""

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from pleura.data.augment.step import Image
from pleura.data.dataset import FilmSet
from pleura.data.lung_films import LungFilm, read_lung_films
from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import TrainingError, UnknownName
from pleura.files import is_empty, remove_partial, write_json
from pleura.inference.admission.thresholds import AdmissionThresholds
from pleura.inference.manifest import ANATOMY
from pleura.inference.preprocess import PREPROCESS_VERSION, squeeze
from pleura.networks import create, parameter_count
from pleura.networks.anatomy import Anatomy
from pleura.networks.encoder import SHOWN, load_start, read_shown, read_weights
from pleura.training.anatomy.finished import (
    FORMAT_VERSION,
    RUN_FILE,
    THRESHOLDS_FILE,
    check_unseen,
    described_anatomy,
    finished_anatomy,
    options_of,
)
from pleura.training.anatomy.fit import answers_for, fit_density, fit_thresholds
from pleura.training.anatomy.loop import AnatomyTrainer
from pleura.training.anatomy.samples import Material
from pleura.training.anatomy.settings import AnatomySettings
from pleura.training.anatomy.teacher import teach
from pleura.training.fabric import fabric_for
from pleura.training.memory import keep_freed_memory
from pleura.training.run import RunFolder
from pleura.training.start import card_hashes, say_missing

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class AnatomyReport:
    """Whom a run tells how it goes; every field may be None.

    Attributes:
        reading, films, fitting: called with (done, in all) while films are read, shown, and fitted on.
        epoch: called with each completed epoch's row of the log.
    """

    reading: Progress | None = None
    films: Progress | None = None
    fitting: Progress | None = None
    epoch: Callable[[dict[str, Any]], None] | None = None


def train_anatomy(
    lungs: Path,
    dataset: Dataset,
    split: Split,
    out: Path,
    *,
    corpora: Sequence[str] = (),
    settings: AnatomySettings | None = None,
    init: Path | None = None,
    teacher: Path | None = None,
    device: str = "auto",
    report: AnatomyReport | None = None,
) -> AdmissionThresholds:
    """Trains the anatomy network, or resumes where `out` holds an unfinished run.

    Lungs are learnt from the films of `lungs`, how films lie and what they look like also from the split's
    training films. Films that tune or test are never shown; the thresholds are fitted on those that tune (of
    all folds, where there are folds), none of which the network has seen.

    Args:
        lungs: a folder with `images/` and `labels/`; see `pleura.data.lung_films`.
        dataset, split: of further frontal films; their labels play no part.
        out: the run's folder.
        corpora: only training films of these; empty for all.
        settings: how to train.
        init: safetensors that the encoder starts from; None: random weights, or the teacher's.
        teacher: a finished run, which draws the lungs on further films (`training/anatomy/teacher.py`).
        device: `auto`, `cpu` or `cuda`.
        report: whom to tell.

    Returns:
        The thresholds that were fitted.

    Raises:
        DatasetError, CorpusError: films cannot be used.
        UnknownName: no training film is of such a corpus.
        TrainingError: `out` holds another run, too little was given, or the teacher or the weights to start
            from were shown films that tune or test.
        NonFiniteLoss: as it says.
    """
    settings, report = settings or AnatomySettings(), report or AnatomyReport()
    split.check(dataset)
    keep_freed_memory()
    shown = _shown(dataset, split, corpora)
    drawn = _kept_lungs(read_lung_films(lungs, report.reading), settings.withheld_lungs)
    identity = {
        "format_version": FORMAT_VERSION,
        "settings": json.loads(json.dumps(asdict(settings))),
        "lungs_sha256": _sha256(drawn),
        "dataset_sha256": dataset.sha256,
        "split_sha256": split.sha256,
        "corpora": sorted(corpora),
        "teacher_sha256": _file_sha256(RunFolder(teacher).best) if teacher else None,
        "init_sha256": _file_sha256(init) if init else None,
    }
    began = described_anatomy(out) or {}
    resumed = _holds(out, identity, began)
    seen = card_hashes(dataset, shown)
    if not resumed:
        seen |= _seen_before(teacher, init, dataset, split)
    chests = _films(dataset, shown, settings, report)
    taught = _taught(teacher, chests, settings, report.fitting) if teacher else {}
    material = Material(drawn, chests, _whole_films(dataset, shown), taught)
    fabric = fabric_for(settings.precision, device, began.get("precision"))
    network = _network(settings)
    if not resumed:
        started = _started(network, init or (RunFolder(teacher).best if teacher else None))
        out.mkdir(parents=True, exist_ok=True)
        remove_partial(out, shared=True)
        recorded = _recorded(network, drawn, shown, taught) | _arithmetic(fabric)
        write_json(out / RUN_FILE, identity | started | recorded | {SHOWN: sorted(seen)})
    folder = RunFolder(out, began.get(SHOWN, ()) if resumed else seen)
    trainer = AnatomyTrainer(settings, network, material, folder, fabric)
    for row in trainer.epochs(report.films):
        if report.epoch:
            report.epoch(row)
    finished = cast(Anatomy, trainer.network.module).cpu()
    finished.load_state_dict({name: one.cpu() for name, one in trainer.average.tensors.items()})
    finished.eval()
    with torch.inference_mode():
        fit_density(finished, material, settings.input, settings.seed, report.fitting)
    folder.save_best(finished.state_dict())
    thresholds = _fitted(finished, dataset, split, settings, report)
    write_json(out / THRESHOLDS_FILE, asdict(thresholds))
    return thresholds


def _arithmetic(fabric: Fabric) -> dict[str, str]:
    return {"device": fabric.device.type, "precision": str(fabric._precision.precision)}


def _network(settings: AnatomySettings) -> Anatomy:
    torch.manual_seed(settings.seed)
    options = options_of(settings)
    return cast(Anatomy, create(ANATOMY, channels=1, size=settings.size, **options))


def _shown(dataset: Dataset, split: Split, corpora: Sequence[str]) -> list[str]:
    """Training films of the split, whichever fold tunes."""
    films = [dataset.by_id[film_id] for film_id in split.train]
    known = {film.corpus for film in films}
    for name in corpora:
        if name not in known:
            raise UnknownName.among("corpus of training films", name, known)
    chosen = [film.film_id for film in films if not corpora or film.corpus in corpora]
    if not chosen:
        raise TrainingError("the split has no training film; the network needs frontal films")
    return chosen


def _films(
    dataset: Dataset, film_ids: Sequence[str], settings: AnatomySettings, report: AnatomyReport
) -> FilmSet:
    return FilmSet(
        dataset,
        film_ids,
        settings.size,
        squeeze,
        report.reading,
        squeeze_version=PREPROCESS_VERSION,
    )


def _whole_films(dataset: Dataset, film_ids: Sequence[str]) -> Callable[[int], Image]:
    def whole(index: int) -> Image:
        return dataset.pixels(dataset.by_id[film_ids[index]])

    return whole


def _kept_lungs(films: Sequence[LungFilm], withheld: str) -> list[LungFilm]:
    first = {"none": 0, "even": 1, "odd": 0}[withheld]
    kept = list(films[first :: 1 if withheld == "none" else 2])
    if not kept:
        raise TrainingError(f"of {len(films)} films with drawn lungs none is left to learn from")
    return kept


def _sha256(films: Sequence[LungFilm]) -> str:
    digest = hashlib.sha256()
    for film in films:
        digest.update(film.name.encode() + film.pixels.tobytes() + film.planes.tobytes())
    return digest.hexdigest()


def _holds(out: Path, identity: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the folder holds a completed epoch of this very run; `other` is what it says of its own."""
    if not other:
        if out.is_dir() and not is_empty(out):
            raise TrainingError(
                f"{out} is not empty and holds no anatomy run; choose another folder"
            )
        return False
    late = {"init_sha256"} - other.keys()  # runs of before do not say it
    differs = [k for k, value in identity.items() if other.get(k) != value and k not in late]
    if differs:
        raise TrainingError(
            f"{out} holds another run (its {', '.join(differs)} differ); give the same to resume it, or "
            "another folder for a new one"
        )
    return RunFolder(out).last.exists()


def _seen_before(
    teacher: Path | None, init: Path | None, dataset: Dataset, split: Split
) -> set[str]:
    """The films that the teacher and the weights to start from were shown, as far as they say.

    Raises:
        TrainingError: some of them tune or test here, or the teacher does not say.
    """
    seen: set[str] = set()
    if teacher:
        shown = finished_anatomy(teacher)[0].training.get(SHOWN)
        check_unseen(teacher, shown, dataset, split)
        seen.update(shown or ())
    if init:
        beside = (described_anatomy(init.parent) or {}).get(SHOWN, ())
        before = read_shown(init).union(beside)
        check_unseen(init, before, dataset, split)
        seen |= before
    return seen


def _started(network: Anatomy, init: Path | None) -> dict[str, Any]:
    """Starts the encoder, and says from what."""
    if init is None:
        log.warning("the anatomy network starts from random weights, which costs accuracy")
        return {"start": {"encoder": "random", "sha256": None}}
    say_missing(load_start(network, read_weights(init), str(init)).missing, str(init))
    return {"start": {"encoder": init.name, "sha256": _file_sha256(init)}}


def _file_sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise TrainingError(f"{path} cannot be read ({error.strerror})") from None


def _taught(
    run: Path, chests: FilmSet, settings: AnatomySettings, progress: Progress | None
) -> dict[int, NDArray[np.uint8]]:
    """The lungs that the network of a finished run draws on further films."""
    member, weights, _ = finished_anatomy(run)
    if member.input != settings.input:
        raise TrainingError(
            f"{run} takes films of {member.input.size} px, not {settings.size}; give the same size"
        )
    teacher = create(ANATOMY, channels=1, size=settings.size, **member.network_options)
    teacher.load_state_dict(safetensors.torch.load(weights))
    ready = cast(Anatomy, teacher.eval())
    return teach(ready, chests, settings.input, settings.taught_films, progress)


def _recorded(
    network: Anatomy, drawn: Sequence[LungFilm], shown: Sequence[str], taught: Collection[int]
) -> dict[str, Any]:
    return {
        "films": {"drawn lungs": len(drawn), "chests": len(shown), "taught": len(taught)},
        "parameters": parameter_count(network),
        "threads": torch.get_num_threads(),
        "versions": {"pleura": version("pleura"), "torch": torch.__version__},
    }


def _fitted(
    network: Anatomy,
    dataset: Dataset,
    split: Split,
    settings: AnatomySettings,
    report: AnatomyReport,
) -> AdmissionThresholds:
    """Thresholds from the tuning films, of all folds."""
    film_ids = [film_id for fold in split.folds for film_id in fold] or list(split.tune)
    if not film_ids:
        raise TrainingError("the split has no tuning film to fit thresholds on; split again")
    films = _films(dataset, film_ids, settings, report)
    answers = answers_for(network, films, settings.input, report.fitting)
    return fit_thresholds(answers, f"{len(film_ids)} tuning films")
