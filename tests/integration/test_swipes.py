"""Swipes: events that are stored once, the signal per product that counts, and the preferences that follow."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from db.claims import Claims
from db.queries import QUERIES
from domain import ids
from resolvers import preferences
from tests.client import SWIPE, Client
from tests.conftest import Shop
from tests.integration.waiting import until

SWIPES = """
mutation ($input: RecordSwipesInput!) {
  recordSwipes(input: $input) {
    results { swipe { id direction product { id } } userErrors { code field } }
    preferences { totalSwipes }
    userErrors { code message field }
  }
}
"""
UNDO = """
mutation ($input: UndoSwipeInput!) {
  undoSwipe(input: $input) {
    undoneSwipeId preferences { totalSwipes rightSwipes categories { slug score } } userErrors { code message field }
  }
}
"""
SIGNALS = "select * from product_signals order by user_id, product_id"
PREFERENCES = "select * from user_preferences order by user_id"
CHANGING = {"id", "created_at", "updated_at"}


async def state(shop: Shop) -> list[dict[str, Any]]:
    """All signals and preferences, without what tells when they were written."""
    rows = [*await shop.owner.fetch(SIGNALS), *await shop.owner.fetch(PREFERENCES)]
    return [{name: value for name, value in row.items() if name not in CHANGING} for row in rows]


async def rebuild(shop: Shop, client: Client) -> None:
    """Signals and preferences of this person from nothing but their events."""
    subject = (ids.decode(await client.my_id()) or ("", None))[1]
    assert subject is not None
    claims = Claims("anon", subject, raw=f'{{"role":"anon","sub":"{subject}"}}')
    async with shop.services.database.session(claims, read_only=False) as session:
        await preferences.rebuild(session, subject)


async def undo(client: Client, swipe: dict[str, Any]) -> dict[str, Any]:
    return await client.do(UNDO, input={"swipeId": swipe["swipe"]["id"]})


async def direction(shop: Shop) -> str | None:
    """Of the only signal."""
    found: str | None = await shop.owner.fetchval("select direction from product_signals")
    return found


async def age(shop: Shop, swipe: dict[str, Any], days: int) -> None:
    """Makes a swipe older than it is."""
    await shop.owner.execute(
        "update swipes set created_at = created_at - make_interval(days => $2) where id = $1",
        (ids.decode(swipe["swipe"]["id"]) or ("", None))[1],
        days,
    )


def score(payload: dict[str, Any], category: str) -> float:
    return next(c["score"] for c in payload["preferences"]["categories"] if c["slug"] == category)


@pytest.mark.parametrize(("way", "strength"), [("LEFT", 0.2), ("RIGHT", 0.8), ("UP", 0.95), ("DOWN", None)])
async def test_a_direction_has_its_strength(shop: Shop, way: str, strength: float | None) -> None:
    client = await shop.anonymous()
    payload = await client.swipe((await client.product("Camping 1"))["id"], way)
    assert payload["swipe"]["strength"] == strength


async def test_a_skip_is_counted_and_says_nothing(shop: Shop) -> None:
    client = await shop.anonymous()
    payload = await client.swipe((await client.product("Camping 1"))["id"], "DOWN")
    assert payload["preferences"] == {"totalSwipes": 1, "rightSwipes": 0, "confidence": 0, "categories": []}


async def test_a_repeat_gives_the_first_swipe_and_counts_once(shop: Shop) -> None:
    client = await shop.anonymous()
    product = (await client.product("Camping 1"))["id"]
    first = await client.swipe(product, clientSwipeId="s-1")
    assert await client.swipe(product, clientSwipeId="s-1") == first
    assert await shop.owner.fetchval("select count(*) from swipes") == 1


async def test_an_id_used_for_another_swipe_is_refused(shop: Shop) -> None:
    client = await shop.anonymous()
    one, other = (await client.product("Camping 1"))["id"], (await client.product("Camping 2"))["id"]
    await client.swipe(one, "RIGHT", clientSwipeId="s-1")
    before = await state(shop)
    for product, way in ((one, "LEFT"), (other, "RIGHT")):
        given = {"productId": product, "direction": way, "clientSwipeId": "s-1"}
        refusal = await client.refusal(SWIPE, input=given)
        assert (refusal["code"], refusal["field"]) == ("IDEMPOTENCY_KEY_REUSED", ["clientSwipeId"])
    assert await state(shop) == before


async def test_two_people_may_choose_the_same_id(shop: Shop) -> None:
    one, other = await shop.anonymous(), await shop.anonymous()
    product = (await one.product("Camping 1"))["id"]
    first = await one.swipe(product, clientSwipeId="s-1")
    second = await other.swipe(product, "LEFT", clientSwipeId="s-1")
    assert first["swipe"]["id"] != second["swipe"]["id"]


async def test_a_later_swipe_replaces_the_signal_and_keeps_the_event(shop: Shop) -> None:
    client = await shop.anonymous()
    product = (await client.product("Camping 1"))["id"]
    await client.swipe(product, "RIGHT")
    payload = await client.swipe(product, "LEFT")
    assert await direction(shop) == "left"
    assert payload["preferences"]["totalSwipes"] == 2
    assert score(payload, "camping") < 0


async def test_a_repeat_of_an_earlier_swipe_does_not_bring_it_back(shop: Shop) -> None:
    client = await shop.anonymous()
    product = (await client.product("Camping 1"))["id"]
    await client.swipe(product, "RIGHT", clientSwipeId="s-1")
    await client.swipe(product, "LEFT")
    await client.swipe(product, "RIGHT", clientSwipeId="s-1")
    assert await direction(shop) == "left"


async def test_undoing_restores_the_swipe_before(shop: Shop) -> None:
    client = await shop.anonymous()
    product = (await client.product("Camping 1"))["id"]
    before = await client.swipe(product, "RIGHT")
    payload = await undo(client, await client.swipe(product, "LEFT"))
    assert await direction(shop) == "right"
    assert payload["preferences"]["categories"] == before["preferences"]["categories"]


async def test_undoing_the_only_swipe_leaves_nothing(shop: Shop) -> None:
    client = await shop.anonymous()
    payload = await undo(client, await client.swipe((await client.product("Camping 1"))["id"]))
    assert await direction(shop) is None
    assert payload["preferences"] == {"totalSwipes": 0, "rightSwipes": 0, "categories": []}


async def test_undoing_an_earlier_swipe_keeps_the_later_signal(shop: Shop) -> None:
    client = await shop.anonymous()
    product = (await client.product("Camping 1"))["id"]
    first = await client.swipe(product, "RIGHT")
    await client.swipe(product, "LEFT")
    payload = await undo(client, first)
    assert await direction(shop) == "left"
    assert payload["preferences"]["totalSwipes"] == 1


async def test_undoing_twice_is_harmless(shop: Shop) -> None:
    client = await shop.anonymous()
    swipe = await client.swipe((await client.product("Camping 1"))["id"])
    assert await undo(client, swipe) == await undo(client, swipe)


async def test_nobody_undoes_the_swipe_of_somebody_else(shop: Shop) -> None:
    one, other = await shop.anonymous(), await shop.anonymous()
    swipe = await one.swipe((await one.product("Camping 1"))["id"])
    refusal = await other.refusal(UNDO, input={"swipeId": swipe["swipe"]["id"]})
    assert refusal["code"] == "NOT_FOUND"
    assert await direction(shop) == "right"


async def test_bad_swipes_of_a_batch_do_not_keep_the_good_ones_out(shop: Shop) -> None:
    client = await shop.anonymous()
    one, other = (await client.product("Camping 1"))["id"], (await client.product("Camping 2"))["id"]
    unknown = ids.encode("Product", "0199a0b0-0000-7000-8000-000000000001")
    given = [(one, "a"), (unknown, "b"), ("nonsense", "c"), (one, ""), (other, "e"), (one, "x" * 201), (one, "\0")]
    swipes = [{"productId": product, "direction": "RIGHT", "clientSwipeId": name} for product, name in given]
    payload = await client.do(SWIPES, input={"swipes": swipes})
    codes = [[error["code"] for error in result["userErrors"]] for result in payload["results"]]
    assert codes == [[], ["NOT_FOUND"], ["NOT_FOUND"], ["INVALID"], [], ["INVALID"], ["INVALID"]]
    assert payload["results"][1]["userErrors"][0]["field"] == ["swipes", "1", "productId"]
    assert payload["preferences"]["totalSwipes"] == 2


async def test_a_swipe_given_twice_in_a_batch_is_stored_once(shop: Shop) -> None:
    client = await shop.anonymous()
    swipe = {"productId": (await client.product("Camping 1"))["id"], "direction": "UP", "clientSwipeId": "a"}
    first, second = (await client.do(SWIPES, input={"swipes": [swipe, swipe]}))["results"]
    assert first == second
    assert await shop.owner.fetchval("select count(*) from swipes") == 1


async def test_an_id_given_twice_in_a_batch_for_different_swipes_is_refused_the_second_time(shop: Shop) -> None:
    client = await shop.anonymous()
    swipe = {"productId": (await client.product("Camping 1"))["id"], "direction": "UP", "clientSwipeId": "a"}
    first, second = (await client.do(SWIPES, input={"swipes": [swipe, {**swipe, "direction": "LEFT"}]}))["results"]
    assert first["swipe"]["direction"] == "UP"
    assert second == {
        "swipe": None,
        "userErrors": [{"code": "IDEMPOTENCY_KEY_REUSED", "field": ["swipes", "1", "clientSwipeId"]}],
    }


async def test_the_last_swipe_of_a_product_in_a_batch_counts(shop: Shop) -> None:
    client = await shop.anonymous()
    product = (await client.product("Camping 1"))["id"]
    ways = ["LEFT", "UP", "DOWN", "RIGHT"]
    swipes = [{"productId": product, "direction": way, "clientSwipeId": way} for way in ways]
    await client.do(SWIPES, input={"swipes": swipes})
    assert await direction(shop) == "right"


async def test_a_batch_has_at_most_a_hundred_swipes(shop: Shop) -> None:
    client = await shop.anonymous()
    product = (await client.product("Camping 1"))["id"]
    swipes = [{"productId": product, "direction": "UP", "clientSwipeId": str(n)} for n in range(101)]
    assert (await client.refusal(SWIPES, input={"swipes": swipes}))["code"] == "LIMIT_REACHED"
    assert await shop.owner.fetchval("select count(*) from swipes") == 0


async def test_swipes_recorded_at_once_are_all_in_the_preferences(shop: Shop) -> None:
    client = await shop.anonymous()
    products = (await client.products(first=100))[:12]
    await asyncio.gather(*(client.swipe(product["id"]) for product in products))
    after = await state(shop)
    await rebuild(shop, client)
    assert await state(shop) == after
    assert await shop.owner.fetchval("select total_swipes from user_preferences") == 12


async def swiped_meanwhile(shop: Shop, client: Client, *given: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers to swipes that all began to wait for the person's lock before the last of them was committed."""
    subject = (ids.decode(await client.my_id()) or ("", None))[1]
    async with shop.owner.transaction():
        await shop.owner.fetch(QUERIES["swipes.lock"].sql, subject)
        answers = asyncio.gather(*(client.ask(SWIPE, input=each) for each in given))
        await until(
            shop.owner, "(select count(*) from pg_locks where locktype = 'advisory' and not granted) = $1", len(given)
        )
    return [answer["recordSwipe"] for answer in await answers]


async def test_a_swipe_sees_what_was_committed_while_it_waited(shop: Shop) -> None:
    client = await shop.anonymous()
    one, other = (await client.product("Camping 1"))["id"], (await client.product("Camping 2"))["id"]
    given = [{"productId": one, "direction": "LEFT", "clientSwipeId": str(n)} for n in range(3)]
    given += [{"productId": other, "direction": "UP", "clientSwipeId": str(n)} for n in range(3, 6)]
    answers = await swiped_meanwhile(shop, client, *given)
    assert sorted(answer["preferences"]["totalSwipes"] for answer in answers) == [1, 2, 3, 4, 5, 6]
    after = await state(shop)
    await rebuild(shop, client)
    assert await state(shop) == after


async def test_a_swipe_sent_twice_at_once_is_stored_once_and_told_twice(shop: Shop) -> None:
    client = await shop.anonymous()
    swipe = {"productId": (await client.product("Camping 1"))["id"], "direction": "UP", "clientSwipeId": "a"}
    first, second = await swiped_meanwhile(shop, client, swipe, swipe)
    assert first == second
    assert (first["preferences"]["totalSwipes"], first["userErrors"]) == (1, [])


async def test_of_two_swipes_of_one_id_at_once_one_is_refused(shop: Shop) -> None:
    client = await shop.anonymous()
    swipe = {"productId": (await client.product("Camping 1"))["id"], "direction": "UP", "clientSwipeId": "a"}
    answers = await swiped_meanwhile(shop, client, swipe, {**swipe, "direction": "LEFT"})
    errors = sorted(error["code"] for answer in answers for error in answer["userErrors"])
    assert errors == ["IDEMPOTENCY_KEY_REUSED"]
    assert await shop.owner.fetchval("select count(*) from swipes") == 1


@pytest.mark.parametrize("role", ["anonymous", "account"])
async def test_a_connection_serves_both_roles_in_turns(shop: Shop, role: str) -> None:
    """Plans that are kept know the role they were made for."""
    one, other = await shop.anonymous(), await shop.account()
    clients = [one, other] if role == "anonymous" else [other, one]
    product = (await one.product("Camping 1"))["id"]
    for total in range(1, 9):
        for client in clients:
            assert (await client.swipe(product))["preferences"]["totalSwipes"] == total


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_full_rebuild_gives_what_the_swipes_gave_one_by_one(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    client = await shop.anonymous()
    products = chance.sample(await client.products(first=100), 12)
    made: list[dict[str, Any]] = []
    for step in range(40):
        if made and chance.random() < 0.2:
            await undo(client, chance.choice(made))
        else:
            way = chance.choice(["LEFT", "RIGHT", "UP", "DOWN"])
            made.append(await client.swipe(chance.choice(products)["id"], way, clientSwipeId=str(step)))
    before = await state(shop)
    await rebuild(shop, client)
    assert await state(shop) == before


async def test_a_rebuild_leaves_other_people_alone(shop: Shop) -> None:
    one, other = await shop.anonymous(), await shop.anonymous()
    await other.swipe((await other.product("Camping 1"))["id"])
    before = await state(shop)
    await rebuild(shop, one)
    assert [row for row in await state(shop) if row["user_id"] == before[0]["user_id"]] == before


async def test_an_older_signal_weighs_less(shop: Shop) -> None:
    client = await shop.anonymous()
    dislike = await client.swipe((await client.product("Camping 1"))["id"], "LEFT")
    like = await client.swipe((await client.product("Camping 2"))["id"], "RIGHT")
    assert score(like, "camping") == 0
    await age(shop, dislike, 90)
    await rebuild(shop, client)
    payload = await client.swipe((await client.product("Books 1"))["id"], "DOWN")
    # Half the weight after 90 days: (0.6 - 0.5 * 0.6) / (1 + 0.5 + 2).
    assert score(payload, "camping") == pytest.approx(0.3 / 3.5, abs=1e-6)


async def test_signals_that_age_together_keep_their_say(shop: Shop) -> None:
    client = await shop.anonymous()
    made = [
        await client.swipe((await client.product(f"Camping {n}"))["id"], way) for n, way in ((1, "UP"), (2, "LEFT"))
    ]
    before = [row["category_preferences"] for row in await shop.owner.fetch(PREFERENCES)]
    for swipe in made:
        await age(shop, swipe, 400)
    await rebuild(shop, client)
    assert [row["category_preferences"] for row in await shop.owner.fetch(PREFERENCES)] == before


async def test_a_score_follows_the_evidence(shop: Shop) -> None:
    client = await shop.anonymous()
    scores = [score(await client.swipe((await client.product(f"Camping {n}"))["id"]), "camping") for n in range(1, 11)]
    assert scores == sorted(scores)
    assert scores == pytest.approx([0.6 * n / (n + 2) for n in range(1, 11)], abs=1e-6)


async def test_a_price_range_needs_three_likes(shop: Shop) -> None:
    client = await shop.anonymous()
    ranges = []
    for n in (1, 5, 9):
        await client.swipe((await client.product(f"Camping {n}"))["id"])
        row = await shop.owner.fetchrow("select min_price_minor, max_price_minor from user_preferences")
        ranges.append(tuple(row or ()))
    assert ranges == [(None, None), (None, None), (1000, 1800)]
