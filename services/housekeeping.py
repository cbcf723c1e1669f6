"""Background maintenance: creates partitions ahead of time, purges expired rows, rebuilds the model and personality
profiles."""

from __future__ import annotations

import itertools

import structlog

from db import privacy
from db.changes import EVERYBODY
from db.claims import SERVICE, WORKER, Claims
from domain.experiments import sample_ratio
from services import outbox, personality
from services.services import Services

log = structlog.get_logger("aclue.housekeeping")

MODEL_TIMEOUT_MS = 10 * 60 * 1000
PERSONALITIES_PER_ROUND = 10_000
RETENTION_TIMEOUT_MS = 10 * 60 * 1000  # rows of a month are counted before their partition is dropped
JOB_LOG_DAYS = 3
PURGE_BATCH = 5_000  # rows per transaction, so that each ends within the statement timeout however many there are


async def ensure_partitions(services: Services) -> int:
    """Creates partitions for the coming months; gives up at once if the tables are locked. Returns how many."""
    async with services.database.session(SERVICE, read_only=False) as session:
        made: int = await session.fetchval("product_views.ensure_partitions")
        return made


async def check_default_partitions(services: Services) -> int:
    """Logs an error for rows in a default partition: the partition of their month cannot be created until they are
    moved. Returns the number of tables."""
    async with services.database.session(SERVICE, read_only=False) as session:
        filled = [r for r in await session.fetch("product_views.default_partition_rows") if r["rows"]]
    for row in filled:
        log.error("partition default not empty", partition=row["partition"], rows=row["rows"])
        services.system_log.note(
            "error", "housekeeping", "partition default not empty", partition=row["partition"], rows=row["rows"]
        )
    return len(filled)


async def purge_keys(services: Services) -> int:
    """Deletes idempotency keys older than a day. Returns how many."""
    return await _purge(services, "idempotency_keys.purge")


async def purge_mails(services: Services) -> int:
    """Deletes expired one-time tokens, and mails older than a month. Returns how many."""
    return await _purge(services, "outbox.purge", keep_seconds=outbox.KEEP_SECONDS)


async def purge_postbacks(services: Services) -> int:
    """Deletes postbacks older than RETENTION_POSTBACKS. Returns how many."""
    return await _purge(services, "postbacks.purge", keep_seconds=services.settings.retention_postbacks * 24 * 3600.0)


async def purge_job_log(services: Services) -> int:
    """Deletes what the queue of jobs has noted of runs, after some days. Returns how many rows."""
    return await _purge(services, "jobs.purge", claims=WORKER, keep_days=JOB_LOG_DAYS)


async def purge_expired(services: Services) -> int:
    """Deletes data that is older than the periods in the settings (RETENTION_*). Returns how many rows."""

    async def run(query: str, days: int, maximum: int) -> int:
        async with services.database.session(
            WORKER, read_only=False, statement_timeout_ms=RETENTION_TIMEOUT_MS
        ) as session:
            gone: int = await session.fetchval(query, days=days, maximum=maximum)
            return gone

    removed = await privacy.purge(run, services.settings)
    log.info("expired data deleted", **removed)
    return sum(removed.values())


async def _purge(services: Services, query: str, *, claims: Claims = SERVICE, **values: float) -> int:
    """Runs a query that deletes at most `maximum` rows, until it finds fewer."""
    total = 0
    while True:
        async with services.database.session(claims, read_only=False) as session:
            gone: int = await session.fetchval(query, maximum=PURGE_BATCH, **values)
        total += gone
        if gone < PURGE_BATCH:
            return total


async def apply_sales(services: Services) -> int:
    """Starts and ends sales. Returns how many prices changed."""
    async with services.database.session(SERVICE, read_only=False) as session:
        changed: int = await session.fetchval("products.apply_sales")
        if changed:
            session.note_change("feeds", EVERYBODY)
        return changed


async def set_default_currency(services: Services) -> int:
    """Lets offers in DEFAULT_CURRENCY lead. Returns how many products have offers in several, after a change of it."""
    async with services.database.session(SERVICE, read_only=False, statement_timeout_ms=MODEL_TIMEOUT_MS) as session:
        currency = services.settings.default_currency
        led: int = await session.fetchval("product_offers.set_default_currency", currency=currency)
        if led:
            session.note_change("feeds", EVERYBODY)
        return led


async def update_personalities(services: Services) -> int:
    """Rebuilds personality profiles that are due, a bounded number per round. Returns how many."""
    return await personality.update_from_behaviour(services.database, limit=PERSONALITIES_PER_ROUND)


async def check_experiments(services: Services) -> int:
    """Logs a warning for running experiments whose arms have other numbers of people than their shares say: something
    loses people of an arm, and the figures are not to be trusted. Returns how many."""
    async with services.database.session(SERVICE, read_only=False) as session:
        rows = await session.fetch("experiments.running_units")
    alarms = 0
    for key, group in itertools.groupby(rows, key=lambda row: row["key"]):
        arms = list(group)
        people = {arm["name"]: arm["people"] for arm in arms}
        ratio = sample_ratio(list(people.values()), [arm["share"] for arm in arms])
        if ratio.is_alarming:
            alarms += 1
            counts = ", ".join(f"{name} {number}" for name, number in people.items())
            log.warning("sample ratio mismatch", experiment=key, people=counts, p=f"{ratio.p:.3g}")
            services.system_log.note("warning", "experiments", "sample ratio mismatch", experiment=key, people=counts)
    return alarms


async def refresh_model(services: Services) -> int:
    """Builds a new model if something has changed since the last one, unless another worker is building one. Returns 0
    or 1."""
    interval = float(services.settings.model_refresh_interval)
    async with services.database.session(SERVICE, read_only=False, statement_timeout_ms=MODEL_TIMEOUT_MS) as session:
        if await session.fetchval("recommendation_models.try_lock") and await session.fetchval(
            "recommendation_models.needs_refresh", seconds=interval
        ):
            await session.fetch("recommendation_models.refresh_model")
            session.note_change("feeds", EVERYBODY)
            return 1
    return 0
