"""What a detector's bundle says of the films that made it, against the films it is to be scored on.

A model that trained on a film, or on another film of its patient, has seen the answer. The same dataset
under another split is the usual way there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pleura.data.manifest import Dataset, Film
from pleura.data.split.linked import linked_groups
from pleura.errors import EvaluationError, LeakError
from pleura.evaluation.near_copies import copies_in_card
from pleura.evaluation.pixel_sweep import Detector
from pleura.inference.bundle import CARD_HASH_CHARACTERS, Bundle

CALIBRATE = "calibrate"
"""The part of a data card that lists the films a calibrator was fitted on after the model was made."""

_NAMED, _LISTED = 5, 50
_NIH = "NIH ChestX-ray14"
_OF_NIH = ("siim", "nih", "chestx-ray14", "chestxray14")
"""In the names or layouts of corpora whose films are NIH's; the SIIM-ACR challenge's all are."""


@dataclass(frozen=True)
class Provenance:
    """What is known of the films a detector was made from.

    Attributes:
        overlap: how many of the films to be scored it may not be scored on, because they, copies of them
            or others of their patients made it; None where its films are unknown.
        same_dataset: whether it was made from this very dataset, so that nothing can be missed.
        pretraining: films that the weights it started from were trained on, as its data card says, or None.
        pretraining_overlap: whether films to be scored come from there too.
        copies_sought: whether re-encoded copies were looked for as well, and not equal pixels alone.
        films: some of those that overlap, by id.
        calibrated_on: how many of the films to be scored fitted its calibrator, or belong with films that
            did; None where no films of a calibrator are on record.
    """

    overlap: int | None = None
    same_dataset: bool = False
    pretraining: str | None = None
    pretraining_overlap: bool = False
    copies_sought: bool = False
    films: tuple[str, ...] = ()
    calibrated_on: int | None = None


UNKNOWN = Provenance()


def bundle_of(detector: Detector) -> Bundle | None:
    """The bundle of a detector that has one."""
    bundle = getattr(detector, "bundle", None)
    return bundle if isinstance(bundle, Bundle) else None


def check_provenance(
    detector: Detector,
    dataset: Dataset,
    films: Sequence[Film],
    *,
    test: bool,
    allow_overlap: bool = False,
) -> Provenance:
    """Refuses to score a bundle on films it was made from.

    Films that trained it are refused on every part; on a test part also films that tuned it, that its
    calibrator was fitted on (`pleura calibrate`), or that its anatomy network was shown. They are known by
    the hashes of their pixels in the data card, in another dataset also by small thumbnails
    (`pleura.evaluation.near_copies`; not those of the anatomy network); with each goes every film of this
    dataset that belongs with it (`pleura.data.split.linked`).

    Args:
        detector: to be scored.
        dataset: where the films are.
        films: to be scored.
        test: whether they are a test part.
        allow_overlap: count the films that overlap instead of refusing.

    Raises:
        EvaluationError: the bundle looks for something else than the dataset's labels show.
        LeakError: a film made the model; names some.
    """
    bundle = bundle_of(detector)
    if bundle is None:
        return UNKNOWN
    found, labelled = bundle.manifest.target, dataset.target
    if (found.scheme, found.code) != (labelled.scheme, labelled.code):
        raise EvaluationError(
            f"the bundle {bundle.identity.name} looks for {found.name} ({found.scheme} {found.code}), the "
            f"films of {dataset.root} are labelled for {labelled.name} ({labelled.scheme} {labelled.code}); "
            "evaluate it on films labelled for what it looks for"
        )
    card = bundle.manifest.data_card
    pretraining, seen = _pretraining(card, dataset, films)
    trained, tuned, fitted = (_hashes(card, part) for part in ("train", "tune", CALIBRATE))
    calibrating: list[Film] = []
    if fitted is not None:
        near = _copies(card, dataset, (CALIBRATE,)) or set()
        calibrating = _made_from(dataset, films, fitted, near)
    leaks, unknown = (calibrating if test else []), trained is None or tuned is None
    same, copies = False, None
    if trained is not None and tuned is not None:
        same = card.get("dataset_sha256") == dataset.sha256
        copies = (
            set() if same else _copies(card, dataset, ("train", "tune") if test else ("train",))
        )
        made = trained | tuned | _looked_at(card) if test else trained
        named = {film.film_id for film in leaks}
        named |= {film.film_id for film in _made_from(dataset, films, made, copies or set())}
        leaks = [film for film in films if film.film_id in named]
    if leaks and not allow_overlap:
        shown = ", ".join(film.film_id for film in leaks[:_NAMED])
        kind = "trained or tuned" if test else "trained"
        raise LeakError(
            f"{len(leaks)} of {len(films)} films to be scored {kind} {bundle.identity.name}, or belong with "
            f"films that did: {shown}{', ...' if len(leaks) > _NAMED else ''}. Give films that it "
            "has not seen, such as those of the split it was made with"
        )
    return Provenance(
        overlap=None if unknown else len(leaks),
        same_dataset=same,
        pretraining=pretraining,
        pretraining_overlap=seen,
        copies_sought=same or copies is not None,
        films=tuple(film.film_id for film in leaks[:_LISTED]),
        calibrated_on=None if fitted is None else len(calibrating),
    )


def _pretraining(card: Any, dataset: Dataset, films: Sequence[Film]) -> tuple[str | None, bool]:
    """The films behind the weights that a model started from, and whether `films` are known to be of them."""
    listed = card.get("pretraining")
    stamps = [s for s in listed if isinstance(s, str)] if isinstance(listed, list | tuple) else []
    layouts = {c.get("name"): c.get("layout") for c in dataset.description["corpora"]}
    scored = {film.corpus for film in films}
    names = [f"{name} {layouts.get(name)}".lower() for name in scored]
    of_nih = any(known in name for name in names for known in _OF_NIH)
    return ", ".join(stamps) or None, of_nih and _NIH in stamps


def _hashes(card: Any, part: str) -> set[str] | None:
    """The hashes that a data card lists for a part; None where it lists none as it should."""
    try:
        return _whole(card["parts"][part]["pixel_sha256"])
    except (KeyError, TypeError, IndexError):
        return None


def _looked_at(card: Any) -> set[str]:
    """The hashes of the films that its anatomy network was shown, where it has one."""
    try:
        return _whole(card["anatomy"]["pixel_sha256"]) or set()
    except (KeyError, TypeError, IndexError):
        return set()


def _whole(listed: Any) -> set[str] | None:
    """A list of hashes as the set of their beginnings; None where it is no such list."""
    if not isinstance(listed, list | tuple):
        return None
    whole = all(isinstance(text, str) and len(text) >= CARD_HASH_CHARACTERS for text in listed)
    return {text[:CARD_HASH_CHARACTERS] for text in listed} if whole else None


def _copies(card: Any, dataset: Dataset, parts: Sequence[str]) -> set[str] | None:
    """Films of another dataset that look like films of the card's parts; None where it cannot be told."""
    found: set[str] = set()
    for part in parts:
        near = copies_in_card(dataset.films, card["parts"][part].get("thumbnails"))
        if near is None:
            return None
        found |= near
    return found


def _made_from(
    dataset: Dataset, films: Sequence[Film], hashes: set[str], copies: set[str]
) -> list[Film]:
    """The films that the hashes or copies name, or that belong with one that they name, in order."""
    named = copies | {
        f.film_id for f in dataset.films if f.pixel_sha256[:CARD_HASH_CHARACTERS] in hashes
    }
    if not named:
        return []
    leaky: set[str] = set()
    for group in linked_groups(dataset.films):
        if any(film.film_id in named for film in group):
            leaky.update(film.film_id for film in group)
    return [film for film in films if film.film_id in leaky]
