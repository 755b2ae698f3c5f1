"""Predictions of other tools, scored as a detector's are: a SIIM submission, or a folder of mask PNGs.

They carry masks and no scores: a film's score is 1 where its mask holds anything, else 0.
"""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pleura.data.manifest import Dataset, Film
from pleura.data.prepare.convert import binary
from pleura.errors import CorpusError, EvaluationError, ReadError, RunLengthError
from pleura.finding import Finding, ModelIdentity, Target
from pleura.inference.postprocess import lesions
from pleura.radiograph import Radiograph
from pleura.read import Limits, decode_rle, read_image

MAX_CSV_BYTES = 1 << 30
_MASK_LIMITS = Limits(max_bytes=64 << 20)
_NAMED = 5


class ForeignPredictions:
    """A detector whose findings were made elsewhere; `pleura.evaluation.run.score_films` takes it.

    Args:
        masks: film_id -> where its mask comes from: run lengths, or a PNG.
        identity: whose they are.
        target: what was looked for.
    """

    def __init__(
        self, masks: Mapping[str, str | Path], identity: ModelIdentity, target: Target
    ) -> None:
        self.masks, self.identity, self.target = masks, identity, target

    def __call__(self, film: Radiograph) -> Finding:
        """The finding for a film of the dataset the predictions were matched to.

        Raises:
            EvaluationError: there is no prediction for it, or its mask is damaged or of another size.
        """
        given = self.masks.get(film.source)
        if given is None:
            raise EvaluationError(f"film {film.source} has no prediction in {self.identity.name}")
        mask = _png(given, film) if isinstance(given, Path) else _run_lengths(given, film)
        if mask.shape != film.shape:
            raise EvaluationError(
                f"film {film.source}: its predicted mask is {mask.shape}, the film {film.shape}; give masks "
                "on the films' own matrices"
            )
        found = bool(mask.any())
        return Finding(
            target=self.target,
            decision="positive" if found else "negative",
            reason="As predicted elsewhere.",
            model=self.identity,
            source=film.source,
            sop_instance_uid=film.sop_instance_uid,
            probability=float(found),
            probability_map=mask.astype(np.float32),
            mask=mask,
            lesions=lesions(mask, mask.astype(np.float32), film),
        )


def foreign_predictions(
    path: Path, dataset: Dataset, film_ids: tuple[str, ...]
) -> ForeignPredictions:
    """The predictions in `path` for films of `dataset`.

    A film is known by its id; by its SOP Instance UID or the stem of its source file where no other film
    of the dataset goes by that name.

    Args:
        path: a CSV with the columns ImageId and EncodedPixels, relative run lengths column by column,
            one row or more a film and -1 where there is nothing; or a folder of mask PNGs (0 and 1, or 0
            and above 127), one a film.
        dataset: where the films are.
        film_ids: those to be scored; each needs a prediction.

    Raises:
        EvaluationError: there is none of these in `path`, or a film has no prediction or several names.
    """
    if path.is_dir():
        listed: dict[str, str | Path] = {p.stem: p for p in sorted(path.glob("*.png"))}
        digest = _digest(p for p in listed.values() if isinstance(p, Path))
        what = "no PNG"
    elif path.is_file():
        listed = dict(_submission(path))
        digest, what = _digest([path]), "no row"
    else:
        raise EvaluationError(f"{path} does not exist; give a submission CSV or a folder of masks")
    if not listed:
        raise EvaluationError(f"{path} holds {what}: nothing was predicted")
    names = _names(dataset)
    masks: dict[str, str | Path] = {}
    missing = []
    for film_id in film_ids:
        here = [name for name in names[film_id] if name in listed]
        if not here:
            missing.append(film_id)
        elif len(here) > 1:
            raise EvaluationError(
                f"film {film_id} is predicted under several names: {', '.join(here)}"
            )
        else:
            masks[film_id] = listed[here[0]]
    if missing:
        raise EvaluationError(
            f"{path} has no prediction for {len(missing)} of {len(film_ids)} films: "
            f"{', '.join(missing[:_NAMED])}{', ...' if len(missing) > _NAMED else ''}. Predict every film, "
            "also those without a finding (-1, or an empty mask), and name it by its film_id"
        )
    return ForeignPredictions(masks, ModelIdentity(path.stem, "foreign", digest), dataset.target)


def _names(dataset: Dataset) -> dict[str, list[str]]:
    """For each film the names that mean it and no other film of the dataset, its `film_id` first."""
    kinds: tuple[Callable[[Film], str | None], ...] = (
        lambda film: film.film_id,
        lambda film: film.sop_instance_uid,
        lambda film: Path(film.source_path).stem,
    )
    names: dict[str, list[str]] = defaultdict(list)
    taken: set[str] = set()
    for kind in kinds:
        given = {film.film_id: kind(film) for film in dataset.films}
        counts = Counter(given.values())
        for film_id, name in given.items():
            if name and counts[name] == 1 and name not in taken:
                names[film_id].append(name)
        taken.update(name for name in given.values() if name)
    return names


def _submission(path: Path) -> Iterator[tuple[str, str]]:
    """ImageId -> its rows of run lengths, joined by line breaks."""
    if path.stat().st_size > MAX_CSV_BYTES:
        raise EvaluationError(
            f"{path} is larger than {MAX_CSV_BYTES} bytes, which no submission is"
        )
    csv.field_size_limit(1 << 24)
    rows: dict[str, list[str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True, skipinitialspace=True)
            if not {"ImageId", "EncodedPixels"} <= {n.strip() for n in reader.fieldnames or ()}:
                raise EvaluationError(
                    f"{path} is no submission: its first line names no ImageId and EncodedPixels"
                )
            for row in reader:
                cells = {(k or "").strip(): v for k, v in row.items() if isinstance(v, str)}
                name = cells["ImageId"].strip().removesuffix(".dcm")
                rows.setdefault(name, []).append(cells["EncodedPixels"].strip())
    except (csv.Error, UnicodeDecodeError, KeyError) as error:
        raise EvaluationError(f"{path} is damaged ({error!r})") from error
    yield from ((name, "\n".join(parts)) for name, parts in rows.items())


def _run_lengths(text: str, film: Radiograph) -> NDArray[np.bool_]:
    mask = np.zeros(film.shape, np.bool_)
    for part in text.split("\n"):
        try:
            mask |= decode_rle(part or "-1", film.shape)
        except RunLengthError as error:
            raise EvaluationError(f"film {film.source}: its predicted mask: {error}") from error
    return mask


def _png(path: Path, film: Radiograph) -> NDArray[np.bool_]:
    try:
        return binary(read_image(path, limits=_MASK_LIMITS).pixels)
    except CorpusError as error:
        raise EvaluationError(f"film {film.source}: {path}: {error}") from error
    except ReadError as error:
        raise EvaluationError(
            f"film {film.source}: its predicted mask cannot be used ({error}); write it as a grey PNG of 0 "
            "and 1, or 0 and 255"
        ) from error


def _digest(paths: Iterator[Path] | list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
