"""First pages of feeds that are shown again: only while nothing has changed, and to nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Shop
from tests.http.test_consents import decide
from tests.integration.test_recommendations import FEEDBACK, GIFTS, UNDO, taste

Act = Callable[[Shop, Client, dict[str, Any]], Awaitable[Any]]


async def swipe(shop: Shop, client: Client, feed: dict[str, Any]) -> None:
    await client.swipe(feed["nodes"][0]["product"]["id"], "UP")


async def undo(shop: Shop, client: Client, feed: dict[str, Any]) -> None:
    newest = (await client.ask("{ me { swipes(first: 1) { nodes { id } } } }"))["me"]["swipes"]["nodes"][0]["id"]
    await client.do(UNDO, id=newest)


async def give_feedback(shop: Shop, client: Client, feed: dict[str, Any]) -> None:
    await client.do(FEEDBACK, id=feed["nodes"][0]["id"], kind="NOT_INTERESTED")


async def answer_the_quiz(shop: Shop, client: Client, feed: dict[str, Any]) -> None:
    await client.take_quiz({"int", "pra", "soc"})


async def withdraw(shop: Shop, client: Client, feed: dict[str, Any]) -> None:
    await decide(client, personalisation=False)


async def build_a_model(shop: Shop, client: Client, feed: dict[str, Any]) -> None:
    await shop.owner.execute("select private.refresh_model()")


async def sell_out(shop: Shop, client: Client, feed: dict[str, Any]) -> None:
    await shop.owner.execute(
        "update products set in_stock = false where name = $1", feed["nodes"][3]["product"]["name"]
    )


async def test_a_page_is_shown_again_while_nothing_has_changed(shop: Shop) -> None:
    client = await taste(shop)
    first = await client.feed(first=5)
    assert await client.feed(first=5) == first
    assert (shop.services.rankings.hits, shop.services.rankings.misses) == (1, 1)
    after = first["pageInfo"]["endCursor"]
    following = await client.feed(first=5, after=after)
    assert {node["id"] for node in following["nodes"]}.isdisjoint(node["id"] for node in first["nodes"])


@pytest.mark.parametrize("act", [swipe, undo, give_feedback, answer_the_quiz, withdraw, build_a_model, sell_out])
async def test_what_changes_the_feed_shows_at_once(shop: Shop, act: Act) -> None:
    client = await taste(shop)
    before = await client.feed(first=5)
    await act(shop, client, before)
    after = await client.feed(first=5)
    assert after["nodes"][0]["generatedAt"] > before["nodes"][0]["generatedAt"]
    assert shop.services.rankings.hits == 0


async def test_everybody_has_pages_of_their_own(shop: Shop) -> None:
    anna, ben, nobody = await taste(shop), await shop.anonymous(), shop.client()
    feeds = [await client.feed(first=5) for client in (anna, ben, nobody)]
    assert [await client.feed(first=5) for client in (anna, ben, nobody)] == feeds
    assert shop.services.rankings.misses == 3
    assert len({feed["nodes"][0]["id"] for feed in feeds}) == 3


async def test_another_size_or_filter_is_another_page(shop: Shop) -> None:
    client = await taste(shop)
    await client.feed(first=5)
    assert len((await client.feed(first=6))["nodes"]) == 6
    filtered = await client.feed(first=5, filter={"categorySlug": "books"})
    assert {node["product"]["category"]["slug"] for node in filtered["nodes"]} == {"books"}
    assert shop.services.rankings.hits == 0


async def test_gifts_that_are_looked_for_are_ranked_once_for_everybody(shop: Shop) -> None:
    wishes = {"input": {"traits": ["CREATIVE"], "occasion": "birthday"}, "first": 5}
    anna, ben = await taste(shop), await shop.anonymous()
    found = await anna.ask(GIFTS, **wishes)
    assert await ben.ask(GIFTS, **wishes) == found
    assert await shop.client().ask(GIFTS, **wishes) == found
    assert shop.services.rankings.hits == 2


async def test_requests_at_the_same_time_are_all_answered(shop: Shop) -> None:
    client = await taste(shop)
    feeds = await asyncio.gather(*[client.feed(first=5) for _ in range(8)])
    assert len({feed["nodes"][0]["product"]["id"] for feed in feeds}) == 1
