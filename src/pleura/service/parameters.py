"""What several routes take and give."""

from typing import Annotated, Any

from fastapi import Path as InPath
from fastapi import Query

from pleura.service import worklist
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
