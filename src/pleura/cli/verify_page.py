"""The page of `pleura verify`: what was found, how the films look, and the odd ones to look at."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pleura.data.manifest import Dataset, Film
from pleura.data.verify import SCORED, Z_LIMIT, Verification
from pleura.errors import DatasetError
from pleura.outputs.charts import histogram
from pleura.outputs.html import jpeg_uri, render
from pleura.radiograph import View

GALLERY = 60
THUMBNAIL_PX = 160
MAX_LISTED = 200
MAX_GROUPS = 4
_OUTLINE = (255, 170, 60)
_VIEWS: tuple[View | None, ...] = ("PA", "AP", "lateral", "other", None)
_LABELS = {
    "brightness": "mean of the pixels, 0 to 1",
    "contrast": "95th less 5th percentile, 0 to 1",
    "noise": "log10 of the standard deviation in grey levels of 255",
    "sharpness": "log10 of the variance of the Laplacian",
}


def page(found: Verification, dataset: Dataset) -> str:
    """The page as HTML, with all that it shows inside it."""
    labelled = [film for film in dataset.films if film.label is not None]
    positive = [film for film in labelled if film.label == 1]
    known = {film.patient_id for film in dataset.films if film.patient_basis != "film"}
    return render(
        "verify.html.j2",
        facts=found.facts(),
        target=dataset.target.name,
        errors=len(found.of("error")),
        warnings=len(found.of("warning")),
        positive=len(positive),
        labelled=len(labelled),
        patients=len(known),
        unknown_patients=sum(film.patient_basis == "film" for film in dataset.films),
        problems=[
            {
                "severity": p.severity,
                "code": p.code,
                "message": p.message,
                "count": p.count,
                "rows": list(_rows(p.films, p.details))[:MAX_LISTED],
            }
            for p in found.problems
        ],
        charts=_charts(found, dataset),
        views=_views(dataset.films),
        gallery=_gallery(found, dataset),
        z_limit=Z_LIMIT,
        listed=MAX_LISTED,
    )


def _rows(films: tuple[str, ...], details: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    if films:
        yield from zip(films, details, strict=True)
    else:
        yield from (("", detail) for detail in details)


def _charts(found: Verification, dataset: Dataset) -> list[Markup]:
    films = dataset.films
    areas = {
        f.film_id: np.log10(100 * f.mask_area_fraction)
        for f in films
        if f.label == 1 and f.mask_area_fraction
    }
    ages = {f.film_id: f.age_years for f in films if f.age_years is not None}
    charts = []
    if areas:
        charts.append(
            _chart(
                dataset,
                areas,
                "Mask area of the positives",
                "log10 of the % of the image: −1 is 0.1 %, 0 is 1 %, 1 is 10 %",
            )
        )
    for name in SCORED:
        values = found.looks[name]
        if name in ("noise", "sharpness"):
            values = np.log10(np.maximum(values, 1e-3))
        named = dict(zip(found.film_ids, values.tolist(), strict=True))
        charts.append(_chart(dataset, named, name.capitalize(), _LABELS[name]))
    if ages:
        charts.append(_chart(dataset, ages, "Age", "years", limits=(0.0, 100.0)))
    return charts


def _chart(
    dataset: Dataset,
    values: Mapping[str, float],
    title: str,
    xlabel: str,
    limits: tuple[float, float] | None = None,
) -> Markup:
    """A histogram by corpus; the smaller corpora together where there are many."""
    common = [name for name, _ in Counter(f.corpus for f in dataset.films).most_common(MAX_GROUPS)]
    groups: dict[str, list[float]] = {name: [] for name in common}
    for film in dataset.films:
        if film.film_id in values:
            name = film.corpus if film.corpus in common else "other corpora"
            groups.setdefault(name, []).append(values[film.film_id])
    return histogram(
        {name: group for name, group in groups.items() if group},
        title=title,
        xlabel=xlabel,
        limits=limits,
        bins=int(np.clip(2 * np.sqrt(len(values)), 8, 40)),
    )


def _views(films: Iterable[Film]) -> list[dict[str, Any]]:
    """How many films of each view there are, and how many of them are positive."""
    counts = Counter((film.view, film.label) for film in films)
    rows = []
    for view in _VIEWS:
        positive, negative, bare = (counts[view, label] for label in (1, 0, None))
        if positive + negative + bare:
            share = positive / (positive + negative) if positive + negative else None
            rows.append(
                {
                    "view": view or "not stated",
                    "films": positive + negative + bare,
                    "positive": positive,
                    "share": share,
                }
            )
    return rows


def _gallery(found: Verification, dataset: Dataset) -> list[dict[str, Any]]:
    """Films to look at, taken in turn from each kind of problem, with all that is odd about each."""
    why: dict[str, list[str]] = {}
    queues = []
    for problem in found.problems:
        if problem.films and problem.code != "unknown-patients":
            for film_id, detail in zip(problem.films, problem.details, strict=True):
                why.setdefault(film_id, []).append(detail or problem.message)
            queues.append(_strangest_first(problem.films, found))
    chosen: dict[str, None] = {}
    for turn in range(max(map(len, queues), default=0)):
        for queue in queues:
            if turn < len(queue) and len(chosen) < GALLERY:
                chosen.setdefault(queue[turn])
    shown = []
    for film_id in chosen:
        film = dataset.by_id[film_id]
        image = _thumbnail(dataset, film)
        if image is not None:
            shown.append(
                {
                    "film_id": film_id,
                    "image": jpeg_uri(image, quality=80),
                    "kind": _kind(film),
                    "why": why[film_id],
                }
            )
    return shown


def _strangest_first(film_ids: tuple[str, ...], found: Verification) -> list[str]:
    strange = np.max(np.abs(np.stack(list(found.scores.values()))), axis=0)
    place = {film_id: index for index, film_id in enumerate(found.film_ids)}
    return sorted(dict.fromkeys(film_ids), key=lambda film_id: -strange[place[film_id]])


def _kind(film: Film) -> str:
    label = "unlabelled" if film.label is None else ("positive" if film.label else "negative")
    return ", ".join(filter(None, (film.corpus, label, film.view)))


def _thumbnail(dataset: Dataset, film: Film) -> NDArray[np.uint8] | None:
    """The film at most `THUMBNAIL_PX` wide and high, its mask outlined; None where it cannot be read."""
    try:
        pixels = dataset.pixels(film)
    except DatasetError:
        return None
    scale = THUMBNAIL_PX / max(pixels.shape)
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    image = np.repeat((small * 255).round().astype(np.uint8)[..., None], 3, axis=2)
    try:
        mask = dataset.mask(film) if film.mask is not None and film.label is not None else None
    except DatasetError:
        mask = None
    if mask is not None and mask.any():
        shares = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        outlines, _ = cv2.findContours(
            (shares > min(0.5, shares.max() / 2)).astype(np.uint8),
            cv2.RETR_EXTERNAL,
            cv2.CHAIN_APPROX_NONE,
        )
        cv2.drawContours(image, outlines, -1, _OUTLINE, 1)
    return image
