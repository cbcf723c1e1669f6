"""uvicorn's HTTP/1.1 protocol, with limits on everything that the app cannot limit: it sees a request only once its
headers are complete."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from transports.connections import Connections
from transports.request_ids import new_request_id
from transports.socket_transport import SocketTransport

MAX_HEAD_BYTES = 65_536  # request line and headers
MAX_HEADERS = 200
MAX_OVERHEAD_BYTES = 1_048_576  # chunked-encoding overhead: chunk sizes, chunk extensions and trailers
HEAD_SECONDS = 10.0  # from the connection, or from the first byte of a later request, to the end of its headers

MAX_LINGER_BYTES = 10_000_000  # discarded of a body whose request has been answered
LINGER_SECONDS = 10.0

# A parsed, pipelined request takes about seventy times its size on the wire. So input is parsed in pieces, and parsing
# pauses while MAX_PIPELINED requests are waiting.
PIECE_BYTES = 4096
MAX_PIPELINED = 16
MAX_UNPARSED_BYTES = 1_048_576  # a few reads: a handler that waits for an event may resume them

_HOST = re.compile(rb"(\[[0-9A-Za-z:.%_~-]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")  # RFC 3986, 3.2.2

BAD_REQUEST = b"HTTP/1.1 400 Bad Request"
_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1"
_TOO_MANY = b"Too many connections: try again shortly."
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large"


def refusal(status: bytes, text: bytes) -> bytes:
    """A response from below the app, after which the connection is closed."""
    headers = b"x-request-id: %b\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: %d" % (
        new_request_id().encode(),
        len(text),
    )
    return b"%b\r\n%b\r\n\r\n%b" % (status, headers, text)


class BoundedProtocol(HttpToolsProtocol):
    """For uvicorn's setting `http`. Headers that arrive in one piece, as most do, cost one comparison.

    A connection ends by itself in each of its states:

    | state | ends after |
    |---|---|
    | the head of a request is incomplete | HEAD_SECONDS, MAX_HEAD_BYTES or MAX_HEADERS |
    | a body is incomplete, its request unanswered | what the app allows: REQUEST_TIMEOUT |
    | a body is incomplete, its request answered | LINGER_SECONDS or MAX_LINGER_BYTES |
    | pipelined requests wait | as the request in front of them; beyond MAX_PIPELINED they are not read |
    | a response is not read, also while closing | SEND_SECONDS without progress (transports/socket_transport.py) |
    | idle | uvicorn's timeout_keep_alive |
    | idle or held up, and places run out | see transports/connections.py |
    | a WebSocket's handshake, or an open WebSocket | see transports/websocket_protocol.py |
    """

    def __init__(self, *arguments: Any, connections: Connections | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._places = connections
        self._is_in_head = True
        self._is_between = False  # requests: the last one is complete, the next has not started
        self._has_ended = False  # whether a request ended in the piece that is being parsed
        self._head_bytes = self._overhead_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._linger_bytes = MAX_LINGER_BYTES
        self._unparsed = bytearray()

    def connection_made(self, transport: Any) -> None:
        wrapped = SocketTransport(transport, self.loop, self._linger)
        super().connection_made(wrapped)  # type: ignore[arg-type]
        address = self.client[0] if self.client else ""
        if self._places is not None and not wrapped.take_place(self._places, address, self):
            self._refuse(_UNAVAILABLE, _TOO_MANY)
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport.connection_ended()  # type: ignore[attr-defined]
        self._stop_head_timer()
        if self._lingering is not None:
            self._lingering.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.expect_progress()  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None and self.transport.is_closing():
            self._unparsed.clear()
            self._receive(data)
        elif len(data) <= PIECE_BYTES and not self._unparsed and not self.pipeline:
            self._receive(data)
        else:
            self._unparsed += data
            self._receive_pieces()

    def _receive_pieces(self) -> None:
        """Parses buffered input until MAX_PIPELINED requests are waiting, then pauses reading."""
        while self._unparsed and len(self.pipeline) < MAX_PIPELINED and not self.transport.is_closing():
            piece = bytes(self._unparsed[:PIECE_BYTES])
            del self._unparsed[:PIECE_BYTES]
            self._receive(piece)
        if self.transport.is_closing() and self._lingering is None:
            self._unparsed.clear()
        elif len(self._unparsed) > MAX_UNPARSED_BYTES:
            self.transport.abort()
        elif self._unparsed:
            self._stop_head_timer()  # for the end of a head: it is in the buffer
            self.flow.pause_reading()

    def handle_websocket_upgrade(self) -> None:
        self._unparsed.clear()  # nothing may be sent before the handshake is answered
        self._is_between = False
        super().handle_websocket_upgrade()

    def _receive(self, data: bytes) -> None:
        if self._lingering is not None:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self.transport.close()
            if self.transport.is_closing():
                return
        self._has_ended = False
        self._parse(data)
        if self._is_between and not self._has_ended and self.cycle.response_complete:
            self._is_in_head = True  # blank lines before a request: uvicorn's timer of idle connections is off
        if not self._is_in_head:
            self._overhead_bytes += len(data)
            if self._overhead_bytes > MAX_OVERHEAD_BYTES:
                self._refuse(b"")
            return
        if not self._has_ended:  # else most of the piece may belong to the request before
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        elif self._head_timer is None:
            self._start_head_timer()

    def _parse(self, data: bytes) -> None:
        """Like uvicorn's, but an unsupported upgrade is ignored (RFC 9110, 7.8). The parser assumes that every upgrade
        is accepted, and therefore that no body follows."""
        self._unset_keepalive_if_required()
        rest: bytes | memoryview = memoryview(data)
        try:
            while True:
                try:
                    self.parser.feed_data(rest)
                    return
                except httptools.HttpParserUpgrade as upgrade:
                    if self._should_upgrade():
                        if not self.transport.is_closing():
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
        """Whether the request asks for an unsupported upgrade. To the parser, CONNECT is an upgrade too."""
        is_upgrade: bool = self.parser.should_upgrade()
        return is_upgrade and self.parser.get_method() != b"CONNECT" and not self._should_upgrade()

    def _parse_again_without_upgrade(self) -> None:
        """Feeds the complete head, without the upgrade, to a new parser, which then parses the body."""
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn makes it
        self.parser.feed_data(b"\r\n".join(lines) + b"\r\n\r\n")

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._is_between = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Ignores trailers: a proxy that sets or strips headers may let them through."""
        if self._is_in_head and not self.transport.is_closing():
            super().on_header(name, value)
            if len(self.headers) > MAX_HEADERS:
                self._refuse(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        if self.transport.is_closing() or self._ignores_upgrade():
            return
        if self.parser.should_upgrade() and self._should_upgrade() and not self._may_upgrade():
            self._refuse(BAD_REQUEST, b"A request for a WebSocket has no body.")
            return
        if not self._names_one_host():
            self._refuse(BAD_REQUEST, b"Send one Host header, with a valid host.")
            return
        self._is_in_head = False
        self._head_bytes = self._overhead_bytes = 0
        self._stop_head_timer()
        super().on_headers_complete()

    def _names_one_host(self) -> bool:
        """Whether the head has a Host header, and only one, which is valid (RFC 9112, 3.2). HTTP/1.0 needs none."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if not hosts:
            return bool(self.parser.get_http_version() == "1.0")
        return len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None

    def on_body(self, body: bytes) -> None:
        if self.transport.is_closing():
            return
        self._overhead_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.transport.is_closing() or self._ignores_upgrade():
            return
        self._has_ended = self._is_between = True
        super().on_message_complete()
        if self._lingering is not None and not self.transport.is_closing():  # the body is complete: idle now
            self._lingering.cancel()
            self._lingering = None
            self.cycle.more_body = False
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._unparsed:
            self._receive_pieces()
        if not self.transport.is_closing() and self.cycle.response_complete and self.cycle.more_body:
            self._drop_body()

    def is_idle(self) -> bool:
        """For Connections: whether it waits for a request, or for the rest of a head."""
        is_answered = self.cycle is None or self.cycle.response_complete
        return is_answered and (self._is_in_head or self._is_between) and not self._is_sending()

    def is_held_up(self) -> bool:
        """For Connections: whether it waits for the client to send the rest of a body, or to read the response. Other
        requests may be pipelined behind this one."""
        return self._awaits_body() or self._is_sending()

    def give_way(self) -> None:
        """For Connections: closes what is idle or held up."""
        if self._is_sending():
            self.transport.abort()
        elif self._awaits_body() and not self.cycle.response_complete:
            self._refuse(_UNAVAILABLE, _TOO_MANY)
        else:
            self._refuse(b"")

    def _awaits_body(self) -> bool:
        return self.cycle is not None and self.cycle.more_body and not self.pipeline

    def _is_sending(self) -> bool:
        """Whether the client has not read everything yet, or the connection is being closed."""
        return self.transport.is_closing() or self.transport.get_write_buffer_size() > 0

    def _may_upgrade(self) -> bool:
        """Whether the connection may become a WebSocket: not while responses are pending, and not with a body, which a
        handshake never has (RFC 6455, 4.1). The parser would wait for it."""
        length = b"".join(value for name, value in self.headers if name == b"content-length").strip(b"0")
        has_body = bool(length) or any(name == b"transfer-encoding" for name, _ in self.headers)
        return not has_body and (self.cycle is None or self.cycle.response_complete)

    def send_400_response(self, msg: str) -> None:
        """uvicorn's hook for invalid HTTP; adds a request id as on every response."""
        self._refuse(BAD_REQUEST, msg.encode())

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse, b"")

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _linger(self) -> bool:
        """Whether to close later, because a client that has been answered may still be sending the body. Closing at
        once would send a reset, often before the client has read the response. So the rest of the body is read and
        discarded, up to a limit of bytes and seconds (like nginx's lingering_close)."""
        cycle = self.cycle
        if self._lingering is not None or cycle is None or not (cycle.response_complete and cycle.more_body):
            return False
        self._drop_body()
        self.flow.resume_reading()
        return True

    def _drop_body(self) -> None:
        """Discards the rest of the body, up to the limits."""
        self._linger_bytes = MAX_LINGER_BYTES
        self._lingering = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _owes_an_answer(self) -> bool:
        """Whether the next response is to an earlier request than the last one received."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        return self._is_in_head or cycle.response_started or bool(self.pipeline)

    def _refuse(self, status: bytes, text: bytes = b"") -> None:
        """Closes the connection, after a response if there is a status and no other response is due."""
        self._stop_head_timer()
        if self.transport.is_closing():
            return
        if status and not self._owes_an_answer():
            self.transport.write(refusal(status, text))
        self.transport.close()
