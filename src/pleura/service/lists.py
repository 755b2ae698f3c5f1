"""Routes: the worklist, uploads, studies."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pleura.service import schemas, worklist
from pleura.service.deletion import delete
from pleura.service.parameters import Cursor, Filters, JobId, Limit, StudyId, Words, job_facts
from pleura.service.problems import Refused
from pleura.service.running import Running


def routes(running: Running) -> APIRouter:
    """The routes, of a running service."""
    router = APIRouter(prefix="/v1")
    store, audit = running.store, running.audit

    @router.get("/films", response_model=schemas.Films, tags=["films"])
    def films(
        request: Request,
        filters: Filters,
        sort: Literal["suspicion", "received", "name", "age", "read"] = "suspicion",
        order: Literal["usual", "reversed"] = "usual",
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        """The worklist."""
        query = replace(
            filters, sort=sort, reversed=order == "reversed", limit=limit, cursor=cursor
        )
        revision = store.revision  # before the rows: what changes meanwhile is told again
        found = worklist.page(store, query)
        audit.note(request.state.identity, "listed", f"{len(found.rows)} films")
        return {
            "films": [worklist.summary(row) for row in found.rows],
            "next": found.next,
            "total": found.total,
            "counts": store.counts(),
            "revision": revision,
        }

    @router.get("/threshold", response_model=schemas.AtThreshold, tags=["films"])
    def threshold(
        filters: Filters, presence: Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)]
    ) -> dict[str, Any]:
        """What another presence threshold would change in the worklist; it changes nothing."""
        return {"presence": presence, **worklist.at_threshold(store, filters, presence)}

    @router.get("/jobs/{job}", response_model=schemas.Job, tags=["films"])
    def job(job: JobId) -> dict[str, Any]:
        """What became of an upload."""
        return job_facts(running, job)

    @router.get("/studies", response_model=schemas.Studies, tags=["studies"])
    def studies(
        request: Request, q: Words = "", limit: Limit = 100, cursor: Cursor = None
    ) -> dict[str, Any]:
        """Films by study."""
        found, following, total = worklist.studies(store, q, limit, cursor)
        audit.note(request.state.identity, "listed", f"{len(found)} studies")
        return {"studies": found, "next": following, "total": total}

    @router.get("/studies/{study}", response_model=schemas.StudyFilms, tags=["studies"])
    def one_study(request: Request, study: StudyId) -> dict[str, Any]:
        """A study's films, the most suspicious first."""
        found = worklist.page(store, worklist.Query(study=study, limit=500)).rows
        if not found:
            raise Refused(404, "there is no such study; it may have been deleted")
        audit.note(request.state.identity, "listed", f"study {study}")
        return {"id": study, "films": [worklist.summary(row) for row in found]}

    @router.delete("/studies/{study}", status_code=204, tags=["studies"])
    def delete_study(request: Request, study: StudyId) -> Response:
        """Delete a study's films."""
        rows = store.database.rows("SELECT id FROM films WHERE study = ?", study)
        if not rows:
            raise Refused(404, "there is no such study; it may have been deleted")
        delete(store, audit, [row["id"] for row in rows], request.state.identity)
        return Response(status_code=204)

    return router
