"""What networks report of a person's own clicks counts as what they bought, for as long as the sale stands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from domain import ids
from services import postbacks
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_postbacks import push, sender
from tests.http.test_recommendation_feedback import READ, SAY, staff
from tests.http.test_session_merges import merge
from tests.http.test_swipes_for_others import gifts
from tests.ledger import awin, report
from tests.streams import CONVERSIONS, FEED, heard, socket

CLICK = """
mutation ($input: AffiliateClickInput!) { createAffiliateClick(input: $input) { click { id } userErrors { code } } }
"""
LINK = """
mutation ($id: ID!) { createGiftLink(input: {productId: $id}) { giftLink { url } userErrors { code } } }
"""
BOUGHT = """
select user_id, product_id, recommendation_id from public.recommendation_feedback
where feedback_type = 'purchased' and conversion_id is not null
"""
LATER = "2026-07-25T09:00:00"


async def click(shop: Shop, client: Client, shown: dict[str, Any], *, is_told: bool = True) -> tuple[str, UUID]:
    """A click on a recommendation; `is_told`: it says on which. Returns its global id and its uuid."""
    told = {"recommendationId": shown["id"]} if is_told else {}
    made = await client.do(CLICK, input={"productId": shown["product"]["id"], **told})
    return made["click"]["id"], ids.decode_as("AffiliateClick", made["click"]["id"])


async def listed(client: Client) -> set[str]:
    return {node["product"]["id"] for node in (await client.feed(first=100))["nodes"]}


async def bought(shop: Shop) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await shop.owner.fetch(BOUGHT)]


async def purchases(shop: Shop) -> int:
    found: int = await shop.owner.fetchval("select max(private.purchases_of(id)) from public.profiles")
    return found


@pytest.mark.parametrize("is_told", [True, False], ids=["recommendation", "any product"])
async def test_what_was_bought_leaves_the_feed_until_it_is_sent_back(shop: Shop, is_told: bool) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"soc"})
    shown, *_ = (await anna.feed(first=1))["nodes"]
    product = shown["product"]["id"]
    _, clicked = await click(shop, anna, shown, is_told=is_told)
    is_purchased = "select is_purchased from public.personality_recommendations where product_id = $1"

    for _ in range(2):  # the second time changes nothing
        await report(shop.services, awin("A1", click=clicked))
        ((user, of, recommendation),) = await bought(shop)
        assert (user, of) == (ids.decode_as("Profile", await anna.my_id()), ids.decode_as("Product", product))
        assert (recommendation is not None) is is_told
        assert product not in await listed(anna)
        assert await purchases(shop) == 1
        if is_told:
            assert await shop.owner.fetchval(is_purchased, of) is True
    seen = (await staff(shop, "analyst").ask(READ))["recommendationFeedback"]["nodes"]
    assert [(node["kind"], node["product"]["id"]) for node in seen] == [("PURCHASED", product)] * is_told

    await report(shop.services, awin("A1", "approved", click=clicked))
    assert len(await bought(shop)) == 1
    for _ in range(2):
        await report(shop.services, awin("A1", "declined", click=clicked, validated=LATER))
        assert await bought(shop) == []
        assert product in await listed(anna)
        assert await purchases(shop) == 0
        assert not await shop.owner.fetchval(is_purchased, of)


async def test_what_a_person_said_they_bought_stays_said(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"soc"})
    shown, *_ = (await anna.feed(first=1))["nodes"]
    await anna.do(SAY, input={"recommendationId": shown["id"], "kind": "PURCHASED"})
    _, clicked = await click(shop, anna, shown)
    await report(shop.services, awin("A1", click=clicked))
    assert await purchases(shop) == 1
    await report(shop.services, awin("A1", "declined", click=clicked))
    assert await purchases(shop) == 1
    assert shown["product"]["id"] not in await listed(anna)
    assert await shop.owner.fetchval("select is_purchased from public.personality_recommendations") is True


async def test_the_sale_of_another_click_is_no_longer_the_first_ones(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    hers, his = (await anna.feed(first=2))["nodes"]
    _, first = await click(shop, anna, hers)
    _, second = await click(shop, ben, his, is_told=False)
    secret = (await sender(shop)).secret
    await push(shop, secret, click=first)
    await postbacks.process_due(shop.services)
    assert [user for user, *_ in await bought(shop)] == [ids.decode_as("Profile", await anna.my_id())]
    await report(shop.services, awin("A1", click=second))  # an import is believed before a postback
    assert [user for user, *_ in await bought(shop)] == [ids.decode_as("Profile", await ben.my_id())]
    assert hers["product"]["id"] in await listed(anna)


async def test_a_gift_stays_in_the_givers_feed(shop: Shop) -> None:
    anna = await shop.anonymous()
    shown, *_ = await gifts(anna)
    _, clicked = await click(shop, anna, shown)
    await report(shop.services, awin("A1", click=clicked))
    assert len(await bought(shop)) == 1
    assert shown["product"]["id"] in await listed(anna)


async def test_what_somebody_buys_through_a_gift_link_was_not_bought_by_its_maker(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.product("Books 1"))["id"]
    url = (await anna.do(LINK, id=product))["giftLink"]["url"]
    page = await shop.http.get(url)
    visit = page.text.partition('name="visit" value="')[2].partition('"')[0]
    assert (await shop.http.post(url, data={"visit": visit})).status_code == 303
    clicked = await shop.owner.fetchval("select id from public.affiliate_clicks")
    await report(shop.services, awin("A1", click=clicked))
    assert await bought(shop) == []
    assert await purchases(shop) == 0
    assert product in await listed(anna)

    ben = await shop.anonymous()
    given = {"productId": product, "giftLinkToken": url.rpartition("/")[2]}
    made = await ben.do(CLICK, input=given)
    await report(shop.services, awin("A2", click=ids.decode_as("AffiliateClick", made["click"]["id"])))
    rows = await shop.owner.fetch("select id from public.profiles where private.purchases_of(id) = 1")
    assert [row["id"] for row in rows] == [ids.decode_as("Profile", await ben.my_id())], "he bought it himself"


@pytest.mark.usefixtures("own_accounts")
async def test_what_a_session_bought_is_the_accounts_and_goes_with_the_person(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    shown, *_ = (await session.feed(first=1))["nodes"]
    _, clicked = await click(shop, session, shown)
    await report(shop.services, awin("A1", click=clicked))
    await merge(account, session)
    user = ids.decode_as("Profile", await account.my_id())
    assert [row[0] for row in await bought(shop)] == [user]
    assert shown["product"]["id"] not in await listed(account)
    await report(shop.services, awin("A1", "approved", click=clicked))
    assert [row[0] for row in await bought(shop)] == [user]

    await shop.owner.execute("delete from public.profiles where id = $1", user)
    await report(shop.services, awin("A1", "declined", click=clicked, validated=LATER))
    await report(shop.services, awin("A2", click=clicked))
    assert await bought(shop) == []


async def test_a_person_hears_of_their_own_sales_when_they_change(shop: Shop) -> None:
    anna = await shop.anonymous()
    shown, *_ = (await anna.feed(first=1))["nodes"]
    secret = (await sender(shop)).secret
    click_id, clicked = await click(shop, anna, shown)
    async with socket(shop, anna.token) as events, socket(shop, anna.token) as feeds:
        await heard(shop)
        await events.subscribe(CONVERSIONS)
        await feeds.subscribe(FEED)
        await push(shop, secret, click=clicked)
        await postbacks.process_due(shop.services)
        assert (await events.event())["affiliateConversion"]["id"] == click_id
        assert await feeds.event() == {"recommendationsUpdated": True}
        await report(shop.services, awin("A1", click=clicked))  # the same, by an import: nothing to tell
        await report(shop.services, awin("A2", click=clicked, commission="9.00"))
        assert (await events.event())["affiliateConversion"]["id"] == click_id
        await events.hears_nothing()
