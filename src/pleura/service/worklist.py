"""The worklist: films sorted, filtered and paged."""

import base64
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pleura.service.problems import Refused
from pleura.service.store import Store

# Each rises, so that one comparison of tuples finds the next page.
SORTS: Mapping[str, tuple[str, ...]] = {
    "suspicion": ("-suspicion",),
    "received": ("-received",),
    "name": ("name_key",),
    "age": ("-coalesce(age_years, -1)",),
    "read": ('"read"', "-suspicion"),
}
_MOST_WORDS = 10

_JUDGED = "state IN ('positive', 'negative')"
_POSITIVE_AT = "(coalesce(has_regions, 0) AND probability >= ?)"


class Page(NamedTuple):
    """Rows, where the next ones start (None: there are none), and how many there are in all."""

    rows: list[sqlite3.Row]
    next: str | None
    total: int


@dataclass(frozen=True)
class Query:
    """What of the worklist is wanted; see docs/reference/api.md for the values."""

    sort: str = "suspicion"
    reversed: bool = False
    limit: int = 100
    cursor: str | None = None
    states: Sequence[str] = ()
    views: Sequence[str] = ()
    unread: bool | None = None
    corrected: bool | None = None
    verdict: str | None = None
    side: str | None = None
    min_probability: float | None = None
    max_probability: float | None = None
    words: str = ""
    job: str | None = None
    study: str | None = None
    changes_at: float | None = None


def page(store: Store, query: Query) -> Page:
    """A page of films.

    Raises:
        Refused: the cursor is of another query.
    """
    where, values = _filter(query)
    keys = (*SORTS[query.sort], "id")
    total = store.database.rows(f"SELECT count(*) AS n FROM films WHERE {where}", *values)[0]["n"]
    if query.cursor is not None:
        after = _unpacked(query.cursor, query)
        sign = "<" if query.reversed else ">"
        where += f" AND ({', '.join(keys)}) {sign} ({', '.join('?' * len(keys))})"
        values += after
    direction = "DESC" if query.reversed else "ASC"
    order = ", ".join(f"{key} {direction}" for key in keys)
    chosen = ", ".join(f"{key} AS key{n}" for n, key in enumerate(keys))
    rows = store.database.rows(
        f"SELECT films.*, {chosen} FROM films WHERE {where} ORDER BY {order} LIMIT ?",
        *values,
        query.limit + 1,
    )
    following = None
    if len(rows) > query.limit:
        rows = rows[: query.limit]
        following = _packed([rows[-1][f"key{n}"] for n in range(len(keys))], query)
    return Page(rows, following, total)


def at_threshold(store: Store, query: Query, presence: float) -> dict[str, int]:
    """How many of the films that `query` finds would be positive from another presence threshold on.

    Args:
        store: of the films; nothing in it is changed.
        query: its order and page do not matter.
        presence: in the units of `probability`.

    Returns:
        `judged` films; those `positive` now, and those that `would` be; those `gained` and `lost`; those of
        which it is `unknown`, since no map was made of them.
    """
    where, values = _filter(query)
    row = store.database.rows(
        "SELECT count(*) AS judged, total(positive) AS positive, total(would) AS would, "
        "total(would > positive) AS gained, total(would < positive) AS lost, total(unknown) AS unknown "
        f"FROM (SELECT state = 'positive' AS positive, {_POSITIVE_AT} AS would, "
        "has_regions IS NULL AND probability >= ? AS unknown "
        f"FROM films WHERE {_JUDGED} AND {where})",
        presence,
        presence,
        *values,
    )[0]
    return {name: int(row[name]) for name in row.keys()}  # noqa: SIM118 - a row of sqlite3 iterates over its values


def _filter(query: Query) -> tuple[str, list[Any]]:
    """An SQL condition of fixed words, and the values for its question marks."""
    parts: list[str] = ["1"]
    values: list[Any] = []
    if query.states:
        parts.append(f"state IN ({', '.join('?' * len(query.states))})")
        values += query.states
    if query.views:
        parts.append(f"coalesce(view, 'unknown') IN ({', '.join('?' * len(query.views))})")
        values += query.views
    for condition, wanted in (
        ('NOT "read"', query.unread),
        ("verdict IS NOT NULL", query.corrected),
    ):
        if wanted is not None:
            parts.append(condition if wanted else f"NOT ({condition})")
    for condition, value in (
        ("verdict = ?", query.verdict),
        ("side = ?", query.side),
        ("probability >= ?", query.min_probability),
        ("probability <= ?", query.max_probability),
        ("study = ?", query.study),
        (f"{_JUDGED} AND {_POSITIVE_AT} != (state = 'positive')", query.changes_at),
        ("id IN (SELECT film FROM job_films WHERE job_films.job = ?)", query.job),
    ):
        if value is not None:
            parts.append(condition)
            values.append(value)
    for word in query.words.casefold().split()[:_MOST_WORDS]:
        parts.append("instr(search, ?) > 0")
        values.append(word)
    return " AND ".join(parts), values


def _packed(keys: Sequence[Any], query: Query) -> str:
    text = json.dumps([query.sort, query.reversed, *keys], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpacked(cursor: str, query: Query) -> list[Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        sort, is_reversed, *keys = json.loads(base64.b64decode(padded, b"-_", validate=True))
        plain = all(_is_plain(key) for key in keys)
        fits = (sort, is_reversed) == (query.sort, query.reversed)
        if plain and fits and len(keys) == len(SORTS[query.sort]) + 1:
            return list(keys)
    except (ValueError, TypeError, RecursionError):
        pass
    raise Refused(422, "the cursor is not one of this list in this order; start without a cursor")


def _is_plain(key: Any) -> bool:
    """Whether SQLite takes it.

    Raises:
        ValueError: half a character.
    """
    if isinstance(key, str):
        key.encode()
        return True
    return isinstance(key, float) or (isinstance(key, int) and abs(key) < 2**63)


def summary(row: sqlite3.Row) -> dict[str, Any]:
    """A film as lists show it."""
    return {
        **{name: row[name] for name in _SUMMARY},
        "received": moment(row["received"]),
        "calibrated": _whether(row["calibrated"]),
        "model_sha256": json.loads(row["finding"])["model_sha256"] if row["finding"] else None,
        "has_regions": _whether(row["has_regions"]),
        "read": bool(row["read"]),
    }


def _whether(value: int | None) -> bool | None:
    return None if value is None else bool(value)


_SUMMARY = (
    "id", "revision", "name", "study", "job", "state", "reason", "probability", "side", "area_fraction",
    "area_mm2", "view", "age_years", "sex", "patient_id", "modality", "study_date", "rows", "columns",
    "verdict",
)  # fmt: skip


def moment(seconds: float) -> str:
    """A time since 1970 in ISO 8601, UTC."""
    return (
        datetime.fromtimestamp(seconds, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def detail(row: sqlite3.Row) -> dict[str, Any]:
    """All that the index has of a film."""
    facts = json.loads(row["facts"]) if row["facts"] else {}
    film = facts.get("film", {})
    return {
        **summary(row),
        "sha256": row["sha256"],
        "bytes": row["bytes"],
        "format": film.get("source_format"),
        "study_instance_uid": row["study_instance_uid"],
        **{name: film.get(name) for name in _FACTS},
        "notes": film.get("notes", []),
        "viewing": facts.get("viewing"),
        "finding": json.loads(row["finding"]) if row["finding"] else None,
        "operating_point": json.loads(row["operating_point"]) if row["operating_point"] else None,
    }


_FACTS = (
    "spacing_mm", "spacing_basis", "spacing_source", "image_left", "side_basis", "body_part",
    "sop_instance_uid", "series_instance_uid", "source_bits",
)  # fmt: skip


def studies(
    store: Store, words: str, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None, int]:
    """Studies, the most suspicious film first; where the next ones start; how many there are."""
    query = Query(words=words)
    where, values = _filter(query)
    grouped = (
        "SELECT study, count(*) AS films, max(suspicion) AS top, max(study_instance_uid) AS uid, "
        "max(study_date) AS date, max(patient_id) AS patient, min(received) AS received, "
        f"max(probability) AS probability FROM films WHERE {where} GROUP BY study"
    )
    total = store.database.rows(f"SELECT count(*) AS n FROM ({grouped})", *values)[0]["n"]
    condition = "1"
    if cursor is not None:
        condition, values = "(-top, study) > (?, ?)", [*values, *_unpacked(cursor, query)]
    rows = store.database.rows(
        f"SELECT * FROM ({grouped}) WHERE {condition} ORDER BY -top, study LIMIT ?",
        *values,
        limit + 1,
    )
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = _packed([-rows[-1]["top"], rows[-1]["study"]], query)
    return [_study(store, row) for row in rows], following, total


def _study(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    films = store.database.rows(
        "SELECT id, state FROM films WHERE study = ? ORDER BY -suspicion, id LIMIT 500",
        row["study"],
    )
    return {
        "id": row["study"],
        "study_instance_uid": row["uid"],
        "study_date": row["date"],
        "patient_id": row["patient"],
        "received": moment(row["received"]),
        "films": row["films"],
        "state": films[0]["state"] if films else "waiting",
        "probability": row["probability"],
        "film_ids": [film["id"] for film in films],
    }
