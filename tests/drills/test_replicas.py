"""Read replicas: who reads from them, what they show, and what happens without them. On a real streaming standby."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

import settings as settings_module
from db.claims import ANONYMOUS, SERVICE, Claims
from db.embedded import Dsns
from db.replicas import Replica
from domain.errors import Overloaded
from server import create_app
from services.services import Services
from tests.bases.clusters import Cluster
from tests.client import ME, SWIPE, Client
from tests.conftest import SECRET
from tests.drills.conftest import dsns_of
from tests.drills.crowds import HANGS, Crowd, until
from tests.integration.waiting import until as asleep
from tests.unit.test_rate_limits import redis

__all__ = ["redis"]

pytestmark = pytest.mark.drill

SWIPES = "{ me { swipes(first: 20) { nodes { product { id } } } } }"


@pytest.fixture
def standby(cluster: Cluster, folder: Path) -> Any:
    (folder / "standby").mkdir(0o755)
    with cluster.standby(folder / "standby") as running:
        yield running


@contextlib.asynccontextmanager
async def replicated(
    dsns: Dsns, standby: Cluster, folder: Path, **variables: str
) -> AsyncIterator[tuple[httpx.AsyncClient, Services]]:
    """The service with this primary and this replica, once the replica is used."""
    given = {"DATABASE_URL": dsns.api, "READ_DATABASE_URLS": dsns_of(standby).api, "ACLUE_HOME": str(folder)}
    settings = settings_module.load({**given, "DATABASE_RETRY_DELAY": "0.1", **variables})
    app = create_app(settings, dsns.api, SECRET, background=())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop", timeout=None) as http:
            services: Services = app.state.services
            await until(lambda: is_used(services))
            yield http, services


def replica_of(services: Services) -> Replica:
    return services.database.replicas.all[0]


def is_used(services: Services) -> bool:
    replicas = services.database.replicas
    return replicas.lag(replicas.all[0]) <= services.settings.read_max_lag


async def is_standby(services: Services, claims: Claims) -> bool:
    async with services.database.session(claims, read_only=True, may_lag=True) as session:
        found: bool = (await session.run("select pg_is_in_recovery()", []))[0][0]
    return found


def somebody(person: str, issued_seconds_ago: int = 60) -> Claims:
    payload = {"role": "authenticated", "sub": person, "exp": int(time.time()) + 900}
    return Claims.from_payload({**payload, "iat": int(time.time()) - issued_seconds_ago})


async def until_standby(services: Services, claims: Claims) -> None:
    """Waits until the caller reads from the replica."""
    async with asyncio.timeout(HANGS):
        while not await is_standby(services, claims):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


ANNA, BEN = "00000000-0000-7000-8000-00000000000a", "00000000-0000-7000-8000-00000000000b"


async def pause(standby: Cluster, *, resume: bool = False) -> None:
    """The standby receives, but does not replay."""
    superuser = await asyncpg.connect(dsns_of(standby).superuser)
    await superuser.execute(f"select pg_wal_replay_{'resume' if resume else 'pause'}()")
    await superuser.close()


async def test_queries_read_from_the_replica_and_everything_else_from_the_primary(
    dsns: Dsns, standby: Cluster, folder: Path
) -> None:
    async with replicated(dsns, standby, folder) as (_, services):
        anna = somebody(ANNA)
        assert await is_standby(services, anna)
        assert not await is_standby(services, SERVICE)
        async with services.database.session(anna, read_only=True) as session:
            assert not (await session.run("select pg_is_in_recovery()", []))[0][0]
        async with services.database.session(anna, read_only=False) as session:
            assert not (await session.run("select pg_is_in_recovery()", []))[0][0]


async def test_a_person_reads_what_they_wrote_while_the_replica_lacks_it(
    dsns: Dsns, standby: Cluster, folder: Path
) -> None:
    async with replicated(dsns, standby, folder, READ_MAX_LAG="600") as (http, services):
        client = await Client(http).start_session()
        products = [each["id"] for each in await client.products(first=5)]
        await pause(standby)
        for number, product in enumerate(products):
            given = {"productId": product, "direction": "RIGHT", "clientSwipeId": str(number)}
            await client.do(SWIPE, input=given)
            nodes = (await client.ask(SWIPES))["me"]["swipes"]["nodes"]
            assert {each["product"]["id"] for each in nodes} == set(products[: number + 1])
        newcomer = await Client(http).start_session()  # whom the replica does not know yet
        assert (await newcomer.ask(ME))["me"]["id"]
        assert await is_standby(services, somebody(BEN))  # who has written nothing
        await pause(standby, resume=True)
        await until_standby(services, await services.tokens.verify(client.token or ""))
        assert len((await client.ask(SWIPES))["me"]["swipes"]["nodes"]) == len(products)


async def test_nobody_reads_rows_of_others_there(dsns: Dsns, standby: Cluster, folder: Path) -> None:
    """Claims are set as on the primary, and nothing stays on a connection."""
    async with replicated(dsns, standby, folder) as (http, services), Crowd(http) as crowd:
        await crowd.work(100)
        for person in crowd.people:
            subject = await services.tokens.verify(person.client.token or "")
            async with services.database.session(subject, read_only=True, may_lag=True) as session:
                rows = await session.run("select distinct user_id from public.swipes", [])
                assert {row["user_id"] for row in rows} <= {subject.subject}
        bare = await asyncpg.connect(dsns_of(standby).api)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await bare.fetch("select * from public.swipes")
        await bare.close()
    assert replica_of(services).pool.size == 0
    await crowd.check(dsns.owner or "")


async def test_a_replica_that_lags_is_skipped_until_it_has_caught_up(
    dsns: Dsns, standby: Cluster, folder: Path
) -> None:
    async with replicated(dsns, standby, folder, READ_MAX_LAG="0.5") as (http, services):
        await pause(standby)
        await (await Client(http).start_session()).my_id()  # something to replay
        await until(lambda: not is_used(services))
        assert not await is_standby(services, somebody(ANNA))
        await pause(standby, resume=True)
        await until(lambda: is_used(services))
        await until_standby(services, somebody(ANNA))


async def test_a_replica_that_dies_is_replaced_by_the_primary_and_comes_back(
    dsns: Dsns, standby: Cluster, folder: Path
) -> None:
    """Without one failed request."""
    async with replicated(dsns, standby, folder) as (http, services), Crowd(http) as crowd:
        await crowd.work()
        await asyncio.to_thread(standby.kill)
        await crowd.work(40)
        assert not is_used(services)
        await asyncio.to_thread(standby.start)
        await until(lambda: is_used(services))
        await crowd.work()
    assert not crowd.failures
    await crowd.check(dsns.owner or "")


async def test_a_read_that_is_in_the_way_of_replay_is_repeated_on_the_primary(
    dsns: Dsns, standby: Cluster, folder: Path
) -> None:
    async with replicated(dsns, standby, folder) as (_, services):
        anna = somebody(ANNA)
        on_standby = "select pg_is_in_recovery(), pg_sleep(case when pg_is_in_recovery() then 60 else 0 end)"
        superuser = await asyncpg.connect(dsns_of(standby).superuser)
        async with services.database.session(anna, read_only=True, may_lag=True) as session:
            asking = asyncio.create_task(session.run_last(on_standby, []))
            await asleep(superuser, "exists (select from pg_stat_activity where wait_event = 'PgSleep')")
            await superuser.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'"
            )
            assert not (await asking)[0][0]
        await superuser.close()


async def test_a_table_that_has_not_arrived_is_read_on_the_primary(dsns: Dsns, standby: Cluster, folder: Path) -> None:
    """As of a migration, while the code that needs it runs already."""
    async with replicated(dsns, standby, folder, READ_MAX_LAG="600") as (_, services):
        await pause(standby)
        owner = await asyncpg.connect(dsns.owner)
        await owner.execute(
            "create table public.later as select 7 as id; grant select on public.later to authenticated"
        )
        await owner.close()
        async with services.database.session(somebody(ANNA), read_only=True, may_lag=True) as session:
            assert [row["id"] for row in await session.run_last("select id from public.later", [])] == [7]
        await until_standby(services, somebody(ANNA))  # it is asked again


async def test_the_primary_that_dies_takes_writes_with_it_and_no_replica_does(
    cluster: Cluster, dsns: Dsns, standby: Cluster, folder: Path
) -> None:
    async with replicated(dsns, standby, folder, READ_MAX_LAG="600") as (_, services):
        anna = somebody(ANNA)
        await asyncio.to_thread(cluster.stop, "immediate")
        assert await is_standby(services, anna)
        with pytest.raises(Overloaded):
            async with services.database.session(anna, read_only=False) as session:
                await session.run("select 1", [])
        await asyncio.to_thread(cluster.start)


async def test_processes_share_who_has_just_written(
    dsns: Dsns, standby: Cluster, folder: Path, redis: tuple[str, Any]
) -> None:
    shared = {"READ_MAX_LAG": "600", "REDIS_URL": redis[0]}
    async with (
        replicated(dsns, standby, folder, **shared) as (http, one),
        replicated(dsns, standby, folder, **shared) as (_, other),
    ):
        client = await Client(http).start_session()
        claims = await one.tokens.verify(client.token or "")
        await until_standby(one, claims)
        await until_standby(other, claims)
        (product, *_rest) = await client.products(first=1)
        await pause(standby)
        await client.do(SWIPE, input={"productId": product["id"], "direction": "UP", "clientSwipeId": "1"})
        assert not await is_standby(other, claims)
        await pause(standby, resume=True)
        await until_standby(other, claims)
        redis[1].terminate()
        redis[1].wait()
        assert not await is_standby(other, claims)  # who may have written, for all that it knows
        assert await is_standby(other, ANONYMOUS)
