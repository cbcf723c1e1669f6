"""Sales start and end without an import: the price that is paid now orders, filters and is in the history."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from db.product_imports import import_products
from domain.feed_mappings import parse_mapping
from services import housekeeping
from tests.conftest import Shop

MAPPING = parse_mapping("""
format = "csv"
[fields]
external_id = "id"
name = "name"
affiliate_url = "link"
price = "price"
sale_price = "sale"
sale_price_effective_date = "when"
[constants]
currency = "GBP"
[retailer]
slug = "sales"
""")
PRICES = """
query ($id: ID!) {
  product(id: $id) {
    price { amount } regularPrice { amount } salePrice { amount } priceHistory { price { amount } }
  }
}
"""


async def load(shop: Shop, folder: Path, price: str, sale: str, when: str) -> str:
    feed = folder / "feed.csv"
    feed.write_text(f"id,name,link,price,sale,when\n1,Sold thing,https://shop.example/1,{price},{sale},{when}\n")
    await import_products(shop.owner, feed, MAPPING)
    return str((await shop.client().product("Sold thing"))["id"])


async def prices(shop: Shop, id: str) -> tuple[str, str, str | None, list[str]]:
    found = (await shop.client().ask(PRICES, id=id))["product"]
    sale = found["salePrice"] and found["salePrice"]["amount"]
    history = [point["price"]["amount"] for point in found["priceHistory"]]
    return found["price"]["amount"], found["regularPrice"]["amount"], sale, history


async def test_a_sale_starts_and_ends_by_the_clock(shop: Shop, tmp_path: Path) -> None:
    id = await load(shop, tmp_path, "20.00", "15.00", "2099-01-01/2099-02-01")
    assert await prices(shop, id) == ("20.00", "20.00", None, ["20.00"])
    assert await housekeeping.apply_sales(shop.services) == 0

    await shop.owner.execute("update products set sale_starts_at = now() - interval '1 s' where sale_price_minor > 0")
    assert await housekeeping.apply_sales(shop.services) == 1
    assert await prices(shop, id) == ("15.00", "20.00", "15.00", ["15.00", "20.00"])
    found = await shop.client().products(first=100, filter={"maxPrice": "15.00", "minPrice": "15.00"})
    assert id in [product["id"] for product in found]
    assert await housekeeping.apply_sales(shop.services) == 0, "once"

    await shop.owner.execute("update products set sale_ends_at = now() where sale_price_minor > 0")
    assert await housekeeping.apply_sales(shop.services) == 1
    assert await prices(shop, id) == ("20.00", "20.00", None, ["20.00", "15.00", "20.00"])


async def test_a_feed_ends_a_sale(shop: Shop, tmp_path: Path) -> None:
    id = await load(shop, tmp_path, "20.00", "15.00", "")
    assert (await prices(shop, id))[:3] == ("15.00", "20.00", "15.00")
    await load(shop, tmp_path, "20.00", "", "")
    assert (await prices(shop, id))[:3] == ("20.00", "20.00", None)


async def test_a_price_that_an_administrator_sets_ends_the_sale(shop: Shop, tmp_path: Path) -> None:
    id = await load(shop, tmp_path, "20.00", "15.00", "")
    admin = shop.client(shop.token(uuid4(), app_metadata={"role": "admin"}))
    changed = """
    mutation ($id: ID!) { updateProduct(input: {id: $id, price: "18.00"}) { userErrors { message } } }
    """
    assert (await admin.ask(changed, id=id))["updateProduct"]["userErrors"] == []
    assert await housekeeping.apply_sales(shop.services) == 0
    assert (await prices(shop, id))[:3] == ("18.00", "18.00", None)


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_only_the_server_applies_sales(shop: Shop, role: str) -> None:
    allowed = await shop.owner.fetchval("select has_function_privilege($1, 'private.apply_sales()', 'execute')", role)
    assert allowed is False
