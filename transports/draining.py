"""Draining: from SIGTERM on, for SHUTDOWN_DELAY seconds, a server still answers and sends proxies elsewhere.

`/readyz` answers 503, and each response closes its connection. Otherwise a proxy could send a request on a kept
connection just as the server closes it; a mutation is then answered 502, as the proxy must not repeat it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass

import uvicorn
from starlette.types import Message, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

FIRST_REQUEST_SECONDS = 0.5  # that a connection has for its first request once no others are accepted


@dataclass(slots=True)
class Draining:
    """Whether the server drains."""

    is_on: bool = False


def closing(send: Send) -> Send:
    """`send` of an HTTP response after which the connection is closed."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [each for each in message.get("headers", ()) if each[0].lower() != b"connection"]
            message = {**message, "headers": [*others, (b"connection", b"close")]}
        await send(message)

    return send_and_close


class DrainedServer(uvicorn.Server):
    """Answers also those who connect just before it stops accepting: while it drains, a proxy connects for each
    request. uvicorn alone resets connections that the kernel has completed and it has not accepted yet, and closes
    those whose first request is still on its way."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            queues = [socket.socket(fileno=os.dup(each.fileno())) for each in server.sockets]
            server.close()
            for queue in queues:
                await self._accept_all(queue)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FIRST_REQUEST_SECONDS
        while loop.time() < deadline and any(map(_is_new, self.server_state.connections)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    async def _accept_all(self, queue: socket.socket) -> None:
        """Accepts what the kernel has completed, and closes the queue in the same moment."""
        with queue:
            queue.setblocking(False)
            while True:
                try:
                    connection, _ = queue.accept()
                except OSError:  # there is none
                    return
                await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made


def _is_new(connection: object) -> bool:
    """Whether no request has arrived on it yet; WebSockets began with one."""
    return isinstance(connection, HttpToolsProtocol) and connection.cycle is None
