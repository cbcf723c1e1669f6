"""Who asks how much for a product, and what it cost before."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from db.session import Session
from domain import ids
from tests.client import Client
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


FIELDS = "id price { amount currencyCode } shipping { amount } inStock isActive editedFields retailer { slug }"
CREATE = f"""
mutation ($input: ProductOfferInput!) {{
  createOffer(input: $input) {{
    offer {{ {FIELDS} product {{ id price {{ amount }} retailer {{ slug }} }} }} userErrors {{ code field }}
  }}
}}
"""
CHANGE = f"""
mutation ($input: UpdateProductOfferInput!) {{
  updateOffer(input: $input) {{
    offer {{ {FIELDS} product {{ id price {{ amount }} isActive }} }} userErrors {{ code field }}
  }}
}}
"""


async def administrator(shop: Shop) -> Client:
    person = (ids.decode(await (await shop.account()).my_id()) or ("", None))[1]
    return shop.client(shop.token(person, app_metadata={"role": "admin"}))


async def new_offer(shop: Shop, **changes: Any) -> dict[str, Any]:
    """What createOffer takes: an offer of Camping 3 by a shop that does not sell it yet."""
    retailer = await shop.owner.fetchval(
        "select slug from retailers where slug = 'corner-shop' and id <> (select retailer_id from products where name ="
        " 'Camping 3') union all select 'north-shop' limit 1"
    )
    given = {"productId": await camping(shop), "retailerSlug": retailer, "externalId": "by-hand", "price": "9.50"}
    return {**given, "url": "https://shop.example/by-hand", "shipping": "2.00", **changes}


async def test_an_administrator_adds_an_offer_and_the_product_follows_it(shop: Shop) -> None:
    admin, given = await administrator(shop), await new_offer(shop)
    made = await admin.do(CREATE, input=given)
    offered, product = made["offer"], given["productId"]
    assert (offered["price"]["amount"], offered["shipping"]["amount"], offered["isActive"]) == ("9.50", "2.00", True)
    expected = {"id": product, "price": {"amount": "9.50"}, "retailer": {"slug": given["retailerSlug"]}}
    assert offered["product"] == expected
    assert [point["price"]["amount"] for point in await history(shop)] == ["9.50", "12.00"]
    anna = await shop.account()
    assert (await anna.do(CLICK, input={"productId": product}))["click"]["product"]["id"] == product
    row = await shop.owner.fetchrow("select offer_id, affiliate_url from affiliate_clicks")
    assert row is not None
    assert tuple(row) == (ids.decode_as("ProductOffer", offered["id"]), given["url"])
    changed = (await admin.do(CHANGE, input={"id": offered["id"], "price": "20.00"}))["offer"]
    assert changed["product"]["price"]["amount"] == "12.00", "the other offer leads now"
    logged = await shop.owner.fetch(
        "select table_name, operation from audit_log where table_name like 'public.product%' order by id"
    )
    assert [tuple(row) for row in logged] == [("public.products", "insert"), ("public.product_offers", "update")]


async def test_an_offer_is_changed_and_only_as_far_as_was_said(shop: Shop) -> None:
    admin = await administrator(shop)
    offered = (await admin.do(CREATE, input=await new_offer(shop)))["offer"]
    euros = {"price": "8.00", "currencyCode": "EUR", "shipping": None}
    for changes, expected in (
        ({"inStock": False}, {"inStock": False}),
        ({"price": "8.25"}, {"price": {"amount": "8.25", "currencyCode": "GBP"}}),
        (euros, {"price": {"amount": "8.00", "currencyCode": "EUR"}, "shipping": None, "editedFields": ["SHIPPING"]}),
        ({"url": "https://shop.example/x"}, {"editedFields": ["LINK", "SHIPPING"]}),
        ({"followFeed": ["LINK", "SHIPPING"]}, {"editedFields": []}),
        ({"isActive": False}, {"isActive": False, "editedFields": ["INACTIVE"]}),
        ({"isActive": True, "inStock": True}, {"isActive": True, "inStock": True, "editedFields": []}),
    ):
        changed = (await admin.do(CHANGE, input={"id": offered["id"], **changes}))["offer"]
        assert {**changed, "product": None} == {**offered, **expected, "product": None}
        offered = changed


async def test_a_new_link_activates_an_offer_whose_old_one_led_nowhere(shop: Shop) -> None:
    admin, product = await administrator(shop), await camping(shop)
    await shop.owner.execute(
        "update product_offers set is_active = false, link_failures = 3 where id = $1",
        ids.decode_as("Product", product),
    )
    for changes, active in (
        ({"price": "5.00"}, False),
        ({"url": "https://shop.example/camping/3?colour=red"}, False),
        ({"url": "https://shop.example/mended"}, True),
    ):
        changed = (await admin.do(CHANGE, input={"id": product_offer_of(product), **changes}))["offer"]
        assert (changed["isActive"], changed["product"]["isActive"]) == (active, active)


async def test_a_product_that_nobody_offers_is_off_sale(shop: Shop) -> None:
    admin, product = await administrator(shop), await camping(shop)
    (own,) = (await admin.ask("query ($id: ID!) { product(id: $id) { offers { id } } }", id=product))["product"][
        "offers"
    ]
    other = (await admin.do(CREATE, input=await new_offer(shop)))["offer"]
    active = [
        (await admin.do(CHANGE, input={"id": offer["id"], "isActive": False}))["offer"]["product"]["isActive"]
        for offer in (own, other)
    ]
    assert active == [True, False]
    offers = "query ($id: ID!, $all: Boolean!) { product(id: $id) { offers(all: $all) { id } } }"
    for all, count in ((False, 1), (True, 2)):
        assert len((await admin.ask(offers, id=product, all=all))["product"]["offers"]) == count
    changed = (await admin.do(CHANGE, input={"id": other["id"], "isActive": True}))["offer"]
    assert changed["product"] == {"id": product, "price": {"amount": "9.50"}, "isActive": True}


async def test_a_product_that_is_published_is_offered_again(shop: Shop) -> None:
    admin, product = await administrator(shop), await camping(shop)
    offer_id = product_offer_of(product)
    for active in (False, True):
        await admin.do(CHANGE, input={"id": offer_id, "isActive": False})
        await admin.do(UPDATE, input={"id": product, "isActive": active})
    row = await shop.owner.fetchrow(
        "select o.is_active, o.edited, p.is_active from product_offers o join products p using (id) where id = $1",
        ids.decode_as("Product", product),
    )
    assert row is not None
    assert tuple(row) == (True, [], True)


def product_offer_of(product: str) -> str:
    """The id of the offer of the product's own listing."""
    key = ids.decode_as("Product", product)
    assert key is not None
    return ids.encode("ProductOffer", key)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"url": "https://evil.example/"}, "INVALID", "url"),
        ({"url": "http://shop.example/"}, "INVALID", "url"),
        ({"url": "https://shop.example/" + "x" * 2100}, "INVALID", "url"),
        ({"url": "https://shop.example/\0"}, "INVALID", "url"),
        ({"price": "0"}, "INVALID", "price"),
        ({"price": "1.005"}, "INVALID", "price"),
        ({"shipping": "-1"}, "INVALID", "shipping"),
        ({"currencyCode": "ZZZ", "price": "1", "shipping": None}, "INVALID", "currencyCode"),
    ],
)
async def test_an_offer_that_cannot_be(shop: Shop, changes: dict[str, Any], code: str, field: str) -> None:
    admin, given = await administrator(shop), await new_offer(shop)
    refused = {"offer": None, "userErrors": [{"code": code, "field": [field]}]}
    assert (await admin.ask(CREATE, input={**given, **changes}))["createOffer"] == refused
    offer_id = product_offer_of(given["productId"])
    assert (await admin.ask(CHANGE, input={"id": offer_id, **changes}))["updateOffer"] == refused
    assert await shop.owner.fetchval("select count(*) from product_offers") == 50


async def test_what_an_offer_refers_to_must_be_there(shop: Shop) -> None:
    admin, given = await administrator(shop), await new_offer(shop)
    for changes, code, field in (
        ({"productId": "nonsense"}, "NOT_FOUND", "productId"),
        ({"productId": ids.encode("Product", uuid4())}, "NOT_FOUND", "productId"),
        ({"retailerSlug": "nobody"}, "INVALID", "retailerSlug"),
        ({"retailerSlug": "a\0"}, "INVALID", "retailerSlug"),
        ({"externalId": " "}, "INVALID", "externalId"),
    ):
        found = (await admin.ask(CREATE, input={**given, **changes}))["createOffer"]
        assert found == {"offer": None, "userErrors": [{"code": code, "field": [field]}]}
    made = await admin.do(CREATE, input={**given, "idempotencyKey": "once"})
    assert (await admin.do(CREATE, input={**given, "idempotencyKey": "once"}))["offer"]["id"] == made["offer"]["id"]
    taken = (await admin.ask(CREATE, input=given))["createOffer"]
    assert taken["userErrors"] == [{"code": "CONFLICT", "field": ["externalId"]}]
    for nothing in ("nonsense", given["productId"], ids.encode("ProductOffer", uuid4())):
        found = (await admin.ask(CHANGE, input={"id": nothing, "price": "1.00"}))["updateOffer"]
        assert found["userErrors"] == [{"code": "NOT_FOUND", "field": ["id"]}]


async def test_another_currency_needs_all_amounts(shop: Shop) -> None:
    admin = await administrator(shop)
    offered = (await admin.do(CREATE, input=await new_offer(shop)))["offer"]
    for changes, field in (({}, "price"), ({"price": "5.00"}, "shipping")):
        refused = await admin.ask(CHANGE, input={"id": offered["id"], "currencyCode": "EUR", **changes})
        assert refused["updateOffer"]["userErrors"] == [{"code": "INVALID", "field": [field]}]


async def test_only_administrators_write_offers(shop: Shop) -> None:
    given = await new_offer(shop)
    changes = {"id": product_offer_of(given["productId"]), "price": "0.01"}
    for client in (await shop.account(), await shop.anonymous()):
        assert await client.code(CREATE, input=given) == await client.code(CHANGE, input=changes) == "FORBIDDEN"
    assert await shop.client().code(CHANGE, input=changes) == "UNAUTHENTICATED"
