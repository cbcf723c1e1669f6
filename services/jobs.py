"""Background work: the one list of it, and the loops that run it.

A job is registered here and nowhere else. Each commits on its own, so that none holds its locks through another or
stops another by failing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from services import housekeeping, outbox
from services.services import Services
from settings import Settings

log = structlog.get_logger("aclue.jobs")


@dataclass(frozen=True, slots=True)
class Job:
    """`run` does what is due and returns how much that was. It is idempotent, and several processes may run it at once.
    `interval` is the number of seconds between the end of one run and the start of the next. `is_noted`: the system's
    log says when something was done."""

    name: str
    interval: Callable[[Settings], float]
    run: Callable[[Services], Awaitable[int]]
    is_noted: bool = True


def _model_refresh_interval(settings: Settings) -> float:
    return settings.model_refresh_interval


def _mail_interval(settings: Settings) -> float:
    return settings.mail_interval


JOBS = (
    Job("ensure_partitions", _model_refresh_interval, housekeeping.ensure_partitions),
    Job("check_default_partitions", _model_refresh_interval, housekeeping.check_default_partitions),
    Job("purge_keys", _model_refresh_interval, housekeeping.purge_keys),
    Job("purge_mails", _model_refresh_interval, housekeeping.purge_mails),
    Job("refresh_model", _model_refresh_interval, housekeeping.refresh_model),
    Job("update_personalities", _model_refresh_interval, housekeeping.update_personalities),
    Job("deliver_mails", _mail_interval, outbox.deliver_due, is_noted=False),
)


async def run_forever(services: Services, jobs: Sequence[Job]) -> None:
    """Runs the jobs until it is cancelled, each at its own interval: one that takes long holds up no other."""
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(_repeat(services, job), name=job.name)


async def _repeat(services: Services, job: Job) -> None:
    while True:
        await run(services, job)
        await asyncio.sleep(job.interval(services.settings))


async def run_all(services: Services, jobs: Sequence[Job] = JOBS) -> None:
    """Runs each of the jobs once."""
    for job in jobs:
        await run(services, job)


async def run(services: Services, job: Job) -> None:
    """Runs a job. What was done and what failed is noted in the system's log; a run that found nothing to do is not."""
    try:
        done = await job.run(services)
    except Exception as error:
        log.exception("job failed", job=job.name)
        services.system_log.note("error", "jobs", "a job failed", job=job.name, exception=type(error).__name__)
    else:
        if done and job.is_noted:
            services.system_log.note("info", "jobs", "a job was done", job=job.name, count=done)
