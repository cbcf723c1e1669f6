"""Agreed rates, and what the ledger of conversions makes of a click."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.conftest import Shop
from tests.integration.waiting import until

CLICK = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { click { id } userErrors { code } } }"
CONVERSIONS = "{ me { analytics { conversions } } }"
RULE = """
insert into public.commission_rules (retailer_id, category_id, rate, valid_from, valid_until)
select r.id, (select id from public.categories where slug = $2), $3::numeric,
  now() + $4::int * interval '1 day', now() + $5::int * interval '1 day'
from public.retailers r where r.slug = $1
"""
SALE = """
insert into public.conversions (affiliate_network, network_reference, click_id, sale_minor, commission_minor, currency,
  ordered_at, status)
values ('awin', $1, $2, 1000, $3, $4, now(), $5)
"""


async def rate(shop: Shop, category: str = "books", retailer: str = "north-shop") -> Decimal | None:
    found: Decimal | None = await shop.owner.fetchval(
        """
        select private.commission_rate(
          (select id from public.retailers where slug = $1), (select id from public.categories where slug = $2), now())
        """,
        retailer,
        category,
    )
    return found


async def rule(
    shop: Shop, category: str | None, percent: str, *, since: int = -1, until: int | None = None, shop_slug: str = ""
) -> None:
    await shop.owner.execute(RULE, shop_slug or "north-shop", category, Decimal(percent), since, until)


async def click(shop: Shop) -> tuple[Any, asyncpg.Record]:
    """Somebody, and their click on a product of a network."""
    somebody = await shop.anonymous()
    product = await shop.owner.fetchval(
        "select p.name from public.products p join public.retailers r on r.id = p.retailer_id"
        " join public.categories c on c.id = p.category_id"
        " where r.slug = 'north-shop' and c.slug = 'books' order by p.name limit 1"
    )
    await somebody.do(CLICK, id=(await somebody.product(product))["id"])
    row = await shop.owner.fetchrow("select * from public.affiliate_clicks")
    assert row
    return somebody, row


async def test_the_rule_of_the_nearest_category_counts(shop: Shop) -> None:
    assert await rate(shop) == Decimal("0.05")
    await rule(shop, None, "0.06")
    assert await rate(shop) == Decimal("0.06")
    await rule(shop, "all-gifts", "0.07")
    assert await rate(shop) == Decimal("0.07")
    await rule(shop, "books", "0.08")
    assert await rate(shop) == Decimal("0.08")
    assert await rate(shop, "tools") == Decimal("0.07")
    assert await rate(shop, "uncategorised") == Decimal("0.06")


async def test_rules_of_another_shop_or_time_do_not_count(shop: Shop) -> None:
    await rule(shop, "books", "0.5", shop_slug="south-shop")
    await rule(shop, "books", "0.6", since=1)
    await rule(shop, "books", "0.7", since=-9, until=-1)
    assert await rate(shop) == Decimal("0.05")
    assert await rate(shop, retailer="corner-shop") is None


async def test_of_two_rules_in_force_the_later_one_counts(shop: Shop) -> None:
    await rule(shop, "books", "0.02", since=-9)
    await rule(shop, "books", "0.03", since=-3)
    assert await rate(shop) == Decimal("0.03")


async def test_a_click_expects_what_was_agreed(shop: Shop) -> None:
    await rule(shop, "books", "0.1234")
    _, row = await click(shop)
    assert row["commission_rate"] == Decimal("0.1234")
    assert row["expected_commission_minor"] == round(row["price_minor"] * Decimal("0.1234"))


async def test_a_sale_takes_what_it_lacks_from_its_click_and_outlives_it(shop: Shop) -> None:
    _, row = await click(shop)
    await shop.owner.execute(SALE, "A1", row["id"], 70, "GBP", "pending")
    kept = ("user_id", "retailer_id", "product_id")
    sale = await shop.owner.fetchrow("select * from public.conversions")
    assert sale
    assert [sale[name] for name in kept] == [row[name] for name in kept]
    assert sale["clicked_at"] == row["click_timestamp"]

    await shop.owner.execute("delete from public.profiles where id = $1", row["user_id"])

    sale = await shop.owner.fetchrow("select * from public.conversions")
    assert sale
    assert (sale["user_id"], sale["commission_minor"]) == (None, 70)
    assert await shop.owner.fetchval("select count(*) from public.conversion_events") == 1


async def test_a_click_has_earned_what_its_sales_say_now(shop: Shop) -> None:
    somebody, row = await click(shop)

    async def earned() -> Any:
        return await shop.owner.fetchval("select actual_commission_minor from public.affiliate_clicks")

    async def conversions() -> int:
        found: int = (await somebody.ask(CONVERSIONS))["me"]["analytics"]["conversions"]
        return found

    assert (await earned(), await conversions()) == (None, 0)
    await shop.owner.execute(SALE, "A1", row["id"], 70, "GBP", "pending")
    await shop.owner.execute(SALE, "A2", row["id"], 30, "GBP", "approved")
    await shop.owner.execute(SALE, "A3", row["id"], 900, "USD", "approved")
    assert (await earned(), await conversions()) == (100, 1)
    await shop.owner.execute("update public.conversions set status = 'rejected' where network_reference = 'A1'")
    assert await earned() == 30
    await shop.owner.execute("update public.conversions set status = 'reversed' where network_reference = 'A2'")
    assert (await earned(), await conversions()) == (None, 0)


async def test_concurrent_sales_of_one_click_all_count(shop: Shop) -> None:
    _, row = await click(shop)
    other = await asyncpg.connect(shop.dsns.owner)
    async with shop.owner.transaction():
        await shop.owner.execute(SALE, "A1", row["id"], 70, "GBP", "pending")
        second = asyncio.create_task(other.execute(SALE, "A2", row["id"], 30, "GBP", "pending"))
        await until(shop.owner, "exists (select from pg_locks where not granted)")
    await second
    await other.close()
    assert await shop.owner.fetchval("select actual_commission_minor from public.affiliate_clicks") == 100


async def test_every_state_of_a_sale_is_kept_and_a_write_without_a_change_is_none(shop: Shop) -> None:
    await shop.owner.execute(SALE, "A1", None, 70, "GBP", "pending")
    for change in ("status = 'approved'", "commission_minor = 60", "commission_minor = 60", "status = 'paid'"):
        await shop.owner.execute(f"update public.conversions set {change}")
    events = await shop.owner.fetch("select status, commission_minor from public.conversion_events order by created_at")
    assert [tuple(event) for event in events] == [("pending", 70), ("approved", 70), ("approved", 60), ("paid", 60)]


async def test_a_networks_sale_is_one_row(shop: Shop) -> None:
    await shop.owner.execute(SALE, "A1", None, 70, "GBP", "pending")
    with pytest.raises(asyncpg.UniqueViolationError, match="conversions_network_reference_key"):
        await shop.owner.execute(SALE, "A1", UUID(int=7), 80, "GBP", "pending")
