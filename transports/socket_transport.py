"""The transport of a client's connection, as uvicorn's protocols see it: joins writes, gives its place back, and aborts
if the client does not read."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable
from typing import Any

from transports.connections import Connection, Connections

SEND_SECONDS = 60.0  # within which a client has to read some of the response; like nginx's send_timeout


class SocketTransport:
    """Sends the head of a response together with the body if that follows at once: uvicorn writes them separately, and
    each write is a system call that may wake the client. `lingers` is called before closing; if it returns true, only
    the sending side is closed, and the caller closes the rest."""

    __slots__ = ("_head", "_leave", "_lingers", "_loop", "_progress", "_transport", "_write", "is_closing")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, lingers: Callable[[], bool]
    ) -> None:
        self._transport = transport
        self._lingers = lingers
        self._write = transport.write
        self._loop = loop
        self._head = b""
        self._leave: Callable[[], None] | None = None
        self._progress: asyncio.TimerHandle | None = None
        self.is_closing = transport.is_closing

    def take_place(self, connections: Connections, address: str, connection: Connection) -> bool:
        """Takes a place for this connection, which may switch protocols. False if there is none."""
        if not connections.enter(address, connection):
            return False
        self._leave = functools.partial(connections.leave, connection)
        return True

    def connection_ended(self) -> None:
        """Called when the connection is lost."""
        if self._progress is not None:
            self._progress.cancel()
        if self._leave is not None:
            self._leave()
            self._leave = None

    def write(self, data: bytes) -> None:
        if self._head:
            data = self._head + data
            self._head = b""
            self._write(data)
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._write(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        self._flush()
        if self._transport.is_closing() or not self._lingers():
            self._transport.close()
            self.expect_progress()
            return
        self.is_closing = _yes
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def expect_progress(self) -> None:
        """Aborts the connection unless the write buffer shrinks: a transport closes, or resumes writing, only once the
        client has read what is in it."""
        if self._progress is None and self._transport.get_write_buffer_size():
            self._schedule_check()

    def _schedule_check(self) -> None:
        left = self._transport.get_write_buffer_size()
        self._progress = self._loop.call_later(SEND_SECONDS, self._check_progress, left)

    def _check_progress(self, before: int) -> None:
        self._progress = None
        left = self._transport.get_write_buffer_size()
        if left >= before:
            self._transport.abort()
        elif left:
            self._schedule_check()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self.is_closing():
            self._write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _yes() -> bool:
    return True
