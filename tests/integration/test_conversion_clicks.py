"""Which click a sale belongs to, whether it came in time, and what stays of both."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db.claims import SERVICE
from domain import ids
from domain.affiliate import encode_token
from domain.ledger import postbacks
from services import ledger
from tests.client import Client
from tests.conftest import Shop
from tests.ledger import ORDERED_AT, awin, awin_push, report

CLICK = """
mutation ($input: AffiliateClickInput!) { createAffiliateClick(input: $input) { click { id } userErrors { code } } }
"""
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) Mobile/15E148"
KEPT = "select * from public.conversion_clicks"
HOUR = timedelta(hours=1)


async def clicked(shop: Shop, client: Client, before: timedelta, name: str = "Books 1", **more: Any) -> UUID:
    """A click so long before the order; its id. Books 1 and 4 are of one shop."""
    made = await client.do(CLICK, input={"productId": (await client.product(name))["id"], **more})
    id = ids.decode_as("AffiliateClick", made["click"]["id"])
    assert id
    await shop.owner.execute(
        "update public.affiliate_clicks set click_timestamp = $2 where id = $1", id, ORDERED_AT - before
    )
    return id


async def followed(shop: Shop, click: UUID, at: datetime, *, by: str | None = None) -> None:
    path = f"/r/{encode_token(click)}"
    await shop.http.get(path, headers={"user-agent": by or PHONE})
    moved = "update public.affiliate_redirects set redirected_at = $2, visited_hour = null where click_id = $1"
    await shop.owner.execute(f"{moved} and visited_hour is not null", click, at)


async def kept(shop: Shop) -> asyncpg.Record:
    row = await shop.owner.fetchrow(KEPT)
    assert row
    return row


async def is_outside(shop: Shop) -> bool:
    found: bool = await shop.owner.fetchval("select is_outside_window from public.conversions")
    return found


@pytest.mark.parametrize(("hours", "is_late"), [(1, False), (719, False), (721, True)])
async def test_an_order_after_the_window_is_flagged_and_its_money_counts(shop: Shop, hours: int, is_late: bool) -> None:
    click = await clicked(shop, await shop.anonymous(), hours * HOUR)
    await report(shop.services, awin("A1", "approved", click=click, commission="3.00"))
    assert await is_outside(shop) is is_late
    row = await shop.owner.fetchrow("select click_id, status, approved_minor from public.conversions")
    assert tuple(row or ()) == (click, "approved", 300), "the network pays: it has its own clock"
    assert (await kept(shop))["click_window_hours"] == 720


@pytest.mark.parametrize(("by", "is_late"), [(None, False), ("Googlebot/2.1", True)])
async def test_the_window_begins_when_a_person_last_followed_the_link(
    shop: Shop, by: str | None, is_late: bool
) -> None:
    click = await clicked(shop, await shop.anonymous(), 1000 * HOUR)
    await followed(shop, click, ORDERED_AT - 10 * HOUR, by=by)
    await followed(shop, click, ORDERED_AT + HOUR)
    await report(shop.services, awin("A1", click=click))
    assert await is_outside(shop) is is_late
    if not is_late:
        assert (await kept(shop))["followed_at"] == ORDERED_AT - 10 * HOUR


async def test_a_shop_has_a_window_of_its_own_or_that_of_its_network(shop: Shop) -> None:
    hours = "select private.click_window_hours(id) from public.retailers where slug = 'north-shop'"
    assert await shop.owner.fetchval(hours) == 720
    await shop.owner.execute("update public.retailers set affiliate_network = 'amazon' where slug = 'north-shop'")
    assert await shop.owner.fetchval(hours) == 24 + 90 * 24, "a day to the cart, and 90 from there"
    await shop.owner.execute(
        "update public.retailers set affiliate_network = 'awin', click_window_hours = 24 where slug = 'north-shop'"
    )
    assert await shop.owner.fetchval(hours) == 24
    click = await clicked(shop, await shop.anonymous(), 30 * HOUR)
    await report(shop.services, awin("A1", click=click))
    assert await is_outside(shop)


async def test_of_several_tokens_the_last_click_within_the_window_is_paid(shop: Shop) -> None:
    anna = await shop.anonymous()
    late = await clicked(shop, anna, 900 * HOUR)
    first, last = [await clicked(shop, anna, hours * HOUR) for hours in (400, 20)]
    after = await clicked(shop, anna, -HOUR)
    refs = {f"clickRef{n or ''}": encode_token(click) for n, click in enumerate((first, late, after, last))}
    await report(shop.services, awin("A1", clickRefs=refs))
    row = await kept(shop)
    assert (row["click_id"], row["first_click_id"], row["matched_by"]) == (last, first, "click_id")
    assert not await is_outside(shop)


async def test_the_order_of_reports_decides_nothing(shop: Shop) -> None:
    anna = await shop.anonymous()
    first, last = [await clicked(shop, anna, hours * HOUR) for hours in (400, 20)]
    reports = [awin("A1", click=first), awin("A1", "approved", click=last)]
    for reference, order in (("A1", (0, 1)), ("A2", (1, 0))):
        for number in order:
            await report(shop.services, {**reports[number], "id": reference})
    assert {row["click_id"] for row in await shop.owner.fetch(KEPT)} == {last}
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        before = await ledger.fingerprint(session)
        await ledger.rebuild(session)
        assert await ledger.fingerprint(session) == before


async def test_at_a_time_the_last_click_of_one_person_is_meant_and_of_two_people_none(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.set_advertiser(session, "awin", "77", "north-shop")
    at = (ORDERED_AT - HOUR).strftime("%Y-%m-%dT%H:%M:%S")
    product = await shop.owner.fetchval(
        "select p.name from public.products p join public.retailers r on r.id = p.seller_id where r.slug = 'north-shop'"
    )
    await clicked(shop, anna, HOUR + timedelta(seconds=4), product)
    last = await clicked(shop, anna, HOUR + timedelta(seconds=1), product)
    await report(shop.services, awin("A1", clickDate=at))
    row = await kept(shop)
    assert (row["click_id"], row["matched_by"]) == (last, "click_time")
    await clicked(shop, ben, HOUR, product)
    await report(shop.services, awin("A2", clickDate=at))
    assert await shop.owner.fetchval("select click_id from public.conversions where reference = 'A2'") is None


async def test_first_and_last_click_are_two_views_of_the_same_money(shop: Shop) -> None:
    anna = await shop.anonymous()
    shop.http.headers["user-agent"] = PHONE
    first = await clicked(shop, anna, 400 * HOUR, campaign="spring", sourcePage="/feed")
    shop.http.headers["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0"
    last = await clicked(shop, anna, 20 * HOUR, campaign="summer")
    await report(shop.services, awin("A1", "approved", click=last, commission="3.00"))
    await report(shop.services, awin("A2"))
    views = """
        select a.click_id, a.campaign, a.source_page, a.device_class, sum(v.approved_minor)::int
        from private.attributed_conversions($1) a join public.conversions v on v.id = a.conversion_id
        group by 1, 2, 3, 4
    """
    expected = {"last": (last, "summer", None, "desktop", 300), "first": (first, "spring", "/feed", "mobile", 300)}
    for model, row in expected.items():
        assert [tuple(one) for one in await shop.owner.fetch(views, model)] == [row]
    await shop.owner.execute("delete from public.profiles")
    for model, row in expected.items():
        assert [tuple(one) for one in await shop.owner.fetch(views, model)] == [row], "erased people leave the figures"


async def test_a_sale_keeps_what_its_click_knew_and_not_who_clicked(shop: Shop) -> None:
    anna = await shop.anonymous()
    shop.http.headers["user-agent"] = PHONE
    shown = (await anna.feed(first=1))["nodes"][0]
    made = await anna.do(
        CLICK,
        input={"productId": shown["product"]["id"], "recommendationId": shown["id"], "campaign": "spring"},
    )
    click = await shop.owner.fetchrow(
        "select * from public.affiliate_clicks where id = $1", ids.decode_as("AffiliateClick", made["click"]["id"])
    )
    assert click
    await report(shop.services, awin("A1", click=click["id"]))
    await shop.owner.execute("delete from public.profiles")
    row = await kept(shop)
    assert row["offer_id"] == click["offer_id"] is not None
    assert [row[name] for name in ("campaign", "device_class", "recommendation_context", "arm")] == [
        "spring", "mobile", "discover", 0,
    ]  # fmt: skip
    assert row["model_version"] is not None and not row["has_gift_link"]
    assert await shop.owner.fetchval("select user_id from public.conversions") is None


async def test_a_click_without_a_device_has_that_of_its_first_hit(shop: Shop) -> None:
    shop.http.headers.update({"user-agent": PHONE, "sec-gpc": "1"})
    click = await clicked(shop, await shop.anonymous(), HOUR)
    del shop.http.headers["sec-gpc"]
    await followed(shop, click, ORDERED_AT - HOUR)
    await report(shop.services, awin("A1", click=click))
    assert (await kept(shop))["device_class"] == "mobile"


async def test_a_sale_at_the_shop_that_took_the_place_of_another_is_on_its_terms(shop: Shop) -> None:
    anna = await shop.anonymous()
    shop.http.headers["user-agent"] = PHONE
    product = await anna.product("Camping 3")
    key = ids.decode_as("Product", product["id"])
    other = await shop.owner.fetchval(
        "insert into public.products (name, price_minor, currency, category_id, retailer_id, external_id,"
        " affiliate_url, is_active, merged_into, merged_at, merged_by) select 'The same', 9900, p.currency,"
        " p.category_id, r.id, 'same', 'https://shop.example/same', false, p.id, now(), 'gtin'"
        " from public.products p, public.retailers r"
        " where p.id = $1 and r.slug = 'north-shop' returning retailer_id",
        key,
    )
    click = await clicked(shop, anna, HOUR, "Camping 3")
    await shop.owner.execute("update public.product_offers set in_stock = false where id = $1", key)
    location = (await shop.http.get(f"/r/{encode_token(click)}")).headers["location"]
    led_to = await shop.owner.fetchval("select id from public.affiliate_clicks where substitute_of = $1", click)
    assert encode_token(led_to) in location
    await report(shop.services, awin("A1", click=led_to, sale="100.00"))
    row = await shop.owner.fetchrow("select retailer_id, expected_minor, user_id from public.conversions")
    assert row and (row["retailer_id"], row["expected_minor"]) == (other, 500)
    assert row["user_id"] == await shop.owner.fetchval("select user_id from public.affiliate_clicks limit 1")


async def test_a_click_by_time_is_the_same_in_all_orders_of_reports(shop: Shop) -> None:
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.set_advertiser(session, "awin", "77", "north-shop")
    name = await shop.owner.fetchval(
        "select p.name from public.products p join public.retailers r on r.id = p.seller_id where r.slug = 'north-shop'"
    )
    _, earlier = [await clicked(shop, await shop.anonymous(), hours * HOUR, name) for hours in (1, 2)]

    def said(reference: str, number: int) -> dict[str, Any]:
        """A report with a click at its own time, to the third of which no click belongs, and a time of the order."""
        at = (ORDERED_AT - (number + 1) * HOUR).strftime("%Y-%m-%dT%H:%M:%S")
        ordered = (ORDERED_AT - timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%S")
        return awin(reference, commission=f"{number + 1}.00", clickDate=at, transactionDate=ordered)

    for place, order in enumerate(itertools.permutations(range(3))):
        for number in order:
            await report(shop.services, said(f"T{place}", number))
    for table, left_out in (
        ("conversion_clicks", ["reference", "created_at"]),
        ("conversions", ["id", "reference", "created_at", "updated_at"]),
    ):
        rows = await shop.owner.fetch(f"select to_jsonb(t) - $1::text[] from public.{table} t", left_out)
        assert len(rows) == 6
        assert len({row[0] for row in rows}) == 1, table
    assert {row["click_id"] for row in await shop.owner.fetch(KEPT)} == {earlier}


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
async def test_a_token_counts_more_than_a_time_whichever_comes_first(shop: Shop, order: tuple[int, ...]) -> None:
    click = await clicked(shop, await shop.anonymous(), HOUR)
    await shop.owner.execute(
        "insert into public.advertisers (affiliate_network, advertiser_id, retailer_id)"
        " select 'awin', '77', retailer_id from public.affiliate_clicks where id = $1",
        click,
    )
    at = f"{ORDERED_AT - HOUR:%Y-%m-%dT%H:%M:%S}"
    reports = [awin("A1", clickDate=at), awin("A1", "approved", click=click, clickDate=at)]
    for place in order:
        await report(shop.services, reports[place])
    assert ((await kept(shop))["click_id"], (await kept(shop))["matched_by"]) == (click, "click_id")


async def test_a_link_was_followed_before_the_order_as_the_file_tells_it(shop: Shop) -> None:
    """A postback names an earlier time of the order, which counts for nothing once a file has reported."""
    click = await clicked(shop, await shop.anonymous(), 1000 * HOUR)
    await followed(shop, click, ORDERED_AT - HOUR)
    early = (ORDERED_AT - 5 * HOUR).strftime("%Y-%m-%d %H:%M:%S")
    push = {**awin_push("A1", click=click), "transactionDate": early}
    found = postbacks.read("awin", None, postbacks.Message("application/json", b"", json.dumps(push).encode()))
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger.import_reports(session, found.reports, source="postback")
    assert await is_outside(shop), "by the time of the postback"
    await report(shop.services, awin("A1", click=click))
    assert not await is_outside(shop)
    assert (await kept(shop))["followed_at"] == ORDERED_AT - HOUR
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        assert await ledger.rebuild_and_compare(session) == (1, False)


async def test_what_is_known_of_a_followed_link_stays_when_its_hits_are_purged(shop: Shop) -> None:
    click = await clicked(shop, await shop.anonymous(), 1000 * HOUR)
    await followed(shop, click, ORDERED_AT - HOUR)
    await report(shop.services, awin("A1", click=click))
    await shop.owner.execute("delete from public.affiliate_redirects")
    await report(shop.services, awin("A1", "approved", click=click))
    assert not await is_outside(shop)
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        assert await ledger.rebuild_and_compare(session) == (1, False)


@pytest.mark.parametrize("order", [1, -1])
async def test_a_row_that_comes_again_with_a_click_belongs_to_it_and_earns_once(shop: Shop, order: int) -> None:
    person = await shop.anonymous()
    click = await clicked(shop, person, HOUR)
    for row in [awin("A1", "approved"), awin("A1", "approved", click=click)][::order]:
        await report(shop.services, row)
        await report(shop.services, row)
    assert (await kept(shop))["click_id"] == click
    found = await shop.owner.fetchrow("select click_id, approved_minor, tracked_minor, status from public.conversions")
    assert found and tuple(found) == (click, 120, 120, "approved")
    assert await shop.owner.fetchval("select count(*) from public.conversion_reports") == 2
    assert await shop.owner.fetchval("select count(*) from public.exceptions") == 0


async def test_the_earliest_order_that_a_row_names_counts_whichever_comes_first(shop: Shop) -> None:
    july, june = awin("A1"), awin("A1", transactionDate="2026-06-30T23:59:59")
    for reference, rows in {"A1": [july, june], "A2": [june, july]}.items():
        for row in rows:
            await report(shop.services, {**row, "id": reference})
    months = "select distinct to_char(ordered_at, 'YYYY-MM') from public.conversions"
    assert [row[0] for row in await shop.owner.fetch(months)] == ["2026-06"]
