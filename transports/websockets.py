"""GraphQL over WebSockets: graphql-transport-ws.
https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md

A `ping` with a token in its payload switches the socket to that token, so that it outlives the one it was opened with.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from domain.errors import INTERNAL_MESSAGE, Forbidden, Overloaded, RateLimited, Unauthenticated
from engine.answers import Errors
from engine.requests import Request
from engine.trusted_documents import TrustedDocuments
from services.subscriptions import Subscription
from settings import Settings
from transports.http import SECURITY_HEADERS, authenticate, has_no_token, headers_of
from transports.media_types import LEGACY
from transports.origins import Origins
from transports.problems import PROBLEMS, Refused, problems
from transports.request_ids import new_request_id
from transports.requests import LARGE_BYTES, Reader, charge_for_bytes
from transports.streams import End, Ended, Stream, Streams, caller_of, drop

log = structlog.get_logger("aclue.transports")

PROTOCOL = "graphql-transport-ws"
PATH = "/graphql"
MAX_ID_LENGTH = 100
MAX_REASON_BYTES = 123  # of a close frame (RFC 6455, 5.5)
MESSAGE_COST = 1  # charged for each message but `subscribe`
CLOSE_TIMEOUT_SECONDS = 1.0  # for sending the close frame to a client that may not read
_NOTHING = msgspec.Raw(b"null")


class _Message(msgspec.Struct):
    type: str
    id: str | None = None
    payload: msgspec.Raw = _NOTHING


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_payload = msgspec.json.Decoder(dict[str, Any] | None).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


class Violation(Exception):
    """The client violated the protocol: the socket is closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class WebSockets:
    """The ASGI app for all WebSockets; there is one path."""

    def __init__(self, streams: Streams, trusted: TrustedDocuments, settings: Settings) -> None:
        self._streams = streams
        self._reader = Reader(settings, trusted)
        self._origins = Origins(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        headers = headers_of(scope["headers"])
        reached = (b"https://" if scope.get("scheme") == "wss" else b"http://") + headers.get(b"host", b"")
        if scope["path"] != PATH or not self._origins.may_connect(headers.get(b"origin"), reached):
            await _refuse(scope, send)
            return
        speaks = PROTOCOL in scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL if speaks else None})
        try:
            if not speaks:
                raise Violation(4406, "Subprotocol not acceptable")
            with self._streams.opened(caller_of(scope, headers.get(b"user-agent"))) as stream:
                socket = _Socket(stream, self._streams, self._reader, receive, send)
                why = await socket.run(headers.get(b"authorization"))
            if why is None or why is End.GONE:
                return
            if why is End.TOO_SLOW:
                drop(send)
                return
            code, reason = why.value
        except Ended as error:
            code, reason = error.end.value
        except Violation as error:
            code, reason = error.code, str(error)
        except OSError:  # the client has disconnected
            return
        except Exception as error:
            log.error("internal error", exc_info=error)
            code, reason = 1011, INTERNAL_MESSAGE
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await send({"type": "websocket.close", "code": code, "reason": _cut(reason)})
        except TimeoutError:
            drop(send)
        except (OSError, RuntimeError):
            return  # already closed


def _cut(reason: str) -> str:
    """The reason within the size of a close frame; servers fail to send a longer one."""
    return reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")


async def _refuse(scope: Scope, send: Send) -> None:
    """Refuses a handshake: with 403, and an error in JSON if the server supports that."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        return await send({"type": "websocket.close"})
    errors = problems(Forbidden("A WebSocket is opened at /graphql, by pages of allowed origins."))
    headers = [LEGACY.content_type, (b"x-request-id", new_request_id().encode()), *SECURITY_HEADERS]
    await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": msgspec.json.encode({"errors": errors})})


class _Socket:
    """One open socket."""

    def __init__(self, stream: Stream, streams: Streams, reader: Reader, receive: Receive, send: Send) -> None:
        self._stream = stream
        self._services = streams.services()
        self._settings = streams.settings
        self._reader = reader
        self._receive = receive
        self._send = send
        self._header: bytes | None = None
        self._shown: tuple[bytes, bytes] | None = None  # the last scheme and token that were accepted
        self._is_initialised = False
        self._is_acknowledged = False
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._running = 0  # operations, including those that are starting or being cancelled
        self._idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._settings.stream_init_timeout, self._end_unless_initialised)

    async def run(self, authorization: bytes | None) -> End | None:
        """Serves the socket; returns why to close it, or None if the client has disconnected. Raises Ended or
        Violation. `authorization` is the handshake's header, which browsers cannot send."""
        self._header = authorization
        try:
            return await self._stream.run(self._converse())
        finally:
            self._timer.cancel()
            operations = list(self._operations.values())
            for operation in operations:
                operation.cancel()
            await asyncio.gather(*operations, return_exceptions=True)

    def _end_unless_initialised(self) -> None:
        if not self._is_initialised:
            self._stream.end(End.NOT_INITIALISED)

    def _end_if_idle(self) -> None:
        """Closes the socket if it has been idle for the timeout, else checks again when that could be."""
        timeout = self._settings.stream_idle_timeout
        left = timeout if self._running else self._idle_since + timeout - self._loop.time()
        if left <= 0:
            self._stream.end(End.IDLE)
        else:
            self._timer = self._loop.call_later(left, self._end_if_idle)

    async def _converse(self) -> None:
        while True:
            frame = await self._receive()
            if frame["type"] == "websocket.disconnect":
                return
            text = frame.get("text")
            if text is None:
                raise Violation(4400, "A message must be a text frame, not a binary one.")
            if len(text) >= LARGE_BYTES:
                await self._charge(charge_for_bytes(len(text)))
            if len(text) > self._settings.max_body_bytes:
                raise Violation(1009, f"The message is larger than {self._settings.max_body_bytes} bytes.")
            await self._take(_message(text, self._reader))

    async def _take(self, message: _Message) -> None:
        if message.type != "subscribe":  # which is charged for its operation
            await self._charge(MESSAGE_COST)
        if message.type == "connection_init":
            await self._initialise(_payload(message))
        elif message.type == "ping":
            await self._pong(_payload(message))
        elif message.type == "pong":
            _payload(message)
        elif message.type == "subscribe":
            await self._subscribe(message)
        elif message.type == "complete":
            operation = self._operations.pop(_id(message), None)
            if operation is not None:
                operation.cancel()
        else:
            raise Violation(4400, f"There is no message type {message.type[:MAX_ID_LENGTH]!r}.")

    async def _charge(self, cost: int) -> None:
        """Charges the sender of a message. Over the limit, no more messages are read until it allows them: running
        subscriptions continue, whereas the client of a closed socket would reconnect and start them again."""
        while True:
            try:
                await self._stream.charge(cost)
                return
            except RateLimited as error:
                await asyncio.sleep(error.retry_after)

    async def _initialise(self, payload: dict[str, Any]) -> None:
        if self._is_initialised:
            raise Violation(4429, "Too many initialisation requests")
        self._is_initialised = True
        authorization = _authorization(payload)
        if authorization is None:
            authorization = self._header
        if authorization is not None:
            await self._switch_claims(authorization)
        self._is_acknowledged = True
        await self._say({"type": "connection_ack", "payload": self._validity()})
        self._timer.cancel()
        self._idle_since = self._loop.time()
        self._end_if_idle()

    async def _pong(self, payload: dict[str, Any]) -> None:
        authorization = _authorization(payload) if self._is_acknowledged else None
        if authorization is None:
            await self._say({"type": "pong"})
            return
        await self._switch_claims(authorization)
        await self._say({"type": "pong", "payload": self._validity()})

    def _validity(self) -> dict[str, Any]:
        return {"expiresAt": self._stream.claims.expires_at}

    async def _switch_claims(self, authorization: bytes) -> None:
        scheme, _, token = authorization.partition(b" ")
        shown = (scheme.lower(), token.strip())
        if shown == self._shown:  # the stream already ends with this token and its session
            return
        try:
            await self._stream.switch_claims(await authenticate(self._services, authorization))
            self._shown = shown
        except Unauthenticated as error:
            raise Violation(4403, str(error)) from None
        except Overloaded:
            raise Ended(End.BUSY) from None

    async def _subscribe(self, message: _Message) -> None:
        if not self._is_acknowledged:
            raise Violation(4401, "Unauthorized")
        id = _id(message)
        if id in self._operations:
            raise Violation(4409, f"Subscriber for {id} already exists")
        payload = bytes(message.payload)
        if not payload.startswith(b"{"):
            raise Violation(4400, "`payload` of `subscribe` must be an object.")
        self._running += 1
        try:
            if len(self._operations) >= self._settings.max_stream_operations:
                raise Overloaded(f"At most {self._settings.max_stream_operations} operations at once.")
            request = self._reader.from_body(payload)
            subscription = await self._stream.begin(request)
        except PROBLEMS as error:
            self._operation_ended(None)
            await self._finish(id, "error", problems(error))
            if not isinstance(error, Refused | RateLimited):  # both were charged before
                await self._charge(charge_for_bytes(len(payload) if len(payload) < LARGE_BYTES else 0))
            return
        operation = asyncio.create_task(self._operate(id, request, subscription))
        # Also if it is cancelled before it starts.
        operation.add_done_callback(lambda _: self._operation_ended(subscription))
        self._operations[id] = operation

    def _operation_ended(self, subscription: Subscription | None) -> None:
        if subscription is not None:
            subscription.close()
        self._running -= 1
        self._idle_since = self._loop.time()

    async def _operate(self, id: str, request: Request, subscription: Subscription | None) -> None:
        try:
            await self._answer(id, request, subscription)
        except Ended as error:
            self._stream.end(error.end)
        except OSError:
            self._stream.end(End.GONE)

    async def _answer(self, id: str, request: Request, subscription: Subscription | None) -> None:
        try:
            while True:
                answer = await self._stream.answer(request, subscription)
                if answer.is_refused:
                    await self._finish(id, "error", answer.errors)
                    return
                await self._tell(id, "next", answer.members)
                if subscription is None:
                    await self._finish(id, "complete")
                    return
        except PROBLEMS as error:
            await self._finish(id, "error", problems(error))

    async def _finish(self, id: str, type_: str, payload: Errors | None = None) -> None:
        """Sends the last message about an operation; its id may be used again."""
        self._operations.pop(id, None)
        await self._tell(id, type_, payload)

    async def _tell(self, id: str, type_: str, payload: dict[str, Any] | Errors | None = None) -> None:
        message: dict[str, Any] = {"id": id, "type": type_}
        if payload is not None:
            message["payload"] = payload
        await self._say(message)

    async def _say(self, message: dict[str, Any]) -> None:
        text = msgspec.json.encode(message).decode()
        try:
            async with asyncio.timeout(self._settings.stream_send_timeout):
                await self._send({"type": "websocket.send", "text": text})
        except TimeoutError:
            raise Ended(End.TOO_SLOW) from None


def _message(text: str, reader: Reader) -> _Message:
    """Parses a message. Raises Violation. msgspec rejects lone surrogates, so such a message is parsed again with json:
    then the Reader can name the variable that holds one. Not if it is too large to run anyway."""
    with contextlib.suppress(*_UNREADABLE):
        return _decode_message(text)
    if not reader.may_explain(text.encode("utf-8", "surrogatepass")):
        raise Violation(4400, "The message is not JSON, or holds a lone surrogate.")
    with contextlib.suppress(*_UNREADABLE, ValueError):
        given = json.loads(text)
        if isinstance(given, dict):
            payload = given.pop("payload", None)
            message = _decode_message(json.dumps(given))
            message.payload = msgspec.Raw(json.dumps(payload).encode())
            return message
    raise Violation(4400, "A message must be a JSON object with `type`, and `id` if there is one, as strings.")


def _id(message: _Message) -> str:
    if not message.id or len(message.id) > MAX_ID_LENGTH:
        raise Violation(4400, f"`id` must be a string of 1 to {MAX_ID_LENGTH} characters.")
    return message.id


def _payload(message: _Message) -> dict[str, Any]:
    try:
        return _decode_payload(message.payload) or {}
    except _UNREADABLE:
        raise Violation(4400, f"`payload` of `{message.type}` must be an object.") from None


def _authorization(payload: dict[str, Any]) -> bytes | None:
    """The value of an Authorization header, from `authorization` in any case, a bare `token`, or `headers` with one of
    these. None without a token."""
    given = {name.lower(): value for name, value in payload.items()}
    headers = given.get("headers")
    for found, scheme in ((given.get("authorization"), ""), (given.get("token"), "Bearer ")):
        if found is None:
            continue
        if not isinstance(found, str):
            raise Violation(4400, "`authorization` and `token` must be strings.")
        authorization = (scheme + found).encode("latin-1", "replace")
        if not has_no_token(authorization):
            return authorization
    return _authorization(headers) if isinstance(headers, dict) else None
