"""Impressions and exposure are what the server signed and computed, and of the caller alone, however often they are
sent."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from domain.recommendations import Shown, viewer_of
from domain.signing import Signer
from resolvers import impressions
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_experiments import EXPOSE, EXPOSED, at_once, run  # noqa: F401  at_once: a fixture
from tests.http.test_impressions import CLICK, COUNTS, RECORD, impression, record
from tests.integration.test_rollups import let_today_be_over, refresh
from tests.security.test_storage_use import Serve, serve  # noqa: F401  a fixture


async def test_an_id_of_an_arm_that_one_has_chosen_is_refused(shop: Shop) -> None:
    await run(shop, "ranking", ("control", 1, "{}"), ("other", 1, "{}"), surface="discover")
    anna = await shop.anonymous()
    node = (await anna.feed(first=1))["nodes"][0]
    shown = Shown.open(node["id"], shop.services.recommendation_ids)
    assert shown is not None
    for arm in await shop.owner.fetch("select number from public.experiment_arms"):
        wanted = Shown(shown.product_id, shown.viewer, shown.context, shown.model, arm["number"])
        for signer in (Signer(b"a guess", "recommendation"), shop.services.cursors):
            answer = await record(anna, impression({"id": wanted.sign(signer)}))
            assert [error["code"] for error in answer["userErrors"]] == ["NOT_FOUND"]
    assert await shop.owner.fetch(EXPOSED) == []


async def test_nobody_records_what_was_shown_to_others(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    node = (await anna.feed(first=1))["nodes"][0]
    assert Shown.open(node["id"], shop.services.recommendation_ids).viewer != viewer_of(None)  # type: ignore[union-attr]
    assert (await record(ben, impression(node)))["userErrors"][0]["code"] == "NOT_FOUND"
    expired = shop.client(shop.token(uuid.uuid4(), lifetime=-10))
    for client in (expired, shop.client("forged")):
        assert (await client.post(RECORD, impressions=[impression(node)])).status_code == 401
        assert (await client.post(EXPOSE, key="ranking")).status_code == 401
    assert await shop.owner.fetchval("select count(*) from public.impressions") == 0


async def test_requests_at_once_store_no_more_than_a_days_impressions(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impressions, "MAX_PER_DAY", 25)
    anna = await shop.anonymous()
    node = (await anna.feed(first=1))["nodes"][0]
    same = impression(node)
    answers = await asyncio.gather(*(record(anna, same, *(impression(node) for _ in range(9))) for _ in range(8)))
    assert sum(answer["recorded"] for answer in answers) == 25
    assert await shop.owner.fetchval("select count(*) from public.impressions") == 25


async def test_ids_of_other_days_do_not_make_the_limit_endless(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impressions, "MAX_PER_DAY", 2)
    anna = await shop.anonymous()
    node = (await anna.feed(first=1))["nodes"][0]
    for _ in range(2):
        await record(anna, *(impression(node, age=day * 86400 + 60) for day in range(40) for _ in range(2)))
    assert 60 <= await shop.owner.fetchval("select count(*) from public.impressions") <= 62


async def test_impressions_count_as_what_is_stored_in_a_day(serve: Serve) -> None:  # noqa: F811
    anna = await Client(await serve(anonymous=20_000)).start_session()
    node = (await anna.feed(first=1))["nodes"][0]
    stored = 0
    until = time.monotonic() + 60
    while not (answer := await record(anna, *(impression(node) for _ in range(5))))["userErrors"]:
        stored += answer["recorded"]
        assert time.monotonic() < until
    assert [error["code"] for error in answer["userErrors"]] == ["LIMIT_REACHED"]
    assert 10 <= stored <= 30


async def test_exposure_that_is_repeated_stores_one_row(shop: Shop) -> None:
    await run(shop, "colour", ("red", 1, "{}"), ("blue", 1, "{}"))
    anna = await shop.anonymous()
    await asyncio.gather(*(anna.do(EXPOSE, key="colour") for _ in range(10)))
    assert len(await shop.owner.fetch(EXPOSED)) == 1


async def test_analysts_count_what_performance_shows_them(shop: Shop) -> None:
    """One of six people swipes, likes and clicks a lot, and two use the gift finder."""
    people = [await shop.anonymous() for _ in range(6)]
    for who in people:
        feed = (await who.feed(first=6))["nodes"]
        await record(who, *(impression(node, place) for place, node in enumerate(feed, start=1)))
    for node in feed:
        await who.swipe(node["product"]["id"], "UP", recommendationId=node["id"])
        await who.do(CLICK, input={"productId": node["product"]["id"], "recommendationId": node["id"]})
    await let_today_be_over(shop)
    await refresh(shop)
    analyst = shop.client(shop.token(uuid.uuid4(), app_metadata={"role": "analyst"}))
    assert await counted(shop, analyst) == {
        "DISCOVER": {"impressions": 35, "people": 5, "swiped": 0, "liked": 0, "clicked": 0, "bought": 0}
    }

    for who in people[:2]:
        found = (await who.ask("{ giftFinder(input: {}, first: 5) { nodes { id } } }"))["giftFinder"]["nodes"]
        await record(who, *(impression(node, place) for place, node in enumerate(found, start=1)))
    await refresh(shop)
    # Else the gift finder's impressions would be those that recommendationPerformance counts in all, less these.
    assert await counted(shop, analyst) == {}
    admin = shop.client(shop.token(uuid.uuid4(), app_metadata={"role": "admin"}))
    assert (await counted(shop, admin))["GIFT_FINDER"]["people"] == 2


async def counted(shop: Shop, client: Client) -> dict[str, dict[str, int]]:
    """The counts of today as a whole, by context."""
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end = start + timedelta(days=1)
    rows = (await client.ask(COUNTS, since=start.isoformat(), until=end.isoformat()))["impressionCounts"]
    for row in rows:
        row.pop("clickThroughRate")
    return {row.pop("context"): row for row in rows}
