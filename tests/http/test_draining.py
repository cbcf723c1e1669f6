"""A server that was told to stop still answers for a while, and sends proxies elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn
from starlette.types import Receive, Scope, Send

from tests.conftest import Shop
from transports.draining import DrainedServer


async def test_a_server_that_drains_answers_is_not_ready_and_closes_connections(shop: Shop) -> None:
    before = await shop.http.post("/graphql", json={"query": "{ __typename }"})
    assert before.headers.get("connection") != "close"
    assert (await shop.http.get("/readyz")).status_code == 200
    draining = shop.http._transport.app.draining  # type: ignore[attr-defined]
    draining.is_on = True
    try:
        ready = await shop.http.get("/readyz")
        assert (ready.status_code, ready.text, ready.headers["connection"]) == (503, "draining", "close")
        assert (await shop.http.get("/livez")).status_code == 200
        answer = await shop.http.post("/graphql", json={"query": "{ __typename }"})
        assert answer.json() == {"data": {"__typename": "Query"}}
        assert answer.headers.get_list("connection") == ["close"]
    finally:
        draining.is_on = False


async def served() -> DrainedServer:
    """Accepts connections once the loop runs."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    server = DrainedServer(uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", http="httptools"))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    return server


def connected(server: DrainedServer) -> socket.socket:
    """A connection that the kernel has completed."""
    return socket.create_connection(server.servers[0].sockets[0].getsockname(), timeout=5)


REQUEST = b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n"


async def test_connections_that_were_not_accepted_yet_are_answered() -> None:
    server = await served()
    waiting = [connected(server) for _ in range(20)]
    for each in waiting[:10]:
        each.sendall(REQUEST)
    stopping = asyncio.create_task(server.shutdown())
    await asyncio.sleep(0.1)
    for each in waiting[10:]:  # what was sent arrives later
        each.sendall(REQUEST)
    await stopping
    with contextlib.ExitStack() as stack:
        answers = [stack.enter_context(each).recv(100)[:12] for each in waiting]
    assert answers == [b"HTTP/1.1 204"] * 20


async def test_a_connection_without_a_request_holds_up_a_stop_for_a_moment_only() -> None:
    server = await served()
    with connected(server) as silent:
        async with asyncio.timeout(10):
            await server.shutdown()
        assert silent.recv(1) == b""
