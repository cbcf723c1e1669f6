"""How much of a day's traffic this server takes: people who read feeds, swipe, and follow links, at a rising rate.

    make bench-day                                     the whole: about 15 minutes
    make bench-day DAY="--hold 60 --overload 20"       shorter
    make bench-day DAY="--workers 2"                   two server processes
    make bench-day DAY="--peers"                       the same questions to PostGraphile, where it can answer

2,000 people with a connection, a network and a token each hold 30 to 300 signals. Of a hundred requests 40 are feeds,
35 swipes (each followed by a feed of the same person), 15 product pages, 5 links, 1 the quiz, 4 others: bench/mix.py.
The rate rises until the 95th percentile passes 100 ms; the highest rate below is then held for --hold seconds, and at
three times this rate the server must refuse what it cannot do (OVERLOADED) and answer the rest within half a second.

The server runs as in production with its own limits, with jobs but for the model. Load, server and Postgres share the
machine; what else ran on it is told with each line. Exit code 1 when a rate of --gate is not reached, an answer was an
error, memory grew, or an admitted request took too long.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import database, peers  # noqa: E402
from bench.crowd import Given, Seen, Trial  # noqa: E402
from bench.database import Prepared  # noqa: E402
from bench.mix import COMPARED, SHARES, Server  # noqa: E402
from bench.people import Asking, prepare  # noqa: E402
from bench.processes import private_memory  # noqa: E402
from bench.questions import global_id  # noqa: E402

HOME = Path(os.environ.get("DAY_HOME") or ROOT / ".aclue-day").resolve()
PEOPLE, PRODUCTS = 2_000, 20_000
POOL = 6 * (os.cpu_count() or 2)  # docs/limits.md
MAX_P95_SECONDS = 0.1
MAX_ADMITTED_SECONDS = 0.5  # of the 99th percentile, beyond capacity
MAX_GROWTH_MB = 20.0  # an hour
RISE, NARROWINGS = 1.25, 3
REST_SECONDS = 2.0
JOBS_SECONDS = 600
SAMPLE_SECONDS = 2.0

_HAS_JOBS = "select exists (select from jobs.pgqueuer where status <> 'failed')"


@contextlib.contextmanager
def aclue(asking: Asking, workers: int = 1, pool: int = POOL) -> Iterator[peers.Peer]:
    """This server in production, with its own limits. Its log is in the folder of the benchmark. `pool`: connections of
    all processes together."""
    environment = {
        "ENVIRONMENT": "production",
        "ACLUE_HOME": str(HOME),
        "DATABASE_URL": asking.dsns.api,
        "WORKER_DATABASE_URL": asking.dsns.worker or "",
        "MIGRATION_DATABASE_URL": "",
        "JWT_SECRET": asking.secret,
        "JWT_ISSUER": peers.ISSUER,
        "JWT_AUDIENCE": peers.AUDIENCE,
        "HOST": "127.0.0.1",
        "WORKERS": str(workers),
        "DATABASE_POOL_SIZE": str(max(pool // workers, 1)),
        "DATABASE_MAX_OVERFLOW": "0",
        "TRUSTED_PROXIES": "127.0.0.1",  # everybody comes from a network of their own
        "MODEL_REFRESH_INTERVAL": "86400",  # a training would fall into some trial or other
        "KEEP_ALIVE": "3600",  # people who rest for a while stay connected
    }
    with peers.started("aclue", [sys.executable, "-m", "cli", "serve"], environment, log=HOME / "server.log") as peer:
        deadline = time.monotonic() + peers.TIMEOUT_SECONDS
        while httpx.get(f"http://127.0.0.1:{peer.port}/readyz", timeout=10).status_code != 200:
            assert time.monotonic() < deadline, "the server is not ready"
            time.sleep(0.2)
        asyncio.run(until_idle(asking.dsns.superuser))
        yield peer


async def until_idle(superuser_dsn: str) -> None:
    """Until the jobs that a server begins with are done, a training among them."""
    superuser = await asyncpg.connect(superuser_dsn)
    try:
        async with asyncio.timeout(JOBS_SECONDS):
            while await superuser.fetchval(_HAS_JOBS):  # noqa: ASYNC110  of another process
                await asyncio.sleep(0.5)
    finally:
        await superuser.close()


def postgraphile(asking: Asking) -> contextlib.AbstractContextManager[peers.Peer]:
    prepared = Prepared(HOME, asking.dsns, asking.secret, [], [], [], [], "", {})
    found: contextlib.AbstractContextManager[peers.Peer] = peers.postgraphile(prepared)
    return found


class Load:
    """The process that asks."""

    def __init__(self, peer: peers.Peer, asking: Asking, server: Server, kinds: list[str], postgres: int) -> None:
        products = [str(p) if server is Server.POSTGRAPHILE else global_id("Product", p) for p in asking.products]
        quiz = quiz_of(peer) if "quiz" in kinds else ("", [])
        watched = {"server": [peer.pid], "database": [postgres]}
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "bench" / "crowd.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._tell((peer.port, Given(server, asking.tokens, products, quiz, kinds, watched)))
        self._line()

    def _tell(self, what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(what) + b"\n")
        self._process.stdin.flush()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("the load ended early; see the lines above")
        return line

    def run(self, rate: float, seconds: float) -> Seen:
        self._tell(Trial(rate, seconds))
        return msgspec.json.decode(self._line(), type=Seen)

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def quiz_of(peer: peers.Peer) -> tuple[str, list[str]]:
    url = f"http://127.0.0.1:{peer.port}/graphql"
    answer = httpx.post(url, json={"query": "{ quiz { version questions { id } } }"}, timeout=60).json()
    quiz = answer["data"]["quiz"]
    return quiz["version"], [question["id"] for question in quiz["questions"]]


class MemorySamples:
    """Private memory of the server while a block runs, in MB."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._points: list[tuple[float, float]] = []
        self._over = threading.Event()

    def __enter__(self) -> MemorySamples:
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def _sample(self) -> None:
        started = time.monotonic()
        while not self._over.wait(SAMPLE_SECONDS):
            self._points.append((time.monotonic() - started, private_memory(self._pid)))

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def summary(self) -> tuple[float, float, float]:
        """At the start and the end, and the slope of the second half in MB an hour (least squares)."""
        points = self._points[len(self._points) // 2 :]
        if len(points) < 3:
            return 0.0, 0.0, 0.0
        slope = statistics.linear_regression(*zip(*points, strict=True)).slope
        return self._points[0][1], points[-1][1], slope * 3600


def is_sound(seen: Seen) -> bool:
    return seen.all.p95 <= MAX_P95_SECONDS and not seen.errors and not seen.overloaded.count


def show(name: str, rate: float, seen: Seen) -> None:
    cpu = {each: seen.cpu[each] * 1000 / max(seen.requests, 1) for each in ("server", "database")}
    refused = seen.overloaded
    print(
        f"{name:9} {rate:6.0f}/s: answered {seen.all.count / seen.seconds:6.1f}/s, p50 {ms(seen.all.p50)}, "
        f"p95 {ms(seen.all.p95)}, p99 {ms(seen.all.p99)}, max {ms(seen.all.highest)}; overloaded {refused.count}"
        + (f" (p95 {ms(refused.p95)})" if refused.count else "")
        + f", errors {seen.errors}; CPU {cpu['server']:.2f} ms server, {cpu['database']:.2f} ms database; "
        f"load {seen.generator_cpu / seen.seconds:.2f}, others {seen.others_cpu / seen.seconds:.2f} cores, "
        f"load average {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    if seen.errors:
        print(f"  the first error: {seen.first_error}", flush=True)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def show_kinds(seen: Seen) -> None:
    for kind, found in seen.kinds.items():
        print(f"  {kind:6} {found.count:7} p50 {ms(found.p50):>7} p95 {ms(found.p95):>7} p99 {ms(found.p99):>7}")


def highest_rate(load: Load, first: float, seconds: float) -> float:
    """The highest rate that is sound. A trial that is not is repeated once: others use the machine, too."""

    def is_good(rate: float) -> bool:
        for _ in range(2):
            seen = load.run(rate, seconds)
            show("search", rate, seen)
            time.sleep(REST_SECONDS)
            if is_sound(seen):
                return True
            if seen.errors:
                sys.exit("an answer was an error")
        return False

    good, bad = 0.0, 0.0
    rate = first
    while not bad:
        if is_good(rate):
            good, rate = rate, rate * RISE
        elif good:
            bad = rate
        else:
            rate /= 2
            if rate < 1:
                sys.exit("no rate is low enough")
            bad = 0.0
    for _ in range(NARROWINGS):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if is_good(middle) else (good, middle)
    return good


def hold(load: Load, peer: peers.Peer, rate: float, seconds: float) -> tuple[float, Seen, float]:
    """The rate that was held, a twentieth lower after each failure; what was seen, and how memory grew."""
    while True:
        with MemorySamples(peer.pid) as memory:
            seen = load.run(rate, seconds)
        show("held", rate, seen)
        start, end, slope = memory.summary
        print(f"  memory {start:.0f} -> {end:.0f} MB, slope {slope:+.1f} MB an hour", flush=True)
        if is_sound(seen) or seen.errors or rate < 10:
            show_kinds(seen)
            return rate, seen, slope
        rate *= 0.95
        time.sleep(REST_SECONDS)


def day(options: argparse.Namespace, asking: Asking, postgres: int) -> list[str]:
    """What was not fulfilled."""
    failures = []
    with (
        aclue(asking, options.workers, options.pool) as peer,
        Load(peer, asking, Server.APP, list(SHARES), postgres) as load,
    ):
        load.run(options.rate / 2, options.warm)
        if not options.at:
            options.at = highest_rate(load, options.rate, options.trial)
        rate, seen, slope = hold(load, peer, options.at, options.hold)
        if seen.errors or not is_sound(seen):
            failures.append("the rate could not be held")
        if slope > MAX_GROWTH_MB and options.hold >= 300:
            failures.append(f"memory grew by {slope:.0f} MB an hour")
        if rate < options.gate:
            failures.append(f"{rate:.0f} requests a second are fewer than {options.gate:.0f}")
        if options.overload:
            over = load.run(rate * options.times, options.overload)
            show("overload", rate * options.times, over)
            show_kinds(over)
            if over.errors:
                failures.append("beyond its capacity an answer was an error")
            if over.all.p99 > MAX_ADMITTED_SECONDS:
                failures.append("beyond its capacity admitted requests took too long")
            if not over.overloaded.count:
                failures.append("beyond its capacity nothing was refused")
            time.sleep(REST_SECONDS)
            after = load.run(rate * 0.8, options.trial)
            show("after it", rate * 0.8, after)
            if after.errors or after.overloaded.count:
                failures.append("after the overload it still refused")
        print(f"{rate:.0f} requests a second at a 95th percentile of {ms(seen.all.p95)}, held for {options.hold:.0f} s")
    return failures


def compare(options: argparse.Namespace, asking: Asking, postgres: int) -> None:
    servers = {Server.ACLUE: lambda: aclue(asking), Server.POSTGRAPHILE: lambda: postgraphile(asking)}
    rates = {}
    for server, start in servers.items():
        print(f"{server.value}: {', '.join(COMPARED)}", flush=True)
        with start() as peer, Load(peer, asking, server, list(COMPARED), postgres) as load:
            load.run(options.rate / 4, options.warm)
            rates[server] = highest_rate(load, options.rate, options.trial)
    ours, theirs = rates.values()
    print(f"{ours:.0f} requests a second, PostGraphile {theirs:.0f}: {ours / theirs:.2f} times as many")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    number = {"type": float, "metavar": "N"}
    parser.add_argument("--rate", default=100.0, help="requests a second to begin with", **number)
    parser.add_argument("--at", default=0.0, help="hold this rate, without a search", **number)
    parser.add_argument("--trial", default=10.0, help="seconds of a trial", **number)
    parser.add_argument("--warm", default=15.0, help="seconds before all trials, not counted", **number)
    parser.add_argument("--hold", default=600.0, help="seconds for which the rate is held", **number)
    parser.add_argument("--overload", default=30.0, help="seconds beyond the capacity; 0: none", **number)
    parser.add_argument("--times", default=3.0, help="how many times the rate that is", **number)
    parser.add_argument("--gate", default=250.0, help="fewer requests a second are a failure", **number)
    parser.add_argument("--people", default=PEOPLE, type=int, metavar="N", help="how many ask")
    parser.add_argument("--products", default=PRODUCTS, type=int, metavar="N", help="of a database that is new")
    parser.add_argument("--pool", default=POOL, type=int, metavar="N", help="connections of the server to Postgres")
    parser.add_argument("--workers", default=1, type=int, metavar="N", help="processes of the server")
    parser.add_argument("--peers", action="store_true", help="compare with PostGraphile instead")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Some of the people have no account.
    seed = {"users": options.people * 8 // 5, "products": options.products, "swipes": options.products * 5}
    with database.running(HOME, seed) as (dsns, secret):
        asking = asyncio.run(prepare(dsns, secret, options.people))
        postgres = asyncio.run(_postmaster(dsns.superuser))
        if options.peers:
            asyncio.run(_peer_functions(dsns.superuser))
            compare(options, asking, postgres)
            return 0
        failures = day(options, asking, postgres)
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0


async def _postmaster(superuser_dsn: str) -> int:
    superuser = await asyncpg.connect(superuser_dsn)
    try:
        backend: int = await superuser.fetchval("select pg_backend_pid()")
        return psutil.Process(backend).ppid()
    finally:
        await superuser.close()


async def _peer_functions(superuser_dsn: str) -> None:
    superuser = await asyncpg.connect(superuser_dsn)
    try:
        await database.peer_functions.create(superuser)
    finally:
        await superuser.close()


if __name__ == "__main__":
    sys.exit(main())
