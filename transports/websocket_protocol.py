"""uvicorn's WebSocket protocol, with limits on what no app sees: the handshake, control frames and fragments."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame, Opcode

from transports.protocol import BAD_REQUEST, refusal

HANDSHAKE_SECONDS = 10.0
SLICE_BYTES = 4096  # parsed at a time, so that few frames are parsed beyond a limit
MAX_BARE_FRAMES = 1_000  # burst of control frames and fragments
BARE_FRAMES_PER_SECOND = 200

_MESSAGES = (Opcode.TEXT, Opcode.BINARY)


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """For uvicorn's setting `ws`.

    A handshake is accepted or refused within HANDSHAKE_SECONDS. After that, transports/websockets.py closes idle
    connections, and uvicorn's ws_ping_timeout dead ones. The app limits complete messages: no more is parsed before it
    has received those that are waiting.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._rest = b""
        self._bare_frames = float(MAX_BARE_FRAMES)
        self._counted_at = self.loop.time()
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HANDSHAKE_SECONDS, self._end_handshake)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport.connection_ended()  # type: ignore[attr-defined]  # SocketTransport's
        if self._deadline is not None:
            self._deadline.cancel()
        self._rest = b""
        super().connection_lost(exc)

    def _end_handshake(self) -> None:
        if not self.handshake_complete:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self.handshake_initiated:
            super().data_received(data)
            if not self.handshake_initiated:  # the head is complete, but not a handshake: nothing would follow
                self.transport.write(refusal(BAD_REQUEST, b"Invalid WebSocket handshake."))
                self.transport.close()
            return
        self._parse(self._rest + data if self._rest else data)

    async def receive(self) -> Any:
        message = await super().receive()
        if self._rest and not self.read_paused and not self.disconnected:
            rest, self._rest = self._rest, b""
            self._parse(rest)
        return message

    def _parse(self, data: bytes) -> None:
        """Parses until messages are waiting for the app; keeps the rest until it has received them."""
        self._rest = b""
        for start in range(0, len(data), SLICE_BYTES):
            if self.transport.is_closing():
                return
            if self.read_paused:
                self._rest = data[start:]
                return
            super().data_received(data[start : start + SLICE_BYTES])

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.expect_progress()  # type: ignore[attr-defined]

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # discarded: only the latest ping needs a pong (RFC 6455, 5.5.3)

    def handle_events(self) -> None:
        bare = sum(isinstance(event, Frame) and not _is_message(event) for event in self.conn.events)
        if bare and not self._may_take(bare):
            self.conn.fail(CloseCode.POLICY_VIOLATION, "Too many frames")
            self.handle_parser_exception()
            return
        super().handle_events()

    def _may_take(self, frames: int) -> bool:
        now = self.loop.time()
        refilled = self._bare_frames + (now - self._counted_at) * BARE_FRAMES_PER_SECOND
        self._bare_frames = min(refilled, MAX_BARE_FRAMES) - frames
        self._counted_at = now
        return self._bare_frames >= 0


def _is_message(frame: Frame) -> bool:
    return frame.fin and frame.opcode in _MESSAGES
