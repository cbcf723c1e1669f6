"""Read replicas: which of them a person's query may read, and what they have replayed so far.

Replication is asynchronous, so a replica may lack a person's own last write. Ten times a second, the process asks the
primary how far its write-ahead log is, and each replica how far it has replayed that. From both follows as of when a
replica is current: everything that was committed before that time is visible there. A person reads from a replica that
is current as of a time after their last write, and after their token was issued, as the person may be new.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import asyncpg
import structlog

from db.claims import SERVICE, Claims
from db.failures import UNREACHABLE
from db.pool import Pool

log = structlog.get_logger("aclue.db")

CHECK_INTERVAL_SECONDS = 0.1
CHECK_TIMEOUT_SECONDS = 1.0
MAX_SAMPLES = 6000  # of the primary's position: ten minutes
CLOCK_SKEW_SECONDS = 0.5  # between hosts, whose clocks are synchronised

_PRIMARY = "select pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
_STANDBY = """
select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn() - '0/0'::pg_lsn end
"""


class SharedWrites(Protocol):
    """When people wrote last, for all processes; times are `time.time()`."""

    async def note(self, person: str, at: float) -> None:
        """Keeps the time of a write. Raises nothing."""

    async def last(self, person: str) -> float:
        """The time of the last one: minus infinity if there was none lately, infinity if that cannot be said."""


class Probe:
    """Asks a server for a position, on a connection of its own: those of the pool may all be at work."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection[Any]]], sql: str) -> None:
        self._connect = connect
        self._sql = sql
        self._connection: asyncpg.Connection[Any] | None = None

    async def ask(self) -> int | None:
        """A position in the write-ahead log; None if there is no answer, or no position."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                if self._connection is None:
                    self._connection = await self._connect()
                async with self._connection.transaction():  # behind a pooler, one server connection
                    position = await self._connection.fetchval(self._sql)
        except (*UNREACHABLE, asyncpg.PostgresError):
            self.close()
            return None
        return None if position is None else int(position)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class Replica:
    """A standby: the pool of connections to it, and as of when it is current (`time.monotonic()`)."""

    def __init__(self, name: str, pool: Pool, connect: Callable[[], Awaitable[asyncpg.Connection[Any]]]) -> None:
        self.name = name
        self.pool = pool
        self.probe = Probe(connect, _STANDBY)
        self.current_as_of = float("-inf")

    def failed(self) -> None:
        """A statement or a connection failed: it is skipped until it has answered again."""
        self.current_as_of = float("-inf")


class Replicas:
    """All replicas of a primary, and who wrote last when. Without replicas, everybody reads from the primary."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection[Any]]],
        replicas: Sequence[Replica],
        max_lag: float,
        shared: SharedWrites | None = None,
    ) -> None:
        self.all = tuple(replicas)
        self._primary = Probe(connect, _PRIMARY)
        self._max_lag = max_lag
        self._shared = shared
        self._samples: deque[tuple[float, int]] = deque(maxlen=MAX_SAMPLES)  # when, and the primary's position then
        self._written: OrderedDict[str, float] = OrderedDict()  # by person, the last one at the end
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Starts the pools of the replicas, and asking these and the primary where they are."""
        for replica in self.all:
            replica.pool.start()
        if self.all:
            self._tasks = [asyncio.create_task(self._watch_primary())]
            self._tasks += [asyncio.create_task(self._watch(replica)) for replica in self.all]

    async def stop(self) -> None:
        """Stops asking, and closes the connections to the replicas."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for probe in (self._primary, *(replica.probe for replica in self.all)):
            probe.close()
        await asyncio.gather(*(replica.pool.close() for replica in self.all))

    def lag(self, replica: Replica) -> float:
        """Seconds since the time as of which it is current; infinity if it cannot be reached."""
        return time.monotonic() - replica.current_as_of

    async def choose(self, claims: Claims) -> Replica | None:
        """A replica for reads of this caller; None: only the primary will do."""
        fit = [replica for replica in self.all if self.lag(replica) <= self._max_lag]
        if not fit or claims.role == SERVICE.role:  # a service writes for anybody
            return None
        if claims.subject_text:
            wrote = max(self._written.get(claims.subject_text, float("-inf")), _here(_issued(claims)))
            fit = [replica for replica in fit if replica.current_as_of > wrote]
            if fit and self._shared is not None:
                wrote = _here(await self._shared.last(claims.subject_text))
                fit = [replica for replica in fit if replica.current_as_of > wrote]
        return random.choice(fit) if fit else None  # noqa: S311  not a secret

    async def note_write(self, claims: Claims) -> None:
        """The person has just committed a write: until a replica has it, they read from the primary."""
        person = claims.subject_text
        if not self.all or not person:
            return
        now = time.monotonic()
        self._written[person] = now
        self._written.move_to_end(person)
        while next(iter(self._written.values())) < now - self._max_lag:  # each replica that is used has it by now
            self._written.popitem(last=False)
        if self._shared is not None:
            await self._shared.note(person, time.time())

    async def _watch_primary(self) -> None:
        while True:
            asked_at = time.monotonic()
            position = await self._primary.ask()
            if position is not None:
                self._samples.append((asked_at, position))
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)

    async def _watch(self, replica: Replica) -> None:
        was_used: bool | None = None
        while True:
            replayed = await replica.probe.ask()
            if replayed is None:
                replica.failed()
            else:
                replica.current_as_of = self._as_of(replayed)
            is_used = self.lag(replica) <= self._max_lag
            if is_used is not was_used and (is_used or was_used is not None or self._samples):
                tell = log.info if is_used else log.warning
                tell("a replica is used" if is_used else "a replica is skipped", replica=replica.name)
                was_used = is_used
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)

    def _as_of(self, replayed: int) -> float:
        """The time of the newest position of the primary that has been replayed."""
        for asked_at, position in reversed(self._samples):
            if position <= replayed:
                return asked_at
        return float("-inf")


def _issued(claims: Claims) -> float:
    """The end of the second in which the token was issued."""
    return float("-inf") if claims.issued_at is None else claims.issued_at + 1.0


def _here(at: float) -> float:
    """A time of another host's clock as one of `time.monotonic()`, so late that no replica is thought more current than
    it is."""
    return at - time.time() + time.monotonic() + CLOCK_SKEW_SECONDS
