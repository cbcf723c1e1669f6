"""Health checks for load balancers: liveness and readiness."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from db.claims import ANONYMOUS
from services.services import Services
from transports.draining import Draining

log = structlog.get_logger("aclue.transports")

CHECK_TIMEOUT_SECONDS = 5
CHECK_SECONDS = 1.0  # how long a positive check is cached, as anybody may ask as often as they like


class Health:
    """`/livez` and `/readyz`."""

    def __init__(
        self,
        services: Callable[[], Services],
        draining: Draining | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._draining = draining or Draining()
        self._clock = clock
        self._checking = asyncio.Lock()
        self._was_ready_at = float("-inf")

    def routes(self) -> list[BaseRoute]:
        return [Route("/livez", self._live, methods=["GET"]), Route("/readyz", self._ready, methods=["GET"])]

    async def _live(self, http: HttpRequest) -> Response:
        return PlainTextResponse("alive")

    async def _ready(self, http: HttpRequest) -> Response:
        if self._draining.is_on:
            return PlainTextResponse("draining", 503)
        async with self._checking:
            is_ready = self._clock() - self._was_ready_at < CHECK_SECONDS or await self._check()
        return PlainTextResponse("ready" if is_ready else "not ready", 200 if is_ready else 503)

    async def _check(self) -> bool:
        try:
            async with self._services().database.session(ANONYMOUS, read_only=True) as session:
                is_ready = await asyncio.wait_for(session.fetchval("health.ready"), timeout=CHECK_TIMEOUT_SECONDS)
        except Exception:
            log.warning("not ready", exc_info=True)
            return False
        if is_ready:
            self._was_ready_at = self._clock()
        return bool(is_ready)
