"""What an export of much data costs: a server process, one person with SIZE_MB of events, the server's memory while
they download it, and how long `{ __typename }` takes beside it.

    make bench-exports                  1000 MB; fails over 80 MB of memory or 100 ms
    make bench-exports SIZE_MB=100
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.processes import cpu_seconds, memory, served  # noqa: E402
from db import secrets  # noqa: E402
from db.embedded import EmbeddedServer  # noqa: E402
from domain import ids  # noqa: E402

MAX_MB = 80.0
MAX_MS = 100.0
EVENT_BYTES = 1_000  # of a line, about
BATCH = 50_000
BETWEEN_REQUESTS = 0.02
BETWEEN_LOOKS = 0.05
START = "mutation { startSession(input: {}) { accessToken refreshToken } }"
EXPORT = """
mutation ($token: String!) { exportMyData(input: {refreshToken: $token}) { url userErrors { message } } }
"""
EVENTS = """
insert into public.analytics_events (user_id, id, event_name, properties)
select $1, private.uuid_v7(), 'page_read', jsonb_build_object('text', t.text)
from generate_series(1, $2::int) n
cross join lateral (select string_agg(md5(random()::text || n || m), '') as text from generate_series(1, 24) m) t
"""


async def seed(dsn: str, user: Any, megabytes: int) -> None:
    owner = await asyncpg.connect(dsn)
    left = megabytes * 1_000_000 // EVENT_BYTES
    while left > 0:
        await owner.execute(EVENTS, user, min(left, BATCH))
        left -= BATCH
    await owner.execute("analyze public.analytics_events")
    await owner.close()


async def ask(http: httpx.AsyncClient, bearer: str | None, query: str, **variables: Any) -> Any:
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    answer = (await http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)).json()
    assert "errors" not in answer, answer
    return answer["data"]


async def beside(http: httpx.AsyncClient, waits: list[float]) -> None:
    """Small requests, one after the other; the milliseconds that each took."""
    while True:
        began = time.perf_counter()
        await ask(http, None, "{ __typename }")
        waits.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(BETWEEN_REQUESTS)


async def look(process: int, seen: list[float]) -> None:
    while True:
        seen.append(memory(process).uss)
        await asyncio.sleep(BETWEEN_LOOKS)


def download(url: str, file: Path) -> subprocess.Popen[bytes]:
    """By a process of its own, so that this one's clock measures the server alone."""
    program = "import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])"
    return subprocess.Popen([sys.executable, "-c", program, url, str(file)])


def described(file: Path) -> tuple[float, dict[str, Any]]:
    """The size in MB and the last line."""
    with file.open("rb") as written:
        size = written.seek(0, os.SEEK_END)
        written.seek(max(0, size - 10_000))
        return size / 1e6, msgspec.json.decode(written.read().splitlines()[-1])


async def measure(server: int, port: int, dsn: str, megabytes: int, file: Path) -> bool:
    address = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=address, timeout=60) as http:
        visitor = (await ask(http, None, START))["startSession"]
        token = visitor["accessToken"]
        user = ids.decode_as("Profile", (await ask(http, token, "{ me { id } }"))["me"]["id"])
        began = time.perf_counter()
        await seed(dsn, user, megabytes)
        print(f"seeded {megabytes} MB of events in {time.perf_counter() - began:.0f} s", flush=True)
        quiet: list[float] = []
        alone = asyncio.create_task(beside(http, quiet))
        await asyncio.sleep(3)
        alone.cancel()
        payload = (await ask(http, token, EXPORT, token=visitor["refreshToken"]))["exportMyData"]
        before = memory(server).uss
        seen: list[float] = [before]
        waits: list[float] = []
        tasks = [asyncio.create_task(beside(http, waits)), asyncio.create_task(look(server, seen))]
        cpu, began = cpu_seconds([server]), time.perf_counter()
        client = download(payload["url"], file)
        status = await asyncio.to_thread(client.wait)
        took, cpu = time.perf_counter() - began, cpu_seconds([server]) - cpu
        for task in tasks:
            task.cancel()
    assert status == 0, f"the download failed: {status}"
    size, last = described(file)
    assert last["complete"], last
    more = max(seen) - before
    print(
        f"{size:.0f} MB, {last['rows']} rows in {took:.1f} s: {size / took:.0f} MB/s, {cpu:.1f} s of the server's CPU"
    )
    print(f"memory of the server: {before:.1f} MB before, {more:.1f} MB more at most")
    for name, times in (("alone", sorted(quiet)), ("beside it", sorted(waits))):
        half, most = times[len(times) // 2], times[-1]
        late = times[int(len(times) * 0.99)]
        print(f"{{ __typename }} {name}: p50 {half:.1f} ms, p99 {late:.1f} ms, max {most:.1f} ms of {len(times)}")
    return more <= MAX_MB and sorted(waits)[int(len(waits) * 0.99)] <= MAX_MS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mb", type=int, default=1000)
    megabytes = parser.parse_args().size_mb
    with tempfile.TemporaryDirectory(prefix="aclue-bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        with EmbeddedServer(home, secrets.load_or_create(home)) as dsns:
            assert dsns.owner
            with served(home, dsns.api, dsns.owner) as server:
                file = home / "export.ndjson"
                is_within = asyncio.run(measure(server.pid, server.port, dsns.owner, megabytes, file))
    if not is_within:
        print(f"more than {MAX_MB:.0f} MB, or requests beside it took over {MAX_MS:.0f} ms", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
