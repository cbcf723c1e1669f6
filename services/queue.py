"""The queue of background jobs: PgQueuer, on sessions of our pool. docs/decisions/0018-jobs.md

PgQueuer takes jobs from the queue, sees that each runs in one process at a time, and takes over those of a process that
died. What runs is a name: a run does all that is due.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import structlog
from pgqueuer.adapters.persistence import qb
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.core.sm import SchedulerManager
from pgqueuer.core.tm import TaskManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job as QueuedJob
from pgqueuer.domain.models import Schedule
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel
from pgqueuer.ports.driver import NotifyCallback

from db.changes import EVERYBODY
from db.claims import WORKER
from db.database import Database
from domain.errors import TryAgain

log = structlog.get_logger("aclue.jobs")

TOPIC = "jobs"  # of db/changes.py; private.tell_jobs() notifies
MAX_AT_ONCE = 8  # jobs of one process
BATCH = 4
HEARTBEAT_TIMEOUT = timedelta(seconds=20)  # after which the job of a process that died is taken over
POLL_INTERVAL = timedelta(seconds=20)
DEAF_POLL_SECONDS = 2.0  # where notifications do not arrive
RECONNECT_SECONDS = 1.0
# All names are given: PgQueuer would read missing ones from environment variables such as CHANNEL and TRIGGER.
NAMES = DBSettings(
    prefix="",
    db_schema="jobs",
    channel=Channel("aclue_jobs"),
    function="none",
    trigger="none",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    schedules_table="pgqueuer_schedules",
    statistics_table="none",
    queue_status_type="pgqueuer_status",
)


class JobFailed(Exception):
    """What the queue stores of a failure: no text that could name a person."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A job as the queue knows it: its cron expression, if any, and the seconds before each further attempt.
    `is_first_at_start`: it also runs when a process starts, as something may have become due meanwhile."""

    name: str
    expression: str
    run: Callable[[], Awaitable[None]]
    retry_seconds: Sequence[float] = ()
    is_first_at_start: bool = True


class _Driver:
    """PgQueuer's way to the database: each statement is a transaction as job_worker. While the database is unavailable,
    statements wait for it; notifications come from the connection that this process listens on anyway."""

    def __init__(self, database: Database, stopping: asyncio.Event) -> None:
        self._database = database
        self._stopping = stopping
        self._callbacks: list[NotifyCallback] = []
        self._forget = database.changes.listen(TOPIC, EVERYBODY, self._hear)
        self._polling = asyncio.create_task(self._poll())
        self.shutdown = asyncio.Event()
        self.tm = TaskManager()

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        while True:
            try:
                async with self._database.session(WORKER, read_only=False) as session:
                    return [dict(row) for row in await session.run(query, args)]
            except (TryAgain, OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
                if self._stopping.is_set():
                    raise
                log.warning("the queue of jobs waits for the database", error=type(error).__name__)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def execute(self, query: str, *args: object) -> str:
        await self.fetch(query, *args)
        return ""

    async def notify(self, channel: str, payload: str) -> None:
        """PgQueuer's own checks that it hears itself: the connection that listens is checked by db/changes.py."""
        for call in self._callbacks:
            call(payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        self._callbacks.append(callback)

    def _hear(self, _: str | None) -> None:
        event = {"type": "table_changed_event", "operation": "insert", "table": NAMES.queue_table}
        event |= {"channel": NAMES.channel, "sent_at": datetime.now(UTC).isoformat()}
        for call in self._callbacks:
            call(json.dumps(event))

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(DEAF_POLL_SECONDS)
            if not self._database.changes.is_connected:
                self._hear(None)

    def close(self) -> None:
        self._forget()
        self._polling.cancel()

    async def __aenter__(self) -> _Driver:
        return self

    async def __aexit__(self, *_: object) -> None: ...


class _Manager(QueueManager):
    async def verify_structure(self) -> None:
        """Nothing: a server refuses a database that lacks a migration."""


class Queue:
    """Runs jobs of the queue in this process."""

    def __init__(self, database: Database, entries: Sequence[Entry], stopping: asyncio.Event) -> None:
        self._database = database
        self._entries = entries
        self._stopping = stopping

    async def run(self, *, is_scheduled: bool = True) -> None:
        """Runs what is queued, and queues what is due, until `stopping`: then jobs at work are cancelled, and queued
        again. Not `is_scheduled`: only what is queued already."""
        _quiet_library()
        driver = _Driver(self._database, self._stopping)
        queries = Queries(
            driver,
            qb.QueryBuilderEnvironment(NAMES),
            qb.QueryQueueBuilder(NAMES),
            qb.QuerySchedulerBuilder(NAMES),
        )
        manager, scheduler = _Manager(queries, NAMES.channel), SchedulerManager(queries)
        for entry in self._entries:
            manager.entrypoint(entry.name, concurrency_limit=1, on_failure="hold")(self._handler(entry))
            if entry.expression:
                scheduler.schedule(entry.name, entry.expression)(self._enqueuer(entry))
        stopper = asyncio.create_task(self._stop_both(manager, scheduler))
        try:
            async with asyncio.TaskGroup() as group:
                if is_scheduled:
                    await self._tell("forget_schedules", **_keys(scheduler))
                    await self._tell("enqueue_missing", names=[e.name for e in self._entries if e.is_first_at_start])
                    group.create_task(scheduler.run())
                group.create_task(
                    manager.run(
                        POLL_INTERVAL,
                        batch_size=BATCH,
                        max_concurrent_tasks=MAX_AT_ONCE,
                        heartbeat_timeout=HEARTBEAT_TIMEOUT,
                        log_aggregation_interval=timedelta(0),
                    )
                )
        finally:
            stopper.cancel()
            driver.close()

    async def _stop_both(self, manager: QueueManager, scheduler: SchedulerManager) -> None:
        await self._stopping.wait()
        manager.shutdown.set()
        scheduler.shutdown.set()

    async def _tell(self, block: str, **values: Any) -> None:
        async with self._database.session(WORKER, read_only=False) as session:
            await session.fetch(f"jobs.{block}", **values)

    def _enqueuer(self, entry: Entry) -> Callable[[Schedule], Awaitable[None]]:
        async def enqueue(_: Schedule) -> None:
            await self._tell("enqueue_missing", names=[entry.name])

        return enqueue

    def _handler(self, entry: Entry) -> Callable[[QueuedJob], Awaitable[None]]:
        async def handle(job: QueuedJob) -> None:
            await self._tell("begin", name=entry.name, id=job.id)
            failure = await self._run_or_stop(entry)
            if failure is None:
                return
            said = type(failure).__name__
            if job.attempts < len(entry.retry_seconds):
                raise RetryRequested(timedelta(seconds=entry.retry_seconds[job.attempts]), said)
            raise JobFailed(said)

        return handle

    async def _run_or_stop(self, entry: Entry) -> Exception | None:
        """Why the job failed; None if it did not. Raises RetryRequested if it was cut off by `stop`."""
        work, stop = asyncio.ensure_future(entry.run()), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        if work.cancelled():
            raise RetryRequested(timedelta(0), "stopped")
        failure = work.exception()
        if failure is not None and not isinstance(failure, Exception):
            raise failure
        return failure


def _keys(scheduler: SchedulerManager) -> dict[str, list[str]]:
    return {
        "names": [key.entrypoint for key in scheduler.registry],
        "expressions": [key.expression for key in scheduler.registry],
    }


class _ToOurLog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        log.warning("the queue of jobs", says=record.msg, exception=kind.__name__ if kind else None)


def _quiet_library() -> None:
    """Failures of jobs are logged where they happen; of the library itself, warnings go to our log."""
    logger = logging.getLogger("pgqueuer")
    if not any(isinstance(handler, _ToOurLog) for handler in logger.handlers):
        logger.addHandler(_ToOurLog(logging.WARNING))
        logger.addFilter(lambda record: not str(record.msg).startswith("Exception while processing"))
        logger.propagate = False
