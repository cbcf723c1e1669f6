"""Erasures that survive a restored backup, and data that does not outlive its period."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from db import privacy
from db.embedded import Dsns
from db.privacy import BadTombstones, Tombstone
from db.programs import binary
from domain import ids
from domain.tombstones import Tombstones
from settings import Settings
from tests.catalogue import fill_catalogue
from tests.conftest import Shop, to_database

DELETE = "mutation { deleteMyAccount(input: {confirm: true}) { deleted userErrors { message } } }"


@pytest.fixture
async def empty(server: Dsns) -> AsyncIterator[Dsns]:
    """Log-ins to a database without anything in it."""
    assert server.superuser and server.owner
    name = f"restored_{secrets.token_hex(6)}"
    superuser = await asyncpg.connect(to_database(server.superuser, "postgres"))
    await superuser.execute(f"create database {name} owner aclue_owner")
    yield Dsns(*(to_database(dsn, name) for dsn in (server.api, server.owner, server.superuser)))
    await superuser.execute(f"drop database {name} with (force)")
    await superuser.close()


def run(program: str, dsn: str, *arguments: str, given: str | None = None) -> str:
    environment = {**os.environ, "PGPASSWORD": urlsplit(dsn).password or ""}
    command = [str(binary(program)), *arguments, dsn]
    finished = subprocess.run(command, input=given, capture_output=True, text=True, check=True, env=environment)
    return finished.stdout


async def test_a_restored_backup_forgets_again_whom_it_has_to(shop: Shop, empty: Dsns) -> None:
    assert shop.dsns.superuser and empty.superuser and empty.owner
    anna, ben = await shop.account("anna@people.example"), await shop.account("ben@people.example")
    await anna.swipe((await anna.products(first=1))[0]["id"])
    backup = run("pg_dump", shop.dsns.superuser)
    await anna.do(DELETE)
    kept = await privacy.tombstones(shop.owner)
    lines = [msgspec.json.encode(tombstone).decode() for tombstone in kept]

    run("psql", empty.superuser, "-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, given=backup)
    restored = await asyncpg.connect(empty.owner)
    emails = "select array_agg(email order by email) from public.profiles"
    assert await restored.fetchval(emails) == ["anna@people.example", "ben@people.example"]
    hash_of = shop.services.tombstones.of
    assert await privacy.reapply(restored, hash_of) == 0, "the backup does not know of what came after it"
    assert await privacy.reapply(restored, Tombstones(b"another secret").of, privacy.read_tombstones(lines)) == 0
    assert await privacy.reapply(restored, hash_of) == 1, "the tombstones of the file are the database's own now"
    assert await restored.fetchval(emails) == ["ben@people.example"]
    assert await restored.fetchval("select count(*) from public.swipes") == 0
    assert await restored.fetchval("select count(*) from auth.users") == 1
    assert "anna@people.example" not in str(await restored.fetch("select * from public.audit_log"))
    assert await privacy.tombstones(restored) == kept
    assert await privacy.reapply(restored, hash_of, kept) == 0
    await restored.close()
    assert ids.decode_as("Profile", await ben.my_id()) is not None


@pytest.mark.parametrize(
    "line",
    ["{}", "text", '{"subjectHash": "00", "erasedAt": "2026-01-01T00:00:00Z"}',
     '{"subjectHash": "' + "x" * 64 + '", "erasedAt": "2026-01-01T00:00:00Z"}',
     '{"subjectHash": "' + "0" * 64 + '", "erasedAt": "yesterday"}'],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_refused(line: str) -> None:
    good = msgspec.json.encode(Tombstone("0" * 64, datetime.now(UTC))).decode()
    assert len(privacy.read_tombstones([good, "", "\n"])) == 1
    with pytest.raises(BadTombstones, match="line 2"):
        privacy.read_tombstones([good, line])


def test_a_tombstone_is_of_one_person_and_one_secret() -> None:
    anna = UUID(int=1)
    mine = Tombstones(b"secret")
    assert mine.of(anna) == Tombstones(b"secret").of(anna)
    assert len({mine.of(anna), mine.of(UUID(int=2)), Tombstones(b"other").of(anna)}) == 3
    assert len(mine.of(anna)) == 32
    assert "secret" not in repr(mine)


async def a_person(owner: asyncpg.Connection[Any], days_ago: int, *, is_anonymous: bool = False) -> UUID:
    person = uuid4()
    await owner.execute("alter table public.profiles disable trigger profiles_updated_at")
    await owner.execute(
        "insert into public.profiles (id, is_anonymous, created_at, updated_at)"
        " values ($1, $2, now() - make_interval(days => $3), now() - make_interval(days => $3))",
        person,
        is_anonymous,
        days_ago,
    )
    return person


async def a_session(owner: asyncpg.Connection[Any], person: UUID, used: int, ended: int | None = None) -> UUID:
    session: UUID = await owner.fetchval(
        "insert into public.user_sessions (user_id, refresh_token_hash, expires_at, last_used_at, revoked_at)"
        " values ($1, sha256('x'), now() + make_interval(days => 30 - $2), now() - make_interval(days => $2),"
        " now() - make_interval(days => $3)) returning id",
        person,
        used,
        ended,
    )
    return session


async def test_views_go_with_their_whole_month_and_then_one_by_one(
    owner: asyncpg.Connection[Any], settings: Settings
) -> None:
    await fill_catalogue(owner)
    person = await a_person(owner, 900)
    await owner.execute(
        "create table public.product_views_202301 partition of public.product_views for values from"
        " (private.uuid_v7_floor('2023-01-01Z')) to (private.uuid_v7_floor('2023-02-01Z'))"
    )
    view = """
        insert into public.product_views (user_id, id, product_id)
        select $1,
          overlay(private.uuid_v7_floor($2)::text placing right(gen_random_uuid()::text, 12) from 25)::uuid, p.id
        from public.products p limit $3
    """
    now = datetime.now(UTC)
    await owner.execute(view, person, datetime(2023, 1, 15, tzinfo=UTC), 7)
    await owner.execute(view, person, datetime(2024, 1, 15, tzinfo=UTC), 5)  # in the default partition
    await owner.execute(view, person, now, 3)
    assert (await privacy.purge(privacy.as_owner(owner), settings))["views"] == 12
    assert await owner.fetchval("select to_regclass('public.product_views_202301') is null")
    assert await owner.fetchval("select count(*) from public.product_views") == 3
    assert (await privacy.purge(privacy.as_owner(owner), settings))["views"] == 0


async def test_nobody_who_looks_at_a_product_waits_for_old_views_to_go(
    owner: asyncpg.Connection[Any], dsns: Dsns, settings: Settings
) -> None:
    now = await owner.fetchval("select 'product_views_' || to_char(now() at time zone 'UTC', 'YYYYMM')")
    other = await asyncpg.connect(dsns.owner)
    async with other.transaction():
        await other.execute(f"lock table public.{now} in share mode")
        assert (await privacy.purge(privacy.as_owner(owner), settings))["views"] == 0
    await other.close()


async def test_anonymous_sessions_go_when_idle_and_accounts_do_not(
    owner: asyncpg.Connection[Any], settings: Settings
) -> None:
    idle, active = await a_person(owner, 200, is_anonymous=True), await a_person(owner, 200, is_anonymous=True)
    account, new = await a_person(owner, 200), await a_person(owner, 5, is_anonymous=True)
    session = await a_session(owner, idle, used=100)
    await owner.execute("insert into public.session_analytics (user_id, session_id) values ($1, $2)", idle, session)
    await a_session(owner, active, used=10)
    removed = await privacy.purge(privacy.as_owner(owner), settings)
    assert (removed["anonymous"], removed["visits"]) == (1, 0)
    left = {row["id"] for row in await owner.fetch("select id from public.profiles")}
    assert left == {active, account, new}
    assert await owner.fetchval("select count(*) from public.session_analytics") == 0
    assert await owner.fetchval("select count(*) from public.erasure_tombstones") == 0


SIGNS_OF_LIFE = {
    "affiliate_clicks": "insert into public.affiliate_clicks"
    " (user_id, product_id, affiliate_url, price_minor, currency)"
    " select $1, id, 'https://shop.example', 1, 'GBP' from public.products limit 1",
    "analytics_events": "insert into public.analytics_events (user_id, id, event_name)"
    " values ($1, private.uuid_v7(), 'x')",
    "consents": "insert into public.consents (user_id, purpose, granted, policy_version)"
    " values ($1, 'analytics', true, '1')",
    "dismissed_reasons": "insert into public.dismissed_reasons (user_id, tag, label) values ($1, 'tea', 'Tea')",
    "gift_links": "insert into public.gift_links (user_id, product_id) select $1, id from public.products limit 1",
    "impressions": "insert into public.impressions (user_id, id, product_id, recommendation_context, model_version,"
    " arm, propensity, position, shown_at)"
    " select $1, private.uuid_v7(), id, 'discover', 1, 0, 1, 1, now() from public.products limit 1",
    "occasions": "insert into public.occasions (user_id, kind, occurs_on) values ($1, 'birthday', '2026-01-01')",
    "personality_assessment_history": "insert into public.personality_assessment_history"
    " (user_id, assessment_data, personality_scores, primary_type, assessment_trigger, questions_answered)"
    " values ($1, '{}', '{}', 'social', 'initial', 20)",
    "product_views": "insert into public.product_views (user_id, id, product_id)"
    " select $1, private.uuid_v7(), id from public.products limit 1",
    "recipients": "insert into public.recipients (user_id, name) values ($1, 'Eve')",
    "recommendation_feedback": "with shown as (insert into public.recommendations (user_id, id, product_id,"
    " recommendation_context, model_version, position, propensity, score, generated_at)"
    " select $1, private.uuid_v7_floor(now() - interval '200 days'), id, 'discover', 1, 0, 1, 1, now()"
    " from public.products limit 1 returning id, product_id)"
    " insert into public.recommendation_feedback (user_id, recommendation_id, product_id, feedback_type)"
    " select $1, id, product_id, 'helpful' from shown",
}


@pytest.mark.parametrize("table", SIGNS_OF_LIFE)
async def test_people_with_external_sessions_are_active_by_their_actions(
    owner: asyncpg.Connection[Any], settings: Settings, table: str
) -> None:
    await fill_catalogue(owner)
    active = await a_person(owner, 200, is_anonymous=True)
    await a_person(owner, 200, is_anonymous=True)
    await owner.execute(SIGNS_OF_LIFE[table], active)
    assert (await privacy.purge(privacy.as_owner(owner), settings))["anonymous"] == 1
    assert await owner.fetchval("select array_agg(id) from public.profiles") == [active]


async def test_each_kind_has_its_period(owner: asyncpg.Connection[Any], settings: Settings) -> None:
    await fill_catalogue(owner)  # without a server, whose housekeeping removes keys, too
    person = await a_person(owner, 1000)
    old_session = await a_session(owner, person, used=500, ended=400)
    current = await a_session(owner, person, used=1)
    await a_session(owner, person, used=20, ended=10)
    for session, days in ((old_session, 400), (current, 400), (current, 10)):
        await owner.execute(
            "insert into public.session_analytics (user_id, session_id, started_at)"
            " values ($1, $2, now() - make_interval(days => $3))",
            person,
            session,
            days,
        )
    click = await owner.fetchval(
        "insert into public.affiliate_clicks (user_id, product_id, affiliate_url, price_minor, currency)"
        " select $1, id, 'https://shop.example', 1, 'GBP' from public.products limit 1 returning id",
        person,
    )
    for days in (400, 10):
        await owner.execute(
            "insert into public.affiliate_redirects (user_id, click_id, redirected_at)"
            " values ($1, $2, now() - make_interval(days => $3))",
            person,
            click,
            days,
        )
        await owner.execute(
            "insert into public.idempotency_keys (user_id, operation, key, request_hash, result_id, created_at)"
            " values ($1, 'x', $2, '', $1, now() - make_interval(days => $3 / 100))",
            person,
            str(days),
            days,
        )
        await owner.execute(
            "insert into public.impressions (user_id, id, product_id, recommendation_context, model_version, arm,"
            " propensity, position, shown_at) select $1, private.uuid_v7_floor(now() - make_interval(days => $2)), id,"
            " 'discover', 1, 0, 1, 1, now() from public.products limit 1",
            person,
            days,
        )
        await owner.execute(
            "insert into private.auth_attempts values (sha256($1), now() - make_interval(days => $2 / 100))",
            str(days).encode(),
            days,
        )
        await owner.execute(
            "insert into public.audit_log (id, operation, table_name)"
            " values (private.uuid_v7_floor(now() - make_interval(days => 2 * $1)), 'insert', 'public.x')",
            days,
        )
        await owner.execute(
            "insert into public.system_logs (level, component, message, created_at)"
            " values ('info', 'x', 'x', now() - make_interval(days => $1))",
            days,
        )
        run = await owner.fetchval(
            "insert into public.import_runs (started_by, outcome, finished_at)"
            " values ('x', 'done', now() - make_interval(days => $1)) returning id",
            days,
        )
        await owner.execute(
            "insert into private.import_changes (run_id, table_name, operation, row_key)"
            " values ($1, 'x', 'insert', '{}')",
            run,
        )
    swipes = "select count(*) from public.swipes"
    await owner.execute(
        "insert into public.swipes (user_id, client_swipe_id, product_id, direction, created_at)"
        " select $1, 'old', id, 'right', now() - interval '5 years' from public.products limit 1",
        person,
    )
    assert await privacy.purge(privacy.as_owner(owner), settings) == {
        "views": 0,
        "impressions": 1,
        "events": 0,
        "visits": 2,
        "anonymous": 0,
        "sessions": 1,
        "redirects": 1,
        "audit_log": 1,
        "system_logs": 1,
        "imports": 1,
        "keys": 1,
        "attempts": 1,
    }
    assert await owner.fetchval(swipes) == 1, "what somebody said is theirs until they go"
    assert await owner.fetchval("select count(*) from public.user_sessions where id = $1", current) == 1
    assert set((await privacy.purge(privacy.as_owner(owner), settings)).values()) == {0}


async def test_what_is_more_than_a_batch_goes_too(
    owner: asyncpg.Connection[Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "BATCH_ROWS", 3)
    for _ in range(10):
        await a_person(owner, 200, is_anonymous=True)
    assert (await privacy.purge(privacy.as_owner(owner), settings))["anonymous"] == 10
