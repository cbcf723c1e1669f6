"""Processes of the service are killed, and Postgres with them, while people write over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from db.embedded import Dsns
from tests.bases.clusters import Cluster
from tests.conftest import SECRET
from tests.drills.conftest import Tell
from tests.drills.crowds import HANGS, Crowd, until
from tests.e2e.conftest import Service, free_port
from tests.e2e.conftest import served as running

pytestmark = pytest.mark.drill

ROUNDS = 3


@contextlib.contextmanager
def production(folder: Path, dsns: Dsns, port: int, **variables: str) -> Iterator[Service]:
    given = {"ENVIRONMENT": "production", "JWT_SECRET": SECRET, "DATABASE_URL": dsns.api, "PORT": str(port)}
    given["WORKER_DATABASE_URL"] = dsns.worker or ""
    with running(folder, **given, **variables) as service:
        yield service


def workers(service: Service) -> list[psutil.Process]:
    """The processes that serve: the children of the one that watches over them."""
    children = psutil.Process(service.process.pid).children()
    alive = [each for each in children if each.status() != psutil.STATUS_ZOMBIE]
    return [each for each in alive if "resource_tracker" not in " ".join(each.cmdline())]


async def test_a_worker_that_is_killed_is_replaced(dsns: Dsns, folder: Path, tell: Tell) -> None:
    with production(folder, dsns, free_port(), WORKERS="2") as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=HANGS) as http, Crowd(http) as crowd:
            await crowd.work()
            before = workers(service)
            assert len(before) == 2
            before[0].kill()
            tell(await crowd.recover())
            await until(lambda: len(workers(service)) == 2 and before[0] not in workers(service))
            assert f'"pid": {before[0].pid}' in service.errors.read_text()
            await crowd.work()
        assert service.process.poll() is None
    await crowd.check(dsns.owner or "")


async def test_kills_of_the_server_and_of_postgres_in_the_midst_of_writes(
    cluster: Cluster, dsns: Dsns, folder: Path, tell: Tell
) -> None:
    port = free_port()
    slowest = 0.0
    async with contextlib.AsyncExitStack() as servers:
        current = servers.enter_context(production(folder, dsns, port))
        async with httpx.AsyncClient(base_url=current.url, timeout=HANGS) as http, Crowd(http) as crowd:
            for _ in range(ROUNDS):
                await crowd.work()
                os.kill(current.process.pid, signal.SIGKILL)
                await asyncio.to_thread(cluster.kill)
                await crowd.meet(1)
                await asyncio.to_thread(cluster.start)
                began = time.monotonic()
                current = await asyncio.to_thread(servers.enter_context, production(folder, dsns, port))
                await crowd.recover()
                slowest = max(slowest, time.monotonic() - began)  # with the start of the server
            await crowd.work()
    tell(slowest, "server started and recovered")
    await crowd.check(dsns.owner or "")
