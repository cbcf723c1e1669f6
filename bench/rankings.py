"""What Postgres takes to rank a feed, in this checkout and, interleaved, in another one.

    make bench-rankings                              this checkout
    make bench-rankings BEFORE=../before             beside another one, which has a .venv of its own
    make bench-rankings PRODUCTS=200000              a large catalogue; its 60 million weights take 6 GB of disk
    ROUNDS=9 PEOPLE=40 .venv/bin/python bench/rankings.py

The statements that rank a first page, as resolvers/feeds.py composes them, on one connection of the API's own role
under claims. People have 0, 10, 30, 50 or 300 signals, two thirds of them likes; some have a personality, as `aclue
seed` gave it to them. The trained weights are made up: 100 of each product for each kind of table, most of them to
popular products of the same taste. In a checkout whose feeds read no weights, the statements of that checkout are
measured, for people with the same signals. RANKINGS_HOME: where the databases are kept, one per checkout and number of
products. CPU is that of the backend (Linux), which other work on the machine changes less than the time that passes.

Recall is the share of the best 20 of all products that are among the best 20 of the candidates. Exit code 1 when it is
less than MIN_RECALL for people of some number of signals.
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
PRODUCTS = int(os.environ.get("PRODUCTS") or 20_000)
SEED = {"users": 1_000, "products": PRODUCTS, "swipes": 50_000}
SIGNALS = (0, 10, 30, 50, 300)
MAX_PEOPLE = 100  # with each number of signals
TASTE = 500  # products of one taste
WARM = 2  # rounds
BEST, MIN_RECALL = 20, 0.98
TIMEOUT_MS = 60_000

# Each product has a place, from 0. Within a taste the first places are the most popular.
PLACES = """
create temporary table places as
  select id, number, row_number() over (order by number)::int - 1 as place from public.products where is_active;
analyze places;
"""
# Drawn by weight without repetition (Efraimidis and Spirakis 2006): seven tenths of the person's taste.
HISTORY = f"""
insert into public.swipes (user_id, client_swipe_id, product_id, direction, created_at)
select $1, 'rankings-' || n, id,
  (array['right', 'left', 'up', 'right', 'left', 'right'])[1 + n % 6]::public.swipe_direction,
  date_trunc('day', now()) - n * interval '9 hours'
from (
  select id, row_number() over (order by ln(u) / w desc) as n
  from (
    select id, (1 + (hashtextextended($2::int || ' ' || place, 0) & 2147483647)) / 2147483648.0::double precision as u,
      case when place / {TASTE} = $2::int % ({PRODUCTS} / {TASTE}) then 0.7 / {TASTE} else 0.3 / {PRODUCTS} end
        / (1 + place % {TASTE} / 100.0)::double precision as w
    from places) weighed
) drawn
where n <= $3
"""
NEWEST = """
insert into public.product_signals (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)
select user_id, product_id, id, direction, preference_strength, created_at from public.swipes where user_id = $1
on conflict do nothing
"""
# Of the weights of a rank, seven of ten name products of the same taste; both parts prefer popular ones.
WEIGHTS = f"""
insert into public.model_weights (trained_version, kind, source, rank, target, weight)
select $1, k.kind, s.number, r.rank, t.number,
  (0.3 * power(r.rank + 1, -0.7) * (0.8 + 0.2 * x.part))::real
from places s
cross join unnest(enum_range(null::public.table_kind)) with ordinality k (kind, i)
cross join generate_series(0, 99) r (rank)
cross join lateral (select (hashtextextended(s.number || ' ' || k.i, 0) & 1023) / 1024.0::double precision as part) x
cross join lateral (select (r.rank * 37 + s.place + k.i * 11) % 100 as step) y
join places t on t.place = case
  when y.step < 70 then s.place / {TASTE} * {TASTE}
    + floor({TASTE} * power((y.step + x.part) / 70, 1.5))::int
  else floor({PRODUCTS} * power((y.step - 70 + x.part) / 30, 2))::int end
where t.number <> s.number
"""
BIASES = f"""
insert into public.model_products (trained_version, number, first_bias, few_bias, many_bias, like_rate, like_share)
select $1, number, 0.5 * bias, 0.3 * bias, 0.2 * bias, 0.3 + 0.4 * bias, 0.1 * bias
from (
  select number, exp(-place % {TASTE} / 100.0) * (0.5 + (hashtextextended(number::text, 1) & 1023) / 2048.0) as bias
  from places) b
"""
TRAINED = """
insert into public.trained_models (people, events, products, parameters, metrics, serving)
values (1000, 50000, $1, '{}', '{}', $2) returning version
"""
SERVING = {
    "blend": {"first": 0.8, "few": 0.8, "many": 0.8}, "super_like": 1.25, "half_life": 365,
    "largest_bias": {"first": 0.5, "few": 0.3, "many": 0.2}, "largest_share": 0.1,
}  # fmt: skip
PEOPLE = "select id from public.profiles where not is_anonymous order by id limit $1"
COUNT = "select count(*) from public.product_signals where user_id = $1"


class Ranker:
    """One connection of the API, and what it runs for a person's first page."""

    def __init__(self, api: Any, people: dict[int, list[tuple[UUID, Any]]]) -> None:
        from db.queries import QUERIES, all_of

        self.api, self.people = api, people
        self.queries, self.all_of = QUERIES, all_of
        self.is_trained = "recommendations.ranked" in QUERIES
        self.statements: dict[str, Any] = {}

    def cpu(self) -> float:
        """Seconds that the backend has computed."""
        return int(Path(f"/proc/{self.api.get_server_pid()}/schedstat").read_text().split()[0]) / 1e9

    async def fetch(self, query: Any, **values: Any) -> list[Any]:
        """As a session does: prepared once for each role and text."""
        query = self.queries[query].fill() if isinstance(query, str) else query
        sql, arguments = query.statement(**values)
        if sql not in self.statements:
            self.statements[sql] = await self.api.prepare(sql)
        rows: list[Any] = await self.statements[sql].fetch(*arguments)
        return rows

    def bind(self, name: str, **values: Any) -> Any:
        return self.queries[f"recommendations.{name}"].bind(**values)

    async def ranked(self, person: UUID, *, everything: bool = False) -> list[Any]:
        """The window of a first page: see resolvers/feeds.py."""
        conditions = [
            self.queries["products.is_active"].bind(),
            self.queries["products.in_stock"].bind(in_stock=True),
            self.bind("is_not_avoided", user_id=person),
            self.bind("is_in_stated_prices", user_id=person, default_currency="GBP"),
        ]
        filters = self.all_of(conditions)
        candidates = self.bind("listed", filter_facets=[])
        if everything:
            others = self.queries["recommendations.others"]
            whole = others.fill(chunk="true", filters=filters, listed="select null::int")
            candidates = type(candidates)(whole.text, whole.values)
        query = self.queries["recommendations.ranked"].fill(
            candidates=candidates, filters=filters, is_new=self.bind("is_new_to", user_id=person)
        )
        return await self.fetch(
            query, user_id=person, until=None, model=None, arm=0, with_hidden=False, size=51, after_score=None,
            after_number=None, boost_facets=[], boost_factors=[],
        )  # fmt: skip

    async def ranked_before(self, person: UUID) -> list[Any]:
        """A first page of 20 before feeds were ranked from trained weights."""
        (newest,) = await self.fetch("recommendations.state", user_id=person, product_ids=[])
        frozen = {"until": newest["until"], "model": newest["version"]}
        conditions = [
            self.queries["products.in_stock"].bind(in_stock=True),
            self.bind("is_new_to", user_id=person),
        ]
        if newest["is_large"]:
            (found,) = await self.fetch("recommendations.lists_for", user_id=person, **frozen)
            conditions.insert(0, self.bind("is_candidate", model=newest["version"], lists=found["lists"]))
        query = self.queries["recommendations.discover"].fill(filters=self.all_of(conditions))
        return await self.fetch(query, user_id=person, size=21, after_score=None, after_id=None, **frozen)

    async def under(self, claims: Any, work: Any) -> tuple[float, float, list[Any]]:
        """Milliseconds, passed and computed, and rows."""
        from db.claims import apply

        await self.api.execute("begin read only")
        await apply(self.api, claims, TIMEOUT_MS)
        computed, started = self.cpu(), time.perf_counter()
        rows = await work()
        took = time.perf_counter() - started, self.cpu() - computed
        await self.api.execute("commit")
        assert rows
        return took[0] * 1000, took[1] * 1000, rows

    async def round(self, signals: int, people: int) -> list[tuple[float, float]]:
        """Milliseconds of each of these people, passed and computed."""
        rank = self.ranked if self.is_trained else self.ranked_before
        found = []
        for person, claims in self.people[signals][:people]:
            passed, computed, _ = await self.under(claims, lambda person=person: rank(person))
            found.append((passed, computed))
        return found

    async def recall(self, signals: int, people: int) -> list[float | None]:
        """Of these people, and of those with a personality among them; None where there is nobody, or no candidates to
        judge."""
        if not self.is_trained:
            return [None, None]
        shares, of_quiz = [], []
        for person, claims in self.people[signals][:people]:
            best = []
            for everything in (False, True):
                _, _, rows = await self.under(
                    claims, lambda person=person, everything=everything: self.ranked(person, everything=everything)
                )
                best.append({row["number"] for row in rows[:BEST]})
            shares.append(len(best[0] & best[1]) / len(best[1]))
            if any(json.loads(rows[0]["shared"])["leanings"]):
                of_quiz.append(shares[-1])
        return [statistics.mean(shares), statistics.mean(of_quiz) if of_quiz else None]


async def fill(owner: Any, people: list[UUID]) -> None:
    """What everybody swiped, and the weights where feeds use them."""
    from db.queries import QUERIES

    await owner.execute(PLACES)
    for number, person in enumerate(people):
        await owner.execute("delete from public.swipes where user_id = $1", person)
        await owner.execute(HISTORY, person, number, SIGNALS[number % len(SIGNALS)])
        await owner.execute(NEWEST, person)
    if "recommendations.ranked" in QUERIES:
        trained = await owner.fetchval(TRAINED, PRODUCTS, json.dumps(SERVING))
        for statement in (WEIGHTS, BIASES):
            await owner.execute(statement, trained)
    await owner.execute("select private.refresh_model()")
    await owner.execute("vacuum analyze")


async def prepare(dsns: Any, secret: str, *, is_filled: bool) -> Ranker:
    import asyncpg

    import settings as settings_module
    from services.tokens import Tokens

    owner = await asyncpg.connect(dsns.superuser)
    ids = [row["id"] for row in await owner.fetch(PEOPLE, MAX_PEOPLE * len(SIGNALS))]
    if not is_filled:
        await fill(owner, ids)
    tokens = Tokens(settings_module.load({}), secret)
    people: dict[int, list[tuple[UUID, Any]]] = {}
    for number, person in enumerate(ids):
        signals = SIGNALS[number % len(SIGNALS)]
        assert await owner.fetchval(COUNT, person) == signals
        people.setdefault(signals, []).append((person, tokens.issue(person, lifetime=24 * 3600)[1]))
    await owner.close()
    return Ranker(await asyncpg.connect(dsns.api), people)


async def answer(ranker: Ranker) -> None:
    loop = asyncio.get_running_loop()
    print("> ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        kind, signals, people = json.loads(line)
        found: Any = await (ranker.recall if kind == "recall" else ranker.round)(signals, people)
        print(f"> {json.dumps(found)}", flush=True)


def serve(folder: Path) -> None:
    """In the process of a checkout: reads questions from stdin, writes milliseconds to stdout."""
    sys.path.insert(0, str(folder))
    from bench import database

    filled = database.HOME / "filled"
    with database.running(seed=SEED) as (dsns, secret), asyncio.Runner() as runner:
        ranker = runner.run(prepare(dsns, secret, is_filled=filled.exists()))
        filled.touch()
        runner.run(answer(ranker))


def row(signals: int, checkout: str, taken: list[tuple[float, float]], recalls: list[float | None]) -> str:
    passed, computed = map(sorted, zip(*taken, strict=True))
    high = passed[min(int(len(passed) * 0.99), len(passed) - 1)]
    return (
        f"{signals:7}  {checkout:8}{statistics.median(passed):9.2f}{high:9.2f}{statistics.median(computed):9.2f}"
        + "".join(" " * 11 if recall is None else format(recall, "11.3f") for recall in recalls)
    )


def ratio(before: list[tuple[float, float]], after: list[tuple[float, float]]) -> str:
    passed, computed = (
        statistics.median(one[place] for one in before) / statistics.median(one[place] for one in after)
        for place in (0, 1)
    )
    return f"{'':9}times as fast {passed:.2f}, by CPU {computed:.2f}"


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
        return
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    home = Path(os.environ.get("RANKINGS_HOME") or ROOT / ".aclue-rankings").resolve()
    rounds, people = int(os.environ.get("ROUNDS") or 5), int(os.environ.get("PEOPLE") or 20)
    if not 0 < people <= MAX_PEOPLE:
        sys.exit(f"PEOPLE: 1 to {MAX_PEOPLE}, with each number of signals")
    sys.path.insert(0, str(ROOT))
    from bench.checkouts import Checkout

    others = [
        Checkout("before", __file__, Path(folder).resolve(), home / f"before-{PRODUCTS}") for folder in sys.argv[1:]
    ]
    checkouts = [*others, Checkout("after", __file__, ROOT, home / f"after-{PRODUCTS}")]
    for checkout in checkouts:
        for signals in SIGNALS * WARM:
            checkout.ask("rank", signals, people)
    seen: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for number in range(rounds):
        for signals in SIGNALS:
            for checkout in checkouts if number % 2 else checkouts[::-1]:
                seen.setdefault((signals, checkout.name), []).extend(checkout.ask("rank", signals, people))
    recalls = {
        (signals, checkout.name): checkout.ask("recall", signals, people)
        for checkout in checkouts
        for signals in SIGNALS
    }
    for checkout in checkouts:
        checkout.close()
    print(f"{PRODUCTS:,} products, {people} people with each number of signals, {rounds} rounds; ms")
    print("signals  checkout      p50      p99      CPU  recall@20  with a personality")
    for signals in SIGNALS:
        for checkout in checkouts:
            print(row(signals, checkout.name, seen[signals, checkout.name], recalls[signals, checkout.name]))
        if others:
            print(ratio(seen[signals, "before"], seen[signals, "after"]))
    low = [signals for signals in SIGNALS if recalls[signals, "after"][0] < MIN_RECALL]
    sys.exit(f"recall below {MIN_RECALL} with {', '.join(map(str, low))} signals" if low else 0)


if __name__ == "__main__":
    main()
