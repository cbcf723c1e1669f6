"""Roles: given and taken by those who are admin now, and by nobody who was or says so."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest

from tests.authenticator import enrol
from tests.conftest import Shop
from tests.http.test_roles import ANNA, BEN, CAROL, GRANT, REVOKE, admin, by_operator, renewed, role_of, verified
from tests.http.test_sessions import ANNA as CREDENTIALS
from tests.http.test_sessions import sign_in


async def test_nobody_but_admins_gives_and_takes_roles(shop: Shop) -> None:
    await admin(shop)
    await verified(shop, BEN)
    await by_operator(shop, BEN, "analyst")
    for client in (await renewed(shop, BEN), await verified(shop, CAROL), await shop.anonymous()):
        for mutation, email in ((GRANT, BEN), (GRANT, CAROL), (REVOKE, ANNA), (GRANT, "nobody@people.example")):
            assert await client.code(mutation, email=email, role="admin") == "FORBIDDEN"
    assert await shop.client().code(GRANT, email=BEN, role="admin") == "UNAUTHENTICATED"
    assert [await role_of(shop, email) for email in (ANNA, BEN, CAROL)] == ["admin", "analyst", None]


async def test_who_was_admin_does_not_bring_the_role_back_with_an_old_token(shop: Shop) -> None:
    anna, ben = await admin(shop), await admin(shop, BEN)
    await verified(shop, CAROL)
    await anna.do(REVOKE, email=BEN, role="admin")
    for mutation, email in ((GRANT, BEN), (GRANT, CAROL), (REVOKE, ANNA)):
        assert await ben.code(mutation, email=email, role="admin") == "FORBIDDEN"
    assert [await role_of(shop, email) for email in (ANNA, BEN, CAROL)] == ["admin", None, None]


async def test_a_token_of_the_operators_own_making_may(shop: Shop) -> None:
    """`aclue token --role admin` and a service's token have no session: who has the secret may do this anyway."""
    await verified(shop, BEN)
    operator = shop.client(shop.token(uuid4(), app_metadata={"role": "admin"}))
    await operator.do(GRANT, email=BEN, role="analyst")
    service = shop.client(shop.token(uuid4(), role="service_role"))
    await service.do(REVOKE, email=BEN, role="analyst")


async def test_an_anonymous_sign_in_is_given_no_role(shop: Shop) -> None:
    anna = await admin(shop)
    await verified(shop, BEN)
    await shop.owner.execute("update auth.users set is_anonymous = true where email = $1", BEN)
    assert (await anna.refusal(GRANT, email=BEN, role="admin"))["code"] == "NOT_FOUND"


@pytest.mark.usefixtures("own_accounts")
async def test_an_admin_with_a_second_factor_must_have_shown_it(shop: Shop) -> None:
    client = await verified(shop, CREDENTIALS["email"])
    await by_operator(shop, CREDENTIALS["email"])
    app = await enrol(client)
    await app.show(client)
    await verified(shop, BEN)
    anna = await sign_in(shop)
    for mutation in (GRANT, REVOKE):
        refusal = await anna.refusal(mutation, email=BEN, role="analyst")
        assert refusal["code"] == "SECOND_FACTOR_REQUIRED"
    await app.show(anna, 1)
    await anna.do(GRANT, email=BEN, role="analyst")


@pytest.mark.usefixtures("own_accounts")
async def test_an_admin_who_has_signed_out_gives_no_role(shop: Shop) -> None:
    await verified(shop, CREDENTIALS["email"])
    await verified(shop, BEN)
    await by_operator(shop, CREDENTIALS["email"])
    anna = await sign_in(shop)
    await anna.do("mutation { signOut { userErrors { code } } }")
    assert await anna.code(GRANT, email=BEN, role="admin") == "UNAUTHENTICATED"


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_nobody_changes_roles_by_sql(shop: Shop, role: str) -> None:
    await verified(shop, BEN)
    login = await asyncpg.connect(shop.dsns.api)
    try:
        await login.execute(f"set role {role}")
        for statement in (
            f"select private.change_role('{BEN}', array['{BEN}'], 'admin', true, null)",
            "select private.people_with_roles()",
            'update auth.users set raw_app_meta_data = \'{"role": "admin"}\'',
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await login.execute(statement)
    finally:
        await login.close()
