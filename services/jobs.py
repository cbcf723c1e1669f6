"""Background jobs: their registry, when they run, and the work of a process that runs them. docs/jobs.md

Each job commits on its own, so that none holds locks while another runs, and a failure stops no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import asyncpg
import msgspec
import structlog

from db import metrics, tracing
from db.changes import Changes
from db.claims import SERVICE, WORKER
from db.database import Database
from domain.schedules import DAILY, every
from services import (
    alerts,
    conversion_flags,
    housekeeping,
    import_sources,
    link_checks,
    network_pulls,
    outbox,
    postbacks,
    rollups,
    scheduled_backups,
    training_runs,
)
from services.services import Services
from settings import Settings, SettingsError

if TYPE_CHECKING:
    from services.queue import Queue

MINUTE = every(60)
LONG_RETRIES = (60.0, 600.0, 3600.0)
MAX_CONNECTIONS = 10  # of the jobs of a process; more than run at once, as the queue itself needs some
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0  # before a queue that failed starts again

log = structlog.get_logger("aclue.jobs")


@dataclass(frozen=True, slots=True)
class Job:
    """`run` does what is due and returns how much that was. It is idempotent: it runs again if its process dies, and
    rarely in two processes at once. `schedule`: the cron expression by which it runs, "" for never; jobs that follow
    from a write are queued by triggers as well (sql/functions/jobs.sql). `is_noted`: runs that did something are
    recorded in the system log. `retry_seconds`: before each further attempt after a failure; only for jobs that do not
    run again soon. `is_first_at_start`: it also runs whenever a process starts."""

    name: str
    schedule: Callable[[Settings], str]
    run: Callable[[Services], Awaitable[int]]
    is_noted: bool = True
    retry_seconds: Sequence[float] = ()
    is_first_at_start: bool = True


@dataclass(frozen=True, slots=True)
class JobCount:
    """How often a job is queued and due, running, and held as failed; for how long the oldest due one has waited."""

    name: str
    queued: int
    running: int
    failed: int
    oldest_seconds: float


def _minutely(settings: Settings) -> str:
    return MINUTE


def _daily(settings: Settings) -> str:
    return DAILY


def _with_the_model(settings: Settings) -> str:
    return every(settings.model_refresh_interval)


def _mail_interval(settings: Settings) -> str:
    return every(settings.mail_interval)


JOBS = (
    Job("set_default_currency", _with_the_model, housekeeping.set_default_currency),
    Job("apply_sales", _minutely, housekeeping.apply_sales),
    Job("ensure_partitions", _with_the_model, housekeeping.ensure_partitions),
    Job("check_default_partitions", _with_the_model, housekeeping.check_default_partitions),
    Job("check_experiments", _with_the_model, housekeeping.check_experiments),
    Job("purge_keys", _with_the_model, housekeeping.purge_keys),
    Job("purge_mails", _with_the_model, housekeeping.purge_mails),
    Job("purge_postbacks", _with_the_model, housekeeping.purge_postbacks),
    Job("purge_job_log", _with_the_model, housekeeping.purge_job_log, is_noted=False),
    Job("purge_expired", _daily, housekeeping.purge_expired, retry_seconds=LONG_RETRIES, is_first_at_start=False),
    Job("raise_alerts", _with_the_model, alerts.update, is_noted=False),
    Job("flag_sales", _with_the_model, conversion_flags.update_recent, is_noted=False),
    Job("refresh_model", _with_the_model, housekeeping.refresh_model),
    Job("train_model", _with_the_model, training_runs.train_if_due),
    Job("update_personalities", _with_the_model, housekeeping.update_personalities),
    Job("import_sources", _minutely, import_sources.run_due),
    Job("pull_networks", _minutely, network_pulls.run_due),
    Job("check_links", _minutely, link_checks.run, is_noted=False),
    Job("process_postbacks", _minutely, postbacks.process_due, is_noted=False),
    Job("refresh_rollups", _minutely, rollups.refresh, is_noted=False),
    Job("deliver_mails", _mail_interval, outbox.deliver_due, is_noted=False),
    Job(
        "take_backup",
        scheduled_backups.schedule,
        scheduled_backups.take,
        retry_seconds=LONG_RETRIES,
        is_first_at_start=False,
    ),
)


async def run_all(services: Services, jobs: Sequence[Job] = JOBS) -> None:
    """Runs each of the jobs once, apart from the queue."""
    for job in jobs:
        with contextlib.suppress(Exception):
            await run(services, job)


async def run(services: Services, job: Job) -> None:
    """Runs a job. Failures, which are raised, and runs that did something are recorded in the system log."""
    started = time.perf_counter()
    failed, ended = (metrics.JOB_RUNS.labels(job.name, outcome) for outcome in ("failed", "done"))
    metrics.JOBS_RUNNING.labels(job.name).inc()
    try:
        with tracing.current.span(f"job {job.name}") if tracing.current else contextlib.nullcontext():
            done = await job.run(services)
    except Exception as error:
        log.exception("job failed", job=job.name)
        failed.inc()
        services.system_log.note("error", "jobs", "a job failed", job=job.name, exception=type(error).__name__)
        raise
    else:
        ended.inc()
        metrics.JOB_SUCCESS.labels(job.name).set_to_current_time()
        if done and job.is_noted:
            services.system_log.note("info", "jobs", "a job was done", job=job.name, count=done)
    finally:
        metrics.JOBS_RUNNING.labels(job.name).dec()
        metrics.JOB_SECONDS.labels(job.name).inc(time.perf_counter() - started)


async def counts(reader: Database) -> list[JobCount]:
    """The state of the queue, by the name of the job; those of which nothing is stored are left out. Any server's
    log-in may read it."""
    async with reader.session(SERVICE, read_only=True) as session:
        return [JobCount(**row) for row in await session.fetch("jobs.counts")]


@contextlib.asynccontextmanager
async def database(settings: Settings, dsn: str, changes: Changes | None = None) -> AsyncIterator[Database]:
    """Connections for jobs. `dsn`: of a log-in that may become job_worker and service_role; `changes`: of the process,
    if it has another log-in. Raises OSError, asyncpg.PostgresError, or SettingsError if it may not."""
    few = msgspec.structs.replace(settings, database_pool_size=MAX_CONNECTIONS, database_max_overflow=0)
    opened = await Database.connect(dsn, few, changes)
    try:
        try:
            async with opened.session(WORKER, read_only=True) as session:
                await session.fetch("jobs.counts")
        except asyncpg.InsufficientPrivilegeError:
            name = unquote(urlsplit(dsn).username or "this log-in")
            raise SettingsError(
                f"WORKER_DATABASE_URL: {name} may not run jobs; name the log-in that `aclue migrate` was given for "
                "them, or set JOBS=off"
            ) from None
        yield opened
    finally:
        await opened.close()


@contextlib.asynccontextmanager
async def connected(services: Services, dsn: str) -> AsyncIterator[Services]:
    """The services with connections of the jobs' own, so that they and requests never wait for each other's: see
    `database`."""
    async with database(services.settings, dsn, services.database.changes) as own:
        yield dataclasses.replace(services, database=own)


async def work(services: Services, jobs: Sequence[Job], stopping: asyncio.Event) -> None:
    """Runs jobs of the queue, and queues those that are due, until `stopping`; then it returns soon, and what it was at
    is queued again. The services are those of `connected`."""
    pause = FIRST_PAUSE_SECONDS
    while not stopping.is_set():
        try:
            await _queue(services, jobs, stopping).run()
        except* Exception as errors:
            log.exception("the queue of jobs failed, and starts again", exc_info=errors)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def drain(services: Services, jobs: Sequence[Job], stopping: asyncio.Event) -> None:
    """Runs what is queued and due, by no schedule, until nothing of it is left."""
    running = asyncio.create_task(_queue(services, jobs, stopping).run(is_scheduled=False))
    names = {job.name for job in jobs}
    while not running.done() and not stopping.is_set():
        await asyncio.wait({running}, timeout=0.3)
        if not any(c.queued or c.running for c in await counts(services.database) if c.name in names):
            stopping.set()
    await running


def _queue(services: Services, jobs: Sequence[Job], stopping: asyncio.Event) -> Queue:
    from services.queue import Entry, Queue  # its library takes 17 MB, which a process without jobs spares

    entries = [
        Entry(
            job.name,
            job.schedule(services.settings),
            lambda job=job: run(services, job),  # type: ignore[misc]
            job.retry_seconds,
            job.is_first_at_start,
        )
        for job in jobs
    ]
    return Queue(services.database, entries, stopping)
