"""Popularity is not for sale: what many sessions of one network, new accounts and merged sessions can do to ranks."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from domain import ids
from tests.bases import Base, ensure_template
from tests.client import Client
from tests.conftest import Shop
from tests.crowds import Person, come, swipe

PRODUCTS = 455
MORE_PRODUCTS = """
insert into public.products (
  name, description, price_minor, currency, tags, brand_id, category_id, retailer_id, external_id, affiliate_url,
  feed_popularity)
select 'More ' || i, p.description, p.price_minor, p.currency, p.tags, p.brand_id, p.category_id, p.retailer_id,
  'more-' || i, p.affiliate_url, round((0.06 + 0.9 * (i * 37 % 405) / 405.0)::numeric, 2)
from generate_series(1, 405) i join (select *, row_number() over (order by name) as n from public.products) p
  on p.n = 1 + i % 50
"""
MERGE = """
mutation ($token: String!) {
  mergeSession(input: {refreshToken: $token}) { userErrors { code } }
}
"""
WEEK_OLD = """
update public.profiles set created_at = created_at - interval '8 days';
update public.user_sessions set created_at = created_at - interval '8 days';
"""


@pytest.fixture
async def database_template(base: Base, database_template: str, request: pytest.FixtureRequest) -> str:
    """With more products, if the test uses `catalogue`."""
    if "catalogue" not in request.fixturenames:
        return database_template
    return await ensure_template(base, f"{database_template}_ranked", database_template, add_products)


async def add_products(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(MORE_PRODUCTS)
    assert len(await ranking_of(owner)) == PRODUCTS


@pytest.fixture
def catalogue(shop: Shop) -> Shop:
    """A shop with hundreds of products, which have been ranked."""
    return shop


async def ranking(shop: Shop) -> list[UUID]:
    """All products, the most popular of a new model first."""
    return await ranking_of(shop.owner)


async def ranking_of(owner: asyncpg.Connection[Any]) -> list[UUID]:
    await owner.execute("select private.refresh_model()")
    return [row["id"] for row in await owner.fetch("select id from public.products order by popularity desc, id desc")]


def moves(before: list[UUID], after: list[UUID]) -> dict[UUID, int]:
    """By how many ranks each product rose."""
    places = {product: place for place, product in enumerate(after)}
    return {product: place - places[product] for place, product in enumerate(before)}


def of_one_site(count: int, days: float) -> list[Person]:
    return [Person(f"2001:db8:7:{n % 65536:x}::{n:x}", days) for n in range(count)]


async def rise(shop: Shop, people: list[Person]) -> int:
    """How many ranks the last product but one rises when all of these like it most."""
    before = await ranking(shop)
    await swipe(shop, await come(shop, people), [before[-2]], "up")
    return moves(before, await ranking(shop))[before[-2]]


@pytest.mark.parametrize("days", [0, 2.9])
async def test_ten_thousand_young_sessions_of_one_site_move_no_product(catalogue: Shop, days: float) -> None:
    before = await ranking(catalogue)
    crowd = await come(catalogue, of_one_site(10_000, days))
    await swipe(catalogue, crowd, [before[-2]], "up")
    await swipe(catalogue, crowd[:20], before[:300], "left")
    assert set(moves(before, await ranking(catalogue)).values()) == {0}


async def test_fifty_week_old_sessions_of_many_networks_lift_a_product(catalogue: Shop) -> None:
    assert await rise(catalogue, [Person(f"2001:{n:x}:7::1", 7) for n in range(0x100, 0x100 + 50)]) > 200


@pytest.mark.parametrize(
    ("crowd", "most"),
    [
        ([Person("2001:db8:7:1::1", 8)] * 1000, 1),
        (of_one_site(1000, 8), 2),
        ([Person(f"2001:db8:{n:x}::1", 8) for n in range(1000)], 8),
        ([Person("198.51.100.7", 8)] * 1000, 1),
        ([Person(f"198.51.100.{n % 256}", 8) for n in range(1000)], 2),
        ([Person(f"198.51.{n % 256}.{n // 256}", 8) for n in range(1000)], 8),
        ([Person("198.51.100.7", 8, f"{n}@people.example") for n in range(1000)], 1),
        ([Person("198.51.100.7", 8, f"{n}@people.example", True) for n in range(1000)], 4),
        ([Person(None, 8)] * 1000, 8),
    ],
    ids=[
        "household", "site", "range", "IPv4 address", "IPv4 /24", "IPv4 /16", "unverified accounts",
        "verified accounts", "forgotten networks",
    ],
)  # fmt: skip
async def test_old_sessions_of_one_network_lift_a_product_no_further_than_a_few_people(
    catalogue: Shop, crowd: list[Person], most: int
) -> None:
    product = (await ranking(catalogue))[-2]
    await swipe(catalogue, await come(catalogue, crowd), [product], "up")
    total = await catalogue.owner.fetchval(
        "select sum(weight) from private.trusted_signals where product_id = $1", product
    )
    assert total == pytest.approx(most)


async def started_at(shop: Shop, address: str) -> Client:
    """A session begun behind a proxy that names this address."""
    inner = shop.http._transport.app  # type: ignore[attr-defined]
    app = ProxyHeadersMiddleware(inner, trusted_hosts="127.0.0.1")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as http:
        http.headers["x-forwarded-for"] = address
        begun = await Client(http).start_session()
    begun.http = shop.http
    return begun


async def weight_of(shop: Shop, product: str) -> float:
    found: float | None = await shop.owner.fetchval(
        "select sum(weight) from private.trusted_signals where product_id = $1", ids.decode_as("Product", product)
    )
    return found or 0


async def test_sessions_are_told_apart_by_the_network_that_the_proxy_names(shop: Shop) -> None:
    crowded, spread = [product["id"] for product in await shop.client().products(first=2)]
    for n in range(12):
        await (await started_at(shop, f"203.0.113.{n // 6}")).swipe(crowded, "UP")
        await (await started_at(shop, f"10.{n}.0.1")).swipe(spread, "UP")
    assert (await weight_of(shop, crowded), await weight_of(shop, spread)) == (0, 0)
    await shop.owner.execute(WEEK_OLD)
    assert await weight_of(shop, crowded) == pytest.approx(2)
    assert await weight_of(shop, spread) == pytest.approx(12)


async def test_an_old_account_that_merges_many_sessions_counts_as_one_person(shop: Shop) -> None:
    account = await shop.account()
    product = (await shop.client().products(first=1))[0]["id"]
    for n in range(6):
        visitor = await started_at(shop, f"10.{n}.0.1")
        await visitor.swipe(product, "UP", clientSwipeId=secrets.token_hex(8))
        if n < 3:
            await shop.owner.execute(WEEK_OLD)
        await account.do(MERGE, token=visitor.refresh_token)
    await shop.owner.execute(WEEK_OLD)
    assert await weight_of(shop, product) == 1


async def test_what_a_person_may_not_read_says_which_sessions_are_of_one_network(shop: Shop) -> None:
    visitor = await shop.anonymous()
    ask = "mutation ($t: String!) { exportMyData(input: {refreshToken: $t}) { document userErrors { code } } }"
    document = (await visitor.do(ask, t=visitor.refresh_token))["document"]
    (session,) = document["data"]["public.user_sessions"]
    assert "networks" not in session
    assert "networks" in document["manifest"]["tables"]["public.user_sessions"]["leftOut"]
