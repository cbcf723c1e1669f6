"""Sockets: what a subscriber is told is what they may read, a token opens nothing it should not, and nobody holds up
or fills the server with frames."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

import settings as settings_module
from domain import ids
from domain.errors import RateLimited
from services.subscriptions import MAX_QUEUED_IDS
from tests.client import ME
from tests.conftest import SECRET, Shop
from tests.http.test_one_time_tokens import CHANGE, NEW
from tests.http.test_session_merges import MERGE
from tests.http.test_sessions import ANNA, REVOKE, REVOKE_OTHERS, listed, sign_in
from tests.http.test_subscriptions import click_of
from tests.security.test_tokens import SIGNATURES, claims
from tests.streams import (
    CONVERSIONS,
    FEED,
    PREFERENCES,
    Closed,
    Socket,
    app_of,
    convert,
    listening,
    notifications,
    socket,
)
from transports.origins import Origins
from transports.streams import Stream

SIGN_OUT = "mutation { signOut { userErrors { code } } }"
TOLD = re.compile(r"((preferences|feeds|sessions|tests|jobs|conversions [0-9a-f-]{36}) ([0-9a-f-]{36}|\*|marker))?")


async def test_two_subscribers_hear_of_themselves_alone(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    async with socket(shop, anna.token) as hers, socket(shop, ben.token) as his:
        _, uuid = await click_of(anna)
        for each in (hers, his):
            for name, query in (("preferences", PREFERENCES), ("feed", FEED), ("conversions", CONVERSIONS)):
                await each.subscribe(query, id=name)
        await anna.swipe((await anna.product("Books 1"))["id"])
        await convert(shop, uuid)
        heard: set[str] = set()
        while heard != {"preferences", "feed", "conversions"}:  # the feed twice: of a swipe, and of what was bought
            heard.add((await hers.hear())["id"])
        await his.hears_nothing()


async def test_staff_and_the_service_hear_of_nobody_else_either(shop: Shop) -> None:
    anna = await shop.anonymous()
    admin = shop.token(uuid4(), app_metadata={"role": "admin"})
    service = shop.token(uuid4(), role="service_role")
    async with socket(shop, admin) as one, socket(shop, service) as other:
        _, uuid = await click_of(anna)
        for each in (one, other):
            await each.subscribe(PREFERENCES)
            await each.subscribe(CONVERSIONS, id="conversions")
        await anna.swipe((await anna.product("Books 1"))["id"])
        await convert(shop, uuid)
        await one.hears_nothing()
        await other.hears_nothing()


async def test_a_forged_notification_shows_nobody_what_is_not_theirs(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    async with socket(shop, ben.token) as his:
        _, uuid = await click_of(anna)
        his_id = ids.decode_as("Profile", await ben.my_id())
        await his.subscribe(CONVERSIONS)
        await shop.owner.execute("select pg_notify('aclue_changes', $1)", f"conversions {his_id} {uuid}")
        await his.hears_nothing()
        own, own_uuid = await click_of(ben)
        await shop.owner.execute("select pg_notify('aclue_changes', $1)", f"conversions {his_id} {own_uuid}")
        assert (await his.event())["affiliateConversion"]["id"] == own  # so the silence meant something


@pytest.mark.usefixtures("own_accounts")
async def test_notifications_hold_ids_and_nothing_else(shop: Shop) -> None:
    async with notifications(shop) as lines:
        anna = await shop.account(**ANNA)
        await anna.swipe((await anna.product("Books 1"))["id"])
        await anna.take_quiz({"cre"})
        _, uuid = await click_of(anna)
        await convert(shop, uuid)
        await anna.ask(SIGN_OUT)
    assert {line.split(" ")[0] for line in lines} >= {"preferences", "conversions", "sessions"}
    assert all(TOLD.fullmatch(line) for line in lines), lines


@pytest.mark.parametrize(
    "token",
    [
        *[pytest.param(token, id=name) for name, token in SIGNATURES.items()],
        pytest.param("x" * 200_000, id="very long"),
        pytest.param("é\u2028", id="no ascii"),
    ],
)
async def test_no_bad_token_opens_a_socket(shop: Shop, token: str) -> None:
    async with socket(shop, init=False) as client:
        client.say("connection_init", payload={"authorization": f"Bearer {token}"})
        assert await client.close_code() == 4403


@pytest.mark.parametrize(
    "wrong", [{"exp": 1}, {"aud": "others"}, {"iss": "others"}, {"role": "postgres"}, {"nbf": 1e10}]
)
async def test_nor_one_that_says_something_wrong(shop: Shop, wrong: dict[str, Any]) -> None:
    import jwt

    async with socket(shop, init=False) as client:
        client.say("connection_init", payload={"token": jwt.encode(claims(**wrong), SECRET, algorithm="HS256")})
        assert await client.close_code() == 4403


@pytest.mark.parametrize("payload", [{"Authorization": "Basic YTpi"}, {"token": "null"}, {"token": "Bearer"}])
async def test_a_token_that_is_none_is_not_taken_for_no_token(shop: Shop, payload: dict[str, str]) -> None:
    async with socket(shop, init=False) as client:
        client.say("connection_init", payload=payload)
        assert await client.close_code() == 4403


async def test_a_socket_ends_with_its_token(shop: Shop) -> None:
    anna = await shop.anonymous()
    person = ids.decode_as("Profile", await anna.my_id())
    async with socket(shop, shop.token(person, role="anon", lifetime=4)) as client:
        await client.subscribe(PREFERENCES)
        with pytest.raises(Closed) as closed:
            await client.hear()
    assert (closed.value.code, closed.value.reason) == (4403, "The access token has expired.")


async def test_a_token_that_is_refreshed_within_the_socket_keeps_it_open(shop: Shop) -> None:
    anna = await shop.anonymous()
    person = ids.decode_as("Profile", await anna.my_id())
    brief = shop.token(person, role="anon", lifetime=4)
    async with socket(shop, brief) as client:
        await client.subscribe(PREFERENCES)
        client.say("ping", payload={"authorization": f"Bearer {anna.token}"})
        expires_at = (await shop.services.tokens.verify(anna.token or "")).expires_at
        assert await client.hear() == {"type": "pong", "payload": {"expiresAt": expires_at}}
        with pytest.raises(TimeoutError):  # past the end of the first token
            async with asyncio.timeout((await shop.services.tokens.verify(brief)).expires_at - time.time() + 0.2):  # type: ignore[operator]
                await client._out.get()
        await anna.swipe((await anna.product("Books 1"))["id"])
        assert (await client.event())["preferencesUpdated"]["totalSwipes"] == 1


async def test_nobody_refreshes_a_socket_into_somebody_elses(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    async with socket(shop, anna.token) as client:
        await client.subscribe(PREFERENCES)
        client.say("ping", payload={"authorization": f"Bearer {ben.token}"})
        assert await client.close_code() == 4403


async def test_a_bad_token_in_a_refresh_ends_the_socket(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        client.say("ping", payload={"authorization": "Bearer x"})
        assert await client.close_code() == 4403


async def test_a_ping_before_the_beginning_signs_nobody_in(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, init=False) as client:
        client.say("ping", payload={"authorization": f"Bearer {anna.token}"})
        assert await client.hear() == {"type": "pong"}
        client.say("subscribe", id="1", payload={"query": ME})
        assert await client.close_code() == 4401


@pytest.mark.usefixtures("own_accounts")
async def test_signing_out_ends_the_sockets_of_that_session_and_no_others(shop: Shop) -> None:
    phone = await shop.account(**ANNA)
    laptop = await sign_in(shop)
    async with socket(shop, phone.token) as on_phone, socket(shop, laptop.token) as on_laptop:
        await on_phone.subscribe(PREFERENCES)
        await phone.ask(SIGN_OUT)
        assert await on_phone.close_code() == 4403
        await on_laptop.hears_nothing()
        assert (await on_laptop.ask(ME))["data"]["me"] is not None


async def test_a_token_whose_session_has_ended_opens_no_socket(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.ask(SIGN_OUT)
    async with socket(shop, init=False) as client:
        client.say("connection_init", payload={"token": anna.token})
        assert await client.close_code() == 4403


@pytest.mark.usefixtures("own_accounts")
@pytest.mark.parametrize("how", ["revoked", "with all others", "by a new password"])
async def test_a_session_ended_from_elsewhere_ends_its_sockets(shop: Shop, how: str) -> None:
    thief = await shop.account(**ANNA)
    anna = await sign_in(shop)
    async with socket(shop, thief.token) as stolen:
        await stolen.subscribe(PREFERENCES)
        if how == "revoked":
            (session,) = [s["id"] for s in await listed(anna) if not s["isCurrent"]]
            await anna.do(REVOKE, id=session)
        elif how == "with all others":
            await anna.do(REVOKE_OTHERS)
        else:
            await anna.do(CHANGE, current=ANNA["password"], new=NEW)
        assert await stolen.close_code() == 4403


@pytest.mark.usefixtures("own_accounts")
async def test_a_session_that_became_part_of_an_account_ends_its_sockets(shop: Shop) -> None:
    visitor, anna = await shop.anonymous(), await shop.account()
    async with socket(shop, visitor.token) as client:
        await client.subscribe(PREFERENCES)
        await anna.do(MERGE, token=visitor.refresh_token)
        assert await client.close_code() == 4403


async def test_an_erased_person_has_no_socket(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        await shop.owner.execute("delete from public.profiles")
        assert await client.close_code() == 4403


async def test_a_forged_notification_ends_nobodys_socket(shop: Shop) -> None:
    anna = await shop.anonymous()
    person, session = await shop.owner.fetchrow("select user_id, id from public.user_sessions") or (None, None)
    async with socket(shop, anna.token) as client:
        await client.subscribe(CONVERSIONS)
        forged = [f"conversions {person} 00000000-0000-7000-8000-{number:012}" for number in range(2 * MAX_QUEUED_IDS)]
        parts = ["\n".join(forged[start : start + 50]) for start in range(0, len(forged), 50)]
        for payload in (f"sessions {session}", "sessions *", "* *", *parts):
            await shop.owner.execute("select pg_notify('aclue_changes', $1)", payload)
            await client.hears_nothing()
        click, uuid = await click_of(anna)
        await convert(shop, uuid)
        assert (await client.event())["affiliateConversion"]["id"] == click
        await anna.ask(SIGN_OUT)
        assert await client.close_code() == 4403


async def test_a_session_that_ended_while_nothing_was_heard_ends_its_sockets(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        await shop.owner.execute("alter table public.user_sessions disable trigger user_sessions_revoked")
        await anna.ask(SIGN_OUT)
        shop.services.database.changes._look_again()  # as after the connection was lost
        assert await client.close_code() == 4403


LISTED = "https://app.example,http://localhost:*,https://*.shop.example,capacitor://localhost"
ALLOWED = [
    *("https://app.example", "https://APP.example", "http://localhost:5173", "https://api.example"),
    *("https://eu.shop.example", "capacitor://localhost"),
]
REFUSED = [
    "https://evil.example",
    "https://app.example.evil.example",
    "http://app.example",
    "null",
    "",
    "https://app.example:444",
    "https://shop.example",
    "https://evilshop.example",
    "https://eu.shop.example:8443",
    "ionic://localhost",
]


@pytest.fixture
def origins(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The allow-list of an installation."""
    given = {"CORS_ORIGINS": LISTED, "PUBLIC_URL": "https://api.example/aclue"}
    monkeypatch.setattr(app_of(shop).websockets, "_origins", Origins(settings_module.load(given)))


@pytest.mark.usefixtures("origins")
@pytest.mark.parametrize("origin", ALLOWED)
async def test_pages_of_allowed_origins_open_sockets(shop: Shop, origin: str) -> None:
    async with socket(shop, headers={"origin": origin}) as client:
        assert client.is_open


@pytest.mark.usefixtures("origins")
@pytest.mark.parametrize("origin", REFUSED)
async def test_pages_of_other_origins_do_not(shop: Shop, origin: str) -> None:
    with pytest.raises(Closed) as closed:
        async with socket(shop, headers={"origin": origin}):
            pass
    assert closed.value.code == 403


@pytest.mark.usefixtures("origins")
async def test_what_is_no_browser_has_no_origin(shop: Shop) -> None:
    async with socket(shop) as client:
        assert client.is_open


PHONE = "http://192.168.1.5:8000"


async def test_in_development_the_server_s_own_pages_may_at_any_address(shop: Shop) -> None:
    async with socket(shop, headers={"host": "192.168.1.5:8000", "origin": PHONE}) as client:
        assert client.is_open


@pytest.mark.parametrize("host", ["192.168.1.6:8000", "192.168.1.5:8001", "192.168.1.5", "", "192.168.1.5:8000.x"])
async def test_pages_of_another_host_or_port_may_not(shop: Shop, host: str) -> None:
    with pytest.raises(Closed) as closed:
        async with socket(shop, headers={"host": host, "origin": PHONE}):
            pass
    assert closed.value.code == 403


def test_in_production_host_may_say_what_it_likes() -> None:
    """A page whose domain is made to lead here has it in Origin and in Host alike."""
    production = {"ENVIRONMENT": "production", "DATABASE_URL": "postgresql://api@/aclue", "JWT_SECRET": "s" * 32}
    origins = Origins(settings_module.load({**production, "PUBLIC_URL": "https://api.example"}))
    assert not origins.may_connect(b"https://rebound.example", b"https://rebound.example")
    assert origins.may_connect(b"https://api.example", b"http://10.0.0.7:8000")


async def test_a_fault_of_ours_tells_no_more_than_an_id(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError("password of the database")

    async with socket(shop) as client:
        monkeypatch.setattr(shop.engine, "answer", broken)
        message = await client.ask(ME)
    assert message["type"] == "error"
    (error,) = message["payload"]
    assert error["message"] == "Something went wrong on our side."
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert re.fullmatch("[0-9a-f]{16}", error["extensions"]["requestId"])


MALFORMED = ["", "{", "\0", "[1", '{"type":', "\ufeff{}", '{"type":"subscribe","id":{}}', '{"type":1e999}', "{}" * 1000]


async def test_malformed_frames_leave_no_traceback(shop: Shop, capfd: pytest.CaptureFixture[str]) -> None:
    for text in MALFORMED:
        async with socket(shop, init=False) as client:
            client.frame(text=text)
            assert await client.close_code() == 4400
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out
    assert "internal error" not in said.err + said.out


async def test_a_flood_is_answered_in_turn_while_others_are_served(shop: Shop) -> None:
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as flooder:
        for number in range(2_000):
            flooder.say("subscribe", id=str(number), payload={"query": f"{{ nothing{number} }}"})
            flooder.say("ping")
        assert (await shop.client().ask("{ brands { nodes { name } } }"))["brands"]["nodes"]
        heard: dict[str, int] = {}
        for _ in range(4_000):
            message = await flooder.hear()
            heard[message["type"]] = heard.get(message["type"], 0) + 1
    assert heard == {"error": 2_000, "pong": 2_000}


async def test_a_ping_with_the_token_of_the_stream_looks_nothing_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = await shop.anonymous()
    looks = []
    check = Stream._check_session

    async def counted(self: Stream) -> None:
        looks.append(self)
        await check(self)

    monkeypatch.setattr(Stream, "_check_session", counted)
    async with socket(shop, anna.token) as client:
        for payload in ({"authorization": f"Bearer {anna.token}"}, {"token": anna.token}) * 3:
            client.say("ping", payload=payload)
            message = await client.hear()
            assert message["type"] == "pong" and message["payload"]["expiresAt"]
    assert len(looks) == 1


@pytest.mark.parametrize(
    "message",
    [{"type": "ping"}, {"type": "pong"}, {"type": "complete", "id": "x"}, {"type": "ping", "payload": {"a": "b"}}],
    ids=["ping", "pong", "complete", "a payload"],
)
async def test_every_message_counts_towards_the_rate_limit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, message: dict[str, Any]
) -> None:
    """A socket that sends more is read more slowly."""
    anna = await shop.anonymous()
    async with socket(shop, anna.token) as client:
        costs: list[int] = []

        async def take(claims: Any, address: str, cost: int) -> None:
            costs.append(cost)
            if len(costs) == 2:
                raise RateLimited("Too much.", retry_after=0)

        monkeypatch.setattr(shop.services.rate_limits, "take", take)
        for _ in range(3):
            client.say(**message)
        client.say("connection_init")
        assert await client.close_code() == 4429
    assert costs == [1] * 5  # four messages, one of which had to be tried again


@pytest.mark.parametrize(
    ("payload", "costs"),
    [
        ({"query": 7}, [1]),
        ({}, [1]),
        ({"documentId": "x" * 5_000}, [51]),
        ({"query": 7, "variables": {"a": "x" * 50_000}}, [501, 1]),
    ],
    ids=["no text", "no query", "an unknown document", "a large one"],
)
async def test_an_operation_that_is_refused_has_its_price(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, payload: dict[str, Any], costs: list[int]
) -> None:
    charged: list[int] = []

    async def take(claims: Any, address: str, cost: int) -> None:
        charged.append(cost)

    async with socket(shop) as client:
        monkeypatch.setattr(shop.services.rate_limits, "take", take)
        client.say("subscribe", id="1", payload=payload)
        assert (await client.hear())["type"] == "error"
        client.say("ping")
        await client.hear()
    assert charged == [*costs, 1]


@pytest.mark.parametrize("variables", [{"a": "x" * 400_000}, {"a": [0] * 20_000}], ids=["long", "many values"])
async def test_what_could_not_run_is_not_parsed_again_to_say_where_a_surrogate_is(
    shop: Shop, variables: dict[str, Any]
) -> None:
    text = msgspec.json.encode(
        {"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "variables": variables, "b": "LONE"}}
    ).decode()
    async with socket(shop) as client:
        client.frame(text=text.replace("LONE", "\\ud800"))
        assert await client.close_code() == 4400


async def test_a_flood_of_subscriptions_meets_its_cap(shop: Shop) -> None:
    anna = await shop.anonymous()
    most = shop.services.settings.max_stream_operations
    async with socket(shop, anna.token) as flooder:
        for number in range(most + 200):
            flooder.say("subscribe", id=str(number), payload={"query": FEED})
        codes = [(await flooder.hear())["payload"][0]["extensions"]["code"] for _ in range(200)]
        assert set(codes) == {"OVERLOADED"}
        person = ids.decode_as("Profile", await anna.my_id())
        assert isinstance(person, UUID)
        assert len(shop.services.database.changes._listeners["feeds"][str(person)]) == most


async def test_sockets_that_are_opened_and_dropped_leave_nothing_behind(shop: Shop) -> None:
    anna = await shop.anonymous()
    await listening(shop)
    for number in range(200):
        client = await Socket(shop, {}, ["graphql-transport-ws"], "/graphql").opened()
        if number % 2:
            await client.init(anna.token)
            client.frame(
                text=msgspec.json.encode({"type": "subscribe", "id": "1", "payload": {"query": FEED}}).decode()
            )
        await client.go_away()
    streams = app_of(shop).websockets._streams
    assert len(streams) == 0
    assert not streams._places
    assert not any(shop.services.database.changes._listeners.values())
