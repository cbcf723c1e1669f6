"""Processes share public answers through Redis, and trust nothing that is there."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from server import create_app
from services.shared_answers import PAUSE_SECONDS, SharedAnswers
from settings import Settings
from tests.conftest import SECRET, Shop
from tests.redis_server import redis_server
from tests.security.test_public_answers import PRODUCTS, post
from tests.streams import until


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, public_cache_bytes=1_000_000)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with redis_server(tmp_path) as running:
        yield running


@pytest.fixture
async def neighbours(
    shop: Shop, redis: tuple[str, subprocess.Popen[bytes]]
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Two processes that share a Redis."""
    settings = msgspec.structs.replace(shop.services.settings, redis_url=redis[0])
    one, other = (create_app(settings, shop.dsns.api, SECRET, background=()) for _ in range(2))
    async with (
        one.router.lifespan_context(one),
        other.router.lifespan_context(other),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=one), base_url="http://shop") as first,
        httpx.AsyncClient(transport=httpx.ASGITransport(app=other), base_url="http://shop") as second,
    ):
        all_changes = [app.state.services.database.changes for app in (one, other)]
        await until(lambda: all(changes.heard_until > 0 for changes in all_changes))
        await asyncio.sleep(0.3)  # each has heard the greeting of the other
        yield first, second


async def shared(http: httpx.AsyncClient, other: httpx.AsyncClient, **variables: Any) -> Any:
    """Asks one, and then the other until it gets what the one has stored."""
    told, _ = await post(http, PRODUCTS, **variables)
    await asyncio.sleep(0.1)
    answer, source = await post(other, PRODUCTS, **variables)
    assert source == "hit"
    assert answer == told
    return told


async def test_processes_share_answers_through_redis(
    shop: Shop, neighbours: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    one, other = neighbours
    before = await shared(one, other, first=3)
    await shop.owner.execute("update public.products set name = name || '!'")
    await asyncio.sleep(0.3)
    after = await shared(other, one, first=3)
    assert before != after


async def test_who_may_write_to_redis_cannot_change_an_answer(
    shop: Shop, neighbours: tuple[httpx.AsyncClient, httpx.AsyncClient], redis: tuple[str, subprocess.Popen[bytes]]
) -> None:
    from redis.asyncio import Redis

    one, other = neighbours
    told, _ = await post(one, PRODUCTS, first=1)
    elsewhere, _ = await post(one, PRODUCTS, first=2)
    assert told != elsewhere
    await asyncio.sleep(0.1)
    async with Redis.from_url(redis[0]) as client:
        keys = sorted([key async for key in client.scan_iter("aclue:answer:*")])
        assert len(keys) == 2
        values = [await client.get(key) for key in keys]
        assert {0 < await client.ttl(key) <= 60 for key in keys} == {True}
        assert not any(b"products" in key for key in keys)
        await client.set(keys[0], values[1], ex=60)  # signed, but for another question
        await client.set(keys[1], values[1][:16] + b'{"products": {"nodes": []}}', ex=60)
    assert await post(other, PRODUCTS, first=1) == (told, "miss")
    assert await post(other, PRODUCTS, first=2) == (elsewhere, "miss")


@pytest.mark.drill
async def test_without_redis_each_process_caches_for_itself(
    shop: Shop, neighbours: tuple[httpx.AsyncClient, httpx.AsyncClient], redis: tuple[str, subprocess.Popen[bytes]]
) -> None:
    one, other = neighbours
    await shared(one, other, first=3)
    redis[1].kill()
    redis[1].wait()
    started = time.monotonic()
    for number in range(10, 30):
        assert (await post(one, PRODUCTS, first=number))[1] == "miss"
        assert (await post(one, PRODUCTS, first=number))[1] == "hit"
    assert time.monotonic() - started < 2


@pytest.mark.drill
async def test_a_redis_that_hangs_delays_one_request_in_several_seconds(tmp_path: Path, shop: Shop) -> None:
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        hanging.listen()
        settings = msgspec.structs.replace(
            shop.services.settings, redis_url=f"redis://127.0.0.1:{hanging.getsockname()[1]}/0"
        )
        pytest.importorskip("redis", reason="the package `redis` is not installed")
        answers = SharedAnswers.of(settings, b"secret")
        assert answers is not None
        times = []
        for _ in range(5):
            started = time.monotonic()
            assert await answers.get(b"k") is None
            times.append(time.monotonic() - started)
        assert sum(times) < PAUSE_SECONDS
        assert max(times[1:]) < 0.01 < times[0] < 0.2
        await answers.close()
