"""What Postgres takes to record swipes, in this checkout and, interleaved, in another one.

    .venv/bin/python bench/swipes.py                 this checkout
    .venv/bin/python bench/swipes.py ../before       beside another one, which has a .venv of its own
    ROUNDS=9 REPEATS=100 .venv/bin/python bench/swipes.py

The prepared statement of recordSwipe with its COMMIT, on one connection of the API's own role under a person's claims,
and a statement that reads all preferences. The person has 300 signals, of 20,000 products; what was recorded is deleted
after each transaction. SWIPES_HOME: where the databases are kept, one per checkout. synchronous_commit is on, as in
production. CPU is that of the backend (Linux), which other work on the machine changes less than the time that passes.
Exit code 1 when the preferences differ from those rebuilt from the events.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).resolve().parent.parent
SEED = {"users": 1_000, "products": 20_000, "swipes": 50_000}
SIGNALS = 300
SIZES = (1, 20)  # swipes per statement
WARM = 40
WAYS = ("right", "left", "up", "right", "down")
WRITTEN = "bench-"

_HISTORY = """
insert into public.swipes (user_id, client_swipe_id, product_id, direction, created_at)
select $1, 'history-' || n, id, (array['right', 'left', 'up', 'right'])[1 + n % 4]::public.swipe_direction,
  date_trunc('day', now()) - n * interval '9 hours'
from (
  select id, row_number() over (order by md5(id::text)) as n from public.products where is_active) p
where n <= $2
"""
_PREFERENCES = """
select category_preferences, brand_preferences, style_preferences, min_price_minor, max_price_minor, price_currency,
  total_swipes, right_swipes, confidence
from public.user_preferences where user_id = $1
"""


class Measured:
    """A person with SIGNALS signals, and one connection of the API for them."""

    def __init__(self, owner: Any, api: Any, claims: Any, products: list[UUID]) -> None:
        from db.claims import apply
        from db.queries import QUERIES

        self.owner, self.api, self.claims, self.products = owner, api, claims, products
        self.apply = apply
        self.record = QUERIES["swipes.record"]
        self.rebuild_query = QUERIES["preferences.rebuild"]
        self.turn = 0
        self.statements: dict[str, Any] = {}

    async def prepared(self, sql: str) -> Any:
        if sql not in self.statements:
            self.statements[sql] = await self.api.prepare(sql)
        return self.statements[sql]

    def cpu(self) -> float:
        """Seconds that the backend has computed."""
        return int(Path(f"/proc/{self.api.get_server_pid()}/schedstat").read_text().split()[0]) / 1e9

    async def swipe(self, size: int) -> tuple[float, float]:
        """Milliseconds of the statement and its COMMIT, passed and computed."""
        self.turn += 1
        chosen = [self.products[(self.turn * size + place) % len(self.products)] for place in range(size)]
        values = {
            "user_id": self.claims.subject,
            "session_id": None,
            "client_swipe_ids": [f"{WRITTEN}{self.turn}-{place}" for place in range(size)],
            "product_ids": chosen,
            "directions": [WAYS[(self.turn + place) % len(WAYS)] for place in range(size)],
            "recommendation_ids": [None] * size,
            "contexts": [None] * size,
        }
        arguments = [values[name] for name in self.record.params]
        await self.api.execute("begin")
        await self.apply(self.api, self.claims, 5000)
        statement = await self.prepared(self.record.sql)
        computed, started = self.cpu(), time.perf_counter()
        rows = await statement.fetch(*arguments)
        await self.api.execute("commit")
        took = time.perf_counter() - started, self.cpu() - computed
        assert len(rows) == size
        await self.take_back()
        return took[0] * 1000, took[1] * 1000

    async def take_back(self) -> None:
        await self.owner.execute(
            "delete from public.swipes where user_id = $1 and client_swipe_id like $2",
            self.claims.subject,
            f"{WRITTEN}%",
        )

    async def read(self) -> tuple[float, float]:
        """Milliseconds of reading all preferences, passed and computed."""
        await self.api.execute("begin read only")
        await self.apply(self.api, self.claims, 5000)
        statement = await self.prepared(_PREFERENCES)
        computed, started = self.cpu(), time.perf_counter()
        await statement.fetch(self.claims.subject)
        took = time.perf_counter() - started, self.cpu() - computed
        await self.api.execute("commit")
        return took[0] * 1000, took[1] * 1000

    async def rebuild(self) -> None:
        await self.api.execute("begin")
        await self.apply(self.api, self.claims, 5000)
        await self.api.fetch(self.rebuild_query.sql, None)
        await self.api.execute("commit")

    async def differs(self) -> bool:
        """Whether recording 60 swipes and undoing some gives other preferences than rebuilding them."""
        keep, self.take_back = self.take_back, _nothing  # type: ignore[method-assign]
        for size in (*SIZES, *SIZES, *SIZES):
            await self.swipe(size)
        self.take_back = keep  # type: ignore[method-assign]
        kept = await self.owner.fetchrow(_PREFERENCES, self.claims.subject)
        await self.rebuild()
        rebuilt = await self.owner.fetchrow(_PREFERENCES, self.claims.subject)
        await self.take_back()
        await self.rebuild()
        return not _equal(json.loads(_json(kept)), json.loads(_json(rebuilt)))


async def _nothing() -> None:
    pass


def _json(row: Any) -> str:
    lists = ("category_preferences", "brand_preferences", "style_preferences")
    return json.dumps({name: json.loads(value) if name in lists else value for name, value in row.items()})


def _equal(one: Any, other: Any) -> bool:
    """Numbers to 1e-9."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) or isinstance(other, float):
        return abs(one - other) <= 1e-9
    return bool(one == other)


async def prepare(dsns: Any, secret: str) -> Measured:
    import asyncpg

    import settings as settings_module
    from services.tokens import Tokens

    owner = await asyncpg.connect(dsns.superuser)
    person = await owner.fetchval("select id from public.profiles where not is_anonymous order by id limit 1")
    await owner.execute("delete from public.swipes where user_id = $1", person)
    await owner.execute(_HISTORY, person, SIGNALS)
    products = [
        row["id"]
        for row in await owner.fetch(
            "select id from public.products p where is_active and not exists (select from public.swipes s"
            " where s.user_id = $1 and s.product_id = p.id) order by md5(id::text) limit 4000",
            person,
        )
    ]
    _, claims = Tokens(settings_module.load({}), secret).issue(person, lifetime=24 * 3600)
    measured = Measured(owner, await asyncpg.connect(dsns.api), claims, products)
    await measured.rebuild()
    await owner.execute("vacuum analyze")
    assert await owner.fetchval("show synchronous_commit") == "on"
    return measured


async def answer(dsns: Any, secret: str) -> None:
    measured = await prepare(dsns, secret)
    loop = asyncio.get_running_loop()
    print("> ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        kind, *rest = json.loads(line)
        if kind == "swipe":
            size, repeats = rest
            found: Any = [await measured.swipe(size) for _ in range(repeats)]
            await measured.owner.execute("vacuum public.swipes, public.product_signals")
        elif kind == "read":
            found = [await measured.read() for _ in range(rest[0])]
        else:
            found = await measured.differs()
        print(f"> {json.dumps(found)}", flush=True)


def serve(folder: Path) -> None:
    """In the process of a checkout: reads questions from stdin, writes milliseconds to stdout."""
    sys.path.insert(0, str(folder))
    from bench import database

    with database.running(seed=SEED) as (dsns, secret):
        asyncio.run(answer(dsns, secret))


def summary(taken: list[tuple[float, float]]) -> str:
    passed, computed = map(sorted, zip(*taken, strict=True))
    high = passed[int(len(passed) * 0.95)]
    return f"{statistics.median(passed):7.3f} ms   p95 {high:7.3f} ms   CPU {statistics.median(computed):7.3f} ms"


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
        return
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    home = Path(os.environ.get("SWIPES_HOME") or ROOT / ".aclue-swipes").resolve()
    rounds, repeats = int(os.environ.get("ROUNDS") or 5), int(os.environ.get("REPEATS") or 100)
    sys.path.insert(0, str(ROOT))
    from bench.checkouts import Checkout

    others = [Checkout("before", __file__, Path(folder).resolve(), home / "before") for folder in sys.argv[1:]]
    checkouts = [*others, Checkout("after", __file__, ROOT, home / "after")]
    questions: dict[str, tuple[Any, ...]] = {
        **{f"{size} swipe{'s' if size > 1 else ''}": ("swipe", size) for size in SIZES},
        "preferences read": ("read",),
    }
    for checkout in checkouts:
        for question in questions.values():
            checkout.ask(*question, WARM)
    seen: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(rounds):
        for title, question in questions.items():
            for checkout in checkouts if number % 2 else checkouts[::-1]:
                seen.setdefault((title, checkout.name), []).extend(checkout.ask(*question, repeats))
    print(f"median of {rounds * repeats}, one client, {SIGNALS} signals")
    for title in questions:
        for checkout in checkouts:
            print(f"{title:18} {checkout.name:7} {summary(seen[title, checkout.name])}")
    differing = [checkout.name for checkout in checkouts if checkout.ask("differs")]
    for checkout in checkouts:
        checkout.close()
    sys.exit(f"preferences differ from those rebuilt: {', '.join(differing)}" if differing else 0)


if __name__ == "__main__":
    main()
