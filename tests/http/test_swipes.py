"""Swipes: recorded once, undone, and never somebody else's."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from domain import ids
from tests.client import SWIPE, Client
from tests.conftest import Shop

MANY = """
mutation ($input: RecordSwipesInput!) {
  recordSwipes(input: $input) {
    results { swipe { id direction product { id } } userErrors { code field } }
    preferences { totalSwipes rightSwipes } userErrors { code field }
  }
}
"""
UNDO = """
mutation ($id: ID!) {
  undoSwipe(input: {swipeId: $id}) {
    undoneSwipeId preferences { totalSwipes categories { slug score } } userErrors { code field }
  }
}
"""
HISTORY = """
query ($first: Int, $after: String) {
  me {
    swipes(first: $first, after: $after) {
      totalCount edges { cursor } nodes { id direction strength createdAt product { id } }
      pageInfo { hasNextPage hasPreviousPage endCursor }
    }
  }
}
"""


async def history(client: Client, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.ask(HISTORY, **variables))["me"]["swipes"]
    return found


async def test_each_direction_has_its_strength(shop: Shop) -> None:
    anna = await shop.anonymous()
    products = await anna.products(first=4)
    for product, direction, strength in zip(
        products, ("LEFT", "RIGHT", "UP", "DOWN"), (0.2, 0.8, 0.95, None), strict=True
    ):
        payload = await anna.swipe(product["id"], direction, context={"page": [1, "é"]})
        row = await shop.owner.fetchrow(
            "select *, direction::text as way from public.swipes order by created_at desc limit 1"
        )
        assert row is not None
        assert payload["swipe"] == {
            "id": ids.encode("Swipe", row["id"]),
            "direction": direction,
            "strength": strength,
            "product": {"id": ids.encode("Product", row["product_id"])},
        }
        assert (row["way"], row["interaction_context"]) == (direction.lower(), '{"page": [1, "é"]}')
        assert row["preference_strength"] == (None if strength is None else pytest.approx(strength))
        assert ids.encode("Profile", row["user_id"]) == await anna.my_id()
        assert row["session_id"] == await shop.owner.fetchval("select id from public.user_sessions")


async def test_preferences_in_the_payload_have_the_swipe_in_them(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = await anna.product("Camping 3")
    payload = await anna.swipe(product["id"], "RIGHT")
    assert (payload["preferences"]["totalSwipes"], payload["preferences"]["rightSwipes"]) == (1, 1)
    assert payload["preferences"]["categories"][0]["slug"] == "camping"
    assert payload["preferences"]["categories"][0]["score"] > 0


async def test_a_repeat_gives_the_first_swipe_again(shop: Shop) -> None:
    anna = await shop.anonymous()
    one, two = await anna.products(first=2)
    first = await anna.swipe(one["id"], "UP", clientSwipeId="a")
    assert (await anna.swipe(one["id"], "UP", clientSwipeId="a")) == first
    for other in ({"productId": two["id"], "direction": "UP"}, {"productId": one["id"], "direction": "LEFT"}):
        refused = await anna.refusal(SWIPE, input={"clientSwipeId": "a", **other})
        assert (refused["code"], refused["field"]) == ("IDEMPOTENCY_KEY_REUSED", ["clientSwipeId"])
    ben = await shop.anonymous()
    assert (await ben.swipe(two["id"], "LEFT", clientSwipeId="a"))["swipe"]["id"] != first["swipe"]["id"]
    assert await shop.owner.fetchval("select count(*) from public.swipes") == 2


async def test_the_same_swipe_sent_many_times_at_once(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.product("Camping 3"))["id"]
    payloads = await asyncio.gather(*(anna.swipe(product, "RIGHT", clientSwipeId="a") for _ in range(6)))
    assert len({payload["swipe"]["id"] for payload in payloads}) == 1
    assert {payload["preferences"]["totalSwipes"] for payload in payloads} == {1}


async def test_swipes_that_cannot_be(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    product = (await anna.product("Camping 3"))["id"]
    other = await ben.feed(first=1)
    own = next(node for node in (await anna.feed(first=2))["nodes"] if node["product"]["id"] != product)
    table: list[tuple[dict[str, Any], str, str]] = [
        ({"productId": ids.encode("Product", uuid4())}, "NOT_FOUND", "productId"),
        ({"productId": ids.encode("Brand", uuid4())}, "NOT_FOUND", "productId"),
        ({"productId": "x"}, "NOT_FOUND", "productId"),
        ({"clientSwipeId": ""}, "INVALID", "clientSwipeId"),
        ({"clientSwipeId": "x" * 201}, "INVALID", "clientSwipeId"),
        ({"clientSwipeId": "\0"}, "INVALID", "clientSwipeId"),
        ({"context": {"a": "x" * 5000}}, "INVALID", "context"),
        ({"context": {"a": "\0"}}, "INVALID", "context"),
        ({"recommendationId": "forged"}, "NOT_FOUND", "recommendationId"),
        ({"recommendationId": other["nodes"][0]["id"]}, "NOT_FOUND", "recommendationId"),
        ({"recommendationId": own["id"]}, "INVALID", "recommendationId"),
    ]
    for change, code, field in table:
        given = {"productId": product, "direction": "UP", "clientSwipeId": "a", **change}
        refused = await anna.refusal(SWIPE, input=given)
        assert (refused["code"], refused["field"]) == (code, [field]), change
    assert await shop.owner.fetchval("select count(*) from public.swipes") == 0


async def test_a_swipe_of_a_recommendation_is_tied_to_it(shop: Shop) -> None:
    anna = await shop.anonymous()
    shown = (await anna.feed(first=3))["nodes"][2]
    await anna.swipe(shown["product"]["id"], "RIGHT", recommendationId=shown["id"])
    row = await shop.owner.fetchrow(
        """
        select r.arm, r.propensity, r.recommendation_context, r.product_id = s.product_id as is_same
        from public.swipes s join public.recommendations r on r.id = s.recommendation_id and r.user_id = s.user_id
        """
    )
    assert tuple(row or ()) == (0, 1.0, "discover", True)


async def test_nobody_swipes_without_a_session(shop: Shop) -> None:
    nobody = shop.client()
    product = (await nobody.product("Camping 3"))["id"]
    given = {"productId": product, "direction": "UP", "clientSwipeId": "a"}
    assert await nobody.code(SWIPE, input=given) == "UNAUTHENTICATED"
    assert await nobody.code(MANY, input={"swipes": [given]}) == "UNAUTHENTICATED"
    assert await nobody.code(UNDO, id="x") == "UNAUTHENTICATED"


async def test_many_at_once_each_with_its_own_outcome(shop: Shop) -> None:
    anna = await shop.anonymous()
    one, two = await anna.products(first=2)
    payload = await anna.do(
        MANY,
        input={
            "swipes": [
                {"productId": one["id"], "direction": "UP", "clientSwipeId": "a"},
                {"productId": "x", "direction": "UP", "clientSwipeId": "b"},
                {"productId": two["id"], "direction": "LEFT", "clientSwipeId": "c"},
                {"productId": two["id"], "direction": "LEFT", "clientSwipeId": ""},
                {"productId": one["id"], "direction": "DOWN", "clientSwipeId": "a"},
                {"productId": one["id"], "direction": "UP", "clientSwipeId": "a"},
                {"productId": ids.encode("Product", uuid4()), "direction": "UP", "clientSwipeId": "d"},
            ]
        },
    )
    results = payload["results"]
    assert [result["userErrors"] for result in results] == [
        [],
        [{"code": "NOT_FOUND", "field": ["swipes", "1", "productId"]}],
        [],
        [{"code": "INVALID", "field": ["swipes", "3", "clientSwipeId"]}],
        [{"code": "IDEMPOTENCY_KEY_REUSED", "field": ["swipes", "4", "clientSwipeId"]}],
        [],
        [{"code": "NOT_FOUND", "field": ["swipes", "6", "productId"]}],
    ]
    assert [result["swipe"] and result["swipe"]["direction"] for result in results] == [
        "UP",
        None,
        "LEFT",
        None,
        None,
        "UP",
        None,
    ]
    assert results[0]["swipe"] == results[5]["swipe"]
    assert payload["preferences"] == {"totalSwipes": 2, "rightSwipes": 1}


async def test_none_and_too_many_at_once(shop: Shop) -> None:
    anna = await shop.anonymous()
    assert (await anna.do(MANY, input={"swipes": []}))["results"] == []
    product = (await anna.product("Camping 3"))["id"]
    swipes = [{"productId": product, "direction": "UP", "clientSwipeId": str(i)} for i in range(101)]
    refused = await anna.refusal(MANY, input={"swipes": swipes})
    assert refused == {"code": "LIMIT_REACHED", "field": ["swipes"]}
    assert len((await anna.do(MANY, input={"swipes": swipes[:100]}))["results"]) == 100
    assert await shop.owner.fetchval("select count(*) from public.product_signals") == 1


async def test_undoing_brings_back_the_swipe_before_it(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.product("Camping 3"))["id"]
    first = (await anna.swipe(product, "LEFT"))["swipe"]["id"]
    second = (await anna.swipe(product, "UP"))["swipe"]["id"]
    undone = await anna.do(UNDO, id=second)
    assert undone["undoneSwipeId"] == second
    assert undone["preferences"]["totalSwipes"] == 1
    assert undone["preferences"]["categories"][0]["score"] < 0
    assert await shop.owner.fetchval("select direction::text from public.product_signals") == "left"
    assert (await anna.do(UNDO, id=second))["undoneSwipeId"] == second  # twice is harmless
    assert (await anna.do(UNDO, id=first))["preferences"]["totalSwipes"] == 0
    assert await shop.owner.fetchval("select count(*) from public.product_signals") == 0
    assert (await history(anna))["totalCount"] == 0
    assert await shop.owner.fetchval("select count(*) from public.swipes where undone_at is not null") == 2


async def test_only_ones_own_swipes_are_undone(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    product = (await anna.product("Camping 3"))["id"]
    swipe = (await anna.swipe(product))["swipe"]["id"]
    for client, key in ((ben, swipe), (anna, ids.encode("Swipe", uuid4())), (anna, product), (anna, "x")):
        assert await client.refusal(UNDO, id=key) == {"code": "NOT_FOUND", "field": ["swipeId"]}
    assert (await history(anna))["totalCount"] == 1


async def test_ones_swipes_newest_first_page_by_page(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    for product in await anna.products(first=5):
        await anna.swipe(product["id"])
    await ben.swipe((await ben.product("Camping 3"))["id"])
    rows = await shop.owner.fetch(
        "select * from public.swipes where user_id = $1 order by created_at desc, id desc",
        ids.decode_as("Profile", await anna.my_id()),
    )
    first = await history(anna, first=2)
    second = await history(anna, first=20, after=first["pageInfo"]["endCursor"])
    nodes = [*first["nodes"], *second["nodes"]]
    assert [node["id"] for node in nodes] == [ids.encode("Swipe", row["id"]) for row in rows]
    assert [datetime.fromisoformat(node["createdAt"]) for node in nodes] == [row["created_at"] for row in rows]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert (first["totalCount"], second["totalCount"], (await history(ben))["totalCount"]) == (5, 5, 1)
    for variables in ({"first": -1}, {"first": 101}, {"after": "forged"}):
        assert await anna.code(HISTORY, **variables) == "BAD_USER_INPUT"


async def test_an_inactive_product_takes_no_new_swipes_and_gives_repeats_their_first(shop: Shop) -> None:
    anna = await shop.anonymous()
    product, other = await anna.products(first=2)
    before = {"productId": product["id"], "direction": "RIGHT", "clientSwipeId": "before"}
    first = await anna.do(SWIPE, input=before)
    await set_active(shop, product, False)

    after = {**before, "clientSwipeId": "after"}
    assert (await anna.refusal(SWIPE, input=after))["code"] == "NOT_FOUND"
    assert (await anna.do(SWIPE, input=before))["swipe"]["id"] == first["swipe"]["id"]
    batch = [after, {**after, "productId": other["id"], "clientSwipeId": "other"}, before]
    refused, stored, repeated = (await anna.do(MANY, input={"swipes": batch}))["results"]
    assert refused["userErrors"][0]["code"] == "NOT_FOUND"
    assert stored["swipe"]["product"]["id"] == other["id"]
    assert repeated["swipe"]["id"] == first["swipe"]["id"]
    assert [swipe["product"]["id"] for swipe in (await history(anna))["nodes"]] == [other["id"], product["id"]]

    await set_active(shop, product, True)
    assert (await anna.do(SWIPE, input=after))["swipe"]["product"]["id"] == product["id"]


async def set_active(shop: Shop, product: dict[str, Any], is_active: bool) -> None:
    await shop.owner.execute(
        "update public.products set is_active = $2 where id = $1", ids.decode_as("Product", product["id"]), is_active
    )
