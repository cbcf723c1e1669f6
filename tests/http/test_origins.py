"""What pages of other origins may do (CORS)."""

from __future__ import annotations

import httpx
import pytest

import settings
from tests.conftest import Shop
from transports.origins import Headers, Origins

PAGE = "http://localhost:5173"  # of somebody who develops; any port may
QUERY = {"query": "{ __typename }"}


async def asked_beforehand(shop: Shop, origin: str) -> httpx.Response:
    """What a browser asks before a page's request."""
    headers = {"origin": origin, "access-control-request-method": "POST"}
    return await shop.http.options("/graphql", headers=headers)


def names(listed: str) -> set[str]:
    return {name.strip() for name in listed.split(",")}


@pytest.mark.parametrize(
    "header",
    [
        "authorization",
        "content-type",
        "x-aclue-cost",
        "x-aclue-receipt",
        "apollographql-client-name",
        "apollographql-client-version",
        "apollo-require-preflight",
        "traceparent",
        "tracestate",
        "baggage",
        "sentry-trace",
    ],
)
async def test_clients_may_send_their_usual_headers(shop: Shop, header: str) -> None:
    answer = await asked_beforehand(shop, PAGE)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert names(answer.headers["access-control-allow-methods"]) == {"GET", "POST"}
    assert header in names(answer.headers["access-control-allow-headers"])


def told(headers: Headers) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


def test_an_installation_allows_headers_of_its_own() -> None:
    given = {"CORS_ORIGINS": "https://shop.example", "CORS_HEADERS": "X-Shop-Version, x-build"}
    answer = told(Origins(settings.load(given)).preflight(b"https://shop.example"))
    assert {"x-shop-version", "x-build", "authorization"} <= names(answer["access-control-allow-headers"])


LISTED = "https://*.shop.example,https://*.any.example:*,capacitor://localhost"


@pytest.mark.parametrize(
    "origin",
    [
        "https://eu.shop.example",
        "https://EU.shop.example",
        "https://a.b-c.shop.example",
        "https://eu.any.example",
        "https://eu.any.example:8443",
        "capacitor://localhost",
    ],
)
def test_subdomains_and_apps_are_allowed_by_one_entry(origin: str) -> None:
    answer = told(Origins(settings.load({"CORS_ORIGINS": LISTED})).headers(origin.encode()))
    assert answer["access-control-allow-origin"] == origin


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example",
        "https://.shop.example",
        "https://evilshop.example",
        "https://shop.example.evil.example",
        "https://evil.example/.shop.example",
        "https://evil.example#.shop.example",
        "https://evil.example@eu.shop.example",
        "http://eu.shop.example",
        "https://eu.shop.example:8443",
        "https://eu.shop.example ",
        "https://eushopxexample",
        "https://eu.any.example:x",
        "https://localhost",
        "capacitor://localhost:1",
        "ionic://localhost",
        "null",
        "",
    ],
)
def test_they_allow_nothing_that_looks_like_it(origin: str) -> None:
    assert Origins(settings.load({"CORS_ORIGINS": LISTED})).headers(origin.encode()) == []


async def test_no_cookie_is_ever_asked_for(shop: Shop) -> None:
    answers = [await asked_beforehand(shop, PAGE), await shop.http.post("/graphql", json=QUERY)]
    for answer in answers:
        assert "access-control-allow-credentials" not in answer.headers
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("body", [QUERY, {}], ids=["an answer", "an error"])
async def test_pages_of_allowed_origins_read_answers(shop: Shop, body: dict[str, str]) -> None:
    answer = await shop.http.post("/graphql", json=body, headers={"origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == PAGE
    readable = names(answer.headers["access-control-expose-headers"])
    assert readable == {"x-request-id", "retry-after", "server-timing", "etag"}
    assert "origin" in names(answer.headers["vary"])


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", ""])
async def test_other_pages_read_nothing(shop: Shop, origin: str) -> None:
    answers = [
        await asked_beforehand(shop, origin),
        await shop.http.post("/graphql", json=QUERY, headers={"origin": origin}),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]
