"""Hanging up is never cheaper than waiting: its caller pays for what was cut off, and nobody loses a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from domain import ids
from services import rate_limits
from services.rate_limits import CUT_OFF_VALUES
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_cancelling import BRANDS, locked, working
from tests.http.test_subscriptions import click_of
from tests.streams import CONVERSIONS, Call, Events, socket

pytestmark = pytest.mark.drill

BACKENDS = """
select array_agg(pid order by pid) from pg_stat_activity where usename = 'aclue_api' and datname = current_database()
"""


async def person(caller: Client) -> UUID:
    return ids.decode_as("Profile", await caller.my_id())


async def http(shop: Shop, caller: Client, click: str) -> None:
    call = Call(shop, BRANDS, caller.token)
    await working(shop, 1)
    call.hang_up()
    await call.end()


async def event_stream(shop: Shop, caller: Client, click: str) -> None:
    events = Events(shop, BRANDS, caller.token)
    await working(shop, 1)
    events.hang_up()
    await events.end()


async def complete(shop: Shop, caller: Client, click: str) -> None:
    async with socket(shop, caller.token) as ours:
        ours.say("subscribe", id="1", payload={"query": BRANDS})
        await working(shop, 1)
        ours.say("complete", id="1")
        await working(shop, 0)


async def closed_socket(shop: Shop, caller: Client, click: str) -> None:
    async with socket(shop, caller.token) as ours:
        ours.say("subscribe", id="1", payload={"query": BRANDS})
        await working(shop, 1)
        await ours.go_away()


async def event(shop: Shop, caller: Client, click: str) -> None:
    async with socket(shop, caller.token) as ours:
        await ours.subscribe(CONVERSIONS)
        await shop.owner.execute(f"select pg_notify('aclue_changes', 'conversions {await person(caller)} {click}')")
        await working(shop, 1)
        ours.say("complete", id="events")
        await working(shop, 0)


HANG_UPS = [http, event_stream, complete, closed_socket, event]


@pytest.mark.parametrize("hang_up", HANG_UPS, ids=lambda each: each.__name__)
async def test_who_hangs_up_often_has_to_wait(
    shop: Shop, hang_up: Callable[[Shop, Client, str], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    _, click = await click_of(anna)
    monkeypatch.setattr(rate_limits, "VALUES_PER_SECOND", 0)  # a busy machine takes long for anything
    monkeypatch.setattr(shop.services.rate_limits, "_per_caller", CUT_OFF_VALUES * 3 // 2)
    before = await shop.owner.fetchval(BACKENDS)
    for _ in range(2):
        async with locked(shop, "affiliate_clicks" if hang_up is event else "brands"):
            await hang_up(shop, anna, click)
    answers = [(await caller.post("{ me { id } }")).status_code for caller in (anna, ben)]
    assert answers == [429, 200]
    assert set(before) <= set(await shop.owner.fetchval(BACKENDS)), "the pool has kept its connections"


async def test_a_request_that_waits_for_its_turn_pays_what_the_others_turned_out_to_cost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was admitted when they had not run yet."""
    anna = await shop.anonymous()
    await anna.ask(BRANDS)  # now a known document, so that calls run in their order
    monkeypatch.setattr(rate_limits, "VALUES_PER_SECOND", 0)
    monkeypatch.setattr(shop.services.rate_limits, "_per_caller", CUT_OFF_VALUES * 2 // 3)
    monkeypatch.setattr(shop.services.turns, "_personal_limit", 2)
    async with locked(shop, "brands"):
        calls = [Call(shop, BRANDS, anna.token) for _ in range(3)]
        await working(shop, 2)
        for call in calls[:2]:
            call.hang_up()
            await call.end()
        await calls[2].end()
    assert calls[2].sent[0]["status"] == 429
