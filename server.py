"""The ASGI app: routes, middleware, lifespan; and how uvicorn serves it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.supervisors import Multiprocess

from db import tracing
from db.database import Database
from db.metrics import count_response, shared_folder
from domain.errors import INTERNAL_MESSAGE
from engine import trusted_documents
from engine.engine import Engine
from resolvers import exports
from services import jobs, logs
from services.jobs import Job
from services.last_writes import LastWrites
from services.services import Services
from settings import Settings, SettingsError
from settings_checks import LOG_LEVELS
from transports import links, mail_links, metrics, postbacks
from transports.connections import Connections
from transports.draining import DrainedServer, Draining, closing
from transports.exports import Exports
from transports.health import Health
from transports.http import SECURITY_HEADERS, GraphQL
from transports.metrics import MetricsPage
from transports.protocol import BoundedProtocol
from transports.proxies import Proxies
from transports.request_ids import new_request_id
from transports.streams import Streams
from transports.websocket_protocol import BoundedWebSocketProtocol
from transports.websockets import WebSockets

log = structlog.get_logger("aclue.server")

WEB = Path(__file__).resolve().parent / "web"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The same URL serves JSON, depending on Accept.
_PAGE_HEADERS = {"content-security-policy": CSP, "cache-control": "no-cache", "vary": "accept"}


def create_app(
    settings: Settings, database_url: str, secret: str, *, worker_url: str = "", background: Sequence[Job] = jobs.JOBS
) -> Starlette:
    """The service on one database. `secret` signs tokens, cursors and links; `background` are the jobs to run, unless
    JOBS is off, with the log-in of `worker_url` (default: the API's)."""
    background = background if settings.jobs else ()
    engine = Engine(settings)
    trusted = trusted_documents.load(settings, engine)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if settings.tracing:
            tracing.start()
        last_writes = LastWrites.of(settings)
        database = await Database.connect(database_url, settings, last_writes=last_writes)
        app.state.services = Services.make(settings, database, secret)
        services = app.state.services
        services.system_log.start()
        services.storage_use.start()
        services.metrics.start()
        services.public_answers.start()
        database.changes.start()
        database.replicas.start()
        await services.switches.start()
        if services.sender is None:
            log.warning("mails wait in the outbox: SMTP_URL is not set")
        try:
            async with (
                metrics.served(settings, lambda: services),
                _working(services, worker_url or database_url, background),
            ):
                with _stopped_by_signals(streams, draining, settings.shutdown_delay):
                    yield
                streams.stop()
        finally:
            streams.stop()
            await services.system_log.stop()
            await services.storage_use.stop()
            await services.metrics.stop()
            await services.public_answers.stop()
            await services.switches.stop()
            await services.rate_limits.close()
            await database.changes.stop()
            await database.close()
            if last_writes is not None:
                await last_writes.close()
            await asyncio.to_thread(tracing.stop)
            if engine.counts:
                log.info("requests answered", **engine.counts)

    draining = Draining()
    app = _App(
        routes=[
            *(_graphiql_routes(settings.base_path) if settings.serves_graphiql else ()),
            *links.routes(),
            *mail_links.routes(),
            *postbacks.routes(),
            *Health(lambda: app.state.services, draining).routes(),
            *(
                ()
                if settings.metrics_port
                else MetricsPage(settings, lambda: app.state.services, has_own_port=False).routes()
            ),
        ],
        middleware=[Middleware(_Headers)],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # such a redirect would trust the Host header
    app.state.engine = engine
    streams = Streams(engine, settings, lambda: app.state.services)
    app.draining = draining
    app.proxies = Proxies(settings.trusted_networks)
    app.prefix = unquote(settings.base_path)
    page = app.routed if settings.serves_graphiql else None
    app.graphql = GraphQL(engine, trusted, settings, lambda: app.state.services, streams, page)
    app.websockets = WebSockets(streams, trusted, settings)
    app.exports = Exports(streams)
    return app


@contextlib.asynccontextmanager
async def _working(services: Services, dsn: str, background: Sequence[Job]) -> AsyncIterator[None]:
    """Runs the jobs during the block. At its end, jobs at work are cancelled, and queued again."""
    if not background:
        yield
        return
    async with jobs.connected(services, dsn) as own:
        stopping = asyncio.Event()
        working = asyncio.create_task(jobs.work(own, background, stopping))
        try:
            yield
        finally:
            stopping.set()
            await asyncio.wait({working}, timeout=services.settings.shutdown_timeout)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


@contextlib.contextmanager
def _stopped_by_signals(streams: Streams, draining: Draining, delay: float) -> Iterator[None]:
    """Stops streams on SIGINT and SIGTERM: servers run an app's shutdown only after all connections are closed, which
    open streams would delay. After a first SIGTERM the server drains for `delay` seconds before it hears of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(streams.stop)
        handler = before[signal.Signals(number)]
        if number == signal.SIGTERM and delay and not draining.is_on:
            draining.is_on = True
            loop.call_soon_threadsafe(loop.call_later, delay, end, handler, number)
        else:
            end(handler, number)

    def end(handler: Any, number: int) -> None:
        if callable(handler):
            handler(number, None)

    for number, handler in before.items():
        if callable(handler):  # SIG_DFL and SIG_IGN stay
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


class _App(Starlette):
    """Dispatches GraphQL, WebSockets and exports directly; everything else goes through middleware and routes."""

    graphql: GraphQL
    websockets: WebSockets
    proxies: Proxies
    prefix: str
    exports: Exports
    draining: Draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.draining.is_on and scope["type"] == "http":
            send = closing(send)
        if scope["type"] != "lifespan":
            self.proxies.resolve(scope)
            path = self._inner(re.sub("/{2,}", "/", scope["path"]))
            scope["path"] = self._inner(scope["path"])
            if path.startswith(postbacks.PREFIX):  # however many slashes: what follows is secret
                scope["path"] = path
                postbacks.take_secret(scope)
        if scope["type"] == "http" and scope["path"] == "/graphql":
            await self.graphql(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.websockets(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(exports.PATH):
            await self.exports(scope, receive, send)
        else:
            await self.routed(scope, receive, send)

    def _inner(self, path: str) -> str:
        """The path without the prefix of PUBLIC_URL, which a proxy may keep or strip."""
        if self.prefix and (path == self.prefix or path.startswith(f"{self.prefix}/")):
            path = path.removeprefix(self.prefix) or "/"
        return "/graphql" if path == "/graphql/" else path

    async def routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Middleware, then routes."""
        await super().__call__(scope, receive, send)


class _Headers:
    """Adds a request id and security headers to every response, internal errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_request_id()
        fixed = [(b"x-request-id", request_id.encode()), *SECURITY_HEADERS]

        is_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_begun
            if message["type"] == "http.response.start":
                is_begun = True
                if (route := _route_of(scope["path"])) is not None:
                    count_response(route, message["status"])
                message["headers"] = [*message["headers"], *fixed]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            log.error("internal error", request_id=request_id, exc_info=error)
            if is_begun:
                raise
            answer = PlainTextResponse(INTERNAL_MESSAGE, 500, headers={"cache-control": "no-store"})
            await answer(scope, receive, send_with_headers)


def _route_of(path: str) -> str | None:
    """What metrics call a path; None for those that only operators ask."""
    if path in ("/livez", "/readyz", metrics.PATH):
        return None
    return "link" if path.startswith(("/r/", "/g/")) else "postback" if path.startswith(postbacks.PREFIX) else "page"


def _graphiql_routes(prefix: str) -> list[BaseRoute]:
    """GraphiQL below the prefix: its page, the redirect from `/`, and its assets where they were built."""
    built = WEB / "dist"
    files = [Mount("/graphiql", StaticFiles(directory=built))] if built.is_dir() else []

    async def page(http: HttpRequest) -> Response:
        name = "graphiql.html" if (WEB / "dist" / "graphiql.js").exists() else "graphiql-missing.html"
        html = (WEB / name).read_text().replace('"/graphiql/', f'"{escape(prefix)}/graphiql/')
        return HTMLResponse(html, headers=_PAGE_HEADERS)

    async def home(http: HttpRequest) -> Response:
        return RedirectResponse(f"{prefix}/graphql", 302)

    return [Route("/", home, methods=["GET"]), Route("/graphql", page, methods=["GET"]), *files]


def configure_logging(settings: Settings, secret: str) -> None:
    """JSON lines on stderr. `secret` keys the hashes of callers in them."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(LOG_LEVELS[settings.log_level.lower()]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # looked up per message: stderr may be replaced
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            logs.CallerProcessor(secret),
            logs.without_details,
            structlog.processors.format_exc_info,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.JSONRenderer(),
        ],
    )


def tune_gc() -> None:
    """Exempts what startup has allocated, mainly the schema, from garbage collection: it lives as long as the process,
    and traversing it again and again would stall requests. Collections run less often than by default, as requests
    create hardly any reference cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def app_from_environment() -> Starlette:
    """For `uvicorn server:app_from_environment --factory`: a worker of `aclue serve`, or your own deployment."""
    import settings as settings_module

    loaded = settings_module.load()
    configure_logging(loaded, loaded.jwt_secret)
    if not loaded.database_url or not loaded.jwt_secret:
        raise SettingsError("DATABASE_URL, JWT_SECRET: needed to serve without `aclue serve`")
    app = create_app(loaded, loaded.database_url, loaded.jwt_secret, worker_url=loaded.worker_database_url)
    tune_gc()
    return app


class _Server(DrainedServer):
    """Prints a banner once it accepts requests."""

    def __init__(self, config: uvicorn.Config, banner: str) -> None:
        super().__init__(config)
        self._banner = banner

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._banner, flush=True)


class _Workers(Multiprocess):
    """Says that a worker died: uvicorn does at a level that is off."""

    def keep_subprocess_alive(self) -> None:
        before = list(self.processes)
        super().keep_subprocess_alive()
        for old, new in zip(before, self.processes, strict=True):
            if new is not old:
                log.warning("a worker died, and is replaced", pid=old.pid, exit_code=old.exitcode)


def run(settings: Settings, database_url: str, secret: str, banner: str, worker_url: str = "") -> bool:
    """Serves until a signal arrives, with WORKERS processes. `banner` is printed once it accepts requests. False if it
    did not start."""
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "http": functools.partial(BoundedProtocol, connections=Connections.of(settings)),
        "ws": BoundedWebSocketProtocol,
        "access_log": False,
        "server_header": False,
        "log_level": "warning",
        "timeout_keep_alive": settings.keep_alive,
        "timeout_graceful_shutdown": settings.shutdown_timeout,
        "ws_max_size": settings.max_body_bytes,
        "ws_per_message_deflate": False,  # what it keeps per connection is more than all the rest
        "ws_ping_interval": settings.stream_keepalive,
        "ws_ping_timeout": settings.stream_keepalive,
        "proxy_headers": False,  # transports/proxies.py reads them
    }
    if settings.workers == 1:
        served = create_app(settings, database_url, secret, worker_url=worker_url)
        tune_gc()
        server = _Server(uvicorn.Config(served, lifespan="on", **options), banner)
        server.run()
        return server.started
    os.environ.update(DATABASE_URL=database_url, WORKER_DATABASE_URL=worker_url, JWT_SECRET=secret)
    print(banner, flush=True)
    options["timeout_worker_healthcheck"] = 60  # workers that are still importing are not hung
    with shared_folder() as folder:
        os.environ.update(PROMETHEUS_MULTIPROC_DIR=str(folder))
        config = uvicorn.Config("server:app_from_environment", factory=True, workers=settings.workers, **options)
        _Workers(config, sockets=[config.bind_socket()]).run()
    return True
