"""Routes: what readers say of films, and its export."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Path, Request, UploadFile
from starlette.responses import JSONResponse, Response, StreamingResponse

from pleura.errors import ReadError
from pleura.service import corpus, corrections, schemas
from pleura.service.parameters import FilmId, no_film
from pleura.service.pictures import KeptFile
from pleura.service.problems import Refused
from pleura.service.running import Running

_MASK_BYTES = 32 << 20


def routes(running: Running) -> APIRouter:
    """The routes, of a running service."""
    router = APIRouter(prefix="/v1", tags=["corrections"])
    store, audit = running.store, running.audit

    @router.get("/films/{film}/corrections", response_model=schemas.Corrections)
    def all_of_film(request: Request, film: FilmId) -> dict[str, Any]:
        """What readers said of a film, oldest first."""
        if not store.has(film):
            raise no_film()
        audit.note(request.state.identity, "saw", f"{film} corrections")
        return {"corrections": corrections.of_film(store, film)}

    @router.post("/films/{film}/corrections", status_code=201, response_model=schemas.Correction)
    def add(
        request: Request,
        film: FilmId,
        verdict: Annotated[schemas.Verdict, Form()],
        comment: Annotated[str, Form(max_length=10_000)] = "",
        reader: Annotated[str, Form(max_length=200)] = "",
        seconds: Annotated[float | None, Form(ge=0, le=1e6, allow_inf_nan=False)] = None,
        model_sha256: Annotated[
            str | None, Form(max_length=64, description="Of the finding that was looked at.")
        ] = None,
        mask: Annotated[UploadFile | None, File()] = None,
    ) -> Response:
        """Say what is right: never over the model's result, only beside it."""
        if (verdict == "corrected") != (mask is not None):
            raise Refused(422, "a mask belongs to the verdict corrected, and to no other")
        drawn, area = _drawn(running, film, mask) if mask is not None else (None, 0)
        identity = request.state.identity
        seen = model_sha256 or None
        said = corrections.Said(verdict, comment, reader, identity, seconds, drawn, area, seen)
        kept, is_new = corrections.add(store, film, said)
        if is_new:
            audit.note(identity, verdict, f"{film} {kept['number']}", durable=True)
            row = store.film(film)
            state = row["state"] if row is not None else "deleted"
            running.metrics.corrections.labels(verdict, state).inc()
        return JSONResponse(kept, 201)

    @router.get("/films/{film}/corrections/{number}/mask", response_class=Response)
    def drawn_mask(
        request: Request, film: FilmId, number: Annotated[int, Path(ge=1, le=corrections.MOST)]
    ) -> Response:
        """The mask that a reader drew or accepted, PNG."""
        path = store.folders.file(film, corrections.mask_name(number))
        if not store.has(film) or not path.is_file():
            raise Refused(404, "there is no such mask")
        audit.note(request.state.identity, "saw", f"{film} correction {number}")
        return KeptFile(path, media_type="image/png")

    @router.get("/corrections/export", response_class=Response)
    def export(request: Request) -> Response:
        """The corrected films as a corpus that `pleura prepare` reads: a zip."""
        audit.note(request.state.identity, "exported", "corrections", durable=True)
        pieces: Iterator[bytes] = corpus.export(store)
        headers = {"Content-Disposition": 'attachment; filename="corrections.zip"'}
        return StreamingResponse(pieces, media_type="application/zip", headers=headers)

    return router


def _drawn(running: Running, film: str, mask: UploadFile) -> tuple[bytes, int]:
    """A drawn mask, checked and written anew, and its pixels."""
    row = running.store.film(film)
    if row is None:
        raise no_film()
    if row["rows"] is None:
        raise Refused(409, f"the film is {row['state']}: there is no finding to correct")
    data = mask.file.read(_MASK_BYTES + 1)
    if len(data) > _MASK_BYTES:
        raise Refused(413, f"the mask is larger than {_MASK_BYTES:,} bytes")
    request = {"do": "mask", "rows": row["rows"], "columns": row["columns"]}
    try:
        with running.one_more_opening():
            header, (png,) = running.decoders.ask(request, [data])
    except ReadError as error:
        raise Refused(422, f"the mask cannot be used: {error}") from None
    return png, int(header["area_px"])
