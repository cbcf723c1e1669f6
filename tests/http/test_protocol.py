"""What comes before a body, and what ASGI has no word for, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from tests.e2e.conftest import Service
from transports import protocol
from transports.protocol import MAX_HEAD_BYTES, BoundedProtocol
from transports.streams import drop

GET = b"GET / HTTP/1.1\r\nhost: shop\r\n"
BEGUN = b"the beginning"
UPGRADE = (
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/drop":
        await begin_and_drop(scope, send)
        return
    if scope["path"] == "/head":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()
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


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, http=BoundedProtocol, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    monkeypatch.setattr(server, "capture_signals", contextlib.nullcontext)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = server.force_exit = True
    await task


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


async def test_a_request_is_answered_however_it_is_cut(port: int) -> None:
    request = GET + CLOSE
    assert (await answer(port, request)).endswith(b"\r\n\r\n0")
    assert (await answer(port, *[request[i : i + 1] for i in range(len(request))])).endswith(b"\r\n\r\n0")


async def test_an_answer_is_one_write(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    make = protocol._Transport.__init__

    def spied(self: Any, transport: Any, *others: Any) -> None:
        make(self, transport, *others)
        self._write = lambda data: (written.append(data), transport.write(data))

    monkeypatch.setattr(protocol._Transport, "__init__", spied)
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


async def test_what_no_app_ever_sees_is_answered_with_a_request_id(port: int) -> None:
    endless = b"GET /" + b"a" * 2 * MAX_HEAD_BYTES
    found = [await answer(port, *parts) for parts in ([b"no http\r\n\r\n"], [endless, endless])]
    assert [each[:12] for each in found] == [b"HTTP/1.1 400", b"HTTP/1.1 431"]
    assert all(b"\r\nx-request-id: " in each and b"\r\nconnection: close\r\n" in each for each in found)


async def test_a_body_counts_for_nothing(port: int) -> None:
    size = 5 * MAX_HEAD_BYTES
    head = b"POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: " + str(size).encode() + b"\r\n" + CLOSE
    assert (await answer(port, head, b"z" * size)).endswith(str(size).encode())


async def test_who_does_not_finish_its_headers_is_dropped(port: int) -> None:
    assert await answer(port) == b""
    assert await answer(port, GET, *[b"x: y\r\n"] * 20, pause=0.1) == b""
    once = GET + b"\r\n"
    found = await answer(port, once, GET, *[b"x: y\r\n"] * 20, pause=0.1)
    assert found.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize("kind", [b"", UPGRADE], ids=["an answer", "a socket"])
async def test_a_connection_is_dropped_though_its_app_goes_on(port: int, kind: bytes) -> None:
    """Reaches into uvicorn, so a new version of that may break it."""
    found = await answer(port, b"GET /drop HTTP/1.1\r\nhost: shop\r\n" + kind + b"\r\n")
    assert found.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101"))
    assert not found.endswith((b"0\r\n\r\n", b"\x88\x02\x03\xe8"))  # neither the end of a body nor a close


@pytest.mark.parametrize("length", [b"content-length: 8000000", b"transfer-encoding: chunked"])
async def test_whoever_sends_too_much_still_gets_the_answer(service: Service, length: bytes) -> None:
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


async def test_whoever_goes_on_sending_is_cut_off(service: Service) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(TOO_LARGE)
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 1_000_000_000:
            writer.write(b"z" * 100_000)
            await writer.drain()
            sent += 100_000
    assert sent < 10 * protocol.MAX_LINGER_BYTES
    writer.close()


async def test_whoever_sends_slowly_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_whoever_asks_before_sending_too_much_is_told_at_once(service: Service) -> None:
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
        while sent < 3 * protocol.MAX_BYTES_BESIDE:
            writer.write(part)
            await writer.drain()
            sent += len(part)
            await asyncio.sleep(0.005)
    assert sent < 2 * protocol.MAX_BYTES_BESIDE
    writer.close()


H2C = b"connection: Upgrade, HTTP2-Settings\r\nhttp2-settings: AAEAAEAAAAIAAAAB\r\nupgrade: h2c\r\n"
TLS = b"upgrade: TLS/1.0\r\nconnection: upgrade\r\n"
SOCKET = b"connection: Upgrade\r\nupgrade: websocket\r\n"
BODY = b'{"query":"{ __typename }"}'


@pytest.mark.parametrize("upgrade", [H2C, TLS, SOCKET], ids=["h2c", "TLS", "a WebSocket by POST"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["a length", "chunks"])
@pytest.mark.parametrize("cut", [0, 1, 2], ids=["one packet", "two packets", "single bytes"])
async def test_an_upgrade_that_is_not_taken_is_ignored(port: int, upgrade: bytes, is_chunked: bool, cut: int) -> None:
    framing = b"transfer-encoding: chunked" if is_chunked else b"content-length: 26"
    head = b"POST / HTTP/1.1\r\nhost: shop\r\n" + upgrade + framing + b"\r\n\r\n"
    body = b"1a\r\n" + BODY + b"\r\n0\r\n\r\n" if is_chunked else BODY
    parts = [[head + body], [head, body], [bytes([each]) for each in head + body]][cut]
    found = await answer(port, *parts, *parts, GET + CLOSE, pause=0.0 if cut == 2 else 0.01)
    assert found.count(b"HTTP/1.1 200") == 3
    assert [each[-2:] for each in found.split(b"HTTP/1.1 ")[1:]] == [b"26", b"26", b"\n0"]


async def test_upgrades_that_are_not_taken_may_be_pipelined(port: int) -> None:
    found = await answer(port, (GET + H2C + b"\r\n") * 2000 + GET + CLOSE)
    assert found.count(b"HTTP/1.1 200") == 2001


async def test_a_broken_request_that_asks_for_an_upgrade_is_refused(port: int) -> None:
    request = b"POST / HTTP/1.1\r\nhost: shop\r\n" + H2C + b"transfer-encoding: chunked\r\n\r\nnothing\r\n"
    assert (await answer(port, request)).startswith(b"HTTP/1.1 400")


async def test_a_socket_opens_in_spite_of_upgrades_before_it(port: int) -> None:
    request = b"GET /drop HTTP/1.1\r\nhost: shop\r\n" + UPGRADE + b"\r\n"
    found = await answer(port, GET + H2C + b"\r\n", request, pause=0.1)
    assert found.startswith(b"HTTP/1.1 200") and b"HTTP/1.1 101" in found
