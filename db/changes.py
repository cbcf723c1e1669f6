"""Notifies all processes of changes (LISTEN, NOTIFY), over one connection per process.

A line of a notification is `topic owner`, or `topic owner detail`: ids, never values. Receivers read the change under
the claims of the person it is for.

Changes that are rare and must not be missed are notified by triggers, in their own transaction
(sql/functions/changes.sql). Frequent ones, such as swipes, are notified here after their transaction, many in one
notification: transactions with a NOTIFY commit one after the other, which took 16 writers from 4,500 commits a second
to 900.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias

import asyncpg
import structlog

from db.dsn import connect as connect_to
from db.failures import LOST

log = structlog.get_logger("aclue.changes")

CHANNEL = "aclue_changes"
EVERYBODY = "*"
BATCH_INTERVAL_SECONDS = 0.1
HEARTBEAT_SECONDS = 20.0  # after which an idle connection is checked
ANSWER_TIMEOUT_SECONDS = 5.0
GREETING_TIMEOUT_SECONDS = 5.0  # for a notification that was sent to arrive
RECONNECT_SECONDS = (0.2, 4.0)  # before reconnecting: initial and maximum
MAX_WAITING = 10_000  # lines; beyond that they become a single one, which makes all listeners look again
MAX_PAYLOAD_BYTES = 7_900  # Postgres' limit is a little below 8,000
GREETING_TOPIC = "hello"  # what a process says to all when it begins to listen, with a detail that is unique
_EVERYTHING = f"{EVERYBODY} {EVERYBODY}"
_FAILURES = (*LOST, asyncpg.PostgresError)

Listener: TypeAlias = Callable[[str | None], None]
"""Called with the detail of a change ("" without one), or with None if changes may have been missed."""


class Changes:
    """Sends and receives the notifications of this process. Before `start` and after `stop` it sends nothing.

    `heard_until` (`time.monotonic()`): what was committed before then, and notified by its transaction, has been heard;
    minus infinity while nothing is heard. An idle connection is checked every `heartbeat_seconds`."""

    def __init__(self, dsn: str) -> None:
        self.heard_until = float("-inf")
        self.heartbeat_seconds = HEARTBEAT_SECONDS
        self._dsn = dsn
        self._listeners: dict[str, dict[str, list[Listener]]] = {}
        self._followers: dict[str, list[Listener]] = {}  # by topic, whoever the owner is
        self._waiting: dict[str, None] = {}
        self._has_some = asyncio.Event()
        self._greeting = ""
        self._was_greeted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_said = asyncio.Event()
        self._is_said.set()

    def start(self) -> None:
        """Connects in the background, and reconnects whenever the connection is lost."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Sends what is left, for as long as a statement may take."""
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
        """Whether notifications are being received."""
        return self._was_greeted.is_set()

    def note(self, topic: str, owner: str, detail: str = "") -> None:
        """Queues a notification to all processes, including this one. Never blocks and never fails."""
        if self._task is None:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._waiting = {_EVERYTHING: None}
        self._waiting[f"{topic} {owner} {detail}".rstrip()] = None
        self._is_said.clear()
        self._has_some.set()

    def listen(self, topic: str, owner: str, call: Listener) -> Callable[[], None]:
        """Registers a callback for changes of this topic for this owner, or for everybody; returns a function that
        removes it. `call` must neither block nor fail."""
        self._listeners.setdefault(topic, {}).setdefault(owner, []).append(call)
        return partial(self._forget, topic, owner, call)

    def follow(self, topic: str, call: Listener) -> Callable[[], None]:
        """As `listen`, for the process itself: changes of this topic for everybody."""
        calls = self._followers.setdefault(topic, [])
        calls.append(call)
        return partial(calls.remove, call)

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
            if line == _EVERYTHING:
                self._look_again()
            elif owner == EVERYBODY:
                _call(self._followers.get(topic, ()), detail)
                for calls in list(self._listeners.get(topic, {}).values()):
                    _call(calls, detail)
            else:
                _call(self._listeners.get(topic, {}).get(owner, ()), detail)

    def _look_again(self) -> None:
        for owners in list(self._listeners.values()):
            for calls in list(owners.values()):
                _call(calls, None)
        for calls in list(self._followers.values()):
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
                    self.heard_until = float("-inf")
                    self._was_greeted.clear()
                    connection.terminate()
            except _FAILURES as error:
                log.warning("changes of other processes are not heard now", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  jitter
            pause = min(2 * pause, RECONNECT_SECONDS[1])

    async def _greet(self, connection: asyncpg.Connection[Any]) -> None:
        """Listens, and checks that it receives its own notification: a pooler accepts LISTEN, but then hands the
        connection to another client."""
        self._greeting = f"{GREETING_TOPIC} {EVERYBODY} {secrets.token_hex(8)}"
        connection.add_termination_listener(lambda _: self._has_some.set())
        await connection.add_listener(CHANNEL, self._hear)
        await _say(connection, self._greeting)
        try:
            async with asyncio.timeout(GREETING_TIMEOUT_SECONDS):
                await self._was_greeted.wait()
        except TimeoutError:
            raise TimeoutError("notifications do not arrive; through a pooler LISTEN_DATABASE_URL is needed") from None

    async def _speak(self, connection: asyncpg.Connection[Any]) -> None:
        """Sends what is queued, until the connection is lost."""
        while True:
            self._has_some.clear()
            lines, self._waiting = self._waiting, {}
            asked_at = time.monotonic()
            try:
                for payload in _payloads(lines):
                    await _say(connection, payload)
                if not lines:
                    await connection.execute("select", timeout=ANSWER_TIMEOUT_SECONDS)
                # Postgres sends the notifications that a connection has to hear before it answers its statement.
                self.heard_until = asked_at
            except BaseException:
                self._waiting = {**lines, **self._waiting}
                raise
            if not self._waiting:
                self._is_said.set()
            await asyncio.sleep(BATCH_INTERVAL_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.heartbeat_seconds):
                    await self._has_some.wait()


async def _say(connection: asyncpg.Connection[Any], payload: str) -> None:
    await connection.execute("select pg_catalog.pg_notify($1, $2)", CHANNEL, payload, timeout=ANSWER_TIMEOUT_SECONDS)


def _call(calls: Iterable[Listener], detail: str | None) -> None:
    for call in list(calls):
        call(detail)


def _payloads(lines: Iterable[str]) -> Iterator[str]:
    """Packs the lines into as few notifications as possible."""
    batch: list[str] = []
    length = 0
    for line in lines:
        if length + len(line) > MAX_PAYLOAD_BYTES:
            yield "\n".join(batch)
            batch, length = [], 0
        batch.append(line)
        length += len(line) + 1
    if batch:
        yield "\n".join(batch)
