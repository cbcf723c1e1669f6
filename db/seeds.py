"""Loads generated people, products and swipes (domain/seeds.py) by COPY, and derives other rows from them by SQL.

A seed is loaded in one transaction, once per database, and adds to existing rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import asyncpg
import msgspec

from db import demo
from db.bulk import without_indexes
from db.queries import QUERIES
from domain import seeds
from domain.seeds import SeedPlan

BULK_SWIPES = 100_000  # from here on rebuilding the indexes pays off
VIEWS_SINCE_DAYS = 45
BIG_TABLES = ("public.swipes", "public.product_signals", "public.product_views")
TABLES = (
    *BIG_TABLES, "public.profiles", "public.products", "public.personality_profiles",
    "public.personality_assessment_history", "public.affiliate_clicks", "public.product_features",
    "private.search_words", "private.search_variants",
)  # fmt: skip

SETTINGS = (
    ("statement_timeout", "0"),
    ("lock_timeout", "10s"),
    ("work_mem", "256MB"),
    ("maintenance_work_mem", "1GB"),
    ("synchronous_commit", "off"),
)


class SeedRefused(ValueError):
    """Nothing was loaded; the message says why."""


class Seeded(msgspec.Struct):
    """Rows per table, and the seconds that each step took."""

    rows: dict[str, int] = {}
    seconds: dict[str, float] = {}


class _Load:
    """The steps of loading on one connection; times them and reports progress."""

    def __init__(self, connection: asyncpg.Connection[Any], plan: SeedPlan, on_step: Callable[[str], None]) -> None:
        self._connection = connection
        self._plan = plan
        self._on_step = on_step
        self._step, self._started = "", perf_counter()
        self.done = Seeded()

    def step(self, name: str) -> None:
        """The step before is over."""
        now = perf_counter()
        if self._step:
            self.done.seconds[self._step] = self.done.seconds.get(self._step, 0) + now - self._started
        self._step, self._started = name, now
        if name:
            self._on_step(name)

    async def run(self, block: str, *arguments: object) -> int:
        status = await self._connection.execute(QUERIES[f"seeds.{block}"].sql, *arguments, timeout=None)
        rows = status.rpartition(" ")[2]
        return int(rows) if rows.isdecimal() else 0

    async def copy(self, table: str, columns: tuple[str, ...], records: Any, schema: str | None = "public") -> None:
        self.step(table)
        status = await self._connection.copy_records_to_table(
            table, records=records, columns=columns, schema_name=schema
        )
        self.done.rows[table] = int(status.rpartition(" ")[2])

    async def add(self, table: str, block: str, *arguments: object) -> None:
        self.step(table)
        self.done.rows[table] = self.done.rows.get(table, 0) + await self.run(block, *arguments)

    async def people(self) -> None:
        plan = self._plan
        await self.copy("profiles", seeds.PROFILE_COLUMNS, seeds.profiles(plan))
        await self.run("create_people")
        await self.copy("seeded_people", ("id",), ((key,) for key in plan.ids("users")), schema=None)
        del self.done.rows["seeded_people"]
        await self._connection.execute("analyze seeded_people")
        if await self._connection.fetchval(QUERIES["accounts.are_ours"].sql):
            self.step("log-ins")
            await self.run("pause_log_in_triggers")
            await self.run("add_log_ins")
            await self.run("resume_log_in_triggers")
        await self.add("user_sessions", "add_sessions", plan.seed)
        quizzes = list(seeds.assessments(plan))
        await self.copy("personality_profiles", _PERSONALITY_COLUMNS, map(_personality, quizzes))
        await self.copy("personality_assessment_history", _HISTORY_COLUMNS, map(_assessment, quizzes))

    async def products(self) -> None:
        await demo.load_names(self._connection)
        rows = await self._connection.fetch(QUERIES["seeds.ids_by_slug"].sql)
        ids = {(row["kind"], row["slug"]): row["id"] for row in rows}
        models = [
            seeds.Model(
                name=read["name"],
                description=read["description"],
                category_id=ids["category", read["category"]],
                brand_id=ids.get(("brand", read.get("brand"))),
                retailer_id=ids["retailer", read["retailer"]],
                price_minor=int(Decimal(read["price"]) * 100),
                tags=tuple(read["tags"]),
                url=read["url"],
            )
            for read in demo.products()
        ]
        await self.copy("products", seeds.PRODUCT_COLUMNS, seeds.products(self._plan, models))

    async def swipes(self) -> None:
        self.step("swipes")
        status = await self._connection.copy_to_table(
            "swipes", schema_name="public", columns=seeds.SWIPE_COLUMNS, format="binary", source=_made(self._plan)
        )
        self.done.rows["swipes"] = int(status.rpartition(" ")[2])
        await self._connection.execute("analyze public.swipes")
        await self.add("product_signals", "add_signals")
        await self.add("product_views", "add_views", self._plan.until - timedelta(days=VIEWS_SINCE_DAYS))

    async def what_follows(self) -> None:
        for table in BIG_TABLES:
            await self._connection.execute(f"analyze {table}")
        await self.add("affiliate_clicks", "add_clicks")


async def load(
    connection: asyncpg.Connection[Any], plan: SeedPlan, on_step: Callable[[str], None] = lambda step: None
) -> Seeded:
    """As the owner. Raises SeedRefused when this seed is there already, or when others hold the tables."""
    if plan.swipes and not (plan.users and plan.products):
        raise SeedRefused("swipes need users and products")
    work = _Load(connection, plan, on_step)
    try:
        async with connection.transaction():
            for setting, value in SETTINGS:
                await connection.execute(f"set local {setting} = '{value}'")
            if await connection.fetchval(QUERIES["seeds.is_there"].sql, plan.seed):
                raise SeedRefused(f"seed {plan.seed} was loaded here before; another --seed adds other rows")
            await work.run("mark", plan.seed)
            await _ensure_partitions(connection, plan.until)
            await work.products()
            await work.people()
            if plan.swipes < BULK_SWIPES:
                await work.swipes()
            else:
                async with without_indexes(connection, BIG_TABLES, work.step):
                    await work.swipes()
            await work.what_follows()
    except asyncpg.LockNotAvailableError:
        raise SeedRefused("the tables are in use; stop the server, or try again") from None
    # Row visibility for index-only scans, and statistics: autovacuum would come later, to partitioned tables never.
    for table in TABLES:
        work.step("vacuum and analyze")
        await connection.execute(f"vacuum (analyze) {table}", timeout=None)
    # Last, when the signals can be read from their index alone; where this is interrupted, housekeeping does it.
    work.step("model")
    await work.run("refresh_model")
    work.step("")
    return work.done


async def _ensure_partitions(connection: asyncpg.Connection[Any], until: datetime) -> None:
    """Creates the partitions for generated views, which would otherwise go to the default partition."""
    month = until - timedelta(days=VIEWS_SINCE_DAYS)
    while month < until + timedelta(days=31):
        await connection.execute("select private.ensure_partition('product_views', $1)", month)
        month += timedelta(days=28)


async def _made(plan: SeedPlan) -> AsyncIterator[bytes]:
    """All swipes, made in a process of their own one chunk ahead of Postgres."""
    yield seeds.COPY_HEADER
    chunks = range(-(-plan.swipes // seeds.CHUNK))
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_prepare, initargs=(plan,)) as pool:
        ahead = [asyncio.wrap_future(pool.submit(_chunk, number)) for number in chunks[:2]]
        for number in chunks:
            made = await ahead.pop(0)
            if number + 2 < len(chunks):
                ahead.append(asyncio.wrap_future(pool.submit(_chunk, number + 2)))
            yield made
    yield seeds.COPY_TRAILER


_swipes: seeds.Swipes


def _prepare(plan: SeedPlan) -> None:
    global _swipes
    _swipes = seeds.Swipes(plan)


def _chunk(number: int) -> bytes:
    return _swipes.chunk(number)


_PERSONALITY_COLUMNS = (
    "user_id", "id", "primary_type", "secondary_types", "personality_scores", "confidence_level",
    "total_questions_answered", "created_at", "updated_at", "last_assessment_at",
)  # fmt: skip
_HISTORY_COLUMNS = (
    "user_id", "id", "assessment_data", "personality_scores", "primary_type", "assessment_trigger",
    "questions_answered", "assessment_quality_score", "assessment_timestamp", "created_at",
)  # fmt: skip


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _personality(a: seeds.Assessment) -> tuple[object, ...]:
    scores = _json(a.scores)
    return a.user_id, a.id, a.primary, a.secondary, scores, a.confidence, 20, a.at, a.at, a.at


def _assessment(a: seeds.Assessment) -> tuple[object, ...]:
    scores, data = _json(a.scores), _json({"version": "1.0", "answers": {}})
    return a.user_id, a.id, data, scores, a.primary, "initial", 20, a.confidence, a.at, a.at


def midnight(now: datetime) -> datetime:
    """The default end of the generated months, so that a seed gives the same rows all day."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
