"""The ASGI app: routes, middleware, lifespan."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.claims import ANONYMOUS, REQUEST_ID, Claims
from db.pool import Database
from domain.errors import (
    DocumentRefused,
    Expired,
    LimitReached,
    NotFound,
    ProductNotFound,
    RateLimited,
    TryAgain,
    Unauthenticated,
)
from resolvers import affiliate_clicks, housekeeping, outbox, senders
from resolvers.services import Services
from resolvers.sessions import Caller
from schema import trusted_documents
from schema.context import Context
from schema.execution import Answer, Engine, Request
from schema.trusted_documents import TrustedDocuments
from settings import DocumentsMode, Settings, SettingsError

log = structlog.get_logger("aclue.server")

WEB = Path(__file__).resolve().parent / "web"
DOCUMENT_IDS = ("documentId", "doc_id", "id")  # GraphQL over HTTP; Relay; both are seen
JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


BackgroundWork = Callable[[Services], Coroutine[Any, Any, None]]


class BadRequest(Exception):
    """The request is not GraphQL over HTTP; nothing was looked at."""

    def __init__(self, status: int, message: str, code: str = "BAD_REQUEST") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def create_app(
    settings: Settings, database_url: str, secret: str, *, background: Sequence[BackgroundWork] | None = None
) -> Starlette:
    """The service on one database. `secret` signs tokens, cursors and links. `background` is what it does beside
    answering (housekeeping and mails by default), until it is cancelled."""
    engine = Engine(settings)
    trusted = trusted_documents.load(settings, engine)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        database = await Database.connect(database_url, settings)
        app.state.services = Services.make(settings, database, secret)
        services = app.state.services
        services.system_log.start()
        works = (_keep_house, _deliver_mails) if background is None else background
        tasks = [asyncio.create_task(work(services)) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await services.system_log.stop()
            await services.rate_limits.close()
            await database.close()
            log.info("requests answered", **engine.counts)

    app = Starlette(
        routes=[
            Route("/", _home, methods=["GET"]),
            Route("/graphql", _GraphQL(engine, trusted), methods=["GET", "POST"]),
            Route("/r/{token}", _follower(affiliate_clicks.follow), methods=["GET"]),
            Route("/g/{token}", _follower(affiliate_clicks.follow_gift_link), methods=["GET"]),
            Route("/livez", _live, methods=["GET"]),
            Route("/readyz", _ready, methods=["GET"]),
            *_graphiql_files(),
        ],
        middleware=[Middleware(_Headers)],
        lifespan=lifespan,
    )
    app.state.engine = engine
    return app


class _Headers:
    """A request id and safe defaults on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        REQUEST_ID.set(request_id)
        fixed = [
            (b"x-request-id", request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *fixed]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _GraphQL:
    """POST a request, GET a query, or GET the page to explore with."""

    def __init__(self, engine: Engine, trusted: TrustedDocuments) -> None:
        self._engine = engine
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, http: HttpRequest) -> Response:
        accepts_graphql_json = GRAPHQL_JSON in http.headers.get("accept", "")
        try:
            explores = http.method != "POST" and not http.query_params and "text/html" in http.headers.get("accept", "")
            if explores and self._trusted.mode is not DocumentsMode.ONLY:
                return _graphiql()
            given = await _read_post(http) if http.method == "POST" else _read_get(http)
            request = _request(given, self._trusted)
            claims = await _authenticate(http)
            context = Context(_services(http), claims, _caller(http))
            await context.services.rate_limits.take(claims, context.caller.address, self._engine.price(request))
        except BadRequest as error:
            return _error(error.status, str(error), error.code)
        except Unauthenticated as error:
            response = _error(401, str(error), error.code)
            response.headers["www-authenticate"] = 'Bearer error="invalid_token"'
            return response
        except DocumentRefused as error:
            return _render(Answer(_body(str(error), {"code": error.code}), is_refused=True), accepts_graphql_json)
        except TryAgain as error:
            return _try_again(error)
        if http.method != "POST" and self._engine.writes(request):
            response = _error(405, "A mutation needs POST.", "BAD_REQUEST")
            response.headers["allow"] = "POST"
            return response
        try:
            async with asyncio.timeout(context.services.settings.request_timeout):
                answer = await self._engine.answer(request, context, http.state.request_id)
        except TimeoutError:
            return _error(503, "The request took too long.", "TIMEOUT")
        return _render(answer, accepts_graphql_json)


def _render(answer: Answer, accepts_graphql_json: bool) -> Response:
    status = 400 if answer.is_refused and accepts_graphql_json else 200
    media_type = GRAPHQL_JSON if accepts_graphql_json else JSON
    response = Response(answer.body, status, media_type=f"{media_type}; charset=utf-8")
    response.headers["cache-control"] = "no-store"
    if answer.retry_after is not None:
        response.headers["retry-after"] = str(answer.retry_after)
    return response


def _error(status: int, message: str, code: str) -> Response:
    body = _body(message, {"code": code})
    return Response(body, status, media_type=JSON, headers={"cache-control": "no-store"})


def _body(message: str, extensions: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"errors": [{"message": message, "extensions": extensions}]})


def _try_again(error: TryAgain) -> Response:
    """Refused before anything ran: too much was asked for lately, or something is not to be had now."""
    body = _body(str(error), {"code": error.code, "retryAfter": error.retry_after})
    headers = {"cache-control": "no-store", "retry-after": str(error.retry_after)}
    status = 429 if isinstance(error, RateLimited) else 503
    return Response(body, status, media_type=JSON, headers=headers)


async def _read_post(http: HttpRequest) -> Any:
    if http.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise BadRequest(415, f"Send {JSON}.")
    body = bytearray()
    most = _services(http).settings.max_body_bytes
    async for chunk in http.stream():
        body += chunk
        if len(body) > most:
            raise BadRequest(413, f"A request has at most {most} bytes.")
    try:
        return msgspec.json.decode(bytes(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest(400, "The body is not JSON.") from None


def _read_get(http: HttpRequest) -> Any:
    given: dict[str, Any] = dict(http.query_params)
    for name in ("variables", "extensions"):
        if given.get(name):
            try:
                given[name] = msgspec.json.decode(given[name])
            except (msgspec.DecodeError, RecursionError):
                raise BadRequest(400, f"`{name}` is not JSON.") from None
        else:
            given.pop(name, None)
    return given


def _request(given: Any, trusted: TrustedDocuments) -> Request:
    if not isinstance(given, dict):
        raise BadRequest(400, "Send one request: a JSON object with `query`.")
    query = given.get("query")
    variables = given.get("variables")
    operation_name = given.get("operationName")
    extensions = given.get("extensions")
    if query is not None and not isinstance(query, str):
        raise BadRequest(400, "`query` must be a string.")
    if variables is not None and not isinstance(variables, dict):
        raise BadRequest(400, "`variables` must be an object.")
    if operation_name is not None and not isinstance(operation_name, str):
        raise BadRequest(400, "`operationName` must be a string.")
    if extensions is not None and not isinstance(extensions, dict):
        raise BadRequest(400, "`extensions` must be an object.")
    ids = (given[name] for name in DOCUMENT_IDS if isinstance(given.get(name), str))
    text = trusted.text(query, next(ids, None), extensions)
    if text is None:
        raise BadRequest(400, "Give a `query`, or the `documentId` of one.")
    return Request(text, variables, operation_name or None)


async def _authenticate(http: HttpRequest) -> Claims:
    """No header: anon. Anything but a valid bearer token: Unauthenticated, never anon."""
    header = http.headers.get("authorization")
    if header is None:
        return ANONYMOUS
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send `Authorization: Bearer <access token>`.")
    return await _services(http).tokens.verify(token.strip())


def _services(http: HttpRequest) -> Services:
    services: Services = http.app.state.services
    return services


def _caller(http: HttpRequest) -> Caller:
    return Caller(http.client.host if http.client else "", http.headers.get("user-agent"))


def _graphiql_files() -> list[Mount]:
    """What the page loads; nothing where it was not built."""
    built = WEB / "dist"
    return [Mount("/graphiql", StaticFiles(directory=built))] if built.is_dir() else []


def _graphiql() -> Response:
    page = "graphiql.html" if (WEB / "dist" / "graphiql.js").exists() else "graphiql-missing.html"
    return FileResponse(
        WEB / page, media_type="text/html", headers={"content-security-policy": CSP, "cache-control": "no-cache"}
    )


async def _home(http: HttpRequest) -> Response:
    return RedirectResponse("/graphql", 302)


# A link's answer is nobody's to keep, and its address no search engine's to list.
_LINK_HEADERS = {"cache-control": "no-store", "x-robots-tag": "noindex, nofollow"}


def _follower(
    follow: Callable[[Services, str, str | None], Awaitable[str]],
) -> Callable[[HttpRequest], Awaitable[Response]]:
    """A link that leads to a stored offer, never to anything the request says."""

    async def answer(http: HttpRequest) -> Response:
        if http.method == "HEAD":  # a preview is no visit
            return PlainTextResponse("", 405, headers={**_LINK_HEADERS, "allow": "GET"})
        try:
            target = await follow(_services(http), http.path_params["token"], http.headers.get("user-agent"))
        except (Expired, LimitReached, ProductNotFound):
            return PlainTextResponse("This link leads nowhere any more.", 410, headers=_LINK_HEADERS)
        except NotFound:
            return PlainTextResponse("There is no such link.", 404, headers=_LINK_HEADERS)
        return RedirectResponse(target, 302, headers=_LINK_HEADERS)

    return answer


async def _live(http: HttpRequest) -> Response:
    return PlainTextResponse("alive")


async def _ready(http: HttpRequest) -> Response:
    try:
        async with _services(http).database.session(ANONYMOUS, read_only=True) as session:
            is_ready = await asyncio.wait_for(session.fetchval("health.ready"), timeout=5)
    except Exception:
        log.warning("not ready", exc_info=True)
        is_ready = False
    return PlainTextResponse("ready" if is_ready else "not ready", 200 if is_ready else 503)


async def _keep_house(services: Services) -> None:
    """What is to be done now and then; of several workers the first to look does it."""
    while True:
        await housekeeping.keep_house(services)
        await asyncio.sleep(services.settings.model_refresh_interval)


async def _deliver_mails(services: Services) -> None:
    """Looks into the outbox now and then; any worker may."""
    sender = senders.from_settings(services.settings)
    if sender is None:
        log.warning("mails wait in the outbox: SMTP_URL is not set")
        return
    while True:
        try:
            await outbox.deliver(services, sender)
        except Exception:
            log.exception("the outbox could not be emptied")
        await asyncio.sleep(services.settings.mail_interval)


def configure_logging(settings: Settings) -> None:
    """JSON lines on stderr."""
    level = {"debug": 10, "info": 20, "warning": 30, "error": 40}.get(settings.log_level.lower(), 20)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )


def app_from_environment() -> Starlette:
    """For `uvicorn server:app_from_environment --factory`: a worker of `aclue serve`, or a deployment of one's own."""
    import settings as settings_module

    loaded = settings_module.load()
    configure_logging(loaded)
    if not loaded.database_url or not loaded.jwt_secret:
        raise SettingsError("DATABASE_URL, JWT_SECRET: needed to serve without `aclue serve`")
    return create_app(loaded, loaded.database_url, loaded.jwt_secret)
