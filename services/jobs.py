"""Background jobs: their registry, and the loops that run them.

Each job commits on its own, so that none holds locks while another runs, and a failure stops no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

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
    training_runs,
)
from services.services import Services
from settings import Settings

SALE_INTERVAL_SECONDS = 60.0
SOURCE_INTERVAL_SECONDS = 60.0
LINK_INTERVAL_SECONDS = 60.0
POSTBACK_INTERVAL_SECONDS = 2.0
PULL_INTERVAL_SECONDS = 60.0
ROLLUP_INTERVAL_SECONDS = 60.0

log = structlog.get_logger("aclue.jobs")


@dataclass(frozen=True, slots=True)
class Job:
    """`run` does what is due and returns how much that was. It is idempotent, and safe to run in several processes at
    once. `interval`: seconds between the end of one run and the start of the next. `is_noted`: runs that did something
    are recorded in the system log."""

    name: str
    interval: Callable[[Settings], float]
    run: Callable[[Services], Awaitable[int]]
    is_noted: bool = True


def _model_refresh_interval(settings: Settings) -> float:
    return settings.model_refresh_interval


def _mail_interval(settings: Settings) -> float:
    return settings.mail_interval


def _sale_interval(settings: Settings) -> float:
    return SALE_INTERVAL_SECONDS


def _source_interval(settings: Settings) -> float:
    return SOURCE_INTERVAL_SECONDS


def _link_interval(settings: Settings) -> float:
    return LINK_INTERVAL_SECONDS


def _postback_interval(settings: Settings) -> float:
    return POSTBACK_INTERVAL_SECONDS


def _pull_interval(settings: Settings) -> float:
    return PULL_INTERVAL_SECONDS


def _rollup_interval(settings: Settings) -> float:
    return ROLLUP_INTERVAL_SECONDS


JOBS = (
    Job("set_default_currency", _model_refresh_interval, housekeeping.set_default_currency),
    Job("apply_sales", _sale_interval, housekeeping.apply_sales),
    Job("ensure_partitions", _model_refresh_interval, housekeeping.ensure_partitions),
    Job("check_default_partitions", _model_refresh_interval, housekeeping.check_default_partitions),
    Job("check_experiments", _model_refresh_interval, housekeeping.check_experiments),
    Job("purge_keys", _model_refresh_interval, housekeeping.purge_keys),
    Job("purge_mails", _model_refresh_interval, housekeeping.purge_mails),
    Job("purge_postbacks", _model_refresh_interval, housekeeping.purge_postbacks),
    Job("raise_alerts", _model_refresh_interval, alerts.update, is_noted=False),
    Job("flag_sales", _model_refresh_interval, conversion_flags.update_recent, is_noted=False),
    Job("refresh_model", _model_refresh_interval, housekeeping.refresh_model),
    Job("train_model", _model_refresh_interval, training_runs.train_if_due),
    Job("update_personalities", _model_refresh_interval, housekeeping.update_personalities),
    Job("import_sources", _source_interval, import_sources.run_due),
    Job("pull_networks", _pull_interval, network_pulls.run_due),
    Job("check_links", _link_interval, link_checks.run, is_noted=False),
    Job("process_postbacks", _postback_interval, postbacks.process_due, is_noted=False),
    Job("refresh_rollups", _rollup_interval, rollups.refresh, is_noted=False),
    Job("deliver_mails", _mail_interval, outbox.deliver_due, is_noted=False),
)


async def run_forever(services: Services, jobs: Sequence[Job]) -> None:
    """Runs the jobs until cancelled, each in a loop of its own, so that a slow one delays no other."""
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
    """Runs a job. Failures, and runs that did something, are recorded in the system log."""
    try:
        done = await job.run(services)
    except Exception as error:
        log.exception("job failed", job=job.name)
        services.system_log.note("error", "jobs", "a job failed", job=job.name, exception=type(error).__name__)
    else:
        if done and job.is_noted:
            services.system_log.note("info", "jobs", "a job was done", job=job.name, count=done)
