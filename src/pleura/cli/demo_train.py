"""`pleura demo-train`: the whole path, from films to a model and its findings, ending in one page."""

import csv
import json
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from pleura.cli.progress import console
from pleura.cli.showing import say, shown
from pleura.data.manifest import Dataset, Film
from pleura.errors import DatasetError, MissingExtra

FILM_SIZE = 512
SETTINGS = ("input.size=192", "batch_size=8", "epochs=20", "pictures_every=5")
SHOWN = 12


class _Places:
    """Where the demo keeps what."""

    def __init__(self, root: Path) -> None:
        self.phantoms, self.data, self.verify = root / "phantoms", root / "data", root / "verify"
        self.preview, self.run, self.bundle = root / "preview.png", root / "run", root / "bundle"
        self.evaluation, self.findings = root / "evaluation", root / "findings"
        self.page = root / "index.html"


def demo_train(
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where everything goes; a folder.",
            show_default="demo-train, or demo-train-own with --data",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Your own folder of films instead of phantoms.", show_default=False),
    ] = None,
    patients: Annotated[
        int, typer.Option(help="Imaginary patients, without --data.", min=20)
    ] = 150,
    recipe: Annotated[str, typer.Option(help="The recipe to train.")] = "light",
    setting: Annotated[
        list[str] | None, typer.Option(help="Changes to it, key=value.", metavar="KEY=VALUE")
    ] = None,
    init: Annotated[
        str | None, typer.Option(help="What its encoder starts from.", show_default=False)
    ] = None,
) -> None:
    """Make phantoms (or take your films), prepare, verify, split, train, evaluate, export and predict.

    Each step prints the command that does it. Run again, it resumes where it stopped. What a few minutes on
    phantoms teach a network says nothing about people.
    """
    _need_libraries()
    places = _Places(out or Path("demo-train" if data is None else "demo-train-own"))
    settings = tuple(setting) if setting else SETTINGS
    started = time.monotonic()
    source = data or places.phantoms
    commands = _films_to_dataset(source, places, patients=None if data else patients)
    commands += _dataset_to_model(recipe, settings, init, places)
    commands += _predict(places)
    page = _page(source, commands, places, synthetic=data is None)
    console.rule()
    console.print(f"Done in {time.monotonic() - started:.0f} s. Look at the page: {page.resolve()}")


def _need_libraries() -> None:
    """Refuses before any work, rather than after the films are prepared."""
    from pleura.cli import TRAIN_LIBRARIES

    for name in TRAIN_LIBRARIES:
        if find_spec(name) is None:
            error = ImportError(f"No module named {name!r}", name=name)
            raise MissingExtra.needing("the demo", "train", error)


def _films_to_dataset(source: Path, places: _Places, *, patients: int | None) -> list[str]:
    from pleura.cli.phantom import phantom
    from pleura.cli.prepare import prepare
    from pleura.cli.split import split
    from pleura.cli.verify import verify

    said = []
    if patients is not None:
        said.append(say(f"pleura phantom --out {source} --patients {patients}"))
        phantom(source, patients=patients, size=FILM_SIZE)
    said.append(say(f"pleura prepare {source} --out {places.data}"))
    prepare(places.data, [source])
    said.append(say(f"pleura split {places.data} --tune-fraction 0.2"))
    split(places.data, tune_fraction=0.2)
    said.append(say(f"pleura verify {places.data} --out {places.verify}"))
    try:
        verify(places.data, out=places.verify)
    except typer.Exit as outcome:
        if outcome.exit_code:
            raise DatasetError(
                f"the dataset is not safe to train on; see {places.verify / 'verify.html'}"
            ) from None
    return said


def _dataset_to_model(
    recipe: str, settings: tuple[str, ...], init: str | None, places: _Places
) -> list[str]:
    from pleura.cli.evaluate import evaluate
    from pleura.cli.export import Graph, export
    from pleura.cli.preview import preview
    from pleura.cli.train import train

    changes = " ".join(settings) + (f" --init {init}" if init else "")
    said = [say(f"pleura preview {recipe} --data {places.data} --out {places.preview}")]
    preview(recipe, data=places.data, out=places.preview)
    said.append(say(f"pleura train {recipe} {changes} --data {places.data} --out {places.run}"))
    train(recipe, list(settings), data=places.data, out=places.run, init=init)
    said.append(say(f"pleura export {places.run} --graph none --out {places.bundle}"))
    export([places.run], out=places.bundle, data=places.data, graph=Graph.none)
    said.append(
        say(
            f"pleura evaluate {places.bundle} --data {places.data} --part test "
            f"--out {places.evaluation}"
        )
    )
    evaluate(places.bundle, data=places.data, part="test", out=places.evaluation)
    return said


def _predict(places: _Places) -> list[str]:
    """Predicts on files of test films, as a user would: from the files themselves."""
    from pleura.cli.predict import predict

    dataset, films = _shown_films(places)
    roots = {corpus["name"]: Path(corpus["root"]) for corpus in dataset.description["corpora"]}
    files = [roots[film.corpus] / film.source_path for film in films]
    said = say(f"pleura predict FILMS --bundle {places.bundle} --out {places.findings}")
    predict(list(map(str, files)), bundle=places.bundle, out=places.findings, fresh=True)
    return [said]


def _shown_films(places: _Places) -> tuple[Dataset, list[Film]]:
    """Test films for the page, half of them positive if there are enough."""
    from pleura.data.split import SPLIT_FILE, Split

    dataset = Dataset.open(places.data)
    films = [dataset.by_id[i] for i in Split.load(places.data / SPLIT_FILE).part("test")]
    chosen = [film for film in films if film.label == 1][: SHOWN // 2]
    chosen += [film for film in films if film.label == 0][: SHOWN - len(chosen)]
    return dataset, chosen


def _page(source: Path, commands: list[str], places: _Places, *, synthetic: bool) -> Path:
    """The demo's page: findings on films, numbers, curves, commands."""
    from pleura.outputs.charts import lines
    from pleura.outputs.html import render, write_page
    from pleura.outputs.overlay import FINDING, TRUTH

    evaluation = json.loads((places.evaluation / "evaluation.json").read_text(encoding="utf-8"))
    with (places.run / "log.csv").open(newline="", encoding="utf-8") as file:
        log: list[dict[str, Any]] = list(csv.DictReader(file))
    epochs = [float(row["epoch"]) for row in log]

    def curve(*names: str) -> dict[str, tuple[list[float], list[float]]]:
        return {
            name.replace("_", " "): (epochs, [float(row[name] or "nan") for row in log])
            for name in names
        }

    sheets = sorted(places.run.glob("tuning-*.png"))
    page = render(
        "demo_train.html.j2",
        source=str(source),
        synthetic=synthetic,
        commands=commands,
        numbers=evaluation["numbers"],
        findings=_findings(places),
        colours=["#{:02x}{:02x}{:02x}".format(*colour) for colour in (TRUTH, FINDING)],
        loss_chart=lines(
            curve("train_loss", "tune_loss"), title="Loss", xlabel="epoch", ylabel="loss"
        ),
        score_chart=lines(
            curve("dice_positive", "competition_dice", "all_empty_dice", "auc"),
            title="Scores on the tuning films, at the network's size",
            xlabel="epoch",
            ylabel="score",
        ),
        sheet=_jpeg(sheets[-1]) if sheets else None,
        preview=_jpeg(places.preview),
        report=places.evaluation.name + "/report.html",
        verification=places.verify.name + "/verify.html",
    )
    write_page(places.page, page)
    return places.page


def _findings(places: _Places) -> list[dict[str, Any]]:
    """The shown films with their findings: a picture with the outlines of label and finding, and facts."""
    from pleura.inference.detector import Detector

    dataset, films = _shown_films(places)
    detector = Detector.load(places.bundle)
    found = []
    for film in films:
        radiograph = dataset.radiograph(film)
        found.append(shown(radiograph, detector(radiograph), dataset.mask(film), film.label))
    return found


def _jpeg(path: Path) -> str:
    """A picture file as a smaller one inside a page."""
    import cv2
    import numpy as np

    from pleura.outputs.html import jpeg_uri

    image = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), np.uint8)
    return jpeg_uri(image, 80)
