"""`export`: finished runs to a bundle, alone, averaged, or one behind another as a cascade."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import TrainingError
from pleura.evaluation.near_copies import card_thumbnails
from pleura.evaluation.operating_point import COMPETITION_DICE, Aim, Rule, fit_operating_point
from pleura.evaluation.pixel_sweep import sweep
from pleura.finding import ModelIdentity
from pleura.inference.bundle import (
    Bundle,
    BundleManifest,
    Member,
    check_replaceable,
    write_bundle,
)
from pleura.inference.calibration import Calibrator
from pleura.inference.detector import Detector
from pleura.inference.manifest import GATE, MAX_MEMBERS, SEGMENTER
from pleura.inference.postprocess import OperatingPoint
from pleura.training.lungs import anatomy_of
from pleura.training.recipe import Recipe
from pleura.training.run import RunFolder, is_cascade
from pleura.training.start import card_hashes
from pleura.training.train import member_of, trained_on


@dataclass(frozen=True)
class _Finished:
    """A finished run: what it says of itself, the weights it kept and what was fitted on its tuning films."""

    root: Path
    recipe: Recipe
    member: Member
    weights: Sequence[bytes]
    flip: bool
    fold: int | None
    fitted: Mapping[str, Any]


def export(
    runs: Sequence[Path],
    dataset: Dataset,
    split: Split,
    out: Path,
    *,
    gates: Sequence[Path] = (),
    anatomy: Path | None = None,
    flip: bool = False,
    aim: str | None = None,
    fitted: Mapping[str, Any] | None = None,
    calibrator: Calibrator | None = None,
    name: str | None = None,
    version: str = "0",
    licence: str = "unstated",
    metrics: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
    graph: str | None = None,
    keep_weights: bool = True,
    thumbnails: bool = True,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    checking: Callable[[int, int], None] | None = None,
) -> ModelIdentity:
    """Writes the weights that finished runs kept, their operating point and data card as a bundle.

    One run keeps the operating point that was fitted when it ended. Of several runs, with `gates` or with
    `flip`, the whole is another model than each of its runs, so its operating point is fitted anew, by the
    detector that will serve, on the tuning films that all the runs have in common.

    A path that ends in `.zip` becomes a zip, any other a directory. The bundle is opened again, and its
    networks made, before this returns.

    Args:
        runs: folders of finished training runs; the pixel probabilities of several are averaged. Of a
            cascade's folder, its gate is one of `gates`.
        dataset, split: those the runs were trained on.
        out: the bundle to write.
        gates: runs whose presence score alone says which films `runs` look at; several are averaged.
        anatomy: a finished run of `pleura train-anatomy` that was shown none of the films that tune or test:
            its network says which films are judged, how they lie and where their lungs are.
        flip: average every network's answer with that for the mirrored film, also where no recipe does.
        aim: fit the operating point anew, for this; None: for what the first run's recipe says.
        fitted: the facts of an operating point fitted elsewhere (`FittedPoint.facts`), such as
            out-of-fold; it is taken as it is, and runs of different folds may then be averaged.
        calibrator: fitted elsewhere, likewise.
        name, version, licence: of the model; by default the recipes' names.
        metrics: figures to put on record, by part.
        about: what people say of the model, for its card.
        graph: also write each network as an exported graph, whose numbers are one of
            `pleura.training.graphs.NUMBERS`; None: none. Its decisions are compared with PyTorch's on
            tuning films.
        keep_weights: also write the safetensors, which PyTorch needs and a GPU with it.
        thumbnails: put the training films' 8x8 grey levels into the data card, by which an evaluation finds
            near copies of them; not for a bundle that is published where no picture of a patient may be.
        device: `auto`, `cpu` or `cuda`, to fit on.
        progress: called with (films done, films in all) while the operating point is fitted.
        checking: the same while the graphs' decisions are compared.

    Raises:
        TrainingError: there is no run, one is not finished, was trained on another dataset or split, or
            the runs were tuned on different films; or a graph cannot be made, or decides otherwise.
        BundleError: `out` exists and is no bundle.
    """
    if not runs:
        raise TrainingError("there is no run to export; give the folder of a finished run")
    check_replaceable(out)
    if graph is None and not keep_weights:
        raise TrainingError(
            "a bundle without weights needs a graph; ask for one, or keep the weights"
        )
    given = fitted
    gates = [*gates, *(run / GATE for run in runs if is_cascade(run))]
    runs = [run / SEGMENTER if is_cascade(run) else run for run in runs]
    finished = [_finished(run, dataset, split, SEGMENTER, given) for run in runs]
    finished += [_finished(run, dataset, split, GATE, given) for run in gates]
    if given is None:
        _check_common_fold(finished)
    weights = [one for run in finished for one in run.weights]
    if len(weights) > MAX_MEMBERS:
        raise TrainingError(
            f"these runs keep {len(weights)} checkpoints; a bundle has at most {MAX_MEMBERS} networks: "
            "give fewer runs, or train with fewer keep_checkpoints"
        )
    looking = anatomy_of([(run.recipe, RunFolder(run.root)) for run in finished], anatomy)
    if looking:
        looking.check_unseen(dataset, split)
    manifest = BundleManifest(
        name=name or _name(finished, flip=flip),
        version=version,
        members=(
            *(run.member for run in finished for _ in run.weights),
            *((looking.member,) if looking else ()),
        ),
        admission=looking.thresholds if looking else None,
        flip=flip or any(run.flip for run in finished),
        target=dataset.target,
        operating_point=OperatingPoint(0, 0, 0),  # nothing is decided while it is fitted, on scores
        data_card=_data_card(dataset, split, finished, thumbnails=thumbnails)
        | {"pretraining": _pretraining(finished)}
        | ({"anatomy": looking.card()} if looking else {}),
        licence=licence,
        about=about or {},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    weights += [looking.weights] if looking else []
    fitted = finished[0].fitted
    if given is None and (len(finished) > 1 or flip or aim is not None):
        detector = Detector.of(Bundle.in_memory(manifest, weights), device)
        films = split.part("tune", finished[0].fold)
        aim = aim or finished[0].member.training["recipe"].get("aim", COMPETITION_DICE)
        rule = _rule(finished, gates, aim)
        relative = rule == "relative"
        swept = sweep(detector, dataset, films, part="tune", relative=relative, progress=progress)
        fitted = fit_operating_point(swept, part="tune", rule=rule, aim=aim).facts()
    manifest = replace(
        manifest,
        operating_point=OperatingPoint(**fitted["point"]),
        calibrator=calibrator,
        metrics={
            "tune" if given is None else str(fitted["point"]["fitted_on"]): {
                k: v for k, v in fitted.items() if k != "point"
            },
            **(metrics or {}),
        },
    )
    graphs: Sequence[bytes] = ()
    if graph is not None:
        from pleura.training.graphs import graphs_for

        made = graphs_for(
            manifest,
            weights,
            dataset,
            numbers=graph,
            train=trained_on(finished[0].recipe, dataset, split, finished[0].fold),
            tune=split.part("tune", finished[0].fold),
            progress=checking,
        )
        graphs, manifest = made.files, replace(manifest, exports=made.facts)
    kept = weights if keep_weights else ()
    identity = write_bundle(out, manifest, kept, graphs=graphs, zipped=out.suffix == ".zip")
    Detector.load(out, device="cpu", cache=False)
    return identity


def check_trained_on(run: RunFolder, dataset: Dataset, split: Split) -> dict[str, Any]:
    """What a run says of itself; raises TrainingError where it is of another dataset or split."""
    described = run.described()
    if described["dataset_sha256"] != dataset.sha256:
        raise TrainingError(
            f"{run.root} was trained on another dataset than the one given; give the one it names: "
            f"{described['dataset']}"
        )
    if described["split_sha256"] != split.sha256:
        raise TrainingError(
            f"{run.root} was trained on another split than the one given; give that of the hash "
            f"{described['split_sha256'][:16]} (--split)"
        )
    return described


def _finished(
    run: Path, dataset: Dataset, split: Split, role: str, given: Mapping[str, Any] | None
) -> _Finished:
    folder = RunFolder(run)
    described = check_trained_on(folder, dataset, split)
    try:
        fitted = given or json.loads(folder.operating_point.read_text(encoding="utf-8"))
        OperatingPoint(**fitted["point"])
        weights = folder.model_weights()
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
    member = member_of(
        recipe, role=role, training=_training(described) | {"effort": folder.effort()}
    )
    return _Finished(run, recipe, member, weights, recipe.flip, described["fold"], fitted)


def _rule(runs: Sequence[_Finished], gates: Sequence[Path], aim: str) -> Rule:
    """That which each run was fitted by; but a gate, and some aims, cannot do with a triplet."""
    if all(run.fitted["point"].get("relative") for run in runs):
        return "relative"
    if Aim.of(aim) != Aim():
        return "threshold"
    tops = [run.fitted["point"].get("top_threshold") for run in runs]
    return "threshold" if gates or None in tops else "triplet"


def _check_common_fold(runs: Sequence[_Finished]) -> None:
    """One fold must have tuned all of the runs, where the split has folds."""
    first = runs[0]
    other = next((run for run in runs if run.fold != first.fold), None)
    if other is not None:
        raise TrainingError(
            f"{first.root} was tuned on fold {first.fold}, {other.root} on fold {other.fold}: each has "
            "trained on the other's tuning films, so that none is left to fit a common operating point "
            "on. Combine runs of one fold, or of a split without folds, or export the folder of a whole "
            "cross-validation, whose operating point is fitted out of fold"
        )


def _name(runs: Sequence[_Finished], *, flip: bool) -> str:
    """Such as `swin-unet`, `light+joint`, `chexnet>unetpp` for a gate and what it lets through."""

    def joined(role: str) -> str:
        names = [r.member.training["recipe"]["name"] for r in runs if r.member.role == role]
        counts = {name: names.count(name) for name in names}
        return "+".join(n if count == 1 else f"{count}x{n}" for n, count in counts.items())

    gates = joined(GATE)
    return (f"{gates}>" if gates else "") + joined(SEGMENTER) + ("+flip" if flip else "")


def _pretraining(runs: Sequence[_Finished]) -> list[str]:
    """The films that weights which the networks started from are known to have been trained on."""
    stamps = (run.member.training["start"].get("pretraining") for run in runs)
    return sorted({stamp for stamp in stamps if stamp})


def _training(described: Mapping[str, Any]) -> dict[str, Any]:
    """What a bundle says of a network's training; places on the disk stay behind."""
    keys = ("recipe", "fold", "device", "precision", "start", "threads", "parameters", "versions")
    training = {key: described[key] for key in keys}
    network = training["recipe"]["network"]
    training["recipe"] = training["recipe"] | {
        "network": network | {"init": Path(network["init"]).name}
    }
    if anatomy := training["recipe"].get("anatomy"):
        training["recipe"] |= {"anatomy": Path(anatomy).name}
    return training


def _data_card(
    dataset: Dataset, split: Split, runs: Sequence[_Finished], *, thumbnails: bool
) -> dict[str, Any]:
    """Which films made the model: corpora, counts, patients, and their pixels' hashes.

    A film that one network of several was trained on is a training film of the whole; so is one that trained
    the weights it started from, which is listed by its hash alone, since it may be of another dataset.
    """
    train = {i for run in runs for i in trained_on(run.recipe, dataset, split, run.fold)}
    tune = {i for run in runs for i in split.part("tune", run.fold)}
    parts = {"train": train, "tune": tune - train, "test": set(split.part("test"))}
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
    for part, film_ids in parts.items():
        films = [dataset.by_id[i] for i in sorted(film_ids)]
        card["parts"][part] = {
            "films": len(films),
            "positives": sum(film.label == 1 for film in films),
            "patients": len({film.patient_id for film in films}),
            "silver": sum(film.label_quality == "silver" for film in films),
        }
        if unlabelled := sum(film.label is None for film in films):
            card["parts"][part]["unlabelled"] = unlabelled
        if part != "test":
            hashes = card_hashes(dataset, film_ids)
            if part == "train":
                hashes |= {one for run in runs for one in RunFolder(run.root).films_shown()}
            card["parts"][part]["pixel_sha256"] = sorted(hashes)
            if thumbnails:
                card["parts"][part]["thumbnails"] = card_thumbnails(films)
    return card
