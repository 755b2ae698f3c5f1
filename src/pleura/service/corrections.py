"""What readers said of films: only ever added, and never over the model's result."""

import hashlib
import json
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from pleura.service.folders import MASK
from pleura.service.problems import Refused
from pleura.service.schemas import Verdict
from pleura.service.store import Store
from pleura.service.tables import next_revision
from pleura.service.worklist import moment

_SAME_SECONDS = 60.0
MOST = 1000
"""Corrections that one film may have."""


@dataclass(frozen=True)
class Said:
    """What a reader says.

    Attributes:
        verdict: see docs/reference/api.md.
        comment, reader: texts.
        identity: whom the service takes the asker for.
        seconds: how long the reader looked, or None.
        mask: PNG, 0 or 255, on the film's matrix; None unless `corrected`.
        area_px: of the mask.
        model_sha256: of the finding that the reader looked at; None where that was not said.
    """

    verdict: Verdict
    comment: str
    reader: str
    identity: str
    seconds: float | None = None
    mask: bytes | None = None
    area_px: int = 0
    model_sha256: str | None = None


def add(store: Store, film_id: str, said: Said) -> tuple[dict[str, Any], bool]:
    """Keeps a correction, with what it was said of; gives it, and whether it is new.

    Raises:
        Refused: the film waits or failed, was judged by another model since the reader looked at it, or has
            no room for another.
    """
    digest = hashlib.sha256(said.mask).hexdigest() if said.mask is not None else None
    with store.database.transaction() as connection:
        row = connection.execute("SELECT * FROM films WHERE id = ?", (film_id,)).fetchone()
        if row is None:
            raise Refused(404, "there is no such film; it may have been deleted")
        if row["state"] in ("waiting", "failed"):
            raise Refused(409, f"the film is {row['state']}: there is no finding to correct")
        earlier = connection.execute(
            "SELECT * FROM corrections WHERE film = ? ORDER BY number DESC", (film_id,)
        ).fetchall()
        judged_by = json.loads(row["finding"])["model_sha256"]
        if earlier and _same(earlier[0], said, digest, said.model_sha256 or judged_by):
            return told(earlier[0]), False
        if said.model_sha256 not in (None, judged_by):
            raise Refused(
                409,
                "another model has judged the film since it was opened; look at the new finding, then say it",
            )
        if len(earlier) >= MOST:
            raise Refused(409, f"the film has {MOST} corrections; that is all it may have")
        number = earlier[0]["number"] + 1 if earlier else 1
        mask = said.mask if said.mask is not None else _accepted(store, row, said)
        if mask is not None:  # on the disk before the row that speaks of it
            store.folders.write(film_id, mask_name(number), mask, durable=True)
        share = said.area_px / (row["rows"] * row["columns"]) if said.mask is not None else None
        connection.execute(
            "INSERT INTO corrections (film, number, verdict, comment, reader, identity, seconds, time, "
            "has_mask, mask_sha256, area_fraction, label, model_sha256, state, probability) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                film_id, number, said.verdict, said.comment, said.reader, said.identity, said.seconds,
                time.time(), int(said.mask is not None), digest, share, _label(row["state"], said),
                judged_by, row["state"], row["probability"],
            ),
        )  # fmt: skip
        connection.execute(
            "UPDATE films SET verdict = ?, revision = ? WHERE id = ?",
            (said.verdict, next_revision(connection), film_id),
        )
        kept = connection.execute(
            "SELECT * FROM corrections WHERE film = ? AND number = ?", (film_id, number)
        ).fetchone()
    store.changed()
    return told(kept), True


def of_film(store: Store, film_id: str) -> list[dict[str, Any]]:
    """A film's corrections, oldest first."""
    query = "SELECT * FROM corrections WHERE film = ? ORDER BY number"
    return [told(row) for row in store.database.rows(query, film_id)]


def latest(store: Store, film_id: str) -> dict[str, Any] | None:
    """A film's last correction."""
    query = "SELECT * FROM corrections WHERE film = ? ORDER BY number DESC LIMIT 1"
    found = store.database.rows(query, film_id)
    return told(found[0]) if found else None


def mask_name(number: int) -> str:
    """The file of the mask that a reader drew or accepted, in its film's folder."""
    return f"correction-{number}.png"


_TOLD = (
    "number", "film", "verdict", "comment", "reader", "identity", "seconds", "area_fraction", "label",
    "model_sha256",
)  # fmt: skip


def told(row: sqlite3.Row) -> dict[str, Any]:
    """A correction as the API gives it."""
    return {
        **{name: row[name] for name in _TOLD},
        "time": moment(row["time"]),
        "has_mask": bool(row["has_mask"]),
    }


def _label(state: str, said: Said) -> int | None:
    """Whether the reader sees the target on the film; None where that was not said."""
    if said.verdict == "corrected":
        return int(said.area_px > 0)
    if state == "declined":
        return None
    if said.verdict == "accepted":
        return int(state == "positive")
    return 0 if state == "positive" else None


def _accepted(store: Store, row: sqlite3.Row, said: Said) -> bytes | None:
    """The finding's mask, where the reader accepts it: another finding may take its place."""
    path = store.folders.file(row["id"], MASK)
    accepted = said.verdict == "accepted" and row["state"] == "positive"
    return path.read_bytes() if accepted and path.is_file() else None


def _same(row: sqlite3.Row, said: Said, digest: str | None, judged_by: str) -> bool:
    """Whether a correction is the last one again, sent twice; a page may have counted on its `seconds`."""
    names = ("verdict", "comment", "reader", "identity")
    same = all(row[name] == getattr(said, name) for name in names)
    same = same and (row["mask_sha256"], row["model_sha256"]) == (digest, judged_by)
    return bool(same and time.time() - row["time"] < _SAME_SECONDS)
