"""The catalogue as everybody sees it, and what administrators do to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from domain import ids
from tests.client import Client
from tests.conftest import Shop

PRODUCT = """
query ($id: ID!) {
  product(id: $id) {
    id name description price { amount currencyCode } imageUrl tags inStock createdAt
    brand { name slug } category { name slug } retailer { name slug network }
  }
}
"""
NAMES = """
query ($first: Int, $search: String, $filter: ProductFilter, $orderBy: ProductOrder! = NAME) {
  products(first: $first, search: $search, filter: $filter, orderBy: $orderBy) { totalCount nodes { name } }
}
"""
PAYLOAD = """
  product { id name description price { amount currencyCode } imageUrl tags inStock category { slug } }
  userErrors { code field }
"""
CREATE = f"mutation ($input: ProductInput!) {{ createProduct(input: $input) {{ {PAYLOAD} }} }}"
UPDATE = f"mutation ($input: UpdateProductInput!) {{ updateProduct(input: $input) {{ {PAYLOAD} }} }}"
NEW = {
    "name": "Storm Kettle",
    "price": "24.50",
    "categorySlug": "camping",
    "retailerSlug": "north-shop",
    "externalId": "kettle-1",
    "url": "https://north.example/kettle",
}


def admin(shop: Shop) -> Client:
    return shop.client(shop.token(uuid4(), app_metadata={"role": "admin"}))


async def names(shop: Shop, **variables: Any) -> list[str]:
    return [p["name"] for p in (await shop.client().ask(NAMES, **variables))["products"]["nodes"]]


async def test_a_product_says_what_its_row_says(shop: Shop) -> None:
    row = await shop.owner.fetchrow(
        """
        select p.*, b.slug as brand, c.slug as category, r.slug as retailer, r.affiliate_network
        from public.products p join public.brands b on b.id = p.brand_id
        join public.categories c on c.id = p.category_id join public.retailers r on r.id = p.retailer_id
        where p.name = 'Books 3'
        """
    )
    assert row is not None
    seen = (await shop.client().ask(PRODUCT, id=ids.encode("Product", row["id"])))["product"]
    assert datetime.fromisoformat(seen.pop("createdAt")) == row["created_at"]
    assert seen == {
        "id": ids.encode("Product", row["id"]),
        "name": "Books 3",
        "description": "A present about books",
        "price": {"amount": "12.00", "currencyCode": "GBP"},
        "imageUrl": None,
        "tags": ["reading", "gift"],
        "inStock": True,
        "brand": {"name": row["brand"].title(), "slug": row["brand"]},
        "category": {"name": "Books", "slug": "books"},
        "retailer": {
            "name": row["retailer"].replace("-", " ").title(),
            "slug": row["retailer"],
            "network": row["affiliate_network"],
        },
    }


async def test_ids_of_nothing_and_of_other_things_give_no_product(shop: Shop) -> None:
    brand = ids.encode("Brand", await shop.owner.fetchval("select id from public.brands limit 1"))
    for nothing in (ids.encode("Product", uuid4()), brand, "", "Camping 1", "é", "\0"):
        assert (await shop.client().ask(PRODUCT, id=nothing))["product"] is None


async def test_orders(shop: Shop) -> None:
    for order_by, sql in (
        ("NEWEST", "created_at desc, id desc"),
        ("PRICE_ASC", "price_minor, id"),
        ("PRICE_DESC", "price_minor desc, id"),
        ("NAME", 'name_key, name collate "C", id'),
        ("POPULARITY", "popularity desc, id desc"),
        ("RELEVANCE", "popularity desc, id desc"),  # without a search there is nothing to be relevant to
    ):
        expected = [row["name"] for row in await shop.owner.fetch(f"select name from public.products order by {sql}")]
        assert await names(shop, first=100, orderBy=order_by) == expected, order_by


async def test_filters(shop: Shop) -> None:
    table: list[tuple[dict[str, Any], str]] = [
        ({"categorySlug": "camping"}, "name like 'Camping %'"),
        ({"categorySlug": "all-gifts"}, "true"),
        ({"categorySlug": "no-such"}, "false"),
        ({"brandSlugs": ["alder", "birch"]}, "brand_id in (select id from brands where slug in ('alder', 'birch'))"),
        ({"brandSlugs": []}, "false"),
        ({"minPrice": "18.00"}, "price_minor >= 1800"),
        ({"maxPrice": "10.00"}, "price_minor <= 1000"),
        ({"minPrice": "11.00", "maxPrice": "11.00"}, "price_minor = 1100"),
        ({"minPrice": "0", "currencyCode": "EUR"}, "false"),
        ({"currencyCode": "EUR"}, "false"),
        ({"currencyCode": "GBP"}, "true"),
        ({"tags": ["gift", "art"]}, "tags @> '{gift,art}'"),
        ({"tags": ["art", "reading"]}, "false"),
        ({"inStock": False}, "false"),
        ({"categorySlug": "books", "tags": ["reading"], "maxPrice": "12"}, "name in ('Books 1', 'Books 2', 'Books 3')"),
        ({"categorySlug": None, "brandSlugs": None, "minPrice": None, "tags": None, "inStock": None}, "true"),
    ]
    for wanted, condition in table:
        rows = await shop.owner.fetch(f"select name from public.products where {condition} order by name")
        page = (await shop.client().ask(NAMES, first=100, filter=wanted))["products"]
        assert [p["name"] for p in page["nodes"]] == [row["name"] for row in rows], wanted
        assert page["totalCount"] == len(rows), wanted


async def test_filters_that_cannot_be(shop: Shop) -> None:
    table: list[dict[str, Any]] = [
        {"minPrice": "-1"},
        {"minPrice": "1.005"},
        {"maxPrice": "1", "currencyCode": "XXX"},
        {"currencyCode": "XXX"},
        {"currencyCode": ""},
        {"brandSlugs": ["a"] * 51},
        {"colour": "red"},
    ]
    for wanted in table:
        assert await shop.client().code(NAMES, filter=wanted) == "BAD_USER_INPUT", wanted


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"search": "a\0b"}, "search"),
        ({"filter": {"categorySlug": "a\0"}}, "categorySlug"),
        ({"filter": {"brandSlugs": ["a", "\0"]}}, "brandSlugs"),
        ({"filter": {"tags": ["\0"]}}, "tags"),
    ],
)
async def test_a_nul_in_a_search_or_filter_is_named(shop: Shop, variables: dict[str, Any], named: str) -> None:
    (error,) = (await shop.client().post(NAMES, **variables)).json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert f"`{named}` holds a NUL" in error["message"]


@pytest.mark.parametrize(
    "field",
    ["name", "description", "externalId", "url", "imageUrl", "categorySlug", "brandSlug", "retailerSlug", "tags"],
)
async def test_a_nul_in_a_product_is_named(shop: Shop, field: str) -> None:
    value = "https://north.example/\0" if field in ("url", "imageUrl") else "a\0b"
    create = "mutation ($input: ProductInput!) { createProduct(input: $input) { userErrors { code message field } } }"
    refused = await admin(shop).refusal(create, input={**NEW, field: [value] if field == "tags" else value})
    assert (refused["code"], refused["field"]) == ("INVALID", [field])
    assert "NUL" in refused["message"]


async def test_search_finds_words_stems_and_one_typo(shop: Shop) -> None:
    assert set(await names(shop, first=100, search="camping")) == {f"Camping {i}" for i in range(1, 11)}
    assert set(await names(shop, first=100, search="paintings")) == {f"Painting {i}" for i in range(1, 11)}
    assert set(await names(shop, first=100, search="camqing")) == {f"Camping {i}" for i in range(1, 11)}
    assert await names(shop, search="camping books") == []
    assert await names(shop, search="& | ! ( ) : * ' \\") == []
    assert len(await names(shop, first=100, search="  ")) == 50
    assert await shop.client().code(NAMES, search="x" * 201) == "BAD_USER_INPUT"


async def test_search_by_relevance_prefers_the_name(shop: Shop) -> None:
    await shop.owner.execute("update public.products set name = 'Repair book' where name = 'Books 4'")
    found = await names(shop, first=100, search="repair", orderBy="RELEVANCE")
    assert found[0] == "Repair book"
    assert set(found[1:]) == {f"Tools {i}" for i in range(1, 11)}


async def test_an_administrator_adds_a_product(shop: Shop) -> None:
    more = {
        "description": "Boils in a gale.",
        "brandSlug": "cedar",
        "imageUrl": "https://north.example/k.jpg",
        "tags": ["outdoors", "tea"],
        "inStock": False,
        "currencyCode": "JPY",
        "price": "2450",
    }
    made = (await admin(shop).do(CREATE, input={**NEW, **more}))["product"]
    row = await shop.owner.fetchrow("select * from public.products where external_id = 'kettle-1'")
    assert row is not None
    assert made["id"] == ids.encode("Product", row["id"])
    assert made["price"] == {"amount": "2450", "currencyCode": "JPY"}
    assert (row["price_minor"], row["currency"]) == (2450, "JPY")
    assert (row["name"], row["description"]) == ("Storm Kettle", "Boils in a gale.")
    assert (row["affiliate_url"], row["image_url"]) == ("https://north.example/kettle", "https://north.example/k.jpg")
    assert (row["tags"], row["in_stock"], row["is_active"]) == (["outdoors", "tea"], False, True)
    assert made["category"]["slug"] == "camping"
    assert not made["inStock"]
    assert await names(shop, search="storm kettle") == ["Storm Kettle"]


async def test_products_that_cannot_be_added(shop: Shop) -> None:
    table: list[tuple[dict[str, Any], str, str]] = [
        ({"name": " "}, "INVALID", "name"),
        ({"name": "x" * 501}, "INVALID", "name"),
        ({"price": "0"}, "INVALID", "price"),
        ({"price": "-1"}, "INVALID", "price"),
        ({"price": "1.001"}, "INVALID", "price"),
        ({"price": "1e20"}, "INVALID", "price"),
        ({"currencyCode": "gbp"}, "INVALID", "currencyCode"),
        ({"categorySlug": "no-such"}, "INVALID", "categorySlug"),
        ({"brandSlug": "no-such"}, "INVALID", "brandSlug"),
        ({"retailerSlug": "no-such"}, "INVALID", "retailerSlug"),
        ({"externalId": ""}, "INVALID", "externalId"),
        ({"url": "http://north.example/kettle"}, "INVALID", "url"),
        ({"url": "https://north.example\\@evil.example/"}, "INVALID", "url"),
        ({"imageUrl": "javascript:alert(1)"}, "INVALID", "imageUrl"),
        ({"tags": ["Not Tidy"]}, "INVALID", "tags"),
        ({"tags": [f"t{i}" for i in range(41)]}, "INVALID", "tags"),
        ({"retailerSlug": "north-shop", "externalId": "camping-1"}, "CONFLICT", "externalId"),
    ]
    for change, code, field in table:
        refused = await admin(shop).refusal(CREATE, input={**NEW, **change})
        assert refused == {"code": code, "field": [field]}, change
    assert await shop.owner.fetchval("select count(*) from public.products") == 50


async def test_a_price_is_not_rounded_on_its_way_in(shop: Shop) -> None:
    price = "1.0000000000000000000000000000000001"
    assert await admin(shop).refusal(CREATE, input={**NEW, "price": price}) == {"code": "INVALID", "field": ["price"]}


async def test_an_update_leaves_what_is_left_out_and_clears_what_is_null(shop: Shop) -> None:
    administrator = admin(shop)
    made = (await administrator.do(CREATE, input={**NEW, "description": "Warm.", "imageUrl": "https://n.example/i"}))[
        "product"
    ]
    key = {"id": made["id"]}
    assert (await administrator.do(UPDATE, input={**key, "price": "20"}))["product"] == {
        **made,
        "price": {"amount": "20.00", "currencyCode": "GBP"},
    }
    null = await administrator.do(UPDATE, input={**key, "description": None, "imageUrl": None, "name": None})
    assert (null["product"]["description"], null["product"]["imageUrl"]) == (None, None)
    assert null["product"]["name"] == "Storm Kettle"
    changed = await administrator.do(
        UPDATE,
        input={**key, "name": "Kettle", "categorySlug": "tools", "tags": ["tea"], "inStock": False, "description": "x"},
    )
    row = await shop.owner.fetchrow(
        "select name, description, price_minor, tags, in_stock, image_url from public.products where external_id = $1",
        NEW["externalId"],
    )
    assert tuple(row or ()) == ("Kettle", "x", 2000, ["tea"], False, None)
    assert changed["product"]["category"]["slug"] == "tools"


async def test_a_product_taken_out_is_listed_no_more_and_still_known(shop: Shop) -> None:
    product = await shop.client().product("Tools 5")
    gone = (await admin(shop).do(UPDATE, input={"id": product["id"], "isActive": False}))["product"]
    assert gone["inStock"] is False
    assert "Tools 5" not in await names(shop, first=100)
    assert (await shop.client().ask(PRODUCT, id=product["id"]))["product"]["inStock"] is False
    await admin(shop).do(UPDATE, input={"id": product["id"], "isActive": True})
    assert "Tools 5" in await names(shop, first=100)


async def test_updates_that_cannot_be(shop: Shop) -> None:
    product = (await shop.client().product("Tools 5"))["id"]
    brand = ids.encode("Brand", await shop.owner.fetchval("select id from public.brands limit 1"))
    before = await shop.owner.fetch("select * from public.products order by id")
    for change, code, field in (
        ({"id": ids.encode("Product", uuid4())}, "NOT_FOUND", "id"),
        ({"id": brand}, "NOT_FOUND", "id"),
        ({"id": "x"}, "NOT_FOUND", "id"),
        ({"name": ""}, "INVALID", "name"),
        ({"price": "0"}, "INVALID", "price"),
        ({"categorySlug": "no-such"}, "INVALID", "categorySlug"),
        ({"tags": ["A"]}, "INVALID", "tags"),
        ({"imageUrl": "http://a.example/"}, "INVALID", "imageUrl"),
    ):
        assert await admin(shop).refusal(UPDATE, input={"id": product, **change}) == {"code": code, "field": [field]}
    assert await shop.owner.fetch("select * from public.products order by id") == before


async def test_only_administrators_and_the_service_write_the_catalogue(shop: Shop) -> None:
    product = (await shop.client().product("Tools 5"))["id"]
    for token in (
        shop.token(uuid4()),
        shop.token(uuid4(), app_metadata={"role": "analyst"}),
        (await shop.account()).token,
    ):
        client = shop.client(token)
        assert await client.code(CREATE, input=NEW) == "FORBIDDEN"
        assert await client.code(UPDATE, input={"id": product, "isActive": False}) == "FORBIDDEN"
    service = shop.client(shop.token(uuid4(), role="service_role"))
    assert (await service.do(CREATE, input=NEW))["product"]["name"] == "Storm Kettle"


async def test_the_catalogue_is_not_written_without_a_token(shop: Shop) -> None:
    product = (await shop.client().product("Tools 5"))["id"]
    assert await shop.client().code(CREATE, input=NEW) == "UNAUTHENTICATED"
    assert await shop.client().code(UPDATE, input={"id": product, "isActive": False}) == "UNAUTHENTICATED"


async def test_an_inactive_product_says_so_and_what_was_done_with_it_still_shows_it(shop: Shop) -> None:
    anna, boss = await shop.anonymous(), admin(shop)
    product = await anna.product("Books 3")
    acts = """
    mutation ($product: ID!) {
      createAffiliateClick(input: {productId: $product}) { userErrors { code } }
      createGiftLink(input: {productId: $product}) { userErrors { code } }
    }
    """
    seen = """
    query ($id: ID!) {
      product(id: $id) { name isActive }
      node(id: $id) { ... on Product { isActive } }
      me {
        affiliateClicks { nodes { product { isActive } } }
        giftLinks { nodes { product { isActive } } }
        swipes { nodes { product { isActive } } }
      }
    }
    """

    def shown(*, is_active: bool) -> dict[str, Any]:
        listed = {"nodes": [{"product": {"isActive": is_active}}]}
        return {
            "product": {"name": "Books 3", "isActive": is_active},
            "node": {"isActive": is_active},
            "me": {"affiliateClicks": listed, "giftLinks": listed, "swipes": listed},
        }

    await anna.swipe(product["id"])
    assert all(payload["userErrors"] == [] for payload in (await anna.ask(acts, product=product["id"])).values())
    assert await anna.ask(seen, id=product["id"]) == shown(is_active=True)

    await boss.do(UPDATE, input={"id": product["id"], "isActive": False})
    assert await anna.ask(seen, id=product["id"]) == shown(is_active=False)
    refused = await anna.ask(acts, product=product["id"])
    assert [payload["userErrors"][0]["code"] for payload in refused.values()] == ["NOT_FOUND", "NOT_FOUND"]


IN_CURRENCIES = {"Yen": (1500, "JPY"), "Cheap": (1499, "GBP"), "Dear": (7900, "GBP"), "Dinar": (8000, "KWD")}


@pytest.fixture
async def currencies(shop: Shop) -> Shop:
    """The shop with four products in stock, in three currencies."""
    await shop.owner.execute("update public.products set is_active = false")
    for number, (name, (price, currency)) in enumerate(IN_CURRENCIES.items(), start=1):
        await shop.owner.execute(
            "update public.products set name = $1, price_minor = $2, currency = $3, is_active = true where name = $4",
            name,
            price,
            currency,
            f"Party {number}",
        )
    return shop


async def test_prices_are_ordered_within_each_currency_the_default_one_first(currencies: Shop) -> None:
    assert await names(currencies, orderBy="PRICE_ASC") == ["Cheap", "Dear", "Yen", "Dinar"]
    assert await names(currencies, orderBy="PRICE_DESC") == ["Dear", "Cheap", "Yen", "Dinar"]


async def test_another_default_currency_comes_first_and_is_that_of_price_limits(currencies: Shop) -> None:
    settings = msgspec.structs.replace(currencies.services.settings, default_currency="KWD")
    object.__setattr__(currencies.services, "settings", settings)
    assert await names(currencies, orderBy="PRICE_ASC") == ["Dinar", "Cheap", "Dear", "Yen"]
    assert await names(currencies, orderBy="PRICE_DESC") == ["Dinar", "Dear", "Cheap", "Yen"]
    assert await names(currencies, filter={"maxPrice": "20"}) == ["Dinar"]


async def test_a_filter_has_the_currency_it_names_and_price_limits_the_default_one(currencies: Shop) -> None:
    assert await names(currencies, filter={"currencyCode": "JPY"}) == ["Yen"]
    assert await names(currencies, filter={"currencyCode": "JPY"}, orderBy="PRICE_DESC") == ["Yen"]
    assert await names(currencies, filter={"minPrice": "10"}, orderBy="PRICE_ASC") == ["Cheap", "Dear"]
    assert await names(currencies, filter={"inStock": True, "currencyCode": None}) == ["Cheap", "Dear", "Dinar", "Yen"]


async def test_feeds_filter_by_currency_as_the_catalogue_does(currencies: Shop) -> None:
    feeds = """
    query ($filter: ProductFilter, $input: GiftFinderInput!) {
      recommendations(filter: $filter) { nodes { product { name } } }
      giftFinder(input: $input) { nodes { product { name } } }
    }
    """
    table: list[tuple[dict[str, Any], set[str]]] = [
        ({}, set(IN_CURRENCIES)),
        ({"currencyCode": "JPY"}, {"Yen"}),
        ({"maxPrice": "100"}, {"Cheap", "Dear"}),
        ({"maxPrice": "100", "currencyCode": "KWD"}, {"Dinar"}),
    ]
    await currencies.owner.execute("select private.refresh_model()")
    for wanted, expected in table:
        for feed in (await currencies.client().ask(feeds, filter=wanted, input=wanted)).values():
            assert {node["product"]["name"] for node in feed["nodes"]} == expected, wanted
