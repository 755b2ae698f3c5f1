"""What several routes take and give."""

from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from fastapi import Path as InPath

from pleura.service import schemas, worklist
from pleura.service.problems import Refused
from pleura.service.running import Running

FilmId = Annotated[str, InPath(pattern="^[0-9a-f]{32}$", description="A film.")]
JobId = Annotated[str, InPath(pattern="^[0-9a-f]{32}$", description="An upload.")]
StudyId = Annotated[str, InPath(pattern="^[0-9a-f]{32}$", description="A study.")]
Id = Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")]
Share = Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False)]
Cursor = Annotated[str | None, Query(max_length=2000)]
Limit = Annotated[int, Query(ge=1, le=500)]
Words = Annotated[str, Query(max_length=200, description="Words that are looked for.")]


def _filtered(
    state: Annotated[list[schemas.State] | None, Query(max_length=10)] = None,
    view: Annotated[list[schemas.View | Literal["unknown"]] | None, Query(max_length=10)] = None,
    unread: bool | None = None,
    corrected: bool | None = None,
    verdict: schemas.Verdict | None = None,
    side: schemas.Side | None = None,
    min_probability: Share = None,
    max_probability: Share = None,
    changes_at: Share = None,
    q: Words = "",
    job: Id = None,
    study: Id = None,
) -> worklist.Query:
    return worklist.Query(
        states=state or (), views=view or (), unread=unread, corrected=corrected, verdict=verdict, side=side,
        min_probability=min_probability, max_probability=max_probability, changes_at=changes_at, words=q,
        job=job, study=study,
    )  # fmt: skip


Filters = Annotated[worklist.Query, Depends(_filtered)]
"""Which films of the worklist are meant."""


def no_film() -> Refused:
    """What is said of a film that is not there."""
    return Refused(404, "there is no such film; it may have been deleted")


def job_facts(running: Running, job_id: str) -> dict[str, Any]:
    """What became of an upload.

    Raises:
        Refused: there is none of that id.
    """
    found = running.store.job(job_id)
    if found is None:
        raise Refused(404, "there is no such upload")
    return {**found, "received": worklist.moment(found["received"])}
