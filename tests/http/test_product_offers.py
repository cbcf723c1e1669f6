"""Who asks how much for a product, and what it cost before."""

from __future__ import annotations

from typing import Any

import pytest

from db.session import Session
from domain import ids
from tests.conftest import Shop

OFFERS = """
query ($id: ID!) {
  product(id: $id) { offers { price { amount currencyCode } inStock lastSeenAt retailer { slug } } }
}
"""
HISTORY = """
query ($id: ID!, $first: Int! = 30) {
  product(id: $id) { priceHistory(first: $first) { price { amount currencyCode } validFrom retailer { slug } } }
}
"""
ALL = """
{
  products(first: 50) {
    nodes {
      offers { price { amount } retailer { slug } }
      priceHistory(first: 2) { price { amount } retailer { slug } }
    }
  }
}
"""
UPDATE = """
mutation ($input: UpdateProductInput!) { updateProduct(input: $input) { product { id } userErrors { code } } }
"""


async def camping(shop: Shop) -> str:
    """Camping 3, which costs £12.00."""
    key = await shop.owner.fetchval("select id from public.products where name = 'Camping 3'")
    return ids.encode("Product", key)


async def set_price(shop: Shop, price: int, currency: str = "GBP") -> None:
    await shop.owner.execute(
        "update public.products set price_minor = $1, currency = $2 where name = 'Camping 3'", price, currency
    )


async def offer(shop: Shop, retailer: str, price: int, currency: str = "GBP", *, in_stock: bool = True) -> str:
    """Another shop's offer of Camping 3. Returns its id."""
    key = await shop.owner.fetchval(
        "insert into public.products (name, price_minor, currency, category_id, retailer_id, external_id,"
        " affiliate_url, in_stock, is_active, merged_into, merged_at, merged_by)"
        " select 'Camping 3 elsewhere', $2, $3, p.category_id, r.id, 'elsewhere', 'https://other.example/', $4, false,"
        " p.id, now(), 'gtin' from public.products p, public.retailers r where p.name = 'Camping 3' and r.slug = $1"
        " returning id",
        retailer,
        price,
        currency,
        in_stock,
    )
    return ids.encode("ProductOffer", key)


async def history(shop: Shop, **variables: Any) -> list[dict[str, Any]]:
    found = await shop.client().ask(HISTORY, id=await camping(shop), **variables)
    points: list[dict[str, Any]] = found["product"]["priceHistory"]
    return points


async def test_a_product_is_offered_by_its_retailer(shop: Shop) -> None:
    (found,) = (await shop.client().ask(OFFERS, id=await camping(shop)))["product"]["offers"]
    row = await shop.owner.fetchrow(
        "select r.slug from public.products p join public.retailers r on r.id = p.retailer_id"
        " where p.name = 'Camping 3'"
    )
    assert row is not None
    assert found["price"] == {"amount": "12.00", "currencyCode": "GBP"}
    assert (found["inStock"], found["retailer"]["slug"]) == (True, row["slug"])


async def test_the_cheapest_offer_comes_first_and_other_currencies_last(shop: Shop) -> None:
    own = (await shop.client().ask(OFFERS, id=await camping(shop)))["product"]["offers"][0]["retailer"]["slug"]
    first, second = sorted({"corner-shop", "north-shop", "south-shop"} - {own})
    await offer(shop, first, 1)
    await offer(shop, second, 1, "AUD")
    found = (await shop.client().ask(OFFERS, id=await camping(shop)))["product"]["offers"]
    assert [(one["price"]["amount"], one["price"]["currencyCode"], one["retailer"]["slug"]) for one in found] == [
        ("0.01", "GBP", first),
        ("12.00", "GBP", own),
        ("0.01", "AUD", second),
    ]


@pytest.mark.parametrize("change", ["in_stock = false", "is_active = false"])
async def test_an_offer_that_cannot_be_bought_says_so(shop: Shop, change: str) -> None:
    await shop.owner.execute(f"update public.products set {change} where name = 'Camping 3'")
    (found,) = (await shop.client().ask(OFFERS, id=await camping(shop)))["product"]["offers"]
    assert found["inStock"] is False


async def test_prices_newest_first(shop: Shop) -> None:
    await set_price(shop, 1100)
    await set_price(shop, 1100, "EUR")
    found = await history(shop)
    assert [tuple(point["price"].values()) for point in found] == [("11.00", "EUR"), ("11.00", "GBP"), ("12.00", "GBP")]
    assert [point["validFrom"] for point in found] == sorted((point["validFrom"] for point in found), reverse=True)
    assert len({point["retailer"]["slug"] for point in found}) == 1


async def test_a_history_is_bounded(shop: Shop) -> None:
    for price in range(1000, 1035):
        await set_price(shop, price)
    assert len(await history(shop)) == 30
    assert [point["price"]["amount"] for point in await history(shop, first=2)] == ["10.34", "10.33"]
    assert len(await history(shop, first=100)) == 36
    for first in (-1, 101):
        assert await shop.client().code(HISTORY, id=await camping(shop), first=first) == "BAD_USER_INPUT"


async def test_an_administrators_new_price_is_kept_in_the_history(shop: Shop) -> None:
    admin = await shop.account()
    subject = (ids.decode(await admin.my_id()) or ("", None))[1]
    admin.token = shop.token(subject, app_metadata={"role": "admin"})
    await admin.do(UPDATE, input={"id": await camping(shop), "price": "9.50"})
    assert [point["price"]["amount"] for point in await history(shop)] == ["9.50", "12.00"]
    (found,) = (await shop.client().ask(OFFERS, id=await camping(shop)))["product"]["offers"]
    assert found["price"]["amount"] == "9.50"


async def test_offers_and_prices_of_many_products_are_two_statements(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    run = Session.run

    async def counted(self: Session, sql: str, arguments: Any) -> Any:
        statements.append(sql)
        return await run(self, sql, arguments)

    monkeypatch.setattr(Session, "run", counted)
    monkeypatch.setattr(Session, "run_last", counted)
    nodes = (await shop.client().ask(ALL))["products"]["nodes"]
    assert len(nodes) == 50
    assert all(len(node["offers"]) == len(node["priceHistory"]) == 1 for node in nodes)
    assert sum("product_offers" in sql for sql in statements) == 2, "prices are of offers"
    assert sum("product_prices" in sql for sql in statements) == 1
    assert sum("public.retailers" in sql for sql in statements) <= 2  # of all offers, and of all prices


CLICK = """
mutation ($input: AffiliateClickInput!) {
  createAffiliateClick(input: $input) { click { id product { id } } userErrors { code field } }
}
"""


async def test_a_click_leads_to_the_chosen_offer_or_to_the_leading_one(shop: Shop) -> None:
    anna, product = await shop.account(), await camping(shop)
    dearer = await offer(shop, "corner-shop", 9999)
    offers = (await anna.ask("query ($id: ID!) { product(id: $id) { offers { id price { amount } } } }", id=product))[
        "product"
    ]["offers"]
    assert [each["price"]["amount"] for each in offers] == ["12.00", "99.99"]
    assert offers[1]["id"] == dearer
    for chosen, price, key in (({}, 1200, offers[0]["id"]), ({"offerId": dearer}, 9999, dearer)):
        done = await anna.do(CLICK, input={"productId": product, **chosen})
        assert done["click"]["product"]["id"] == product
        row = await shop.owner.fetchrow(
            "select c.price_minor, c.offer_id, o.retailer_id = c.retailer_id as same"
            " from public.affiliate_clicks c join public.product_offers o on o.id = c.offer_id where c.id = $1",
            (ids.decode(done["click"]["id"]) or ("", None))[1],
        )
        assert row is not None
        assert tuple(row) == (price, ids.decode_as("ProductOffer", key), True)
    other = ids.encode("Product", await shop.owner.fetchval("select id from products where name = 'Books 1'"))
    for wrong in (other, "nonsense"):
        refused = await anna.ask(CLICK, input={"productId": other, "offerId": dearer if wrong == other else wrong})
        assert refused["createAffiliateClick"]["userErrors"] == [{"code": "NOT_FOUND", "field": ["offerId"]}]


async def test_the_id_of_a_merged_product_leads_to_the_one_that_stays(shop: Shop) -> None:
    anna, product = await shop.account(), await camping(shop)
    key = (ids.decode(await offer(shop, "corner-shop", 500)) or ("", None))[1]
    assert key is not None
    merged = ids.encode("Product", key)
    found = await anna.ask(
        "query ($id: ID!) { product(id: $id) { id price { amount } retailer { slug } } node(id: $id) { id }"
        " nodes(ids: [$id, $id]) { id } }",
        id=merged,
    )
    assert found["product"] == {"id": product, "price": {"amount": "5.00"}, "retailer": {"slug": "corner-shop"}}
    assert (found["node"], found["nodes"]) == ({"id": product}, [{"id": product}] * 2)
    swipe = """
    mutation ($id: ID!) {
      recordSwipe(input: {productId: $id, direction: RIGHT, clientSwipeId: "1"}) {
        swipe { id product { id } } userErrors { code }
      }
    }
    """
    first = await anna.do(swipe, id=merged)
    assert first["swipe"]["product"]["id"] == product
    assert (await anna.do(swipe, id=merged))["swipe"] == first["swipe"], "a repeat"
    assert (await anna.do(CLICK, input={"productId": merged}))["click"]["product"]["id"] == product
    link = """
    mutation ($id: ID!) { createGiftLink(input: {productId: $id}) { giftLink { product { id } } userErrors { code } } }
    """
    assert (await anna.do(link, id=merged))["giftLink"]["product"]["id"] == product
