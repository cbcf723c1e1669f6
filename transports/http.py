"""GraphQL over HTTP, after its current draft: https://graphql.github.io/graphql-over-http/draft/

Every request passes through here, so it works on raw ASGI messages and precomputes what it can.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog
from graphql import OperationType
from starlette.types import Message, Receive, Scope, Send

from db import metrics, tracing
from db.claims import ANONYMOUS, Claims
from domain.errors import INTERNAL_MESSAGE, DocumentRefused, Overloaded, RateLimited, Timeout, TryAgain, Unauthenticated
from engine.answers import Answer
from engine.engine import Engine
from engine.requests import Prepared, Request
from engine.trusted_documents import TrustedDocuments
from schema.context import Context
from services.services import Services
from settings import Settings
from transports.bodies import Bodies
from transports.media_types import LEGACY, MediaType, accepted, accepts_html, is_json, prefers_events, prefers_html
from transports.origins import Headers, Origins
from transports.request_ids import new_request_id
from transports.requests import LARGE_BYTES, BadRequest, Reader, charge_bytes, prepare_and_charge
from transports.sse import EventStreams
from transports.streams import Streams, address_of, caller_of, drop
from transports.watching import Abort, Watch, Watches

log = structlog.get_logger("aclue.transports")

METHODS = b"GET, HEAD, POST, OPTIONS"
NO_STORE = (b"cache-control", b"no-store")
CLOSE = (b"connection", b"close")
PRIVATE = (b"cache-control", b"private, no-store")
VARY = (b"vary", b"accept, authorization, origin")
SECURITY_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]


class GraphQL:
    """The ASGI app of `/graphql`: POST a request, GET a query, or GET GraphiQL, where it is served."""

    def __init__(
        self,
        engine: Engine,
        trusted: TrustedDocuments,
        settings: Settings,
        services: Callable[[], Services],
        streams: Streams,
        page: Callable[[Scope, Receive, Send], Awaitable[None]] | None,
    ) -> None:
        self._engine = engine
        self._services = services
        self._streams = streams
        self._events = EventStreams(streams)
        self._page = page
        self._reader = Reader(settings, trusted)
        self._origins = Origins(settings)
        self._max_body_bytes = settings.max_body_bytes
        self._bodies = Bodies(settings.max_bodies_bytes, settings.max_body_bytes)
        self._watches = Watches(settings.request_timeout)
        self._public = (b"cache-control", f"public, max-age={settings.public_max_age}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if tracing.current is None:
            await self._serve(scope, receive, send)
            return
        attributes = {"http.request.method": scope["method"]}
        with tracing.current.span(f"{scope['method']} /graphql", "server", attributes, dict(scope["headers"])):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_request_id()
        headers = headers_of(scope["headers"])
        method = scope["method"]
        if self._page is not None and method in ("GET", "HEAD") and prefers_html(headers.get(b"accept")):
            await self._page(scope, receive, send)
            return
        out = _Out(send, request_id, headers, self._origins)
        watch = Watch(self._watches, receive)
        body = None
        try:
            # A request that is refused before its caller was charged costs its address the bytes received. RateLimited
            # takes the place of the refusal if the address's limit is used up.
            try:
                if method == "POST":
                    body = _BodyReceiver(receive, self._services, address_of(scope))
                    await self._post(scope, body, headers, watch, out)
                elif method in ("GET", "HEAD"):
                    watch.body_is_read()
                    await self._get(scope, headers, watch, out)
                elif method == "OPTIONS":
                    await self._options(headers, out)
                else:
                    await out.error(405, "GET a query or POST a request.", "BAD_REQUEST", [(b"allow", METHODS)])
            except (BadRequest, DocumentRefused, Unauthenticated):
                await self._charge(scope, body)
                raise
            except Overloaded:
                if not watch.has_body:
                    await self._charge(scope, body)
                raise
            except asyncio.CancelledError:
                if watch.aborted is Abort.BODY_TIMED_OUT:
                    await self._charge(scope, body)
                raise
        except BadRequest as error:
            await out.error(error.status, str(error), error.code, error.headers)
        except Unauthenticated as error:
            await out.error(401, str(error), error.code, [(b"www-authenticate", b'Bearer error="invalid_token"')])
        except DocumentRefused as error:
            await out.refused(str(error), error.code)
        except TryAgain as error:
            # transports/protocol.py discards the rest of the body, and closes.
            await out.try_again(error, () if watch.has_body else (CLOSE,))
        except asyncio.CancelledError:
            if watch.aborted is not Abort.DISCONNECTED and not out.is_begun:
                await out.aborted(watch.aborted)
            has_answered = out.is_begun and self._streams.is_stopping
            if watch.aborted is None and not has_answered:
                raise
        except Exception as error:
            log.error("internal error", request_id=request_id, exc_info=error)
            if out.is_begun:
                raise
            await out.internal_error()
        finally:
            watch.stop()

    async def _charge(self, scope: Scope, body: _BodyReceiver | None) -> None:
        size = body.uncharged if body is not None else len(scope["query_string"])
        await charge_bytes(self._services(), address_of(scope), size)

    async def _post(self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], watch: Watch, out: _Out) -> None:
        is_stream = prefers_events(headers.get(b"accept"))
        media_type = LEGACY if is_stream else _media_type(headers)
        if not is_json(headers.get(b"content-type", b"")):
            raise BadRequest(415, "Send application/json, in UTF-8.")
        if b"content-encoding" in headers and headers[b"content-encoding"].strip().lower() != b"identity":
            raise BadRequest(415, "Send the body as it is, without Content-Encoding.")
        request = await self._request(scope, receive, headers)
        if request is None:
            return
        watch.body_is_read()
        if is_stream:
            watch.stop()  # a stream has no time limit
            claims = await authenticate(self._services(), headers.get(b"authorization"))
            await self._events.answer(request, claims, caller_of(scope, headers.get(b"user-agent")), receive, out)
            return
        with self._services().admission.held(address_of(scope)):
            prepared, context = await self._prepare_and_charge(scope, headers, request)
            answer = await self._engine.answer(prepared, context, out.request_id)
        watch.stop()
        await out.answer(answer, answer.encode(), media_type, NO_STORE)

    async def _get(self, scope: Scope, headers: dict[bytes, bytes], watch: Watch, out: _Out) -> None:
        shows_anything = bool(scope["query_string"]) and accepts_html(headers.get(b"accept"))  # a browser gets JSON too
        media_type = accepted(headers.get(b"accept")) or LEGACY if shows_anything else _media_type(headers)
        request = self._reader.from_query_string(scope["query_string"])
        with self._services().admission.held(address_of(scope)):
            prepared, context = await self._prepare_and_charge(scope, headers, request)
            if prepared.kind is OperationType.MUTATION:
                raise BadRequest(405, "A mutation needs POST.", headers=[(b"allow", b"POST")])
            answer = await self._engine.answer(prepared, context, out.request_id)
        watch.stop()
        body = answer.encode()
        if answer.errors:
            await out.answer(answer, body, media_type, NO_STORE)
            return
        is_own = b"authorization" in headers or request.wants_cost or request.wants_receipt
        is_public = not is_own and prepared.is_public
        tag = b'"' + hashlib.sha256(media_type.content_type[1] + body).hexdigest()[:32].encode() + b'"'
        validators = [self._public if is_public else PRIVATE, (b"etag", tag)]
        if _matches(headers.get(b"if-none-match"), tag):
            metrics.count_answer("graphql")
            await out.send(304, b"", validators)
            return
        await out.answer(answer, body, media_type, *validators, with_body=scope["method"] == "GET")

    async def _options(self, headers: dict[bytes, bytes], out: _Out) -> None:
        origin = headers.get(b"origin")
        answer = [(b"allow", METHODS)]
        if origin is not None and b"access-control-request-method" in headers:
            answer += self._origins.preflight(origin)
        await out.send(204, b"", answer)

    async def _request(self, scope: Scope, receive: Receive, headers: dict[bytes, bytes]) -> Request | None:
        """The request in the body; None if the client disconnected before it was complete. Raises BadRequest,
        DocumentRefused or Overloaded."""
        length = headers.get(b"content-length", b"")
        declared = int(length) if len(length) < 20 and length.isdigit() else 0
        if declared > self._max_body_bytes:
            raise self._too_large()
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return self._read(body)
        with self._bodies.receiving(address_of(scope)) as reservation:
            parts = bytearray()
            while True:
                parts += message.get("body", b"")
                if len(parts) > self._max_body_bytes:
                    raise self._too_large()
                reservation.grow(len(parts))
                if not message.get("more_body", False):
                    return self._read(bytes(parts))
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None

    def _read(self, body: bytes) -> Request:
        if len(body) > self._max_body_bytes:
            raise self._too_large()
        return self._reader.from_body(body)

    def _too_large(self) -> BadRequest:
        # transports/protocol.py discards the rest of the body, and closes.
        return BadRequest(413, f"The request is larger than {self._max_body_bytes} bytes.", headers=[CLOSE])

    async def _prepare_and_charge(
        self, scope: Scope, headers: dict[bytes, bytes], request: Request
    ) -> tuple[Prepared, Context]:
        """Parses the request and charges its caller. Raises Unauthenticated, RateLimited or Overloaded."""
        services = self._services()
        claims = await authenticate(services, headers.get(b"authorization"))
        caller = caller_of(scope, headers.get(b"user-agent"))
        request.wants_cost = b"x-aclue-cost" in headers
        if headers.get(b"x-aclue-receipt") == b"1":
            request.wants_receipt = not services.settings.is_production or claims.role == "service_role"
        prepared = await prepare_and_charge(self._engine, services, claims, caller.address, request)
        return prepared, Context(services, claims, caller, paid=prepared.charge)


def has_no_token(authorization: bytes) -> bool:
    """Whether a header is empty or just `Bearer`, as from clients that have no token yet."""
    return authorization.strip().lower() in (b"", b"bearer")


async def authenticate(services: Services, authorization: bytes | None) -> Claims:
    """The claims of an Authorization header; anonymous claims without a token. Raises Unauthenticated for anything but
    a valid bearer token."""
    if authorization is None or has_no_token(authorization):
        return ANONYMOUS
    scheme, _, token = authorization.decode("latin-1").partition(" ")
    token = token.strip()
    if not token or scheme.lower() != "bearer":
        raise Unauthenticated("Send `Authorization: Bearer <access token>`.")
    return await services.tokens.verify(token)


def _server_timing(receipt: dict[str, Any]) -> bytes:
    """A header from `extensions.receipt`: https://www.w3.org/TR/server-timing/."""
    database = f'db;dur={receipt["databaseMs"]};desc="{receipt["statements"]} statements"'
    return f'total;dur={receipt["totalMs"]}, {database}, path;desc="{receipt["path"]}"'.encode()


class _BodyReceiver:
    """Receives a request body. A large one is charged to the address before it is parsed."""

    __slots__ = ("_address", "_receive", "_services", "uncharged")

    def __init__(self, receive: Receive, services: Callable[[], Services], address: str) -> None:
        self._receive = receive
        self._services = services
        self._address = address
        self.uncharged = 0  # bytes received

    async def __call__(self) -> Message:
        """Raises RateLimited."""
        message = await self._receive()
        self.uncharged += len(message.get("body", b""))
        if self.uncharged >= LARGE_BYTES and not message.get("more_body", False):
            await charge_bytes(self._services(), self._address, self.uncharged)
            self.uncharged = 0
        return message


class _Out:
    """Sends the response to one request."""

    __slots__ = ("_fixed", "_media_type", "_send", "is_begun", "request_id")

    def __init__(self, send: Send, request_id: str, headers: dict[bytes, bytes], origins: Origins) -> None:
        self._send = send
        self.request_id = request_id
        origin = headers.get(b"origin")
        self._fixed = [VARY, *SECURITY_HEADERS, *(origins.headers(origin) if origin is not None else ())]
        # Errors are sent even to clients that accept none of our types.
        self._media_type = accepted(headers.get(b"accept")) or LEGACY
        self.is_begun = False

    async def answer(
        self, answer: Answer, body: bytes, media_type: MediaType, *more: tuple[bytes, bytes], with_body: bool = True
    ) -> None:
        headers = [media_type.content_type, (b"content-length", str(len(body)).encode()), *more]
        if answer.errors and (seconds := answer.retry_after) is not None:
            headers.append((b"retry-after", str(seconds).encode()))
        if answer.extensions and (receipt := answer.extensions.get("receipt")) is not None:
            headers.append((b"server-timing", _server_timing(receipt)))
        metrics.count_answer("graphql", answer.codes)
        await self.send(media_type.refused if answer.is_refused else 200, body if with_body else b"", headers)

    async def error(
        self, status: int, message: str, code: str, headers: Sequence[tuple[bytes, bytes]] = (), **extensions: Any
    ) -> None:
        """Sends an error for a request that did not run."""
        metrics.count_answer("graphql", (code,))
        body = msgspec.json.encode({"errors": [{"message": message, "extensions": {"code": code, **extensions}}]})
        length = (b"content-length", str(len(body)).encode())
        await self.send(status, body, [self._media_type.content_type, length, NO_STORE, *headers])

    async def refused(self, message: str, code: str) -> None:
        """Sends the refusal of a document."""
        await self.error(self._media_type.refused, message, code)

    async def try_again(self, error: TryAgain, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Sends 429 over a rate limit, and 503 while something is unavailable."""
        status = 429 if isinstance(error, RateLimited) else 503
        retry = (b"retry-after", str(error.retry_after).encode())
        await self.error(status, str(error), error.code, [retry, *headers], retryAfter=error.retry_after)

    async def aborted(self, why: Abort | None) -> None:
        """Sends a timeout, or that the server is stopping."""
        if why is Abort.BODY_TIMED_OUT:
            await self.error(408, "The body took too long to arrive.", "BAD_REQUEST", [CLOSE])
        elif why is Abort.TIMED_OUT:
            await self.try_again(Timeout("The request took too long."))
        else:
            await self.try_again(Overloaded("The server is stopping, try again."))

    async def internal_error(self) -> None:
        await self.error(500, INTERNAL_MESSAGE, "INTERNAL_SERVER_ERROR", requestId=self.request_id)

    async def begin(self, content_type: tuple[bytes, bytes]) -> None:
        """Starts a streamed response."""
        tracing.annotate({"http.response.status_code": 200, "aclue.request_id": self.request_id})
        self.is_begun = True
        request_id = (b"x-request-id", self.request_id.encode())
        headers = [content_type, NO_STORE, (b"x-accel-buffering", b"no"), request_id, *self._fixed]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def part(self, body: bytes, *, is_last: bool = False) -> None:
        """Sends the next part."""
        await self._send({"type": "http.response.body", "body": body, "more_body": not is_last})

    def drop(self) -> None:
        """Aborts a streamed response whose client does not read."""
        drop(self._send)

    async def send(self, status: int, body: bytes, headers: Headers) -> None:
        if tracing.current is not None:
            tracing.annotate({"http.response.status_code": status, "aclue.request_id": self.request_id})
        self.is_begun = True
        headers += self._fixed
        headers.append((b"x-request-id", self.request_id.encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def headers_of(given: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; repeated ones are joined with commas, so that none is ignored."""
    headers = dict(given)
    if len(headers) == len(given):
        return headers
    values: dict[bytes, list[bytes]] = {}
    for name, value in given:
        values.setdefault(name, []).append(value)
    return {name: b", ".join(each) for name, each in values.items()}


def _media_type(headers: dict[bytes, bytes]) -> MediaType:
    media_type = accepted(headers.get(b"accept"))
    if media_type is None:
        raise BadRequest(406, "Accept application/graphql-response+json or application/json.")
    return media_type


def _matches(if_none_match: bytes | None, tag: bytes) -> bool:
    return any(each.strip().removeprefix(b"W/") in (tag, b"*") for each in (if_none_match or b"").split(b","))
