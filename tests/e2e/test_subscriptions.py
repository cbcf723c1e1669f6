"""Open streams of a real server: a real WebSocket client, real sockets that take nothing, and its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket as raw
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.client import Client
from tests.e2e.conftest import HANGS, Service, demo_folder, served
from tests.streams import FEED, PREFERENCES

STOPS_WITHIN = 5  # seconds, of the ten that requests have
NOISE = "Traceback"


@asynccontextmanager
async def socket(service: Service, token: str | None, **options: Any) -> AsyncIterator[ClientConnection]:
    """An initialised socket."""
    url = f"ws://127.0.0.1:{service.port}/graphql"
    async with connect(url, subprotocols=["graphql-transport-ws"], **options) as client:  # type: ignore[list-item]
        payload = {"authorization": f"Bearer {token}"} if token else {}
        await client.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await client.recv())["type"] == "connection_ack"
        yield client


async def subscribe(client: ClientConnection, query: str) -> None:
    await client.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": query}}))
    await client.send('{"type":"ping"}')
    assert json.loads(await client.recv())["type"] == "pong"


async def close_code(client: ClientConnection) -> int | None:
    try:
        async with asyncio.timeout(HANGS):
            while True:
                await client.recv()
    except ConnectionClosed:
        return client.close_code


async def test_a_swipe_over_http_notifies_websockets_and_event_streams(service: Service, caller: Client) -> None:
    anna = await caller.start_session()
    headers = {"authorization": f"Bearer {anna.token}", "accept": "text/event-stream"}
    product = (await anna.products(first=1))[0]["id"]
    async with (
        socket(service, anna.token) as client,
        anna.http.stream("POST", "/graphql", json={"query": FEED}, headers=headers) as stream,
    ):
        await subscribe(client, PREFERENCES)
        await anna.swipe(product)
        message = json.loads(await asyncio.wait_for(client.recv(), HANGS))
        assert message["payload"] == {"data": {"preferencesUpdated": {"totalSwipes": 1, "rightSwipes": 1}}}
        lines = stream.aiter_lines()
        assert [await anext(lines), await anext(lines)] == [
            "event: next",
            'data: {"data":{"recommendationsUpdated":true}}',
        ]


async def test_signing_out_closes_the_socket(service: Service, caller: Client) -> None:
    anna = await caller.start_session()
    async with socket(service, anna.token) as client:
        await subscribe(client, PREFERENCES)
        await anna.ask("mutation { signOut { userErrors { code } } }")
        assert await close_code(client) == 4403


async def test_a_page_of_another_origin_gets_no_socket(service: Service) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with socket(service, None, origin="https://evil.example"):
            pass
    response = refused.value.response
    assert (response.status_code, len(response.headers["x-request-id"])) == (403, 16)
    assert json.loads(response.body)["errors"][0]["extensions"] == {"code": "FORBIDDEN"}


async def test_ten_addresses_that_open_sockets_leave_others_their_places() -> None:
    crowd_of_ten = [{"x-forwarded-for": f"198.51.100.{number}"} for number in range(10)]
    with demo_folder() as home, served(home, TRUSTED_PROXIES="127.0.0.1", MAX_STREAMS="50") as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=HANGS) as http, AsyncExitStack() as stack:
            for _ in range(10):
                for headers in crowd_of_ten:
                    with suppress(ConnectionClosed):
                        await stack.enter_async_context(socket(service, None, additional_headers=headers))
            anna = await Client(http).start_session()
            hers = {"x-forwarded-for": "203.0.113.1"}
            async with socket(service, anna.token, additional_headers=hers) as client:
                await subscribe(client, PREFERENCES)
                await anna.swipe((await anna.products(first=1))[0]["id"])
                assert "preferencesUpdated" in str(await asyncio.wait_for(client.recv(), HANGS))


async def test_a_socket_on_which_nothing_runs_is_closed_and_an_event_stream_is_not() -> None:
    with demo_folder() as home, served(home, STREAM_IDLE_TIMEOUT="1") as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=HANGS) as http:
            anna = await Client(http).start_session()
            headers = {"authorization": f"Bearer {anna.token}", "accept": "text/event-stream"}
            async with (
                http.stream("POST", "/graphql", json={"query": FEED}, headers=headers) as stream,
                socket(service, anna.token) as busy,
                socket(service, anna.token) as idle,
            ):
                await subscribe(busy, PREFERENCES)
                assert await close_code(idle) == 1000
                await anna.swipe((await anna.products(first=1))[0]["id"])
                assert "preferencesUpdated" in str(await asyncio.wait_for(busy.recv(), HANGS))
                assert await anext(stream.aiter_lines()) == "event: next"


HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


def frame(text: str) -> bytes:
    """A text frame of a client, masked with nothing."""
    body = text.encode()
    length = bytes([0x80 | len(body)]) if len(body) < 126 else b"\xfe" + len(body).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + body


@pytest.mark.drill
async def test_a_client_that_takes_nothing_does_not_hold_up_the_end_of_the_server() -> None:
    big = "{ " + " ".join(f"p{i}: products(first: 100) {{ nodes {{ id name description }} }}" for i in range(12)) + " }"
    with demo_folder() as home, served(home, STREAM_SEND_TIMEOUT="1") as service:
        client = raw.socket()
        client.setsockopt(raw.SOL_SOCKET, raw.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", service.port))
        client.settimeout(HANGS)
        client.sendall(HANDSHAKE)
        assert b"101" in client.recv(1000)  # the last that it takes
        client.sendall(frame('{"type":"connection_init"}'))
        for number in range(20):
            client.sendall(frame(json.dumps({"type": "subscribe", "id": str(number), "payload": {"query": big}})))
        began = time.monotonic()
        assert await asyncio.to_thread(service.stop) == 0
        assert time.monotonic() - began < STOPS_WITHIN
        client.close()


async def test_garbage_below_the_protocol_leaves_no_traceback(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(HANDSHAKE)
    assert b"101" in await reader.readline()
    writer.write(b"\xff" * 100)  # no frame
    async with asyncio.timeout(HANGS):
        await reader.read()
    writer.close()
    assert NOISE not in service.errors.read_text()


@pytest.mark.drill
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_server_that_stops_closes_its_streams_at_once(tmp_path: Path, workers: str) -> None:
    with demo_folder() as home, served(home, WORKERS=workers) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=HANGS) as http:
            anna = await Client(http).start_session()
            headers = {"authorization": f"Bearer {anna.token}", "accept": "text/event-stream"}
            async with (
                socket(service, anna.token) as client,
                http.stream("POST", "/graphql", json={"query": FEED}, headers=headers) as stream,
            ):
                await subscribe(client, PREFERENCES)
                began = time.monotonic()
                service.process.send_signal(signal.SIGTERM)
                assert await close_code(client) in (1001, 1012)
                assert [line async for line in stream.aiter_lines() if line] == []
            assert await asyncio.to_thread(service.process.wait, HANGS) == 0
            assert time.monotonic() - began < STOPS_WITHIN
            assert NOISE not in service.errors.read_text()
