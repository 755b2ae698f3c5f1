"""Who is asking: tokens, cookies, hosts, origins; how much may be sent; and the headers of every answer."""

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import threading
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from pleura.service.metrics import Metrics
from pleura.service.problems import Refused, problem, unexpected
from pleura.service.settings import Settings
from pleura.service.tables import Database

log = logging.getLogger(__name__)

COOKIE = "pleura_session"
SESSION_SECONDS = 12 * 3600
LOCAL, TOKEN = "local", "token"

_OPEN = re.compile(r"/livez|/readyz|/|/index\.html|/favicon\.ico|/assets/.*|/docs|/openapi\.json")
_SAFE = ("GET", "HEAD", "OPTIONS")
_SMALL, _CORRECTION = 64 << 10, 32 << 20
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_MAX_IDENTITY = 200
_SILENT_SECONDS = 60.0
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
        "img-src 'self' blob: data:; connect-src 'self'; worker-src 'self' blob:; font-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Sessions:
    """What proves that the token was known; safe to call from several threads.

    It is made of the token and the store's secret: a restart ends no session, another token ends them all.

    Args:
        token: of the service; None: there is none, and no session.
        secret: of the store.
        database: knows the sessions that were ended, and is told of others; None: they are forgotten.
    """

    def __init__(self, token: str | None, secret: bytes, database: Database | None = None) -> None:
        self._database, self._ending = database, threading.Lock()
        ended = database.rows("SELECT * FROM ended_sessions") if database is not None else ()
        self._ended: dict[str, int] = {row["session"]: row["until"] for row in ended}
        self._token = None if token is None else _digest(token)
        self._key = hmac.digest(secret, b"session " + (self._token or b""), "sha256")

    def knows(self, token: str) -> bool:
        """Whether it is the token; takes as long for any."""
        return self._token is not None and hmac.compare_digest(_digest(token), self._token)

    def new(self, now: float) -> str:
        """What the cookie of a new session holds."""
        return self._signed(f"{int(now) + SESSION_SECONDS}.{secrets.token_hex(8)}")

    def is_valid(self, value: str, now: float) -> bool:
        """Whether a cookie's content is of a session that lasts."""
        until = value.partition(".")[0]
        if not re.fullmatch(r"[0-9]{1,12}", until) or int(until) <= now or value in self._ended:
            return False
        told = value.rpartition(".")[0]
        return hmac.compare_digest(self._signed(told).encode(), value.encode())

    def end(self, value: str, now: float) -> None:
        """Ends a session before its time, for good."""
        if not self.is_valid(value, now):
            return
        until = int(value.partition(".")[0])
        with self._ending:
            lasting = {one: end for one, end in self._ended.items() if end > now}
            self._ended = lasting | {value: until}
        if self._database is not None:
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM ended_sessions WHERE until <= ?", (now,))
                connection.execute(
                    "INSERT OR IGNORE INTO ended_sessions VALUES (?, ?)", (value, until)
                )

    def _signed(self, told: str) -> str:
        return f"{told}.{hmac.new(self._key, told.encode(), hashlib.sha256).hexdigest()}"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Access:
    """Lets through who may ask, and no more than may be sent; an ASGI middleware.

    A request that passes has `identity` in its state, and `session`: its cookie, where that let it through.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, sessions: Sessions, metrics: Metrics
    ) -> None:
        self._app, self._settings, self._sessions = app, settings, sessions
        self._metrics = metrics
        self._silent_until = 0.0
        self._behind: ProxyHeadersMiddleware | None = None
        # In here, not around it: what a proxy says replaces its address, by which it is told from others.
        if settings.proxy is not None:
            self._behind = ProxyHeadersMiddleware(app, settings.proxy)  # type: ignore[arg-type]
            self._app = self._behind  # type: ignore[assignment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, answer = time.perf_counter(), _Answer(send)
        try:
            await self._answered(scope, receive, answer)
        finally:
            # The route's pattern, not the path: ids would make a series each.
            route = getattr(scope.get("route"), "path", "other")
            if route != "/v1/events":
                seconds = time.perf_counter() - start
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._metrics.requests.labels(method, route, str(answer.status)).observe(seconds)

    async def _answered(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            identity, session = self._identity(scope)
        except Refused as error:
            await problem(error.status, str(error), error.headers)(scope, receive, answer)
            return
        scope.setdefault("state", {}).update(identity=identity, session=session)
        bounds = self._settings.bounds
        body = _Body(receive, self._most(scope), bounds.idle_seconds, bounds.least_rate)
        try:
            await self._app(scope, body.receive, answer)
        except ClientDisconnect:
            log.info("a client went away")
        except Exception as error:
            refusal = unexpected(error)
            if answer.status is None:
                await refusal(scope, receive, answer)

    def _identity(self, scope: Scope) -> tuple[str, str | None]:
        """Who asks, and the cookie that says so.

        Raises:
            Refused: nobody who may.
        """
        headers = Headers(scope=scope)
        if self._settings.token is None:
            _check_host(headers)
        if scope["method"] not in _SAFE:
            _check_origin(headers)
        if self._settings.token is None:
            return LOCAL, None
        kind, _, token = headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            if self._sessions.knows(token.strip()):
                return self._user(scope, headers), None
            self._say_wrong(scope)
        else:
            cookie = cookie_parser(headers.get("Cookie", "")).get(COOKIE, "")
            if self._sessions.is_valid(cookie, time.time()):
                return self._user(scope, headers), cookie
        path = scope["path"]
        if _OPEN.fullmatch(path) or (
            path == "/v1/session" and scope["method"] in ("POST", "DELETE")
        ):
            return "nobody", None
        raise Refused(
            401, "this needs the service's token: Authorization: Bearer TOKEN, or sign in"
        )

    def _say_wrong(self, scope: Scope) -> None:
        """Tells of a wrong token in the log, now and then."""
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _SILENT_SECONDS
            log.warning("a wrong token was sent from %s", (scope.get("client") or ("nowhere",))[0])

    def _user(self, scope: Scope, headers: Headers) -> str:
        """Who asks with the token: whom the proxy names, if it is the proxy that asks."""
        peer, name = scope.get("client"), self._settings.user_header
        by_proxy = self._behind is not None and peer and peer[0] in self._behind.trusted_hosts
        if scope["path"].startswith("/dicom-web/"):  # where archives send, which are no users
            by_proxy = False
        user = headers.get(name, "") if name and by_proxy else ""
        plain = "".join(c for c in user if c.isprintable())[:_MAX_IDENTITY]
        return f"user {plain}" if plain else TOKEN

    def _most(self, scope: Scope) -> int:
        if scope["method"] in _SAFE:
            return _SMALL
        if scope["path"] == "/v1/films" or scope["path"].startswith("/dicom-web/studies"):
            return self._settings.bounds.upload_bytes
        return _CORRECTION if scope["path"].endswith("/corrections") else _SMALL


_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")


def _check_host(headers: Headers) -> None:
    """Against DNS rebinding: another site's name that resolves to this machine is not this service."""
    host = headers.get("Host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() not in _LOOPBACK_HOSTS:
        raise Refused(
            421, "the service was asked for under a name that is not its own; use 127.0.0.1"
        )


def _check_origin(headers: Headers) -> None:
    """Against forged requests: browsers say which site sends them, and other clients have no cookies."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        raise Refused(403, "another site's page sent this; only the service's own page may")
    origin = headers.get("Origin")
    if site is None and origin is not None:
        host = origin.partition("://")[2]
        if not host or host.lower() != headers.get("Host", "").lower():
            raise Refused(403, "another site's page sent this; only the service's own page may")


class _Answer:
    """Sends an answer with the headers that all of them have; `status` is None until it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


class _Body:
    """A request's body, of a bounded size, from a client that is not silent for too long, nor trickles.

    What is wrong is raised as FastAPI's own kind of error: of any other, it makes "cannot be parsed".
    """

    def __init__(self, receive: Receive, most: int, idle_seconds: float, least_rate: float) -> None:
        self._receive, self._most, self._idle = receive, most, idle_seconds
        self._least_rate, self._since = least_rate, time.monotonic()
        self._taken, self._whole = 0, False

    async def receive(self) -> Message:
        if self._whole:  # then it waits for the client to go away
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._idle)
        except TimeoutError:
            raise HTTPException(408, "nothing more came of this request; send it again") from None
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            late = time.monotonic() - self._since - self._idle
            if not self._whole and self._taken < late * self._least_rate:
                raise HTTPException(408, "this came too slowly; send it again, or less at once")
            if self._taken > self._most:
                raise HTTPException(
                    413, f"the body is larger than {self._most:,} bytes; send less at once"
                )
        return message
