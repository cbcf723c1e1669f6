"""GraphQL over server-sent events in distinct connections mode: the response to a POST is a stream.
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md

A stream that the server ends by itself has no `complete` event, so that clients reconnect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from starlette.types import Receive

from db.claims import Claims
from domain.callers import Caller
from domain.errors import AclueError, Overloaded, Unauthenticated
from engine.answers import Answer
from engine.requests import Request
from services.subscriptions import Subscription
from transports.problems import PROBLEMS, Refused, problems
from transports.requests import BadRequest
from transports.streams import End, Ended, Stream, Streams

CONTENT_TYPE = (b"content-type", b"text/event-stream; charset=utf-8")
_COMPLETE = b"event: complete\ndata:\n\n"
_KEEP_ALIVE = b":\n\n"
_TOKEN_IS_OVER = (End.EXPIRED, End.SIGNED_OUT)


class Out(Protocol):
    """Sends a streamed response."""

    async def begin(self, content_type: tuple[bytes, bytes]) -> None: ...

    async def part(self, body: bytes, *, is_last: bool = False) -> None: ...

    def drop(self) -> None: ...


class EventStreams:
    """Answers requests with event streams."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def answer(self, request: Request, claims: Claims, caller: Caller, receive: Receive, out: Out) -> None:
        """Runs until the operation completes or the client disconnects. Raises Unauthenticated, RateLimited or
        Overloaded before anything is sent; errors of the document are sent as an event."""
        try:
            with self._streams.opened(caller) as stream:
                await stream.switch_claims(claims)
                await self._begin(request, stream, receive, out)
        except Ended as error:
            if error.end is End.SIGNED_OUT:
                raise Unauthenticated(error.end.reason) from None
            raise Overloaded(error.end.reason) from None

    async def _begin(self, request: Request, stream: Stream, receive: Receive, out: Out) -> None:
        subscription = None
        try:
            subscription = await stream.begin(request)
        except Refused as error:
            await out.begin(CONTENT_TYPE)
            await out.part(_next(error.answer) + _COMPLETE, is_last=True)
            return
        events = _Events(stream, out, self._streams.settings.stream_send_timeout)
        try:
            await out.begin(CONTENT_TYPE)
            keeper = asyncio.create_task(events.keep(receive, self._streams.settings.stream_keepalive))
            try:
                why = await stream.run(events.tell(request, subscription))
            finally:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)
        finally:
            if subscription is not None:
                subscription.close()
        await events.close(why)


class _Events:
    """Sends the events of one stream."""

    def __init__(self, stream: Stream, out: Out, seconds: float) -> None:
        self._stream = stream
        self._out = out
        self._seconds = seconds

    async def tell(self, request: Request, subscription: Subscription | None) -> None:
        try:
            while True:
                answer = await self._stream.answer(request, subscription)
                await self._say(_next(answer))
                if subscription is None or answer.is_refused:
                    return
        except PROBLEMS as error:
            await self._say(_next(_refused(error)))

    async def keep(self, receive: Receive, interval: float) -> None:
        """Detects disconnection, and sends keep-alives for proxies that close idle connections."""
        while True:
            try:
                async with asyncio.timeout(interval):
                    message = await receive()
                if message["type"] == "http.disconnect":
                    self._stream.end(End.GONE)
                    return
            except TimeoutError:
                await self._say(_KEEP_ALIVE)

    async def close(self, why: End | None) -> None:
        """Sends the last part."""
        if why is End.GONE:
            return
        if why is End.TOO_SLOW:
            self._out.drop()
            return
        last = _COMPLETE if why is None else b""
        if why in _TOKEN_IS_OVER:
            assert why is not None
            last = _next(_refused(Unauthenticated(why.reason))) + _COMPLETE
        try:
            await _within(self._seconds, self._out.part(last, is_last=True))
        except TimeoutError:
            self._out.drop()

    async def _say(self, text: bytes) -> None:
        try:
            await _within(self._seconds, self._out.part(text))
        except TimeoutError:
            self._stream.end(End.TOO_SLOW)


async def _within(seconds: float, awaitable: Awaitable[None]) -> None:
    async with asyncio.timeout(seconds):
        await awaitable


def _refused(error: BadRequest | AclueError | Refused) -> Answer:
    return Answer(errors=problems(error), is_refused=True)


def _next(answer: Answer) -> bytes:
    return b"event: next\ndata: " + answer.encode() + b"\n\n"
