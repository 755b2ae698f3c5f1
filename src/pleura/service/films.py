"""Routes: upload, one film, read marks, deletion."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from pleura.service import corrections, schemas, worklist
from pleura.service.deletion import delete as delete_films
from pleura.service.parameters import FilmId, job_facts, no_film
from pleura.service.parts import Headers, Parts, named_file
from pleura.service.pictures import pictures_of
from pleura.service.problems import Refused
from pleura.service.running import Running
from pleura.service.uploads import Sent, full_disk_refused

Kept = TypeVar("Kept")

_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            }
        },
    }
}


def routes(running: Running) -> APIRouter:
    """The routes, of a running service."""
    router = APIRouter(prefix="/v1")
    store, audit = running.store, running.audit

    @router.post(
        "/films", status_code=202, response_model=schemas.Job, openapi_extra=_UPLOAD, tags=["films"]
    )
    async def upload(request: Request) -> Response:
        """Keep films, and have them judged."""
        running.check_ready("taken")
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "multipart/form-data":
            raise Refused(415, "an upload is multipart/form-data with parts named files")
        with running.one_more_upload():
            job, tasks = await received(running, request, running.uploads.receive)
        who = request.state.identity
        return await run_in_threadpool(_begin, running, job, tasks, who, "uploaded", job)

    @router.get("/films/{film}", response_model=schemas.Film, tags=["films"])
    def one(request: Request, film: FilmId) -> dict[str, Any]:
        """One film: facts, finding, viewing, latest correction."""
        row = store.film(film)
        if row is None:
            raise no_film()
        audit.note(request.state.identity, "opened", film)
        return {
            **worklist.detail(row),
            "pictures": pictures_of(running, film, judged=row["facts"] is not None),
            "correction": corrections.latest(store, film),
            "deliveries": store.outbox.of(film),
        }

    @router.post("/films/{film}/judge", status_code=202, response_model=schemas.Job, tags=["films"])
    def judge(request: Request, film: FilmId) -> Response:
        """Have a film judged again: by another model than before, or because it failed."""
        running.check_ready("judged")
        if not store.has(film):
            raise no_film()
        begun = store.again(film)
        if begun is None:
            raise Refused(409, "the film waits to be judged as it is")
        return _begin(running, *begun, request.state.identity, "judged again", film)

    @router.delete("/films/{film}", status_code=204, tags=["films"])
    def delete(request: Request, film: FilmId) -> Response:
        """Delete a film, with all that belongs to it."""
        if not store.has(film):
            raise no_film()
        delete_films(store, audit, [film], request.state.identity)
        return Response(status_code=204)

    @router.put("/films/{film}/read", status_code=204, tags=["films"])
    def mark_read(request: Request, film: FilmId) -> Response:
        """Mark a film read."""
        return _mark(running, request, film, read=True)

    @router.delete("/films/{film}/read", status_code=204, tags=["films"])
    def mark_unread(request: Request, film: FilmId) -> Response:
        """Mark a film unread."""
        return _mark(running, request, film, read=False)

    return router


def _begin(
    running: Running, job: str, tasks: Mapping[str, Sequence[str]], who: str, did: str, what: str
) -> Response:
    """Has a job's films judged, and says where it can be followed; waits for the disk."""
    running.submit(tasks)
    running.audit.note(who, did, what, durable=True)
    return JSONResponse(job_facts(running, job), 202, {"Location": f"/v1/jobs/{job}"})


async def received(
    running: Running,
    request: Request,
    keep: Callable[[Sequence[Sent]], Kept],
    name: Callable[[Headers], str | None] = named_file,
) -> Kept:
    """Has the files of a request's body kept; they lie in a folder that is gone afterwards.

    Args:
        running: the service.
        request: with a body of several parts.
        keep: keeps them, in a thread; what it gives is given.
        name: as `Parts` has it.

    Raises:
        Refused: also where there is no room for all of it, before any of it is taken.
    """
    body = request.stream()
    try:
        return await _received(running, request, body, keep, name)
    except Refused:
        async for _ in body:  # who is still sending would not hear why
            pass
        raise


async def _received(
    running: Running,
    request: Request,
    body: AsyncIterator[bytes],
    keep: Callable[[Sequence[Sent]], Kept],
    name: Callable[[Headers], str | None],
) -> Kept:
    bounds, uploads = running.settings.bounds, running.uploads
    length = request.headers.get("Content-Length", "")
    wanted = min(int(length), bounds.upload_bytes) if length.isdecimal() else 0
    await run_in_threadpool(uploads.check_room, wanted)
    kind, most = request.headers["Content-Type"], bounds.files_per_upload
    with (
        full_disk_refused(),
        running.store.folders.spooled() as place,
        closing(Parts(kind, place, most, uploads.check_disk, name)) as parts,
    ):
        async for piece in body:
            await run_in_threadpool(parts.feed, piece)
        return await run_in_threadpool(keep, parts.end())


def _mark(running: Running, request: Request, film: str, *, read: bool) -> Response:
    if not running.store.mark_read(film, read):
        raise no_film()
    running.audit.note(request.state.identity, "read" if read else "unread", film)
    return Response(status_code=204)
