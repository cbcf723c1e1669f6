"""What facets and suggestions take Postgres, under row level security, as the role of the API.

    make bench-finding                     20,000 and 200,000 products; seeding them takes a quarter of an hour
    make bench-finding PRODUCTS=20000      of one size only

Each facet of lists that people narrow (the whole catalogue, a category, what is in stock, searches that find much and
little), and suggestions for prefixes that many names have, few, or none. CPU is that of the backend (Linux), without
parallel workers. BENCH_HOME: where the databases are kept, one per number of products. Exit code 1 when the 99th
percentile of a suggestion takes over 5 ms of CPU.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import database  # noqa: E402
from db.claims import ANONYMOUS, apply  # noqa: E402
from db.embedded import Dsns  # noqa: E402
from db.queries import QUERIES, Composed  # noqa: E402
from resolvers.product_facets import EDGES, OWN, Listed, statement_of  # noqa: E402
from resolvers.products import Filter  # noqa: E402

SIZES = [int(os.environ["PRODUCTS"])] if os.environ.get("PRODUCTS") else [20_000, 200_000]
ROUNDS, WARM = int(os.environ.get("ROUNDS") or 20), 2
MAX_SUGGEST_MS = 5.0
TIMEOUT_MS = 60_000
KINDS = ("products", "brand", "category", "tag")
# Prefixes by how many of the active products have them: all words of names are asked for, and how often.
PREFIXES = """
with words as (
  select word, count(*) as n from public.products p, unnest(string_to_array(p.name_words, ' ')) word
  where p.is_active group by 1
), prefixes as (
  select left(word, size) as prefix, sum(n) as n from words, generate_series(1, 6) size
  where char_length(word) >= size group by 1
)
(select prefix from prefixes order by n desc limit 15)
union all (select prefix from prefixes where n between 2 and 50 order by md5(prefix) limit 15)
union all (select prefix from prefixes where n between 50 and 5000 order by md5(prefix) limit 15)
union all select unnest(array['zzz', 'qx', 'ünï', 'чай'])
"""
CATEGORY = """
select slug from public.categories c where exists (select from public.categories b where b.parent_id = c.id) limit 1
"""
BRAND = """
select slug from public.brands b
order by (select count(*) from public.products p where p.brand_id = b.id) desc limit 1
"""
WORDS = """
select word from ts_stat('select search from public.products limit 5000') where word ~ '^[a-z]{4,}$' and ndoc >= 3
"""
COMMON, RARE = f"{WORDS} order by ndoc desc limit 1 offset 2", f"{WORDS} and ndoc <= 30 order by word limit 1"


class Reader:
    """One connection of the API without a token."""

    def __init__(self, api: asyncpg.Connection[Any]) -> None:
        self.api = api
        self.statements: dict[str, Any] = {}

    def cpu(self) -> float:
        """Seconds that the backend has computed (Linux)."""
        return int(Path(f"/proc/{self.api.get_server_pid()}/schedstat").read_text().split()[0]) / 1e9

    async def taken(self, query: Composed, **values: Any) -> tuple[float, float]:
        """Milliseconds of the statement, passed and computed, with the claims already set."""
        sql, arguments = query.statement(**values)
        await self.api.execute("begin read only")
        await apply(self.api, ANONYMOUS, TIMEOUT_MS)
        if sql not in self.statements:  # as a session does: prepared once
            self.statements[sql] = await self.api.prepare(sql)
        computed, started = self.cpu(), time.perf_counter()
        await self.statements[sql].fetch(*arguments)
        took = (time.perf_counter() - started) * 1000, (self.cpu() - computed) * 1000
        await self.api.execute("commit")
        return took


def figures(taken: list[tuple[float, float]]) -> str:
    """The median, the 95th and the 99th percentile of the time that passed, and of the CPU's."""
    return "".join(
        f"{ordered[min(int(len(ordered) * share), len(ordered) - 1)]:9.2f}"
        for ordered in map(sorted, zip(*taken, strict=True))
        for share in (0.5, 0.95, 0.99)
    )


async def suggestions(reader: Reader, prefixes: list[str]) -> bool:
    """Prints a line for each kind; whether all are fast enough, by CPU: other work on the machine changes that less."""
    is_fast = True
    for kind in KINDS:
        name = "suggestions.products" if kind == "products" else "suggestions.names"
        given = {} if kind == "products" else {"kind": kind}
        taken: list[tuple[float, float]] = []
        for round_ in range(ROUNDS + WARM):
            for prefix in prefixes:
                took = await reader.taken(QUERIES[name].fill(), prefix=prefix, size=10, **given)
                if round_ >= WARM:
                    taken.append(took)
        computed = sorted(each[1] for each in taken)
        is_fast &= computed[int(len(computed) * 0.99)] <= MAX_SUGGEST_MS
        print(f"suggest {kind:32}{figures(taken)}", flush=True)
    return is_fast


async def facets(reader: Reader, owner: asyncpg.Connection[Any]) -> None:
    """Prints a line for each facet of each list."""
    category, brand, common, rare = [await owner.fetchval(sql) for sql in (CATEGORY, BRAND, COMMON, RARE)]
    price = {"min_price": Decimal(10), "max_price": Decimal(50), "currency": "GBP"}
    lists = {
        "everything": (None, Filter()),
        "in stock": (None, Filter(in_stock=True)),
        "a category": (None, Filter(category_slug=category)),
        "a brand": (None, Filter(brand_slugs=[brand])),
        "a frequent word": (common, Filter()),
        "that, in stock, 10 to 50": (common, Filter(in_stock=True, **price)),
        "a rare word": (rare, Filter()),
    }
    for name, (search, filter) in lists.items():
        query = search and await owner.fetchval(QUERIES["products.search_query"].sql, search)
        listed = Listed(query, filter, "GBP")
        for facet in OWN:
            given: dict[str, Any] = {"edges": list(EDGES)} if facet == "price_bands" else {"size": 20}
            taken = [await reader.taken(statement_of(listed, facet), **given) for _ in range(ROUNDS + WARM)]
            print(f"{name:28}{facet:12}{figures(taken[WARM:])}", flush=True)


async def measure(dsns: Dsns) -> bool:
    owner, api = await asyncpg.connect(dsns.superuser), await asyncpg.connect(dsns.api)
    try:
        await owner.execute("vacuum analyze")
        counted = await owner.fetchval("select count(*) from public.products where is_active")
        print(f"\n{f'{counted} products, ms':40}   median      p95      p99  med CPU  p95 CPU  p99 CPU")
        reader = Reader(api)
        is_fast = await suggestions(reader, [row["prefix"] for row in await owner.fetch(PREFIXES)])
        await facets(reader, owner)
        return is_fast
    finally:
        await api.close()
        await owner.close()


def main() -> None:
    home = Path(os.environ.get("BENCH_HOME") or ROOT / ".aclue-finding").resolve()
    is_fast = True
    for products in SIZES:
        seed = {"users": 200, "products": products, "swipes": 2_000}
        with database.running(home / str(products), seed) as (dsns, _):
            is_fast &= asyncio.run(measure(dsns))
    if not is_fast:
        sys.exit(f"suggestions took more than {MAX_SUGGEST_MS:g} ms")


if __name__ == "__main__":
    main()
