"""Scoring a detector over films, one after the other: resumable, flat in memory, test openings on record."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pleura.data.manifest import Dataset, Film
from pleura.errors import EvaluationError
from pleura.evaluation.parts import is_test
from pleura.evaluation.pixel_sweep import Detector
from pleura.evaluation.provenance import UNKNOWN, Provenance, bundle_of, check_provenance
from pleura.evaluation.score_file import ScoreWriter, read_scores
from pleura.evaluation.scores import FilmScore
from pleura.files import lock, remove_partial, write_json
from pleura.finding import Finding, ModelIdentity

log = logging.getLogger(__name__)

RUN_FILE, FILMS_FILE, OPENINGS_FILE = "run.json", "films.csv", "test-openings.jsonl"
RUN_VERSION = 3


@dataclass(frozen=True)
class Run:
    """What a scoring run is of; two runs that are equal in this give the same scores.

    Attributes:
        part: name of the part of the split.
        model: who was scored.
        dataset_sha256, split_sha256: of the dataset, and of the split (None where the films were not
            chosen by one).
        films_sha256: over the films' ids, in any order.
        films: how many.
        provenance: whether films among them made the model.
        calibrated: whether its scores went through a fitted calibrator.
        runtime: what ran its networks, such as `openvino bf16 on cpu`; None where that is not known.
    """

    part: str
    model: ModelIdentity
    dataset_sha256: str
    split_sha256: str | None
    films_sha256: str
    films: int
    provenance: Provenance = UNKNOWN
    calibrated: bool = False
    runtime: str | None = None


def score_films(
    detector: Detector,
    dataset: Dataset,
    film_ids: Sequence[str],
    *,
    part: str,
    out: Path | None = None,
    split_sha256: str | None = None,
    allow_overlap: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Run, list[FilmScore]]:
    """Scores `detector` on films of `dataset`, on their source matrices.

    With `out`, each score is appended to `out/films.csv` as it comes, and a run that was broken off is taken
    up where it stopped. A run on a test part is put on record in the dataset before the first film is
    scored; taking it up again is not a new opening. A detector without a bundle judges one film before
    that, since only a finding of its says which model it is; that finding is scored after the record.

    Args:
        detector: to be scored.
        dataset: where the films and their masks are.
        film_ids: labelled films, each once.
        part: what these films are called; `test` in it makes it a test part.
        out: an empty or new folder, or one with the same run broken off; None keeps nothing.
        split_sha256: of the split that made the part.
        allow_overlap: score films that made the model all the same; the run says how many.
        progress: called with (films done, films in all).

    Returns:
        What the run is of, and the scores in the order of `film_ids`.

    Raises:
        EvaluationError: a film is unknown, unlabelled or there twice, `out` holds another run, another
            process writes there, the model changes between films or looks for another target, or a test
            opening cannot be put on record.
        LeakError: films made the model that is to be scored on them (`check_provenance`).
    """
    films = _films(dataset, film_ids)
    provenance = check_provenance(
        detector, dataset, films, test=is_test(part), allow_overlap=allow_overlap
    )
    model, calibrated, first = _identity(detector, dataset, films[0])
    run = Run(
        part=part,
        model=model,
        dataset_sha256=dataset.sha256,
        split_sha256=split_sha256,
        films_sha256=_ids_sha256(film_ids),
        films=len(films),
        provenance=provenance,
        calibrated=calibrated,
        runtime=", ".join(sorted({one.name for one in getattr(detector, "runtimes", ())})) or None,
    )
    with _held(out) if out else nullcontext():
        known = _known(out, run) if out else None
        if known is None:
            if is_test(part):
                _record_opening(dataset.root, run)
            if out:
                write_json(out / RUN_FILE, _described(run), durable=True)
            known = {}
        if progress:
            progress(len(known), len(films))
        with ScoreWriter(out / FILMS_FILE) if out else nullcontext() as writer:
            for score in _scores(detector, dataset, films, known, model, first):
                if writer:
                    writer.write([score])
                known[score.film_id] = score
                if progress:
                    progress(len(known), len(films))
    return run, [known[film_id] for film_id in film_ids]


def count_openings(root: Path) -> int:
    """How often test films of the dataset in `root` were opened, as `test-openings.jsonl` says."""
    try:
        with (root / OPENINGS_FILE).open(encoding="utf-8") as file:
            return sum(1 for line in file if line.strip())
    except FileNotFoundError:
        return 0


def _films(dataset: Dataset, film_ids: Sequence[str]) -> list[Film]:
    if not film_ids:
        raise EvaluationError("there are no films to evaluate; check the part or the list of films")
    seen: set[str] = set()
    films = []
    for film_id in film_ids:
        film = dataset.by_id.get(film_id)
        if film is None:
            raise EvaluationError(
                f"film {film_id} is not in {dataset.root}; use the dataset the split was made of"
            )
        if film.label is None:
            raise EvaluationError(f"film {film_id} is unlabelled; evaluate on labelled films only")
        if film_id in seen:
            raise EvaluationError(f"film {film_id} is listed twice; list each film once")
        seen.add(film_id)
        films.append(film)
    return films


def _identity(
    detector: Detector, dataset: Dataset, film: Film
) -> tuple[ModelIdentity, bool, Finding | None]:
    """Which model the detector is, whether calibrated, and its finding for `film` where only that tells."""
    bundle = bundle_of(detector)
    if bundle is not None:
        return bundle.identity, bundle.manifest.calibrator is not None, None
    first = detector(dataset.radiograph(film))
    return first.model, first.calibrated, first


def _scores(
    detector: Detector,
    dataset: Dataset,
    films: Sequence[Film],
    known: dict[str, FilmScore],
    model: ModelIdentity,
    first: Finding | None,
) -> Iterator[FilmScore]:
    for n, film in enumerate(films):
        if film.film_id in known:
            continue
        finding = first if n == 0 and first else detector(dataset.radiograph(film))
        if finding.model != model:
            raise EvaluationError(
                f"film {film.film_id} was judged by {finding.model.name} {finding.model.version}, the "
                f"others by {model.name} {model.version}; evaluate one model at a time"
            )
        yield FilmScore.of(
            finding,
            dataset.mask(film),
            film_id=film.film_id,
            patient_id=film.patient_id,
            corpus=film.corpus,
            label=int(film.label or 0),
            label_quality=film.label_quality,
            spacing_mm=_believable_spacing(film),
            image_left=film.image_left,
        )


def _believable_spacing(film: Film) -> tuple[float, float] | None:
    known = film.row_spacing_mm is not None and film.column_spacing_mm is not None
    if not known or film.spacing_basis not in ("calibrated", "detector"):
        return None
    return film.row_spacing_mm or 0.0, film.column_spacing_mm or 0.0


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """Makes the folder and keeps a second process off it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvaluationError(
            f"{out} cannot be made a folder ({error}); evaluate into a new folder"
        ) from error
    folder = os.open(out, os.O_RDONLY)  # the folder itself, so that no file is left behind
    try:
        if not lock(folder):
            raise EvaluationError(
                f"another process evaluates into {out}; wait for it, or evaluate into a new folder"
            )
        remove_partial(out, shared=True)  # the pages are written later, when the folder is not held
        yield
    finally:
        os.close(folder)


def _known(out: Path, run: Run) -> dict[str, FilmScore] | None:
    """The scores of `run` already in `out`; None where the run has not begun."""
    path, films = out / RUN_FILE, out / FILMS_FILE
    if not path.exists():
        if films.exists():
            raise EvaluationError(
                f"{out} holds {FILMS_FILE} but no {RUN_FILE}, so what it is of is not known; "
                "evaluate into a new folder"
            )
        return None
    if _begun(path) != _described(run):
        raise EvaluationError(
            f"{out} holds an evaluation of another model, dataset or list of films; evaluate into a "
            "new folder"
        )
    if not films.exists():
        return {}
    _drop_torn_row(films)
    if not films.stat().st_size:
        return {}
    known = {score.film_id: score for score in read_scores(films)}
    log.info("%s: %d of %d films are scored already", out, len(known), run.films)
    return known


def _begun(path: Path) -> Any:
    """What the run in a folder is of; one of before `calibrated_on` was told goes on all the same."""
    told = _read_json(path)
    if isinstance(told, dict) and isinstance(told.get("provenance"), dict):
        told["provenance"].setdefault("calibrated_on", None)
    return told


def _described(run: Run) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps({"format_version": RUN_VERSION, **asdict(run)}))
    return told  # as it is read again: JSON has no tuples


def _drop_torn_row(path: Path) -> None:
    """Cuts off what follows the last line break: a row that an interruption left unfinished."""
    with path.open("rb+") as file:
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)


def _record_opening(root: Path, run: Run) -> None:
    line = json.dumps(
        {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "part": run.part,
            "model": run.model.name,
            "model_version": run.model.version,
            "model_sha256": run.model.sha256,
            "split_sha256": run.split_sha256,
            "n": run.films,
        }
    )
    try:
        with (root / OPENINGS_FILE).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise EvaluationError(
            f"the opening of the test part cannot be put on record in {root} ({error}), and without "
            "that it is not opened; make the dataset's folder writable"
        ) from error


def _ids_sha256(film_ids: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(film_ids)).encode()).hexdigest()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EvaluationError(f"{path} is damaged ({error}); evaluate into a new folder") from error
