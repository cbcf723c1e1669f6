"""GraphQL over server-sent events, in distinct connections."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.client import ME
from tests.conftest import Shop
from tests.streams import FEED, HANGS, PREFERENCES, Events, app_of, listening

COMPLETE = "event: complete\ndata:\n\n"
SIGN_OUT = "mutation { signOut { userErrors { code } } }"


def set_settings(shop: Shop, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    streams = app_of(shop).websockets._streams
    monkeypatch.setattr(streams, "settings", msgspec.structs.replace(streams.settings, **changes))


async def test_events_come_as_they_happen(shop: Shop) -> None:
    await listening(shop)
    anna = await shop.anonymous()
    stream = Events(shop, PREFERENCES, anna.token)
    status, headers = await stream.start()
    assert status == 200
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-request-id"]
    for count in (1, 2):
        await anna.swipe((await anna.product(f"Books {count}"))["id"])
        assert (await stream.event())["data"]["preferencesUpdated"]["totalSwipes"] == count
    await stream.go_away()


async def test_a_query_is_one_event(shop: Shop) -> None:
    anna = await shop.anonymous()
    stream = Events(shop, ME, anna.token)
    await stream.start()
    assert await stream.event() == {"data": {"me": {"id": await anna.my_id()}}}
    assert await stream.part() == COMPLETE


async def body_of(stream: Events) -> str:
    """Everything until the server ends it."""
    text = ""
    while (part := await stream.part()) is not None:
        text += part
        if text.endswith(COMPLETE):
            break
    async with asyncio.timeout(HANGS):
        await stream.task
    return text


async def test_a_mutation_is_one_event(shop: Shop) -> None:
    mutation = "mutation { startSession(input: {}) { userErrors { code } } }"
    stream = Events(shop, mutation, None)
    await stream.start()
    assert await body_of(stream) == ('event: next\ndata: {"data":{"startSession":{"userErrors":[]}}}\n\n' + COMPLETE)


async def test_what_is_wrong_with_a_document_is_an_event_too(shop: Shop) -> None:
    for query in ("{ nothing }", "subscription { nothing }", "{", PREFERENCES.replace("rightSwipes", "nothing")):
        stream = Events(shop, query, None)
        assert (await stream.start())[0] == 200
        result = await stream.event()
        assert result["errors"][0]["extensions"]["code"] in ("GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED")


async def status_of(stream: Events) -> tuple[int, str]:
    """Of an answer that is no stream: the status, and the code of its first error."""
    status, headers = await stream.start()
    assert headers["content-type"].startswith("application/json")
    part = await stream.part()
    assert part is not None
    return status, msgspec.json.decode(part)["errors"][0]["extensions"]["code"]


async def test_an_invalid_token_gets_no_stream(shop: Shop) -> None:
    assert await status_of(Events(shop, PREFERENCES, "no token")) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("token", ["", " "])
async def test_an_event_stream_with_an_empty_token_is_anonymous(shop: Shop, token: str) -> None:
    stream = Events(shop, "{ me { id } }", token)
    assert (await stream.start())[0] == 200
    assert await stream.event() == {"data": {"me": None}}


async def test_subscribing_needs_a_token(shop: Shop) -> None:
    assert await status_of(Events(shop, PREFERENCES, None)) == (401, "UNAUTHENTICATED")


async def test_a_rate_limited_caller_gets_no_stream(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = await shop.anonymous()
    monkeypatch.setattr(shop.services.rate_limits, "_per_caller", 1)
    await shop.services.rate_limits.take(await shop.services.tokens.verify(anna.token or ""), "192.0.2.1", 1)
    assert await status_of(Events(shop, PREFERENCES, anna.token)) == (429, "RATE_LIMITED")


async def test_a_person_has_so_many_streams(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, max_streams_per_person=1)
    anna = await shop.anonymous()
    first = Events(shop, PREFERENCES, anna.token)
    await first.start()
    assert await status_of(Events(shop, PREFERENCES, anna.token)) == (503, "OVERLOADED")
    await first.go_away()


@pytest.mark.parametrize(
    "accept",
    [
        "application/json, text/event-stream",  # urql says this of every request
        "application/graphql-response+json, application/json;q=0.9, text/event-stream;q=0.8",
        "*/*",
    ],
)
async def test_events_are_sent_only_if_accept_names_them_first(shop: Shop, accept: str) -> None:
    stream = Events(shop, ME, None, accept=accept)
    _, headers = await stream.start()
    assert "json" in headers["content-type"]


async def test_an_idle_stream_shows_signs_of_life(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, stream_keepalive=0.05)
    await listening(shop)
    anna = await shop.anonymous()
    stream = Events(shop, FEED, anna.token)
    await stream.start()
    assert [await stream.part(), await stream.part()] == [":\n\n", ":\n\n"]
    await stream.go_away()


async def test_a_client_that_takes_nothing_is_dropped(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, stream_send_timeout=0.05)
    await listening(shop)
    anna = await shop.anonymous()
    stream = Events(shop, PREFERENCES, anna.token)
    await stream.start()
    stream.takes.clear()
    await anna.swipe((await anna.product("Books 1"))["id"])
    async with asyncio.timeout(HANGS):
        await stream.task


async def test_signing_out_ends_the_stream_with_the_reason(shop: Shop) -> None:
    await listening(shop)
    anna = await shop.anonymous()
    stream = Events(shop, PREFERENCES, anna.token)
    await stream.start()
    await anna.ask(SIGN_OUT)
    (error,) = (await stream.event())["errors"]
    assert error == {"message": "The session has ended.", "extensions": {"code": "UNAUTHENTICATED"}}
    assert stream.rest == COMPLETE
    assert await status_of(Events(shop, PREFERENCES, anna.token)) == (401, "UNAUTHENTICATED")


async def test_so_does_the_expiry_of_the_token(shop: Shop) -> None:
    await listening(shop)
    anna = await shop.anonymous()
    claims = await shop.services.tokens.verify(anna.token or "")
    assert claims.subject
    stream = Events(shop, PREFERENCES, shop.token(claims.subject, role="anon", is_anonymous=True, lifetime=4))
    await stream.start()
    (error,) = (await stream.event())["errors"]
    assert error["message"] == "The access token has expired."
    assert stream.rest == COMPLETE


async def test_when_the_server_stops_a_stream_ends_unfinished_so_that_clients_come_back(shop: Shop) -> None:
    await listening(shop)
    anna = await shop.anonymous()
    stream = Events(shop, PREFERENCES, anna.token)
    await stream.start()
    app_of(shop).websockets._streams.stop()
    assert await stream.part() is None
    async with asyncio.timeout(HANGS):
        await stream.task


async def test_nothing_is_left_of_a_client_that_went_away(shop: Shop) -> None:
    await listening(shop)
    anna = await shop.anonymous()
    stream = Events(shop, PREFERENCES, anna.token)
    await stream.start()
    streams = app_of(shop).websockets._streams
    assert len(streams) == 1
    await stream.go_away()
    assert len(streams) == 0
    assert not streams._places
    assert all(not owners for owners in shop.services.database.changes._listeners.values())
