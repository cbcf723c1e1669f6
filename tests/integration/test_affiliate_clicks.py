"""Tracked links: what a click keeps of its offer, and where its link leads."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from db.migrations import migrate
from domain import ids
from domain.affiliate import decode_token
from tests.client import Client
from tests.conftest import Shop

CLICK = """
mutation ($input: AffiliateClickInput!) {
  createAffiliateClick(input: $input) {
    click { id network redirectUrl product { id } } userErrors { code message field }
  }
}
"""
ROW = "select * from affiliate_clicks where id = $1"


async def product_at(shop: Shop, retailer: str) -> str:
    """The global id of a product of this shop."""
    id = await shop.owner.fetchval(
        "select p.id from products p join retailers r on r.id = p.retailer_id where r.slug = $1 order by p.id limit 1",
        retailer,
    )
    return ids.encode("Product", id)


def key(global_id: str) -> Any:
    return (ids.decode(global_id) or ("", None))[1]


async def click(client: Client, product: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.do(CLICK, input={"productId": product, **more}))["click"]
    return found


async def follow(shop: Shop, made: dict[str, Any]) -> str:
    """Where the link leads."""
    response = await shop.http.get(urlsplit(made["redirectUrl"]).path)
    assert response.status_code == 302
    return response.headers["location"]


async def test_a_click_keeps_what_the_offer_said(shop: Shop) -> None:
    product = await product_at(shop, "north-shop")
    await shop.owner.execute("update products set price_minor = 1999 where id = $1", key(product))
    made = await click(await shop.anonymous(), product, sourcePage="/feed", campaign="spring")
    row = await shop.owner.fetchrow(ROW, key(made["id"]))
    assert row is not None
    assert (row["price_minor"], row["currency"], row["expected_commission_minor"]) == (1999, "GBP", 100)
    assert (row["source_page"], row["campaign"], row["affiliate_network"]) == ("/feed", "spring", "awin")


async def test_a_later_price_does_not_change_a_click(shop: Shop) -> None:
    product = await product_at(shop, "north-shop")
    made = await click(await shop.anonymous(), product)
    before = await shop.owner.fetchrow(ROW, key(made["id"]))
    await shop.owner.execute(
        "update products set price_minor = 1, currency = 'EUR', affiliate_url = 'https://elsewhere.example/'"
    )
    await shop.owner.execute("update retailers set commission_rate = 0.5, affiliate_network = 'cj'")
    assert await shop.owner.fetchrow(ROW, key(made["id"])) == before


async def test_a_link_leads_to_the_offer_of_the_moment_of_the_click(shop: Shop) -> None:
    made = await click(await shop.anonymous(), await product_at(shop, "corner-shop"))
    before = await follow(shop, made)
    await shop.owner.execute("update products set affiliate_url = 'https://elsewhere.example/'")
    assert await follow(shop, made) == before


@pytest.mark.parametrize(
    ("retailer", "network", "parameter"), [("north-shop", "awin", "clickref"), ("south-shop", "cj", "sid")]
)
async def test_a_link_carries_the_click_in_the_parameter_of_its_network(
    shop: Shop, retailer: str, network: str, parameter: str
) -> None:
    product = await product_at(shop, retailer)
    made = await click(await shop.anonymous(), product)
    token = urlsplit(made["redirectUrl"]).path.removeprefix("/r/")
    offer = await shop.owner.fetchval("select affiliate_url from products where id = $1", key(product))
    assert made["network"] == network
    assert decode_token(token) == key(made["id"])
    assert await follow(shop, made) == f"{offer}&{parameter}={token}"


async def test_a_shop_without_a_network_gets_its_own_url(shop: Shop) -> None:
    product = await product_at(shop, "corner-shop")
    made = await click(await shop.anonymous(), product)
    assert made["network"] is None
    offer = await shop.owner.fetchval("select affiliate_url from products where id = $1", key(product))
    assert await follow(shop, made) == offer


async def test_an_inactive_product_has_no_link(shop: Shop) -> None:
    product = await product_at(shop, "north-shop")
    await shop.owner.execute("update products set is_active = false where id = $1", key(product))
    refusal = await (await shop.anonymous()).refusal(CLICK, input={"productId": product})
    assert (refusal["code"], refusal["field"]) == ("NOT_FOUND", ["productId"])
    assert await shop.owner.fetchval("select count(*) from affiliate_clicks") == 0


@pytest.mark.parametrize("product", ["nonsense", ids.encode("Product", "0199a0b0-0000-7000-8000-000000000001")])
async def test_an_unknown_product_has_no_link(shop: Shop, product: str) -> None:
    refusal = await (await shop.anonymous()).refusal(CLICK, input={"productId": product})
    assert (refusal["code"], refusal["field"]) == ("NOT_FOUND", ["productId"])


async def test_somebody_without_a_token_has_no_link(shop: Shop) -> None:
    product = await product_at(shop, "north-shop")
    assert await shop.client().code(CLICK, input={"productId": product}) == "UNAUTHENTICATED"


async def test_a_click_remembers_the_recommendation_that_led_to_it(shop: Shop) -> None:
    client = await shop.anonymous()
    shown = (await client.feed(first=1))["nodes"][0]
    made = await click(client, shown["product"]["id"], recommendationId=shown["id"])
    context = await shop.owner.fetchval(
        "select recommendation_context from affiliate_clicks c join recommendations r on r.id = c.recommendation_id "
        "where c.id = $1",
        key(made["id"]),
    )
    assert context == "discover"


async def test_the_recommendation_of_another_product_is_refused(shop: Shop) -> None:
    client = await shop.anonymous()
    one, other = (await client.feed(first=2))["nodes"]
    refusal = await client.refusal(CLICK, input={"productId": one["product"]["id"], "recommendationId": other["id"]})
    assert (refusal["code"], refusal["field"]) == ("INVALID", ["recommendationId"])


async def test_a_repeat_with_the_same_key_gives_the_first_click(shop: Shop) -> None:
    client, product = await shop.anonymous(), await product_at(shop, "north-shop")
    first = await click(client, product, idempotencyKey="k")
    assert await click(client, product, idempotencyKey="k") == first
    assert await shop.owner.fetchval("select count(*) from affiliate_clicks") == 1


@pytest.mark.parametrize("name", ["sourcePage", "campaign"])
async def test_a_text_that_is_too_long_is_refused_by_its_name(shop: Shop, name: str) -> None:
    client, product = await shop.anonymous(), await product_at(shop, "north-shop")
    refusal = await client.refusal(CLICK, input={"productId": product, name: "x" * 201})
    assert (refusal["code"], refusal["field"]) == ("INVALID", [name])


@pytest.mark.parametrize("token", ["a" * 26, "nonsense", "%00"])
async def test_an_unknown_link_leads_nowhere(shop: Shop, token: str) -> None:
    assert (await shop.http.get(f"/r/{token}")).status_code == 404


async def test_the_link_of_somebody_who_is_gone_leads_nowhere(shop: Shop) -> None:
    made = await click(await shop.anonymous(), await product_at(shop, "north-shop"))
    await shop.owner.execute("delete from profiles")
    assert (await shop.http.get(urlsplit(made["redirectUrl"]).path)).status_code == 404


BEFORE = "20261121111200"  # the last migration of the release that kept user agents
HIT_OF_BEFORE = """
with someone as (insert into public.profiles (is_anonymous) values (true) returning id),
category as (insert into public.categories (slug, name) values ('books', 'Books') returning id),
retailer as (insert into public.retailers (slug, name, domain) values ('shop', 'Shop', 'shop.example') returning id),
product as (
  insert into public.products (
    name, description, price_minor, currency, category_id, retailer_id, external_id, affiliate_url)
  select 'Book', 'A book', 100, 'GBP', c.id, r.id, 'b', 'https://shop.example' from category c, retailer r
  returning id),
click as (
  insert into public.affiliate_clicks (user_id, product_id, affiliate_url, price_minor, currency)
  select s.id, p.id, 'https://shop.example', 100, 'GBP' from someone s, product p returning user_id, id)
insert into public.affiliate_redirects (user_id, click_id, user_agent)
select user_id, id, 'tell-tale' from click returning click_id
"""


async def test_user_agents_of_before_are_forgotten_and_the_release_of_before_still_follows_links(blank: str) -> None:
    owner = await asyncpg.connect(blank)
    await migrate(owner, to=BEFORE)
    click = await owner.fetchval(HIT_OF_BEFORE)
    await migrate(owner)
    await owner.fetch("select * from private.follow_affiliate_click($1, $2)", click, "tell-tale")
    hits = [dict(row) for row in await owner.fetch("select * from public.affiliate_redirects")]
    assert len(hits) == 2
    assert "tell-tale" not in str(hits)
    await owner.close()
