"""HTTP/1.1 as uvicorn speaks it, with limits on what comes before a body: nothing of ours sees a request until its
headers are complete."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from transports.request_ids import new_request_id

MAX_HEAD_BYTES = 65_536  # request line and headers
MAX_BYTES_BESIDE = 1_048_576  # sizes of chunks, what stands beside these, and trailers
HEAD_SECONDS = 10.0  # from the connection, or from the first byte of a later request, to the end of its headers

MAX_LINGER_BYTES = 10_000_000
LINGER_SECONDS = 10.0

_BAD = b"HTTP/1.1 400 Bad Request"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large"


class _Transport:
    """Sends the head of an answer together with its body, where that follows at once: uvicorn writes them apart, and
    each write is a call of the system that may wake the client. Asks `lingers` before it closes."""

    __slots__ = ("_head", "_lingers", "_loop", "_transport", "_write", "is_closing")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, lingers: Callable[[], bool]
    ) -> None:
        self._transport = transport
        self._lingers = lingers
        self._write = transport.write
        self._loop = loop
        self._head = b""
        self.is_closing = transport.is_closing

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
            return
        self.is_closing = _yes
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self.is_closing():
            self._write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _yes() -> bool:
    return True


class BoundedProtocol(HttpToolsProtocol):
    """For uvicorn's setting `http`. Headers that come in one piece, as most do, cost one comparison."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_in_head = True
        self._has_ended = False  # a request in the piece that is being read
        self._head_bytes = self._bytes_beside = 0
        self._patience: asyncio.TimerHandle | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._linger_bytes = MAX_LINGER_BYTES

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Transport(transport, self.loop, self._linger))  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._lingering is not None:
            self._lingering.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self.transport.close()
            return
        self._has_ended = False
        self._parse(data)
        if not self._is_in_head:
            self._bytes_beside += len(data)
            if self._bytes_beside > MAX_BYTES_BESIDE:
                self._refuse(b"")
            return
        if not self._has_ended:  # else most of this may be what came before
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        elif self._patience is None:
            self._wait()

    def _parse(self, data: bytes) -> None:
        """As uvicorn does; but an upgrade that is not taken is ignored (RFC 9110, 7.8). The parser assumes that each
        one is taken, and so that no body follows."""
        self._unset_keepalive_if_required()
        rest: bytes | memoryview = memoryview(data)
        try:
            while True:
                try:
                    self.parser.feed_data(rest)
                    return
                except httptools.HttpParserUpgrade as upgrade:
                    if self._should_upgrade():
                        self.handle_websocket_upgrade()
                        return
                    if not self._ignores_upgrade():
                        return
                    rest = rest[upgrade.args[0] :]
                    self._parse_again_without_upgrade()
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _should_upgrade_to_ws(self) -> bool:
        """Only GET opens a WebSocket (RFC 6455, 4.1)."""
        return self.parser.get_method() == b"GET" and super()._should_upgrade_to_ws()

    def _ignores_upgrade(self) -> bool:
        """Whether the request asks for an upgrade that is not taken. CONNECT is an upgrade of its own kind."""
        is_upgrade: bool = self.parser.should_upgrade()
        return is_upgrade and self.parser.get_method() != b"CONNECT" and not self._should_upgrade()

    def _parse_again_without_upgrade(self) -> None:
        """The head of the request, which is complete, by a parser that goes on with its body."""
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn makes it
        self.parser.feed_data(b"\r\n".join(lines) + b"\r\n\r\n")

    def on_message_begin(self) -> None:
        self._is_in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Those after a body are nobody's: a proxy that sets or takes away headers may let them through."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._ignores_upgrade():
            return
        self._is_in_head = False
        self._head_bytes = self._bytes_beside = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bytes_beside -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._ignores_upgrade():
            return
        self._has_ended = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Uvicorn's, for what is no HTTP; with a request id as every answer."""
        self._refuse(_BAD, msg.encode())

    def _wait(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self._refuse, b"")

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _linger(self) -> bool:
        """Whether to close later: a client that has its answer may still be sending the body. If the connection were
        closed at once, the client would be reset, often before it has read the answer. So what it sends is read and
        dropped, up to a limit of bytes and seconds (as nginx's lingering_close)."""
        cycle = self.cycle
        if self._lingering is not None or cycle is None or not (cycle.response_complete and cycle.more_body):
            return False
        self._lingering = self.loop.call_later(LINGER_SECONDS, self.transport.close)
        self.flow.resume_reading()
        return True

    def _owes_an_answer(self) -> bool:
        """Whether the next thing to be sent is an answer to another request than the one that came last."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        return self._is_in_head or cycle.response_started or bool(self.pipeline)

    def _refuse(self, status: bytes, text: bytes = b"") -> None:
        """Ends the connection, after an answer where there is a status and no other answer is due."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if status and not self._owes_an_answer():
            headers = b"x-request-id: %b\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: %d" % (
                new_request_id().encode(),
                len(text),
            )
            self.transport.write(b"%b\r\n%b\r\n\r\n%b" % (status, headers, text))
        self.transport.close()
