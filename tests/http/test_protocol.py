"""What comes before a body, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from transports import protocol
from transports.protocol import MAX_HEAD_BYTES, BoundedProtocol

GET = b"GET / HTTP/1.1\r\nhost: shop\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    body += message.get("body", b"")
    length = str(len(str(len(body)))).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


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
    server.should_exit = True
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


async def test_headers_have_a_limit(port: int) -> None:
    header = b"x: " + b"y" * 1000 + b"\r\n"
    few, many = header * (MAX_HEAD_BYTES // 2000), header * (MAX_HEAD_BYTES // 500)
    assert (await answer(port, GET, few, CLOSE)).startswith(b"HTTP/1.1 200")
    assert (await answer(port, GET, many, many, many)).startswith(b"HTTP/1.1 431")
    endless = b"GET /" + b"a" * 2 * MAX_HEAD_BYTES
    assert (await answer(port, endless, endless)).startswith(b"HTTP/1.1 431")


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
