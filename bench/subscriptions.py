"""What idle subscribers cost: a server process, N sockets that each listen to all three subscriptions, its memory
before and after; then one event to each of them.

    make bench-subscriptions            500 sockets; fails over 50 MB
    python bench/subscriptions.py --sockets 2000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import httpx
from websockets.asyncio.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.processes import memory, served  # noqa: E402
from db import secrets  # noqa: E402
from db.embedded import EmbeddedServer  # noqa: E402

MAX_MB = 50.0
START = "mutation { startSession(input: {}) { accessToken } }"
SUBSCRIPTIONS = (
    "subscription { preferencesUpdated { totalSwipes categories { name score } } }",
    "subscription { recommendationsUpdated }",
    "subscription { affiliateConversion { id product { name } } }",
)


async def subscriber(port: int, token: str) -> ClientConnection:
    """A socket that listens to everything."""
    client = await connect(f"ws://127.0.0.1:{port}/graphql", subprotocols=["graphql-transport-ws"])  # type: ignore[list-item]
    await client.send(json.dumps({"type": "connection_init", "payload": {"token": token}}))
    await client.recv()
    for number, query in enumerate(SUBSCRIPTIONS):
        await client.send(json.dumps({"type": "subscribe", "id": str(number), "payload": {"query": query}}))
    await client.send('{"type":"ping"}')
    assert json.loads(await client.recv())["type"] == "pong"
    return client


async def measure(process: int, port: int, dsn: str, sockets: int) -> float:
    """Memory of the server that the sockets take, in MB."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        tokens = []
        for _ in range(sockets):
            body = (await http.post("/graphql", json={"query": START})).json()
            tokens.append(body["data"]["startSession"]["accessToken"])
        warm = [await subscriber(port, token) for token in tokens[:10]]
        for client in warm:
            await client.close()
    await asyncio.sleep(1)
    before = memory(process)
    clients = [await subscriber(port, token) for token in tokens]
    await asyncio.sleep(1)
    after = memory(process)
    taken = after.uss - before.uss
    print(f"{sockets} sockets, {len(SUBSCRIPTIONS)} subscriptions each: {taken:.1f} MB private, ", end="")
    print(f"{1024 * taken / sockets:.1f} kB a socket; the process has {after.uss:.1f} MB of {after.rss:.1f} MB")
    owner = await asyncpg.connect(dsn)
    began = time.perf_counter()
    await owner.execute("select pg_notify('aclue_changes', 'feeds *')")
    for client in clients:
        assert json.loads(await client.recv())["payload"] == {"data": {"recommendationsUpdated": True}}
    print(f"an event to each of them: {time.perf_counter() - began:.2f} s until the last had it")
    await owner.close()
    await asyncio.gather(*(client.close() for client in clients))
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=500)
    sockets = parser.parse_args().sockets
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="aclue-bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        with EmbeddedServer(home, secrets.load_or_create(home), is_temporary=True) as dsns:
            assert dsns.owner
            limits = {"MAX_STREAMS": str(sockets + 10), "MAX_STREAMS_PER_ADDRESS": str(sockets + 10)}
            with served(home, dsns.api, dsns.owner, **limits) as server:
                taken = asyncio.run(measure(server.pid, server.port, dsns.owner, sockets))
    if sockets == 500 and taken > MAX_MB:
        print(f"more than {MAX_MB:.0f} MB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
