"""What the service makes Postgres read on a large database: no sequential scan of a table over 10,000 rows.

    make bench-plans                                 on a database seeded with 500,000 swipes
    make bench-plans SEED="--users 100000 --products 20000 --swipes 10000000"
    ACLUE_HOME=/data/big make bench-plans            on what is there (run `aclue seed` first)

Tables that seeding leaves nearly empty are filled first and stay so (bench/filling.py): give it no database you mean to
keep. Runs every operation as each kind of caller, every job of housekeeping and each purge, in this process. After each
statement it reads Postgres's own counters of the transaction (pg_stat_xact_user_tables): they count the scans inside
functions, triggers and foreign keys too, and what ran rather than what a planner would do. Each operation is repeated
until Postgres has chosen its generic plans. Exit code 1 when there is a scan without a reason in ALLOWED.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import settings as settings_module  # noqa: E402
from bench.account_operations import AccountTour  # noqa: E402
from bench.filling import fill  # noqa: E402
from bench.operations import Tour  # noqa: E402
from db import embedded, privacy, secrets  # noqa: E402
from db.claims import SERVICE  # noqa: E402
from db.embedded import Dsns, EmbeddedServer  # noqa: E402
from db.queries import QUERIES  # noqa: E402
from db.session import Session  # noqa: E402
from domain.mails import Mail  # noqa: E402
from resolvers import preferences  # noqa: E402
from resolvers.sessions import proof  # noqa: E402
from server import configure_logging, create_app  # noqa: E402
from services import outbox  # noqa: E402
from services.jobs import JOBS  # noqa: E402

LARGE = 10_000
ROUNDS = 7  # five custom plans, then the generic one where it looks cheaper
SEED = "--users 12000 --products 20000 --swipes 500000"
SECRET = "a secret of the benchmark, long enough for HS256"

PURGE = "a job, by hand or once a day: it looks for all that is old, in batches of thousands"

# Part of the statement: why it may read all of a large table.
ALLOWED = {
    "private.refresh_model()": "a job: a new model is made of every product and all signals",
    "private.count_events(": "for analysts: every event of the time they ask about is counted",
    "with gone as ( delete from public.session_analytics ": PURGE,
    "with gone as ( delete from public.user_sessions ": PURGE,
    "with gone as ( delete from public.affiliate_redirects ": PURGE,
    "with gone as ( delete from public.system_logs ": PURGE,
}

COUNTERS = """
select relid, seq_scan, coalesce(idx_tup_fetch, 0) as idx_tup_fetch
from pg_stat_xact_user_tables where seq_scan > 0 or idx_tup_fetch > 0
"""

NOTHING = {"seq_scan": 0, "idx_tup_fetch": 0}


class Postman:
    """Keeps the token of the newest mail that has one."""

    token = ""

    async def send(self, mail: Mail) -> None:
        if found := re.search(r"\?token=(\S+)", mail.text):
            self.token = found[1]


class Watch:
    """Counts, per statement and table, the sequential scans and the rows fetched by index."""

    def __init__(self, large: dict[int, tuple[str, float]]) -> None:
        self.large = large
        self.operation = ""
        self.statements = 0
        self.scans: Counter[tuple[str, str]] = Counter()
        self.fetched: Counter[tuple[str, str]] = Counter()
        self.operations: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def saw(self, sql: str, table: int, scans: int, fetched: int) -> None:
        if table not in self.large:
            return
        key = (" ".join(sql.split()), self.large[table][0])
        if scans:
            self.scans[key] += scans
        self.fetched[key] = max(self.fetched[key], fetched)
        self.operations[key].add(self.operation)


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Reads the counters of the transaction after each statement of a session."""
    run, run_last = Session.run, Session.run_last
    seen: dict[Session, dict[int, tuple[int, int]]] = {}
    turns: defaultdict[Session, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def counters(session: Session) -> dict[int, tuple[int, int]]:
        rows = await run(session, COUNTERS, [])
        return {row["relid"]: (row["seq_scan"], row["idx_tup_fetch"]) for row in rows}

    async def run_and_count(self: Session, sql: str, arguments: Any) -> Any:
        async with turns[self]:  # or what one statement read would be put down to its neighbour
            if self not in seen:  # they still hold what earlier transactions left to be sent to the statistics
                seen[self] = await counters(self)
            rows = await run(self, sql, arguments)
            before, after = seen[self], await counters(self)
            seen[self] = after
            for table, (scans, fetched) in after.items():
                scans_before, fetched_before = before.get(table, (0, 0))
                watch.saw(sql, table, scans - scans_before, fetched - fetched_before)
            watch.statements += 1
            return rows

    Session.run = Session.run_last = run_and_count  # type: ignore[method-assign]
    try:
        yield
    finally:
        Session.run, Session.run_last = run, run_last  # type: ignore[method-assign]


async def large_tables(owner: asyncpg.Connection[Any]) -> dict[int, tuple[str, float]]:
    """{oid: (name, rows)}, partitions included."""
    rows = await owner.fetch(
        "select c.oid, c.oid::regclass::text as name, reltuples from pg_class c "
        "where relkind = 'r' and reltuples > $1 and relnamespace in ('public'::regnamespace, 'private'::regnamespace, "
        "'auth'::regnamespace)",
        LARGE,
    )
    return {row["oid"]: (row["name"], row["reltuples"]) for row in rows}


async def people(owner: asyncpg.Connection[Any]) -> list[tuple[UUID, bool]]:
    """Some who swiped most, some in between and some least, with whether they are anonymous."""
    rows = await owner.fetch(
        "select p.id, p.is_anonymous from (select user_id, row_number() over (order by count(*) desc) as place, "
        "count(*) over () as of from public.swipes group by user_id) u join public.profiles p on p.id = u.user_id "
        "where place in (1, 2, 3) or place in (of / 2, of / 2 + 1, of / 2 + 2) or place = of order by place"
    )
    return [(row["id"], row["is_anonymous"]) for row in rows]


async def tour(dsns: Dsns, say: Callable[[str], None]) -> Watch:
    settings = settings_module.load(
        {
            "DATABASE_URL": dsns.api,
            "DATABASE_POOL_SIZE": "1",
            "DATABASE_MAX_OVERFLOW": "0",
            "LOG_LEVEL": "error",
            "MODEL_REFRESH_INTERVAL": "86400",
            "MAIL_INTERVAL": "86400",
        }
    )
    configure_logging(settings, "a secret of the benchmark")
    owner = await asyncpg.connect(dsns.owner or dsns.api)
    filler = await asyncpg.connect(dsns.superuser or dsns.owner or dsns.api)
    await fill(filler)
    await filler.close()
    watch = Watch(await large_tables(owner))
    say(", ".join(f"{name} {rows:,.0f}" for name, rows in sorted(watch.large.values(), key=lambda t: -t[1])))
    if len(watch.large) < 4:
        sys.exit("fewer than four tables over 10,000 rows: seed more")
    app = create_app(settings, dsns.api, SECRET)
    async with app.router.lifespan_context(app):
        services = app.state.services
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bench", timeout=60) as http:

            async def ask(document: str, variables: dict[str, Any], token: str) -> dict[str, Any]:
                headers = {"authorization": f"Bearer {token}"} if token else {}
                body = {"query": document, "variables": variables}
                answer = (await http.post("/graphql", json=body, headers=headers)).json()
                if answer.get("errors"):
                    raise RuntimeError(f"{watch.operation}: {answer['errors']}")
                data: dict[str, Any] = answer["data"]
                return data

            def told(role: str) -> Callable[[str], None]:
                def tell(name: str) -> None:
                    watch.operation = f"{role}: {name}"

                return tell

            postman = Postman()

            async def mailed() -> str:
                watch.operation = "job: deliver mails"
                await outbox.deliver(services, postman)
                return postman.token

            with watching(watch):
                for number in range(ROUNDS):
                    visitor = Tour(ask, "", told("visitor"))
                    known = await visitor.catalogue()
                    await visitor.feed()
                    await AccountTour(ask, told("a new account"), mailed).life(known)
                    for user, is_anonymous in await people(owner):
                        role = "anon" if is_anonymous else "authenticated"
                        signed_in = [proof("anonymous" if is_anonymous else "password")]
                        token, _ = services.tokens.issue(user, role=role, is_anonymous=is_anonymous, amr=signed_in)
                        caller = Tour(ask, token, told(role))
                        await caller.person(await caller.catalogue() if number == 0 else known)
                        if not is_anonymous:
                            await caller.export()
                    token, _ = services.tokens.issue(user, app_metadata={"role": "admin"})
                    await Tour(ask, token, told("admin")).administrator(known)
                    say(f"round {number + 1} of {ROUNDS}: {watch.statements} statements")
                await jobs(services, watch, user)
                await retention(owner, settings, watch)
    await owner.close()
    return watch


async def jobs(services: Any, watch: Watch, user: UUID) -> None:
    """All housekeeping, whether due or not, and one rebuild of preferences."""
    for job in JOBS:
        watch.operation = f"job: {job.name}"
        await job.run(services)
    watch.operation = "job: needs_refresh"
    async with services.database.session(SERVICE, read_only=True) as session:
        for seconds in (0, 1):
            await session.fetch("recommendation_models.needs_refresh", seconds=float(seconds))
    watch.operation = "job: a new model"
    async with services.database.session(SERVICE, read_only=False, statement_timeout_ms=600_000) as session:
        await session.fetch("recommendation_models.refresh_model")
    watch.operation = "job: rebuild preferences"
    _, claims = services.tokens.issue(user)
    async with services.database.session(claims, read_only=False) as session:
        await preferences.rebuild(session, user)


async def retention(owner: asyncpg.Connection[Any], settings: settings_module.Settings, watch: Watch) -> None:
    """A batch of each statement of `aclue privacy purge`, rolled back."""
    for kind, days in privacy.periods(settings).items():
        watch.operation = f"job: privacy purge, {kind}"
        transaction = owner.transaction()
        await transaction.start()
        before = {row["relid"]: row for row in await owner.fetch(COUNTERS)}
        sql = QUERIES[f"privacy.purge_{kind}"].sql
        await owner.fetchval(sql, days, privacy.BATCH_ROWS)
        for row in await owner.fetch(COUNTERS):
            scans, fetched = (row[column] - before.get(row["relid"], NOTHING)[column] for column in NOTHING)
            watch.saw(sql, row["relid"], scans, fetched)
        watch.statements += 1
        await transaction.rollback()


def report(watch: Watch) -> int:
    """Prints what was found; how many scans have no reason."""
    faults = 0
    print(f"\n{watch.statements:,} statements. Sequential scans of tables over {LARGE:,} rows:")
    for (sql, table), scans in watch.scans.most_common():
        reason = next((why for part, why in ALLOWED.items() if part in sql), None)
        faults += reason is None
        print(f"\n  {table}, {scans} times: {reason or 'NO REASON'}")
        print(f"    {', '.join(sorted(watch.operations[sql, table])[:6])}\n    {sql[:180]}")
    wide = [(key, rows) for key, rows in watch.fetched.most_common() if rows > LARGE]
    print(f"\nStatements that fetched more than {LARGE:,} rows of a table by index:")
    for (sql, table), rows in wide:
        reason = next((why for part, why in ALLOWED.items() if part in sql), "")
        print(f"\n  {table}, {rows:,} rows {reason}")
        print(f"    {', '.join(sorted(watch.operations[sql, table])[:6])}\n    {sql[:180]}")
    if not wide:
        print("  none")
    print(f"\n{faults} scans without a reason")
    return faults


@contextmanager
def seeded() -> Iterator[Dsns]:
    """The database of ACLUE_HOME, or a new one filled by `aclue seed` with the options of SEED."""
    home = os.environ.get("ACLUE_HOME")
    with nullcontext(home) if home else tempfile.TemporaryDirectory(prefix="aclue-bench-") as folder:
        if not home:
            Path(folder).chmod(0o755)
            command = [sys.executable, "-m", "cli", "seed", *(os.environ.get("SEED") or SEED).split()]
            subprocess.run(command, cwd=ROOT, env={**os.environ, "ACLUE_HOME": folder}, check=True)
        home_secrets = secrets.load_or_create(Path(folder))
        running = embedded.running_dsns(Path(folder), home_secrets)
        with nullcontext(running) if running else EmbeddedServer(Path(folder), home_secrets) as dsns:
            yield dsns


if __name__ == "__main__":
    with seeded() as log_ins:
        watched = asyncio.run(tour(log_ins, lambda text: print(text, flush=True)))
    sys.exit(1 if report(watched) else 0)
