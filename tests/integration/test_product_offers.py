"""Offers and prices follow products, however these are written."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from db.embedded import Dsns
from db.migrations import SQL_FOLDER
from tests.catalogue import fill_catalogue
from tests.integration.test_product_imports import Importer, record

Connection: TypeAlias = "asyncpg.Connection[Any]"
DIFFERENT = """
select p.id from public.products p full join public.product_offers o
  on o.id = coalesce(p.offer_id, p.id)
where (p.id, p.seller_id, p.price_minor, p.currency, p.affiliate_url, p.in_stock, p.is_active)
  is distinct from (o.product_id, o.retailer_id, o.price_minor, o.currency, o.affiliate_url, o.in_stock, o.is_active)
"""
VERSIONS = "select xmin::text, * from public.product_offers order by id"


@pytest.fixture
async def catalogue(owner: Connection) -> Connection:
    """The owner's connection to a catalogue of 50 products."""
    await fill_catalogue(owner)
    return owner


async def prices(connection: Connection) -> int:
    found: int = await connection.fetchval("select count(*) from public.product_prices")
    return found


async def test_every_product_has_its_offer_and_its_first_price(catalogue: Connection) -> None:
    assert await catalogue.fetch(DIFFERENT) == []
    assert await catalogue.fetchval("select count(*) from public.product_offers") == 50
    newest = "select product_id, retailer_id, price_minor, currency from public.product_prices order by 1"
    assert await catalogue.fetch(newest) == await catalogue.fetch(
        "select id, retailer_id, price_minor, currency from public.products order by 1"
    )


@pytest.mark.parametrize(
    ("change", "is_new_price"),
    [
        ("price_minor = price_minor + 1", True),
        ("currency = 'EUR'", True),
        ("affiliate_url = affiliate_url || '&a=1'", False),
        ("in_stock = not in_stock", False),
        ("is_active = false", False),
    ],
)
async def test_a_changed_offer_is_followed(catalogue: Connection, change: str, is_new_price: bool) -> None:
    before = await catalogue.fetchval("select max(last_seen_at) from public.product_offers")
    await catalogue.execute(f"update public.products set {change}")
    assert await catalogue.fetch(DIFFERENT) == []
    assert await catalogue.fetchval("select min(last_seen_at) from public.product_offers") > before
    assert await prices(catalogue) == (100 if is_new_price else 50)


async def test_only_what_changed_is_written(catalogue: Connection) -> None:
    before = await catalogue.fetch(VERSIONS)
    await catalogue.execute(
        "update public.products set popularity = 0.9, name = name || '!', price_minor = price_minor"
    )
    assert await catalogue.fetch(VERSIONS) == before
    await catalogue.execute("update public.products set price_minor = price_minor + (name like 'Camping 1!')::int * 5")
    changed = [row for row in await catalogue.fetch(VERSIONS) if row not in before]
    assert len(changed) == 1
    assert await prices(catalogue) == 51


async def test_a_price_that_comes_back_is_a_row_of_its_own(catalogue: Connection) -> None:
    for price in (500, 700, 700, 500):
        await catalogue.execute("update public.products set price_minor = $1 where name = 'Camping 1'", price)
    kept = await catalogue.fetch(
        "select h.price_minor from public.product_prices h join public.products p on p.id = h.product_id"
        " where p.name = 'Camping 1' order by valid_from"
    )
    assert [row[0] for row in kept] == [1000, 500, 700, 500]


async def test_of_two_writers_the_last_has_the_newest_price(catalogue: Connection, dsns: Dsns) -> None:
    """Though its transaction began first."""
    set_price = "update public.products set price_minor = $1 where name = 'Camping 1'"
    early = await asyncpg.connect(dsns.owner)
    transaction = early.transaction()
    await transaction.start()
    await early.fetchval("select now()")
    await asyncio.sleep(0.01)
    await catalogue.execute(set_price, 600)
    await early.execute(set_price, 500)
    await transaction.commit()
    await early.close()
    newest = """
        select h.price_minor, p.price_minor from public.product_prices h join public.products p on p.id = h.product_id
        where p.name = 'Camping 1' order by valid_from desc limit 1
    """
    assert tuple(await catalogue.fetchrow(newest) or ()) == (500, 500)


async def test_a_product_of_another_retailer_is_no_longer_the_first_ones_offer(catalogue: Connection) -> None:
    await catalogue.execute(
        "update public.products set retailer_id = (select id from public.retailers where slug = 'corner-shop')"
    )
    assert await catalogue.fetch(DIFFERENT) == []
    assert await catalogue.fetchval("select count(*) from public.product_offers") == 50
    assert await prices(catalogue) > 50  # the former prices are still known


async def test_a_write_to_products_changes_the_leading_offer_only(catalogue: Connection) -> None:
    await catalogue.execute(
        "insert into public.products (name, price_minor, currency, category_id, retailer_id, external_id,"
        " affiliate_url, is_active, merged_into, merged_at, merged_by)"
        " select p.name, 5000, 'GBP', p.category_id, r.id, 'other-' || p.name || r.slug, 'https://other.example/',"
        " false, p.id, now(), 'gtin' from public.products p join public.retailers r on r.id <> p.retailer_id"
    )
    others = "select xmin::text, * from public.product_offers where price_minor = 5000 order by id"
    before = await catalogue.fetch(others)
    assert len(before) == 100
    await catalogue.execute("update public.products set price_minor = 2, tags = '{x}' where merged_into is null")
    assert await catalogue.fetch(others) == before
    assert await catalogue.fetchval("select count(*) from public.product_offers where price_minor = 2") == 50


async def test_a_deleted_product_leaves_nothing(catalogue: Connection) -> None:
    await catalogue.execute("delete from public.products")
    assert (await prices(catalogue), await catalogue.fetch(VERSIONS)) == (0, [])


async def test_products_written_between_the_migration_and_its_triggers_have_offers_once_these_are_there(
    catalogue: Connection,
) -> None:
    """By servers of the release before, which still run while migrations do."""
    followers = (SQL_FOLDER / "functions" / "product_offers.sql").read_text()
    await catalogue.execute("drop trigger products_offers_inserted on public.products")
    await catalogue.execute(
        "insert into public.products (name, price_minor, currency, category_id, retailer_id, external_id,"
        " affiliate_url) select 'between', 100, 'GBP', category_id, retailer_id, 'between', affiliate_url"
        " from public.products limit 1"
    )
    assert len(await catalogue.fetch(DIFFERENT)) == 1
    await catalogue.execute(followers)
    assert await catalogue.fetch(DIFFERENT) == []
    before = await prices(catalogue)
    await catalogue.execute(followers)
    assert await prices(catalogue) == before == 51


async def test_an_import_writes_offers_and_new_prices(owner: Connection, tmp_path: Path) -> None:
    importer = Importer(owner, tmp_path)
    await importer.load(*(record(n) for n in range(10)))
    assert (await owner.fetch(DIFFERENT), await prices(owner)) == ([], 10)
    await importer.load(*(record(n, **({"price": "12.50"} if n == 4 else {})) for n in range(9)))
    assert (await owner.fetch(DIFFERENT), await prices(owner)) == ([], 11)
    assert await owner.fetchval("select count(*) from public.product_offers where not is_active") == 1


async def test_an_import_notes_to_the_day_which_offers_the_feed_still_names(owner: Connection, tmp_path: Path) -> None:
    importer = Importer(owner, tmp_path)

    async def seen() -> dict[str, datetime]:
        rows = await owner.fetch(
            "select external_id, last_seen_at from public.product_offers o join public.products p on p.id = o.id"
        )
        return {row[0]: row[1] for row in rows}

    await importer.load(*(record(n) for n in range(3)))
    first = await seen()
    await importer.load(*(record(n) for n in range(3)))
    assert await seen() == first
    await owner.execute("update public.product_offers set last_seen_at = last_seen_at - interval '25 hours'")
    await importer.load(record(0), record(1), record(2, price="no price"))
    later = await seen()
    assert [later[name] > first[name] for name in ("S0", "S1", "S2")] == [True, True, False]
    assert later["S2"] == first["S2"] - timedelta(hours=25)
    assert await prices(owner) == 3
