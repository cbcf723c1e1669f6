"""Log-ins: what a guesser learns, how often they may guess, and what a stolen refresh token or dump is worth."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import argon2
import httpx
import msgspec
import pytest

from domain import ids
from server import create_app
from settings import Settings
from tests.client import START, Client
from tests.conftest import SECRET, Shop
from tests.http.test_sessions import pass_grace
from tests.security.forging import encoded

pytestmark = pytest.mark.usefixtures("own_accounts")

SIGN_IN = """
mutation ($email: String!, $password: String!) {
  signIn(input: {email: $email, password: $password}) {
    accessToken refreshToken profile { email } userErrors { code message field }
  }
}
"""
SIGN_UP = """
mutation ($email: String!) {
  signUp(input: {email: $email, password: "correct horse"}) { accessToken userErrors { code } }
}
"""
REFRESH = """
mutation ($token: String!) {
  refreshSession(input: {refreshToken: $token}) { accessToken refreshToken userErrors { code message field } }
}
"""
SIGN_OUT = "mutation { signOut { signedOut userErrors { code } } }"
PASSWORD = "correct horse battery staple"
EMAIL = "anna@people.example"


@pytest.fixture
async def strict(shop: Shop, settings: Settings) -> AsyncIterator[Client]:
    """A caller without a token of the same service with three attempts of each kind."""
    limited = msgspec.structs.replace(settings, sign_in_attempts=3, sign_up_attempts=3, start_session_attempts=3)
    app = create_app(limited, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        yield Client(http)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that argon2 was asked about."""
    asked: list[str] = []
    verify = argon2.PasswordHasher.verify

    def spy(hasher: argon2.PasswordHasher, password_hash: str, password: str) -> bool:
        asked.append(password)
        return verify(hasher, password_hash, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", spy)
    return asked


async def refresh(client: Client, token: str | None) -> str | None:
    """The next refresh token; None when this one is refused."""
    payload = (await client.ask(REFRESH, token=token))["refreshSession"]
    if payload["userErrors"]:
        assert [error["code"] for error in payload["userErrors"]] == ["INVALID_CREDENTIALS"]
        assert payload["accessToken"] is payload["refreshToken"] is None
        return None
    found: str = payload["refreshToken"]
    return found


async def test_an_unknown_email_and_a_wrong_password_answer_alike(shop: Shop, verified: list[str]) -> None:
    await shop.account(EMAIL, PASSWORD)
    stranger = shop.client()
    unknown = await stranger.post(SIGN_IN, email="nobody@people.example", password="wrong")
    assert verified == ["wrong"]  # the work is done though there is nothing to compare with
    wrong = await stranger.post(SIGN_IN, email=EMAIL, password="wrong")
    assert verified == ["wrong", "wrong"]
    assert unknown.status_code == wrong.status_code
    assert unknown.json() == wrong.json()
    assert wrong.json()["data"]["signIn"]["userErrors"][0]["code"] == "INVALID_CREDENTIALS"
    right = await stranger.do(SIGN_IN, email=EMAIL, password=PASSWORD)
    assert right["profile"] == {"email": EMAIL}


async def test_near_misses_of_a_password_do_not_pass(shop: Shop) -> None:
    await shop.account(EMAIL, PASSWORD)
    stranger = shop.client()
    for miss in ("", PASSWORD.upper(), PASSWORD + " ", PASSWORD[:-1], PASSWORD + "\0", "' or '1'='1"):
        assert (await stranger.refusal(SIGN_IN, email=EMAIL, password=miss))["code"] == "INVALID_CREDENTIALS"
    await stranger.do(SIGN_IN, email=f"  {EMAIL.upper()} ", password=PASSWORD)


async def test_guesses_are_limited_even_when_the_last_one_is_right(shop: Shop, strict: Client) -> None:
    await shop.account(EMAIL, PASSWORD)
    await shop.account("ben@people.example", PASSWORD)
    spellings = (EMAIL, EMAIL.upper(), f" {EMAIL} ")
    for spelling in spellings:
        assert (await strict.refusal(SIGN_IN, email=spelling, password="guess"))["code"] == "INVALID_CREDENTIALS"
    answer = await strict.post(SIGN_IN, email=EMAIL, password=PASSWORD)
    error = answer.json()["errors"][0]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert int(answer.headers["retry-after"]) == error["extensions"]["retryAfter"] > 0
    await strict.do(SIGN_IN, email="ben@people.example", password=PASSWORD)


async def test_guesses_of_one_document_count_one_by_one(shop: Shop, strict: Client) -> None:
    await shop.account(EMAIL, PASSWORD)
    guesses = ["guess 1", "guess 2", "guess 3", PASSWORD]
    fields = [
        f'g{number}: signIn(input: {{email: "{EMAIL}", password: "{guess}"}}) {{ accessToken userErrors {{ code }} }}'
        for number, guess in enumerate(guesses)
    ]
    body = (await strict.post(f"mutation {{ {' '.join(fields)} }}")).json()
    assert [error["extensions"]["code"] for error in body["errors"]] == ["RATE_LIMITED"]
    assert PASSWORD not in str(body)
    assert "eyJ" not in str(body)


@pytest.mark.parametrize(
    ("document", "accepted"), [(SIGN_UP, {"email"}), (START, set())], ids=["signUp", "startSession"]
)
async def test_an_address_makes_only_so_many(shop: Shop, strict: Client, document: str, accepted: set[str]) -> None:
    """Whatever address the request claims to come from."""
    for _ in range(3):
        await strict.do(document, **{name: f"{secrets.token_hex(4)}@people.example" for name in accepted})
    strict.http.headers["x-forwarded-for"] = "203.0.113.7"
    strict.http.headers["forwarded"] = "for=203.0.113.7"
    assert await strict.code(document, **dict.fromkeys(accepted, "last@people.example")) == "RATE_LIMITED"
    assert await shop.owner.fetchval("select count(*) from public.profiles where email = 'last@people.example'") == 0


async def test_reuse_of_a_refresh_token_ends_its_session_and_no_other(shop: Shop) -> None:
    anna, elsewhere = await shop.account(EMAIL, PASSWORD), shop.client()
    other = await elsewhere.do(SIGN_IN, email=EMAIL, password=PASSWORD)
    second = await refresh(elsewhere, anna.refresh_token)
    third = await refresh(elsewhere, second)
    assert len({anna.refresh_token, second, third}) == 3
    await pass_grace(shop)
    assert await refresh(elsewhere, anna.refresh_token) is None  # stolen: by whom nobody can tell
    assert await refresh(elsewhere, third) is None
    assert await refresh(elsewhere, other["refreshToken"]) is not None  # another sign-in of the same person goes on


async def test_a_guess_at_a_refresh_token_neither_works_nor_ends_the_session(shop: Shop) -> None:
    anna = await shop.anonymous()
    raw = ids.decode_bytes(anna.refresh_token or "")
    assert raw
    guesses = [raw[:16] + secrets.token_bytes(32), raw[:-1] + bytes([raw[-1] ^ 1]), secrets.token_bytes(48), raw[:16]]
    for guess in guesses:
        assert await refresh(shop.client(), encoded(guess)) is None
    for text in ("", "x", "\0", "é" * 64, "A" * 10_000, f"{anna.refresh_token}="):
        assert await refresh(shop.client(), text) is None
    assert await refresh(shop.client(), anna.refresh_token) is not None


async def test_an_access_token_is_no_refresh_token_and_the_other_way_round(shop: Shop) -> None:
    anna = await shop.anonymous()
    assert await refresh(shop.client(), anna.token) is None
    assert (await shop.client(anna.refresh_token).post("{ me { id } }")).status_code == 401
    assert await refresh(shop.client(), anna.refresh_token) is not None


async def test_signing_out_ends_the_session_and_no_other(shop: Shop) -> None:
    anna, ben = await shop.account(EMAIL, PASSWORD), await shop.account("ben@people.example", PASSWORD)
    assert (await anna.do(SIGN_OUT))["signedOut"] is True
    assert await refresh(shop.client(), anna.refresh_token) is None
    assert await refresh(shop.client(), ben.refresh_token) is not None
    assert await shop.client().code(SIGN_OUT) == "UNAUTHENTICATED"


async def test_an_expired_refresh_token_is_refused(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    expire = "update public.user_sessions set expires_at = now() - interval '1 second' where user_id = $1"
    await shop.owner.execute(expire, ids.decode_as("Profile", await anna.my_id()))
    assert await refresh(shop.client(), anna.refresh_token) is None
    assert await refresh(shop.client(), ben.refresh_token) is not None


async def test_the_refresh_token_of_a_deleted_person_is_refused(shop: Shop) -> None:
    anna, ben = await shop.account(EMAIL, PASSWORD), await shop.anonymous()
    await shop.owner.execute("delete from auth.users where email = $1", EMAIL)
    assert await refresh(shop.client(), anna.refresh_token) is None
    assert await refresh(shop.client(), ben.refresh_token) is not None
    assert (await shop.client().refusal(SIGN_IN, email=EMAIL, password=PASSWORD))["code"] == "INVALID_CREDENTIALS"


async def test_a_refreshed_session_has_the_rights_of_now_and_not_of_then(shop: Shop) -> None:
    anna = await shop.account(EMAIL, PASSWORD)

    async def app_role(token: str | None) -> str | None:
        return (await shop.services.tokens.verify(token or "")).app_role

    grant = "update auth.users set raw_app_meta_data = $1::jsonb where email = $2"
    await shop.owner.execute(grant, '{"role": "admin"}', EMAIL)
    first = await anna.do(REFRESH, token=anna.refresh_token)
    assert (await app_role(anna.token), await app_role(first["accessToken"])) == (None, "admin")
    await shop.owner.execute(grant, "{}", EMAIL)
    second = await anna.do(REFRESH, token=first["refreshToken"])
    assert await app_role(second["accessToken"]) is None


async def dump(shop: Shop) -> str:
    """Every row of every table, as text."""
    tables: list[Any] = await shop.owner.fetch(
        "select oid::regclass::text as name from pg_class where relkind in ('r', 'p')"
        " and relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'auth'::regnamespace)"
    )
    texts = [await shop.owner.fetchval(f"select string_agg(t::text, chr(10)) from {row['name']} t") for row in tables]
    return "\n".join(text or "" for text in texts)


async def test_a_dump_of_the_database_signs_nobody_in(shop: Shop) -> None:
    anna, visitor = await shop.account(EMAIL, PASSWORD), await shop.anonymous()
    newest = await refresh(shop.client(), anna.refresh_token)
    await shop.client().refusal(SIGN_IN, email=EMAIL, password="a slip of the tongue")
    everything = await dump(shop)
    assert EMAIL in everything
    for token in (anna.refresh_token, newest, visitor.refresh_token):
        raw = ids.decode_bytes(token or "")
        assert raw
        assert hashlib.sha256((token or "").encode()).hexdigest() in everything
        for secret in (token or "", (token or "").encode().hex(), raw[16:].hex()):
            assert secret not in everything
    for password in (PASSWORD, "a slip of the tongue"):
        for secret in (password, password.encode().hex(), hashlib.sha256(password.encode()).hexdigest()):
            assert secret not in everything
    assert "$argon2id$" in everything
    for token in (anna.token, visitor.token):
        assert (token or "").rpartition(".")[2] not in everything
