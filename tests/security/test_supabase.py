"""People whom Supabase's sign-in service knows: its rows of auth.users, its tokens, its anonymous sign-in.

All of it holds where the auth schema is ours too, but for what only a Supabase base can show (`on_supabase`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import jwt
import msgspec
import pytest

from db import claims as claims_module
from db import migrations
from db.claims import ANONYMOUS, Claims
from db.embedded import Dsns
from domain import ids
from server import create_app
from settings import Settings
from tests.bases import BLANK, Base
from tests.bases.accounts import add_user, supabase_claims
from tests.client import Client
from tests.conftest import SECRET, Shop, cloned
from tests.security.issuer import ISSUER, Issuer

ME = """{
  me { id isAnonymous email swipes { totalCount nodes { id } } personality { primaryType } preferences { totalSwipes } }
}"""
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
CREATE = """
mutation { createProduct(input: {
  name: "x", price: "1.00", categorySlug: "books", retailerSlug: "north-shop", externalId: "x", url: "https://north.example/x"
}) { userErrors { code } } }
"""
ACCOUNT_MUTATIONS = {
    "signUp": 'mutation { signUp(input: {email: "a@b.example", password: "long enough"}) { userErrors { code } } }',
    "signIn": 'mutation { signIn(input: {email: "a@b.example", password: "long enough"}) { userErrors { code } } }',
}


@dataclass
class Project:
    """The service as it runs beside Supabase: its issuer, its keys, its rows of auth.users."""

    shop: Shop
    http: httpx.AsyncClient
    issuer: Issuer

    async def user(self, email: str | None = None) -> UUID:
        assert self.shop.dsns.superuser
        return await add_user(self.shop.base, self.shop.dsns.superuser, email)

    def signed_in(self, user: UUID, email: str | None = None, **changes: Any) -> Client:
        """A caller with a token as Supabase signs it, with a key that it publishes."""
        return Client(self.http, self.issuer.token(**supabase_claims(user, ISSUER, email=email, **changes)))

    def legacy(self, user: UUID, email: str | None = None, **changes: Any) -> Client:
        """With the older form of token, signed with the project's shared secret."""
        payload = supabase_claims(user, ISSUER, email=email, **changes)
        return Client(self.http, jwt.encode(payload, SECRET, "HS256", headers={"kid": "legacy"}))


@pytest.fixture
async def project(
    shop: Shop, settings: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Project]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    configured = msgspec.structs.replace(settings, jwt_jwks_url=issuer.url, jwt_issuer=ISSUER)
    app = create_app(configured, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        yield Project(shop, http, issuer)


@pytest.fixture
def on_supabase(base: Base) -> None:
    if not base.is_supabase:
        pytest.skip("only the Supabase base shows this")


@pytest.mark.parametrize("kind", ["signed_in", "legacy"])
async def test_an_anonymous_sign_in_has_all_that_is_its_own(project: Project, kind: str) -> None:
    visitor = getattr(project, kind)(await project.user())
    me = (await visitor.ask(ME))["me"]
    assert (me["isAnonymous"], me["email"], me["swipes"]["totalCount"]) == (True, None, 0)
    product = (await visitor.product("Painting 1"))["id"]
    swipe = (await visitor.swipe(product))["swipe"]["id"]
    assert (await visitor.take_quiz({"cre"}))["personality"]["primaryType"] == "CREATIVE"
    me = (await visitor.ask(ME))["me"]
    assert [node["id"] for node in me["swipes"]["nodes"]] == [swipe]
    assert (me["personality"], me["preferences"]) == ({"primaryType": "CREATIVE"}, {"totalSwipes": 1})
    assert product not in [shown["product"]["id"] for shown in (await visitor.feed(first=50))["nodes"]]


async def test_anonymous_sign_ins_and_accounts_see_nothing_of_each_other(project: Project) -> None:
    visitor, other = project.signed_in(await project.user()), project.signed_in(await project.user())
    anna = project.signed_in(await project.user("anna@people.example"), "anna@people.example")
    product = (await visitor.product("Books 1"))["id"]
    rows = {person: (await person.swipe(product))["swipe"]["id"] for person in (visitor, other, anna)}
    for person, own in rows.items():
        found = (await person.ask(NODES, ids=list(rows.values())))["nodes"]
        assert [node and node["id"] for node in found] == [id if id == own else None for id in rows.values()]


async def test_an_anonymous_sign_in_that_becomes_an_account_keeps_its_rows(project: Project) -> None:
    user = await project.user()
    visitor = project.signed_in(user)
    await visitor.swipe((await visitor.product("Books 1"))["id"])
    await project.shop.owner.execute(
        "update auth.users set email = 'anna@people.example', is_anonymous = false where id = $1", user
    )
    me = (await project.signed_in(user, "anna@people.example").ask(ME))["me"]
    assert me["id"] == ids.encode("Profile", user)
    assert (me["isAnonymous"], me["email"], me["swipes"]["totalCount"]) == (False, "anna@people.example", 1)


async def test_an_anonymous_sign_in_is_no_administrator_whatever_its_token_says(project: Project) -> None:
    user, admin = await project.user(), {"role": "admin"}
    assert await project.signed_in(user, app_metadata=admin).code(CREATE) == "FORBIDDEN"
    async with project.shop.services.database.session(
        Claims.from_payload(supabase_claims(user, ISSUER, email=None, app_metadata=admin)), read_only=True
    ) as session:
        assert [tuple(row) for row in await session.run("select private.app_role(), private.is_admin()", [])] == [
            (None, False)
        ]
    account = await project.user("boss@people.example")
    assert (await project.signed_in(account, "boss@people.example", app_metadata=admin).do(CREATE))["userErrors"] == []


async def test_claims_that_people_choose_themselves_grant_nothing(project: Project) -> None:
    """user_metadata is the person's own to write, and raw_user_meta_data is nobody's role."""
    user = await project.user("anna@people.example")
    anna = project.signed_in(
        user, "anna@people.example", user_metadata={"role": "admin", "app_metadata": {"role": "admin"}}
    )
    assert await anna.code(CREATE) == "FORBIDDEN"


async def test_a_deleted_user_takes_everything_along(project: Project) -> None:
    user = await project.user("anna@people.example")
    anna = project.signed_in(user, "anna@people.example")
    swipe = (await anna.swipe((await anna.product("Books 1"))["id"]))["swipe"]["id"]
    assert (await anna.ask(NODES, ids=[swipe]))["nodes"] == [{"id": swipe}]
    await project.shop.owner.execute("delete from auth.users where id = $1", user)
    assert (await anna.ask(ME))["me"] is None
    assert await project.shop.owner.fetchval("select count(*) from public.swipes") == 0


@pytest.mark.usefixtures("on_supabase")
async def test_a_user_deleted_softly_takes_everything_along_too(project: Project) -> None:
    user = await project.user("anna@people.example")
    await project.shop.owner.execute("update auth.users set email = 'a hash', deleted_at = now() where id = $1", user)
    assert await project.shop.owner.fetchval("select count(*) from public.profiles where id = $1", user) == 0


@pytest.mark.usefixtures("on_supabase")
async def test_a_second_account_of_one_email_is_no_obstacle_to_signing_up(project: Project) -> None:
    """Supabase allows it to single sign-on; our unique e-mail must not make its insert fail."""
    first = await project.user("anna@people.example")
    await project.shop.owner.execute(
        "insert into auth.users (id, email, is_sso_user) values (gen_random_uuid(), 'Anna@people.example', true)"
    )
    found = await project.shop.owner.fetch(
        "select id, email from public.profiles where not is_anonymous order by email"
    )
    assert [(row["id"] == first, row["email"]) for row in found] == [(True, "anna@people.example"), (False, None)]


@pytest.mark.usefixtures("on_supabase")
@pytest.mark.parametrize("field", ACCOUNT_MUTATIONS)
async def test_passwords_are_not_ours_to_take(project: Project, field: str) -> None:
    assert (await Client(project.http).refusal(ACCOUNT_MUTATIONS[field]))["code"] == "UNAVAILABLE"


@pytest.mark.usefixtures("on_supabase")
async def test_people_who_signed_up_before_us_have_profiles(base: Base) -> None:
    async with cloned(base, BLANK) as dsns:
        assert dsns.superuser and dsns.owner
        users = [await add_user(base, dsns.superuser, email) for email in ("anna@people.example", None)]
        owner = await asyncpg.connect(dsns.owner)
        await owner.execute("insert into auth.users (id, email, deleted_at) values ($1, 'a hash', now())", uuid4())
        await owner.execute(
            "insert into auth.users (id, email, is_sso_user) values ($1, 'anna@people.example', true)", uuid4()
        )
        await migrations.migrate(owner)
        found = await owner.fetch("select id, email, is_anonymous from public.profiles order by created_at, email")
        await owner.close()
    assert sorted((row["email"] or "", row["is_anonymous"]) for row in found) == [
        ("", False),
        ("", True),
        ("anna@people.example", False),
    ]
    assert set(users) < {row["id"] for row in found}


FOREIGN = """
select 'table ' || c.oid::regclass, c.relowner::regrole || ' ' || coalesce(c.relacl::text, '') || c.relrowsecurity
from pg_class c where c.relnamespace in ('auth'::regnamespace, 'extensions'::regnamespace)
union all
select 'column ' || attrelid::regclass || '.' || attname, atttypid::regtype || ' ' || attnotnull
from pg_attribute join pg_class c on c.oid = attrelid where c.relnamespace = 'auth'::regnamespace and attnum > 0
union all
select 'function ' || oid::regprocedure, proowner::regrole || ' ' || coalesce(proacl::text, '') || md5(prosrc)
from pg_proc where pronamespace in ('auth'::regnamespace, 'extensions'::regnamespace)
union all
select 'schema ' || nspname,
  nspowner::regrole || ' ' || nspacl::text || coalesce(obj_description(oid, 'pg_namespace'), '')
from pg_namespace where nspname in ('auth', 'extensions')
union all
select 'policy ' || polname, polrelid::regclass::text from pg_policy where polrelid in (
  select oid from pg_class where relnamespace = 'auth'::regnamespace)
union all
select 'role ' || rolname, row (rolsuper, rolinherit, rolcreaterole, rolcanlogin, rolbypassrls, rolconfig)::text
from pg_roles where rolname <> 'aclue_api'
union all
select 'default privileges of supabase_admin', string_agg(defaclacl::text, ' ' order by defaclobjtype)
from pg_default_acl where defaclrole = 'supabase_admin'::regrole
order by 1, 2
"""


@pytest.mark.usefixtures("on_supabase")
async def test_migrating_leaves_what_is_supabases_alone(base: Base, dsns: Dsns) -> None:
    """Two triggers on auth.users are all that is added to it."""
    async with cloned(base, BLANK) as blank:
        before, after = await asyncpg.connect(blank.owner), await asyncpg.connect(dsns.owner)
        found = [[tuple(row) for row in await connection.fetch(FOREIGN)] for connection in (before, after)]
        triggers = await after.fetch(
            "select tgname from pg_trigger join pg_class c on c.oid = tgrelid"
            " where not tgisinternal and relnamespace = 'auth'::regnamespace order by tgname"
        )
        await before.close()
        await after.close()
    assert found[0] == found[1]
    assert len(found[0]) > 50
    assert [row[0] for row in triggers] == ["aclue_profile_deleted", "aclue_profile_written"]


@pytest.mark.usefixtures("on_supabase")
async def test_new_objects_of_the_owner_are_no_longer_everybodys(base: Base, dsns: Dsns) -> None:
    """What came of it for our own objects is in test_grants.py."""
    granted = (
        "select count(*) from pg_default_acl cross join aclexplode(defaclacl) acl"
        " where defaclrole = 'postgres'::regrole and defaclnamespace = 'public'::regnamespace"
        " and acl.grantee in ('anon'::regrole, 'authenticated'::regrole, 'service_role'::regrole, 0)"
    )
    async with cloned(base, BLANK) as blank:
        before, after = await asyncpg.connect(blank.owner), await asyncpg.connect(dsns.owner)
        assert await before.fetchval(granted) > 20
        assert await after.fetchval(granted) == 0
        await before.close()
        await after.close()


@pytest.mark.parametrize(
    "claims", [ANONYMOUS, Claims(subject=uuid4(), role="authenticated", raw='{"role":"authenticated"}')]
)
async def test_claims_in_the_old_spelling_do_not_outlive_the_caller_before(
    login: asyncpg.Connection[Any], claims: Claims
) -> None:
    """On Supabase they win over the new one: whatever a connection was left with, ours are read."""
    thief = uuid4()
    for name, value in (
        ("request.jwt.claim.sub", str(thief)),
        ("request.jwt.claim.role", "service_role"),
        ("request.jwt.claim", json.dumps({"sub": str(thief), "app_metadata": {"role": "admin"}})),
    ):
        await login.execute("select set_config($1, $2, false)", name, value)
    async with login.transaction():
        await claims_module.apply(login, claims, 1000)
        seen = await login.fetchrow("select auth.uid(), auth.role(), auth.jwt() ->> 'sub', private.is_admin()")
    assert seen is not None
    assert thief not in tuple(seen) and str(thief) not in tuple(seen)
    assert (seen[1], seen[3]) == (claims.role, False)
