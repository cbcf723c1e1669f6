"""Admins make others admin or analyst, and take that from them."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from db.queries import QUERIES
from domain import ids
from resolvers import roles
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_audit_log import entries
from tests.http.test_sessions import refreshed

GRANT = """
mutation ($email: String!, $role: String!) {
  grantRole(input: {email: $email, role: $role}) { personId role userErrors { code message field } }
}
"""
REVOKE = """
mutation ($email: String!, $role: String!) {
  revokeRole(input: {email: $email, role: $role}) { personId role userErrors { code message field } }
}
"""
COUNTS = """{
  eventCounts(since: "2026-01-01T00:00:00Z", until: "2026-02-01T00:00:00Z") { name }
}"""
ANNA, BEN, CAROL = "anna@people.example", "ben@people.example", "carol@people.example"


async def verified(shop: Shop, email: str) -> Client:
    """A new account whose e-mail is verified."""
    client = await shop.account(email)
    await shop.owner.execute("update auth.users set email_confirmed_at = now() where email = $1", email)
    return client


async def by_operator(shop: Shop, email: str, role: str = "admin", *, is_granted: bool = True) -> str:
    """As `aclue roles grant` or `revoke` does it; what came of it."""
    address, tidy = roles.wanted(email, role)
    outcome: str = await shop.owner.fetchval(
        QUERIES["roles.change"].sql, address.canonical, address.spellings, tidy, is_granted, None
    )
    return outcome


async def renewed(shop: Shop, email: str, **claims: Any) -> Client:
    """The account with a new access token, as the service that keeps the accounts issues it."""
    row = await shop.owner.fetchrow("select id, raw_app_meta_data from auth.users where email = $1", email)
    assert row is not None
    metadata = msgspec.json.decode(row["raw_app_meta_data"] or "{}")
    claims = {"session_id": uuid4(), "amr": [{"method": "password", "timestamp": int(time.time())}], **claims}
    return shop.client(shop.token(row["id"], email=email, app_metadata=metadata, **claims))


async def admin(shop: Shop, email: str = ANNA) -> Client:
    await verified(shop, email)
    assert await by_operator(shop, email) == "changed"
    return await renewed(shop, email)


async def role_of(shop: Shop, email: str) -> str | None:
    found: str | None = await shop.owner.fetchval(
        "select raw_app_meta_data ->> 'role' from auth.users where email = $1", email
    )
    return found


async def test_an_admin_makes_an_analyst_and_takes_it_back(shop: Shop) -> None:
    anna = await admin(shop)
    ben = await verified(shop, BEN)
    id = await ben.my_id()
    assert await ben.code(COUNTS) == "FORBIDDEN"

    granted = await anna.do(GRANT, email=f" {BEN.upper()}", role="Analyst")
    assert (granted["personId"], granted["role"]) == (id, "analyst")
    assert (await (await renewed(shop, BEN)).ask(COUNTS))["eventCounts"] == []

    assert (await anna.do(REVOKE, email=BEN, role="analyst"))["role"] is None
    assert await (await renewed(shop, BEN)).code(COUNTS) == "FORBIDDEN"


@pytest.mark.usefixtures("own_accounts")
async def test_a_token_of_long_after_the_sign_in_makes_nobody_admin(shop: Shop) -> None:
    await admin(shop)
    await verified(shop, BEN)
    long_ago = [{"method": "password", "timestamp": int(time.time()) - 3600}]
    stolen = await renewed(shop, ANNA, amr=long_ago)
    assert (await stolen.refusal(GRANT, email=BEN, role="admin"))["code"] == "INVALID_CREDENTIALS"


@pytest.mark.usefixtures("own_accounts")
@pytest.mark.parametrize(
    ("email", "spelling"),
    [
        ("caf\u00e9@people.example", "CAFE\u0301@people.example"),
        ("ben@b\u00fccher.example", "ben@xn--bcher-kva.example"),
        ("ben@people.example", "\uff42e\u200bn@people.example"),
    ],
)
async def test_a_role_goes_to_the_account_of_the_address_however_it_is_spelled(
    shop: Shop, email: str, spelling: str
) -> None:
    anna = await admin(shop)
    insert = "insert into auth.users (id, email, email_confirmed_at) values (private.uuid_v7(), $1, now()) returning id"
    person = await shop.owner.fetchval(insert, email)
    payload = await anna.do(GRANT, email=spelling, role="analyst")
    assert ids.decode_as("Profile", payload["personId"]) == person
    assert await by_operator(shop, spelling, "analyst", is_granted=False) == "changed"


@pytest.mark.usefixtures("own_accounts")
async def test_a_role_for_an_address_is_not_anothers_whose_letters_fold_alike(shop: Shop) -> None:
    anna = await admin(shop)
    await verified(shop, "gross@people.example")
    assert (await anna.refusal(GRANT, email="gro\u00df@people.example", role="admin"))["code"] == "NOT_FOUND"


@pytest.mark.usefixtures("own_accounts")
async def test_a_role_is_in_force_with_the_next_access_token(shop: Shop) -> None:
    anna, ben = await admin(shop), await verified(shop, BEN)
    await anna.do(GRANT, email=BEN, role="admin")
    assert await ben.code(COUNTS) == "FORBIDDEN"
    pair = await refreshed(shop, ben.refresh_token)
    await shop.client(pair["accessToken"]).ask(COUNTS)
    await anna.do(REVOKE, email=BEN, role="admin")
    pair = await refreshed(shop, pair["refreshToken"])
    assert await shop.client(pair["accessToken"]).code(COUNTS) == "FORBIDDEN"


async def test_who_gave_which_role_to_whom_is_in_the_audit_log(shop: Shop) -> None:
    anna, ben = await admin(shop), await verified(shop, BEN)
    await anna.do(GRANT, email=BEN, role="analyst")
    await anna.do(REVOKE, email=BEN, role="analyst")
    noted = await entries(anna, "auth.users")
    revoked, granted, by_hand = [e for e in noted if "raw_app_meta_data" in e["changes"] and e["operation"] == "update"]
    assert (by_hand["actorId"], by_hand["personId"]) == (None, await anna.my_id())
    for entry in (granted, revoked):
        assert (entry["actorId"], entry["personId"]) == (await anna.my_id(), await ben.my_id())
        assert entry["requestId"]
    assert granted["changes"]["raw_app_meta_data"]["new"]["role"] == "analyst"
    assert revoked["changes"]["raw_app_meta_data"]["old"]["role"] == "analyst"
    assert "role" not in revoked["changes"]["raw_app_meta_data"]["new"]


async def test_repeats_change_nothing(shop: Shop) -> None:
    anna = await admin(shop)
    await verified(shop, BEN)
    for _ in range(2):
        assert (await anna.do(GRANT, email=BEN, role="analyst"))["role"] == "analyst"
    noted = len(await entries(anna, "auth.users"))
    assert (await anna.do(REVOKE, email=BEN, role="admin"))["role"] == "analyst"
    assert len(await entries(anna, "auth.users")) == noted


async def test_other_metadata_of_the_account_stays(shop: Shop) -> None:
    anna = await admin(shop)
    await verified(shop, BEN)
    await shop.owner.execute("update auth.users set raw_app_meta_data = '{\"tenant\": 1}' where email = $1", BEN)
    await anna.do(GRANT, email=BEN, role="analyst")
    await anna.do(REVOKE, email=BEN, role="analyst")
    kept = await shop.owner.fetchval("select raw_app_meta_data from auth.users where email = $1", BEN)
    assert msgspec.json.decode(kept) == {"tenant": 1}


async def test_what_cannot_be_granted_is_reported(shop: Shop) -> None:
    anna = await admin(shop)
    await shop.account(BEN)
    await shop.owner.execute("update auth.users set email_confirmed_at = null where email = $1", BEN)
    for mutation in (GRANT, REVOKE):
        refusal = await anna.refusal(mutation, email=ANNA, role="owner")
        assert (refusal["code"], refusal["field"]) == ("INVALID", ["role"])
        for unknown in (CAROL, "nobody", "", "\0"):
            refusal = await anna.refusal(mutation, email=unknown, role="analyst")
            assert (refusal["code"], refusal["field"]) == ("NOT_FOUND", ["email"]), unknown
    refusal = await anna.refusal(GRANT, email=BEN, role="analyst")
    assert (refusal["code"], refusal["field"]) == ("CONFLICT", ["email"])
    assert "not verified" in refusal["message"]
    assert await role_of(shop, BEN) is None


async def test_the_last_admin_stays(shop: Shop) -> None:
    anna = await admin(shop)
    for mutation, role in ((REVOKE, "admin"), (GRANT, "analyst")):
        refusal = await anna.refusal(mutation, email=ANNA, role=role)
        assert refusal["code"] == "CONFLICT"
        assert "last admin" in refusal["message"]
    await verified(shop, BEN)
    await anna.do(GRANT, email=BEN, role="admin")
    assert (await anna.do(REVOKE, email=ANNA, role="admin"))["role"] is None
    assert (await role_of(shop, ANNA), await role_of(shop, BEN)) == (None, "admin")


@pytest.mark.usefixtures("own_accounts")
async def test_the_last_admin_may_delete_their_account_and_the_operator_makes_the_next(shop: Shop) -> None:
    await admin(shop)
    anna = await shop.client().do(
        'mutation { signIn(input: {email: "anna@people.example", password: "correct horse"})'
        " { accessToken userErrors { code } } }"
    )
    erase = "mutation { deleteMyAccount(input: {confirm: true}) { deleted userErrors { code } } }"
    assert (await shop.client(anna["accessToken"]).do(erase))["deleted"]
    await verified(shop, BEN)
    assert await by_operator(shop, BEN) == "changed"


async def test_of_admins_who_take_it_from_each_other_at_once_one_is_left(shop: Shop) -> None:
    emails = [f"{name}@people.example" for name in ("a", "b", "c", "d")]
    admins = [await admin(shop, email) for email in emails]
    await asyncio.gather(
        *(
            one.post(REVOKE, email=email, role="admin")
            for one, own in zip(admins, emails, strict=True)
            for email in emails
            if email != own
        )
    )
    assert [await role_of(shop, email) for email in emails].count("admin") == 1
