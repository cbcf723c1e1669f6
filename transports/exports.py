"""Downloads of exports: JSON lines, read from Postgres only as fast as the client reads them. docs/privacy.md"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import structlog
from starlette.types import Receive, Scope, Send

from db import metrics
from db.claims import ANONYMOUS
from domain.errors import INTERNAL_MESSAGE, Expired, NotFound, Overloaded, RateLimited, Timeout, TryAgain
from domain.networks import site
from domain.prefetch import is_prefetch
from resolvers import exports
from resolvers.exports import RETRY_SECONDS, Ticket
from transports.http import NO_STORE, SECURITY_HEADERS, headers_of
from transports.pages import VISIT_COST
from transports.request_ids import new_request_id
from transports.streams import End, Ended, Streams, caller_of, drop

log = structlog.get_logger("aclue.transports")

# A download that is slower than this for each other network that waits is cut off after the first seconds: many that
# each take their time would keep everybody else out.
MIN_BYTES_PER_SECOND = 256 * 1024
FIRST_SECONDS = 10
TURN_SECONDS = 3 * RETRY_SECONDS  # how long a turn is reserved for a network that was refused
MAX_WAITING = 1_000
MAX_WAIT_SECONDS = 3_600
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_FILE = [
    (b"content-type", b"application/x-ndjson"),
    (b"content-disposition", b'attachment; filename="aclue-export.ndjson"'),
    (b"x-accel-buffering", b"no"),  # keeps nginx from buffering the whole file on disk
]


class Exports:
    """The ASGI app behind the URLs of exportMyData. One download at a time, as each holds a database connection.

    No client can monopolise it: a slow download is cut off while another client waits, and networks that were refused
    take turns in the order of their first refusal.
    """

    def __init__(self, streams: Streams, clock: Callable[[], float] = time.monotonic) -> None:
        self._streams = streams
        self._clock = clock
        self._is_busy = False
        self._last_network = ""
        self._waiting: dict[str, float] = {}  # networks that were refused, and until when their turn is reserved
        self._late: dict[UUID, float] = {}  # requests that were refused, and until when they do not expire

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_request_id()
        headers = headers_of(scope["headers"])
        out = _Download(send, request_id)
        try:
            if scope["method"] != "GET":  # not HEAD either: it would consume the single-use URL
                await out.refuse(405, "Use GET: this address works once.", [(b"allow", b"GET")])
            elif is_prefetch(scope["headers"]):
                await out.refuse(503, "This address works once, and is not for prefetching.")
            else:
                await self._answer(scope, headers.get(b"user-agent"), receive, out)
        except TryAgain as error:
            status = 429 if isinstance(error, RateLimited) else 503
            await out.refuse(status, str(error), [(b"retry-after", str(error.retry_after).encode())])
        except Expired as error:
            await out.refuse(410, str(error))
        except NotFound as error:
            await out.refuse(404, str(error))
        except Exception as error:
            log.error("internal error", request_id=request_id, exc_info=error)
            await out.refuse(500, INTERNAL_MESSAGE)

    async def _answer(self, scope: Scope, user_agent: bytes | None, receive: Receive, out: _Download) -> None:
        services = self._streams.services()
        caller = caller_of(scope, user_agent)
        await services.rate_limits.take(ANONYMOUS, caller.address, VISIT_COST)
        ticket = exports.open_ticket(services, scope["path"].removeprefix(exports.PATH))
        lifetime = self._lifetime(ticket)
        await exports.check(services, ticket, lifetime)
        self._take_place(site(caller.address), ticket)
        try:
            with self._streams.opened(caller) as stream:
                await stream.switch_claims(ticket.claims)
                watcher = asyncio.create_task(_until_gone(receive))
                watcher.add_done_callback(lambda _: stream.end(End.GONE))
                try:
                    why = await stream.run(self._send(ticket, lifetime, out))
                finally:
                    watcher.cancel()
                    await asyncio.gather(watcher, return_exceptions=True)
            if why is not None:
                raise Ended(why)
        except Ended as error:
            if error.end is End.SIGNED_OUT:
                raise Expired("The session that asked for this export has ended.") from None
            if error.end is not End.GONE:
                raise Overloaded(error.end.reason, RETRY_SECONDS) from None
        except TimeoutError:
            raise Timeout("The download took too long.", RETRY_SECONDS) from None
        finally:
            self._is_busy = False

    def _lifetime(self, ticket: Ticket) -> float:
        """Seconds for which a URL works: it does not expire while its client waits for its turn."""
        now = self._clock()
        self._late = {request: until for request, until in self._late.items() if until > now}
        return exports.LIFETIME_SECONDS + (MAX_WAIT_SECONDS if ticket.request_id in self._late else 0)

    def _take_place(self, network: str, ticket: Ticket) -> None:
        """Raises Overloaded while another download is running, or while another network was refused earlier: turns are
        taken in the order of the first refusal."""
        waiting = self._waiting_networks()
        if self._is_busy or (waiting and waiting[0] != network):
            if network in self._waiting or len(self._waiting) < MAX_WAITING:
                self._waiting[network] = self._clock() + TURN_SECONDS
            if ticket.request_id in self._late or len(self._late) < MAX_WAITING:
                self._late[ticket.request_id] = self._clock() + TURN_SECONDS
            raise Overloaded("Another export is being downloaded: try again shortly.", RETRY_SECONDS)
        self._waiting.pop(network, None)
        self._is_busy, self._last_network = True, network

    def _waiting_networks(self) -> list[str]:
        now = self._clock()
        self._waiting = {network: until for network, until in self._waiting.items() if until > now}
        return list(self._waiting)

    def _gives_way(self, sent: int, seconds: float) -> bool:
        if seconds <= FIRST_SECONDS:
            return False
        others = sum(network != self._last_network for network in self._waiting_networks())
        return sent < seconds * MIN_BYTES_PER_SECOND * others

    async def _send(self, ticket: Ticket, lifetime: float, out: _Download) -> None:
        """Raises TimeoutError if the client is too slow, and what exports.fetch raises."""
        settings = self._streams.settings
        async with asyncio.timeout(settings.export_timeout):
            async with contextlib.aclosing(exports.fetch(self._streams.services(), ticket, lifetime)) as pages:
                started, sent = self._clock(), 0
                async for page in pages:
                    async with asyncio.timeout(settings.stream_send_timeout):
                        await out.part(page)
                    sent += len(page)
                    if self._gives_way(sent, self._clock() - started):
                        raise TimeoutError
            async with asyncio.timeout(settings.stream_send_timeout):
                await out.end()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Download:
    """Sends one response."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._fixed = [
            NO_STORE,
            *SECURITY_HEADERS,
            (b"x-robots-tag", b"noindex"),
            (b"x-request-id", request_id.encode()),
        ]
        self._is_begun = False

    async def refuse(self, status: int, text: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Sends an error. A download that has started is cut off instead, so that its last line is missing."""
        if self._is_begun:
            self.drop()
            return
        body = f"{text}\n".encode()
        await self._start(status, [_TEXT, (b"content-length", str(len(body)).encode()), *headers])
        await self._send({"type": "http.response.body", "body": body})

    async def part(self, page: bytes) -> None:
        """Sends the next part of the file."""
        if not self._is_begun:
            await self._start(200, _FILE)
        await self._send({"type": "http.response.body", "body": page, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})

    def drop(self) -> None:
        """Aborts the connection."""
        drop(self._send)

    async def _start(self, status: int, headers: Sequence[tuple[bytes, Any]]) -> None:
        self._is_begun = True
        metrics.count_response("export", status)
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self._fixed]})
