"""What row level security costs: each statement of the service with it and without, on the same database.

    ACLUE_HOME=/data/big make bench-rls        on what is there (run `aclue seed` first)
    make bench-rls                             on a database seeded with 500,000 swipes

Collects what the service asks for the people who swiped most, in between and least, and runs every such statement in
turns as the API's role under the person's claims, and as the owner of the tables, whom no policy binds. Prints
medians; the cost is the median of the differences of each turn, so that a busy machine moves it little. Exit code 1
when the policies cost a statement 10 ms or more.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import settings as settings_module  # noqa: E402
from bench.operations import Tour  # noqa: E402
from bench.plans import SECRET, people, seeded  # noqa: E402
from db import claims as claims_module  # noqa: E402
from db.claims import Claims  # noqa: E402
from db.embedded import Dsns  # noqa: E402
from db.session import Session  # noqa: E402
from resolvers.sessions import proof  # noqa: E402
from server import configure_logging, create_app  # noqa: E402

MAX_MS = 10
REPEATS = int(os.environ.get("REPEATS", "30"))
Asked = dict[tuple[str, str], tuple[Claims, tuple[Any, ...]]]  # (operation, statement): whose, arguments


async def collect(dsns: Dsns, owner: asyncpg.Connection[Any]) -> list[Asked]:
    """What is read for each of a few people: the statements of all their operations."""
    settings = settings_module.load({"DATABASE_URL": dsns.api, "LOG_LEVEL": "error"})
    configure_logging(settings, "a secret of the benchmark")
    app = create_app(settings, dsns.api, SECRET)
    run, run_last = Session.run, Session.run_last
    asked: Asked = {}
    operation = ""

    async def note(self: Session, sql: str, arguments: Any) -> Any:
        words = sql.lower().split(maxsplit=1)
        is_reading = words[0] in ("select", "with") and not any(w in words[1] for w in ("insert ", "update ", "lock("))
        if is_reading and operation and self.claims.role != "service_role":
            asked.setdefault((operation, sql), (self.claims, tuple(arguments)))
        return await run(self, sql, arguments)

    def tell(name: str) -> None:
        nonlocal operation
        operation = name

    found: list[Asked] = []
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bench", timeout=60) as http:

            async def ask(document: str, variables: dict[str, Any], token: str) -> dict[str, Any]:
                headers = {"authorization": f"Bearer {token}"}
                body = {"query": document, "variables": variables}
                answer = (await http.post("/graphql", json=body, headers=headers)).json()
                data: dict[str, Any] = answer["data"]
                return data

            Session.run = Session.run_last = note  # type: ignore[method-assign]
            some = await people(owner)
            for user, is_anonymous in (some[0], some[len(some) // 2], some[-1]):
                role = "anon" if is_anonymous else "authenticated"
                signed_in = [proof("anonymous" if is_anonymous else "password")]
                tokens = app.state.services.tokens
                token, _ = tokens.issue(user, role=role, is_anonymous=is_anonymous, amr=signed_in)
                caller = Tour(ask, token, tell)
                await caller.person(await caller.catalogue())
                if not is_anonymous:
                    await caller.export()
                found.append(dict(asked))
                asked.clear()
            Session.run, Session.run_last = run, run_last  # type: ignore[method-assign]
    return found


async def once(connection: asyncpg.Connection[Any], claims: Claims, role: str, sql: str, arguments: Any) -> float:
    """Milliseconds of the statement alone, in a transaction of its own under these claims."""
    transaction = connection.transaction()
    await transaction.start()
    await claims_module.apply(connection, claims, 60_000)
    if role:
        await connection.execute(f"set local role {role}")
    started = time.perf_counter()
    await connection.fetch(sql, *arguments)
    elapsed = time.perf_counter() - started
    await transaction.rollback()
    return elapsed * 1000


async def measure(dsns: Dsns) -> int:
    assert dsns.owner
    assert dsns.superuser
    owner = await asyncpg.connect(dsns.owner)
    swipes = await owner.fetchval("select reltuples::bigint from pg_class where oid = 'public.swipes'::regclass")
    print(f"{swipes:,} swipes, {REPEATS} repeats, medians in milliseconds\n")
    bound = await asyncpg.connect(dsns.api)
    free = await asyncpg.connect(dsns.superuser)  # becomes the owner after the claims were set
    print(f"{'operation':34}{'person':8}{'with':>9}{'without':>9}{'cost':>8}")
    costs: list[float] = []
    for asked, who in zip(await collect(dsns, owner), ("most", "middle", "least"), strict=True):
        rows: list[tuple[Any, ...]] = []
        for (operation, sql), (claims, arguments) in asked.items():
            pairs = []
            for repeat in range(REPEATS):
                both = [(bound, "", f"/*{claims.role}*/ {sql}"), (free, "aclue_owner", f"/*owner*/ {sql}")]
                turn = both if repeat % 2 else both[::-1]  # the second one finds the pages warm
                took = {role: await once(connection, claims, role, text, arguments) for connection, role, text in turn}
                pairs.append((took[""], took["aclue_owner"]))
            cost = statistics.median(with_it - without for with_it, without in pairs)
            rows.append((operation, *(statistics.median(column) for column in zip(*pairs, strict=True)), cost))
        for operation, with_it, without, cost in sorted(rows, key=lambda row: -row[3])[:12]:
            print(f"{operation:34}{who:8}{with_it:9.2f}{without:9.2f}{cost:8.2f}")
        costs += [cost for *_, cost in rows]
    worst = max(costs)
    print(f"\n{len(costs)} statements: median cost {statistics.median(costs):.2f} ms, worst {worst:.2f} ms")
    for connection in (owner, bound, free):
        await connection.close()
    return int(worst >= MAX_MS)


if __name__ == "__main__":
    with seeded() as log_ins:
        sys.exit(asyncio.run(measure(log_ins)))
