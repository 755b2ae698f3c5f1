"""Errors as `application/problem+json` (RFC 9457)."""

import errno
import logging
import sqlite3
import traceback
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse
from starlette.types import Message, Receive, Scope, Send

from pleura.errors import ServiceError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
NO_ROOM = "the store has no room for this; delete studies, or see to a larger disk or limit"
_MOST_ERRORS = 20


class Refused(ServiceError):
    """A request that is answered with an error.

    Args:
        status: of HTTP, 400 to 599.
        detail: what was given, what is wrong, what to do; no patient data.
        retry_seconds: when to come again.
        extra: further members of the problem.
    """

    def __init__(
        self, status: int, detail: str, *, retry_seconds: int | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.extra = status, extra
        self.headers = {} if retry_seconds is None else {"Retry-After": str(retry_seconds)}


class ProblemResponse(JSONResponse):
    """A JSON answer of the problem type."""

    media_type = MEDIA_TYPE


class FileOrPart(FileResponse):
    """A file, or the part of it that a `Range` asks for; one that cannot be met is a problem."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def checked(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                raise _unmet(message)
            await send(message)

        await super().__call__(scope, receive, checked)


def _unmet(message: Message) -> Refused:
    refused = Refused(
        message["status"],
        "the Range is not one of bytes that the file has; leave it out for the whole",
    )
    told = Headers(raw=message["headers"]).get("Content-Range")
    refused.headers |= {} if told is None else {"Content-Range": told}
    return refused


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **extra: Any
) -> ProblemResponse:
    """The answer for an error."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request": uuid.uuid4().hex,
        **extra,
    }
    return ProblemResponse(content, status, dict(headers or {}))


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _refused(request: Request, error: Exception) -> ProblemResponse:
    if not isinstance(error, Refused):
        raise error
    return problem(error.status, str(error), error.headers, **error.extra)


async def _http(request: Request, error: Exception) -> ProblemResponse:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path[:200]}; see /docs for what there is"
    else:
        detail = str(error.detail)
    return problem(error.status_code, detail, error.headers)


async def _invalid(request: Request, error: Exception) -> ProblemResponse:
    """What is wrong with a request, without quoting its values: they may be a patient's."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [
        {"where": ".".join(str(part) for part in one["loc"])[:200], "what": str(one["msg"])[:300]}
        for one in found[:_MOST_ERRORS]
    ]
    said = "; ".join(f"{one['where']}: {one['what']}" for one in errors[:3])
    return problem(422, f"the request is not as it should be ({said})", errors=errors)


def unexpected(error: Exception) -> ProblemResponse:
    """The answer for what nobody thought of.

    Of a full disk it is known what to do. The log says where it happened, but not in the error's own words,
    which may quote a patient.
    """
    if is_of_full_disk(error):
        return problem(507, NO_ROOM)
    places = [
        f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)
    ]
    answer = problem(500, "the service failed over this request; its log says more")
    log.error("a request failed: %s at %s", type(error).__name__, " < ".join(reversed(places[-8:])))
    return answer


def is_of_full_disk(error: Exception) -> bool:
    """Whether the disk, or who may fill it how far, is what is wrong."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
