# ruff: noqa: T201
"""What the anatomy network lets in, declines and puts right: real films, and impostors of every kind.

    python benchmarks/declines.py RUN --data DATA --lungs FOLDER --halves A B --out OUT

RUN, A and B are runs of `pleura train-anatomy` on DATA's split. A and B each withheld half of the kinds of
impostors, and half of the films with drawn lungs (`even` and `odd`): what one withheld, it is scored on.
Real films are those that tune (of all folds), which no run has seen; test films stay shut. Films go through
the door that a detector has, at their own size. OUT gets declines.json, outlines.png and declined.png.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from pleura.data.impostors import MADE, SPOILT, apices_cut_off
from pleura.data.lung_films import LABELS, LungFilm, read_lung_films
from pleura.data.manifest import Dataset
from pleura.data.split import SPLIT_FILE, Split
from pleura.evaluation.interval import wilson
from pleura.files import write_json
from pleura.inference.admission.answers import Answers, answers_of
from pleura.inference.admission.basics import decline_reason
from pleura.inference.admission.doorkeeper import Admission, Doorkeeper, mending_for, objection
from pleura.inference.admission.mending import Mending
from pleura.inference.admission.thresholds import AdmissionThresholds
from pleura.inference.preprocess import network_input
from pleura.inference.runtimes.base import RuntimeOptions
from pleura.inference.runtimes.onnx_runtime import OnnxRuntime
from pleura.radiograph import Radiograph
from pleura.training.anatomy.finished import finished_anatomy
from pleura.training.anatomy.fit import fit_thresholds
from pleura.training.graph import graph_of
from pleura.training.quantise import half

Doors = dict[str, Doorkeeper]
Row = dict[str, object]

STATES = [
    (Mending(q, i), f"turned {90 * q}" * bool(q) + " inverted" * i)
    for i in (0, 1)
    for q in range(4)
]
CUTS = (0.1, 0.2, 0.35)


def door_of(run: Path) -> Doorkeeper:
    """A finished run's door, with its graph in 16 bits as it ships."""
    member, weights, thresholds = finished_anatomy(run)
    runtime = OnnxRuntime(member, half(graph_of(member, weights)), RuntimeOptions(threads=1))
    return Doorkeeper(member, runtime, thresholds)


def withheld(door: Doorkeeper) -> tuple[list[str], str]:
    """The kinds of impostors and the half of the drawn lungs that a run has not seen."""
    assert door.member is not None
    settings = door.member.training["settings"]
    return settings["withheld_kinds"], settings["withheld_lungs"]


def radiograph(pixels: np.ndarray, name: str) -> Radiograph:
    """A film as one without a header would come."""
    return Radiograph(np.ascontiguousarray(pixels, np.float32), 8, "png", name)


def answers(door: Doorkeeper, film: Radiograph) -> Answers:
    """What the network says at first sight."""
    assert door.member is not None
    assert door.runtime is not None
    batch = network_input(film.pixels, door.member.input)[None]
    return answers_of(door.runtime.outputs(batch))[0]


def share(hits: list[bool], patients: list[str] | None = None) -> Row:
    """How many, of how many, and the share with its Wilson interval, clustered by patient where known."""
    known = patients or [str(i) for i in range(len(hits))]
    clusters = np.unique(known, return_inverse=True)[1]
    found = wilson(np.array(hits), clusters)
    return {"n": len(hits), "hits": int(sum(hits)), "share": asdict(found)}


def in_percent(row: Row) -> str:
    """Such as `3 of 862: 0.35 % (0.12 to 1.02)`."""
    told = row["share"]
    numbers = [100 * told[key] for key in ("value", "low", "high")]
    return f"{row['hits']} of {row['n']}: {numbers[0]:.2f} % ({numbers[1]:.2f} to {numbers[2]:.2f})"


def real_films(
    door: Doorkeeper, dataset: Dataset, folds: list[list[str]], out: Path
) -> dict[str, object]:
    """Development films: declined by the shipped thresholds, and by those fitted on the other folds."""
    said: dict[str, Answers] = {}
    reasons, pictures = {}, []
    for film_id in (i for fold in folds for i in fold):
        film = dataset.radiograph(dataset.by_id[film_id])
        said[film_id] = answers(door, film)
        if decline_reason(film) is None and _is_fine(said[film_id], door.thresholds):
            continue
        (found,) = door([film])
        if found.reason or found.mending:
            reasons[film_id] = found.reason or " ".join(found.mending.notes)
            pictures.append(cv2.resize(film.pixels, (256, 256), interpolation=cv2.INTER_AREA))
    crossed = []
    for fold in folds:
        others = [said[i] for other in folds if other is not fold for i in other]
        limits = fit_thresholds(others, "the other folds") if len(folds) > 1 else door.thresholds
        for film_id in fold:
            crossed.append(not _is_fine(said[film_id], limits))
    if pictures:
        cv2.imwrite(
            str(out / "declined.png"), np.rint(255 * np.hstack(pictures[:8])).astype(np.uint8)
        )
    patients = [dataset.by_id[i].patient_id for i in said]
    return {
        "declined": share([i in reasons for i in said], patients),
        "declined, thresholds of the other folds": share(crossed, patients),
        "reasons": reasons,
    }


def _is_fine(said: Answers, thresholds: AdmissionThresholds) -> bool:
    """Whether a film is judged as it is."""
    mending, reason = mending_for(said, thresholds)
    return not (mending or reason or objection(said, thresholds))


def put_right(door: Doorkeeper, dataset: Dataset, film_ids: list[str]) -> list[Row]:
    """Films turned and inverted: put right, declined, or judged as they lie."""
    rows = []
    for mending, name in STATES[1:]:
        outcomes: list[Admission] = []
        for film_id in film_ids:
            pixels = dataset.pixels(dataset.by_id[film_id])
            spoilt = np.rot90(1 - pixels if mending.inverted else pixels, mending.quarters)
            outcomes += door([radiograph(spoilt, film_id)])
        right = [one.reason is None and one.mending == mending for one in outcomes]
        declined = [one.reason is not None for one in outcomes]
        wrong = [not (a or b) for a, b in zip(right, declined, strict=True)]
        rows.append({"state": name.strip(), "put right": share(right), "declined": share(declined)})
        rows[-1]["judged wrongly"] = share(wrong)
    return rows


def impostors(
    dataset: Dataset, film_ids: list[str], lungs: list[LungFilm], count: int
) -> Iterator[tuple[str, Callable[[np.random.Generator], np.ndarray]]]:
    """Every kind, with what makes one of it."""

    def real(rng: np.random.Generator) -> np.ndarray:
        return dataset.pixels(dataset.by_id[film_ids[int(rng.integers(len(film_ids)))]])

    for kind, make in MADE.items():
        yield kind, lambda rng, make=make: make(rng, 512)
    for kind, spoil in SPOILT.items():
        yield kind, lambda rng, spoil=spoil: spoil(real(rng), rng)
    for cut in CUTS:

        def cut_off(rng: np.random.Generator, cut: float = cut) -> np.ndarray:
            film = lungs[int(rng.integers(len(lungs)))]
            fields = film.planes[..., :2].any(axis=2)
            return apices_cut_off(film.pixels / np.float32(255), fields, cut)

        yield f"upper {cut:.0%} of the lungs cut off", cut_off
    for kind, pictures in (("photograph", photographs()), ("CT or MR slice", slices())):
        if pictures:
            yield kind, lambda rng, pictures=pictures: part_of(pictures, rng)


def part_of(pictures: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A part of one of some pictures, at least half of each side."""
    picture = pictures[int(rng.integers(len(pictures)))]
    size = [int(rng.uniform(0.5, 1) * n) for n in picture.shape]
    top, left = (int(rng.integers(0, n - s + 1)) for n, s in zip(picture.shape, size, strict=True))
    part = picture[top : top + size[0], left : left + size[1]]
    return np.clip(cv2.resize(part, (512, 512), interpolation=cv2.INTER_CUBIC), 0, 1)


def photographs() -> list[np.ndarray]:
    """The two that come with scikit-learn, in grey."""
    from sklearn.datasets import load_sample_images

    images = load_sample_images().images
    return [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255 for one in images]


def slices() -> list[np.ndarray]:
    """Those among pydicom's test files that show something."""
    from pydicom import dcmread
    from pydicom.data import get_testdata_file

    found = []
    for name in ("CT_small.dcm", "MR_small.dcm", "693_J2KI.dcm", "examples_overlay.dcm"):
        try:
            pixels = dcmread(str(get_testdata_file(name, download=False))).pixel_array
        except (OSError, TypeError, AttributeError, RuntimeError, ValueError):
            continue
        grey = pixels.astype(np.float32) if pixels.ndim == 2 else pixels[..., 0].astype(np.float32)
        low, high = np.percentile(grey, [1, 99])
        found.append(np.clip((grey - low) / max(high - low, 1), 0, 1))
    return found


def let_through(
    doors: Doors, dataset: Dataset, film_ids: list[str], lungs: list[LungFilm], count: int
) -> list[Row]:
    """Of each kind, the share that is judged: by the shipped network, and by the one that never saw it."""
    rows: list[Row] = []
    for kind, make in impostors(dataset, film_ids, lungs, count):
        pictures = [radiograph(make(np.random.default_rng([i, 7])), kind) for i in range(count)]
        row: Row = {"kind": kind}
        for name, door in doors.items():
            if name == "shipped" or kind in withheld(door)[0]:
                judged = [door([one])[0].reason is None for one in pictures]
                row["shipped" if name == "shipped" else "never seen"] = share(judged)
        rows.append(row)
        print(
            kind,
            {key: in_percent(value) for key, value in row.items() if key != "kind"},
            flush=True,
        )
    return rows


def other_hospital(doors: Doors, lungs: list[LungFilm]) -> dict[str, object]:
    """Films with drawn lungs by the network that has not seen them: declined, and the Dice of their lungs."""
    declined: list[bool] = []
    reasons: list[str] = []
    dice: dict[str, list[float]] = {name: [] for name in LABELS}
    for door in doors.values():
        half_ = withheld(door)[1]
        for film in lungs[{"even": 0, "odd": 1}[half_] :: 2] if half_ != "none" else []:
            shown = radiograph(film.pixels / np.float32(255), film.name)
            (found,) = door([shown])
            declined.append(found.reason is not None or bool(found.mending))
            reasons += [found.reason] if found.reason else []
            labels = answers(door, shown).labels
            size = film.pixels.shape[::-1]
            for number, name in enumerate(LABELS):
                drawn = film.planes[..., number] > 0
                seen = cv2.resize((labels == number + 1).astype(np.uint8) * 255, size) > 127
                dice[name].append(
                    2 * float((seen & drawn).sum()) / max(float(seen.sum() + drawn.sum()), 1)
                )
    told = {
        name: {"median": np.median(one), "lowest": min(one), "mean": np.mean(one)}
        for name, one in dice.items()
        if one
    }
    return {"declined": share(declined), "reasons": reasons, "dice": told}


def outlines(door: Doorkeeper, dataset: Dataset, film_ids: list[str], path: Path) -> None:
    """A sheet of 24 films with the lungs and hearts that are found on them."""
    tiles = []
    for film_id in film_ids[:: max(len(film_ids) // 24, 1)][:24]:
        film = dataset.radiograph(dataset.by_id[film_id])
        labels = cv2.resize(answers(door, film).labels, (360, 360), interpolation=cv2.INTER_NEAREST)
        tile = cv2.resize(film.pixels, (360, 360), interpolation=cv2.INTER_AREA)
        drawn = cv2.cvtColor((255 * tile).astype(np.uint8), cv2.COLOR_GRAY2BGR)
        for label, colour in ((1, (80, 80, 255)), (2, (80, 255, 80)), (3, (255, 120, 80))):
            found, _ = cv2.findContours(
                (labels == label).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
            )
            cv2.drawContours(drawn, found, -1, colour, 1)
        tiles.append(drawn)
    cv2.imwrite(
        str(path), np.vstack([np.hstack(tiles[i : i + 6]) for i in range(0, len(tiles) - 5, 6)])
    )


def milliseconds(door: Doorkeeper, film: Radiograph) -> float:
    """The quickest of some looks at a film, one thread."""
    times = []
    for _ in range(15):
        start = perf_counter()
        door([film])
        times.append(1e3 * (perf_counter() - start))
    return min(times)


def main() -> None:
    """Measures, prints, and writes OUT."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--halves", type=Path, nargs=2, default=())
    for name in ("data", "lungs", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--split", type=Path)
    parser.add_argument("--count", type=int, default=100, help="impostors of each kind")
    parser.add_argument("--films", type=int, help="only so many development films of each fold")
    given = parser.parse_args()
    dataset = Dataset.open(given.data)
    split = Split.load(given.split or given.data / SPLIT_FILE)
    folds = [list(fold)[: given.films] for fold in split.folds or (split.tune,)]
    film_ids = [film_id for fold in folds for film_id in fold]
    given.out.mkdir(parents=True, exist_ok=True)
    doors = {"shipped": door_of(given.run)} | {str(half_): door_of(half_) for half_ in given.halves}
    shipped, lungs = doors["shipped"], list(read_lung_films(given.lungs))
    outlines(shipped, dataset, film_ids, given.out / "outlines.png")
    found: dict[str, object] = {"thresholds": asdict(shipped.thresholds)}
    found["milliseconds"] = milliseconds(shipped, dataset.radiograph(dataset.by_id[film_ids[0]]))
    print(f"a look takes {found['milliseconds']:.1f} ms", flush=True)
    found["real"] = real = real_films(shipped, dataset, folds, given.out)
    print("real films declined:", *(in_percent(one) for one in list(real.values())[:2]), sep="\n  ")
    found["other hospital"] = others = other_hospital(doors, lungs) if given.halves else {}
    if others:
        print("another hospital's:", in_percent(others["declined"]), others["dice"], flush=True)
    some = film_ids[:: max(len(film_ids) // given.count, 1)][: given.count]
    found["put right"] = rows = put_right(shipped, dataset, some)
    for row in rows:
        print(
            row["state"],
            *(f"{k} {in_percent(v)}" for k, v in row.items() if k != "state"),
            sep="; ",
        )
    found["impostors"] = let_through(doors, dataset, film_ids, lungs, given.count)
    write_json(given.out / "declines.json", json.loads(json.dumps(found, default=float)))


if __name__ == "__main__":
    main()
