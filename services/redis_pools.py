"""Connections to Redis: no request waits for it for long."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool

TIMEOUT_SECONDS = 0.25  # a request waits no longer for Redis
MAX_CONNECTIONS = 10  # per process and use; a burst of requests waits for one of them


def opened(url: str) -> BlockingConnectionPool:
    """A pool of connections, each opened when it is needed. Needs the extra `redis`."""
    from redis.asyncio import BlockingConnectionPool

    return BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
    )
