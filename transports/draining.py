"""Draining: from SIGTERM on, for SHUTDOWN_DELAY seconds, a server still answers and sends proxies elsewhere.

`/readyz` answers 503, and each response closes its connection. Otherwise a proxy could send a request on a kept
connection just as the server closes it; a mutation is then answered 502, as the proxy must not repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Message, Send


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
