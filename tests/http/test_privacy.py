"""One's data, deleted for good."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID, uuid4

import jwt
import msgspec
import pytest
from structlog.testing import capture_logs

from domain import ids
from tests.client import Client
from tests.conftest import SECRET, Shop
from tests.http.test_sessions import refreshed

DELETE = """
mutation ($input: DeleteMyAccountInput!) {
  deleteMyAccount(input: $input) { deleted logInDeleted userErrors { code message field } }
}
"""
RENAME = 'mutation { updateProfile(input: {displayName: "Anna"}) { userErrors { code } } }'
SIGN_IN = """
mutation ($input: SignInInput!) { signIn(input: $input) { accessToken userErrors { code } } }
"""


async def key_of(client: Client) -> UUID:
    found = ids.decode_as("Profile", await client.my_id())
    assert found is not None
    return found


def with_amr(shop: Shop, subject: UUID, *entries: Any, **claims: Any) -> Client:
    """A caller whose token names these sign-ins."""
    payload = jwt.decode(shop.token(subject, **claims), options={"verify_signature": False})
    return shop.client(jwt.encode({**payload, "amr": list(entries)}, SECRET, algorithm="HS256"))


async def test_without_a_token_there_is_nothing_to_delete(shop: Shop) -> None:
    assert await shop.client().code(DELETE, input={"confirm": True}) == "UNAUTHENTICATED"


async def test_deleting_an_account_takes_everything_with_it_at_once(shop: Shop) -> None:
    anna, ben = await shop.account("anna@people.example"), await shop.account()
    product = (await anna.products(first=1))[0]["id"]
    await anna.swipe(product)
    user = await key_of(anna)
    with capture_logs() as logs:
        payload = await anna.do(DELETE, input={"confirm": True})
    assert payload == {"deleted": True, "logInDeleted": True, "userErrors": []}
    for table, column in (("auth.users", "id"), ("public.profiles", "id"), ("public.swipes", "user_id")):
        assert await shop.owner.fetchval(f"select count(*) from {table} where {column} = $1", user) == 0
    assert (await ben.ask("{ me { id } }"))["me"] is not None
    # What is left: a hash that only the server can make, in the database and in the log.
    left = await shop.owner.fetchval("select subject_hash from public.erasure_tombstones")
    assert left == shop.services.tombstones.of(user)
    assert [entry["subject_hash"] for entry in logs if entry["event"] == "person erased"] == [left.hex()]
    # The token lives on for minutes and is of no use.
    assert (await anna.ask("{ me { id } }"))["me"] is None
    assert await anna.code(RENAME) == "UNAUTHENTICATED"
    assert await anna.code(DELETE, input={"confirm": True}) == "UNAUTHENTICATED"
    refused = await shop.client().refusal(
        "mutation ($t: String!) { refreshSession(input: {refreshToken: $t}) { userErrors { code } } }",
        t=anna.refresh_token,
    )
    assert refused["code"] == "INVALID_CREDENTIALS"
    again = await shop.account("anna@people.example")
    assert await key_of(again) != user


async def test_deleting_needs_to_be_meant(shop: Shop) -> None:
    anna = await shop.account()
    error = await anna.refusal(DELETE, input={"confirm": False, "password": "correct horse"})
    assert (error["code"], error["field"]) == ("INVALID", ["confirm"])
    assert (await anna.ask("{ me { id } }"))["me"] is not None


async def test_a_token_alone_does_not_delete_an_account(shop: Shop) -> None:
    user = await key_of(await shop.account("anna@people.example"))
    await shop.account("ben@people.example", "another horse")
    old = shop.client(shop.token(user))
    for given in ({}, {"password": "wrong"}, {"password": ""}, {"password": "another horse"}, {"password": "x" * 9999}):
        error = await old.refusal(DELETE, input={"confirm": True, **given})
        assert (error["code"], error["field"]) == ("INVALID_CREDENTIALS", ["password"])
    assert await shop.owner.fetchval("select count(*) from auth.users") == 2
    assert (await old.do(DELETE, input={"confirm": True, "password": "correct horse"}))["deleted"]


async def test_guessing_the_password_is_limited(shop: Shop) -> None:
    user = await key_of(await shop.account())
    strict = msgspec.structs.replace(shop.services.settings, sign_in_attempts=2)
    object.__setattr__(shop.services, "settings", strict)
    old = shop.client(shop.token(user))
    for _ in range(2):
        await old.refusal(DELETE, input={"confirm": True, "password": "wrong"})
    assert await old.code(DELETE, input={"confirm": True, "password": "correct horse"}) == "RATE_LIMITED"


@pytest.mark.parametrize(
    ("entries", "is_enough"),
    [
        ([{"method": "password", "timestamp": -60}], True),
        ([{"method": "oauth", "timestamp": -60}, {"method": "totp", "timestamp": -10}], True),
        ([{"method": "oauth", "timestamp": -3600}, {"method": "totp", "timestamp": -10}], False),
        ([{"method": "password", "timestamp": -601}], False),
        ([{"method": "password", "timestamp": 3600}], False),
        ([{"method": "token_refresh", "timestamp": -1}], False),
        ([{"method": "anonymous", "timestamp": -1}], False),
        ([{"method": "password"}], False),
        (["password"], False),
        ([], False),
    ],
)
async def test_a_sign_in_of_the_last_ten_minutes_will_do(shop: Shop, entries: list[Any], is_enough: bool) -> None:
    user = await key_of(await shop.account())
    amr = [
        {**entry, "timestamp": time.time() + entry["timestamp"]}
        if isinstance(entry, dict) and "timestamp" in entry
        else entry
        for entry in entries
    ]
    client = with_amr(shop, user, *amr)
    if is_enough:
        assert (await client.do(DELETE, input={"confirm": True}))["deleted"]
    else:
        assert (await client.refusal(DELETE, input={"confirm": True}))["code"] == "INVALID_CREDENTIALS"


async def test_an_anonymous_session_proves_itself_by_its_refresh_token(shop: Shop) -> None:
    visitor, other = await shop.anonymous(), await shop.anonymous()
    user = await key_of(visitor)
    by_token_alone = shop.client(shop.token(user, role="anon", is_anonymous=True))
    for thief in (visitor, by_token_alone):
        for given in ({}, {"password": "x"}, {"refreshToken": "x"}, {"refreshToken": other.refresh_token}):
            error = await thief.refusal(DELETE, input={"confirm": True, **given})
            assert (error["code"], error["field"]) == ("INVALID_CREDENTIALS", ["refreshToken"])
    assert await shop.owner.fetchval("select count(*) from public.profiles") == 2
    assert (await visitor.do(DELETE, input={"confirm": True, "refreshToken": visitor.refresh_token}))["deleted"]
    assert await shop.owner.fetchval("select array_agg(id) from public.profiles") == [await key_of(other)]


async def test_a_refresh_token_that_was_exchanged_does_not_delete(shop: Shop) -> None:
    visitor = await shop.anonymous()
    stolen = visitor.refresh_token
    await refreshed(shop, stolen)
    error = await visitor.refusal(DELETE, input={"confirm": True, "refreshToken": stolen})
    assert (error["code"], error["field"]) == ("INVALID_CREDENTIALS", ["refreshToken"])


async def test_an_anonymous_session_of_another_service_has_no_proof(shop: Shop) -> None:
    user = uuid4()
    await shop.owner.execute("insert into public.profiles (id, is_anonymous) values ($1, true)", user)
    now = int(time.time())
    visitor = with_amr(shop, user, {"method": "anonymous", "timestamp": now}, is_anonymous=True)
    assert (await visitor.refusal(DELETE, input={"confirm": True}))["code"] == "INVALID_CREDENTIALS"


async def test_a_token_from_anonymous_days_does_not_delete_the_account_that_came_of_it(shop: Shop) -> None:
    user = await key_of(await shop.account())
    old = shop.client(shop.token(user, is_anonymous=True))
    assert (await old.refusal(DELETE, input={"confirm": True}))["code"] == "INVALID_CREDENTIALS"


async def test_where_log_ins_are_anothers_the_data_goes_and_the_answer_says_what_stays(shop: Shop) -> None:
    user = uuid4()
    await shop.owner.execute("insert into public.profiles (id, email) values ($1, 'anna@elsewhere.example')", user)
    await shop.owner.execute(
        "create function public.refuse() returns trigger language plpgsql as "
        "$$ begin raise insufficient_privilege; end $$;"
        "create trigger aaa before delete on auth.users for each statement execute function public.refuse()"
    )
    await shop.owner.execute("comment on schema auth is null")
    error = await shop.client(shop.token(user)).refusal(DELETE, input={"confirm": True, "password": "of elsewhere"})
    assert error["code"] == "UNAVAILABLE"
    client = with_amr(shop, user, {"method": "otp", "timestamp": int(time.time())})
    payload = await client.do(DELETE, input={"confirm": True})
    assert (payload["deleted"], payload["logInDeleted"]) == (True, False)
    assert await shop.owner.fetchval("select count(*) from public.profiles") == 0


async def test_a_sign_in_through_the_api_counts_as_recent(shop: Shop) -> None:
    await shop.account("anna@people.example")
    signed_in = await shop.client().do(SIGN_IN, input={"email": "anna@people.example", "password": "correct horse"})
    assert (await shop.client(signed_in["accessToken"]).do(DELETE, input={"confirm": True}))["deleted"]
