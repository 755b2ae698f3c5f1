"""`Split`: which films train, which tune, which test, as a file that cannot be changed unseen.

Made by `make_split` (draw.py); training and evaluation call `Split.check` before they start.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, get_args, get_origin

from pleura.data.manifest import Dataset, Film
from pleura.data.split.linked import straddling, why_linked
from pleura.errors import DatasetError, LeakError, UnknownName
from pleura.files import remove_partial, write_json

SPLIT_FORMAT_VERSION = 1
SPLIT_FILE = "split.json"
MAX_BYTES = 512 * 1024 * 1024
PARTS = ("train", "tune", "test")

FilmIds = tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """The parts of a dataset, by film_id; every film of the dataset stands in exactly one.

    Attributes:
        seed: of the development parts.
        test_seed, test_fraction: those the test part was drawn with, when it was first drawn.
        dataset_sha256: of the dataset it was made for.
        tune_fraction: asked share of the development films that tune; unused with folds.
        balanced_tuning: whether the tuning part has as many negatives as positives.
        test_corpora: corpora whose films may be tested or tuned on; None for all.
        test: opened once a released model; never used for a choice.
        train: trained on, in every fold where there are folds.
        tune: for stopping, thresholds and choices; empty where there are folds.
        folds: the tuning films of each fold; they train in the others. Empty without folds.
        companions: for each fold, films of its patients that may not be tuned on (silver labels, other
            corpora): they train in the other folds.
        unlabelled: films without a label, of no patient that is tested or tuned on.
        aside: films used for nothing: of a tested or tuned patient, but not fit for that part.
        fingerprints: of each film's pixels, label and mask, so that a changed film is named.
        notes: what the split cannot promise, one sentence each.
    """

    seed: int
    test_seed: int
    test_fraction: float
    dataset_sha256: str
    tune_fraction: float
    balanced_tuning: bool
    test_corpora: tuple[str, ...] | None
    test: FilmIds
    train: FilmIds
    tune: FilmIds = ()
    folds: tuple[FilmIds, ...] = ()
    companions: tuple[FilmIds, ...] = ()
    unlabelled: FilmIds = ()
    aside: FilmIds = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        placed = [film_id for _, ids in self._places() for film_id in ids]
        if len(placed) != len(set(placed)):
            twice = sorted(i for i, count in Counter(placed).items() if count > 1)[:5]
            raise LeakError(f"a split has films in two parts: {', '.join(twice)}; make it again")
        if set(placed) != set(self.fingerprints):
            raise DatasetError("a split has a fingerprint for each of its films and no other")
        if len(self.companions) != len(self.folds) or (self.folds and self.tune):
            raise DatasetError("a split has either a tuning part, or folds with their companions")

    @cached_property
    def sha256(self) -> str:
        """A hash over everything in the split (hex)."""
        return hashlib.sha256(_canonical(asdict(self)).encode()).hexdigest()

    @cached_property
    def test_sha256(self) -> str:
        """A hash over the test films, their pixels, labels, masks (hex): equal exactly when the test is."""
        test = {film_id: self.fingerprints[film_id] for film_id in self.test}
        return hashlib.sha256(_canonical(test).encode()).hexdigest()

    def part(self, name: str, fold: int | None = None) -> FilmIds:
        """The films of `train`, `tune` or `test`.

        Args:
            name: the part.
            fold: which fold tunes; needed for `train` and `tune` exactly where the split has folds.

        Raises:
            UnknownName: there is no such part.
            DatasetError: a fold is missing, too many, or beyond the number of folds.
        """
        if name not in PARTS:
            raise UnknownName.among("part of a split", name, PARTS)
        if name == "test":
            return self.test
        if not self.folds:
            if fold is not None:
                raise DatasetError(f"fold {fold} was asked for, but this split has no folds")
            return self.train if name == "train" else self.tune
        if fold is None:
            raise DatasetError(
                f"this split has folds 0 to {len(self.folds) - 1}: name one (--fold 0), or train and score "
                "all of them (`pleura cross-validate`)"
            )
        if not 0 <= fold < len(self.folds):
            raise DatasetError(
                f"fold {fold} was asked for; this split has folds 0 to {len(self.folds) - 1}: name one"
            )
        if name == "tune":
            return self.folds[fold]
        others = [i for i in range(len(self.folds)) if i != fold]
        return self.train + tuple(f for i in others for f in self.folds[i] + self.companions[i])

    def check(self, dataset: Dataset) -> None:
        """Refuses unless the split is of this very dataset and nothing leaks between its parts.

        Raises:
            DatasetError: films are missing, new or changed since the split was made; names some.
            LeakError: films of one patient, or copies of one film, stand in parts that must not
                meet; names films and patients.
        """
        here = {film.film_id: fingerprint(film) for film in dataset.films}
        refuse_films(
            self.fingerprints.keys() - here.keys(), "stand in the split, not in the dataset"
        )
        refuse_films(
            here.keys() - self.fingerprints.keys(), "stand in the dataset, not in the split"
        )
        changed = (film_id for film_id, was in self.fingerprints.items() if here[film_id] != was)
        refuse_films(changed, "changed in pixels, size, label or mask since the split was made")
        leaks = straddling(dataset.films, self.sides())
        if leaks:
            shown = "; ".join(
                f"{a.film_id} ({side_a}) and {b.film_id} ({side_b}): {why_linked(a, b)}"
                for (a, side_a), (b, side_b) in leaks[:5]
            )
            more = f"; and {len(leaks) - 5} more" if len(leaks) > 5 else ""
            raise LeakError(
                f"the split leaks between its parts: {shown}{more}. Make it again with `pleura split`"
            )

    def sides(self) -> dict[str, str]:
        """For each film the part that others of its patient must share; films set aside have none."""
        sides = {}
        for place, ids in self._places():
            if place != "aside":
                # An unlabelled film may stand beside its patient's training films.
                side = "train" if place == "unlabelled" else place
                sides.update(dict.fromkeys(ids, side))
        return sides

    def _places(self) -> Iterator[tuple[str, FilmIds]]:
        for name in ("test", "train", "tune", "unlabelled", "aside"):
            yield name, getattr(self, name)
        for number, (ids, companions) in enumerate(zip(self.folds, self.companions, strict=False)):
            yield f"fold {number}", ids + companions

    def save(self, path: Path) -> None:
        """Writes the split to `path` as JSON, whole or not at all.

        Raises:
            DatasetError: it cannot be written there.
        """
        content = {
            "format_version": SPLIT_FORMAT_VERSION,
            "sha256": self.sha256,
            "test_sha256": self.test_sha256,
            **asdict(self),
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_partial(path.parent, shared=True)
            write_json(path, content, durable=True)
        except OSError as error:
            raise DatasetError(
                f"{path} cannot be written ({error}); choose another place"
            ) from error

    @classmethod
    def load(cls, path: Path | str) -> "Split":
        """Reads a split that `save` wrote.

        Raises:
            DatasetError: there is none, it is damaged or of another version, or its content is not what
                its hash says: it was edited by hand.
        """
        path = Path(path)
        content = _read(path)
        stored = {name: content.pop(name, None) for name in ("sha256", "test_sha256")}
        try:
            split = cls(**_typed(content))
        except (TypeError, ValueError, KeyError) as error:
            raise DatasetError(f"{path} is no whole split ({error}); make it again") from error
        if stored != {"sha256": split.sha256, "test_sha256": split.test_sha256}:
            raise DatasetError(
                f"{path} is not what was written: its content does not match its hash. Restore it, or "
                "make a new one with `pleura split --refreeze`"
            )
        return split


def fingerprint(film: Film) -> str:
    """What must not change about a film in a split: pixels, stored size, label, quality, mask (hex, 16)."""
    text = (
        f"{film.pixel_sha256} {film.stored_rows}x{film.stored_columns} {film.label} "
        f"{film.label_quality} {film.mask_area_px} {film.mask_sha256}"
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def refuse_films(film_ids: Iterable[str], what: str, then: str = "") -> None:
    """Raises DatasetError naming `film_ids` and `what` is wrong with them, if there are any."""
    if films := sorted(film_ids):
        shown = ", ".join(films[:5]) + (", ..." if len(films) > 5 else "")
        then = then or "Make the split again with `pleura split`"
        raise DatasetError(f"{len(films)} film(s) {what}: {shown}. {then}")


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DatasetError(f"{path} is larger than any split ({MAX_BYTES} bytes at most)")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist; make a split with `pleura split`") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read as a split ({error}); make it again") from error
    version = content.pop("format_version", None) if isinstance(content, dict) else None
    if version != SPLIT_FORMAT_VERSION:
        raise DatasetError(
            f"{path} is no split of format {SPLIT_FORMAT_VERSION} (it says {version!r}); make it again"
        )
    return dict(content)


def _typed(content: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as tuples, every value checked against its field's type."""
    known = {f.name: f.type for f in fields(Split)}
    if content.keys() != known.keys():
        odd = sorted(content.keys() ^ known.keys())
        raise ValueError(f"keys missing or unknown: {', '.join(odd)}")
    return {name: _as(known[name], value, name) for name, value in content.items()}


def _as(kind: Any, value: Any, name: str) -> Any:
    if value is None and type(None) in get_args(kind):
        return None
    if kind in (int, float, str, bool):
        number = kind is float and isinstance(value, int | float) and not isinstance(value, bool)
        if number or type(value) is kind:
            return kind(value)
    elif isinstance(value, dict):
        if get_origin(kind) is Mapping and all(type(v) is str for v in value.values()):
            return value
    elif isinstance(value, list):
        for inner in (kind, *get_args(kind)):
            if get_origin(inner) is tuple:
                return tuple(_as(get_args(inner)[0], item, name) for item in value)
    raise ValueError(f"{name} is not of its kind ({kind})")
