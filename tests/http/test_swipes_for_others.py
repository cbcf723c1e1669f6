"""Swipes and feedback on the gift finder's recommendations are kept, and say nothing of the person who gave them."""

from __future__ import annotations

from typing import Any

import pytest

from db.migrations import SQL_FOLDER
from domain import ids
from tests.client import FEED, Client
from tests.conftest import Shop
from tests.http.test_recommendations import FEEDBACK
from tests.http.test_session_merges import merge
from tests.http.test_swipes import UNDO

GIFTS = "{ giftFinder(input: {traits: [INTELLECTUAL]}, first: 20) { nodes { id product { id category { slug } } } } }"
TASTE = "{ me { preferences { totalSwipes rightSwipes confidence categories { slug score } } } }"
MINE = "{ me { swipes(first: 50) { nodes { id direction isForSomebodyElse product { id } } } } }"
WHAT_COUNTS = """
select 'signal' as kind, product_id, direction::text from public.product_signals
union all
select 'as of now', s.product_id, s.direction::text
from public.profiles p cross join lateral private.signals(p.id, 'infinity') s
union all
select 'feedback', f.product_id, f.strength::text
from public.profiles p cross join lateral private.feedback_signals(p.id, 'infinity') f
union all
select 'behaviour', null, b.trait || b.estimate || ' ' || b.evidence
from public.profiles p cross join lateral private.behaviour(p.id) b
union all
select 'training', null, t::text from private.training_signals() t
union all
select 'for others', product_id, weight::text from private.trusted_signals
order by 1, 2, 3
"""


async def gifts(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.ask(GIFTS))["giftFinder"]["nodes"]
    return found


async def counting(shop: Shop) -> list[Any]:
    return [tuple(row) for row in await shop.owner.fetch(WHAT_COUNTS)]


async def scores(client: Client) -> dict[str, float]:
    nodes = (await client.ask(FEED, first=100))["recommendations"]["nodes"]
    return {node["product"]["id"]: node["score"] for node in nodes}


async def make_old(shop: Shop) -> None:
    """Popularity and training hear of people who have been here for some days."""
    for table in ("profiles", "user_sessions"):
        await shop.owner.execute(f"update public.{table} set created_at = now() - interval '30 days'")


async def test_swipes_of_gifts_change_nothing_that_is_said_of_the_giver(shop: Shop) -> None:
    anna = await shop.anonymous()
    await make_old(shop)
    for product in (await anna.products(first=3))[:3]:
        await anna.swipe(product["id"], "UP")
    taste, feed, counted = await anna.ask(TASTE), await scores(anna), await counting(shop)
    shown = [node for node in await gifts(anna) if node["product"]["id"] in feed][:4]
    assert len(shown) == 4

    for node, direction in zip(shown, ("UP", "RIGHT", "LEFT", "DOWN"), strict=True):
        payload = await anna.swipe(node["product"]["id"], direction, recommendationId=node["id"])
        assert payload["preferences"] == taste["me"]["preferences"]

    assert await anna.ask(TASTE) == taste
    assert await scores(anna) == feed
    assert await counting(shop) == counted
    kept = (await anna.ask(MINE))["me"]["swipes"]["nodes"]
    assert [s["isForSomebodyElse"] for s in kept] == [True] * 4 + [False] * 3
    assert {s["product"]["id"] for s in kept[:4]} == {node["product"]["id"] for node in shown}


async def test_feedback_on_gifts_neither_counts_nor_hides_the_product_from_oneself(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.swipe((await anna.products(first=1))[0]["id"])
    feed, counted = await scores(anna), await counting(shop)
    shown = [node for node in await gifts(anna) if node["product"]["id"] in feed]
    for node, kind in zip(shown, ("NOT_INTERESTED", "ALREADY_OWNED", "HELPFUL", "NOT_HELPFUL"), strict=False):
        await anna.do(FEEDBACK, input={"recommendationId": node["id"], "kind": kind})
    assert await scores(anna) == feed
    assert await counting(shop) == counted
    assert await shop.owner.fetchval("select bool_and(is_for_somebody_else) from public.recommendation_feedback")


async def test_a_swipe_of_ones_own_feed_counts(shop: Shop) -> None:
    anna = await shop.anonymous()
    node = (await anna.feed(first=1))["nodes"][0]
    payload = await anna.swipe(node["product"]["id"], recommendationId=node["id"])
    assert payload["preferences"]["totalSwipes"] == 1
    assert [s["isForSomebodyElse"] for s in (await anna.ask(MINE))["me"]["swipes"]["nodes"]] == [False]
    await anna.do(FEEDBACK, input={"recommendationId": node["id"], "kind": "HELPFUL"})
    assert not await shop.owner.fetchval("select is_for_somebody_else from public.recommendation_feedback")


async def test_undoing_either_swipe_of_a_product_leaves_what_the_other_says(shop: Shop) -> None:
    anna = await shop.anonymous()
    node = (await gifts(anna))[0]

    async def signals() -> list[str]:
        return [row[0] for row in await shop.owner.fetch("select direction::text from public.product_signals")]

    own = await anna.swipe(node["product"]["id"], "LEFT")
    gift = await anna.swipe(node["product"]["id"], "UP", recommendationId=node["id"])
    assert await signals() == ["left"]
    await anna.do(UNDO, id=gift["swipe"]["id"])
    assert await signals() == ["left"]
    again = await anna.swipe(node["product"]["id"], "UP", recommendationId=node["id"])
    await anna.do(UNDO, id=own["swipe"]["id"])
    assert await signals() == []
    await anna.do(UNDO, id=again["swipe"]["id"])
    assert (await anna.ask(TASTE))["me"]["preferences"]["totalSwipes"] == 0


async def test_one_request_may_hold_both(shop: Shop) -> None:
    anna = await shop.anonymous()
    mine, theirs = (await anna.products(first=1))[0], (await gifts(anna))[1]
    swipes = [
        {"productId": mine["id"], "direction": "RIGHT", "clientSwipeId": "mine"},
        {
            "productId": theirs["product"]["id"],
            "direction": "UP",
            "clientSwipeId": "theirs",
            "recommendationId": theirs["id"],
        },
    ]
    many = """mutation ($s: [SwipeInput!]!) {
      recordSwipes(input: {swipes: $s}) { preferences { totalSwipes } userErrors { code } } }"""
    assert (await anna.do(many, s=swipes))["preferences"]["totalSwipes"] == 1
    found = await shop.owner.fetch("select product_id from public.product_signals")
    assert [ids.encode("Product", row[0]) for row in found] == [mine["id"]]


async def test_they_stay_for_somebody_else_when_a_session_is_merged(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    node = (await gifts(session))[0]
    await session.swipe(node["product"]["id"], "UP", recommendationId=node["id"])
    await merge(account, session)
    assert (await account.ask(TASTE))["me"]["preferences"] is None
    assert [s["isForSomebodyElse"] for s in (await account.ask(MINE))["me"]["swipes"]["nodes"]] == [True]
    assert await shop.owner.fetchval("select count(*) from public.product_signals") == 0


@pytest.mark.parametrize("is_undone", [False, True])
async def test_the_migration_notes_it_of_what_was_stored_before(shop: Shop, is_undone: bool) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    node = (await gifts(anna))[0]
    for client in (anna, ben):
        await client.swipe(node["product"]["id"], "LEFT")
    gift = await anna.swipe(node["product"]["id"], "UP", recommendationId=node["id"])
    other = (await gifts(anna))[1]
    await anna.swipe(other["product"]["id"], "UP", recommendationId=other["id"])
    await anna.do(FEEDBACK, input={"recommendationId": node["id"], "kind": "HELPFUL"})
    expected = await counting(shop)
    # As the release before would have had it.
    for table in ("swipes", "recommendation_feedback"):
        await shop.owner.execute(f"update public.{table} set is_for_somebody_else = false")
    if is_undone:
        await anna.do(UNDO, id=gift["swipe"]["id"])
    await shop.owner.execute("""
        insert into public.product_signals (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)
        select distinct on (user_id, product_id) user_id, product_id, id, direction, preference_strength, created_at
        from public.swipes where undone_at is null order by user_id, product_id, created_at desc
        on conflict (user_id, product_id) do update set swipe_id = excluded.swipe_id, direction = excluded.direction,
          preference_strength = excluded.preference_strength, swiped_at = excluded.swiped_at
        """)
    assert await counting(shop) != expected
    migration = (SQL_FOLDER / "migrations/20261130001100_swipes_for_somebody_else.sql").read_text()
    await shop.owner.execute(migration[migration.index("update public.swipes") :])
    assert await counting(shop) == expected
