"""Which days of the figures are computed again: those of orders when products merge or split, and no others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.claims import SERVICE
from domain import ids
from domain.ledger.awin import SOURCE
from services import ledger
from tests.client import Client
from tests.conftest import Shop
from tests.integration.test_rollups import differing, refresh, visitor
from tests.ledger import ORDERED_AT, awin, report

CLICK = """
mutation ($input: AffiliateClickInput!) { createAffiliateClick(input: $input) { click { id } userErrors { code } } }
"""
CATEGORIES = """
select g.slug, sum(r.orders)::int as orders
from private.revenue('{category}', $1::date, $1::date, null, null, 'GBP') r
left join public.categories g on g.id = r.category_id group by 1
"""
FUNNEL = """
select g.slug, sum(c.counts[8])::int as orders
from private.rollup_counts('funnel', 'category', $1::date, $1::date, false) c
left join public.categories g on g.id = c.keys[1]::uuid where c.counts[8] > 0 group by 1
"""
READ = "select set_config('request.jwt.claims', '{\"role\": \"service_role\"}', true)"


async def categories(shop: Shop) -> list[dict[str, int]]:
    """Orders by category in revenue and in the funnel, of the day of the orders."""
    await refresh(shop)
    assert await differing(shop) == []
    async with shop.owner.transaction():
        await shop.owner.execute(READ)
        return [
            {row["slug"]: row["orders"] for row in await shop.owner.fetch(query, ORDERED_AT.date())}
            for query in (CATEGORIES, FUNNEL)
        ]


async def click_on(shop: Shop, client: Client, product: UUID) -> UUID:
    made = await client.do(CLICK, input={"productId": ids.encode("Product", product)})
    id = ids.decode_as("AffiliateClick", made["click"]["id"])
    assert id
    await shop.owner.execute(
        "update public.affiliate_clicks set click_timestamp = $2 where id = $1", id, ORDERED_AT - timedelta(hours=1)
    )
    return id


@pytest.mark.parametrize("has_offer", [True, False])
async def test_a_sale_is_of_the_product_that_its_offer_is_of_whenever_it_is_reported(
    shop: Shop, has_offer: bool
) -> None:
    """One click is reported before the merge, one between merge and split, one after: all move together."""
    anna = await shop.anonymous()
    stays, goes = [ids.decode_as("Product", (await anna.product(name))["id"]) for name in ("Books 1", "Camping 3")]
    assert stays
    assert goes
    clicks = [await click_on(shop, anna, goes) for _ in range(3)]
    if not has_offer:
        await shop.owner.execute("update public.affiliate_clicks set offer_id = null")
    slug = "select g.slug from public.products p join public.categories g on g.id = p.category_id where p.id = $1"
    of_stays, of_goes = [await shop.owner.fetchval(slug, product) for product in (stays, goes)]

    await report(shop.services, awin("A0", click=clicks[0]))
    assert await categories(shop) == [{of_goes: 1}] * 2
    await shop.owner.execute("select private.merge_two_products($1, $2, true)", goes, stays)
    assert await categories(shop) == [{of_stays: 1}] * 2
    await report(shop.services, awin("A1", click=clicks[1]))
    assert await categories(shop) == [{of_stays: 2}] * 2
    await shop.owner.execute("select private.split_product($1)", goes)
    assert await categories(shop) == [{of_goes: 2}] * 2
    await report(shop.services, awin("A2", click=clicks[2]))
    assert await categories(shop) == [{of_goes: 3}] * 2
    await shop.owner.execute("delete from public.profiles")
    assert await categories(shop) == [{of_goes: 3}] * 2, "erased people leave the figures"


@pytest.mark.usefixtures("own_accounts")
async def test_a_visit_whose_click_a_sale_has_left_has_no_order(shop: Shop) -> None:
    """A token that comes later takes the place of another; the visit that was credited forgets the order."""
    visits: Sequence[Any] = [await visitor(shop, landingPage="/") for _ in range(2)]
    product = ids.decode_as("Product", (await visits[0].product("Books 1"))["id"])
    assert product
    clicks = [await click_on(shop, who, product) for who in visits]
    now = datetime.now(UTC).replace(microsecond=0)
    for days, click in zip((3, 2), clicks, strict=True):
        at = now - timedelta(days=days)
        await shop.owner.execute("update public.affiliate_clicks set click_timestamp = $2 where id = $1", click, at)
        await shop.owner.execute(
            "update public.session_analytics v set started_at = $2 from public.affiliate_clicks c "
            "where c.id = $1 and v.user_id = c.user_id",
            click,
            at - timedelta(minutes=5),
        )
    converted = "select user_id from public.session_analytics where converted_at is not null"
    ordered = (now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S")
    for number, click in enumerate(clicks):
        await report(shop.services, awin("A1", click=click, commission=f"{number + 1}.00", transactionDate=ordered))
        await refresh(shop)
        assert await differing(shop) == []
        owner = await shop.owner.fetchval("select user_id from public.affiliate_clicks where id = $1", click)
        assert [row[0] for row in await shop.owner.fetch(converted)] == [owner]


async def test_an_order_of_another_century_adds_its_day_and_no_other(shop: Shop) -> None:
    before = await shop.owner.fetchval("select count(*) from private.rollup_days()")
    await report(shop.services, awin("A1", transactionDate="2000-01-01T00:00:00"), awin("A2"))
    days = {row[0].isoformat() for row in await shop.owner.fetch("select private.rollup_days()")}
    assert {"2000-01-01", f"{ORDERED_AT.date()}"} <= days
    assert len(days) <= before + 2
    await shop.owner.execute("select private.note_all_rollup_days()")
    assert await refresh(shop) <= len(days) + 2, "the days, and the months that have any"
    assert await differing(shop) == []


async def test_an_import_marks_each_day_once(shop: Shop) -> None:
    await refresh(shop)
    rows = [awin(f"A{number}", commission=f"{number + 1}.00") for number in range(5)]
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        for row in rows:
            await ledger.import_reports(session, SOURCE.read(json.dumps([row])).reports, source="import")
    counted = "select day, count(*) from private.rollup_days_due where day < current_date group by 1"
    marks = await shop.owner.fetch(counted)
    assert [tuple(row) for row in marks] == [(ORDERED_AT.date(), 1)]
