"""`/metrics`, for Prometheus: on a port of its own, or beside the API: docs/metrics.md."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from domain.networks import parse_address
from services.services import Services
from settings import Settings

PATH = "/metrics"


class MetricsPage:
    """The route. With METRICS_TOKEN it needs that token. Without, it is open on a port of its own; beside the API it is
    open to this machine in development, and does not exist in production."""

    def __init__(self, settings: Settings, services: Callable[[], Services], *, has_own_port: bool) -> None:
        self._token = settings.metrics_token.encode()
        self._is_open = has_own_port
        self._is_local = not settings.is_production
        self._services = services

    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, self._show, methods=["GET"])]

    async def _show(self, http: HttpRequest) -> Response:
        if not self._may_see(http):
            headers = {"www-authenticate": "Bearer"} if self._token else None
            return PlainTextResponse("", 401 if self._token else 404, headers=headers)
        registry = await self._services().metrics.registry()
        encode, content_type = choose_encoder(http.headers.get("accept", ""))
        # In a thread: reading the files of many workers takes hundredths of a second.
        body = await asyncio.to_thread(encode, registry)
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})

    def _may_see(self, http: HttpRequest) -> bool:
        if self._token:
            scheme, _, given = http.headers.get("authorization", "").partition(" ")
            return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)
        address = parse_address(http.client.host if http.client else "")
        return self._is_open or (self._is_local and address is not None and address.is_loopback)


class _Server(uvicorn.Server):
    """A second server in the same process: signals are for the first one."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def served(settings: Settings, services: Callable[[], Services]) -> AsyncIterator[None]:
    """Serves METRICS_PORT for the duration of the block, if it is set. Each worker listens there, and any of them can
    answer for all. Raises OSError if the port is not free."""
    if not settings.metrics_port:
        yield
        return
    listening = listen(settings)
    app = Starlette(routes=MetricsPage(settings, services, has_own_port=True).routes())
    config = uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False, server_header=False)
    server = _Server(config)
    task = asyncio.create_task(server.serve([listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        listening.close()


def listen(settings: Settings) -> socket.socket:
    """A socket at METRICS_PORT, which other workers may share. Raises OSError."""
    host, port = settings.metrics_host, settings.metrics_port
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.workers > 1:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((host, port))
        listening.listen()  # at once: whoever connects before the server runs waits, and no other process may listen
    except OSError:
        listening.close()
        raise
    return listening
