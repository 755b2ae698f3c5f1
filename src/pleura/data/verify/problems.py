"""What `pleura verify` can find: every code with how bad it is and what it means."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]

CODES: dict[str, tuple[Severity, str]] = {
    # The files
    "image-missing": ("error", "The image file is missing: prepare the dataset again."),
    "image-unreadable": ("error", "The image file is damaged: prepare the dataset again."),
    "image-size": ("error", "The image is not of its source's shape: prepare the dataset again."),
    "image-blank": ("error", "The image is one even grey: there is no film to learn from."),
    "image-changed": ("error", "The image is not the one that was prepared: prepare it again."),
    "mask-missing": ("error", "The mask file is missing: prepare the dataset again."),
    "mask-unreadable": ("error", "The mask is damaged or of another size: prepare it again."),
    "mask-area": ("error", "The mask's area is not what the manifest says: prepare it again."),
    "mask-changed": ("error", "The mask is not the one that was prepared: prepare it again."),
    "mask-on-blank": ("warning", "Most of the mask lies on black: does it belong to this film?"),
    "path-outside": ("error", "The manifest names a file outside of the dataset."),
    "not-prepared": ("warning", "Source files could not be prepared; see failures.csv."),
    # The labels
    "repeated-id": ("error", "Two films have the same film_id."),
    "damaged-row": ("error", "The manifest's row cannot be right: prepare the dataset again."),
    "mask-empty": ("error", "The film is labelled positive, but its mask is empty."),
    "positive-without-mask": (
        "error",
        "The film is labelled positive, but has no mask: a network would learn that it is negative.",
    ),
    "negative-with-mask": ("error", "The film is labelled negative, but has a mask."),
    "unlabelled-with-mask": ("warning", "The film has a mask, but no label: it is not trained on."),
    "annotations-differ": (
        "warning",
        "annotations.csv and the manifest tell different numbers of annotations.",
    ),
    "mask-huge": ("warning", "The mask covers more than 40 % of the image."),
    "mask-tiny": ("info", "The mask covers less than 0.02 % of the image."),
    # Copies and patients
    "equal-pixels-other-label": ("error", "The same film has contradictory labels."),
    "equal-pixels": ("warning", "The same film is in the dataset more than once."),
    "near-copies-other-label": ("warning", "Copies of one film have contradictory labels."),
    "near-copies": ("warning", "One film seems to be in the dataset more than once, re-encoded."),
    "unknown-patients": (
        "warning",
        "It is not known whose films these are: leaks between parts cannot be excluded.",
    ),
    "leak": ("error", "A patient or a film stands on both sides of the split."),
    "split-stale": (
        "error",
        "The split is not of this dataset: make it again with `pleura split`.",
    ),
    # The whole
    "one-class": ("error", "All labelled films are of one class: nothing can be learnt."),
    "one-class-corpus": (
        "warning",
        "All labelled films of the corpus are of one class: its look gives the answer away.",
    ),
    "uneven-corpora": (
        "warning",
        "Positives are much more frequent in one corpus than in another: the source is a shortcut "
        "a network will find. Report by corpus.",
    ),
    # The looks
    "odd-brightness": ("warning", "Much brighter or darker than the others."),
    "odd-contrast": ("warning", "Of much more or less contrast than the others."),
    "odd-noise": ("warning", "Much noisier or smoother than the others."),
    "odd-sharpness": ("warning", "Much sharper or more blurred than the others."),
    "odd-aspect": ("warning", "Much taller or wider than a chest film is."),
    "small": ("warning", "So small that a detector declines it: no use to train or score on."),
    "not-frontal": ("warning", "By its header no frontal film: a detector declines it."),
    "looks-inverted": ("warning", "Dark where the others are bright: is the film inverted?"),
    "looks-turned": ("warning", "Fits the others better upside down: is it turned?"),
    "unlike-the-rest": ("info", "Resembles the others little: a child, a turn, a hand?"),
    "implausible-age": ("info", "The age is not one a person can have."),
    "implausible-spacing": (
        "info",
        "The spacing would make the chest smaller or larger than any is.",
    ),
}

RANK: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Problem:
    """One kind of thing that is wrong, and with which films.

    Attributes:
        code: a key of `CODES`.
        films: film_id of each film concerned; empty where it concerns the dataset.
        details: what exactly, for each film, or one for the dataset.
    """

    code: str
    films: tuple[str, ...] = ()
    details: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        """How bad it is: an `error` makes training unsafe."""
        return CODES[self.code][0]

    @property
    def message(self) -> str:
        """What it means, in a sentence."""
        return CODES[self.code][1]

    @property
    def count(self) -> int:
        """How many films it concerns, or how many times it was met."""
        return len(self.films) or len(self.details)


class Problems:
    """Gathers what is found, one `Problem` a code."""

    def __init__(self) -> None:
        self._films: dict[str, list[str]] = {}
        self._details: dict[str, list[str]] = {}

    def add(self, code: str, film_id: str | None = None, detail: str = "") -> None:
        """Notes that `code` was met, in a film or in the dataset."""
        if code not in CODES:
            raise KeyError(code)
        if film_id is not None:
            self._films.setdefault(code, []).append(film_id)
        self._details.setdefault(code, []).append(detail)

    def add_all(self, code: str, film_ids: Iterable[str], detail: str = "") -> None:
        """Notes `code` for each of `film_ids`."""
        for film_id in film_ids:
            self.add(code, film_id, detail)

    def gathered(self) -> tuple[Problem, ...]:
        """All of them, the gravest first, otherwise as `CODES` lists them."""
        order = sorted(
            self._details, key=lambda code: (RANK[CODES[code][0]], list(CODES).index(code))
        )
        return tuple(
            Problem(code, tuple(self._films.get(code, ())), tuple(self._details[code]))
            for code in order
        )
