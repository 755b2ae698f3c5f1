"""The viewer's files, and the pages that stand in for it."""

import gzip
import mimetypes
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match

from pleura.outputs.html import render
from pleura.service.problems import FileOrPart, Refused

# The house page has its style in itself, which the viewer's pages may not.
_PLAIN = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_TEXTS = (".html", ".js", ".css", ".svg", ".wasm")
_METHODS = ("DELETE", "GET", "POST", "PUT")
_FOREVER = "public, max-age=31536000, immutable"


def viewer_folder() -> Path | None:
    """Where the built viewer lies; None where it was not built."""
    folder = Path(str(resources.files("pleura.service"))) / "static"
    return folder if (folder / "index.html").is_file() else None


def add_pages(app: FastAPI, viewer: Path | None) -> None:
    """Adds the viewer's files at `/`, or a page that says how to build it, and `/docs`.

    Args:
        app: with all its other routes.
        viewer: the viewer's folder, or None.
    """

    @app.get("/docs", include_in_schema=False)
    def documentation() -> Response:
        operations = list(_operations(app.openapi()))
        return _page(render("api.html.j2", operations=operations))

    @app.api_route("/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
    def page(request: Request, path: str) -> Response:
        if viewer is None:
            if path in ("", "index.html"):
                return _page(render("no_viewer.html.j2"))
            raise _nothing(app, request)
        try:
            file = (viewer / (path or "index.html")).resolve()
            found = file.is_relative_to(viewer.resolve()) and file.is_file()
        except (OSError, ValueError):  # no name that a file could have
            found = False
        if not found:
            raise _nothing(app, request)
        headers = {"Cache-Control": _FOREVER if path.startswith("assets/") else "no-cache"}
        if file.suffix not in _TEXTS:
            return FileOrPart(file, headers=headers)
        headers["Vary"] = "Accept-Encoding"
        kind = mimetypes.guess_type(file.name)[0]
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return FileOrPart(file, headers=headers, media_type=kind)
        headers["Content-Encoding"] = "gzip"
        return Response(_gzipped(file, file.stat().st_mtime_ns), headers=headers, media_type=kind)


@lru_cache(maxsize=16)
def _gzipped(file: Path, changed_ns: int) -> bytes:
    """A file's bytes, compressed once: a quarter of what the viewer weighs."""
    return gzip.compress(file.read_bytes(), 9)


def _nothing(app: FastAPI, request: Request) -> Refused:
    """Why there is no page: the address is of the API, by other methods, or there is nothing at all."""
    methods = ", ".join(method for method in _METHODS if _takes(app, request, method))
    if not methods:
        return Refused(404, "there is nothing at this address; see /docs for what there is")
    refused = Refused(405, f"this address takes {methods}, not {request.method}")
    refused.headers["Allow"] = methods
    return refused


def _takes(app: FastAPI, request: Request, method: str) -> bool:
    """Whether a route of the API takes the method at the request's address."""
    scope = {**request.scope, "method": method}
    routes = (one for one in app.routes if getattr(one, "name", "") != "page")
    return any(one.matches(scope)[0] is Match.FULL for one in routes)


def _page(html: str) -> Response:
    return HTMLResponse(html, headers={"Content-Security-Policy": _PLAIN})


def _operations(document: dict[str, Any]) -> Any:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield {
                "method": method.upper(),
                "path": path,
                "about": operation.get("description", ""),
                "tag": (operation.get("tags") or ["service"])[0],
                "parameters": [
                    (one["name"], one["in"], one.get("description", ""))
                    for one in operation.get("parameters", [])
                ],
            }
