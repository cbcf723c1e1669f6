"""Export and erasure: for the person alone, with their second factor if they have one, and to the last trace."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
import jwt
import pytest

from db.personal_data import LOG_IN, NOT_EXPORTED, READ_BY_PERSON, READ_BY_SERVICE, Personal
from db.programs import binary
from domain import ids
from tests.authenticator import RECOVER, RECOVERY_CODES, enrol
from tests.bases import Base
from tests.conftest import SECRET, Shop
from tests.exports import EXPORT, exported
from tests.http.test_second_factors import REFRESH
from tests.security.canaries import (
    ANNA,
    BEN,
    PERSONAL,
    SERVICE,
    VISITOR,
    Caller,
    become,
    person_id,
    plant,
)

DELETE = """
mutation { deleteMyAccount(input: {confirm: true, password: "correct horse"}) { deleted userErrors { code } } }
"""
DELETE_BY_TOKEN = "mutation { deleteMyAccount(input: {confirm: true}) { deleted userErrors { code } } }"
LONG_AGO = """update public.user_sessions set amr = jsonb_build_array(amr -> 0 || '{"timestamp": 1}')"""  # signed in
FACTOR = (
    "insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)"
    " values (gen_random_uuid(), $1, 'totp', $2, now(), now())"
)
AUTH_USER = "insert into auth.users (id, email) values ($1, $2)"

# Tables whose rows stay without the person, by design: the audit log and the ledger.
NOT_ERASED = ("public.audit_log", "public.conversions")
# Rows of a person in tables that nobody but the owner may write, and a sale.
OUT_OF_REACH = (
    "insert into private.one_time_tokens (user_id, kind, token_hash, email, expires_at)"
    " values ($1, 'verify_email', sha256('x'), 'anna@canary.example', now())",
    "insert into private.outbox (user_id, recipient, template, expires_at)"
    " values ($1, 'anna@canary.example', 'verify_email', now())",
    "insert into private.recovery_codes (user_id, code_hash) values ($1, sha256('x'))",
    "insert into private.personality_due (user_id) values ($1) on conflict do nothing",
    "insert into public.conversions (id, affiliate_network, reference, advertiser_id, click_id, user_id, status,"
    " currency, sale_minor, tracked_minor, pending_minor, approved_minor, declined_minor, reversed_minor, paid_minor,"
    " clawback_minor, variance_minor, ordered_at)"
    " values (gen_random_uuid(), 'awin', 'A1', '77', gen_random_uuid(), $1, 'pending',"
    " 'GBP', 100, 5, 5, 0, 0, 0, 0, 0, 0, now())",
    "insert into private.merged_rows (user_id, product_id, table_name, row_id)"
    " select $1, id, 'public.swipes', gen_random_uuid() from public.products limit 1",
)

# Columns of people that hold no free text: a check, a key or a type says what may stand there.
NOT_FREE = {
    "affiliate_clicks.currency", "affiliate_clicks.device_class",
    "affiliate_redirects.device_class", "affiliate_redirects.uncounted_reason",
    "consents.purpose",
    "dismissed_reasons.trait",
    "experiment_exposures.variant",
    "impressions.recommendation_context",
    "mfa_factors.factor_type", "mfa_factors.status",
    "occasions.budget_currency",
    "one_time_tokens.kind",
    "personality_assessment_history.assessment_method",
    "personality_assessment_history.assessment_trigger",
    "personality_profiles.assessment_method",
    "personality_recommendations.recommendation_context",
    "privacy_requests.kind",
    "quiz_drafts.instrument", "quiz_drafts.version",
    "recommendation_feedback.feedback_type", "recommendation_feedback.reason",
    "recommendations.recommendation_context",
    "user_sessions.aal",
}  # fmt: skip


# --- the second factor


async def requested(login: asyncpg.Connection[Any], caller: Caller, **claims: str) -> bool:
    """Whether the caller may ask for an erasure with such a token."""
    transaction = login.transaction()
    await transaction.start()
    try:
        await become(login, Caller(caller.label, caller.role, json.dumps(json.loads(caller.claims) | claims)))
        await login.execute("insert into public.privacy_requests (kind) values ('erasure')")
    except asyncpg.InsufficientPrivilegeError:
        return False
    finally:
        await transaction.rollback()
    return True


async def test_a_second_factor_must_have_been_used(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    for name in ("anna", "ben"):
        await canaries.execute(AUTH_USER, person_id(name), f"{name}@canary.example")
    for caller in (ANNA, BEN, VISITOR):
        assert await requested(login, caller)
    await canaries.execute(FACTOR, person_id("anna"), "unverified")
    assert await requested(login, ANNA), "a factor that was never verified is none"
    await canaries.execute(FACTOR, person_id("anna"), "verified")
    assert not await requested(login, ANNA)
    for level in ("aal1", "AAL2", "aal3", ""):
        assert not await requested(login, ANNA, aal=level)
    assert await requested(login, ANNA, aal="aal2")
    assert await requested(login, BEN), "of somebody else it asks nothing"


async def test_through_graphql_a_password_alone_neither_exports_nor_deletes(shop: Shop) -> None:
    anna = await shop.account()
    user = ids.decode_as("Profile", await anna.my_id())
    assert user is not None
    await shop.owner.execute(FACTOR, user, "verified")
    for mutation in (EXPORT, DELETE):
        answer = (await anna.post(mutation)).json()
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert "second factor" in answer["errors"][0]["message"]
        assert not answer.get("data")
    assert await shop.owner.fetchval("select count(*) from public.privacy_requests") == 0
    assert (await anna.ask("{ me { id } }"))["me"] is not None

    payload = jwt.decode(anna.token or "", options={"verify_signature": False})
    strong = shop.client(jwt.encode({**payload, "aal": "aal2"}, SECRET, algorithm="HS256"))
    assert (await exported(strong)).data["auth.mfa_factors"][0]["status"] == "verified"
    assert (await strong.do(DELETE))["deleted"]
    assert await shop.owner.fetchval("select count(*) from auth.mfa_factors") == 0


@pytest.mark.usefixtures("own_accounts")
async def test_a_code_is_no_sign_in(shop: Shop) -> None:
    """It may be of a factor that a thief of the token enrolled."""
    anna = await shop.verified_account()
    app = await enrol(anna)
    await shop.owner.execute(LONG_AGO)
    payload = await anna.do(REFRESH, token=anna.refresh_token)
    thief = await app.show(shop.client(payload["accessToken"]))
    assert (await thief.refusal(DELETE_BY_TOKEN))["code"] == "INVALID_CREDENTIALS"
    codes = (await thief.do(RECOVERY_CODES))["codes"]
    thief.token = (await thief.do(RECOVER, code=codes[0]))["accessToken"]
    assert (await thief.refusal(DELETE_BY_TOKEN))["code"] == "INVALID_CREDENTIALS"
    assert await shop.owner.fetchval("select count(*) from public.profiles") == 1
    assert (await thief.do(DELETE))["deleted"], "by the password, and aal2"


@pytest.mark.usefixtures("own_accounts")
@pytest.mark.parametrize("is_account", [True, False])
async def test_a_token_whose_session_has_ended_neither_exports_nor_deletes(shop: Shop, is_account: bool) -> None:
    """Somebody who saw a thief in the list of sessions, and ended theirs."""
    client = await (shop.account() if is_account else shop.anonymous())
    assert (await exported(client)).data["public.profiles"]
    await client.do("mutation { signOut { userErrors { code } } }")
    for mutation in (EXPORT, DELETE):
        assert await client.code(mutation) == "UNAUTHENTICATED"
    assert await shop.owner.fetchval("select count(*) from public.profiles") == 1


# --- nobody else's


async def test_what_erases_and_reads_log_ins_is_service_roles_alone(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    for caller in (ANNA, VISITOR):
        for statement in (
            f"select private.erase_person('{person_id('ben')}', array[sha256('x')])",
            f"select private.delete_person('{person_id('ben')}')",
            f"select private.export_log_in('{person_id('ben')}')",
            f"select private.redact_audit_log('{person_id('ben')}')",
            "select private.purge_anonymous(0, 1000)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await run_as(login, caller, statement)
    assert await canaries.fetchval("select count(*) from public.profiles") == 4


async def run_as(login: asyncpg.Connection[Any], caller: Caller, statement: str) -> Any:
    async with login.transaction():
        await become(login, caller)
        return await login.fetchval(statement)


async def test_forgetting_forgets_ones_own(canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]) -> None:
    await canaries.execute("insert into public.consents (user_id, purpose, granted, policy_version)"
                           " select id, 'analytics', false, '1' from public.profiles")  # fmt: skip
    await run_as(login, ANNA, "select private.forget_withdrawn()")
    left = await canaries.fetch("select user_id from public.session_analytics")
    assert {row["user_id"] for row in left} == {person_id(name) for name in ("ben", "carol", "visitor")}


async def test_an_export_by_ben_holds_nothing_of_anna(shop: Shop) -> None:
    await plant(shop.owner)
    ben = shop.client(shop.token(person_id("ben"), amr=[{"method": "password", "timestamp": int(time.time())}]))
    export = await exported(ben)
    assert all(export.data[f"public.{table}"] for table in PERSONAL if f"public.{table}" not in NOT_EXPORTED)
    document = json.dumps((await ben.do("mutation { exportMyData { document userErrors { code } } }"))["document"])
    for text in (export.text, document):
        assert "canary-ben" in text
        assert str(person_id("ben")) in text
        for name in ("anna", "carol", "visitor"):
            assert f"canary-{name}" not in text
            assert str(person_id(name)) not in text


async def test_row_level_security_decides_what_an_export_holds(shop: Shop) -> None:
    """A statement that forgot whose rows it reads would still read nobody else's."""
    await plant(shop.owner)
    for table in set(READ_BY_PERSON) - {"public.user_preferences"}:  # a view: the policies of its tables hold
        await shop.owner.execute(
            f"create policy nothing on {table} as restrictive for select to authenticated using (false)"
        )
    await shop.owner.execute("drop policy nothing on public.privacy_requests")  # else none could be asked for
    ben = shop.client(shop.token(person_id("ben"), amr=[{"method": "password", "timestamp": int(time.time())}]))
    data = (await exported(ben)).data
    assert {name for name in READ_BY_PERSON if data[name]} == {"public.privacy_requests"}


async def test_what_a_token_says_of_its_person_holds_for_the_export(shop: Shop) -> None:
    """Policies of an installation's own may ask for it, as those of tenants do."""
    await plant(shop.owner)
    await shop.owner.execute(
        "create policy tenant on public.gift_links as restrictive for select to authenticated"
        " using (auth.jwt() -> 'app_metadata' ->> 'tenant_id' = 'hers')"
    )
    for tenant, many in (("hers", 1), ("another", 0)):
        token = shop.token(
            person_id("anna"),
            app_metadata={"tenant_id": tenant},
            amr=[{"method": "password", "timestamp": int(time.time())}],
        )
        assert len((await exported(shop.client(token))).data["public.gift_links"]) == many


async def test_the_rights_an_export_borrows_end_with_it(shop: Shop) -> None:
    anna = await shop.account()
    await exported(anna)
    await anna.do("mutation { exportMyData { document userErrors { code } } }")
    connections = [await shop.services.database.pool.acquire() for _ in range(4)]
    for connection in connections:
        state = "select current_user, current_setting('role'), current_setting('request.jwt.claims', true)"
        user, role, claims = await connection.fetchrow(state)
        assert (user, role, claims or "") == ("aclue_api", "none", "")
        shop.services.database.pool.release(connection)
    assert await anna.code("{ auditLog { totalCount } }") == "FORBIDDEN"


# --- complete


async def people_tables(owner: asyncpg.Connection[Any]) -> set[str]:
    """Every table that says of whom a row is: by a reference to people or by the name of a column."""
    rows = await owner.fetch(
        """
        select distinct n.nspname || '.' || c.relname as name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_constraint f on f.conrelid = c.oid and f.contype = 'f' and a.attnum = any (f.conkey)
          and f.confrelid in ('public.profiles'::regclass, 'auth.users'::regclass)
        where n.nspname in ('public', 'private', 'auth') and not c.relispartition
          and (c.relkind in ('r', 'p') or c.relkind = 'v' and n.nspname = 'public')
          and (f.oid is not null or a.attname ~ '^(user|person|profile|owner|account|subject|actor)(_id)?$')
        """
    )
    return {row["name"] for row in rows} | {"public.profiles", "auth.users"}


EXPORTED: Mapping[str, Personal] = {**READ_BY_PERSON, **READ_BY_SERVICE, **LOG_IN}


async def test_every_table_with_a_person_is_exported_or_a_documented_exception(
    owner: asyncpg.Connection[Any], base: Base
) -> None:
    elsewhere = {"auth.sessions"} if base.is_supabase else set[str]()  # of the sign-in service, which answers for it
    assert await people_tables(owner) == set(EXPORTED) | set(NOT_EXPORTED) | elsewhere
    assert not set(EXPORTED) & set(NOT_EXPORTED)
    await owner.execute(
        "create table public.forgotten (whose uuid references public.profiles); create table private.too (user_id uuid)"
    )
    assert await people_tables(owner) - set(EXPORTED) - elsewhere == {*NOT_EXPORTED, "public.forgotten", "private.too"}


async def test_every_column_of_these_is_exported_or_left_out_for_a_reason(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], base: Base
) -> None:
    columns = {
        name: {
            row["attname"]
            for row in await canaries.fetch(
                "select attname from pg_attribute where attrelid = $1::text::regclass and attnum > 0"
                " and not attisdropped",
                name,
            )
        }
        for name in EXPORTED
    }
    unknown = {f"{name}.{column}" for name, table in EXPORTED.items() for column in set(table.left_out) - columns[name]}
    assert unknown == ({"auth.mfa_factors.last_used_step"} if base.is_supabase else set())
    unread = {}
    for caller, tables in ((ANNA, READ_BY_PERSON), (VISITOR, READ_BY_PERSON), (SERVICE, READ_BY_SERVICE)):
        for name, table in tables.items():
            for column in columns[name] - set(table.left_out):
                readable = f"select has_column_privilege('{name}', '{column}', 'select')"
                if not await run_as(login, caller, readable):
                    unread[f"{name}.{column}"] = caller.label
    assert unread == {}
    await canaries.execute(AUTH_USER, person_id("anna"), "anna@canary.example")
    await canaries.execute(FACTOR, person_id("anna"), "verified")
    log_in = json.loads(await run_as(login, SERVICE, f"select private.export_log_in('{person_id('anna')}')"))
    for name, table in LOG_IN.items():
        assert not set(log_in[name][0]) & set(table.left_out)
        assert set(log_in[name][0]) <= columns[name]
        if base.accounts_are_ours:  # Supabase's have a dozen columns more, for its own service
            assert set(log_in[name][0]) | set(table.left_out) == columns[name]


# --- to the last trace


async def texts_of(owner: asyncpg.Connection[Any], tables: dict[str, str]) -> list[asyncpg.Record]:
    """schema, table, column and type of everything in these tables that can hold a text."""
    return await owner.fetch(
        """
        select n.nspname as schema, c.relname as table, a.attname as column, format_type(a.atttypid, null) as type
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
        where a.attrelid = any ($1::text[]::regclass[]) and a.attnum > 0 and not a.attisdropped
          and a.attgenerated = '' and format_type(a.atttypid, null)
            in ('text', 'text[]', 'jsonb', 'character', 'character varying')
        """,
        list(tables),
    )


async def plant_texts(
    owner: asyncpg.Connection[Any], tables: dict[str, str], person: UUID
) -> tuple[set[str], set[str]]:
    """Writes a text of its own into each column of the person's rows: the texts, and the columns that took none."""
    planted, refused = set(), set()
    for number, row in enumerate(await texts_of(owner, tables)):
        name = f"{row['schema']}.{row['table']}"
        text = f"trace{number:03}x"
        forms = {
            "jsonb": [f'{{"{text}": "{text}"}}', f'["{text}"]'],
            "text[]": [f"{{{text}}}"],
        }.get(row["type"], [text, f"https://{text}.example", f"{text}@people.example"])
        for form in forms:
            try:
                async with owner.transaction():
                    await owner.execute(
                        f"update {name} set {row['column']} = $2::text::{row['type']} where {tables[name]} = $1",
                        person,
                        form,
                    )
            except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
                continue
            planted.add(text)
            break
        else:
            refused.add(f"{row['table']}.{row['column']}")
    return planted, refused


def dumped(dsn: str) -> str:
    """The whole database as pg_dump writes it."""
    return subprocess.run([str(binary("pg_dump")), dsn], capture_output=True, text=True, check=True).stdout


async def test_after_a_deletion_a_full_dump_holds_no_trace(shop: Shop) -> None:
    anna, owner = person_id("anna"), shop.owner
    await plant(owner)
    await owner.execute(AUTH_USER, anna, "anna@canary.example")
    await owner.execute(FACTOR, anna, "unverified")
    for statement in OUT_OF_REACH:
        await owner.execute(statement, anna)
    tables = {name: table.person for name, table in EXPORTED.items() if name not in NOT_ERASED}
    tables |= dict.fromkeys(NOT_EXPORTED, "user_id")
    del tables["public.user_preferences"], tables["public.conversion_origins"]  # views
    del tables["public.ledger_entries"]  # accounts of money
    planted, refused = await plant_texts(owner, tables, anna)
    enums = {"mfa_factors.factor_type", "mfa_factors.status"} if shop.base.is_supabase else set[str]()
    assert refused == NOT_FREE - enums
    assert len(planted) > 30
    assert shop.dsns.superuser
    before = dumped(shop.dsns.superuser)
    assert {text for text in planted if text not in before} == set()
    in_the_log = await owner.fetchval("select string_agg(changes::text, '') from public.audit_log")
    assert any(text in in_the_log for text in planted)

    token = shop.token(anna, amr=[{"method": "password", "timestamp": int(time.time())}])
    assert (await shop.client(token).do(DELETE))["deleted"]

    after = dumped(shop.dsns.superuser)
    traces = {*planted, str(anna), "canary-anna", "anna@canary.example"}
    assert {text for text in traces if text in after} == set()
    assert "canary-ben" in after
    sale = await owner.fetchrow("select user_id, tracked_minor from public.conversions where click_id is not null")
    assert sale and tuple(sale) == (None, 5), "the money stays, without the person"
    assert await owner.fetchval("select count(*) from public.audit_log where erased_at is not null") > 3
