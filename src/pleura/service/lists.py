"""Routes: the worklist, uploads, studies."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pleura.service import schemas, worklist
from pleura.service.parameters import Cursor, Id, JobId, Limit, Share, StudyId, Words, job_facts
from pleura.service.problems import Refused
from pleura.service.running import Running


def routes(running: Running) -> APIRouter:
    """The routes, of a running service."""
    router = APIRouter(prefix="/v1")
    store, audit = running.store, running.audit

    @router.get("/films", response_model=schemas.Films, tags=["films"])
    def films(
        request: Request,
        sort: Literal["suspicion", "received", "name", "age", "read"] = "suspicion",
        order: Literal["usual", "reversed"] = "usual",
        state: Annotated[list[schemas.State] | None, Query(max_length=10)] = None,
        view: Annotated[
            list[schemas.View | Literal["unknown"]] | None, Query(max_length=10)
        ] = None,
        unread: bool | None = None,
        corrected: bool | None = None,
        verdict: schemas.Verdict | None = None,
        side: schemas.Side | None = None,
        min_probability: Share = None,
        max_probability: Share = None,
        q: Words = "",
        job: Id = None,
        study: Id = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        """The worklist."""
        query = worklist.Query(
            sort=sort, reversed=order == "reversed", limit=limit, cursor=cursor, states=state or (),
            views=view or (), unread=unread, corrected=corrected, verdict=verdict, side=side,
            min_probability=min_probability, max_probability=max_probability, words=q, job=job, study=study,
        )  # fmt: skip
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
    def one_study(study: StudyId) -> dict[str, Any]:
        """A study's films, the most suspicious first."""
        found = worklist.page(store, worklist.Query(study=study, limit=500)).rows
        if not found:
            raise Refused(404, "there is no such study; it may have been deleted")
        return {"id": study, "films": [worklist.summary(row) for row in found]}

    @router.delete("/studies/{study}", status_code=204, tags=["studies"])
    def delete_study(request: Request, study: StudyId) -> Response:
        """Delete a study's films."""
        rows = store.database.rows("SELECT id FROM films WHERE study = ?", study)
        if not rows:
            raise Refused(404, "there is no such study; it may have been deleted")
        for row in rows:
            audit.note(request.state.identity, "deleted", row["id"], durable=True)
        store.delete(row["id"] for row in rows)
        return Response(status_code=204)

    return router
