"""What a read replica takes off the primary: the CPU time of the primary for Q1 (me) and Q2 (20 products), without a
replica and with one.

    make bench-replicas                    2,000 requests of each
    make bench-replicas REQUESTS=10000

An embedded Postgres with the demo catalogue, a streaming standby of it, and the service in this process, with 8
requests at once. Requests per second would say nothing where both servers share the cores. Exit code 1 if the primary
does not do less than half the work with a replica.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import settings as settings_module  # noqa: E402
from bench.processes import cpu_seconds  # noqa: E402
from bench.questions import ACLUE, ME, PRODUCTS  # noqa: E402
from commands import database  # noqa: E402
from db import data_folder, demo, postmasters, programs, secrets  # noqa: E402
from db.embedded import Dsns, EmbeddedServer, dsns_of  # noqa: E402
from server import create_app  # noqa: E402
from services.services import Services  # noqa: E402

REQUESTS = int(os.environ.get("REQUESTS") or 2_000)
AT_ONCE = 8
TOKEN_AGE_SECONDS = 3.0  # so long after it was issued everybody reads from the replica


@contextlib.contextmanager
def standby_of(dsns: Dsns, folder: Path, kept: secrets.Secrets) -> Iterator[Dsns]:
    """A running streaming standby."""
    runs = programs.embedded()
    runs.give(folder)
    data = folder / "data"
    assert dsns.superuser
    runs.run("pg_basebackup", "-d", dsns.superuser, "-D", str(data), "--write-recovery-conf", "--checkpoint=fast")
    (data / ".s.PGSQL.5432.lock").unlink()  # of the primary's socket, which is in its data folder
    postmaster = postmasters.start(data, runs)
    try:
        yield dsns_of(postmaster.socket_folder, kept)
    finally:
        postmaster.stop()


@contextlib.asynccontextmanager
async def served(dsns: Dsns, home: Path, replica: str) -> AsyncIterator[tuple[httpx.AsyncClient, Services]]:
    """The service, once it uses the replica, if there is one."""
    given = {"DATABASE_URL": dsns.api, "READ_DATABASE_URLS": replica, "ACLUE_HOME": str(home), "LOG_LEVEL": "error"}
    given["PUBLIC_CACHE_BYTES"] = "0"  # the reads are measured
    app = create_app(settings_module.load(given), dsns.api, secrets.load_or_create(home).jwt, background=())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bench", timeout=60) as http:
            services: Services = app.state.services
            replicas = services.database.replicas
            while any(replicas.lag(each) > services.settings.read_max_lag for each in replicas.all):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            yield http, services


async def asked(http: httpx.AsyncClient, document: str, token: str, requests: int) -> None:
    """Sends the requests, AT_ONCE at a time."""
    left = iter(range(requests))

    async def one_after_another() -> None:
        for _ in left:
            answer = await http.post("/graphql", json={"query": document}, headers={"authorization": f"Bearer {token}"})
            body = answer.json()
            assert "errors" not in body, body

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))


async def measured(dsns: Dsns, home: Path, primary: int, replica: str) -> dict[str, float]:
    """Microseconds of the primary's CPU per request, by question; idle work is subtracted."""
    owner = await asyncpg.connect(dsns.owner)
    account = await demo.ensure_account(owner, demo.EMAIL)
    await owner.close()
    found: dict[str, float] = {}
    async with served(dsns, home, replica) as (http, services):
        token, _ = services.tokens.issue(account, email=demo.EMAIL)
        await asyncio.sleep(TOKEN_AGE_SECONDS)
        for question in (ME, PRODUCTS):
            await asked(http, question.documents[ACLUE], token, 200)
            before = cpu_seconds([primary])
            await asked(http, question.documents[ACLUE], token, REQUESTS)
            found[question.name] = 1e6 * (cpu_seconds([primary]) - before) / REQUESTS
    return found


async def prepared(dsns: Dsns) -> None:
    await database.bring_up_to_date(dsns)
    owner = await asyncpg.connect(dsns.owner)
    await demo.load_catalogue(owner, lambda rows: None)
    await owner.close()
    superuser = await asyncpg.connect(dsns.superuser)
    await superuser.execute("vacuum analyze")
    await superuser.execute("alter system set autovacuum = off")  # it would be counted
    await superuser.execute("select pg_reload_conf()")
    await superuser.close()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aclue-bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        kept = secrets.load_or_create(home)
        (home / "standby").mkdir(mode=0o700)
        with EmbeddedServer(home, kept) as dsns:
            asyncio.run(prepared(dsns))
            running = postmasters.find(data_folder.data_of(home))
            assert running
            with standby_of(dsns, home / "standby", kept) as replica:
                alone = asyncio.run(measured(dsns, home, running.process.pid, ""))
                beside = asyncio.run(measured(dsns, home, running.process.pid, replica.api))
    print(f"{'':10} {'primary alone':>16} {'with a replica':>16}   CPU of the primary per request")
    for question in alone:
        print(f"{question:10} {alone[question]:13.0f} µs {beside[question]:13.0f} µs")
    return 0 if all(beside[each] < alone[each] / 2 for each in alone) else 1


if __name__ == "__main__":
    sys.exit(main())
