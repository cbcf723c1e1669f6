"""The queue of background jobs on a real database: docs/jobs.md."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg
from croniter import croniter
from pgqueuer.domain.schema.declaration import target

from db.claims import SERVICE
from services import jobs
from services.jobs import Job
from services.queue import NAMES
from services.services import Services
from settings import Settings
from tests.conftest import Shop

Connection: TypeAlias = "asyncpg.Connection[Any]"


def never(settings: Settings) -> str:
    return ""


@dataclass
class Counted:
    """A job that counts its runs."""

    runs: int = 0
    fails: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, services: Services) -> int:
        self.runs += 1
        if self.fails:
            raise ValueError("anna@people.example")
        return 1

    async def wait(self, services: Services) -> int:
        self.runs += 1
        await self.gate.wait()
        return 1


@contextlib.asynccontextmanager
async def working(shop: Shop, *found: Job) -> AsyncIterator[asyncio.Event]:
    """A process that runs these jobs during the block."""
    assert shop.dsns.worker
    stopping = asyncio.Event()
    async with jobs.connected(shop.services, shop.dsns.worker) as services:
        task = asyncio.create_task(jobs.work(services, found, stopping))
        try:
            yield stopping
        finally:
            stopping.set()
            await asyncio.wait_for(task, 10)


async def until(condition: Callable[[], Awaitable[Any] | Any], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.02)


async def enqueue(owner: Connection, name: str) -> None:
    await owner.execute("select private.enqueue_job($1)", name)


async def state(owner: Connection, name: str) -> list[str]:
    return [r[0] for r in await owner.fetch("select status::text from jobs.pgqueuer where entrypoint = $1", name)]


async def test_a_job_that_is_queued_runs_at_once_and_is_gone(shop: Shop) -> None:
    counted = Counted()
    async with working(shop, Job("counted", never, counted.run, is_first_at_start=False)):
        await asyncio.sleep(0.5)
        assert counted.runs == 0
        await enqueue(shop.owner, "counted")
        await until(lambda: counted.runs, 2)
        await until(lambda: nothing_of(shop.owner, "counted"))
    assert counted.runs == 1


async def test_several_processes_run_each_job_once(shop: Shop) -> None:
    """Once per second by schedule, and each request once."""
    first, second = Counted(), Counted()
    async with (
        working(shop, Job("counted", lambda _: "* * * * * */2", first.run, is_first_at_start=False)),
        working(shop, Job("counted", lambda _: "* * * * * */2", second.run, is_first_at_start=False)),
    ):
        await until(lambda: first.runs + second.runs >= 3)
    rows = await shop.owner.fetch("select created from jobs.pgqueuer_log where status = 'successful' order by id")
    gaps = [(b["created"] - a["created"]).total_seconds() for a, b in itertools.pairwise(rows)]
    assert len(rows) == first.runs + second.runs
    assert min(gaps) > 1, "two runs of one tick"


async def test_a_run_does_the_work_of_all_that_wait(shop: Shop) -> None:
    counted = Counted()
    for _ in range(5):
        await enqueue(shop.owner, "counted")
    async with working(shop, Job("counted", never, counted.run, is_first_at_start=False)):
        await until(lambda: counted.runs)
        await until(lambda: nothing_of(shop.owner, "counted"))
    assert counted.runs == 1


async def nothing_of(owner: Connection, name: str) -> bool:
    return await state(owner, name) == []


async def test_what_is_queued_during_a_run_runs_after_it(shop: Shop) -> None:
    counted = Counted()
    async with working(shop, Job("counted", never, counted.wait)):
        await until(lambda: counted.runs == 1)
        await enqueue(shop.owner, "counted")
        await asyncio.sleep(0.3)
        assert counted.runs == 1, "one at a time"
        counted.gate.set()
        await until(lambda: counted.runs == 2)


async def test_a_failure_is_held_and_says_nothing_of_people_until_a_run_succeeds(shop: Shop) -> None:
    counted = Counted(fails=True)
    async with working(shop, Job("counted", never, counted.run)):
        await until(lambda: is_held(shop.owner, "counted"))
        await enqueue(shop.owner, "counted")
        await until(lambda: counted.runs == 2)
        await until(lambda: is_held(shop.owner, "counted"))
        async with shop.services.database.session(SERVICE, read_only=True) as session:
            assert (await session.fetchrow("jobs.counts"))["failed"] == 1, "the newer failure replaces the older"
        assert [c.failed for c in await jobs.counts(shop.services.database)] == [1]
        texts = await shop.owner.fetch("select traceback::text from jobs.pgqueuer_log where traceback is not null")
        assert len(texts) == 2
        assert all("ValueError" in r[0] and "anna" not in r[0] for r in texts)
        counted.fails = False
        await enqueue(shop.owner, "counted")
        await until(lambda: nothing_of(shop.owner, "counted"))


async def is_held(owner: Connection, name: str) -> bool:
    return await state(owner, name) == ["failed"]


async def test_a_job_that_runs_seldom_is_tried_again_before_it_is_held(shop: Shop) -> None:
    counted = Counted(fails=True)
    async with working(shop, Job("counted", never, counted.run, retry_seconds=(0.2, 0.4))):
        await until(lambda: is_held(shop.owner, "counted"))
    assert counted.runs == 3


async def test_a_job_that_is_cut_off_by_a_stop_is_queued_again(shop: Shop) -> None:
    counted = Counted()
    async with working(shop, Job("counted", never, counted.wait)):
        await until(lambda: counted.runs)
    assert await state(shop.owner, "counted") == ["queued"]
    counted.gate.set()
    async with working(shop, Job("counted", never, counted.wait, is_first_at_start=False)):
        await until(lambda: nothing_of(shop.owner, "counted"))
    assert counted.runs == 2


async def test_a_job_is_queued_by_the_transaction_that_causes_it(shop: Shop) -> None:
    mail = "insert into private.reset_requests (canonical_email, spellings, expires_at) values ($1, $2, now() + '1h')"
    with contextlib.suppress(ZeroDivisionError):
        async with shop.owner.transaction():
            await shop.owner.execute(mail, "a@b.example", ["a@b.example"])
            assert await state(shop.owner, "deliver_mails") == ["queued"]
            raise ZeroDivisionError
    assert await state(shop.owner, "deliver_mails") == []
    await shop.owner.execute(mail, "a@b.example", ["a@b.example"])
    assert await state(shop.owner, "deliver_mails") == ["queued"]


async def test_a_retry_is_queued_for_its_time(shop: Shop) -> None:
    person = await shop.owner.fetchval("insert into public.profiles (is_anonymous) values (true) returning id")
    mail = await shop.owner.fetchval(
        "insert into private.outbox (user_id, recipient, template, expires_at)"
        " values ($1, 'a@b.example', 'password_changed', now() + '1h') returning id",
        person,
    )
    await shop.owner.execute("delete from jobs.pgqueuer")
    await shop.owner.execute("select private.take_mail('10 minutes')")
    assert await state(shop.owner, "deliver_mails") == [], "it is being sent"
    await shop.owner.execute("select private.finish_mail($1, 'refused', '30 seconds')", mail)
    wait = await shop.owner.fetchval("select execute_after - now() from jobs.pgqueuer")
    assert 29 < wait.total_seconds() <= 30


async def test_the_queue_survives_a_lost_connection(shop: Shop, superuser: Connection) -> None:
    counted = Counted()
    async with working(shop, Job("counted", never, counted.run, is_first_at_start=False)):
        await enqueue(shop.owner, "counted")
        await until(lambda: counted.runs == 1)
        await superuser.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename in ('aclue_worker', 'aclue_api')"
            " and datname = current_database()"
        )
        await enqueue(shop.owner, "counted")
        await until(lambda: counted.runs == 2)


async def test_without_notifications_the_queue_is_polled(shop: Shop) -> None:
    await shop.services.database.changes.stop()
    counted = Counted()
    async with working(shop, Job("counted", never, counted.run, is_first_at_start=False)):
        await asyncio.sleep(0.5)
        await enqueue(shop.owner, "counted")
        await until(lambda: counted.runs == 1, 4)


async def test_draining_ends_once_nothing_is_due(shop: Shop) -> None:
    counted = Counted()
    await enqueue(shop.owner, "counted")
    await shop.owner.execute("select private.enqueue_job('counted', '1 hour')")
    assert shop.dsns.worker
    async with jobs.connected(shop.services, shop.dsns.worker) as services:
        job = Job("counted", lambda _: "* * * * * *", counted.run)
        await asyncio.wait_for(jobs.drain(services, [job], asyncio.Event()), 10)
    assert counted.runs == 1
    assert await state(shop.owner, "counted") == ["queued"], "it is not due yet"


async def test_schedules_of_jobs_that_are_gone_are_forgotten(shop: Shop) -> None:
    """Not at once: another process may have other settings, and still queue by them."""
    counted = Counted()

    async def schedules() -> list[str]:
        rows = await shop.owner.fetch("select entrypoint from jobs.pgqueuer_schedules order by 1")
        return [row[0] for row in rows]

    for name in ("old", "other"):
        async with working(shop, Job(name, lambda _: "0 0 * * *", counted.run, is_first_at_start=False)):
            await until(lambda: has_schedule(shop.owner, name))  # noqa: B023  called at once
    assert await schedules() == ["old", "other"]
    await shop.owner.execute(
        "update jobs.pgqueuer_schedules set next_run = now() - interval '3 days' where entrypoint = 'old'"
    )
    async with working(shop, Job("new", lambda _: "0 0 * * *", counted.run, is_first_at_start=False)):
        await until(lambda: has_schedule(shop.owner, "new"))
    assert await schedules() == ["new", "other"]


async def has_schedule(owner: Connection, name: str) -> bool:
    found: bool = await owner.fetchval(
        "select exists (select from jobs.pgqueuer_schedules where entrypoint = $1)", name
    )
    return found


async def test_our_tables_have_the_columns_that_the_library_expects(owner: Connection) -> None:
    for table in target(NAMES).tables:
        if table.name == NAMES.statistics_table:
            continue
        rows = await owner.fetch(
            "select attname, format_type(atttypid, atttypmod) as type, attnotnull from pg_attribute"
            " where attrelid = to_regclass($1) and attnum > 0",
            f"jobs.{table.name}",
        )
        found = {r["attname"]: (r["type"].removeprefix("jobs."), r["attnotnull"]) for r in rows}
        assert found == {c.name: (c.type, c.not_null or c.primary_key) for c in table.columns}


async def test_the_registry_names_each_job_once_and_every_schedule_is_valid(settings: Settings) -> None:
    names = [job.name for job in jobs.JOBS]
    assert len(set(names)) == len(names)
    for job in jobs.JOBS:
        expression = job.schedule(settings)
        assert not expression or croniter.is_valid(expression)
