"""WebSockets and event streams spoken to the app as a server does, in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import asyncpg
import msgspec

from tests.conftest import Shop
from tests.ledger import awin, report
from transports.streams import EVENTS_AT_ONCE

HANGS = 10  # seconds; far more than anything here takes
ADDRESS = "192.0.2.1"
PROTOCOL = "graphql-transport-ws"
PREFERENCES = "subscription { preferencesUpdated { totalSwipes rightSwipes } }"
FEED = "subscription { recommendationsUpdated }"
CONVERSIONS = "subscription { affiliateConversion { id product { name } } }"


class Closed(Exception):
    """The server closed the socket; or, with status 403, never opened it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Socket:
    """The client's end of a WebSocket."""

    def __init__(
        self, shop: Shop, headers: dict[str, str], subprotocols: Sequence[str], path: str, address: str = ADDRESS
    ) -> None:
        self._shop = shop
        self._in: asyncio.Queue[Any] = asyncio.Queue()
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self.takes = asyncio.Event()
        self.takes.set()
        self.is_open = False
        scope = {
            "type": "websocket",
            "path": path,
            "subprotocols": list(subprotocols),
            "client": (address, 1),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        self._in.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(app_of(shop)(scope, self._in.get, self._send))

    async def _send(self, message: Any) -> None:
        await self.takes.wait()
        await self._out.put(message)

    async def opened(self) -> Socket:
        message = await self._next()
        assert message["type"] == "websocket.accept", message
        self.is_open = True
        return self

    async def _next(self) -> Any:
        async with asyncio.timeout(HANGS):
            message = await self._out.get()
        if message["type"] == "websocket.close":
            raise Closed(message.get("code", 1000) if self.is_open else 403, message.get("reason", ""))
        return message

    def frame(self, **frame: Any) -> None:
        """A frame of any kind: text=... or bytes=..."""
        self._in.put_nowait({"type": "websocket.receive", **frame})

    def say(self, type: str, **members: Any) -> None:
        self.frame(text=msgspec.json.encode({"type": type, **members}).decode())

    async def hear(self) -> dict[str, Any]:
        """The next message. Raises Closed."""
        message: dict[str, Any] = msgspec.json.decode((await self._next())["text"])
        return message

    async def close_code(self) -> int:
        """Of the socket, once everything before it is heard."""
        try:
            while True:
                await self.hear()
        except Closed as closed:
            async with asyncio.timeout(HANGS):
                await self.task
            return closed.code

    async def init(self, token: str | None = None) -> dict[str, Any]:
        """The acknowledgement."""
        self.say("connection_init", payload={"authorization": f"Bearer {token}"} if token else {})
        return await self.hear()

    async def ask(self, query: str, id: str = "ask", **variables: Any) -> dict[str, Any]:
        """The result of a query or mutation; or the message that says why there is none."""
        self.say("subscribe", id=id, payload={"query": query, "variables": variables})
        message = await self.hear()
        if message["type"] != "next":
            return message
        assert await self.hear() == {"type": "complete", "id": id}
        payload: dict[str, Any] = message["payload"]
        return payload

    async def subscribe(self, query: str, id: str = "events") -> None:
        """Returns when the server listens."""
        self.say("subscribe", id=id, payload={"query": query})
        self.say("ping")
        assert (await self.hear())["type"] == "pong"

    async def event(self, id: str = "events") -> Any:
        """The data of the next event, which must be of this subscription and without errors."""
        message = await self.hear()
        assert (message["type"], message["id"]) == ("next", id), message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]

    async def hears_nothing(self) -> None:
        """Whatever was noted before this has been told, and it was not for this socket."""
        await heard(self._shop)
        self.say("ping")
        assert (await self.hear())["type"] == "pong"

    async def go_away(self) -> None:
        self._in.put_nowait({"type": "websocket.disconnect", "code": 1001})
        async with asyncio.timeout(HANGS):
            await self.task


class Call:
    """One POST, spoken to the app as a server does; `sent` holds the messages of the response."""

    def __init__(self, shop: Shop, query: str, token: str | None = None, *, accept: str | None = None) -> None:
        self.sent: list[Any] = []
        self._gone = asyncio.Event()
        self._body = [msgspec.json.encode({"query": query})]
        headers = [(b"content-type", b"application/json")]
        if accept:
            headers.append((b"accept", accept.encode()))
        if token:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "client": (ADDRESS, 1)}
        self.task = asyncio.create_task(app_of(shop)({**scope, "headers": headers}, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._body:
            return {"type": "http.request", "body": self._body.pop()}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    def hang_up(self) -> None:
        """Ends the connection."""
        self._gone.set()

    async def end(self) -> None:
        """Waits until the app is done with it."""
        async with asyncio.timeout(HANGS):
            await self.task


class Events(Call):
    """The client's end of an event stream."""

    def __init__(self, shop: Shop, query: str, token: str | None, accept: str = "text/event-stream") -> None:
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self.takes = asyncio.Event()
        self.takes.set()
        super().__init__(shop, query, token, accept=accept)

    async def _send(self, message: Any) -> None:
        await self.takes.wait()
        await self._out.put(message)

    async def start(self) -> tuple[int, dict[str, str]]:
        """Status and headers."""
        async with asyncio.timeout(HANGS):
            message = await self._out.get()
        return message["status"], {name.decode(): value.decode() for name, value in message["headers"]}

    async def part(self) -> str | None:
        """The next piece of the body; None after the last."""
        async with asyncio.timeout(HANGS):
            message = await self._out.get()
        text: str = message["body"].decode()
        return text if text or message.get("more_body") else None

    async def event(self) -> dict[str, Any]:
        """The next `next` event's result."""
        part = await self.part()
        assert part is not None
        event, _, data = part.partition("\n")
        assert event == "event: next", part
        line, _, rest = data.partition("\n")
        result: dict[str, Any] = msgspec.json.decode(line.removeprefix("data: "))
        self.rest = rest.removeprefix("\n")
        return result

    async def go_away(self) -> None:
        self.hang_up()
        await self.end()


def app_of(shop: Shop) -> Any:
    return shop.http._transport.app  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def socket(
    shop: Shop,
    token: str | None = None,
    *,
    init: bool = True,
    headers: dict[str, str] | None = None,
    subprotocols: Sequence[str] = (PROTOCOL,),
    path: str = "/graphql",
    address: str = ADDRESS,
) -> AsyncIterator[Socket]:
    """An open socket; initialised unless told otherwise."""
    await listening(shop)
    socket = Socket(shop, headers or {}, subprotocols, path, address)
    try:
        await socket.opened()
        if init:
            assert (await socket.init(token))["type"] == "connection_ack"
        yield socket
    finally:
        if not socket.task.done():
            socket.takes.set()
            await socket.go_away()


async def until(holds: Callable[[], bool]) -> None:
    """Returns once it holds."""
    for _ in range(HANGS * 100):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never held")


async def listening(shop: Shop) -> None:
    """Until this process hears of changes."""
    await until(lambda: shop.services.database.changes.is_connected)


async def heard(shop: Shop) -> None:
    """Until this process has heard all it said, and acted on it."""
    came = asyncio.Event()
    forget = shop.services.database.changes.listen("tests", "marker", lambda _: came.set())
    shop.services.database.changes.note("tests", "marker")
    async with asyncio.timeout(HANGS):
        await came.wait()
    streams = app_of(shop).websockets._streams
    await until(lambda: streams.event_slots._value == streams.check_slots._value == EVENTS_AT_ONCE)
    forget()


@contextlib.asynccontextmanager
async def notifications(shop: Shop) -> AsyncIterator[list[str]]:
    """The lines that processes tell each other of changes meanwhile; complete at the end."""
    await listening(shop)
    lines: list[str] = []
    assert shop.dsns.owner
    listener = await asyncpg.connect(shop.dsns.owner)
    try:
        await listener.add_listener("aclue_changes", lambda *heard: lines.extend(str(heard[-1]).split("\n")))
        yield lines
        await heard(shop)
        await listener.execute("select 1")
    finally:
        await listener.close()


async def convert(shop: Shop, click: str, status: str = "pending", commission: str = "1.20") -> None:
    """A network reports a sale, or another state of it. `click` is the uuid."""
    await report(shop.services, awin(click, status, click=click, commission=commission))
