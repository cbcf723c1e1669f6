"""Background jobs: the process that runs them, and their queue. docs/jobs.md"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import asyncpg
import msgspec
import typer
from rich.console import Console
from rich.table import Table

from commands.terminal import databases, fail, load_settings, secret_of
from domain.errors import AclueError

if TYPE_CHECKING:
    from db.embedded import Dsns
    from db.session import Session
    from services.services import Services
    from settings import Settings

Name = Annotated[str, typer.Argument(help="Of the job; all by default.")]


def work() -> None:
    """Runs jobs until the process is stopped."""
    settings = load_settings()
    with contextlib.suppress(KeyboardInterrupt), databases(settings) as dsns:
        _run(_work(settings, dsns, secret_of(settings), is_drain=False))


def drain() -> None:
    """Run the jobs that are queued and due, and end once none is left."""
    settings = load_settings()
    with databases(settings) as dsns:
        _run(_work(settings, dsns, secret_of(settings), is_drain=True))


def _run(work: object) -> None:
    try:
        asyncio.run(work)  # type: ignore[arg-type]
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        fail(f"{_variable()}: cannot connect: {error or type(error).__name__}")


def _variable() -> str:
    return "WORKER_DATABASE_URL" if load_settings().worker_database_url else "DATABASE_URL"


async def _work(settings: Settings, dsns: Dsns, secret: str, *, is_drain: bool) -> None:
    from services import jobs

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with _services(settings, dsns, secret) as services:
        if is_drain:
            await jobs.drain(services, jobs.JOBS, stopping)
            return
        async with _metrics(settings, services):
            print("Jobs run here. Ctrl-C stops them.", flush=True)
            await jobs.work(services, jobs.JOBS, stopping)


@contextlib.asynccontextmanager
async def _metrics(settings: Settings, services: Services) -> AsyncIterator[None]:
    """Serves METRICS_PORT during the block, if it is set; no other process may listen there."""
    if not settings.metrics_port:
        yield
        return
    from transports import metrics

    services.metrics.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(services.metrics.stop)
        try:
            await stack.enter_async_context(
                metrics.served(msgspec.structs.replace(settings, workers=1), lambda: services)
            )
        except OSError as error:
            fail(f"METRICS_PORT: cannot listen at {settings.metrics_host}:{settings.metrics_port}: {error.strerror}")
        yield


@contextlib.asynccontextmanager
async def _services(settings: Settings, dsns: Dsns, secret: str) -> AsyncIterator[Services]:
    from services import jobs
    from services.services import Services

    async with jobs.database(settings, dsns.worker or dsns.api) as database:
        database.changes.start()
        services = Services.make(settings, database, secret)
        services.system_log.start()
        try:
            yield services
        finally:
            await services.system_log.stop()
            await services.rate_limits.close()
            await database.changes.stop()


@contextlib.asynccontextmanager
async def _session(settings: Settings, dsns: Dsns) -> AsyncIterator[Session]:
    from db.claims import WORKER
    from services import jobs

    async with (
        jobs.database(settings, dsns.worker or dsns.api) as database,
        database.session(WORKER, read_only=False) as session,
    ):
        yield session


def list_jobs() -> None:
    """List all jobs: when they ran and run next, how many wait, and why some are held as failed."""
    settings = load_settings()
    with databases(settings) as dsns:
        table = asyncio.run(_list(settings, dsns))
    Console(width=160 if not Console().is_terminal else None).print(table)


async def _list(settings: Settings, dsns: Dsns) -> Table:
    from services.jobs import JOBS

    async with _session(settings, dsns) as session:
        counts = {row["name"]: row for row in await session.fetch("jobs.counts")}
        schedules = {row["name"]: row for row in await session.fetch("jobs.schedules")}
        failed = {row["name"]: row for row in await session.fetch("jobs.failed")}
    table = Table(box=None, pad_edge=False)
    for title in ("job", "last success", "next run", "waiting", "running", "failed"):
        table.add_column(title)
    for name in dict.fromkeys([*(job.name for job in JOBS), *counts]):
        schedule, count = schedules.get(name), counts.get(name)
        failure = failed.get(name)
        table.add_row(
            name,
            f"{schedule['last_success']:%Y-%m-%d %H:%M:%S}" if schedule and schedule["last_success"] else "",
            f"{schedule['next_run']:%Y-%m-%d %H:%M:%S}" if schedule else "",
            f"{count['queued']}" if count and count["queued"] else "",
            "yes" if count and count["running"] else "",
            f"{failure['failed_at']:%Y-%m-%d %H:%M:%S}: {failure['reason']}" if failure else "",
        )
    return table


def retry(name: Name = "") -> None:
    """Queue jobs again that are held as failed."""
    from services.jobs import JOBS

    if name and name not in {job.name for job in JOBS}:
        fail(f"there is no job {name}; `aclue jobs list` lists them")
    settings = load_settings()
    with databases(settings) as dsns:
        try:
            names = asyncio.run(_retry(settings, dsns, name or None))
        except AclueError as error:
            fail(str(error))
    print("\n".join(f"queued {each}" for each in names) or "none had failed")


async def _retry(settings: Settings, dsns: Dsns, name: str | None) -> list[str]:
    async with _session(settings, dsns) as session:
        return [row["name"] for row in await session.fetch("jobs.retry", name=name)]
