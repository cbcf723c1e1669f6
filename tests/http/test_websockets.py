"""graphql-transport-ws, letter by letter; queries and mutations over it; and when a socket ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any
from unittest import mock

import msgspec
import pytest

from tests.client import ME, SWIPE
from tests.conftest import Shop
from tests.streams import FEED, HANGS, PREFERENCES, PROTOCOL, Closed, Socket, app_of, socket
from transports import websockets
from transports.streams import End, Stream
from transports.websockets import _Socket

BRANDS = "{ brands { nodes { name } } }"


def set_settings(shop: Shop, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Other settings for the sockets to come."""
    streams = app_of(shop).websockets._streams
    monkeypatch.setattr(streams, "settings", msgspec.structs.replace(streams.settings, **changes))


async def test_a_query_and_a_mutation_run_over_a_socket(shop: Shop) -> None:
    anna = await shop.anonymous()
    product = (await anna.product("Books 1"))["id"]
    async with socket(shop, anna.token) as client:
        assert (await client.ask(ME))["data"] == {"me": {"id": await anna.my_id()}}
        swipe = {"productId": product, "direction": "RIGHT", "clientSwipeId": "one"}
        payload = (await client.ask(SWIPE, input=swipe))["data"]["recordSwipe"]
        assert payload["userErrors"] == []
    assert await shop.owner.fetchval("select count(*) from public.swipes") == 1


async def test_what_has_a_plan_runs_by_it(shop: Shop) -> None:
    async with socket(shop) as client:
        before = shop.engine.counts["planned"]
        assert len((await client.ask(BRANDS))["data"]["brands"]["nodes"]) == 3
        assert shop.engine.counts["planned"] == before + 1


async def test_the_acknowledgement_says_when_the_token_expires(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, init=False) as client:
        acknowledgement = await client.init(anna.token)
        claims = await shop.services.tokens.verify(anna.token or "")
        assert acknowledgement["payload"] == {"expiresAt": claims.expires_at}


SPELLINGS: list[Callable[[str], dict[str, Any]]] = [
    lambda token: {"token": token},
    lambda token: {"Authorization": f"Bearer {token}"},
    lambda token: {"headers": {"Authorization": f"Bearer {token}"}},
    lambda token: {"authorization": "", "token": "", "headers": {"authorization": f"bearer {token}"}},
]


@pytest.mark.parametrize("payload", SPELLINGS)
async def test_tokens_are_accepted_in_every_common_form(shop: Shop, payload: Callable[[str], dict[str, Any]]) -> None:
    anna = await shop.anonymous()
    async with socket(shop, init=False) as client:
        client.say("connection_init", payload=payload(anna.token or ""))
        assert (await client.hear())["type"] == "connection_ack"
        assert (await client.ask(ME))["data"]["me"] is not None


@pytest.mark.parametrize("payload", SPELLINGS)
async def test_a_bad_token_is_refused_in_every_usual_spelling(
    shop: Shop, payload: Callable[[str], dict[str, Any]]
) -> None:
    async with socket(shop, init=False) as client:
        client.say("connection_init", payload=payload("x.y.z"))
        with pytest.raises(Closed) as closed:
            await client.hear()
        assert closed.value.code == 4403


@pytest.mark.parametrize(
    "payload",
    [
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"token": ""},
        {"token": None},
        {"headers": {"Authorization": "Bearer "}},
        {"headers": {}},
        {"headers": "none"},
    ],
)
async def test_a_client_without_a_token_is_anonymous(shop: Shop, payload: dict[str, Any]) -> None:
    async with socket(shop, init=False) as client:
        client.say("connection_init", payload=payload)
        assert (await client.hear())["type"] == "connection_ack"
        assert (await client.ask(ME))["data"] == {"me": None}


async def test_a_ping_without_a_token_changes_nothing(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        client.say("ping", payload={"authorization": "Bearer "})
        assert await client.hear() == {"type": "pong"}
        assert (await client.ask(ME))["data"]["me"] is not None


async def test_a_client_that_is_no_browser_may_send_its_token_with_the_handshake(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, headers={"authorization": f"Bearer {anna.token}"}) as client:
        assert (await client.ask(ME))["data"]["me"] is not None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 4400),
        ("{", 4400),
        ("[]", 4400),
        ("null", 4400),
        ('"ping"', 4400),
        ('{"type":null}', 4400),
        ('{"type":"start"}', 4400),
        ('{"type":"connection_init","payload":[]}', 4400),
        ('{"type":"connection_init","payload":{"authorization":7}}', 4400),
        ('{"type":"ping","payload":"x"}', 4400),
        ('{"type":"complete"}', 4400),
        ('{"type":"complete","id":7}', 4400),
        ('{"type":"subscribe","id":"1","payload":{"query":"{ me { id } }"}}', 4401),
        ("[" * 100_000, 4400),
        ('{"type":"ping","payload":' + "[" * 100_000, 4400),
        ('{"type":"ping","payload":' + '{"a":' * 10_000 + "1" + "}" * 10_001, 4400),
        ('{"type":"ping\\ud800"}', 4400),
        ("x" * 1_000_001, 1009),
    ],
)
async def test_protocol_violations_close_the_socket(shop: Shop, text: str, code: int) -> None:
    async with socket(shop, init=False) as client:
        client.frame(text=text)
        assert await client.close_code() == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"type":"connection_init"}', 4429),
        ('{"type":"subscribe","id":"1"}', 4400),
        ('{"type":"subscribe","id":"1","payload":"{}"}', 4400),
        ('{"type":"subscribe","id":"","payload":{"query":"{ me { id } }"}}', 4400),
        ('{"type":"subscribe","payload":{"query":"{ me { id } }"}}', 4400),
        ('{"type":"subscribe","id":"' + "1" * 101 + '","payload":{"query":"{ me { id } }"}}', 4400),
    ],
)
async def test_later_protocol_violations_close_it_too(shop: Shop, text: str, code: int) -> None:
    async with socket(shop) as client:
        client.frame(text=text)
        assert await client.close_code() == code


async def test_a_reason_names_the_fault_within_the_123_bytes_of_a_close_frame(shop: Shop) -> None:
    async with socket(shop, init=False) as client:
        client.frame(text=msgspec.json.encode({"type": "ü" * 100}).decode())
        with pytest.raises(Closed) as closed:
            await client.hear()
    assert closed.value.reason.startswith("There is no message type 'üü")
    assert 121 < len(closed.value.reason.encode()) <= 123


async def test_binary_frames_are_not_spoken_here(shop: Shop) -> None:
    async with socket(shop, init=False) as client:
        client.frame(bytes=b'{"type":"connection_init"}')
        assert await client.close_code() == 4400


async def test_two_operations_of_one_id_end_the_socket(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        await client.subscribe(FEED)
        client.say("subscribe", id="events", payload={"query": FEED})
        with pytest.raises(Closed) as closed:
            await client.hear()
    assert (closed.value.code, closed.value.reason) == (4409, "Subscriber for events already exists")


async def test_an_id_is_free_again_after_its_operation(shop: Shop) -> None:
    async with socket(shop) as client:
        for _ in range(3):
            assert "data" in await client.ask(BRANDS, id="same")


async def test_another_subprotocol_is_not_spoken_here(shop: Shop) -> None:
    async with socket(shop, init=False, subprotocols=["graphql-ws"]) as client:
        assert await client.close_code() == 4406


async def test_other_paths_have_no_sockets(shop: Shop) -> None:
    with pytest.raises(Closed) as closed:
        async with socket(shop, path="/elsewhere", init=False):
            pass
    assert closed.value.code == 403


async def test_a_silent_client_is_disconnected(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, stream_init_timeout=0.05)
    async with socket(shop, init=False) as client:
        assert await client.close_code() == 4408


@pytest.mark.parametrize("has_token", [True, False])
async def test_a_socket_on_which_nothing_runs_is_closed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, has_token: bool
) -> None:
    set_settings(shop, monkeypatch, stream_idle_timeout=0.1)
    token = (await shop.anonymous()).token if has_token else None
    async with socket(shop, token) as client:
        assert await client.close_code() == 1000


async def ping_on(client: Socket, token: str) -> None:
    while True:
        client.say("ping", payload={"token": token})
        await asyncio.sleep(0.02)


async def test_pings_keep_no_socket_open(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, stream_idle_timeout=0.1)
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        pings = asyncio.create_task(ping_on(client, anna.token or ""))
        assert await client.close_code() == 1000
        pings.cancel()


async def test_a_socket_with_a_subscription_stays_open_until_it_has_none(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_settings(shop, monkeypatch, stream_idle_timeout=0.1)
    ended: list[End] = []
    monkeypatch.setattr(Stream, "end", lambda stream, why, end=Stream.end: (ended.append(why), end(stream, why)))
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        await client.subscribe(FEED)
        await asyncio.sleep(0.5)
        assert ended == []
        client.say("complete", id="events")
        assert await client.close_code() == 1000


class Clock:
    """Stands still; what is to be called later is called as it is moved on."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: dict[Callable[[], None], float] = {}

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> mock.Mock:
        self._calls[call] = self.now + seconds
        return mock.Mock(cancel=lambda: self._calls.pop(call, None))

    def move(self, seconds: float) -> None:
        self.now += seconds
        for call in [call for call, due in self._calls.items() if due <= self.now]:
            del self._calls[call]
            call()


async def test_a_socket_is_idle_from_the_end_of_its_last_operation(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, stream_idle_timeout=30)
    clock = Clock()

    def timed(*arguments: Any) -> Any:
        made = _Socket(*arguments)
        monkeypatch.setattr(made, "_loop", clock)
        return made

    monkeypatch.setattr(websockets, "_Socket", timed)
    async with socket(shop) as client:
        for _ in range(3):
            clock.move(29)
            assert "data" in await client.ask(BRANDS)
            client.say("ping")  # once that is answered the operation is over
            assert await client.hear() == {"type": "pong"}
        clock.move(30)
        assert await client.close_code() == 1000


async def test_a_subscription_that_is_ended_as_it_begins_leaves_nothing_behind(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        for _ in range(10):
            client.say("subscribe", id="1", payload={"query": FEED})
            client.say("complete", id="1")
        client.say("ping")
        await client.hear()
        await client.ask(BRANDS)
        assert not any(shop.services.database.changes._listeners["feeds"].values())


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({}, "BAD_REQUEST"),
        ({"query": 7}, "BAD_REQUEST"),
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ me { id } }", "variables": []}, "BAD_REQUEST"),
        ({"query": "query ($n: Int!) { products(first: $n) { nodes { id } } }"}, "BAD_USER_INPUT"),
        ({"query": "query A { me { id } } query B { me { id } }"}, "BAD_USER_INPUT"),
        ({"documentId": "nobody knows it"}, "PERSISTED_QUERY_NOT_FOUND"),
        ({"query": "{" + "a" * 60_000 + "}"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ products(first: 100) { nodes { similar(first: 100) { id } } } }"}, "COST_LIMIT_EXCEEDED"),
    ],
)
async def test_what_is_wrong_with_an_operation_is_an_error_of_it_alone(
    shop: Shop, payload: dict[str, Any], code: str
) -> None:
    async with socket(shop) as client:
        client.say("subscribe", id="1", payload=payload)
        message = await client.hear()
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == code
        assert "data" in await client.ask(BRANDS)


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (r'{"query": "{ __typename }", "variables": {"prefs": {"a": "\ud83c"}}}', "`prefs`"),
        (r'{"query": "{ __typename }", "variables": {"a": {"\uDC00": 1}}}', "`a`"),
        (r'{"query": "{ __typename \ud83c }"}', "`query`"),
    ],
)
async def test_a_lone_surrogate_is_named(shop: Shop, payload: str, named: str) -> None:
    async with socket(shop) as client:
        client.frame(text=f'{{"type": "subscribe", "id": "1", "payload": {payload}}}')
        message = await client.hear()
        assert (message["type"], message["id"]) == ("error", "1")
        assert "surrogate" in message["payload"][0]["message"] and named in message["payload"][0]["message"]
        assert "data" in await client.ask(BRANDS)


@pytest.mark.parametrize(
    "text",
    [
        r'{"type": "subscribe", "id": "\ud83c", "payload": {"query": "{ __typename }"}}',
        r'{"type": "\ud83c"}',
        r'{"type": "ping", "payload": {"a": "\ud83c"}}',
        r'["\ud83c"]',
        r'{"type": "subscribe", "id": "1", "payload": {"query": "\ud83c"',
    ],
)
async def test_a_lone_surrogate_where_no_operation_is_closes_the_socket(shop: Shop, text: str) -> None:
    async with socket(shop) as client:
        client.frame(text=text)
        assert await client.close_code() == 4400


async def test_rate_limits_hold_over_sockets(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.services.rate_limits, "_per_caller", 100)
    async with socket(shop) as client:
        answers = [await client.ask(BRANDS) for _ in range(3)]
    (error,) = answers[-1]["payload"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert error["extensions"]["retryAfter"] > 0


async def test_so_many_operations_at_once_and_no_more(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, max_stream_operations=2)
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        await client.subscribe(FEED, id="1")
        await client.subscribe(PREFERENCES, id="2")
        assert (await client.ask(BRANDS))["payload"][0]["extensions"]["code"] == "OVERLOADED"
        client.say("complete", id="1")
        assert "data" in await client.ask(BRANDS)


async def test_a_person_has_so_many_sockets(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, max_streams_per_person=1)
    anna, ben = await shop.anonymous(), await shop.anonymous()
    async with socket(shop, anna.token), socket(shop, init=False) as second, socket(shop, ben.token):
        second.say("connection_init", payload={"token": anna.token})
        assert await second.close_code() == 1013
    async with socket(shop, anna.token):
        pass  # there is a place again


@pytest.mark.parametrize("setting", ["max_streams", "max_streams_per_address"])
async def test_a_process_and_an_address_have_so_many(shop: Shop, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    set_settings(shop, monkeypatch, **{setting: 1})
    async with socket(shop), socket(shop, init=False) as second:
        assert await second.close_code() == 1013


async def test_the_addresses_of_a_household_have_so_many_together(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, max_streams_per_address=1)
    async with (
        socket(shop, address="2001:db8::1"),
        socket(shop, address="2001:db8:0:1::1"),
        socket(shop, init=False, address="2001:db8::2") as second,
    ):
        assert await second.close_code() == 1013


async def test_a_site_has_eight_times_as_many(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, max_streams_per_address=1)
    async with contextlib.AsyncExitStack() as stack:
        for household in range(8):
            await stack.enter_async_context(socket(shop, address=f"2001:db8:0:{household}::1"))
        async with socket(shop, init=False, address="2001:db8:0:ffff::1") as ninth:
            assert await ninth.close_code() == 1013
        await stack.enter_async_context(socket(shop, address="2001:db8:1::1"))


async def test_those_without_a_token_leave_nine_of_ten_places_to_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_settings(shop, monkeypatch, max_streams=20)
    streams = app_of(shop).websockets._streams
    async with contextlib.AsyncExitStack() as stack:
        strangers = [await stack.enter_async_context(socket(shop, address=f"198.51.100.{n}")) for n in range(5)]
        assert [await stranger.close_code() for stranger in strangers[:3]] == [1013] * 3
        assert len(streams) == 2
        people = [await shop.anonymous() for _ in range(18)]
        sockets = [
            await stack.enter_async_context(socket(shop, person.token, address=f"203.0.113.{n}"))
            for n, person in enumerate(people)
        ]
        assert [(await client.ask(ME))["data"]["me"]["id"] for client in sockets] == [
            await person.my_id() for person in people
        ]


@pytest.mark.parametrize("has_token", [True, False])
async def test_a_few_networks_cannot_hold_every_place(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, has_token: bool
) -> None:
    set_settings(shop, monkeypatch, max_streams=40, max_streams_per_address=10)
    anna = await shop.anonymous()
    async with contextlib.AsyncExitStack() as stack:
        crowd = []
        for number in range(100):
            token = (await shop.anonymous()).token if has_token else None
            with contextlib.suppress(Closed, AssertionError):
                opened = socket(shop, token, address=f"198.51.100.{number % 10}")
                crowd.append(await stack.enter_async_context(opened))
        hers = await stack.enter_async_context(socket(shop, anna.token, address="203.0.113.1"))
        await hers.subscribe(FEED)
        for number in range(40):  # and she keeps it while they come back
            with contextlib.suppress(Closed):
                await stack.enter_async_context(socket(shop, init=False, address=f"198.51.100.{number % 10}"))
        assert (await hers.ask(ME))["data"]["me"] is not None
        assert len(app_of(shop).websockets._streams) <= 40


async def test_a_site_is_weighed_as_one_network_of_eight(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, max_streams=20)
    async with contextlib.AsyncExitStack() as stack:
        site = [
            await stack.enter_async_context(
                socket(shop, (await shop.anonymous()).token, address=f"2001:db8:0:{n:x}::1")
            )
            for n in range(20)
        ]
        anna = await shop.anonymous()
        await stack.enter_async_context(socket(shop, anna.token, address="203.0.113.1"))
        assert await site[0].close_code() == 1013


async def test_a_network_that_would_hold_more_displaces_nobody(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, max_streams=2)
    anna, ben, cleo = [await shop.anonymous() for _ in range(3)]
    async with (
        socket(shop, anna.token, address="203.0.113.1") as hers,
        socket(shop, ben.token, address="203.0.113.2") as his,
    ):
        async with socket(shop, cleo.token, init=False, address="203.0.113.1") as third:
            assert await third.close_code() == 1013
        for client in (hers, his):
            assert (await client.ask(ME))["data"]["me"] is not None


async def test_a_client_that_takes_nothing_is_dropped(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_settings(shop, monkeypatch, stream_send_timeout=0.05)
    async with socket(shop) as client:
        client.takes.clear()
        client.say("subscribe", id="1", payload={"query": BRANDS})
        async with asyncio.timeout(HANGS):
            await client.task


async def test_shutdown_closes_sockets_with_a_reason(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        await client.subscribe(FEED)
        app_of(shop).websockets._streams.stop()
        assert await client.close_code() == 1001
    async with socket(shop, init=False) as late:
        assert await late.close_code() == 1001


async def test_nothing_is_left_of_a_client_that_went_away(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        await client.subscribe(FEED)
        await client.subscribe(PREFERENCES, id="preferences")
        streams = app_of(shop).websockets._streams
        assert len(streams) == 1
    assert len(streams) == 0
    assert not streams._places
    assert all(not owners for owners in shop.services.database.changes._listeners.values())


async def test_the_protocol_is_named_in_the_handshake(shop: Shop) -> None:
    async with socket(shop, init=False, subprotocols=["other", PROTOCOL]) as client:
        assert client.is_open
