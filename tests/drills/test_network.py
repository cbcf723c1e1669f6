"""The network between the service and Postgres stands still, or loses the second half of an answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from db.embedded import Dsns
from tests.bases.clusters import Cluster
from tests.drills.conftest import Tell, served
from tests.drills.crowds import Crowd, until
from tests.drills.proxies import Proxy

pytestmark = pytest.mark.drill

SHORT = {"REQUEST_TIMEOUT": "2", "DATABASE_RETRY_DELAY": "0.1"}


async def test_a_short_pause_is_only_waited_for(cluster: Cluster, dsns: Dsns, folder: Path, tell: Tell) -> None:
    async with Proxy(cluster) as proxy, served(proxy.url(dsns.api), folder) as (http, _), Crowd(http) as crowd:
        await crowd.work()
        proxy.pause()
        await asyncio.sleep(1)
        proxy.resume()
        tell(await crowd.recover())
        assert not crowd.failures
    await crowd.check(dsns.owner or "")


async def test_a_pause_that_outlasts_requests(cluster: Cluster, dsns: Dsns, folder: Path, tell: Tell) -> None:
    async with Proxy(cluster) as proxy, served(proxy.url(dsns.api), folder, **SHORT) as (http, _), Crowd(http) as crowd:
        await crowd.work()
        proxy.pause()
        await crowd.meet(10)
        assert set(crowd.failures) <= {"OVERLOADED", "TIMEOUT"}
        proxy.resume()
        tell(await crowd.recover())
        await crowd.work()
    await crowd.check(dsns.owner or "")


async def test_answers_that_break_off(cluster: Cluster, dsns: Dsns, folder: Path, tell: Tell) -> None:
    async with (
        Proxy(cluster) as proxy,
        served(proxy.url(dsns.api), folder, **SHORT) as (http, services),
        Crowd(http) as crowd,
    ):
        await crowd.work()
        proxy.drop()
        await crowd.meet(10)
        assert set(crowd.failures) <= {"OVERLOADED", "TIMEOUT"}
        proxy.resume()
        tell(await crowd.recover())
        await crowd.work()
        await until(lambda: services.database.changes.is_connected)
    await crowd.check(dsns.owner or "")
