"""Routes: pixels, pictures and files of films."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pleura.errors import MissingExtra, ReadError
from pleura.outputs.dicom import check_installed
from pleura.service import worklist
from pleura.service.folders import HEAT, LUNGS, MASK, THUMBNAIL
from pleura.service.parameters import FilmId, no_film
from pleura.service.problems import FileOrPart, Refused
from pleura.service.running import Running

_JPEG, _PNG = "image/jpeg", "image/png"


def routes(running: Running) -> APIRouter:
    """The routes, of a running service."""
    router = APIRouter(prefix="/v1")
    audit = running.audit

    @router.get("/films/{film}/pixels", response_class=Response, tags=["pictures"])
    def pixels(request: Request, film: FilmId) -> Response:
        """The film's pixels, raw, as `viewing` says."""
        _judged_film(running, film, "pixels")
        audit.note(request.state.identity, "saw", f"{film} pixels")
        path = running.store.folders.cache / f"{film}.pixels"
        if not path.is_file():
            _, (data,) = _asked(running, {"do": "pixels", **_source(running, film)})
            _remember(running, film, path, data)
            if not path.is_file():
                return Response(data, media_type="application/octet-stream")
        return _file(request, path, "application/octet-stream", film)

    @router.get("/films/{film}/thumbnail", response_class=Response, tags=["pictures"])
    def thumbnail(request: Request, film: FilmId) -> Response:
        """A small picture of the film, JPEG."""
        return _picture(running, request, film, THUMBNAIL, _JPEG)

    @router.get("/films/{film}/mask", response_class=Response, tags=["pictures"])
    def mask(request: Request, film: FilmId) -> Response:
        """The finding's mask on the film's matrix, PNG."""
        return _picture(running, request, film, MASK, _PNG)

    @router.get("/films/{film}/heat", response_class=Response, tags=["pictures"])
    def heat(request: Request, film: FilmId) -> Response:
        """The probability map, PNG."""
        return _picture(running, request, film, HEAT, _PNG)

    @router.get("/films/{film}/lungs", response_class=Response, tags=["pictures"])
    def lungs(request: Request, film: FilmId) -> Response:
        """Where the lungs are: 1 the patient's right one, 2 the left one, PNG."""
        return _picture(running, request, film, LUNGS, _PNG)

    @router.get("/films/{film}/overlay", response_class=Response, tags=["pictures"])
    def overlay(
        request: Request,
        film: FilmId,
        size: Annotated[int, Query(ge=16, le=4096)] = 1024,
        heat: bool = False,
        caption: bool = True,
    ) -> Response:
        """The film with its finding drawn, JPEG."""
        row = _judged_film(running, film, "overlay")
        audit.note(request.state.identity, "saw", f"{film} overlay")
        said = hashlib.sha256(str(row["finding"]).encode()).hexdigest()[:8]
        name = f"{film}.{said}.{size}.{int(heat)}{int(caption)}.jpg"
        path = running.store.folders.cache / name
        if not path.is_file():
            finding = worklist.detail(row)["finding"]
            how = {"finding": finding, "size": size, "heat": heat, "caption": caption}
            parts = [_bytes(running, film, one) for one in (MASK, HEAT, LUNGS)]
            _, (data,) = _asked(running, {"do": "overlay", **_source(running, film), **how}, parts)
            _remember(running, film, path, data)
            if not path.is_file():
                return Response(data, media_type=_JPEG)
        return _file(request, path, _JPEG, said)

    @router.get("/films/{film}/file", response_class=Response, tags=["pictures"])
    def file(request: Request, film: FilmId) -> Response:
        """The film's file as it was kept."""
        row = running.store.film(film)
        path = running.store.folders.file(film)
        if row is None or not path.is_file():
            raise no_film()
        audit.note(request.state.identity, "took", f"{film} file")
        kind = worklist.detail(row)["format"]
        media = "application/dicom" if kind == "dicom" else "application/octet-stream"
        ending = "dcm" if kind == "dicom" else kind or "bin"
        return KeptFile(path, media_type=media, filename=f"{film}.{ending}")

    @router.get("/films/{film}/dicom/{kind}", response_class=Response, tags=["pictures"])
    def dicom(
        request: Request,
        film: FilmId,
        kind: Literal["seg", "sr", "sc"],
        geometry: bool = False,
    ) -> Response:
        """The finding as DICOM in the film's study: segmentation, structured report or picture."""
        row = _judged_film(running, film, "DICOM result")
        try:
            check_installed()
        except MissingExtra as error:
            raise Refused(501, str(error)) from None
        audit.note(request.state.identity, "took", f"{film} {kind}")
        how = {"finding": worklist.detail(row)["finding"], "kinds": [kind], "geometry": geometry}
        parts = [_bytes(running, film, one) for one in (MASK, HEAT, LUNGS)]
        _, made = _asked(running, {"do": "dicom", **_source(running, film), **how}, parts)
        if not made:
            raise Refused(409, f"there is no segmentation: the film is {row['state']}")
        named = {"Content-Disposition": f'attachment; filename="{film}.{kind}.dcm"'}
        return Response(made[0], media_type="application/dicom", headers=named)

    return router


def _judged_film(running: Running, film: str, what: str) -> Any:
    """The row of a film that was judged.

    Raises:
        Refused: there is none, or it waits or failed.
    """
    row = running.store.film(film)
    if row is None:
        raise no_film()
    if row["facts"] is None:
        state = row["state"]
        raise Refused(
            409, f"there is no {what}: the film {'waits' if state == 'waiting' else state}"
        )
    return row


def _source(running: Running, film: str) -> dict[str, Any]:
    limits = asdict(running.settings.bounds.film)
    return {"path": str(running.store.folders.file(film)), "limits": limits}


def _asked(running: Running, request: dict[str, Any], parts: Sequence[bytes] = ()) -> Any:
    try:
        with running.one_more_opening():
            return running.decoders.ask(request, parts)
    except ReadError as error:
        raise Refused(409, f"it cannot be made: {error}") from None


def _remember(running: Running, film: str, path: Path, data: bytes) -> None:
    """Keeps what was made of a film for the next time.

    Raises:
        Refused: the film was deleted meanwhile; nothing is kept of it.
    """
    running.store.folders.remember(path.name, data, running.settings.bounds.free_bytes)
    if not running.store.has(film):
        path.unlink(missing_ok=True)
        raise no_film()


def _bytes(running: Running, film: str, name: str) -> bytes:
    path = running.store.folders.file(film, name)
    return path.read_bytes() if path.is_file() else b""


def pictures_of(running: Running, film: str, *, judged: bool) -> list[str]:
    """The pictures that there are of a film."""
    kept = (("thumbnail", THUMBNAIL), ("mask", MASK), ("heat", HEAT), ("lungs", LUNGS))
    found = [name for name, file in kept if running.store.folders.file(film, file).is_file()]
    return [*found, "overlay"] if judged else found


def _picture(running: Running, request: Request, film: str, name: str, kind: str) -> Response:
    what = Path(name).stem
    row = _judged_film(running, film, what)
    if name != THUMBNAIL:  # of which a list shows many
        running.audit.note(request.state.identity, "saw", f"{film} {what}")
    path = running.store.folders.file(film, name)
    if not path.is_file():
        raise Refused(409, f"there is no {what} of this film: it is {row['state']}")
    said = hashlib.sha256(str(row["finding"]).encode()).hexdigest()[:16]
    return _file(request, path, kind, said)


class KeptFile(FileOrPart):
    """A file of a film; where the film is deleted before it is sent, there is no such film."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except (RuntimeError, FileNotFoundError):
            if Path(self.path).exists():
                raise
            raise no_film() from None


def _file(request: Request, path: Path, kind: str, tag: str) -> Response:
    """A file that a browser may keep, but asks about each time: whether it may still see it is told anew."""
    headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return KeptFile(path, media_type=kind, headers=headers)
