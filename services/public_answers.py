"""Answers that are the same for every caller, cached until something that they show changes. docs/caching.md

Every process hears of changes of the catalogue in the order in which they are committed (db/changes.py), and knows
until when it has heard of all of them. An answer is served only while that is less than a second ago. It is cached only
if nothing has changed since before it was read.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum

from db import metrics
from db.changes import GREETING_TOPIC, Changes
from services.shared_answers import SharedAnswers
from settings import Settings

TOPIC = "catalogue"  # as sql/functions/changes.sql says
MAX_DEAF_SECONDS = 0.8  # since the process had heard of every change; with the time to answer less than a second
HEARTBEAT_SECONDS = 0.15
MAX_WAIT_SECONDS = 1.0  # for an equal request: it may be waiting behind others of its own network
MAX_JOINED_SECONDS = 0.15  # after which the answer of an equal request is not used, if something changed meanwhile
ENTRY_BYTES = 400  # of an entry, beside the answer
MAX_SHARE = 16  # an answer larger than this part of the cache is not cached
_TOKEN_BYTES = 16


class Source(Enum):
    """Where an answer came from: the cache; an equal request that was running; a read of its own."""

    HIT = "hit"
    JOINED = "joined"
    MISS = "miss"


@dataclass(frozen=True, slots=True)
class Read:
    """What was read: the data as JSON, None if it must not be cached; `as_of`: what was committed before then
    (`time.monotonic()`) is in it, infinity for all."""

    data: bytes | None
    as_of: float = float("inf")


@dataclass(frozen=True, slots=True)
class _Entry:
    data: bytes
    expires_at: float

    @property
    def size(self) -> int:
        return len(self.data) + ENTRY_BYTES


class PublicAnswers:
    """The cache of one process. Not used before `start`, after `stop`, and with PUBLIC_CACHE_BYTES=0. `shared`: that of
    all processes."""

    def __init__(
        self,
        settings: Settings,
        changes: Changes,
        shared: SharedAnswers | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes = settings.public_cache_bytes
        self._max_age = settings.public_max_age
        self._changes = changes
        self._shared = shared
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()  # the most recently used last
        self._bytes = 0
        self._flights: dict[bytes, asyncio.Future[bytes | None]] = {}
        self._generation = 0
        self._changed_at = float("-inf")
        self._alone_until = float("-inf")  # until then what others have cached may be older than a change of our own
        self._token = b""  # of the last notification; the same in all processes that have heard the same ones
        self._forgets: list[Callable[[], None]] = []

    def start(self) -> None:
        """Listens for changes, whose connection is then checked several times a second."""
        if self._max_bytes:
            self._changes.heartbeat_seconds = HEARTBEAT_SECONDS
            self._forgets = [
                self._changes.follow(TOPIC, self._hear),
                self._changes.follow(GREETING_TOPIC, self._hear_greeting),
            ]

    async def stop(self) -> None:
        """Stops listening, and drops everything."""
        for forget in self._forgets:
            forget()
        self._forgets = []
        self.drop()
        if self._shared is not None:
            await self._shared.close()

    @property
    def size(self) -> int:
        """The bytes that the cached answers take."""
        return self._bytes

    async def get(
        self,
        key: bytes,
        read: Callable[[], Awaitable[Read]],
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> tuple[bytes | None, Source | None]:
        """The answer of this key, and where it came from. `read` is called once at most; None instead of an answer: it
        was called, and what it read is its caller's alone. Source None: nothing is cached now. Equal requests at the
        same time share one read, unless that fails; the others wait within `waiting()`. Raises what `read` raises."""
        slow: asyncio.Future[bytes | None] | None = None
        while self._is_current():
            entry = self._entries.get(key)
            if entry is not None and entry.expires_at > self._clock():
                self._entries.move_to_end(key)
                metrics.PUBLIC_ANSWER["hit"].inc()
                return entry.data, Source.HIT
            flight = self._flights.get(key)
            if flight is None or flight is slow:
                return await self._lead(key, read)
            generation, joined_at = self._generation, self._clock()
            with waiting():
                await asyncio.wait({flight}, timeout=MAX_WAIT_SECONDS)
            if not flight.done():
                slow = flight
                continue
            if flight.cancelled():  # its client has disconnected
                continue
            data = flight.result()
            is_late = self._generation != generation and self._clock() - joined_at > MAX_JOINED_SECONDS
            if data is None or is_late:
                break
            metrics.PUBLIC_ANSWER["joined"].inc()
            return data, Source.JOINED
        await read()
        return None, None

    async def _lead(self, key: bytes, read: Callable[[], Awaitable[Read]]) -> tuple[bytes | None, Source]:
        """Reads for all equal requests that come meanwhile."""
        flight: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        generation, token = self._generation, self._token
        try:
            shared = self._shared if token and self._clock() >= self._alone_until else None
            if shared is not None and (found := await shared.get(token + key)) is not None:
                data, seconds = found
                if generation == self._generation and self._is_current():
                    self._keep(key, data, min(seconds, self._max_age))
                    flight.set_result(data)
                    metrics.PUBLIC_ANSWER["hit"].inc()
                    return data, Source.HIT
            metrics.PUBLIC_ANSWER["miss"].inc()
            is_since_change = self._changed_at
            answer = await read()
            flight.set_result(answer.data)
            is_newest = generation == self._generation and answer.as_of > is_since_change and self._is_current()
            if answer.data is not None and is_newest and len(answer.data) * MAX_SHARE <= self._max_bytes:
                self._keep(key, answer.data, self._max_age)
                if shared is not None and token == self._token:
                    shared.put(token + key, answer.data, self._max_age)
            return None, Source.MISS
        except asyncio.CancelledError:
            flight.cancel()
            raise
        finally:
            if not flight.done():
                flight.set_result(None)
            if self._flights.get(key) is flight:
                del self._flights[key]

    def drop_own(self) -> None:
        """Drops everything: this process has committed a change, and will hear of it in a moment."""
        self._alone_until = self._clock() + MAX_DEAF_SECONDS
        self.drop()

    def drop(self) -> None:
        """Drops everything, also what is being read: something has changed."""
        self._generation += 1
        self._changed_at = self._clock()
        self._entries.clear()
        self._flights.clear()
        self._count(-self._bytes)

    def _is_current(self) -> bool:
        """Whether no change of the last second can have been missed."""
        if self._changes.heard_until > self._clock() - MAX_DEAF_SECONDS:
            return bool(self._forgets)
        if self._entries and not self._changes.is_connected:
            self.drop()
        return False

    def _keep(self, key: bytes, data: bytes, seconds: float) -> None:
        replaced = self._entries.pop(key, None)
        entry = self._entries[key] = _Entry(data, self._clock() + seconds)
        change = entry.size - (replaced.size if replaced is not None else 0)
        while self._bytes + change > self._max_bytes:
            change -= self._entries.popitem(last=False)[1].size
        self._count(change)

    def _count(self, change: int) -> None:
        self._bytes += change
        metrics.PUBLIC_ANSWER_BYTES.set(self._bytes)

    def _hear(self, detail: str | None) -> None:
        self.drop()
        if detail is not None:
            self._token = _token_of(detail)

    def _hear_greeting(self, detail: str | None) -> None:
        """A process that begins to listen does not know the last notification, unless it is its own."""
        if detail is not None:
            self._token = _token_of(detail)


def _token_of(detail: str) -> bytes:
    return hashlib.blake2b(detail.encode(), digest_size=_TOKEN_BYTES).digest()
