"""Changes told to every process: one connection per process listens and speaks (LISTEN, NOTIFY).

A line of a notification is `topic owner`, or `topic owner detail`: ids, never values. Whoever hears of a change reads
it under the claims of the person it is for.

What is rare and must not be missed is told by triggers, in its own transaction (sql/functions/changes.sql). What
happens all the time, a swipe, is told here after its transaction, many in one notification: a transaction with a NOTIFY
keeps all others with one from committing, which took 16 writers from 4,500 commits a second to 900.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias

import asyncpg
import structlog

from db.dsn import connect as connect_to

log = structlog.get_logger("aclue.changes")

CHANNEL = "aclue_changes"
EVERYBODY = "*"
BATCH_INTERVAL_SECONDS = 0.1  # seconds
HEARTBEAT_SECONDS = 20.0  # seconds after which a silent connection is tried
ANSWER_TIMEOUT_SECONDS = 5.0  # seconds
RECONNECT_SECONDS = (0.2, 30.0)  # seconds before connecting again: at first, at most
MAX_WAITING = 10_000  # lines; what is more becomes one line, after which everybody looks again
MAX_PAYLOAD = 7_900  # bytes; Postgres takes a little less than 8,000
_EVERYTHING = f"{EVERYBODY} {EVERYBODY}"
_FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

Listener: TypeAlias = Callable[[str | None], None]
"""Called with the detail of a change ("" where there is none), or with None when some may have been missed."""


class Changes:
    """What this process hears and says. Before `start` and after `stop` it says nothing."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._listeners: dict[str, dict[str, list[Listener]]] = {}
        self._waiting: dict[str, None] = {}
        self._has_some = asyncio.Event()
        self._greeting = ""
        self._was_greeted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_said = asyncio.Event()
        self._is_said.set()

    def start(self) -> None:
        """Connects, now and whenever the connection is lost; nobody waits for it."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Says what is left, for as long as a statement may take."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS if self.is_connected else 0):
                await self._is_said.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    @property
    def is_connected(self) -> bool:
        """Whether what others say is heard now."""
        return self._was_greeted.is_set()

    def note(self, topic: str, owner: str, detail: str = "") -> None:
        """Tells every process, this one too, a moment later. Never waits and never fails."""
        if self._task is None:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._waiting = {_EVERYTHING: None}
        self._waiting[f"{topic} {owner} {detail}".rstrip()] = None
        self._is_said.clear()
        self._has_some.set()

    def listen(self, topic: str, owner: str, call: Listener) -> Callable[[], None]:
        """Calls on every change of this topic that is the owner's or everybody's, until what it gives back is called.
        `call` must neither wait nor fail."""
        self._listeners.setdefault(topic, {}).setdefault(owner, []).append(call)
        return partial(self._forget, topic, owner, call)

    def _forget(self, topic: str, owner: str, call: Listener) -> None:
        owners = self._listeners.get(topic, {})
        calls = owners.get(owner, [])
        if call in calls:
            calls.remove(call)
        if not calls:
            owners.pop(owner, None)

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        for line in str(payload).split("\n"):
            topic, _, rest = line.partition(" ")
            owner, _, detail = rest.partition(" ")
            if line == self._greeting:
                self._was_greeted.set()
            elif line == _EVERYTHING:
                self._look_again()
            elif owner == EVERYBODY:
                for calls in list(self._listeners.get(topic, {}).values()):
                    _call(calls, detail)
            else:
                _call(self._listeners.get(topic, {}).get(owner, ()), detail)

    def _look_again(self) -> None:
        for owners in list(self._listeners.values()):
            for calls in list(owners.values()):
                _call(calls, None)

    async def _run(self) -> None:
        pause = RECONNECT_SECONDS[0]
        while True:
            try:
                connection = await connect_to(
                    self._dsn,
                    statement_cache_size=0,
                    seconds=ANSWER_TIMEOUT_SECONDS,
                    application_name="aclue changes",
                )
                try:
                    await self._greet(connection)
                    pause = RECONNECT_SECONDS[0]
                    self._look_again()
                    await self._speak(connection)
                finally:
                    self._was_greeted.clear()
                    connection.terminate()
            except _FAILURES as error:
                log.warning("changes of other processes are not heard now", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  so that processes do not come all at once
            pause = min(2 * pause, RECONNECT_SECONDS[1])

    async def _greet(self, connection: asyncpg.Connection[Any]) -> None:
        """Listens, and hears itself: a pooler takes LISTEN, but lends the connection to somebody else afterwards."""
        self._greeting = f"hello {secrets.token_hex(8)}"
        connection.add_termination_listener(lambda _: self._has_some.set())
        await connection.add_listener(CHANNEL, self._hear)
        await _say(connection, self._greeting)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                await self._was_greeted.wait()
        except TimeoutError:
            raise TimeoutError("notifications do not arrive; through a pooler LISTEN_DATABASE_URL is needed") from None

    async def _speak(self, connection: asyncpg.Connection[Any]) -> None:
        """Says what is noted, until the connection is lost."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._has_some.wait()
            self._has_some.clear()
            lines, self._waiting = self._waiting, {}
            try:
                for payload in _payloads(lines):
                    await _say(connection, payload)
            except BaseException:
                self._waiting = {**lines, **self._waiting}
                raise
            if not self._waiting:
                self._is_said.set()
            await asyncio.sleep(BATCH_INTERVAL_SECONDS)


async def _say(connection: asyncpg.Connection[Any], payload: str) -> None:
    await connection.execute("select pg_catalog.pg_notify($1, $2)", CHANNEL, payload, timeout=ANSWER_TIMEOUT_SECONDS)


def _call(calls: Iterable[Listener], detail: str | None) -> None:
    for call in list(calls):
        call(detail)


def _payloads(lines: Iterable[str]) -> Iterator[str]:
    """The lines in as few notifications as hold them; an empty one for nothing: does it arrive?"""
    batch: list[str] = []
    length = 0
    for line in lines:
        if length + len(line) > MAX_PAYLOAD:
            yield "\n".join(batch)
            batch, length = [], 0
        batch.append(line)
        length += len(line) + 1
    yield "\n".join(batch)
