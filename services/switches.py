"""Fallback switches, as this process knows them. docs/switches.md

They are read when the process starts and when a notification says that one has changed; while notifications do not
arrive, once a second. If they cannot be read, they stay as they are known.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import asyncpg
import structlog

from db import metrics
from db.claims import SERVICE
from db.database import Database
from db.session import Session
from domain.switches import Switch

TOPIC = "switches"
READ_INTERVAL_SECONDS = 1.0
READ_TIMEOUT_SECONDS = 5.0

log = structlog.get_logger("aclue.services")


async def off(database: Database) -> frozenset[Switch]:
    """Those that are off, read from the database."""
    async with database.session(SERVICE, read_only=True, may_lag=True) as session:
        rows = await session.fetch("switches.off")
    known = {switch.value for switch in Switch}  # a later release may have more
    return frozenset(Switch(row["name"]) for row in rows if row["name"] in known)


async def require(session: Session, switch: Switch) -> None:
    """Raises SwitchedOff unless it is on, read from the database."""
    if switch.value in {row["name"] for row in await session.fetch("switches.off")}:
        raise switch.refusal()


async def set_switch(session: Session, switch: Switch, *, is_on: bool, reason: str | None) -> asyncpg.Record:
    """As service_role: switches it; returns its row. A reason goes with off only."""
    row = await session.fetchrow(
        "switches.set", name=switch.value, is_on=is_on, reason=None if is_on else (reason or None)
    )
    assert row is not None
    return row


class Switches:
    """All are on before `start`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._off: frozenset[Switch] = frozenset()
        self._listeners: list[Callable[[], None]] = []
        self._is_due = asyncio.Event()
        self._forget: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads them, and again whenever that is due."""
        self._forget = self._database.changes.follow(TOPIC, lambda _: self._is_due.set())
        await self._read()
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stops following changes."""
        if self._forget is not None:
            self._forget()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def is_on(self, switch: Switch) -> bool:
        """As it is known."""
        return switch not in self._off

    def require(self, switch: Switch) -> None:
        """Raises SwitchedOff unless it is on."""
        if switch in self._off:
            raise switch.refusal()

    def listen(self, call: Callable[[], None]) -> Callable[[], None]:
        """Registers a callback for changes of any switch; returns a function that removes it."""
        self._listeners.append(call)

        def forget() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(call)

        return forget

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(READ_INTERVAL_SECONDS)  # however often one is changed
            if self._is_due.is_set() or not self._database.changes.is_connected:
                self._is_due.clear()
                await self._read()

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_SECONDS):
                known = await off(self._database)
        except Exception as error:
            log.warning("switches cannot be read: they stay as they are known", error=type(error).__name__)
            return
        for switch in Switch:
            metrics.SWITCH_ON.labels(switch.value).set(switch not in known)
        if known != self._off:
            log.warning("switches have changed", off=sorted(switch.value for switch in known))
            self._off = known
            for call in list(self._listeners):
                call()
