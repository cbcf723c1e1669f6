"""Sessions and accounts: who one is, for how long, and how that ends."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import unicodedata
from datetime import UTC, datetime
from typing import Any

import argon2
import jwt
import pytest

from domain import ids
from tests.client import SIGN_UP, Client
from tests.conftest import Shop
from tests.http.test_one_time_tokens import CHANGE, FORGOT, RESET
from tests.http.test_privacy import DELETE
from tests.mailbox import Mailbox

pytestmark = pytest.mark.usefixtures("own_accounts")

START = """
mutation ($input: StartSessionInput!) {
  startSession(input: $input) { sessionId accessToken refreshToken expiresAt userErrors { code field } }
}
"""
AUTH = "accessToken refreshToken expiresAt profile { id email displayName isAnonymous } userErrors { code field }"
UP = f"mutation ($input: SignUpInput!) {{ signUp(input: $input) {{ {AUTH} }} }}"
IN = f"mutation ($input: SignInInput!) {{ signIn(input: $input) {{ {AUTH} }} }}"
REFRESH = f"mutation ($token: String!) {{ refreshSession(input: {{refreshToken: $token}}) {{ {AUTH} }} }}"
OUT = "mutation { signOut { signedOut userErrors { code } } }"
ANNA = {"email": "anna@people.example", "password": "correct horse"}


def claims(token: str) -> dict[str, Any]:
    read: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return read


async def refresh(client: Client, token: str) -> dict[str, Any]:
    return await client.do(REFRESH, token=token)


async def test_a_session_starts_with_a_profile_and_its_visit(shop: Shop) -> None:
    given = {
        "landingPage": "/x",
        "referrer": "https://r.example/",
        "deviceType": "phone",
        "campaign": "c" + "x" * 600,
    }
    started = await shop.client().do(START, input=given)
    visit = await shop.owner.fetchrow("select * from public.session_analytics")
    session = await shop.owner.fetchrow("select * from public.user_sessions")
    assert visit is not None
    assert session is not None
    assert started["sessionId"] == ids.encode("Session", session["id"])
    assert (visit["landing_page"], visit["referrer"], visit["device_type"]) == ("/x", "https://r.example/", "phone")
    assert visit["campaign"] == "c" + "x" * 499
    assert await shop.owner.fetchval("select is_anonymous from public.profiles") is True
    assert session["refresh_token_hash"] == hashlib.sha256(started["refreshToken"].encode()).digest()
    told = claims(started["accessToken"])
    assert (told["role"], told["is_anonymous"], told["sub"]) == ("anon", True, str(session["user_id"]))
    assert told["session_id"] == str(session["id"])
    assert datetime.fromisoformat(started["expiresAt"]) == datetime.fromtimestamp(told["exp"], UTC)
    assert told["exp"] - told["iat"] == 15 * 60


@pytest.mark.parametrize("field", ["landingPage", "referrer", "deviceType", "campaign"])
async def test_a_nul_in_a_visit_is_named_and_no_session_starts(shop: Shop, field: str) -> None:
    start = "mutation ($input: StartSessionInput!) { startSession(input: $input) { userErrors { message field } } }"
    refused = await shop.client().refusal(start, input={field: "a\0b"})
    assert refused["field"] == [field] and "NUL" in refused["message"]
    assert await shop.owner.fetchval("select count(*) from public.user_sessions") == 0


async def test_signing_up_makes_an_account_that_is_signed_in(shop: Shop) -> None:
    made = await shop.client().do(
        UP, input={"email": " Anna@People.Example ", "password": "correct horse", "displayName": " Anna  Lee "}
    )
    row = await shop.owner.fetchrow("select id, email, encrypted_password from auth.users")
    assert row is not None
    assert made["profile"] == {
        "id": ids.encode("Profile", row["id"]),
        "email": "anna@people.example",
        "displayName": "Anna Lee",
        "isAnonymous": False,
    }
    assert row["email"] == "anna@people.example"
    assert row["encrypted_password"].startswith("$argon2id$")
    told = claims(made["accessToken"])
    assert (told["role"], told["sub"], told["is_anonymous"]) == ("authenticated", str(row["id"]), False)
    assert await shop.client(made["accessToken"]).my_id() == made["profile"]["id"]


async def test_accounts_that_cannot_be(shop: Shop) -> None:
    client = await shop.account(ANNA["email"], ANNA["password"])
    table: list[tuple[dict[str, Any], str, str]] = [
        ({"email": "anna"}, "INVALID", "email"),
        ({"email": "anna@people"}, "INVALID", "email"),
        ({"email": "a b@people.example"}, "INVALID", "email"),
        ({"email": "anna@people.example,root"}, "INVALID", "email"),
        ({"email": "anna@people.example;other.example"}, "INVALID", "email"),
        ({"email": "a\0@people.example"}, "INVALID", "email"),
        ({"email": "x" * 250 + "@people.example"}, "INVALID", "email"),
        ({"email": "b@b.example,c.example"}, "INVALID", "email"),
        ({"email": "b@b.example(c.example)"}, "INVALID", "email"),
        ({"email": "b@b.example>"}, "INVALID", "email"),
        ({"password": "1234567"}, "INVALID", "password"),
        ({"password": "x" * 1025}, "INVALID", "password"),
        ({"displayName": "x" * 101}, "INVALID", "displayName"),
        ({"email": "ANNA@people.example"}, "CONFLICT", "email"),
    ]
    for change, code, field in table:
        refused = await client.refusal(SIGN_UP, input={"email": "b@b.example", "password": "correct horse", **change})
        assert (refused["code"], refused["field"]) == (code, [field]), change
    assert await shop.owner.fetchval("select count(*) from auth.users") == 1


async def test_two_sign_up_with_one_email_at_once(shop: Shop) -> None:
    answers = await asyncio.gather(*(shop.client().ask(UP, input=ANNA) for _ in range(3)))
    payloads = [answer["signUp"] for answer in answers]
    assert sorted(bool(payload["accessToken"]) for payload in payloads) == [False, False, True]
    assert [p["userErrors"] for p in payloads if not p["accessToken"]] == [
        [{"code": "CONFLICT", "field": ["email"]}]
    ] * 2


async def test_signing_in(shop: Shop) -> None:
    account = await shop.account(ANNA["email"], ANNA["password"])
    entered = await shop.client().do(IN, input={**ANNA, "email": "  ANNA@people.example"})
    assert entered["profile"]["id"] == await account.my_id()
    assert await shop.client(entered["accessToken"]).my_id() == await account.my_id()
    assert await shop.owner.fetchval("select count(*) from public.user_sessions") == 2
    assert await shop.owner.fetchval("select last_sign_in_at > created_at from auth.users")


async def test_a_wrong_email_and_a_wrong_password_are_refused_alike(shop: Shop) -> None:
    await shop.account(ANNA["email"], ANNA["password"])
    wrong = [
        {**ANNA, "password": "Correct horse"},
        {**ANNA, "password": ""},
        {**ANNA, "password": "x" * 100_000},
        {**ANNA, "email": "ben@people.example"},
        {**ANNA, "email": "nothing"},
        {**ANNA, "email": "\0"},
    ]
    for given in wrong:
        body = (await shop.client().post(IN, input=given)).json()
        assert body == {
            "data": {
                "signIn": {
                    "accessToken": None,
                    "refreshToken": None,
                    "expiresAt": None,
                    "profile": None,
                    "userErrors": [{"code": "INVALID_CREDENTIALS", "field": None}],
                }
            }
        }
    assert await shop.owner.fetchval("select count(*) from public.user_sessions") == 1


async def test_a_password_is_the_same_however_its_letters_are_encoded(shop: Shop, mailbox: Mailbox) -> None:
    nfc = "Schl\u00fcssel-\u00e7\u00e9dille-\u00c5"
    nfd, angstrom = unicodedata.normalize("NFD", nfc), nfc.replace("\u00c5", "\u212b")
    anna = await shop.verified_account(ANNA["email"], nfc)
    for typed in (nfd, angstrom):
        await shop.client().do(IN, input={**ANNA, "password": typed})
    await anna.do(CHANGE, current=nfd, new=f"{angstrom}!")
    await shop.client().do(IN, input={**ANNA, "password": f"{nfd}!"})
    await shop.client().do(FORGOT, email=ANNA["email"])
    await mailbox.collect(shop.services)
    await shop.client().do(RESET, token=mailbox.token("reset-password"), new=nfd)
    await shop.client().do(IN, input={**ANNA, "password": nfc})
    old = shop.client(shop.token(ids.decode_as("Profile", await anna.my_id())))
    await old.do(DELETE, input={"confirm": True, "password": angstrom})


async def test_a_password_stored_before_it_was_normalised_still_works_and_is_renewed(shop: Shop) -> None:
    nfc = "Schl\u00fcssel-\u00e7\u00e9dille"
    nfd = unicodedata.normalize("NFD", nfc)
    await shop.account(**ANNA)
    await shop.owner.execute("update auth.users set encrypted_password = $1", argon2.PasswordHasher().hash(nfd))
    assert (await shop.client().refusal(IN, input={**ANNA, "password": nfc}))["code"] == "INVALID_CREDENTIALS"
    for typed in (nfd, nfc):
        await shop.client().do(IN, input={**ANNA, "password": typed})


async def test_there_is_one_account_per_address_however_it_is_spelled(shop: Shop) -> None:
    for address, *others in (
        ("caf\u00e9@people.example", "cafe\u0301@people.example", "caf\u00e9@\uff50eople.example"),
        ("ben@people.example", "\uff42en@people.example", "b\u200ben@people.example", "BEN@peo\u2060ple.example"),
        ("cleo@b\u00fccher.example", "cleo@xn--bcher-kva.example"),
    ):
        await shop.client().do(UP, input={"email": address, "password": ANNA["password"]})
        for spelling in others:
            refused = await shop.client().refusal(UP, input={"email": spelling, "password": "another one"})
            assert refused == {"code": "CONFLICT", "field": ["email"]}, spelling
            entered = await shop.client().do(IN, input={"email": spelling, "password": ANNA["password"]})
            assert entered["profile"]["email"] == address
    assert await shop.owner.fetchval("select count(*) from auth.users") == 3


async def test_letters_that_full_case_folding_makes_one_are_two_addresses(shop: Shop) -> None:
    for address in ("gro\u00df@people.example", "gross@people.example"):
        await shop.client().do(UP, input={"email": address, "password": f"correct {address}"})
    for address, typed in (("gro\u00df@people.example", "GRO\u1e9e@"), ("gross@people.example", "GROSS@")):
        given = {"email": f"{typed}people.example", "password": f"correct {address}"}
        assert (await shop.client().do(IN, input=given))["profile"]["email"] == address


async def test_accounts_of_before_are_entered_by_what_was_typed_then(shop: Shop) -> None:
    """Even two of what is one address by now; there is no third."""
    password_hash = argon2.PasswordHasher().hash(ANNA["password"])
    stored = (
        "cafe\u0301@people.example",
        "caf\u00e9@people.example",
        "\uff41nna@people.example",
        "dan@b\u00fccher.example",
    )
    for email in stored:
        await shop.owner.execute(
            "insert into auth.users (id, email, encrypted_password) values (private.uuid_v7(), $1, $2)",
            email,
            password_hash,
        )
    for email in stored:
        entered = await shop.client().do(IN, input={"email": email.upper(), "password": ANNA["password"]})
        assert entered["profile"]["email"] == email
    for email in (*stored, "dan@xn--bcher-kva.example"):
        assert (await shop.client().refusal(UP, input={"email": email, "password": "another one"}))[
            "code"
        ] == "CONFLICT"


async def test_an_account_without_a_password_cannot_be_entered(shop: Shop) -> None:
    await shop.owner.execute("insert into auth.users (id, email) values (private.uuid_v7(), 'anna@people.example')")
    assert (await shop.client().refusal(IN, input=ANNA))["code"] == "INVALID_CREDENTIALS"


async def test_a_refresh_token_is_exchanged_for_a_new_pair(shop: Shop) -> None:
    for client in (await shop.anonymous(), await shop.account()):
        assert client.refresh_token
        fresh = await refresh(shop.client(), client.refresh_token)
        assert fresh["profile"]["id"] == await client.my_id() == await shop.client(fresh["accessToken"]).my_id()
        assert fresh["refreshToken"] != client.refresh_token
        assert claims(fresh["accessToken"])["session_id"] == claims(client.token or "")["session_id"]
        assert claims(fresh["accessToken"])["role"] == claims(client.token or "")["role"]
        again = await refresh(shop.client(), fresh["refreshToken"])
        assert again["profile"]["id"] == fresh["profile"]["id"]


async def test_refresh_tokens_that_are_none(shop: Shop) -> None:
    anna = await shop.anonymous()
    assert anna.refresh_token
    forged = anna.refresh_token[:-4] + ("AAAA" if anna.refresh_token[-4:] != "AAAA" else "BBBB")
    unknown = base64.urlsafe_b64encode(bytes(48)).decode()
    for wrong in (forged, unknown, anna.token, "", "x", "é", "\0", "x" * 100_000, anna.refresh_token + "="):
        refused = await shop.client().refusal(REFRESH, token=wrong)
        assert refused == {"code": "INVALID_CREDENTIALS", "field": ["refreshToken"]}, wrong
    await refresh(shop.client(), anna.refresh_token)  # none of these did any harm


async def test_an_expired_refresh_token(shop: Shop) -> None:
    anna = await shop.anonymous()
    await shop.owner.execute("update public.user_sessions set expires_at = now()")
    assert (await shop.client().refusal(REFRESH, token=anna.refresh_token))["code"] == "INVALID_CREDENTIALS"


async def test_signing_out_ends_the_refresh_token_of_this_session_only(shop: Shop) -> None:
    phone = await shop.account(ANNA["email"], ANNA["password"])
    desk = await shop.client().do(IN, input=ANNA)
    assert (await phone.do(OUT))["signedOut"] is True
    assert (await phone.do(OUT))["signedOut"] is False
    assert (await shop.client().refusal(REFRESH, token=phone.refresh_token))["code"] == "INVALID_CREDENTIALS"
    assert (await refresh(shop.client(), desk["refreshToken"]))["profile"]["email"] == ANNA["email"]
    assert await shop.client().code(OUT) == "UNAUTHENTICATED"


async def test_an_app_role_of_the_account_is_in_its_tokens(shop: Shop) -> None:
    await shop.account(ANNA["email"], ANNA["password"])
    await shop.owner.execute("""update auth.users set raw_app_meta_data = '{"role": "admin"}'""")
    entered = await shop.client().do(IN, input=ANNA)
    assert claims(entered["accessToken"])["app_metadata"]["role"] == "admin"
    fresh = await refresh(shop.client(), entered["refreshToken"])
    assert claims(fresh["accessToken"])["app_metadata"]["role"] == "admin"
