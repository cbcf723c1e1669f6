"""What pages of other origins may do (CORS)."""

from __future__ import annotations

import httpx
import pytest

from tests.conftest import Shop

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
    ],
)
async def test_clients_may_send_their_usual_headers(shop: Shop, header: str) -> None:
    answer = await asked_beforehand(shop, PAGE)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert names(answer.headers["access-control-allow-methods"]) == {"GET", "POST"}
    assert header in names(answer.headers["access-control-allow-headers"])


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
