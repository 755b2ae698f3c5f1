"""Writes synthetic films in the layout of the SIIM-ACR challenge: real DICOM files and run lengths.

OUT/
  README.txt, phantom.json             what this is; the settings it was made with
  dicom-images-train/STUDY/SERIES/UID.dcm
  train-rle.csv                        ImageId, EncodedPixels: on the film's own matrix, rows as in SIIM
  patients.csv                         ImageId,PatientId: the headers' PatientID is random a film, as in SIIM
  films.csv                            age, sex, view, true spacing, and what was drawn, a film a row
"""

import csv
import io
import json
import math
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pleura.cores import usable_cores
from pleura.data.phantom.dicom import KINDS, dicom_bytes, uid
from pleura.data.phantom.film import SIZES, Pneumothorax, phantom
from pleura.errors import CorpusError
from pleura.files import is_empty, remove_partial, write_bytes
from pleura.radiograph import Side
from pleura.read.rle import encode_rle

MAX_PATIENTS = 100_000
MAX_FILMS_PER_PATIENT = 50
_FEW = 16  # films that are made sooner than workers are started

_README = """\
Synthetic chest films, made by `pleura phantom`. No patient is shown: every film is drawn by a program.

For demos and tests only; never for evaluation claims: what a model scores here says nothing about how it
does on people.

The layout is that of the SIIM-ACR Pneumothorax Segmentation Challenge. Run lengths in train-rle.csv are on
each film's own matrix. patients.csv says whose film it is; PatientID in the headers does not.
"""


@dataclass(frozen=True)
class PhantomCorpus:
    """What was written: where, and how much."""

    root: Path
    patients: int
    films: int
    positives: int


@dataclass(frozen=True)
class _Plan:
    """One film to be made."""

    seed: int
    patient: int
    film: int
    size: int
    pneumothorax: Pneumothorax | None
    kind: str
    entropy: str  # of the UIDs: all settings, so that other films have other UIDs


@dataclass(frozen=True)
class _Row:
    """What the tables say of one film."""

    image_id: str
    rle: tuple[str, ...]
    facts: dict[str, str]


def write_phantoms(
    out: Path,
    patients: int,
    *,
    films_per_patient: tuple[int, int] = (1, 3),
    positive_share: float = 0.3,
    size: int = 512,
    seed: int = 0,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PhantomCorpus:
    """Writes a corpus of synthetic films; the same settings write the same files.

    Collapses keep to patients: of a patient who has one, about three films in four show it, always on the
    same side.

    Args:
        out: a folder that is new, empty, or was begun with the same settings.
        patients: how many, up to 100,000.
        films_per_patient: fewest and most.
        positive_share: of the films that show a pneumothorax; met exactly, but for rounding.
        size: of a film's longer side in pixels. Most films are squeezed to a square, as SIIM's were.
        seed: 0 or more.
        processes: how many make films; None for one a core, 8 at most.
        progress: called with (done, total) after each film.

    Raises:
        CorpusError: a number is outside its range, `out` holds something else, or a worker died.
    """
    settings = {
        "made_by": "pleura phantom",
        "format_version": 1,
        "patients": patients,
        "films_per_patient": list(films_per_patient),
        "positive_share": positive_share,
        "size": size,
        "seed": seed,
    }
    _check(patients, films_per_patient, positive_share, size, seed, processes)
    entropy = json.dumps(settings, sort_keys=True)
    _claim(out, settings)
    plans = _plan(patients, films_per_patient, positive_share, size, seed, entropy)
    rows = []
    for row in _made(out, plans, processes):
        rows.append(row)
        if progress:
            progress(len(rows), len(plans))
    _write_tables(out, rows)
    positives = sum(plan.pneumothorax is not None for plan in plans)
    return PhantomCorpus(out, patients, len(plans), positives)


def _check(
    patients: int,
    films: tuple[int, int],
    share: float,
    size: int,
    seed: int,
    processes: int | None,
) -> None:
    for name, value, low, high in (
        ("patients", patients, 1, MAX_PATIENTS),
        ("films_per_patient", films[0], 1, MAX_FILMS_PER_PATIENT),
        ("films_per_patient", films[1], films[0], MAX_FILMS_PER_PATIENT),
        ("positive_share", share, 0, 1),
        ("size", size, *SIZES),
        ("seed", seed, 0, 2**63 - 1),
        ("processes", 1 if processes is None else processes, 1, 256),
    ):
        if not low <= value <= high:  # also true for NaN
            raise CorpusError(f"{name} of a phantom corpus lies in {low} to {high}; got {value}")


def _claim(out: Path, settings: dict[str, object]) -> None:
    """Makes `out`, or sees that it holds phantoms of the same settings."""
    marker = out / "phantom.json"
    try:
        if not is_empty(out):
            found = json.loads(marker.read_text(encoding="utf-8"))
            if found != settings:
                raise CorpusError(
                    f"{out} holds phantoms of other settings (see {marker}); "
                    "choose another folder or delete it"
                )
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        raise CorpusError(
            f"{out} is not empty and holds no phantoms; choose a new folder, so that nothing is mixed up"
        ) from None
    except OSError as error:
        raise CorpusError(f"{out} cannot be read ({error}); choose another folder") from error
    remove_partial(out, shared=True)
    _write(marker, json.dumps(settings, indent=1).encode())
    _write(out / "README.txt", _README.encode())


def _plan(
    patients: int, films: tuple[int, int], share: float, size: int, seed: int, entropy: str
) -> list[_Plan]:
    rng = np.random.default_rng([seed, 0])
    counts = rng.integers(films[0], films[1] + 1, patients).tolist()
    positive = _positives(rng, counts, share)
    plans = []
    for patient, count in enumerate(counts):
        side: Side = "right" if rng.random() < 0.5 else "left"
        for film in range(count):
            collapse = Pneumothorax.draw(rng, side)
            kind = KINDS[int(rng.choice(len(KINDS), p=[k.share for k in KINDS]))].name
            shown = collapse if (patient, film) in positive else None
            plans.append(_Plan(seed, patient, film, size, shown, kind, entropy))
    return plans


def _positives(
    rng: np.random.Generator, counts: Sequence[int], share: float
) -> set[tuple[int, int]]:
    """The (patient, film) that show a collapse: patient by patient, and from their first film on."""
    wanted = round(share * sum(counts))
    order = rng.permutation(len(counts)).tolist()
    early = [(p, f) for p in order for f in range(math.ceil(0.75 * counts[p]))]
    late = [(p, f) for p in order for f in range(math.ceil(0.75 * counts[p]), counts[p])]
    return set((early + late)[:wanted])


def _made(out: Path, plans: list[_Plan], processes: int | None) -> Iterator[_Row]:
    """Makes the films, in order, in this process or several."""
    workers = min(processes or min(usable_cores(), 8), math.ceil(len(plans) / _FEW))
    jobs = [(out, plan) for plan in plans]
    if workers == 1:
        yield from map(_make, jobs)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork of a threaded process may hang
    pool = ProcessPoolExecutor(
        workers, mp_context=spawn, initializer=cv2.setNumThreads, initargs=(1,)
    )
    try:
        yield from pool.map(_make, jobs, chunksize=4)
    except BrokenProcessPool as error:
        raise CorpusError(
            f"a worker died while writing {out}; is memory short? "
            "Try fewer processes; the same folder may be used again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _make(job: tuple[Path, _Plan]) -> _Row:
    out, plan = job
    kind = next(k for k in KINDS if k.name == plan.kind)
    film = phantom(
        (plan.seed, plan.patient),
        plan.size,
        film=plan.film,
        pneumothorax=plan.pneumothorax or False,
        squeeze=kind.squeezed,
    )
    name = f"{plan.entropy} {plan.patient} {plan.film}"
    study, series, image = (uid(f"{name} {level}") for level in ("study", "series", "image"))
    folder = out / "dicom-images-train" / study / series
    remove_partial(folder, shared=True)
    _write(folder / f"{image}.dcm", dicom_bytes(film, kind, name, study, series, image))
    collapse = plan.pneumothorax
    facts = {
        "PatientId": f"P{plan.patient:05d}",
        "FollowUp": str(plan.film),
        "Age": str(film.age_years),
        "Sex": film.sex,
        "View": str(film.view),
        "ColumnSpacingMm": f"{film.spacing_mm[1]:.5f}",
        "RowSpacingMm": f"{film.spacing_mm[0]:.5f}",
        "Kind": plan.kind,
        "Side": collapse.side if collapse else "",
        "DepthMm": f"{collapse.depth_mm:.1f}" if collapse else "",
        "Confounders": "|".join(film.confounders),
    }
    return _Row(image, tuple(_annotations(film.mask)), facts)


def _annotations(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Iterator[str]:
    """Run lengths, a row for each piece of the mask; one row of -1 for none."""
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    if count == 1:
        yield encode_rle(mask)
    for piece in range(1, count):
        yield encode_rle(pieces == piece)


def _write_tables(out: Path, rows: Sequence[_Row]) -> None:
    annotations = [(row.image_id, rle) for row in rows for rle in row.rle]
    _write_csv(out / "train-rle.csv", ["ImageId", " EncodedPixels"], annotations)
    owners = [(row.image_id, row.facts["PatientId"]) for row in rows]
    _write_csv(out / "patients.csv", ["ImageId", "PatientId"], owners)
    header = ["ImageId", *rows[0].facts]
    _write_csv(out / "films.csv", header, [(row.image_id, *row.facts.values()) for row in rows])


def _write_csv(path: Path, header: list[str], rows: Sequence[tuple[str, ...]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    _write(path, text.getvalue().encode())


def _write(path: Path, data: bytes) -> None:
    """Writes a file, whole or not at all, and the folders it lies in."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
    except OSError as error:
        raise CorpusError(
            f"{path} cannot be written ({error}); see to room and rights, then say the same again"
        ) from error
