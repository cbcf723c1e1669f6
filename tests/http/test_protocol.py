"""What comes before a body, and what ASGI has no word for, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import resource
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest
import uvicorn

from settings import Settings
from tests.e2e.conftest import Service
from transports import protocol, socket_transport, websocket_protocol
from transports.connections import Connections
from transports.protocol import MAX_HEAD_BYTES, BoundedProtocol
from transports.socket_transport import SocketTransport
from transports.streams import drop
from transports.websocket_protocol import BoundedWebSocketProtocol

GET = b"GET / HTTP/1.1\r\nhost: shop\r\n"
BEGUN = b"the beginning"
UPGRADE = (
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


LONG = bytes(20_000_000)  # more than a kernel keeps


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/drop":
        await begin_and_drop(scope, send)
        return
    if scope["path"] == "/head":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()
    if scope["path"] == "/listen":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:  # as event streams do between events
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    if (await receive())["type"] == "http.disconnect":
                        return
    if scope["path"] == "/long":
        headers = [(b"content-length", b"%d" % len(LONG))] + [(b"connection", b"close")] * bool(scope["query_string"])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": LONG})
        return
    if scope["path"] == "/early":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"early"})
        return
    if scope["type"] == "websocket":
        await converse(scope, receive, send)
        return
    if scope["path"] == "/refused":
        await send({"type": "http.response.start", "status": 413, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body"})
        return
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    body += message.get("body", b"")
    if scope["path"] == "/headers":
        body = b", ".join(name for name, _ in scope["headers"])
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})
        return
    length = str(len(str(len(body)))).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


async def converse(scope: Any, receive: Any, send: Any) -> None:
    """Says how long each message is; or never says whether it takes the connection."""
    await receive()
    if scope["path"] == "/undecided":
        await asyncio.Event().wait()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text = LONG.decode() if message["text"] == "long" else str(len(message["text"]))
        await send({"type": "websocket.send", "text": text})


async def begin_and_drop(scope: Any, send: Any) -> None:
    """Says a little, and has more to say than anybody takes."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": BEGUN, "more_body": True})
    else:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": BEGUN.decode()})
    drop(send)
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def listening(
    monkeypatch: pytest.MonkeyPatch, connections: Connections | None = None, *, keep_alive: int = 1
) -> AsyncIterator[int]:
    http: Any = functools.partial(BoundedProtocol, connections=connections)
    ws: Any = BoundedWebSocketProtocol
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=http,
        ws=ws,
        lifespan="off",
        log_level="critical",
        timeout_keep_alive=keep_alive,
    )
    server = uvicorn.Server(config)
    monkeypatch.setattr(server, "capture_signals", contextlib.nullcontext)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = server.force_exit = True
    await task


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    async with listening(monkeypatch) as number:
        yield number


async def answer(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = bytearray()

    async def read() -> None:
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(4096):
                found.extend(part)

    reading = asyncio.create_task(read())
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
    async with asyncio.timeout(10):
        await reading
    writer.close()
    return bytes(found)


CLOSE = b"connection: close\r\n\r\n"


NO_HOST = b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "host", [b"shop", b"shop.example:8000", b"[::1]:8000", b"192.0.2.1", b"a_b.example", b"", b"shop:"]
)
async def test_a_request_names_its_host(port: int, host: bytes) -> None:
    assert (await answer(port, NO_HOST + b"Host: " + host + b"\r\n" + CLOSE)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "hosts",
    [(), (b"a", b"b"), (b"shop", b"shop"), (b"a b",), (b"shop/path",), (b"user@shop",), (b"shop:port",), (b"[::1",)],
)
async def test_a_request_without_a_host_or_with_a_wrong_one_is_refused(port: int, hosts: tuple[bytes, ...]) -> None:
    """RFC 9112, 3.2. A proxy in front may have read another one of two."""
    found = await answer(port, NO_HOST, *(b"Host: " + host + b"\r\n" for host in hosts), CLOSE)
    assert found.startswith(b"HTTP/1.1 400")
    assert found.count(b"HTTP/1.1") == 1


async def test_a_request_of_http_1_0_needs_no_host(port: int) -> None:
    assert (await answer(port, b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200")
    two = await answer(port, b"GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n")
    assert two.startswith(b"HTTP/1.1 400")


async def test_a_websocket_names_its_host(port: int) -> None:
    assert (await answer(port, NO_HOST + UPGRADE + b"\r\n")).startswith(b"HTTP/1.1 400")


async def test_a_request_is_answered_however_it_is_cut(port: int) -> None:
    request = GET + CLOSE
    assert (await answer(port, request)).endswith(b"\r\n\r\n0")
    assert (await answer(port, *[request[i : i + 1] for i in range(len(request))])).endswith(b"\r\n\r\n0")


async def test_an_answer_is_one_write(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    make = SocketTransport.__init__

    def spied(self: Any, transport: Any, *others: Any) -> None:
        make(self, transport, *others)
        self._write = lambda data: (written.append(data), transport.write(data))

    monkeypatch.setattr(SocketTransport, "__init__", spied)
    found = await answer(port, GET + CLOSE)
    assert written == [found]


async def test_a_head_waits_for_no_body(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET.replace(b"/ ", b"/head ") + b"\r\n")
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_headers_have_a_limit(port: int) -> None:
    header = b"x: " + b"y" * 1000 + b"\r\n"
    few, many = header * (MAX_HEAD_BYTES // 2000), header * (MAX_HEAD_BYTES // 500)
    assert (await answer(port, GET, few, CLOSE)).startswith(b"HTTP/1.1 200")
    assert (await answer(port, GET, many, many, many)).startswith(b"HTTP/1.1 431")
    endless = b"GET /" + b"a" * 2 * MAX_HEAD_BYTES
    assert (await answer(port, endless, endless)).startswith(b"HTTP/1.1 431")


async def test_headers_are_counted(port: int) -> None:
    assert (await answer(port, GET + b"x: y\r\n" * 190 + CLOSE)).startswith(b"HTTP/1.1 200")
    for request in (GET + b"x: y\r\n" * 200 + CLOSE, GET + b"x:\r\n" * 5000 + CLOSE + ASKED):
        found = await answer(port, request)
        assert found.startswith(b"HTTP/1.1 431") and found.count(b"HTTP/1.1") == 1


async def test_what_no_app_ever_sees_is_answered_with_a_request_id(port: int) -> None:
    endless = b"GET /" + b"a" * 2 * MAX_HEAD_BYTES
    found = [await answer(port, *parts) for parts in ([b"no http\r\n\r\n"], [endless, endless])]
    assert [each[:12] for each in found] == [b"HTTP/1.1 400", b"HTTP/1.1 431"]
    assert all(b"\r\nx-request-id: " in each and b"\r\nconnection: close\r\n" in each for each in found)


async def test_a_body_counts_for_nothing(port: int) -> None:
    size = 5 * MAX_HEAD_BYTES
    head = b"POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: " + str(size).encode() + b"\r\n" + CLOSE
    assert (await answer(port, head, b"z" * size)).endswith(str(size).encode())


async def test_incomplete_headers_end_the_connection(port: int) -> None:
    assert await answer(port) == b""
    assert await answer(port, GET, *[b"x: y\r\n"] * 20, pause=0.1) == b""
    once = GET + b"\r\n"
    found = await answer(port, once, GET, *[b"x: y\r\n"] * 20, pause=0.1)
    assert found.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize("kind", [b"", UPGRADE], ids=["an answer", "a socket"])
async def test_a_connection_is_closed_while_its_app_is_running(port: int, kind: bytes) -> None:
    """Reaches into uvicorn, so a new version of that may break it."""
    found = await answer(port, b"GET /drop HTTP/1.1\r\nhost: shop\r\n" + kind + b"\r\n")
    assert found.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101"))
    assert not found.endswith((b"0\r\n\r\n", b"\x88\x02\x03\xe8"))  # neither the end of a body nor a close


@pytest.mark.parametrize("length", [b"content-length: 8000000", b"transfer-encoding: chunked"])
async def test_a_client_that_sends_too_much_still_gets_the_response(service: Service, length: bytes) -> None:
    """Most clients read when they have sent everything; a connection closed before that would be all that they see."""
    head = b"POST /graphql HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n" + length + b"\r\n\r\n"
    chunk = b"z" * 80_000
    parts = [b"13880\r\n" + chunk + b"\r\n" if b"chunked" in length else chunk] * 100
    found = await answer(service.port, head, *parts, b"0\r\n\r\n" if b"chunked" in length else b"")
    assert found.startswith(b"HTTP/1.1 413")


TOO_LARGE = (
    b"POST /graphql HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: 1000000000\r\n\r\n"
)


async def test_a_body_that_is_announced_as_too_large_is_refused_at_once(service: Service) -> None:
    """The client sends a part and waits."""
    found = await answer(service.port, TOO_LARGE, b"z" * 100_000)
    assert found.startswith(b"HTTP/1.1 413")


FORM_TOO_LARGE = TOO_LARGE.replace(b"application/json", b"application/x-www-form-urlencoded")


@pytest.mark.parametrize("path", [b"/reset-password", b"/verify-email", b"/g/unknown"])
async def test_a_form_that_is_announced_as_too_large_is_refused_at_once(service: Service, path: bytes) -> None:
    found = await answer(service.port, FORM_TOO_LARGE.replace(b"/graphql", path), b"z" * 1000)
    assert found.startswith(b"HTTP/1.1 413")


async def sent_until_cut_off(writer: asyncio.StreamWriter) -> int:
    """Bytes of a body without an end."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 1_000_000_000:
            writer.write(b"z" * 100_000)
            await writer.drain()
            sent += 100_000
    return sent


async def test_a_client_that_keeps_sending_is_cut_off(service: Service) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(TOO_LARGE)
    assert await sent_until_cut_off(writer) < 10 * protocol.MAX_LINGER_BYTES
    writer.close()


async def test_a_slow_sender_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /refused HTTP/1.1\r\nhost: shop\r\ncontent-length: 1000000000\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 413")
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"z")
                await writer.drain()
                await asyncio.sleep(0.01)
    writer.close()


async def test_nothing_is_served_after_the_last_answer_of_a_connection(port: int) -> None:
    request = b"POST /refused HTTP/1.1\r\nhost: shop\r\ncontent-length: 2\r\n\r\n"
    found = await answer(port, request, b"{}" + GET + CLOSE, pause=0.1)
    assert found.count(b"HTTP/1.1 ") == 1


async def test_expect_continue_with_too_large_a_body_is_refused_at_once(service: Service) -> None:
    head = b"POST /graphql HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n"
    found = await answer(service.port, head + b"content-length: 8000000\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 413")


async def test_a_body_may_come_with_the_beginning_of_what_follows(port: int) -> None:
    """In one piece with it: a body is no head."""
    body = b"x" * 2 * MAX_HEAD_BYTES
    first = GET.replace(b"GET", b"POST") + b"content-length: %d\r\n\r\n" % len(body)
    found = await answer(port, first, body + GET[:10], GET[10:] + CLOSE, pause=0.1)
    assert found.count(b"HTTP/1.1 200") == 2


async def test_what_follows_a_body_is_no_header(port: int) -> None:
    request = GET.replace(b"/ ", b"/headers ") + b"transfer-encoding: chunked\r\n\r\n"
    found = await answer(port, request + b"2\r\n{}\r\n0\r\nauthorization: Bearer x\r\n\r\n" + GET + CLOSE)
    assert found.count(b"HTTP/1.1 200") == 2
    assert b"authorization" not in found


@pytest.mark.parametrize("part", [b"x" * 60_000, b"a: " + b"x" * 60_000 + b"\r\n"], ids=["one without end", "many"])
async def test_headers_after_a_body_have_an_end(port: int, part: bytes) -> None:
    request = GET + b"transfer-encoding: chunked\r\n\r\n0\r\na: "
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 3 * protocol.MAX_OVERHEAD_BYTES:
            writer.write(part)
            await writer.drain()
            sent += len(part)
            await asyncio.sleep(0.005)
    assert sent < 2 * protocol.MAX_OVERHEAD_BYTES
    writer.close()


H2C = b"connection: Upgrade, HTTP2-Settings\r\nhttp2-settings: AAEAAEAAAAIAAAAB\r\nupgrade: h2c\r\n"
TLS = b"upgrade: TLS/1.0\r\nconnection: upgrade\r\n"
SOCKET = b"connection: Upgrade\r\nupgrade: websocket\r\n"
BODY = b'{"query":"{ __typename }"}'


@pytest.mark.parametrize("upgrade", [H2C, TLS, SOCKET], ids=["h2c", "TLS", "a WebSocket by POST"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["a length", "chunks"])
@pytest.mark.parametrize("cut", [0, 1, 2], ids=["one packet", "two packets", "single bytes"])
async def test_an_unsupported_upgrade_is_ignored(port: int, upgrade: bytes, is_chunked: bool, cut: int) -> None:
    framing = b"transfer-encoding: chunked" if is_chunked else b"content-length: 26"
    head = b"POST / HTTP/1.1\r\nhost: shop\r\n" + upgrade + framing + b"\r\n\r\n"
    body = b"1a\r\n" + BODY + b"\r\n0\r\n\r\n" if is_chunked else BODY
    parts = [[head + body], [head, body], [bytes([each]) for each in head + body]][cut]
    found = await answer(port, *parts, *parts, GET + CLOSE, pause=0.0 if cut == 2 else 0.01)
    assert found.count(b"HTTP/1.1 200") == 3
    assert [each[-2:] for each in found.split(b"HTTP/1.1 ")[1:]] == [b"26", b"26", b"\n0"]


async def test_unsupported_upgrades_may_be_pipelined(port: int) -> None:
    found = await answer(port, (GET + H2C + b"\r\n") * 2000 + GET + CLOSE)
    assert found.count(b"HTTP/1.1 200") == 2001


async def test_requests_behind_one_that_waits_are_not_read(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[BoundedProtocol] = []
    connect = BoundedProtocol.connection_made

    def spied(self: BoundedProtocol, transport: Any) -> None:
        made.append(self)
        connect(self, transport)

    monkeypatch.setattr(BoundedProtocol, "connection_made", spied)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET.replace(b"/ ", b"/head ") + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"GET /a HTTP/1.1\r\nhost:\r\n\r\n" * 50_000)
    (connection,) = made
    async with asyncio.timeout(10):
        while not (connection.flow.read_paused and connection.pipeline):  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert 0 < len(connection.pipeline) < protocol.MAX_PIPELINED + protocol.PIECE_BYTES / 26
    assert len(connection._unparsed) < 600_000, "two reads at most"
    writer.close()


async def test_a_connection_whose_requests_pile_up_behind_an_event_stream_ends(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET.replace(b"/ ", b"/listen ") + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")

    async def go_on() -> None:
        while True:
            writer.write((GET + b"x: " + b"y" * 4000 + b"\r\n\r\n") * 20)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(go_on(), 20)
    writer.close()


@pytest.mark.parametrize("cut", [1_000_000, 5_000, 700])
async def test_pipelined_requests_are_answered_in_their_order(port: int, cut: int) -> None:
    bodies = [b"x" * (number * 37 % 5_001) for number in range(300)]
    requests = b"".join(
        b"POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body) for body in bodies
    )
    parts = [requests[start : start + cut] for start in range(0, len(requests), cut)]
    found = await answer(port, *parts, GET + CLOSE)
    answers = [each.rpartition(b"\r\n\r\n")[2] for each in found.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert answers == [*(str(len(body)).encode() for body in bodies), b"0"]


async def test_a_broken_request_that_asks_for_an_upgrade_is_refused(port: int) -> None:
    request = b"POST / HTTP/1.1\r\nhost: shop\r\n" + H2C + b"transfer-encoding: chunked\r\n\r\nnothing\r\n"
    assert (await answer(port, request)).startswith(b"HTTP/1.1 400")


async def test_a_socket_opens_in_spite_of_upgrades_before_it(port: int) -> None:
    request = b"GET /drop HTTP/1.1\r\nhost: shop\r\n" + UPGRADE + b"\r\n"
    found = await answer(port, GET + H2C + b"\r\n", request, pause=0.1)
    assert found.startswith(b"HTTP/1.1 200") and b"HTTP/1.1 101" in found


def early(headers: bytes) -> bytes:
    return b"POST /early HTTP/1.1\r\nhost: shop\r\n" + headers + b"\r\n"


async def end_of(port: int, *parts: bytes) -> bytes:
    """What a client gets that sends this, and then waits for ever."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        async with asyncio.timeout(10):
            while more := await reader.read(4096):
                found += more
    except ConnectionError:
        pass
    finally:
        writer.close()
    return found


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [GET],
        [b"\r\n"],
        [GET + b"\r\n"],
        [GET + b"\r\n", b"\r\n"],
        [GET + b"\r\n" + GET],
        [GET + b"\r\n", GET],
        [early(b"content-length: 100000\r\n")],
        [early(b"content-length: 100000\r\n"), b"x"],
        [early(b"transfer-encoding: chunked\r\n"), b"1\r\nx\r\n"],
        [early(b"transfer-encoding: chunked\r\n"), b"0\r\na: b\r\n"],
        [early(b"content-length: 1\r\n"), b"x"],
        [early(b"content-length: 1\r\n"), b"x", b"\r\n"],
        [GET + b"\r\n" + early(b"content-length: 9\r\n")],
        [early(b"content-length: 1\r\n"), b"x" + early(b"content-length: 9\r\n"), b"x"],
        [b"CONNECT shop:1 HTTP/1.1\r\nhost: shop\r\n\r\n", b"x"],
        [early(H2C + b"content-length: 9\r\n"), b"x"],
        [GET + UPGRADE + b"content-length: 2\r\n\r\n"],
        [GET + UPGRADE + b"transfer-encoding: chunked\r\n\r\n"],
        [GET + UPGRADE + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
        [GET + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n"],
        [GET + UPGRADE + b"a: b\r\n" * 150 + b"\r\n"],
        [GET + UPGRADE + b"a: " + b"b" * 10_000 + b"\r\n\r\n"],
        [b"GET /undecided HTTP/1.1\r\nhost: shop\r\n" + UPGRADE + b"\r\n"],
    ],
    ids=[
        "nothing",
        "a head begun",
        "a blank line",
        "idle",
        "idle, a blank line",
        "a second head begun at once",
        "a second head begun later",
        "answered before its body",
        "answered before the rest of its body",
        "answered before the rest of its chunks",
        "answered before the end of its trailers",
        "idle after a late body",
        "idle after a late body, a blank line",
        "pipelined, answered before its body",
        "answered before its body for the second time",
        "a tunnel",
        "an upgrade that is not taken, answered before its body",
        "a socket with a body",
        "a socket with chunks",
        "a socket with an empty body",
        "a socket without a key",
        "a socket with many headers",
        "a socket with a long header",
        "a socket nobody decides on",
    ],
)
async def test_a_connection_ends_in_every_state(port: int, monkeypatch: pytest.MonkeyPatch, parts: list[bytes]) -> None:
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.5)
    monkeypatch.setattr(websocket_protocol, "HANDSHAKE_SECONDS", 0.5)
    await end_of(port, *parts)


@pytest.mark.parametrize(
    "head",
    [
        GET + UPGRADE + b"content-length: 2\r\n\r\n",
        GET + UPGRADE + b"transfer-encoding: chunked\r\n\r\n",
        GET + UPGRADE + b"a: b\r\n" * 150 + b"\r\n",
    ],
    ids=["a length", "chunks", "many headers"],
)
async def test_a_handshake_that_is_none_is_refused(port: int, head: bytes) -> None:
    assert (await end_of(port, head)).startswith(b"HTTP/1.1 400")


async def test_no_socket_opens_while_an_answer_is_due(port: int) -> None:
    waiting = GET.replace(b"/ ", b"/head ") + b"\r\n"
    assert b"101" not in await end_of(port, waiting + GET + UPGRADE + b"\r\n")


async def test_a_body_after_its_answer_is_dropped_and_the_next_request_answered(port: int) -> None:
    request = early(b"content-length: 100000\r\n")
    found = await answer(port, request, b"x" * 50_000, b"x" * 50_000 + GET, CLOSE, pause=0.05)
    assert found.count(b"HTTP/1.1 200") == 2


async def test_a_body_after_its_answer_has_a_limit(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_LINGER_BYTES", 500_000)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(early(b"content-length: 1000000000\r\n"))
    await asyncio.sleep(0.1)
    assert await sent_until_cut_off(writer) < 50_000_000  # the kernel's buffers hold some of it
    writer.close()


async def first_bytes(port: int, address: str, request: bytes = b"") -> tuple[bytes, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    writer.write(request)
    async with asyncio.timeout(10):
        try:
            return await reader.read(12), writer
        except ConnectionError:
            return b"", writer


ASKED = GET + b"\r\n"
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"


async def test_a_network_has_so_many_connections_and_leaves_the_rest_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections = Connections(8, 2)
    async with listening(monkeypatch, connections) as port:
        opened = [await first_bytes(port, HERE, ASKED) for _ in range(2)]
        opened.append(await first_bytes(port, HERE))
        opened.append(await first_bytes(port, ELSEWHERE, ASKED))
        assert [found for found, _ in opened] == [*[b"HTTP/1.1 200"] * 2, b"HTTP/1.1 503", b"HTTP/1.1 200"]
        for _, writer in opened:
            writer.close()
        while connections.total:  # noqa: ASYNC110  the server has yet to hear of it
            await asyncio.sleep(0.01)
        found, writer = await first_bytes(port, HERE, ASKED)
        assert found == b"HTTP/1.1 200"
        writer.close()


async def test_a_process_has_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(monkeypatch, Connections(2, 2)) as port:
        opened = [await first_bytes(port, address, ASKED) for address in (HERE, ELSEWHERE)]
        opened.append(await first_bytes(port, "127.0.0.3"))
        assert [found for found, _ in opened] == [*[b"HTTP/1.1 200"] * 2, b"HTTP/1.1 503"]
        for _, writer in opened:
            writer.close()


async def test_a_proxy_has_as_many_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    trusted = Connections(3, 1, [ip_network("127.0.0.0/8")])
    async with listening(monkeypatch, trusted) as port:
        opened = [await first_bytes(port, HERE, ASKED) for _ in range(3)]
        assert [found for found, _ in opened] == [b"HTTP/1.1 200"] * 3
        for _, writer in opened:
            writer.close()


async def test_a_socket_holds_a_place_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = Connections(8, 1)
    async with listening(monkeypatch, connections) as port:
        found, writer = await first_bytes(port, HERE, GET + UPGRADE + b"\r\n")
        assert (found, connections.total) == (b"HTTP/1.1 101", 1)
        writer.close()
        while connections.total:  # noqa: ASYNC110  the server has yet to hear of it
            await asyncio.sleep(0.01)


async def test_newcomers_are_closed_at_once_where_no_file_is_left(service: Service) -> None:
    """And the server answers again once there is one."""
    pid = service.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + 5, before[1]))
    try:
        opened = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(30)]
        async with asyncio.timeout(5):  # a head has longer
            for reader, _ in opened[-20:]:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        for _, writer in opened:
            writer.close()
        found = b""
        while not found:
            found, writer = await first_bytes(service.port, HERE, ASKED.replace(b"/ ", b"/livez "))
            writer.close()
        assert found == b"HTTP/1.1 200"
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def long(query: bytes = b"") -> bytes:
    return b"GET /long%b HTTP/1.1\r\nhost: shop\r\n\r\n" % query


@pytest.mark.parametrize(
    "parts",
    [[long()], [long(b"?last")], [long(), long()], [GET + UPGRADE + b"\r\n", b"\x81\x84\0\0\0\0long"]],
    ids=["idle", "the last answer", "pipelined", "a socket"],
)
async def test_a_client_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch, parts: list[bytes]) -> None:
    monkeypatch.setattr(socket_transport, "SEND_SECONDS", 0.5)
    connections = Connections(8, 8)
    async with listening(monkeypatch, connections) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            for part in parts:
                client.send(part)
                await asyncio.sleep(0.2)
            assert connections.total == 1
            async with asyncio.timeout(10):
                while connections.total:  # noqa: ASYNC110  the client hears of nothing
                    await asyncio.sleep(0.01)


async def test_a_client_that_takes_it_slowly_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_transport, "SEND_SECONDS", 0.5)
    async with listening(monkeypatch) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(long(b"?last"))
        await reader.readuntil(b"\r\n\r\n")
        found = 0
        while part := await reader.read(2_000_000):
            found += len(part)
            await asyncio.sleep(0.01)
        assert found == len(LONG)
        writer.close()


def frame(opcode: int, data: bytes = b"", *, is_last: bool = True) -> bytes:
    """Masked with zeros, as clients have to."""
    assert len(data) < 65_536
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return bytes([opcode | 0x80 * is_last]) + length + bytes(4) + data


CONTINUATION, TEXT, PING, PONG = 0, 1, 9, 10


@pytest.mark.parametrize(
    "flood",
    [
        frame(TEXT, is_last=False) + frame(CONTINUATION, is_last=False) * 1300,
        frame(PING) * 1300,
        frame(PONG) * 1300,
        (frame(TEXT, is_last=False) + frame(CONTINUATION)) * 700,
    ],
    ids=["empty fragments", "pings", "pongs", "messages in fragments"],
)
async def test_a_flood_of_frames_ends_the_socket(port: int, flood: bytes) -> None:
    assert b"Too many frames" in await end_of(port, GET + UPGRADE + b"\r\n", flood)


async def test_a_message_may_come_in_fragments(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + UPGRADE + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    fragment = b"x" * 1000
    writer.write(frame(TEXT, fragment, is_last=False) + frame(CONTINUATION, fragment, is_last=False) * 98)
    writer.write(frame(CONTINUATION, fragment) + frame(TEXT, b"x"))
    async with asyncio.timeout(10):
        assert await reader.readexactly(11) == b"\x81\x06100000\x81\x011"
    writer.close()


async def test_messages_are_parsed_only_as_the_app_receives_them(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read of 256 KiB holds 37,000 of them, of which only as many are held as a slice has."""
    waiting: list[int] = []
    handle = BoundedWebSocketProtocol.handle_events

    def spied(self: BoundedWebSocketProtocol) -> None:
        handle(self)
        waiting.append(self.queue.qsize())

    monkeypatch.setattr(BoundedWebSocketProtocol, "handle_events", spied)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + UPGRADE + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frame(TEXT, b"x") * 10_000)
    async with asyncio.timeout(10):
        assert await reader.readexactly(30_000) == b"\x81\x011" * 10_000
    assert max(waiting) < websocket_protocol.SLICE_BYTES / 6
    writer.close()


class Held:
    """A connection that is busy, or else idle after its latest request."""

    def __init__(self, *, is_busy: bool = True) -> None:
        self.cycle = object()
        self.is_busy = is_busy
        self.is_closed = False

    def is_idle(self) -> bool:
        return not self.is_busy

    def is_held_up(self) -> bool:
        return False

    def give_way(self) -> None:
        self.is_closed = True


async def test_the_limits_of_connections_follow_from_the_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))

    def taken(address: str, **settings: int) -> int:
        connections = Connections.of(Settings(**settings))
        return sum(connections.enter(address, Held()) for _ in range(2000))

    assert taken("192.0.2.1") == taken("2001:db8::1") == 192
    assert taken("192.0.2.1", max_connections_per_address=1000) == 768
    assert taken("192.0.2.1", max_connections=100) == 25
    assert taken("192.0.2.1", max_connections=5000, max_connections_per_address=5000) == 768
    assert taken("") == 768  # a Unix socket


async def test_the_households_of_a_site_leave_half_to_others() -> None:
    connections = Connections(80, 10)
    site = [connections.enter(f"2001:db8:1:{number % 16:x}::1", Held()) for number in range(100)]
    assert sum(site) == 40
    assert connections.enter("2001:db8:2::1", Held())


def idle_ones(connections: Connections, *addresses: str) -> list[Held]:
    found = [Held(is_busy=False) for _ in addresses]
    for address, held in zip(addresses, found, strict=True):
        assert connections.enter(address, held)
    return found


def closed(connections: list[Held]) -> list[int]:
    return [number for number, each in enumerate(connections) if each.is_closed]


async def test_networks_share_the_places_evenly_where_all_are_taken() -> None:
    connections = Connections(8, 8)
    held = idle_ones(connections, *["192.0.2.1"] * 5, *["192.0.2.2"] * 3)
    assert connections.enter("192.0.2.2", Held()), "4 are fewer than 5"
    assert not connections.enter("192.0.2.2", Held()), "5 are not fewer than 4"
    assert closed(held) == [0]
    for number in range(3, 7):
        assert connections.enter(f"192.0.2.{number}", Held())
    assert closed(held) == [0, 1, 2, 5, 6], "of either as many as the other has more"
    assert connections.total == 8


async def test_a_site_counts_as_eight_households() -> None:
    connections = Connections(32, 32)
    held = idle_ones(connections, *[f"2001:db8:1:{number:x}::1" for number in range(24)], *["192.0.2.1"] * 8)
    assert connections.enter("2001:db8:1::1", Held()), "the site holds as much as three households"
    assert closed(held) == [24]
    for number in range(3):
        assert connections.enter(f"192.0.2.{number + 2}", Held())
    assert closed(held) == [24, 25, 26, 27]


async def test_what_is_busy_gives_no_place_away() -> None:
    connections = Connections(8, 8)
    for _ in range(5):
        assert connections.enter("192.0.2.1", Held())
    held = idle_ones(connections, *["192.0.2.2"] * 3)
    assert connections.enter("192.0.2.3", Held())
    assert closed(held) == [0]
    assert connections.enter("192.0.2.3", Held()) is False, "as many as the next network"


async def test_what_left_gives_its_place_back_once() -> None:
    connections = Connections(4, 4)
    held = idle_ones(connections, *["192.0.2.1"] * 4)
    assert connections.enter("192.0.2.2", Held())
    for each in held:
        connections.leave(each)
        connections.leave(each)
    assert connections.total == 1
    idle_ones(connections, *["192.0.2.1"] * 3)


async def test_proxies_are_neither_displaced_nor_closed_early() -> None:
    connections = Connections(4, 4, [ip_network("10.0.0.0/8")])
    proxies = idle_ones(connections, *["10.0.0.1"] * 3)
    direct = idle_ones(connections, "192.0.2.1")
    connections._look()
    connections._look()
    assert (closed(proxies), closed(direct)) == ([], [0])
    assert not connections.enter("192.0.2.2", Held())
    assert connections.enter("10.0.0.1", Held()), "a proxy speaks for many"


async def test_idle_connections_are_closed_early_while_most_places_are_taken() -> None:
    connections = Connections(8, 8)
    idle, served, waiting, later, *_ = held = idle_ones(connections, *["192.0.2.1"] * 6)
    connections._look()
    connections._look()
    assert closed(held) == [], "three quarters are no crowd"
    held += idle_ones(connections, "192.0.2.1")
    later.is_busy = True
    connections._look()
    served.cycle = object()
    waiting.is_busy = True
    later.is_busy = False
    connections._look()
    assert closed(held) == [0, 4, 5, 6]
    assert idle.is_closed


async def open_from(port: int, address: str, *parts: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0), limit=1024)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.05)
    return reader, writer


BODY_BEGUN = b"POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 9\r\n\r\nx"
GIVES_WAY = [
    pytest.param([], b"", id="nothing"),
    pytest.param([GET], b"", id="a head begun"),
    pytest.param([ASKED], b"200", id="idle"),
    pytest.param([ASKED, b"\r\n"], b"200", id="idle, a blank line"),
    pytest.param([ASKED, GET], b"200", id="a second head begun"),
    pytest.param([BODY_BEGUN], b"503", id="a body begun"),
    pytest.param([early(b"content-length: 9\r\n"), b"x"], b"200", id="answered before its body"),
    pytest.param([long()], b"200", id="an answer that is not taken"),
    pytest.param([long(b"?last")], b"200", id="a last answer that is not taken"),
]


@pytest.mark.parametrize(("parts", "status"), GIVES_WAY)
async def test_what_waits_for_its_client_gives_way_to_another_network(
    monkeypatch: pytest.MonkeyPatch, parts: list[bytes], status: bytes
) -> None:
    connections = Connections(2, 2)
    async with listening(monkeypatch, connections, keep_alive=60) as port:
        opened = [await open_from(port, HERE, *parts) for _ in range(2)]
        assert connections.total == 2
        found, writer = await first_bytes(port, ELSEWHERE, ASKED)
        assert (found, connections.total) == (b"HTTP/1.1 200", 2)
        writer.close()
        answer = bytearray()
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                while part := await opened[0][0].read(1_000_000):
                    answer += part
        assert answer[9:12] == status
        assert answer.count(b"HTTP/1.1") == bool(status)
        assert len(answer) < len(LONG)
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET /head HTTP/1.1\r\nhost: shop\r\n\r\n"],
        [b"GET /head HTTP/1.1\r\nhost: shop\r\n\r\n", BODY_BEGUN],
        [GET + UPGRADE + b"\r\n"],
        [ASKED, GET + UPGRADE + b"\r\n"],
    ],
    ids=["a request", "a request with another behind it", "a socket", "a socket after a request"],
)
async def test_what_is_being_answered_does_not(monkeypatch: pytest.MonkeyPatch, parts: list[bytes]) -> None:
    async with listening(monkeypatch, Connections(2, 2), keep_alive=60) as port:
        opened = [await open_from(port, HERE, *parts) for _ in range(2)]
        found, writer = await first_bytes(port, ELSEWHERE, ASKED)
        assert found == b"HTTP/1.1 503"
        for each in (writer, *(writer for _, writer in opened)):
            each.close()


async def test_a_crowd_is_not_kept_waiting_by_what_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.connections.CROWDED_SECONDS", 0.2)
    connections = Connections(3, 3)
    async with listening(monkeypatch, connections, keep_alive=60) as port:
        opened = [await open_from(port, HERE, *parts) for parts in ([], [GET], [ASKED])]
        async with asyncio.timeout(5):
            while connections.total:  # noqa: ASYNC110  two of them are told nothing
                await asyncio.sleep(0.01)
        for _, writer in opened:
            writer.close()
