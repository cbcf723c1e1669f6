"""The catalogue is administrators' and service_role's to write, and nobody's who merely says so."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from tests.catalogue import NEW_PRODUCT
from tests.client import Client
from tests.conftest import Shop
from tests.security.forging import encoded

CREATE = """
mutation ($input: ProductInput!) {
  createProduct(input: $input) { product { id name } userErrors { code message } }
}
"""
UPDATE = """
mutation ($input: UpdateProductInput!) {
  updateProduct(input: $input) { product { id name } userErrors { code message } }
}
"""
ADMIN = {"app_metadata": {"role": "admin"}}


def with_payload(token: str, **changes: Any) -> str:
    """The token with other claims under the old signature."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{header}.{encoded({**claims, **changes})}.{signature}"


async def names(shop: Shop) -> set[str]:
    return {row["name"] for row in await shop.owner.fetch("select name from public.products")}


async def refused(client: Client, product: str) -> set[str]:
    return {
        await client.code(CREATE, input=NEW_PRODUCT),
        await client.code(UPDATE, input={"id": product, "name": "Stolen"}),
        await client.code(UPDATE, input={"id": product, "isActive": False}),
    }


@pytest.mark.parametrize("role", ["authenticated", "service_role"])
async def test_administrators_and_service_role_write_products(shop: Shop, role: str) -> None:
    admin = shop.client(shop.token(uuid4(), role=role, **(ADMIN if role == "authenticated" else {})))
    created = (await admin.do(CREATE, input=NEW_PRODUCT))["product"]
    assert created["name"] == "A new gift"
    updated = (await admin.do(UPDATE, input={"id": created["id"], "name": "A better gift"}))["product"]
    assert updated == {"id": created["id"], "name": "A better gift"}
    assert "A better gift" in await names(shop)


async def test_people_sessions_and_strangers_do_not(shop: Shop) -> None:
    product = (await shop.client().products(first=1))[0]["id"]
    before = await names(shop)
    for client in (await shop.account(), await shop.anonymous()):
        assert await refused(client, product) == {"FORBIDDEN"}
    assert await refused(shop.client(), product) == {"UNAUTHENTICATED"}
    assert await names(shop) == before


@pytest.mark.parametrize(
    "metadata",
    [
        {"role": "analyst"},
        {"role": "Admin"},
        {"role": "admin "},
        {"role": ["admin"]},
        {"roles": ["admin"]},
        {"role": {"admin": True}},
        {"role": True},
        ["admin"],
        "admin",
        None,
    ],
    ids=str,
)
async def test_only_the_very_word_makes_an_administrator(shop: Shop, metadata: Any) -> None:
    product = (await shop.client().products(first=1))[0]["id"]
    assert await refused(shop.client(shop.token(uuid4(), app_metadata=metadata)), product) == {"FORBIDDEN"}


async def test_an_anonymous_session_is_no_administrator_whatever_its_token_says(shop: Shop) -> None:
    """Signed by us: claims of the person's own making, as user_metadata, are not looked at either."""
    product = (await shop.client().products(first=1))[0]["id"]
    session = shop.client(shop.token(uuid4(), role="anon", is_anonymous=True, **ADMIN))
    assert await refused(session, product) == {"FORBIDDEN"}
    assert (await session.post("{ me { id } }")).status_code == 200


async def test_claims_changed_after_signing_are_refused(shop: Shop) -> None:
    for person in (await shop.anonymous(), await shop.account()):
        for forged in (ADMIN, {"role": "service_role"}, {"role": "authenticated", **ADMIN}):
            client = shop.client(with_payload(person.token or "", **forged))
            answer = await client.post(CREATE, input=NEW_PRODUCT)
            assert answer.status_code == 401
            assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await person.post("{ me { id } }")).json()["data"]["me"] is not None
    assert "A new gift" not in await names(shop)
