"""Roles: given and taken by those who are admin now, and by nobody who was or says so."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest

from db.claims import Claims
from domain import ids
from tests.authenticator import enrol
from tests.catalogue import NEW_PRODUCT
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_roles import (
    ANNA,
    BEN,
    CAROL,
    COUNTS,
    GRANT,
    REVOKE,
    admin,
    by_operator,
    renewed,
    role_of,
    verified,
)
from tests.http.test_second_factors import claims
from tests.http.test_sessions import ANNA as CREDENTIALS
from tests.http.test_sessions import REFRESH_PAIR, sign_in
from tests.security.test_administration import CREATE, UPDATE

CREATE_BRAND = 'mutation { createBrand(input: {name: "Stolen"}) { brand { id } userErrors { code } } }'
FACTOR = """
insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)
values (gen_random_uuid(), $1, 'totp', $2, now(), now())
"""


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


async def refresh(client: Client) -> None:
    pair = await client.do(REFRESH_PAIR, t=client.refresh_token)
    client.token, client.refresh_token = pair["accessToken"], pair["refreshToken"]


FEEDBACK = "{ recommendationFeedback(first: 1) { nodes { kind } } }"
LOGS = "{ auditLog(first: 1) { nodes { id } } systemLogs(first: 1) { nodes { id } } }"


async def admin_with_factor(shop: Shop) -> Client:
    """Signed in with the factor shown, after the role was granted."""
    anna = await verified(shop, ANNA)
    app = await enrol(anna)
    await app.show(anna)
    await by_operator(shop, ANNA)
    return await app.show(await sign_in(shop), 1)


@pytest.mark.usefixtures("own_accounts")
async def test_the_password_of_an_admin_with_a_second_factor_is_that_of_an_ordinary_person(shop: Shop) -> None:
    anna = await admin_with_factor(shop)
    product = (await anna.products(first=1))[0]["id"]
    assert set(await anna.ask(LOGS)) == {"auditLog", "systemLogs"}
    assert (await anna.do(UPDATE, input={"id": product, "name": "A better gift"}))["product"]
    thief = await sign_in(shop)
    await refresh(thief)
    assert claims(thief)["app_metadata"].get("role") is None
    assert set(await anna.ask(FEEDBACK)) == {"recommendationFeedback"}
    for query in (
        "{ auditLog(first: 1) { nodes { id } } }",
        "{ systemLogs(first: 1) { nodes { id } } }",
        COUNTS,
        FEEDBACK,
    ):
        assert await thief.code(query) == "FORBIDDEN"
    assert await thief.code(UPDATE, input={"id": product, "name": "Stolen"}) == "FORBIDDEN"
    assert await thief.code(CREATE, input=NEW_PRODUCT) == "FORBIDDEN"
    assert (await thief.refusal(GRANT, email=ANNA, role="admin"))["code"] == "SECOND_FACTOR_REQUIRED"
    await refresh(anna)
    assert claims(anna)["app_metadata"]["role"] == "admin"
    await anna.ask(LOGS)


@pytest.mark.parametrize("role", ["admin", "analyst"])
async def test_a_role_that_a_token_names_needs_the_second_factor_in_sql(shop: Shop, role: str) -> None:
    """A token of before the factor, or of another issuer."""
    anna = await verified(shop, ANNA)
    id = ids.decode_as("Profile", await anna.my_id())
    for status, aal, found in (
        (None, "aal1", role),
        ("unverified", "aal1", role),
        ("verified", "aal1", None),
        ("verified", "aal3", None),
        ("verified", "aal2", role),
    ):
        await shop.owner.execute("delete from auth.mfa_factors where user_id = $1", id)
        if status:
            await shop.owner.execute(FACTOR, id, status)
        as_told = Claims.from_payload(
            {"sub": str(id), "role": "authenticated", "aal": aal, "app_metadata": {"role": role}, "exp": 2e9}
        )
        async with shop.services.database.session(as_told, read_only=True) as session:
            ((app_role, is_admin),) = await session.run("select private.app_role(), private.is_admin()", [])
        assert (app_role, is_admin) == (found, found == "admin")


async def test_a_token_of_before_the_factor_reads_and_writes_nothing_of_an_admins(shop: Shop) -> None:
    anna = await admin(shop)
    product = (await anna.products(first=1))[0]["id"]
    await anna.do(UPDATE, input={"id": product, "name": "A better gift"})
    assert (await anna.ask("{ auditLog(first: 1) { nodes { id } } }"))["auditLog"]["nodes"]
    await shop.owner.execute(FACTOR, ids.decode_as("Profile", await anna.my_id()), "verified")
    assert (await anna.ask("{ auditLog(first: 1) { nodes { id } } }"))["auditLog"]["nodes"] == []
    assert (await anna.ask("{ systemLogs(first: 1) { nodes { id } } }"))["systemLogs"]["nodes"] == []
    assert await anna.code(COUNTS) == "FORBIDDEN"
    assert await anna.code(UPDATE, input={"id": product, "name": "Stolen"}) == "FORBIDDEN"
    assert await anna.code(CREATE, input=NEW_PRODUCT) == "FORBIDDEN"


@pytest.mark.usefixtures("own_accounts")
async def test_the_token_of_an_erased_admin_reads_and_writes_nothing_of_an_admins(shop: Shop) -> None:
    await verified(shop, CREDENTIALS["email"])
    await by_operator(shop, CREDENTIALS["email"])
    anna = await sign_in(shop)
    product = (await anna.products(first=1))[0]["id"]
    person = ids.decode_as("Profile", await anna.my_id())
    await anna.do(UPDATE, input={"id": product, "name": "A better gift"})
    await anna.do("mutation { deleteMyAccount(input: {confirm: true}) { userErrors { code } } }")
    assert (await anna.ask("{ auditLog(first: 1) { nodes { id } } }"))["auditLog"]["nodes"] == []
    assert (await anna.ask("{ systemLogs(first: 1) { nodes { id } } }"))["systemLogs"]["nodes"] == []
    assert await anna.code(COUNTS) == "UNAUTHENTICATED"
    assert await anna.code(CREATE_BRAND) == "UNAUTHENTICATED"
    assert await anna.code(CREATE, input=NEW_PRODUCT) == "UNAUTHENTICATED"
    assert await anna.code(UPDATE, input={"id": product, "name": "Stolen"}) == "UNAUTHENTICATED"
    # The audit log does not name the person again.
    assert not await shop.owner.fetchval("select count(*) from audit_log where actor = $1", person)
