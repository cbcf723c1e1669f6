"""The optional module sql/optional/tenants.sql, in this test's own copy of the database."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from db.migrations import SQL_FOLDER
from domain import ids
from tests.bases.accounts import add_user
from tests.client import Client
from tests.conftest import Shop
from tests.security import test_row_level_security as matrix
from tests.security.canaries import ADMIN, ANNA, BEN, LEDGER, NOBODY, PERSONAL, SERVICE, VISITOR, Caller

MODULE = (SQL_FOLDER / "optional" / "tenants.sql").read_text()
NORTH, SOUTH = uuid4(), uuid4()
SIGN_IN = """
mutation {
  signIn(input: {email: "anna@people.example", password: "correct horse"}) { accessToken userErrors { code } }
}
"""
SWIPES = "{ me { swipes { totalCount } } }"
TENANT = "select tenant_id from public.{} where {} = $1"


@pytest.fixture
async def tenants(owner: asyncpg.Connection[Any]) -> asyncpg.Connection[Any]:
    """The owner, after the module was run: twice, which is harmless."""
    await owner.execute(MODULE)
    await owner.execute(MODULE)
    return owner


async def account(shop: Shop, tenant: UUID | None) -> UUID:
    assert shop.dsns.superuser
    user = await add_user(shop.base, shop.dsns.superuser, f"{uuid4()}@people.example")
    if tenant:
        await move(shop, user, tenant)
    return user


async def move(shop: Shop, user: UUID, tenant: UUID) -> None:
    metadata = json.dumps({"tenant_id": str(tenant)})
    await shop.owner.execute("update auth.users set raw_app_meta_data = $2::jsonb where id = $1", user, metadata)


def token_of(shop: Shop, user: UUID, tenant: Any, **more: Any) -> Client:
    metadata = {"tenant_id": str(tenant)} if tenant else {}
    return shop.client(shop.token(user, app_metadata={**metadata, **more}))


async def swipe(client: Client, product: str = "Books 1") -> None:
    await client.swipe((await client.product(product))["id"])


async def count(client: Client) -> int | None:
    me = (await client.ask(SWIPES))["me"]
    return me and me["swipes"]["totalCount"]


@pytest.mark.parametrize("caller", [NOBODY, VISITOR, ANNA, BEN, ADMIN, SERVICE], ids=lambda caller: caller.label)
async def test_without_tenants_everybody_may_what_they_might_before(
    tenants: asyncpg.Connection[Any], canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    await matrix.test_blind_statements_touch_what_the_matrix_says_and_nothing_else(canaries, login, caller)


async def test_every_table_of_people_is_confined(tenants: asyncpg.Connection[Any]) -> None:
    confined = await tenants.fetch(
        "select tablename from pg_policies where policyname = 'tenant' and permissive = 'RESTRICTIVE'"
    )
    assert {row[0] for row in confined} == set(PERSONAL) | LEDGER


async def test_rows_are_of_the_tenant_of_their_person(tenants: asyncpg.Connection[Any], shop: Shop) -> None:
    anna, ben = await account(shop, NORTH), await account(shop, None)
    for user, tenant in ((anna, NORTH), (ben, None)):
        client = token_of(shop, user, tenant)
        await swipe(client)
        assert await count(client) == 1
        for table, column in (("profiles", "id"), ("swipes", "user_id"), ("product_signals", "user_id")):
            assert await tenants.fetchval(TENANT.format(table, column), user) == tenant


async def test_accounts_that_were_there_before_are_sorted_in(owner: asyncpg.Connection[Any], shop: Shop) -> None:
    anna = await account(shop, NORTH)
    await swipe(shop.client(shop.token(anna)))
    await owner.execute(MODULE)
    assert await owner.fetchval(TENANT.format("swipes", "user_id"), anna) == NORTH
    assert await count(token_of(shop, anna, NORTH)) == 1


@pytest.mark.parametrize("tenant", [SOUTH, None, "nonsense", "' or true --"], ids=["another", "none", "no uuid", "SQL"])
async def test_a_token_of_another_tenant_sees_and_changes_nothing(
    tenants: asyncpg.Connection[Any], shop: Shop, tenant: Any
) -> None:
    anna = await account(shop, NORTH)
    await swipe(token_of(shop, anna, NORTH))
    foreign = token_of(shop, anna, tenant)
    assert await count(foreign) is None
    assert (await foreign.ask("query ($id: ID!) { node(id: $id) { id } }", id=ids.encode("Profile", anna)))[
        "node"
    ] is None
    product = (await foreign.product("Books 2"))["id"]
    response = await foreign.post(
        "mutation ($input: SwipeInput!) { recordSwipe(input: $input) { swipe { id } userErrors { code } } }",
        input={"productId": product, "direction": "UP", "clientSwipeId": "1"},
    )
    assert response.json()["errors"][0]["extensions"]["code"] in {
        "FORBIDDEN",
        "UNAUTHENTICATED",
        "INTERNAL_SERVER_ERROR",
    }
    assert await tenants.fetchval("select count(*) from public.swipes") == 1
    assert await count(token_of(shop, anna, NORTH)) == 1


async def test_whatever_else_is_allowed_stays_within_the_tenant(tenants: asyncpg.Connection[Any], shop: Shop) -> None:
    """A careless policy lets everybody read every swipe: they read those of their tenant."""
    people = {user: tenant for tenant in (NORTH, NORTH, SOUTH, None) for user in [await account(shop, tenant)]}
    for user, tenant in people.items():
        await swipe(token_of(shop, user, tenant))
    await tenants.execute("create policy careless on public.swipes for select to authenticated using (true)")
    seen = {}
    for user, tenant in people.items():
        claims = {
            "sub": str(user),
            "role": "authenticated",
            "app_metadata": {"tenant_id": str(tenant)} if tenant else {},
        }
        api = await asyncpg.connect(shop.dsns.api)
        async with api.transaction():
            await api.execute("select set_config('request.jwt.claims', $1, true)", json.dumps(claims))
            await api.execute("set local role authenticated")
            seen[user] = {row[0] for row in await api.fetch("select user_id from public.swipes")}
        await api.close()
    assert seen == {user: {other for other in people if people[other] == tenant} for user, tenant in people.items()}


async def test_nobody_chooses_a_tenant(tenants: asyncpg.Connection[Any], shop: Shop) -> None:
    anna = await account(shop, NORTH)
    api = await asyncpg.connect(shop.dsns.api)
    claims = {"sub": str(anna), "role": "authenticated", "app_metadata": {"tenant_id": str(NORTH)}}

    async def attempt(statement: str) -> None:
        async with api.transaction():
            await api.execute("select set_config('request.jwt.claims', $1, true)", json.dumps(claims))
            await api.execute("set local role authenticated")
            await api.execute(statement)

    for table in PERSONAL:
        for statement in ("update public.{} set tenant_id = null", "insert into public.{} (tenant_id) values (null)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await attempt(statement.format(table))
    await api.close()
    chosen = shop.client(shop.token(anna, app_metadata={"tenants": [str(NORTH)]}, email=str(NORTH)))
    assert await count(chosen) is None


async def test_who_moves_takes_everything_along(tenants: asyncpg.Connection[Any], shop: Shop) -> None:
    anna = await account(shop, NORTH)
    await swipe(token_of(shop, anna, NORTH))
    await move(shop, anna, SOUTH)
    assert await count(token_of(shop, anna, NORTH)) is None
    assert await count(token_of(shop, anna, SOUTH)) == 1
    assert await tenants.fetchval(TENANT.format("product_signals", "user_id"), anna) == SOUTH


@pytest.mark.usefixtures("own_accounts")
async def test_an_account_signs_in_to_its_tenant(tenants: asyncpg.Connection[Any], shop: Shop) -> None:
    """With the tokens that this service issues itself: app_metadata of the account is in them."""
    anna = await shop.account("anna@people.example")
    user = ids.decode_as("Profile", await anna.my_id())
    assert user
    await move(shop, user, NORTH)
    assert await count(anna) is None  # her old token names no tenant
    fresh = shop.client((await shop.client().do(SIGN_IN))["accessToken"])
    await swipe(fresh)
    assert await count(fresh) == 1
