"""`pleura demo`: the trained model on films, ending in one page; it needs no PyTorch."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pleura.cli.options import ModelBundle
from pleura.cli.progress import console
from pleura.cli.showing import say, shown

if TYPE_CHECKING:
    from pleura.inference.detector import Detector

PATIENTS, FILM_SIZE = 24, 512
SHOWN = 16
TABLE = "train-rle.csv"


@dataclass(frozen=True)
class _Films:
    """What the demo looks at.

    Attributes:
        place: file or folder.
        labels: run lengths by SOP Instance UID, for phantoms, whose maker knows; else nothing.
    """

    place: Path
    labels: Mapping[str, Sequence[str]]


def demo(
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where everything goes; a folder.", show_default="demo, or demo-own with --data"
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Your own films instead of phantoms.", show_default=False),
    ] = None,
    bundle: ModelBundle = None,
    patients: Annotated[
        int, typer.Option(help="Imaginary patients, without --data.", min=1)
    ] = PATIENTS,
) -> None:
    """Let the trained model judge phantoms, or your films, and show its findings and its model card.

    Each step prints the command that does it. How the model does on phantoms says nothing about people.
    """
    from pleura.cli.card import card
    from pleura.cli.predict import predict
    from pleura.inference.detector import Detector

    detector = Detector.load(bundle)  # before any work: it may be refused
    root = out or Path("demo" if data is None else "demo-own")
    named = "" if bundle is None else f" --bundle {bundle}"
    commands: list[str] = []
    films = _phantoms(root / "phantoms", patients, commands) if data is None else _Films(data, {})
    started = time.monotonic()
    commands.append(say(f"pleura predict {films.place}{named} --out {root / 'findings'}"))
    predict([str(films.place)], bundle=bundle, out=root / "findings", fresh=True)
    seconds = time.monotonic() - started
    commands.append(say(f"pleura card{named and f' {bundle}'} --out {root / 'card.html'}"))
    card(bundle, out=root / "card.html")
    page = _page(films, root, detector, commands, seconds)
    console.rule()
    console.print(f"Look at the page: {page.resolve()}")


def _phantoms(place: Path, patients: int, commands: list[str]) -> _Films:
    from pleura.cli.phantom import phantom
    from pleura.data.corpora.rows import read_run_lengths

    commands.append(say(f"pleura phantom --out {place} --patients {patients}"))
    phantom(place, patients=patients, size=FILM_SIZE)
    return _Films(place, read_run_lengths(place / TABLE))


def _page(
    films: _Films, root: Path, detector: "Detector", commands: Sequence[str], seconds: float
) -> Path:
    """Counts, films with their findings, commands."""
    from pleura.outputs.html import render, write_page
    from pleura.outputs.overlay import FINDING, TRUTH

    judged = json.loads((root / "findings" / "findings.json").read_text(encoding="utf-8"))
    page = render(
        "demo.html.j2",
        source=str(films.place),
        synthetic=bool(films.labels),
        counts=Counter(facts["decision"] for facts in judged),
        films=len(judged),
        seconds=seconds,
        agreement=_agreement(films, judged),
        findings=_findings(films, _chosen(judged), detector),
        colours=["#{:02x}{:02x}{:02x}".format(*colour) for colour in (TRUTH, FINDING)],
        commands=commands,
    )
    write_page(root / "index.html", page)
    return root / "index.html"


def _label(films: _Films, facts: Mapping[str, Any]) -> bool | None:
    """Whether the film was made with a pneumothorax; None where nobody said."""
    rows = films.labels.get(facts["sop_instance_uid"] or "")
    return None if rows is None else any(row.strip() != "-1" for row in rows)


def _agreement(films: _Films, judged: Sequence[Mapping[str, Any]]) -> dict[bool, tuple[int, int]]:
    """Of the films labelled positive, and of those labelled negative: (so called, in all)."""
    found: dict[bool, tuple[int, int]] = {}
    for label, called in ((True, "positive"), (False, "negative")):
        these = [facts["decision"] for facts in judged if _label(films, facts) is label]
        found[label] = (these.count(called), len(these))
    return found


def _chosen(judged: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Films for the page: the most suspicious, and as many of the rest, evenly spaced; the declined last."""
    ranked = sorted(judged, key=lambda facts: -(facts["probability"] or 0.0))
    if len(ranked) <= SHOWN:
        return ranked
    first = SHOWN // 2
    rest = np.linspace(first, len(ranked) - 1, SHOWN - first).round().astype(int)
    return ranked[:first] + [ranked[i] for i in rest]


def _findings(
    films: _Films, chosen: Sequence[Mapping[str, Any]], detector: "Detector"
) -> list[dict[str, Any]]:
    """Films with the outlines of label and finding, and the facts."""
    from pleura.read import read

    found = []
    for facts in chosen:
        film = read(Path(facts["file"]))
        truth, label = _mask(films, facts, film.shape), _label(films, facts)
        found.append(shown(film, detector(film), truth, None if label is None else int(label)))
    return found


def _mask(
    films: _Films, facts: Mapping[str, Any], shape: tuple[int, int]
) -> NDArray[np.bool_] | None:
    from pleura.read.rle import decode_rle

    rows = films.labels.get(facts["sop_instance_uid"] or "", ())
    masks = [decode_rle(row, shape) for row in rows if row.strip() != "-1"]
    return np.logical_or.reduce(masks) if masks else None
