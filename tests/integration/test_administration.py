"""Imports keep what administrators set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from domain import ids
from domain.feed_mappings import Mapping
from tests.client import Client
from tests.conftest import Shop
from tests.integration.test_product_imports import MAPPING, Importer, record

UPDATE = """
mutation ($input: UpdateProductInput!) {
  updateProduct(input: $input) { product { name isActive editedFields brand { name } } userErrors { code field } }
}
"""
RENAME = "mutation ($input: %s!) { %s(input: $input) { userErrors { code } } }"


@pytest.fixture
def importer(shop: Shop, tmp_path: Path) -> Importer:
    return Importer(shop.owner, tmp_path)


@pytest.fixture
async def admin(shop: Shop) -> Client:
    await shop.account()
    person = await shop.owner.fetchval("select id from profiles where not is_anonymous limit 1")
    return shop.client(shop.token(person, app_metadata={"role": "admin"}))


async def product(shop: Shop, sku: str = "S1") -> dict[str, Any]:
    row = await shop.owner.fetchrow(
        "select p.*, b.name as brand, c.name as category from products p left join brands b on b.id = p.brand_id "
        "join categories c on c.id = p.category_id where external_id = $1",
        sku,
    )
    return dict(row)


async def update(shop: Shop, admin: Client, **changes: Any) -> dict[str, Any]:
    id = ids.encode("Product", (await product(shop))["id"])
    payload = (await admin.ask(UPDATE, input={"id": id, **changes}))["updateProduct"]
    assert payload["userErrors"] == []
    updated: dict[str, Any] = payload["product"]
    return updated


async def test_what_was_edited_stays(shop: Shop, admin: Client, importer: Importer) -> None:
    feed = record(1, brand="Acme", category="Food > Tea", tags="tea")
    await importer.load(feed)
    updated = await update(
        shop, admin, name="Better", tags=["green-tea"], brandSlug="alder", categorySlug="books", description="Mine"
    )
    assert set(updated["editedFields"]) == {"NAME", "TAGS", "BRAND", "CATEGORY", "DESCRIPTION"}
    report = await importer.load(feed)
    assert (report.updated, report.unchanged) == (0, 1)
    report = await importer.load({**feed, "title": "New title", "price": "12.00", "tags": "coffee"})
    assert report.updated == 1
    found = await product(shop)
    kept = [found[name] for name in ("name", "tags", "brand", "category", "description", "price_minor")]
    assert kept == ["Better", ["green-tea"], "Alder", "Books", "Mine", 1200]


async def test_what_follows_the_feed_again_is_set_again(shop: Shop, admin: Client, importer: Importer) -> None:
    await importer.load(record(1, brand="Acme"))
    await update(shop, admin, name="Better", brandSlug=None)
    assert (await update(shop, admin, followFeed=["NAME"]))["editedFields"] == ["BRAND"]
    await importer.load(record(1, brand="Acme"))
    found = await product(shop)
    assert (found["name"], found["brand"]) == ("Product 1", None)


async def test_an_unpublished_product_stays_away_until_it_is_published(
    shop: Shop, admin: Client, importer: Importer
) -> None:
    await importer.load(record(1), record(2))
    assert (await update(shop, admin, isActive=False))["editedFields"] == ["UNPUBLISHED"]
    report = await importer.load(record(1, price="7.00"), record(2))
    assert (report.updated, report.reactivated, report.unchanged) == (0, 0, 2)
    assert (await product(shop))["is_active"] is False
    assert await update(shop, admin, isActive=True) == {
        "name": "Product 1", "isActive": True, "editedFields": [], "brand": None,
    }  # fmt: skip
    await importer.load(record(1, price="7.00"), record(2))
    assert (await product(shop))["price_minor"] == 700


async def test_a_product_made_by_hand_is_not_overwritten(shop: Shop, admin: Client, importer: Importer) -> None:
    await importer.load(record(2))
    new = {
        "name": "By hand", "price": "5.00", "categorySlug": "books", "retailerSlug": "shop", "externalId": "S1",
        "url": "https://shop.example/x", "idempotencyKey": "k",
    }  # fmt: skip
    create = "mutation ($i: ProductInput!) { createProduct(input: $i) { product { id } userErrors { code } } }"
    first = (await admin.ask(create, i=new))["createProduct"]
    assert first["userErrors"] == [] and (await admin.ask(create, i=new))["createProduct"] == first
    await importer.load(record(1, price="6.00", tags="tea"), record(2))
    found = await product(shop)
    assert (found["name"], found["category"], found["tags"], found["price_minor"]) == ("By hand", "Books", ["tea"], 600)


async def rename(client: Client, shop: Shop, noun: str, was: str, /, **changes: Any) -> None:
    table = {"Brand": "brands", "Category": "categories", "Retailer": "retailers"}[noun]
    row = await shop.owner.fetchval(f"select id from {table} where name = $1", was)
    document = RENAME % (f"Update{noun}Input", f"update{noun}")
    given = {"id": ids.encode(noun, row), **changes}
    assert (await client.ask(document, input=given))[f"update{noun}"]["userErrors"] == []


async def test_feeds_find_what_was_renamed(shop: Shop, admin: Client, importer: Importer) -> None:
    feed = record(1, brand="Acme", category="Food > Tea > Green")
    await importer.load(feed)
    before = await product(shop)
    counts = [await shop.owner.fetchval(f"select count(*) from {table}") for table in ("brands", "categories")]
    await rename(admin, shop, "Brand", "Acme", name="Acme Teas")
    await rename(admin, shop, "Category", "Tea", name="Teas and infusions")
    await rename(admin, shop, "Retailer", "The Shop", name="Our Shop")
    report = await importer.load(feed, record(2, brand="ACME", category="Food > Teas and infusions > Green"))
    assert (report.updated, report.inserted) == (0, 1)
    for sku in ("S1", "S2"):
        found = await product(shop, sku)
        assert (found["brand"], found["category_id"]) == ("Acme Teas", before["category_id"])
    after = [await shop.owner.fetchval(f"select count(*) from {table}") for table in ("brands", "categories")]
    assert after == counts


async def test_feeds_find_a_category_where_it_was(shop: Shop, admin: Client, importer: Importer) -> None:
    feed = record(1, category="Food > Tea > Green")
    await importer.load(feed, record(2, category="Drinks"))
    before = await product(shop)
    drinks = ids.encode("Category", (await product(shop, "S2"))["category_id"])
    await rename(admin, shop, "Category", "Tea", parentId=drinks)
    report = await importer.load(feed, record(2, category="Drinks"), record(3, category="Drinks > Tea > Green"))
    assert report.updated == 0
    assert (await product(shop))["category_id"] == (await product(shop, "S3"))["category_id"] == before["category_id"]


async def test_a_name_that_was_given_up_can_be_used_again(shop: Shop, admin: Client, importer: Importer) -> None:
    await importer.load(record(1, brand="Acme"))
    await rename(admin, shop, "Brand", "Acme", name="Zenith")
    await shop.owner.execute("insert into brands (slug, name) values ('acme-two', 'Acme')")
    await importer.load(record(1, brand="Zenith"), record(2, brand="Acme"))
    slugs = [
        await shop.owner.fetchval("select slug from brands where id = $1", (await product(shop, sku))["brand_id"])
        for sku in ("S1", "S2")
    ]
    assert slugs == ["acme", "acme-two"]


async def test_the_tree_has_no_circle_by_sql_either(shop: Shop) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="below itself"):
        await shop.owner.execute(
            "update categories set parent_id = (select id from categories where slug = 'camping') "
            "where id = (select parent_id from categories where slug = 'camping')"
        )


CHANGE_OFFER = """
mutation ($input: UpdateProductOfferInput!) {
  updateOffer(input: $input) { offer { editedFields isActive } userErrors { code field } }
}
"""
OFFER = """
select o.price_minor, o.affiliate_url, o.shipping_minor, o.is_active
from product_offers o join products p using (id) where p.external_id = 'S1'
"""
SHIPPED = msgspec.structs.replace(MAPPING, fields={**MAPPING.fields, "shipping": ("postage",)})


async def change_offer(shop: Shop, admin: Client, **changes: Any) -> dict[str, Any]:
    id = ids.encode("ProductOffer", (await product(shop))["id"])
    payload = (await admin.ask(CHANGE_OFFER, input={"id": id, **changes}))["updateOffer"]
    assert payload["userErrors"] == []
    changed: dict[str, Any] = payload["offer"]
    return changed


async def test_link_and_shipping_of_an_offer_stay_and_its_price_follows(
    shop: Shop, admin: Client, importer: Importer
) -> None:
    feed = record(1, postage="3.00")
    await importer.load(feed, mapping=SHIPPED)
    await change_offer(shop, admin, url="https://shop.example/mended", shipping="1.50", price="5.00")
    report = await importer.load(feed, mapping=SHIPPED)
    assert (report.updated, report.unchanged) == (1, 0)
    assert tuple(await shop.owner.fetchrow(OFFER)) == (999, "https://shop.example/mended", 150, True)
    report = await importer.load(feed, mapping=SHIPPED)
    assert (report.updated, report.unchanged) == (0, 1)
    assert (await product(shop))["affiliate_url"] == "https://shop.example/mended"
    assert (await change_offer(shop, admin, followFeed=["LINK"]))["editedFields"] == ["SHIPPING"]
    assert (await importer.load(feed, mapping=SHIPPED)).updated == 1
    assert tuple(await shop.owner.fetchrow(OFFER)) == (999, "https://shop.example/p", 150, True)


async def test_an_offer_that_was_deactivated_stays_so_until_it_is_activated(
    shop: Shop, admin: Client, importer: Importer
) -> None:
    await importer.load(record(1), record(2))
    await change_offer(shop, admin, isActive=False)
    report = await importer.load(record(1, price="7.00", url="https://shop.example/new"), record(2))
    assert (report.updated, report.reactivated, report.unchanged) == (1, 0, 1)
    assert tuple(await shop.owner.fetchrow(OFFER)) == (700, "https://shop.example/new", None, False)
    assert (await product(shop))["is_active"] is False
    assert await change_offer(shop, admin, isActive=True) == {"editedFields": [], "isActive": True}
    assert (await product(shop))["is_active"] is True


async def test_the_feed_of_a_shop_finds_the_offer_that_was_made_by_hand(
    shop: Shop, admin: Client, importer: Importer
) -> None:
    await importer.load(record(2))
    key = await shop.owner.fetchval("select id from products where name = 'Camping 1'")
    given = {
        "productId": ids.encode("Product", key), "retailerSlug": "shop", "externalId": "S1", "price": "5.00",
        "url": "https://shop.example/x",
    }  # fmt: skip
    create = "mutation ($i: ProductOfferInput!) { createOffer(input: $i) { offer { id } userErrors { code } } }"
    assert (await admin.ask(create, i=given))["createOffer"]["userErrors"] == []
    report = await importer.load(record(1, price="6.00"), record(2))
    assert (report.updated, report.inserted, report.merged) == (1, 0, 0)
    found = await shop.owner.fetchrow("select name, price_minor from products where id = $1", key)
    assert tuple(found) == ("Camping 1", 600)


RATE = "select trim_scale(commission_rate)::text from retailers where slug = 'shop'"


def paying(rate: float) -> Mapping:
    return msgspec.structs.replace(MAPPING, retailer=msgspec.structs.replace(MAPPING.retailer, commission_rate=rate))


async def test_an_import_says_a_changed_commission_rate(shop: Shop, importer: Importer) -> None:
    assert (await importer.load(record(1), mapping=paying(0.05))).notes == ()
    assert (await importer.load(record(1), mapping=paying(0.05))).notes == ()
    said = ("commission_rate of shop was 0.05 and is 0.08",)
    assert (await importer.load(record(1), mapping=paying(0.08), dry_run=True)).notes == said
    assert await shop.owner.fetchval(RATE) == "0.05"
    assert (await importer.load(record(1), mapping=paying(0.08))).notes == said
    assert await shop.owner.fetchval(RATE) == "0.08"


async def test_an_import_keeps_an_administrators_commission_rate(shop: Shop, admin: Client, importer: Importer) -> None:
    await importer.load(record(1), mapping=paying(0.05))
    await rename(admin, shop, "Retailer", "The Shop", commissionRate="0.1")
    said = ("commission_rate of shop stays 0.1, as an administrator set it; the mapping says 0.05",)
    for dry_run in (True, False):
        assert (await importer.load(record(1), mapping=paying(0.05), dry_run=dry_run)).notes == said
    assert (await importer.load(record(1), mapping=paying(0.1))).notes == ()
    assert await shop.owner.fetchval(RATE) == "0.1"
    await rename(admin, shop, "Retailer", "The Shop", commissionRate=None)
    said = ("commission_rate of shop was none and is 0.05",)
    assert (await importer.load(record(1), mapping=paying(0.05))).notes == said
    assert await shop.owner.fetchval(RATE) == "0.05"
