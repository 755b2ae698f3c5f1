"""The FastAPI application, put together."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

import pleura
from pleura.service import about, dicom_web, films, lists, pictures, readings, schemas
from pleura.service.access import Access
from pleura.service.page import add_pages, viewer_folder
from pleura.service.problems import MEDIA_TYPE, install
from pleura.service.running import Running
from pleura.service.settings import Settings

log = logging.getLogger(__name__)

_ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What is wrong, as a problem (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


def create_app(settings: Settings) -> FastAPI:
    """The application of a service, started; it stops with its server, or by `app.state.running.stop()`.

    Args:
        settings: of the service. The store is held from here on.

    Raises:
        PleuraError: the store or the bundle cannot be used.
    """
    running = Running(settings)
    running.start()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await run_in_threadpool(running.stop)

    app = FastAPI(
        title="pleura",
        version=pleura.__version__,
        description=about.NOTICE,
        docs_url=None,  # theirs loads its scripts from elsewhere
        redoc_url=None,
        lifespan=life,
        responses=_ERRORS,
    )
    app.state.running = running
    install(app)
    for router in (lists, films, dicom_web, pictures, readings, about):
        app.include_router(router.routes(running))
    add_pages(app, viewer_folder())
    _describe(app)
    app.add_middleware(
        Access, settings=settings, sessions=running.sessions, metrics=running.metrics
    )
    return app


def _describe(app: FastAPI) -> None:
    """Completes the OpenAPI document: errors are problems, also those FastAPI has a form of its own for."""
    document = app.openapi()
    parts = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        parts.pop(name, None)
    parts["Problem"] = schemas.Problem.model_json_schema()
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    app.openapi_schema = document
