"""Fair shares of the database's connections between networks."""

from __future__ import annotations

import asyncio
import functools
from collections import deque

from domain.networks import networks

SHARE = 2 / 3  # of all connections, that requests of one network may use at once


class Turns:
    """Per process. Requests of a network that uses its share already wait for each other, in their order, so that some
    connections are left for everybody else, however long the statements of this network take."""

    def __init__(self, connections: int) -> None:
        self._limit = max(1, int(connections * SHARE))
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, address: str) -> None:
        """Takes a turn of each of this address's networks; to be given back by `leave`."""
        taken: list[str] = []
        try:
            for name in _names(address):
                running = self._running.get(name, 0)
                if running < self._limit:
                    self._running[name] = running + 1
                else:
                    await self._wait(name)
                taken.append(name)
        except BaseException:  # cancelled while waiting
            for name in taken:
                self._leave(name)
            raise

    def leave(self, address: str) -> None:
        """Gives back what `take` took."""
        for name in _names(address):
            self._leave(name)

    async def _wait(self, name: str) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, deque()).append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():  # it was given the turn meanwhile
                self._leave(name)
            raise

    def _leave(self, name: str) -> None:
        """Hands the turn to the request that has waited longest, if one waits."""
        waiting = self._waiting.get(name)
        while waiting:
            waiter = waiting.popleft()
            if not waiting:
                del self._waiting[name]
            if not waiter.done():
                waiter.set_result(None)
                return
        running = self._running[name] - 1
        if running:
            self._running[name] = running
        else:
            del self._running[name]


@functools.lru_cache(10_000)
def _names(address: str) -> tuple[str, ...]:
    return tuple(network.name for network in networks(address))
