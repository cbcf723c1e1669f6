"""Anything by its global id."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from domain import ids
from tests.client import Client
from tests.conftest import Shop

NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
FOR_ADMINISTRATORS = {"AuditEntry", "ImportRun", "SystemLog"}  # tests/security/test_graphql_matrix.py
FOR_FINANCE = {
    "Conversion",
    "ConversionFlag",
    "ConversionReport",
    "LedgerDecision",
    "LedgerEntry",
    "LedgerException",
    "Payment",
}
OWN = """
{
  me {
    id preferences { id } personality { id history { nodes { id } } }
    swipes { nodes { id } } affiliateClicks { nodes { id } } giftLinks { nodes { id } }
    dismissedReasons { nodes { id } }
    sessions { nodes { id } }
  }
}
"""


async def public_ids(shop: Shop) -> dict[str, str]:
    return {
        name: ids.encode(name, await shop.owner.fetchval(f"select id from public.{table} order by id limit 1"))
        for name, table in (
            ("Product", "products"),
            ("Category", "categories"),
            ("Brand", "brands"),
            ("Retailer", "retailers"),
            ("ProductOffer", "product_offers"),
        )
    }


async def own_ids(client: Client) -> dict[str, str]:
    """Somebody who did everything; an id per type of their own."""
    await client.take_quiz({"adv"})
    feed = await client.feed(first=3)
    product = feed["nodes"][0]["product"]["id"]
    await client.swipe(product)
    click = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { userErrors { code } } }"
    await client.do(click, id=product)
    link = "mutation ($id: ID!) { createGiftLink(input: {productId: $id}) { userErrors { code } } }"
    await client.do(link, id=product)
    dismiss = 'mutation { dismissReason(input: {source: {kind: TRAIT, key: "social"}}) { userErrors { code } } }'
    await client.do(dismiss)
    me: dict[str, Any] = (await client.ask(OWN))["me"]
    return {
        "Profile": me["id"],
        "Preferences": me["preferences"]["id"],
        "PersonalityProfile": me["personality"]["id"],
        "Assessment": me["personality"]["history"]["nodes"][0]["id"],
        "Session": me["sessions"]["nodes"][0]["id"],
        "Swipe": me["swipes"]["nodes"][0]["id"],
        "AffiliateClick": me["affiliateClicks"]["nodes"][0]["id"],
        "GiftLink": me["giftLinks"]["nodes"][0]["id"],
        "DismissedReason": me["dismissedReasons"]["nodes"][0]["id"],
        "Recommendation": feed["nodes"][2]["id"],
    }


async def test_every_type_is_found_by_its_id(shop: Shop) -> None:
    anna = await shop.account()
    everything = {**await public_ids(shop), **await own_ids(anna)}
    types = (await anna.ask('{ __type(name: "Node") { possibleTypes { name } } }'))["__type"]["possibleTypes"]
    assert {entry["name"] for entry in types} == set(everything) | FOR_ADMINISTRATORS | FOR_FINANCE
    for name, key in everything.items():
        assert (await anna.ask(NODE, id=key))["node"] == {"__typename": name, "id": key}


async def test_several_at_once_in_the_order_asked_for(shop: Shop) -> None:
    anna = await shop.account()
    everything = list(({**await public_ids(shop), **await own_ids(anna)}).items())
    asked = [*everything, *reversed(everything)]
    found = (await anna.ask(NODES, ids=[key for _, key in asked]))["nodes"]
    assert found == [{"__typename": name, "id": key} for name, key in asked]


async def test_what_is_public_needs_no_token_and_what_is_ones_own_nobody_else_sees(shop: Shop) -> None:
    mine = await own_ids(await shop.anonymous())
    public = await public_ids(shop)
    for other in (shop.client(), await shop.anonymous(), await shop.account()):
        for name, key in public.items():
            assert (await other.ask(NODE, id=key))["node"] == {"__typename": name, "id": key}
        assert (await other.ask(NODES, ids=list(mine.values())))["nodes"] == [None] * len(mine)


async def test_ids_of_nothing_are_null(shop: Shop) -> None:
    product = (await public_ids(shop))["Product"]
    raw = ids.decode_as("Product", product)
    nothing = [
        "",
        "x",
        "é",
        "\0",
        "=" * 8,
        "x" * 5000,
        str(raw),
        product + "=",
        product.lower(),
        ids.encode("Product", uuid4()),
        ids.encode("Brand", raw or ""),  # the uuid of a product
        ids.encode("Nothing", raw or ""),
        ids.encode("Session", raw or ""),
        ids.encode("Node", raw or ""),
        ids.encode("Recommendation", raw or ""),
        ids.encode("Product", str(raw).upper()),
        ids.encode("Product", ""),
    ]
    for key in nothing:
        assert (await shop.client().ask(NODE, id=key))["node"] is None, key
    found = (await shop.client().ask(NODES, ids=[*nothing, product]))["nodes"]
    assert found == [None] * len(nothing) + [{"__typename": "Product", "id": product}]


async def test_at_most_a_hundred(shop: Shop) -> None:
    product = (await public_ids(shop))["Product"]
    assert (await shop.client().ask(NODES, ids=[]))["nodes"] == []
    assert len((await shop.client().ask(NODES, ids=[product] * 100))["nodes"]) == 100
    assert await shop.client().code(NODES, ids=[product] * 101) == "BAD_USER_INPUT"


async def test_fields_of_the_type_behind_an_id(shop: Shop) -> None:
    query = "query ($id: ID!) { node(id: $id) { id ... on Brand { slug } ... on Product { name price { amount } } } }"
    key = (await shop.client().product("Books 2"))["id"]
    found = (await shop.client().ask(query, id=key))["node"]
    assert found == {"id": key, "name": "Books 2", "price": {"amount": "11.00"}}
