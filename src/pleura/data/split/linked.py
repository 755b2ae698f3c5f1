"""Which films belong together, so that no split may part them: one patient's, or copies of one film."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pleura.data.duplicates import SIDE, near_duplicates
from pleura.data.manifest import Film

_THUMBNAIL = re.compile(f"[0-9a-f]{{{2 * SIDE * SIDE}}}")


def linked_groups(films: Sequence[Film]) -> list[tuple[Film, ...]]:
    """The films in groups that have to stay together.

    Two films are linked when they are of one `patient_id`, have equal pixels, or are near duplicates;
    groups are the connected components of these links, since a copy kept under another
    patient's name makes the two patients one.

    Returns:
        Every film in exactly one group; films by `film_id`, groups by their first film, whatever the
        order of `films`.
    """
    films = sorted(films, key=lambda film: film.film_id)
    parents = list(range(len(films)))
    for bucket in _buckets(films):
        for index in bucket[1:]:
            _join(parents, bucket[0], index)
    for first, second in copies(films):
        _join(parents, first, second)
    groups: dict[int, list[Film]] = defaultdict(list)
    for index, film in enumerate(films):
        groups[_root(parents, index)].append(film)
    return [tuple(group) for group in groups.values()]


def copies(films: Sequence[Film]) -> Iterable[tuple[int, int]]:
    """Index pairs of films that show the same exposure, by their thumbnails; skips damaged ones."""
    whole = [i for i, film in enumerate(films) if thumbnail_is_whole(film)]
    for first, second, _ in near_duplicates([films[i] for i in whole]):
        yield whole[first], whole[second]


def thumbnail_is_whole(film: Film) -> bool:
    """Whether the film's thumbnail can be compared with others."""
    return _THUMBNAIL.fullmatch(film.thumbnail) is not None


def why_linked(first: Film, second: Film) -> str:
    """Why two films of one group belong together, for a message."""
    if first.patient_id == second.patient_id:
        return f"both are of patient {first.patient_id}"
    if first.pixel_sha256 == second.pixel_sha256:
        return f"equal pixels, of patients {first.patient_id} and {second.patient_id}"
    return (
        f"copies of one film, or linked by copies, of patients {first.patient_id} "
        f"and {second.patient_id}"
    )


def straddling(
    films: Sequence[Film], sides: Mapping[str, str]
) -> list[tuple[tuple[Film, str], tuple[Film, str]]]:
    """One pair of linked films for each group that stands on more than one side.

    Args:
        films: all films of the dataset.
        sides: the side each film stands on, by `film_id`; films without one are on none, but still
            link others.
    """
    found = []
    for group in linked_groups(films):
        first_on: dict[str, Film] = {}
        for film in group:
            if film.film_id in sides:
                first_on.setdefault(sides[film.film_id], film)
        if len(first_on) > 1:
            (side_a, film_a), (side_b, film_b) = list(first_on.items())[:2]
            found.append(((film_a, side_a), (film_b, side_b)))
    return found


def _buckets(films: Sequence[Film]) -> Iterable[list[int]]:
    by_patient: dict[str, list[int]] = defaultdict(list)
    by_pixels: dict[str, list[int]] = defaultdict(list)
    for index, film in enumerate(films):
        by_patient[film.patient_id].append(index)
        by_pixels[film.pixel_sha256].append(index)
    yield from by_patient.values()
    yield from by_pixels.values()


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


def _join(parents: list[int], first: int, second: int) -> None:
    # The smaller root wins, so that a group is named by its first film.
    a, b = _root(parents, first), _root(parents, second)
    parents[max(a, b)] = min(a, b)
