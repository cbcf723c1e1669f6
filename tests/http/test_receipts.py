"""What a request took: told to those who develop or run the service, and the budgets of operations in its figures."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from server import create_app
from settings import Environment
from tests.client import FEED, QUIZ, SWIPE
from tests.conftest import SECRET, Shop
from tests.integration.test_recommendations import taste

RECEIPT = {"x-aclue-receipt": "1"}
PRODUCT = "id name price { amount currencyCode } brand { name } category { name }"
# SQL statements at the most, everything warm. A page's total, and what a resolver gives row by row, are one more each.
BY_ID = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Recommendation { id score reasons { code text weight } } } }"
PRODUCTS_BY_ID = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Recommendation { product { name } } } }"
BUDGETS = {
    "the caller": ("{ me { id displayName } }", 1),
    "a page of products": (f"{{ products(first: 20) {{ nodes {{ {PRODUCT} }} }} }}", 1),
    "a page with its total": ("{ products(first: 20) { totalCount nodes { id } } }", 1),
    "a page of swipes": (f"{{ me {{ swipes(first: 50) {{ nodes {{ direction product {{ {PRODUCT} }} }} }} }} }}", 1),
    "pages in categories": (f"{{ categories {{ name products(first: 5) {{ nodes {{ {PRODUCT} }} }} }} }}", 1),
    "offers of products": ("{ products(first: 5) { nodes { offers { price { amount } retailer { name } } } } }", 3),
    "two root fields": ("{ me { id } products(first: 3) { nodes { id } } }", 2),
    "the quiz": (QUIZ, 2),
    "a feed": ("{ recommendations(first: 10) { nodes { score product { name } } } }", 2),
    "a feed with its reasons": (FEED, 3),
    "preferences and personality": (
        "{ me { preferences { totalSwipes } personality { scores { trait score } } } }",
        1,
    ),
}


async def receipt(client: httpx.AsyncClient, token: str | None, query: str, **variables: Any) -> dict[str, Any]:
    headers = RECEIPT | ({"authorization": f"Bearer {token}"} if token else {})
    response = await client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
    body = response.json()
    assert "errors" not in body, body
    found: dict[str, Any] = body["extensions"]["receipt"]
    return found


@pytest.fixture
async def production(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    settings = msgspec.structs.replace(shop.services.settings, environment=Environment.PRODUCTION)
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client,
    ):
        yield client


async def test_a_receipt_says_what_a_request_took(shop: Shop) -> None:
    anna = await taste(shop)
    query = f"{{ me {{ swipes(first: 3) {{ nodes {{ product {{ {PRODUCT} }} }} }} }} }}"
    first, second = [await receipt(shop.http, anna.token, query) for _ in range(2)]
    assert first["cacheHits"] == {"document": False, "preparedStatements": 0}
    prepared = int(shop.services.settings.prepared_statements)
    assert second["cacheHits"] == {"document": True, "preparedStatements": prepared}
    for each in (first, second):
        assert (each["statements"], each["rows"], each["path"], each["reason"]) == (1, 1, "plan", None)
        assert each["role"] == "anon"
        assert each["cost"] == 35
        assert 0 < each["databaseMs"] <= each["totalMs"]


async def test_a_receipt_counts_the_service_s_own_statements_too(shop: Shop) -> None:
    query = "mutation { startSession(input: {}) { accessToken } }"
    assert (await receipt(shop.http, None, query))["statements"] > 1


async def test_a_browser_shows_it_as_server_timing(shop: Shop) -> None:
    response = await shop.http.post("/graphql", json={"query": "{ quiz { version } }"}, headers=RECEIPT)
    timing = r'total;dur=[\d.]+, db;dur=[\d.]+;desc="\d+ statements", path;desc="plan"'
    assert re.fullmatch(timing, response.headers["server-timing"])


async def test_a_request_that_no_plan_answers_says_why(shop: Shop) -> None:
    found = await receipt(shop.http, None, "{ __schema { description } }")
    assert (found["path"], found["reason"], found["statements"]) == ("fallback", "introspection", 0)


async def test_requests_at_the_same_time_have_receipts_of_their_own(shop: Shop) -> None:
    anna = await taste(shop)
    await receipt(shop.http, anna.token, FEED, first=5)
    queries = [("{ me { id } }", 1), ("{ a: me { id } b: me { id } c: me { id } }", 3)] * 8
    found = await asyncio.gather(*[receipt(shop.http, anna.token, query) for query, _ in queries])
    assert [each["statements"] for each in found] == [count for _, count in queries]


async def test_nobody_gets_one_who_did_not_ask(shop: Shop) -> None:
    for headers in ({}, {"x-aclue-receipt": "0"}):
        response = await shop.http.post("/graphql", json={"query": "{ quiz { version } }"}, headers=headers)
        assert "extensions" not in response.json() and "server-timing" not in response.headers


async def test_in_production_it_is_for_those_who_run_the_service(shop: Shop, production: httpx.AsyncClient) -> None:
    anna = await shop.anonymous()
    for token in (None, anna.token):
        headers = RECEIPT | ({"authorization": f"Bearer {token}"} if token else {})
        response = await production.post("/graphql", json={"query": "{ quiz { version } }"}, headers=headers)
        assert "extensions" not in response.json() and "server-timing" not in response.headers
    service = shop.token(uuid4(), role="service_role")
    assert (await receipt(production, service, "{ quiz { version } }"))["role"] == "service_role"


@pytest.mark.parametrize("operation", BUDGETS)
async def test_an_operation_stays_within_its_budget(shop: Shop, operation: str) -> None:
    query, most = BUDGETS[operation]
    anna = await taste(shop)
    await receipt(shop.http, anna.token, query)
    found = await receipt(shop.http, anna.token, query)
    assert found["path"] == "plan", found["reason"]
    assert found["statements"] <= most


async def test_a_swipe_stays_within_its_budget(shop: Shop) -> None:
    anna = await taste(shop)
    product = (await anna.product("Books 1"))["id"]
    swipe = {"productId": product, "direction": "RIGHT", "clientSwipeId": "budget"}
    found = await receipt(shop.http, anna.token, SWIPE, input=swipe)
    assert (found["path"], found["statements"] <= 6) == ("plan", True), found


async def test_a_hundred_recommendations_of_many_feeds_are_one_statement_and_their_products_another(shop: Shop) -> None:
    anna = await taste(shop)
    shown: list[dict[str, Any]] = []
    while len(shown) < 100:
        feed = (await anna.feed(first=15))["nodes"]
        shown += [{name: node[name] for name in ("id", "score", "reasons")} for node in feed]
        await anna.swipe(feed[-1]["product"]["id"])  # so that the next feed is another one, of another moment
    variables = {"ids": [each["id"] for each in shown[:100]]}
    assert [node["id"] for node in (await anna.ask(BY_ID, **variables))["nodes"]] == variables["ids"]
    found = await receipt(shop.http, anna.token, PRODUCTS_BY_ID, **variables)
    assert found["statements"] == 2
