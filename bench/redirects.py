"""How long a redirect of a tracked link takes: a server process, and visitors who come at a fixed rate.

    make bench-redirects                        200 requests a second, for 10 seconds each
    make bench-redirects RATE=500 SECONDS=30

Each kind of visitor in turn: one who was never seen, whose hit is stored; one who comes again; a link preview; and one
whose offer is sold out, so that the link leads to another shop. A latency counts from when a request was due. CPU is
that of the server and of Postgres, for each request (Linux). Exit code 1 when a 99th percentile is over 20 ms.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import msgspec
import psutil
import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.processes import cpu_seconds, served  # noqa: E402
from db import secrets  # noqa: E402
from db.embedded import EmbeddedServer  # noqa: E402

MAX_P99_MS = 20.0
RATE, SECONDS = float(os.environ.get("RATE") or 200), float(os.environ.get("SECONDS") or 10)
LINKS, CONNECTIONS, WARM_SECONDS = 200, 32, 2.0
AGENTS = {
    "first visits": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36",
    "further visits": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36",
    "link previews": "facebookexternalhit/1.1",
    "sold out": "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
}
SETTINGS = {
    "RATE_LIMIT_ADDRESS_COST": str(10**9),
    "STORAGE_LIMIT_NETWORK": str(10**12),
    "TRUSTED_PROXIES": "127.0.0.1",
}
START = "mutation { startSession(input: {}) { accessToken } }"
PRODUCTS = "{ products(first: 50) { nodes { id } } }"
CLICK = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { click { redirectUrl } } }"
OTHER_OFFERS = """
insert into public.products (name, price_minor, currency, category_id, retailer_id, external_id, affiliate_url,
  is_active, merged_into, merged_at, merged_by)
select p.name, p.price_minor + 100, p.currency, p.category_id, r.id, 'bench-' || p.id,
  'https://' || r.domain || '/' || p.id, false, p.id, now(), 'gtin'
from public.products p
cross join lateral (
  select r.id, r.domain from public.retailers r
  where r.id <> p.retailer_id and r.domain is not null order by r.id limit 1) r
where p.is_active
"""
SOLD_OUT = "update public.product_offers set in_stock = false where id = product_id"


class Visitor(asyncio.Protocol):
    """A connection over which one request at a time is answered."""

    def __init__(self) -> None:
        self._data = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if b"\r\n\r\n" in self._data and self._answer is not None:  # a redirect has no body
            answer, self._answer, self._data = self._answer, None, self._data[:0]
            answer.set_result(data)

    async def ask(self, request: bytes) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


def requests(kind: str, paths: list[str]) -> Iterator[bytes]:
    """Without end."""
    for number, path in zip(itertools.count(), itertools.cycle(paths)):
        place = number if kind == "first visits" else number % 7
        address = f"10.{place >> 16 & 255}.{place >> 8 & 255}.{place & 255}"
        yield (
            f"GET {path} HTTP/1.1\r\nhost: bench\r\nuser-agent: {AGENTS[kind]}\r\nx-forwarded-for: {address}\r\n\r\n"
        ).encode()


async def visit(port: int, made: Iterator[bytes], seconds: float) -> list[float]:
    """Milliseconds that each request took, in order of size."""
    loop = asyncio.get_running_loop()
    idle: asyncio.Queue[Visitor] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        idle.put_nowait((await loop.create_connection(Visitor, "127.0.0.1", port))[1])
    took: list[float] = []

    async def one(due: float) -> None:
        visitor = await idle.get()
        answer = await visitor.ask(next(made))
        took.append((time.perf_counter() - due) * 1000)
        assert answer.startswith(b"HTTP/1.1 302"), answer
        idle.put_nowait(visitor)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(RATE * seconds)):
            due = began + number / RATE
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            group.create_task(one(due))
    return sorted(took)


async def links(port: int) -> list[str]:
    """Paths of tracked links."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:

        async def ask(query: str, token: str | None = None, **variables: Any) -> Any:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            answer = await http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
            return msgspec.json.decode(answer.content)["data"]

        token = (await ask(START))["startSession"]["accessToken"]
        products = [node["id"] for node in (await ask(PRODUCTS))["products"]["nodes"]]
        made = [await ask(CLICK, token, id=id) for id in itertools.islice(itertools.cycle(products), LINKS)]
        return [urlsplit(one["createAffiliateClick"]["click"]["redirectUrl"]).path for one in made]


def load(kind: str, port: int, paths: list[str], seconds: float) -> list[float]:
    """By a process of its own, whose interpreter nobody else keeps busy."""
    job = msgspec.json.encode([kind, port, paths, seconds])
    done = subprocess.run([sys.executable, __file__, "load"], input=job, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=list[float])


async def measure(server: int, port: int, owner_dsn: str) -> bool:
    paths = await links(port)
    owner = await asyncpg.connect(owner_dsn)
    await owner.execute(OTHER_OFFERS)
    postmaster = psutil.Process(await owner.fetchval("select pg_backend_pid()")).ppid()
    is_within = True
    for kind in AGENTS:
        if kind == "sold out":
            await owner.execute(SOLD_OUT)
        await asyncio.to_thread(load, kind, port, paths, WARM_SECONDS)
        before = [cpu_seconds([pid]) for pid in (server, postmaster)]
        took = await asyncio.to_thread(load, kind, port, paths, SECONDS)
        cpu = [
            (cpu_seconds([pid]) - was) / len(took) * 1000 for pid, was in zip((server, postmaster), before, strict=True)
        ]
        p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
        is_within &= p99 <= MAX_P99_MS
        print(
            f"{kind:15} p50 {p50:5.1f} ms, p99 {p99:5.1f} ms, max {took[-1]:5.1f} ms of {len(took)}; "
            f"CPU {cpu[0]:.2f} ms of the server, {cpu[1]:.2f} ms of Postgres",
            flush=True,
        )
    hits = await owner.fetchrow(
        "select count(*) filter (where is_counted), count(*), pg_total_relation_size('public.affiliate_redirects')"
        " from public.affiliate_redirects"
    )
    assert hits
    print(f"{hits[0]} hits counted of {hits[1]} stored, {hits[2] / max(hits[1], 1):.0f} bytes each")
    await owner.close()
    return is_within


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aclue-bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        with EmbeddedServer(home, secrets.load_or_create(home)) as dsns:
            assert dsns.owner
            with served(home, dsns.api, dsns.owner, **SETTINGS) as server:
                is_within = asyncio.run(measure(server.pid, server.port, dsns.owner))
    if not is_within:
        print(f"a 99th percentile is over {MAX_P99_MS:.0f} ms", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["load"]:
        kind, port, paths, seconds = msgspec.json.decode(sys.stdin.buffer.read())
        sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(visit(port, requests(kind, paths), seconds))))
    else:
        raise SystemExit(main())
