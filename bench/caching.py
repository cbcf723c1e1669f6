"""Public answers from the cache and read anew, in interleaved rounds on two servers of one database; and how old an
answer gets while products are edited.

    make bench-caching                          five rounds of Q2 and Q5, then 2,000 edits
    make bench-caching ROUNDS=9 SECONDS=5 CONNECTIONS=2,16,64 EDITS=10000

Each round measures both servers, in turn first; the ratios are of one round. While products are edited, CLIENTS (16)
ask the server with the cache for the one that was edited last. Exit code 1 if an answer lacked an edit that had been
committed a second before.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import database, limit, load, peers  # noqa: E402
from bench.database import Prepared  # noqa: E402
from bench.peers import Peer  # noqa: E402
from bench.questions import ACLUE, CATEGORIES, PRODUCTS, global_id  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS") or 5)
SECONDS = float(os.environ.get("SECONDS") or 3)
WARM_SECONDS = float(os.environ.get("WARM") or 3)
CONNECTIONS = [int(each) for each in (os.environ.get("CONNECTIONS") or "2,16").split(",")]
EDITS = int(os.environ.get("EDITS") or 2_000)
CLIENTS = int(os.environ.get("CLIENTS") or 16)
MAX_PAUSE_SECONDS = 0.03  # between edits
MAX_AGE_SECONDS = 1.0
CACHE_BYTES = 32_000_000
EDITED = "query ($id: ID!) { product(id: $id) { name } }"


def windows(prepared: Prepared, without: Peer, cached: Peer) -> None:
    """Prints requests per second and CPU time per request of both servers, with their ratios."""
    tokens = [person.token for person in prepared.readers]

    def window(server: Peer, body: str, connections: int, seconds: float) -> tuple[float, float]:
        watched = {"server": [server.pid]}
        job = load.Job(server.port, connections, seconds, tokens, body, watched=watched)
        seen = load.run(job)
        return seen.requests / seen.seconds, seen.cpu["server"] * 1000 / seen.requests

    print(f"{'':4}{'connections':>12}{'without /s':>12}{'cached /s':>12}{'ratio':>22}{'CPU ms':>16}{'ratio':>8}")
    for question in (PRODUCTS, CATEGORIES):
        body = limit.body_of(question, ACLUE, prepared)
        for connections in CONNECTIONS:
            for server in (without, cached):
                window(server, body, connections, WARM_SECONDS)
            pairs = []
            for number in range(ROUNDS):
                order = (without, cached) if number % 2 else (cached, without)
                seen = {server.port: window(server, body, connections, SECONDS) for server in order}
                pairs.append((seen[without.port], seen[cached.port]))
            rates = [new[0] / old[0] for old, new in pairs]
            without_rate, cached_rate = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
            without_cpu, cached_cpu = (statistics.median(pair[side][1] for pair in pairs) for side in (0, 1))
            spread = f"{statistics.median(rates):.2f} ({min(rates):.2f} to {max(rates):.2f})"
            print(
                f"{question.name:4}{connections:12}{without_rate:12,.0f}{cached_rate:12,.0f}  {spread:>20}"
                f"{f'{without_cpu:.3f} {cached_cpu:.3f}':>16}{without_cpu / cached_cpu:8.2f}",
                flush=True,
            )


async def oldest(prepared: Prepared, server: Peer) -> tuple[float, int, int]:
    """For how long an answer lacked an edit that had been committed, at most; and how many answers there were, and how
    many of them lacked one."""
    committed_at: list[float] = []
    is_over = asyncio.Event()
    age, answers, stale = 0.0, 0, 0

    product = prepared.products[0]
    question = {"query": EDITED, "variables": {"id": global_id("Product", product)}}

    change = "update public.products set name = $2 where id = $1"

    async def edit() -> None:
        try:
            for number in range(EDITS):
                await owner.execute(change, product, f"edit {number}")
                committed_at.append(time.perf_counter())
                await asyncio.sleep(random.uniform(0, MAX_PAUSE_SECONDS))
            await asyncio.sleep(MAX_AGE_SECONDS)
        finally:
            is_over.set()

    async def read(http: httpx.AsyncClient) -> None:
        nonlocal age, answers, stale
        while not is_over.is_set():
            answer = (await http.post("/graphql", json=question)).json()
            now = time.perf_counter()
            told = answer["data"]["product"]["name"]
            shown = int(told[5:]) if told.startswith("edit ") else -1
            answers += 1
            if shown + 1 < len(committed_at):
                lacked = now - committed_at[shown + 1]
                age, stale = max(age, lacked), stale + 1

    owner = await asyncpg.connect(prepared.dsns.owner)
    name = await owner.fetchval("select name from public.products where id = $1", product)
    url = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=url, timeout=60) as http, asyncio.TaskGroup() as group:
        group.create_task(edit())
        for _ in range(CLIENTS):
            group.create_task(read(http))
    await owner.execute(change, product, name)
    await owner.close()
    return age, answers, stale


def main() -> int:
    with database.running() as (dsns, secret), ExitStack() as stack:
        prepared = asyncio.run(database.prepare(dsns, secret))
        without = stack.enter_context(peers.aclue(prepared))
        cached = stack.enter_context(peers.aclue(prepared, public_cache_bytes=CACHE_BYTES))
        print(
            f"PostgreSQL {prepared.version}, {prepared.rows['products']} products; median of {ROUNDS} rounds (spread)"
        )
        windows(prepared, without, cached)
        age, answers, stale = asyncio.run(oldest(prepared, cached))
        print(f"{EDITS} edits, {answers} answers: {stale} lacked an edit, for {1000 * age:.0f} ms at most")
    return 1 if age > MAX_AGE_SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
