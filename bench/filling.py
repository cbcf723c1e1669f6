"""Rows in the tables that `aclue seed` leaves nearly empty, so that bench/plans.py sees a scan of them.

They are spread over two years, half of them older than what `aclue privacy purge` keeps. Nothing reads what they say.
"""

from __future__ import annotations

from typing import Any

import asyncpg

ROWS = 30_000

# `rows` has a person, a number that differs for each row, and its time.
ROWS_OF_PEOPLE = """
with rows as (
  select people.id as p, n, now() - n * interval '730 days' / $1::int as t
  from generate_series(1, $1::int) n
  join (select id, row_number() over () - 1 as place, count(*) over () as of from public.profiles) people
    on people.place = n % people.of)
"""
STATEMENTS = {
    "public.user_sessions": """(user_id, refresh_token_hash, created_at, last_used_at, expires_at)
        select p, sha256(n::text::bytea), t, t, t + interval '30 days' from rows""",
    "public.session_analytics": """(user_id, session_id, landing_page, started_at)
        select user_id, id, '/plans', created_at from public.user_sessions""",
    "public.affiliate_redirects": """(user_id, click_id, redirected_at)
        select c.user_id, c.id, r.t from rows r cross join lateral (
          select * from public.affiliate_clicks c order by c.user_id, c.id offset r.n % 100 limit 1) c""",
    "public.idempotency_keys": """(user_id, operation, key, request_hash, result_id, created_at)
        select p, 'plans', n::text, sha256(n::text::bytea), p, now() - n * interval '1 second' from rows""",
    "public.gift_links": """(user_id, product_id, created_at)
        select p, (select id from public.products limit 1), t from rows""",
    "public.dismissed_reasons": """(user_id, tag, label, dismissed_at)
        select p, 'plans-' || n, 'Plans', t from rows""",
    "public.consents": """(user_id, purpose, granted, policy_version, created_at)
        select p, 'marketing', true, 'plans', t from rows""",
    "public.privacy_requests": "(user_id, kind, created_at) select p, 'export', t from rows",
    "public.system_logs": """(level, component, message, created_at)
        select case when n % 100 = 0 then 'error' else 'info' end, 'plans', 'plans', t from rows""",
    "public.audit_log": """(id, at, actor, person_id, operation, table_name)
        select private.uuid_v7_floor(t), t, p, p, 'update', 'public.profiles' from rows""",
    "public.analytics_events": """(user_id, id, event_name)
        select p, private.uuid_v7_floor(now() - n * interval '10 ms'), 'plans' from rows""",
    "private.outbox": """(id, user_id, recipient, template, created_at, expires_at, next_attempt_at, sent_at)
        select private.uuid_v7_floor(t), p, 'nobody@plans.invalid', 'verify_email', t, t + interval '1 day', null, t
        from rows""",
    "private.one_time_tokens": """(user_id, kind, email, token_hash, expires_at)
        select distinct on (p) p, 'reset_password', 'nobody@plans.invalid', sha256(n::text::bytea),
          now() + interval '1 hour'
        from rows""",
    "private.auth_attempts": """(bucket, window_start, attempts)
        select sha256(n::text::bytea), now() - n * interval '1 second', 1 from rows""",
    "public.erasure_tombstones": "(subject_hash, erased_at) select sha256(n::text::bytea), t from rows",
}


async def fill(owner: asyncpg.Connection[Any]) -> None:
    """Fills what has fewer rows than half of ROWS; `owner` is one whom no policy binds."""
    for table, statement in STATEMENTS.items():
        if await owner.fetchval(f"select count(*) from {table}") < ROWS // 2:
            await owner.execute(f"{ROWS_OF_PEOPLE} insert into {table} {statement} on conflict do nothing", ROWS)
    await owner.execute("analyze")
