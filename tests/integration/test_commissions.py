"""Agreed rates, and what a click expects of them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg

from tests.conftest import Shop
from tests.ledger import awin, report

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
        select rate from private.commission_terms(
          (select id from public.retailers where slug = $1), (select id from public.categories where slug = $2), null,
          'GBP', now())
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
    assert await rate(shop, retailer="corner-shop") == 0


async def test_of_two_rules_in_force_the_later_one_counts(shop: Shop) -> None:
    await rule(shop, "books", "0.02", since=-9)
    await rule(shop, "books", "0.03", since=-3)
    assert await rate(shop) == Decimal("0.03")


async def test_a_click_expects_what_was_agreed(shop: Shop) -> None:
    await rule(shop, "books", "0.1234")
    _, row = await click(shop)
    assert row["commission_rate"] == Decimal("0.1234")
    assert row["expected_commission_minor"] == round(row["price_minor"] * Decimal("0.1234"))


async def agree(shop: Shop, **columns: str) -> None:
    """A rule with these columns, as SQL."""
    values = {"valid_from": "now() - interval '1 day'", **columns}
    await shop.owner.execute(
        f"insert into public.commission_rules ({', '.join(values)}) values ({', '.join(values.values())})"
    )


async def expects(shop: Shop) -> int | None:
    """What a new click on a book of 10 to 19 pounds expects."""
    _, row = await click(shop)
    found: int | None = row["expected_commission_minor"]
    await shop.owner.execute("delete from public.affiliate_clicks")
    return found


async def test_the_most_specific_rule_counts_with_its_cap_and_tier(shop: Shop) -> None:
    north = "(select id from public.retailers where slug = 'north-shop')"
    books = "(select id from public.categories where slug = 'books')"
    book = (
        "from public.products p join public.retailers r on r.id = p.retailer_id"
        " join public.categories c on c.id = p.category_id where r.slug = 'north-shop' and c.slug = 'books'"
        " order by p.name limit 1"
    )
    brand = f"(select brand_id {book})"
    price = await shop.owner.fetchval(f"select p.price_minor {book}")
    await agree(shop, affiliate_network="'awin'", rate="0.5")
    assert await expects(shop) == price // 2, "the network's, as the shop has none"
    await agree(shop, retailer_id=north, rate="0.1")
    assert await expects(shop) == price // 10
    await agree(shop, retailer_id=north, brand_id=brand, rate="0.2", cap_minor="7", currency="'GBP'")
    assert await expects(shop) == 7
    await agree(shop, retailer_id=north, brand_id=brand, category_id=books, flat_minor="33", currency="'GBP'")
    assert await expects(shop) == 33
    await agree(
        shop,
        retailer_id=north,
        brand_id=brand,
        category_id=books,
        flat_minor="44",
        currency="'GBP'",
        min_conversions="1",
    )
    assert await expects(shop) == 33
    _, row = await click(shop)
    ordered = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0).strftime("%Y-%m-%dT%H:%M:%S")
    await report(shop.services, awin("A1", click=row["id"], transactionDate=ordered))
    assert await shop.owner.fetchval("select expected_minor from public.conversions") == 33, "as agreed at the click"
    await shop.owner.execute("delete from public.affiliate_clicks")
    assert await expects(shop) == 44
    await agree(shop, retailer_id=north, brand_id=brand, category_id=books, flat_minor="1", currency="'USD'")
    assert await expects(shop) == 44
