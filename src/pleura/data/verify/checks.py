"""What the tables of a dataset say about its films: labels, copies, patients, balance, the split."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pleura.data.duplicates import near_duplicates
from pleura.data.manifest import Dataset, Film
from pleura.data.split.file import Split
from pleura.data.split.linked import straddling, thumbnail_is_whole, why_linked
from pleura.data.verify.problems import Problems
from pleura.errors import DatasetError, LeakError
from pleura.radiograph import MIN_SIDE_PX

HUGE_FRACTION, TINY_FRACTION = 0.4, 0.0002
PLAUSIBLE_AGE_YEARS = (0.0, 115.0)
PLAUSIBLE_ASPECT = (0.6, 1.67)
MIN_CORPUS = 20
"""Labelled films from which on a corpus's share of positives is compared."""
UNEVEN_SHARES = 0.2
MAX_FAILURES_SHOWN = 1000


@dataclass(frozen=True)
class CorpusRow:
    """How many films of one corpus and label quality there are, and of which kind."""

    corpus: str
    label_quality: str
    films: int
    positive: int
    negative: int
    unlabelled: int
    patients: int | None
    """None where they are unknown."""

    @property
    def share(self) -> float | None:
        """Of positives among the labelled, 0 to 1."""
        labelled = self.positive + self.negative
        return self.positive / labelled if labelled else None


def check_labels(films: Sequence[Film], problems: Problems) -> None:
    """Each row by itself: label against mask, and what cannot be right."""
    for film in films:
        area, name = film.mask_area_fraction or 0.0, film.film_id
        if film.label not in (0, 1, None):
            problems.add("damaged-row", name, f"label {film.label}")
        if film.rows < 1 or film.columns < 1 or not thumbnail_is_whole(film):
            problems.add("damaged-row", name, "size or thumbnail")
        if film.label == 1 and film.mask is None:
            problems.add("positive-without-mask", name)
        if film.label == 0 and (film.mask is not None or film.mask_area_px):
            problems.add("negative-with-mask", name, f"the mask covers {area:.2%} of the image")
        if film.label is None and film.mask is not None:
            problems.add("unlabelled-with-mask", name)
        if film.label == 1 and area > HUGE_FRACTION:
            problems.add("mask-huge", name, f"the mask covers {area:.0%} of the image")
        if film.label == 1 and 0 < area < TINY_FRACTION:
            problems.add(
                "mask-tiny", name, f"mask of {film.mask_area_px} px, {area:.3%} of the image"
            )
        low, high = PLAUSIBLE_AGE_YEARS
        if film.age_years is not None and not low <= film.age_years <= high:
            problems.add("implausible-age", name, f"aged {film.age_years:g} years")
        if film.spacing_basis == "implausible":
            problems.add("implausible-spacing", name)
        if not PLAUSIBLE_ASPECT[0] <= film.rows / max(film.columns, 1) <= PLAUSIBLE_ASPECT[1]:
            problems.add("odd-aspect", name, f"{film.rows} rows by {film.columns} columns")
        if 0 < min(film.rows, film.columns) < MIN_SIDE_PX:
            problems.add("small", name, f"{film.rows} rows by {film.columns} columns")
        if film.view in ("lateral", "other"):
            problems.add("not-frontal", name, f"the view is {film.view}")
    repeated = Counter(film.film_id for film in films)
    problems.add_all("repeated-id", (name for name, count in repeated.items() if count > 1))


def check_copies(films: Sequence[Film], problems: Problems) -> None:
    """Films met more than once: equal in their pixels, or copies of one another."""
    equal: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        equal[film.pixel_sha256].append(film)
    for group in equal.values():
        if len(group) > 1:
            code = "equal-pixels" + ("" if _agree(group) else "-other-label")
            detail = " = ".join(_said(film) for film in group[:8])
            problems.add_all(code, (film.film_id for film in group), detail)
    whole = [film for film in films if thumbnail_is_whole(film)]
    for first, second, distance in near_duplicates(whole):
        pair = (whole[first], whole[second])
        if pair[0].pixel_sha256 != pair[1].pixel_sha256:
            code = "near-copies" + ("" if _agree(pair) else "-other-label")
            detail = f"{_said(pair[0])} and {_said(pair[1])}, distance {distance:.5f}"
            problems.add_all(code, (film.film_id for film in pair), detail)


def check_patients(films: Iterable[Film], problems: Problems) -> None:
    """Films whose patients nobody knows."""
    unknown = [film.film_id for film in films if film.patient_basis == "film"]
    problems.add_all("unknown-patients", unknown)


def check_split(dataset: Dataset, split: Split, problems: Problems) -> None:
    """Whether the split is of this dataset and nothing leaks between its parts."""
    try:
        split.check(dataset)
    except LeakError:
        for (a, side_a), (b, side_b) in straddling(dataset.films, split.sides()):
            detail = f"{a.film_id} ({side_a}), {b.film_id} ({side_b}): {why_linked(a, b)}"
            problems.add_all("leak", (a.film_id, b.film_id), detail)
    except DatasetError as error:
        problems.add("split-stale", detail=str(error))


def corpus_rows(films: Iterable[Film]) -> tuple[CorpusRow, ...]:
    """The films counted by corpus and label quality, in the order of their names."""
    groups: dict[tuple[str, str], list[Film]] = defaultdict(list)
    for film in films:
        groups[film.corpus, film.label_quality].append(film)
    rows = []
    for (corpus, quality), group in sorted(groups.items()):
        labels = Counter(film.label for film in group)
        known = {film.patient_id for film in group if film.patient_basis != "film"}
        rows.append(
            CorpusRow(
                corpus, quality, len(group), labels[1], labels[0], labels[None], len(known) or None
            )
        )
    return tuple(rows)


def check_balance(rows: Sequence[CorpusRow], problems: Problems) -> None:
    """Whether there are both classes, and whether the corpus alone tells them apart."""
    positive, negative = sum(r.positive for r in rows), sum(r.negative for r in rows)
    if not positive or not negative:
        problems.add("one-class", detail=f"{positive} positive, {negative} negative")
        return
    large = [row for row in rows if row.positive + row.negative >= MIN_CORPUS]
    shares = [(row.share, row) for row in large if row.share is not None]
    for share, row in shares:
        if share in (0.0, 1.0):
            kind = "positive" if share else "negative"
            problems.add("one-class-corpus", detail=f"{row.corpus} ({row.label_quality}): {kind}")
    mixed = sorted((share, row.corpus, row.label_quality) for share, row in shares if share)
    if mixed and mixed[-1][0] - mixed[0][0] > UNEVEN_SHARES:
        detail = ", ".join(f"{name} ({quality}) {share:.0%}" for share, name, quality in mixed)
        problems.add("uneven-corpora", detail=detail)


def check_tables(dataset: Dataset, problems: Problems) -> None:
    """failures.csv, and annotations.csv against the manifest."""
    failures = dataset.root / "failures.csv"
    if failures.is_file():
        try:
            with failures.open(newline="", encoding="utf-8") as file:
                for number, row in enumerate(csv.reader(file)):
                    if 0 < number <= MAX_FAILURES_SHOWN:
                        problems.add("not-prepared", detail=": ".join(row[:2]))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            problems.add("not-prepared", detail=f"failures.csv cannot be read: {error}")
    path = dataset.root / "annotations.csv"
    if path.is_file():
        counts = _annotations(path.read_bytes())
        for film in dataset.films:
            if counts[film.film_id] != film.annotations:
                detail = f"{counts[film.film_id]} rows, the manifest says {film.annotations}"
                problems.add("annotations-differ", film.film_id, detail)


def _annotations(content: bytes) -> Counter[str]:
    """How many rows draw a mask on each film; rows that say there is none do not count."""
    # Film ids hold no comma or quote, so the first cell needs no CSV reader, whose cells are limited.
    rows = (line.split(b",", 2) for line in content.splitlines()[1:])
    drawn = (row for row in rows if len(row) == 3 and row[2].strip(b' "') not in (b"-1", b""))
    return Counter(row[0].decode("utf-8", "replace") for row in drawn)


def _agree(films: Iterable[Film]) -> bool:
    return len({film.label for film in films if film.label is not None}) < 2


def _said(film: Film) -> str:
    kind = {0: "negative", 1: "positive", None: "unlabelled"}.get(film.label, "?")
    return f"{film.film_id} ({kind}, patient {film.patient_id})"
