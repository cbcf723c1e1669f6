"""Long-lived connections of any transport: their claims and expiry, limits on their number, and the operations on them.

WebSockets and server-sent events differ in their framing only; what may be sent is decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from enum import Enum
from typing import Any

import structlog
from graphql import OperationType
from starlette.types import Send

from db import metrics
from db.claims import ANONYMOUS, SERVICE, Claims
from domain.callers import Caller
from domain.errors import RateLimited, RequestError, Timeout
from domain.networks import networks
from engine.answers import Answer
from engine.engine import Engine
from engine.requests import Prepared, Request
from resolvers import sessions
from schema.context import Context
from services.services import Services
from services.subscriptions import Change, Subscription
from settings import Settings
from transports.connections import max_connections
from transports.problems import Broken, Refused
from transports.request_ids import new_request_id
from transports.requests import prepare_and_charge

log = structlog.get_logger("aclue.transports")

EVENTS_AT_ONCE = 4  # events executed concurrently, so that a change for all subscribers does not starve requests
UNKNOWN_SHARE = 10  # 1/UNKNOWN_SHARE of all places is for unauthenticated connections


class End(Enum):
    """Why the server ends a connection: a close code of graphql-transport-ws or of WebSockets, and a reason. Clients of
    that protocol reconnect after 1001, 1013 and 4403 only."""

    GONE = (1005, "")
    STOPPING = (1001, "The server is stopping.")
    TOO_SLOW = (1013, "Events are not read fast enough.")
    TOO_MANY = (1013, "Too many connections.")
    DISPLACED = (1013, "Too many connections from this network.")
    BUSY = (1013, "Try again later.")
    IDLE = (1000, "No operation was running.")
    NOT_INITIALISED = (4408, "Connection initialisation timeout")
    EXPIRED = (4403, "The access token has expired.")
    SIGNED_OUT = (4403, "The session has ended.")
    FORBIDDEN = (4403, "The access token is not valid.")
    SOMEBODY_ELSE = (4403, "The access token belongs to another person.")

    @property
    def code(self) -> int:
        return self.value[0]

    @property
    def reason(self) -> str:
        return self.value[1]


class Ended(Exception):
    """The connection has to be closed."""

    def __init__(self, end: End) -> None:
        super().__init__(end.reason)
        self.end = end


class Streams:
    """All open connections of this process.

    When all places are taken, networks share them evenly: a new connection displaces one of the network that holds the
    most, if that is more than the new connection's own network would hold. So a few networks cannot occupy all places.
    Unauthenticated connections have only a small share: every WebSocket starts as one, and opening it is free.
    """

    def __init__(self, engine: Engine, settings: Settings, services: Callable[[], Services]) -> None:
        self.engine = engine
        self.settings = settings
        self.services = services
        self.event_slots = asyncio.Semaphore(EVENTS_AT_ONCE)
        self.check_slots = asyncio.Semaphore(EVENTS_AT_ONCE)  # no event delays the end of a session
        self.is_stopping = False
        # Requests cannot displace streams, so half of the connections are reserved for them.
        self._max_streams = max(1, max_connections(settings) // 2)
        self._open: dict[Stream, None] = {}  # oldest first
        self._unknown: dict[Stream, None] = {}  # those that are not authenticated
        self._places: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def stop(self) -> None:
        """Ends all streams, and accepts no new ones."""
        self.is_stopping = True
        for stream in list(self._open):
            stream.end(End.STOPPING)

    @contextlib.contextmanager
    def opened(self, caller: Caller) -> Iterator[Stream]:
        """Opens a stream. Raises Ended if a limit is reached."""
        if self.is_stopping:
            raise Ended(End.STOPPING)
        stream = Stream(self, caller)
        self._enter(stream)
        try:
            yield stream
        finally:
            stream.close()
            self._leave(stream)

    def take_place(self, name: str, limit: int) -> None:
        """Raises Ended if all places are taken."""
        if self._places[name] >= limit:
            raise _too_many()
        self._places[name] += 1

    def leave_place(self, name: str) -> None:
        self._places[name] -= 1
        if not self._places[name]:
            del self._places[name]

    def recognise(self, stream: Stream) -> None:
        """Marks a stream as authenticated."""
        self._unknown.pop(stream, None)

    def _enter(self, stream: Stream) -> None:
        for network in stream.networks:
            if self._places[network.name] >= self.settings.max_streams_per_address * network.factor:
                raise _too_many()
        limit = min(self.settings.max_streams, self._max_streams)
        if len(self._unknown) >= max(1, limit // UNKNOWN_SHARE):
            self._make_room(self._unknown, stream, is_contested=True)
        elif len(self._open) >= limit:
            self._make_room(self._open, stream, is_contested=False)
        self._open[stream] = self._unknown[stream] = None
        metrics.STREAMS.set(len(self._open))
        for network in stream.networks:
            self._places[network.name] += 1

    def _leave(self, stream: Stream) -> None:
        if stream not in self._open:
            return  # it was displaced
        del self._open[stream]
        metrics.STREAMS.set(len(self._open))
        self._unknown.pop(stream, None)
        for network in stream.networks:
            self.leave_place(network.name)

    def _make_room(self, pool: Collection[Stream], newcomer: Stream, *, is_contested: bool) -> None:
        """Ends the oldest stream of the network that holds the most of the pool. Raises Ended if the newcomer's network
        would then hold more, or as many. In a contested pool the newcomer wins a tie, as nobody needs such a place for
        long."""
        held = Counter(network for stream in pool for network in stream.networks)

        def share(stream: Stream, more: int = 0) -> float:
            return max((held[network] + more) / network.factor for network in stream.networks)

        largest = max(pool, key=share)
        would_hold = share(newcomer, 1)
        if would_hold > share(largest) or (would_hold == share(largest) and not is_contested):
            raise _too_many()
        self._leave(largest)
        largest.end(End.DISPLACED)


class Stream:
    """One open connection."""

    def __init__(self, streams: Streams, caller: Caller) -> None:
        self.claims = ANONYMOUS
        self._ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._streams = streams
        self._services = streams.services()
        self._caller = caller
        self.networks = networks(caller.address)
        self._place = ""
        self._expiry: asyncio.TimerHandle | None = None
        self._forget_session: Callable[[], None] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._is_check_due = False
        self._has_session = False  # whether the session of the token was among ours

    def end(self, why: End) -> None:
        """Ends the connection: cancels the work in `run`. The first reason wins."""
        if not self._ended.done():
            self._ended.set_result(why)

    async def run(self, work: Coroutine[Any, Any, None]) -> End | None:
        """Runs this until it completes or the connection is ended; returns why it was. Raises what the work raises."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait((task, self._ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._ended.done():
            return self._ended.result()
        task.result()
        return None

    def close(self) -> None:
        """Releases everything that the stream holds."""
        self._let_go()
        if self._place:
            self._streams.leave_place(self._place)

    async def switch_claims(self, claims: Claims) -> None:
        """Authenticates the stream, until the token expires or its session ends. Raises Ended."""
        if self.claims.subject not in (None, claims.subject):
            raise Ended(End.SOMEBODY_ELSE)
        self._let_go()
        if claims.subject is not None and not self._place:
            place = f"person {claims.subject}"
            self._streams.take_place(place, self._streams.settings.max_streams_per_person)
            self._place = place
        if claims.subject is not None or claims.role == SERVICE.role:
            self._streams.recognise(self)
        self.claims = claims
        self._expire()
        if claims.session_id is not None:  # listen before reading: the session may end in between
            changes = self._services.database.changes
            self._has_session = False
            self._forget_session = changes.listen("sessions", str(claims.session_id), self._session_changed)
            await self._check_session()

    def _let_go(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        if self._forget_session is not None:
            self._forget_session()
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None

    def _expire(self) -> None:
        if self.claims.expires_at is None:
            return
        left = self.claims.expires_at - time.time()
        if left <= 0:
            self.end(End.EXPIRED)
        else:  # rechecked every minute, in case the clock was set or the machine was suspended
            self._expiry = asyncio.get_running_loop().call_later(min(left, 60), self._expire)

    def _session_changed(self, _detail: str | None) -> None:
        """Any role may NOTIFY, so the session's state is read from its table, by one query at a time."""
        self._is_check_due = True
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check_session_again())

    async def _check_session_again(self) -> None:
        try:
            while self._is_check_due:
                async with self._streams.check_slots:
                    self._is_check_due = False
                    await self._check_session()
        except Ended as error:
            self.end(error.end)
        except Exception:  # the state is unknown: let the client reconnect
            self.end(End.BUSY)

    async def _check_session(self) -> None:
        async with self._services.rate_limits.metered(self.claims, self._caller.address, 0):
            has_ended = await sessions.has_ended(self._services, self.claims)
        if has_ended or (has_ended is None and self._has_session):  # no longer there: it was deleted
            raise Ended(End.SIGNED_OUT)
        self._has_session = has_ended is not None

    async def charge(self, cost: int) -> None:
        """Charges the caller. Raises RateLimited."""
        await self._services.rate_limits.take(self.claims, self._caller.address, cost)

    async def _pay(self, charge: int) -> None:
        """Charges for an event, waiting until the limits allow it. Meanwhile changes of a state are coalesced."""
        while True:
            try:
                return await self.charge(charge)
            except RateLimited as error:
                await asyncio.sleep(error.retry_after)

    async def begin(self, request: Request) -> Subscription | None:
        """Charges for a request, and opens the subscription if it is one. Raises Refused or RequestError."""
        engine = self._streams.engine
        prepared = await prepare_and_charge(engine, self._services, self.claims, self._caller.address, request)
        if prepared.kind is not OperationType.SUBSCRIPTION:
            return None
        answer = await self._answer(prepared, None, new_request_id())
        if answer.subscribes_to is None:
            raise Refused(answer)
        return Subscription(self._services, self.claims, answer.subscribes_to)

    async def answer(self, request: Request, subscription: Subscription | None) -> Answer:
        """The answer to the request, or to the subscription's next event. Raises RequestError."""
        request_id = new_request_id()
        try:
            if subscription is None:
                with self._services.admission.held(self._caller.address):
                    return _counted(await self._timely(request, None, request_id))
            while True:
                change = await subscription.next()
                await self._pay(self._streams.engine.prepare(request).charge)
                # First a turn of the network's own, so that nobody waits for a slot with others' events behind them.
                async with self._turn(), self._streams.event_slots:
                    answer = await self._timely(request, change, request_id, has_turn=True)
                metrics.EVENTS.inc()
                if not (subscription.skips_null_events and answer.is_null):
                    return _counted(answer)
        except RequestError:
            raise
        except Exception as error:
            log.error("internal error", request_id=request_id, exc_info=error)
            raise Broken(request_id) from None

    def _turn(self) -> contextlib.AbstractAsyncContextManager[None]:
        if self.claims.role == SERVICE.role:
            return contextlib.nullcontext()
        return self._services.turns.held(self._caller.address, self.claims.subject_text or None)

    async def _timely(
        self, request: Request, change: Change | None, request_id: str, *, has_turn: bool = False
    ) -> Answer:
        try:
            async with asyncio.timeout(self._streams.settings.request_timeout):
                # Prepared per event, and again after waiting for the limits and a turn, mostly from the cache: a stream
                # that is idle or waits holds only the text of its request in memory.
                prepared = self._streams.engine.prepare(request)
                return await self._answer(prepared, change, request_id, has_turn=has_turn)
        except TimeoutError:
            raise Timeout("The request took too long.") from None

    async def _answer(
        self, prepared: Prepared, change: Change | None, request_id: str, *, has_turn: bool = False
    ) -> Answer:
        context = Context(self._services, self.claims, self._caller, change, paid=prepared.charge, has_turn=has_turn)
        return await self._streams.engine.answer(prepared, context, request_id)


def _counted(answer: Answer) -> Answer:
    metrics.count_answer("stream", answer.codes)
    return answer


def _too_many() -> Ended:
    metrics.LIMITS.labels("streams").inc()
    return Ended(End.TOO_MANY)


def drop(send: Send) -> None:
    """Aborts the connection of a slow consumer and discards its write buffer. ASGI has no message for that: servers
    close a connection only once the client has read everything, which may be never."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)  # uvicorn's
    if transport is not None:
        transport.abort()


def address_of(scope: Any) -> str:
    """The address of the peer; empty if unknown."""
    client = scope["client"]
    return client[0] if client else ""


def caller_of(scope: Any, user_agent: bytes | None) -> Caller:
    """The peer of the connection."""
    return Caller(
        address_of(scope),
        user_agent.decode("latin-1") if user_agent is not None else None,
        wants_privacy=(b"sec-gpc", b"1") in scope["headers"],
    )
