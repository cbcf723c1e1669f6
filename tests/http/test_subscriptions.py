"""The three subscriptions: each event is read under the subscriber's own claims."""

from __future__ import annotations

import gc
from typing import Any

import asyncpg
import msgspec
import pytest

from domain import ids
from domain.errors import RateLimited
from engine.requests import Prepared, Request
from services import housekeeping
from services.subscriptions import MAX_QUEUED_IDS
from tests.client import Client
from tests.conftest import Shop
from tests.streams import (
    CONVERSIONS,
    FEED,
    PREFERENCES,
    app_of,
    convert,
    heard,
    listening,
    notifications,
    socket,
    until,
)
from transports.streams import EVENTS_AT_ONCE, Stream
from transports.websockets import MESSAGE_COST

CLICK = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { click { id } userErrors { message } } }"
SWIPES = """
mutation ($swipes: [SwipeInput!]!) {
  recordSwipes(input: {swipes: $swipes}) { results { swipe { id } } userErrors { code } }
}
"""
WITHDRAW = """
mutation { updateConsents(input: {policyVersion: "1", consents: [{purpose: PERSONALISATION, granted: false}]}) {
  userErrors { message } } }
"""

MORE_CLICKS = """
insert into public.affiliate_clicks (user_id, product_id, retailer_id, affiliate_url, price_minor, currency)
select c.user_id, c.product_id, c.retailer_id, c.affiliate_url, c.price_minor, c.currency
from public.affiliate_clicks c cross join generate_series(1, $1)
returning id
"""


async def click_of(client: Client, product: str = "Books 1") -> tuple[str, str]:
    """The global id and the uuid of a new click."""
    click = (await client.do(CLICK, id=(await client.product(product))["id"]))["click"]["id"]
    return click, str(ids.decode_as("AffiliateClick", click))


@pytest.fixture(params=["by plan", "by loaders"])
def path(request: pytest.FixtureRequest, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """How an event is read."""
    runtime = app_of(shop).graphql._engine._runtime
    changed = msgspec.structs.replace(runtime.settings, plans=request.param == "by plan")
    monkeypatch.setattr(runtime, "settings", changed)


@pytest.mark.usefixtures("path")
async def test_a_swipe_notifies_of_new_preferences(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        await events.subscribe(PREFERENCES)
        await anna.swipe((await anna.product("Books 1"))["id"])
        assert await events.event() == {"preferencesUpdated": {"totalSwipes": 1, "rightSwipes": 1}}


async def test_a_stream_that_waits_keeps_nothing_of_its_request_but_the_text(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        await events.subscribe(PREFERENCES)
        await anna.swipe((await anna.product("Books 1"))["id"])
        await events.event()
        gc.collect()
        assert not any(isinstance(each, Prepared) for each in gc.get_objects())


async def test_events_are_charged_and_wait_for_the_limit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    charged: list[int] = []
    charge = Stream.charge

    async def strict(self: Stream, cost: int) -> None:
        if cost > MESSAGE_COST:
            charged.append(cost)
            if len(charged) == 1:
                raise RateLimited("Too much.", retry_after=1)
        await charge(self, cost)

    monkeypatch.setattr(Stream, "charge", strict)
    anna = await shop.anonymous()
    products = [product["id"] for product in await anna.products(first=2)]
    async with socket(shop, anna.token) as events:
        await events.subscribe(PREFERENCES)
        for swipes, product in enumerate(products, start=1):
            await anna.swipe(product)
            assert (await events.event())["preferencesUpdated"]["totalSwipes"] == swipes
    assert charged == [shop.engine.prepare(Request(PREFERENCES)).charge] * 3


@pytest.mark.usefixtures("path")
async def test_a_swipe_notifies_of_a_better_feed(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        await events.subscribe(FEED)
        await anna.swipe((await anna.product("Books 1"))["id"])
        assert await events.event() == {"recommendationsUpdated": True}


@pytest.mark.usefixtures("path")
async def test_a_conversion_notifies_the_person_who_clicked(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        click, uuid = await click_of(anna)
        await events.subscribe(CONVERSIONS)
        await convert(shop, uuid)
        told = {"affiliateConversion": {"id": click, "product": {"name": "Books 1"}}}
        assert await events.event() == told
        await convert(shop, uuid, status="declined")
        assert await events.event() == told


async def test_a_quiz_notifies_too(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        await events.subscribe(PREFERENCES)
        await anna.take_quiz({"cre"})
        assert await events.event() == {"preferencesUpdated": None}  # she has swiped nothing


async def test_withdrawn_preferences_are_sent_as_null(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.swipe((await anna.product("Books 1"))["id"])
    async with socket(shop, anna.token) as events:
        await heard(shop)
        await events.subscribe(PREFERENCES)
        await anna.do(WITHDRAW)
        assert await events.event() == {"preferencesUpdated": None}


async def test_a_new_model_notifies_all_subscribers_to_feeds(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    async with socket(shop, anna.token) as hers, socket(shop, ben.token) as his:
        await hers.subscribe(FEED)
        await his.subscribe(FEED)
        await shop.owner.execute("update public.recommendation_models set created_at = created_at - interval '1 day'")
        await shop.owner.execute("update public.products set updated_at = now() + interval '1 second'")
        assert await housekeeping.refresh_model(shop.services) == 1
        assert await hers.event() == await his.event() == {"recommendationsUpdated": True}


async def test_many_swipes_are_one_notification(shop: Shop) -> None:
    anna = await shop.anonymous()
    products = await anna.products(first=50)
    async with notifications(shop) as lines:
        given = [{"productId": p["id"], "direction": "RIGHT", "clientSwipeId": p["id"]} for p in products]
        await anna.do(SWIPES, swipes=given)
    (told,) = [line for line in lines if line.startswith("preferences")]
    (me,) = await shop.owner.fetch("select id from public.profiles")
    assert told == f"preferences {me['id']}"


async def test_swipes_of_a_moment_are_one_event_with_the_latest_state(shop: Shop) -> None:
    anna = await shop.anonymous()
    first, second, third = (await anna.products(first=3))[:3]
    async with socket(shop, anna.token) as events:
        await events.subscribe(PREFERENCES)
        turns = app_of(shop).websockets._streams.event_slots
        for _ in range(EVENTS_AT_ONCE):
            await turns.acquire()  # as if others were being told
        for product in (first, second, third):
            await anna.swipe(product["id"])
        await shop.services.database.changes._is_said.wait()
        for _ in range(EVENTS_AT_ONCE):
            turns.release()
        seen = [(await events.event())["preferencesUpdated"]["totalSwipes"]]
        while seen[-1] < 3:
            seen.append((await events.event())["preferencesUpdated"]["totalSwipes"])
        assert len(seen) <= 2


async def test_events_of_a_network_without_turns_take_no_slot_of_others(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    async with socket(shop, anna.token) as hers, socket(shop, ben.token) as his:
        await his.subscribe(PREFERENCES)
        product = (await anna.products(first=1))[0]["id"]
        await anna.swipe(product)
        await heard(shop)
        ids = [f"events-{number}" for number in range(EVENTS_AT_ONCE)]
        for each in ids:
            await hers.subscribe(PREFERENCES, id=each)
        turns = shop.services.turns
        person = str(await shop.owner.fetchval("select id from public.profiles order by created_at limit 1"))
        taken = [turns.take("203.0.113.1", person) for _ in range(turns._personal_limit)]
        assert taken == [None] * len(taken)
        shop.services.database.changes.note("preferences", person)  # an event for each, but Anna has no turn left
        await heard(shop)
        await ben.swipe(product)
        assert (await his.event())["preferencesUpdated"]["totalSwipes"] == 1
        for _ in taken:
            turns.leave("203.0.113.1", person)
        told = [await hers.hear() for _ in ids]
        assert sorted(message["id"] for message in told) == ids


async def test_a_subscription_that_was_completed_hears_no_more(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        await events.subscribe(PREFERENCES)
        events.say("complete", id="events")
        await events.subscribe(FEED, id="feed")  # the first is gone when this one stands
        await anna.swipe((await anna.product("Books 1"))["id"])
        assert await events.event("feed") == {"recommendationsUpdated": True}
        await events.hears_nothing()


async def test_a_slow_subscriber_to_conversions_has_to_subscribe_again(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        await events.subscribe(CONVERSIONS)
        streams = app_of(shop).websockets._streams
        for _ in range(EVENTS_AT_ONCE):
            await streams.event_slots.acquire()  # nothing is read meanwhile
        person = await shop.owner.fetchval("select id from public.profiles")
        _, first = await click_of(anna)
        clicks = [first, *(str(row["id"]) for row in await shop.owner.fetch(MORE_CLICKS, MAX_QUEUED_IDS + 1))]
        for click in clicks:
            await convert(shop, click)
        subscription = shop.services.database.changes._listeners["conversions"][str(person)][0].__self__  # type: ignore[attr-defined]
        await until(lambda: subscription._missed_since is not None)
        for _ in range(EVENTS_AT_ONCE):
            streams.event_slots.release()
        assert (await events.event())["affiliateConversion"]  # it was being told
        message = await events.hear()
        assert (message["type"], message["id"]) == ("error", "events")
        assert message["payload"][0]["extensions"] == {"code": "OVERLOADED", "retryAfter": 1}


@pytest.mark.drill
async def test_missed_notifications_are_caught_up(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        click, uuid = await click_of(anna)
        await events.subscribe(CONVERSIONS)
        await events.subscribe(PREFERENCES, id="preferences")
        await lose_connection(shop, meanwhile=lambda: convert(shop, uuid))
        told = {m["id"]: m["payload"]["data"] for m in (await events.hear(), await events.hear())}
        assert told == {
            "events": {"affiliateConversion": {"id": click, "product": {"name": "Books 1"}}},
            "preferences": {"preferencesUpdated": None},
        }


async def lose_connection(shop: Shop, meanwhile: Any) -> None:
    """Postgres ends the connection that listens; it is there again when this returns."""
    assert shop.dsns.superuser
    superuser = await asyncpg.connect(shop.dsns.superuser)
    changes = shop.services.database.changes
    try:
        # Nobody comes back before what is to be missed has happened.
        name = await superuser.fetchval("select current_database()")
        await superuser.execute(f"alter database {name} connection limit 0")
        await superuser.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'aclue changes' and datname = current_database()"
        )
        await until(lambda: not changes.is_connected)
        await meanwhile()
    finally:
        await superuser.execute(f"alter database {name} connection limit -1")
        await superuser.close()
    await listening(shop)


async def test_garbage_on_the_channel_is_ignored(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        await events.subscribe(CONVERSIONS)
        person = await shop.owner.fetchval("select id from public.profiles")
        for payload in ("", "conversions", "\n\n", f"conversions {person} what", "x" * 7000, "hello there", "* x"):
            await shop.owner.execute("select pg_notify('aclue_changes', $1)", payload)
        await events.hears_nothing()


@pytest.mark.parametrize("query", [PREFERENCES, FEED, CONVERSIONS])
async def test_without_a_token_there_is_nothing_to_listen_to(shop: Shop, query: str) -> None:
    async with socket(shop) as events:
        message = await events.ask(query)
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_over_plain_http_a_subscription_is_refused_with_the_way_to_go(shop: Shop) -> None:
    anna = await shop.anonymous()
    response = await anna.post(PREFERENCES)
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert "text/event-stream" in error["message"]


async def test_a_subscription_has_one_field(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        message = await events.ask("subscription { preferencesUpdated { id } recommendationsUpdated }")
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize(
    "query",
    [
        "subscription { a: preferencesUpdated { id } b: preferencesUpdated { id } }",
        "subscription { __typename }",
        "subscription { __schema { queryType { name } } }",
        "subscription { ...Two } fragment Two on Subscription { recommendationsUpdated __typename }",
    ],
)
async def test_nor_does_it_have_another_one_by_a_detour(shop: Shop, query: str) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        message = await events.ask(query)
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_aliases_fragments_and_conditions_work_in_a_subscription(shop: Shop) -> None:
    query = """
    subscription ($more: Boolean! = false) { ...Told }
    fragment Told on Subscription { liked: preferencesUpdated { totalSwipes confidence @include(if: $more) } }
    """
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as events:
        await events.subscribe(query)
        await anna.swipe((await anna.product("Books 1"))["id"])
        assert await events.event() == {"liked": {"totalSwipes": 1}}
