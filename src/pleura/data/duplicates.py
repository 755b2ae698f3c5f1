"""The same film met twice: by its pixels exactly, and by its thumbnail when it was re-encoded or rescaled.

The distance of two films is ``1 - r``, r the correlation of their 16x16 thumbnails: blind to size,
aspect and a linear change of grey levels, as a second window would make. Measured on 5,765 real chest
films of five sources (16.6 million pairs) and on copies made of 1,084 of them:

    copy at 512² by JPEG 75, area averaging and WebP 85          at most 0.00014
    copy at 256² by JPEG 30                                      at most 0.00057
    copy squeezed to 300x250 without averaging                   at most 0.00056
    other films of the same patient (5,199 pairs)                from 0.0068, median 0.22
    films of two patients (2.6 million pairs)                    from 0.0165
    different films whose patients are unknown                   from 0.0089
    copy with another gamma (0.8)                                0.003 to 0.0077: not told apart
    copy cropped by 2 % a side, or histogram-equalised           not told apart

`NEAR` stands between: 3.5 times the worst copy, 3.4 times below the nearest other film. Finer thumbnails
have a narrower margin (32x32: 0.0012 against 0.0106), because resampling differs more there. The
search also met one true copy that no table names: a training film of the challenge in its stage-2 test set.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.data.manifest import Film

NEAR = 0.002
SIDE = 16
_BLOCK = 2048
_FLAT = 1.0  # grey levels of standard deviation below which a thumbnail says nothing
_QUALITY = {"expert": 0, "silver": 1, "none": 2}
_PATIENT = {"table": 0, "header": 1, "film": 2}


def thumbnail(pixels: NDArray[np.float32]) -> str:
    """The 16x16 area-averaged grey levels of float32 (H, W) in [0, 1], hex, row by row."""
    small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(small * 255), 0, 255).astype(np.uint8).tobytes().hex()


def near_duplicates(
    films: Sequence[Film], *, threshold: float = NEAR
) -> list[tuple[int, int, float]]:
    """The pairs of films whose thumbnails are nearer than `threshold`.

    Every pair is compared, in blocks of float32 matrix products: 12,000 films take about two seconds.
    A film of one even grey is near to nothing; two of them are told equal by `pixel_sha256`.

    Returns:
        (i, j, distance), i < j, positions in `films`, in order; distance 0 to `threshold`.
    """
    units = _unit_vectors(films)  # (N, 256)
    pairs: list[tuple[int, int, float]] = []
    for top in range(0, len(units), _BLOCK):
        rows = units[top : top + _BLOCK]
        for left in range(top, len(units), _BLOCK):
            distance = 1.0 - rows @ units[left : left + _BLOCK].T
            found = np.argwhere(distance < threshold)
            pairs += [
                (top + int(i), left + int(j), max(0.0, float(distance[i, j])))
                for i, j in found
                if top + i < left + j
            ]
    return sorted(pairs)


def _unit_vectors(films: Sequence[Film]) -> NDArray[np.float32]:
    """The thumbnails as `unit_rows`, float32 (N, 256)."""
    if not films:
        return np.zeros((0, SIDE * SIDE), dtype=np.float32)
    levels = [np.frombuffer(bytes.fromhex(film.thumbnail), dtype=np.uint8) for film in films]
    return unit_rows(np.stack(levels))


def unit_rows(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey levels (N, K), a film each, with zero mean and unit length; zeros, near to nothing, where one is
    flat. The product of two rows is their correlation."""
    vectors = levels.astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    flat = length < _FLAT * levels.shape[1] ** 0.5
    return np.where(flat, 0, vectors / np.where(flat, 1, length)).astype(np.float32)


def keep_once(films: Sequence[Film]) -> tuple[list[Film], list[tuple[str, str]]]:
    """Keeps one of each film: the best labelled, among equals the first listed.

    Films of equal pixels are one film wherever they came from. Near duplicates are one film only across
    corpora: within a corpus, two films of a patient may be alike, and `pleura verify` shows them.

    The kept film names the others in `also_in`. Patients whose films are copies of one another are one: all
    films of theirs take the `patient_id` that is known best, so that nothing is lost with a dropped copy.

    Returns:
        the kept films in the order given, and (source, reason) for each dropped film whose label
        contradicts the kept one's at equal label quality.
    """
    alike: dict[int, list[tuple[float, int]]] = {}
    for i, j, distance in near_duplicates(films):
        if films[i].corpus != films[j].corpus:
            alike.setdefault(i, []).append((distance, j))
            alike.setdefault(j, []).append((distance, i))
    order = sorted(range(len(films)), key=lambda i: (_QUALITY[films[i].label_quality], i))
    by_pixels: dict[str, int] = {}
    kept: dict[int, Film] = {}
    contradictions: list[tuple[str, str]] = []
    for i in order:
        film = films[i]
        same = by_pixels.setdefault(film.pixel_sha256, i)
        if same == i:
            near = [(d, j) for d, j in alike.get(i, ()) if j in kept]
            same = min(near)[1] if near else i
        if same == i:
            kept[i] = film
            continue
        by_pixels[film.pixel_sha256] = same
        kept[same] = _folded(kept[same], film)
        if film.label_quality == kept[same].label_quality and film.label != kept[same].label:
            contradictions.append((_place(film), _contradiction(film, kept[same])))
    places = [*sorted(kept), *(i for i in order if i not in kept)]
    pairs = ((films[i], films[j]) for i, near in alike.items() for _, j in near)
    patients = _patients([films[i] for i in places], pairs)
    merged = (replace(kept[i], **patients.get(kept[i].patient_id, {})) for i in sorted(kept))
    return list(merged), contradictions


def _patients(
    films: Sequence[Film], pairs: Iterable[tuple[Film, Film]]
) -> dict[str, dict[str, Any]]:
    """For each `patient_id` that is one with another, the fields of the one that both become.

    Args:
        films: all, dropped copies last; among equals the first one's patient stays.
        pairs: near duplicates; films of equal pixels are found here.
    """
    known: dict[str, Film] = {}  # the film that says best who the patient is
    for film in films:
        best = known.setdefault(film.patient_id, film)
        if _PATIENT[film.patient_basis] < _PATIENT[best.patient_basis]:
            known[film.patient_id] = film
    joined = {patient_id: patient_id for patient_id in known}

    def root(patient_id: str) -> str:
        while joined[patient_id] != patient_id:
            joined[patient_id] = patient_id = joined[joined[patient_id]]
        return patient_id

    order = {patient_id: number for number, patient_id in enumerate(known)}
    by_pixels: dict[str, Film] = {}
    equal = ((by_pixels.setdefault(film.pixel_sha256, film), film) for film in films)
    for one, other in chain(equal, pairs):
        a, b = root(one.patient_id), root(other.patient_id)
        better = min(a, b, key=lambda p: (_PATIENT[known[p].patient_basis], order[p]))
        joined[a] = joined[b] = better
    changed = [p for p in known if root(p) != p]
    return {
        p: {"patient_id": root(p), "patient_basis": known[root(p)].patient_basis} for p in changed
    }


def _folded(keep: Film, drop: Film) -> Film:
    return replace(keep, also_in=(*keep.also_in, _place(drop).replace("|", "%7C")))


def _place(film: Film) -> str:
    return f"{film.corpus}:{film.source_path}"


def _contradiction(dropped: Film, kept: Film) -> str:
    words = {0: "negative", 1: "positive", None: "unlabelled"}
    return (
        f"the same film as {_place(kept)}, but labelled {words[dropped.label]} where that is "
        f"{words[kept.label]}; the latter was kept: look at both"
    )
