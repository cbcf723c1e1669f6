"""What people still say of a product after, and while, it is merged into another one."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from db.embedded import Dsns
from domain import ids
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_impressions import impression, record
from tests.http.test_recommendation_feedback import READ, SAY
from tests.integration.waiting import until

MERGE = "select outcome from private.merge_two_products($1, $2)"
NODE = "query ($id: ID!) { node(id: $id) { ... on Recommendation { id score product { id } } } }"


def key(node: dict[str, Any]) -> UUID:
    product = ids.decode_as("Product", node["product"]["id"])
    assert product is not None
    return product


async def merged(shop: Shop, client: Client) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two recommendations of the client: of the product that stays, and of the one that was merged into it since."""
    nodes = (await client.feed(first=2))["nodes"]
    assert await shop.owner.fetchval(MERGE, *map(key, nodes)) == "merged"
    gone = await shop.owner.fetchval("select id from public.products where merged_into is not null")
    nodes.sort(key=lambda node: key(node) == gone)
    return nodes[0], nodes[1]


async def test_a_recommendation_of_a_merged_product_is_one_of_the_product_that_stays(shop: Shop) -> None:
    anna = await shop.anonymous()
    stays, gone = await merged(shop, anna)
    await shop.owner.execute("select private.refresh_model()")  # the new model does not know the product that is gone
    found = [(await anna.ask(NODE, id=shown["id"]))["node"] for shown in (stays, gone)]
    assert [node["id"] for node in found] == [stays["id"], gone["id"]]
    assert {node["product"]["id"] for node in found} == {stays["product"]["id"]}
    assert found[0]["score"] == found[1]["score"]


async def test_feedback_on_a_merged_product_is_about_the_product_that_stays(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"soc"})
    stays, gone = await merged(shop, anna)
    await anna.do(SAY, input={"recommendationId": gone["id"], "kind": "PURCHASED"})
    row = await shop.owner.fetchrow("select product_id, is_purchased from public.personality_recommendations")
    assert (row["product_id"], row["is_purchased"]) == (key(stays), True)
    analyst = shop.client(shop.token(uuid4(), app_metadata={"role": "analyst"}))
    for product in (stays, gone):
        found = await analyst.ask(READ, filter={"productId": product["product"]["id"]})
        assert [node["product"]["id"] for node in found["recommendationFeedback"]["nodes"]] == [stays["product"]["id"]]


async def test_a_swipe_of_a_merged_product_notes_its_outcome(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"soc"})
    stays, gone = await merged(shop, anna)
    await anna.swipe(gone["product"]["id"], "RIGHT", recommendationId=gone["id"])
    rows = await shop.owner.fetch("select product_id, swipe_direction from public.personality_recommendations")
    assert [tuple(row) for row in rows] == [(key(stays), "right")]


async def test_an_impression_of_a_merged_product_shows_the_product_that_stays(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"soc"})
    stays, gone = await merged(shop, anna)
    assert (await record(anna, impression(gone)))["recorded"] == 1
    row = await shop.owner.fetchrow("select product_id, is_shown, shown_at from public.personality_recommendations")
    assert (row["product_id"], row["is_shown"]) == (key(stays), True)
    assert await shop.owner.fetchval("select product_id from public.impressions") == key(stays)


async def swiped(shop: Shop) -> list[tuple[UUID, UUID]]:
    rows = await shop.owner.fetch(
        "select s.product_id as swipe, g.product_id as signal from public.swipes s"
        " full join public.product_signals g on g.swipe_id = s.id"
    )
    return [(row["swipe"], row["signal"]) for row in rows]


async def test_what_waits_for_a_merge_is_about_the_product_that_stays(shop: Shop) -> None:
    anna = await shop.account()
    products = await anna.products(first=2)
    one, other = [ids.decode_as("Product", product["id"]) for product in products]
    async with shop.owner.transaction():
        assert await shop.owner.fetchval(MERGE, one, other) == "merged"
        gone = await shop.owner.fetchval("select id from public.products where merged_into is not null")
        stays = one if gone == other else other
        swipe = asyncio.ensure_future(anna.swipe(ids.encode("Product", gone), "RIGHT"))
        await until(shop.owner, "exists (select from pg_locks where not granted)")
    assert (await swipe)["userErrors"] == []
    assert await swiped(shop) == [(stays, stays)]
    # It was of the listing that is split off.
    await shop.owner.execute("select private.split_product($1)", gone)
    assert await swiped(shop) == [(gone, gone)]


@pytest.mark.parametrize("split", [False, True])
async def test_by_sql_too_people_write_about_the_product_that_stays(shop: Shop, split: bool) -> None:
    anna = await shop.anonymous()
    stays, gone = await merged(shop, anna)
    if split:
        await shop.owner.execute("select private.split_product($1)", key(gone))
    user = ids.decode_as("Profile", await anna.my_id())
    for table, columns, values in (
        ("swipes", "client_swipe_id, direction", "'1', 'up'"),
        ("gift_links", "message", "'Hello'"),
        ("product_views", "id", "private.uuid_v7()"),
    ):
        await shop.owner.execute(
            f"insert into public.{table} (user_id, product_id, {columns}) values ($1, $2, {values})", user, key(gone)
        )
        expected = gone if split else stays
        assert await shop.owner.fetchval(f"select product_id from public.{table}") == key(expected), table


async def test_two_merges_of_one_product_at_a_time_follow_each_other(shop: Shop, dsns: Dsns) -> None:
    """Otherwise the second one would lead to a product that is gone."""
    rows = await shop.owner.fetch("select id from public.products order by created_at, id limit 3")
    oldest, middle, newest = [row["id"] for row in rows]
    second = await asyncpg.connect(dsns.owner)
    async with shop.owner.transaction():
        await shop.owner.execute(MERGE, oldest, middle)
        waiting = asyncio.ensure_future(second.execute(MERGE, middle, newest))
        await until(shop.owner, "exists (select from pg_locks where not granted)")
    await waiting
    await second.close()
    found = await shop.owner.fetch(
        "select id, product_id from public.product_offers where id = any ($1)", [middle, newest]
    )
    assert {row["id"]: row["product_id"] for row in found} == {middle: oldest, newest: oldest}
