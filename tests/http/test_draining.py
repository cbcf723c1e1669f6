"""A server that was told to stop still answers for a while, and sends proxies elsewhere."""

from __future__ import annotations

from tests.conftest import Shop


async def test_a_server_that_drains_answers_is_not_ready_and_closes_connections(shop: Shop) -> None:
    before = await shop.http.post("/graphql", json={"query": "{ __typename }"})
    assert before.headers.get("connection") != "close"
    assert (await shop.http.get("/readyz")).status_code == 200
    draining = shop.http._transport.app.draining  # type: ignore[attr-defined]
    draining.is_on = True
    try:
        ready = await shop.http.get("/readyz")
        assert (ready.status_code, ready.text, ready.headers["connection"]) == (503, "draining", "close")
        assert (await shop.http.get("/livez")).status_code == 200
        answer = await shop.http.post("/graphql", json={"query": "{ __typename }"})
        assert answer.json() == {"data": {"__typename": "Query"}}
        assert answer.headers.get_list("connection") == ["close"]
    finally:
        draining.is_on = False
