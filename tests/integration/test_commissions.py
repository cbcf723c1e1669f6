"""Agreed rates, and what a click expects of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import asyncpg

from tests.conftest import Shop

CLICK = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { click { id } userErrors { code } } }"
RULE = """
insert into public.commission_rules (retailer_id, category_id, rate, valid_from, valid_until)
select r.id, (select id from public.categories where slug = $2), $3::numeric,
  now() + $4::int * interval '1 day', now() + $5::int * interval '1 day'
from public.retailers r where r.slug = $1
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
