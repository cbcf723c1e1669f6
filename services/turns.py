"""Fair shares of the database's connections between networks."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Sequence

from domain.networks import networks

# The shares of all connections that requests of one network, and of one person, may use at once.
SHARE = 2 / 3
PERSONAL_SHARE = 1 / 4


class Turns:
    """Per process. Requests of a network or a person whose share is in use wait for each other, first come, first
    served. So some connections are left for all others, however long these statements take."""

    def __init__(self, connections: int) -> None:
        self._limit = max(1, int(connections * SHARE))
        self._personal_limit = max(1, int(connections * PERSONAL_SHARE))
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def take(self, address: str, person: str | None) -> Awaitable[None] | None:
        """Takes a turn of the person, if any, and of each network of this address; `leave` gives them back. Returns
        None, or an awaitable if one of them has no turn left."""
        running, names = self._running, _names(address)
        own = running.get(person, 0) if person is not None else 0
        if own >= self._personal_limit:
            return self._take_all(names, person)
        for name in names:  # no any(): a generator for each request would cost more than all the rest
            if running.get(name, 0) >= self._limit:
                return self._take_all(names, person)
        if person is not None:
            running[person] = own + 1
        for name in names:
            running[name] = running.get(name, 0) + 1
        return None

    async def _take_all(self, names: Sequence[str], person: str | None) -> None:
        taken: list[str] = []
        try:
            if person is not None:
                await self._take(person, self._personal_limit)
                taken.append(person)
            for network in names:
                await self._take(network, self._limit)
                taken.append(network)
        except BaseException:  # cancelled while waiting
            for name in taken:
                self._leave(name)
            raise

    @contextlib.asynccontextmanager
    async def held(self, address: str, person: str | None) -> AsyncIterator[None]:
        """Waits for a turn if necessary, and gives it back at the end."""
        if (turn := self.take(address, person)) is not None:
            await turn
        try:
            yield
        finally:
            self.leave(address, person)

    def leave(self, address: str, person: str | None) -> None:
        """Gives back what `take` took."""
        names = _names(address) if person is None else (person, *_names(address))
        if self._waiting:
            for name in names:
                self._leave(name)
            return
        running = self._running  # as in each request: without a call for each name
        for name in names:
            if running[name] > 1:
                running[name] -= 1
            else:
                del running[name]

    async def _take(self, name: str, limit: int) -> None:
        running = self._running.get(name, 0)
        if running < limit:
            self._running[name] = running + 1
        else:
            await self._wait(name)

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
        """Hands the turn to the request that has waited longest, if any."""
        if self._waiting and self._hand_over(name):
            return
        running = self._running[name] - 1
        if running:
            self._running[name] = running
        else:
            del self._running[name]

    def _hand_over(self, name: str) -> bool:
        waiting = self._waiting.get(name)
        while waiting:
            waiter = waiting.popleft()
            if not waiting:
                del self._waiting[name]
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False


@functools.lru_cache(10_000)
def _names(address: str) -> tuple[str, ...]:
    return tuple(network.name for network in networks(address))
