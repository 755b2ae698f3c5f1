"""Routes: the model, the service, sessions, the live channel, health and metrics."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

import pleura
from pleura.inference.manifest import BundleManifest
from pleura.outputs.dicom import is_installed
from pleura.service import schemas, worklist
from pleura.service.access import COOKIE, SESSION_SECONDS
from pleura.service.findings import operating_point
from pleura.service.problems import Refused
from pleura.service.running import Running

NOTICE = (
    "Research software. Not a medical device: never use it to diagnose, treat or triage a patient."
)
_AT_ONCE = 500
_BEHIND = 10_000
_PULSE_SECONDS = 15.0
_GATHER_SECONDS = 0.05  # changes that come together are told together
_LONGEST_LIST = 50


def routes(running: Running) -> APIRouter:
    """The routes, of a running service."""
    router = APIRouter(tags=["service"])
    bounds, settings = running.settings.bounds, running.settings
    guessing = asyncio.Lock()

    @router.get("/v1/model", response_model=schemas.Model)
    def model() -> dict[str, Any]:
        """The model card."""
        bundle = running.bundle
        identity = {"name": bundle.identity.name, "version": bundle.identity.version}
        return {
            **identity,
            "sha256": bundle.identity.sha256,
            **_card(bundle.manifest),
            "runtime": running.detector.description,
        }

    @router.get("/v1/service", response_model=schemas.Service)
    def service(request: Request) -> dict[str, Any]:
        """The service: version, limits, who is asking."""
        return {
            "version": pleura.__version__,
            "notice": NOTICE,
            "identity": request.state.identity,
            "needs_token": settings.token is not None,
            "deidentify": settings.deidentify,
            "dicom_results": is_installed(),
            "retention_days": settings.keep_days,
            "limits": {
                "upload_bytes": bounds.upload_bytes,
                "film_bytes": bounds.film.max_bytes,
                "film_pixels": bounds.film.max_pixels,
                "files_per_upload": bounds.files_per_upload,
            },
        }

    @router.post("/v1/session", status_code=204)
    async def sign_in(request: Request, given: schemas.SignIn) -> Response:
        """Sign in with the token."""
        if not running.sessions.knows(given.token):
            async with guessing:  # which is slow, and one at a time
                running.audit.note("nobody", "failed to sign in")
                await asyncio.sleep(1.0)
            raise Refused(401, "this is not the service's token")
        running.audit.note("token", "signed in")
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE,
            running.sessions.new(time.time()),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @router.delete("/v1/session", status_code=204)
    def sign_out(request: Request) -> Response:
        """Sign out; the browser forgets what it kept of films."""
        if request.state.identity != "nobody":
            running.audit.note(request.state.identity, "signed out")
        running.sessions.end(request.cookies.get(COOKIE, ""), time.time())
        running.store.changed()  # its live channels end
        answer = Response(status_code=204, headers={"Clear-Site-Data": '"cache"'})
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    @router.get("/v1/events", response_class=StreamingResponse)
    async def events(
        request: Request,
        since: Annotated[int | None, Query(ge=0, le=2**62)] = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> StreamingResponse:
        """What changes, as it changes (server-sent events)."""
        start = since
        if last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 19:
            start = int(last_event_id)
        if start is None:
            start = await run_in_threadpool(lambda: running.store.revision)
        running.audit.note(request.state.identity, "listened", "changes of films")
        told = _events(running, request, start)
        return StreamingResponse(told, media_type="text/event-stream")

    @router.head("/livez", include_in_schema=False)
    @router.get("/livez", response_model=schemas.Health)
    async def live() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "alive"}

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", response_model=schemas.Health)
    async def ready() -> dict[str, str]:
        """Whether it judges films."""
        reason = running.unready()
        if reason is not None:
            raise Refused(503, f"no films are judged: {reason}", retry_seconds=5)
        return {"status": "ready"}

    @router.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """Numbers for Prometheus."""
        counts, store = running.store.counts(), running.store
        running.metrics.waiting.set(counts["waiting"])
        running.metrics.unread.set(counts["unread"])
        running.metrics.undelivered.set(store.outbox.waiting())
        running.metrics.stored.set(store.stored_bytes())
        running.metrics.free.set(store.folders.room())
        return Response(running.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _events(running: Running, request: Request, since: int) -> AsyncIterator[str]:
    """The changes after `since`, and then those to come, until the client goes away or signs out."""
    loop, news, session = asyncio.get_running_loop(), asyncio.Event(), request.state.session

    def tell() -> None:
        loop.call_soon_threadsafe(news.set)

    stop = running.store.listen(tell)
    try:
        yield ": pleura\n\n"
        while not (running.stopping.is_set() or await request.is_disconnected()):
            if session is not None and not running.sessions.is_valid(session, time.time()):
                return
            news.clear()
            latest = await run_in_threadpool(lambda: running.store.revision)
            if not latest - _BEHIND <= since <= latest:
                yield _event(latest, "reset", {})
                since = latest
            changes = await run_in_threadpool(running.store.changes, since, _AT_ONCE)
            for revision, film, row in changes:
                told = {"id": film} if row is None else worklist.summary(row)
                yield _event(revision, "deleted" if row is None else "film", told)
                since = revision
            if not changes:
                try:
                    await asyncio.wait_for(news.wait(), _PULSE_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                await asyncio.sleep(_GATHER_SECONDS)
    finally:
        stop()


def _event(revision: int, name: str, data: dict[str, Any]) -> str:
    return f"id: {revision}\nevent: {name}\ndata: {json.dumps(data)}\n\n"


def _card(manifest: BundleManifest) -> dict[str, Any]:
    """What a bundle says of itself, its long lists of hashes left out."""
    calibrator = manifest.calibrator
    return {
        "target": vars(manifest.target),
        "intended_use": manifest.intended_use,
        "licence": manifest.licence,
        "created": manifest.created,
        "combination": manifest.combination,
        "networks": [f"{member.network} ({member.role})" for member in manifest.members],
        "operating_point": operating_point(manifest),
        "calibration": None
        if calibrator is None
        else {
            name: getattr(calibrator, name)
            for name in ("kind", "fitted_on", "films", "positives", "prevalence")
        },
        "metrics": dict(manifest.metrics),
        "data": {
            key: value
            for key, value in manifest.data_card.items()
            if not (isinstance(value, list | str) and len(value) > _LONGEST_LIST * 20)
            and not (isinstance(value, list) and len(value) > _LONGEST_LIST)
        },
    }
