"""Rules of Supabase's linter that apply to a database, each with a fault that it has to find.

Written from the linter's documentation. A rule gives one text per finding.
"""

from __future__ import annotations

from dataclasses import dataclass

PEOPLE = "array['anon', 'authenticated']"
OURS = "n.nspname not in ('pg_catalog', 'pg_toast', 'information_schema', 'auth', 'extensions')"
# Objects that came with an extension are the extension's.
TABLES = f"""pg_class c join pg_namespace n on n.oid = c.relnamespace and {OURS}
  and not exists (select from pg_depend e where e.objid = c.oid and e.deptype = 'e')"""
FUNCTIONS = f"""pg_proc p join pg_namespace n on n.oid = p.pronamespace and {OURS}
  and not exists (select from pg_depend e where e.objid = p.oid and e.deptype = 'e')"""
IS_READABLE = f"exists (select from unnest({PEOPLE}) r where has_table_privilege(r, c.oid, 'select'))"
IS_INVOKER = """lower(coalesce(c.reloptions::text, '{}'))::text[]
  && array['security_invoker=1', 'security_invoker=true', 'security_invoker=yes', 'security_invoker=on']"""
# Policies that are in force, by table and name; `condition` is the text of both halves.
POLICIES = """(
  select schemaname || '.' || tablename || ' ' || policyname as name, tablename,
    permissive = 'PERMISSIVE' as is_permissive, roles::text[] as roles, cmd, qual, with_check,
    lower(coalesce(qual, '') || ' ' || coalesce(with_check, '')) as condition
  from pg_policies where schemaname not in ('auth', 'extensions')
) p"""
FOR_PEOPLE = "p.roles && array['anon', 'authenticated', 'public']"


@dataclass(frozen=True)
class Lint:
    """`fault`, run by a superuser, makes the rule say `finding`."""

    name: str
    rule: str
    fault: str
    finding: str


_TABLE = "create table public.planted (id int primary key); alter table public.planted enable row level security;"


def _policy(text: str) -> str:
    return f"{_TABLE} create policy planted on public.planted {text};"


LINTS = [
    Lint(
        "unindexed_foreign_keys",
        f"""
        select c.relname || '.' || k.conname from {TABLES}
        join pg_constraint k on k.conrelid = c.oid and k.contype = 'f'
        where not exists (
          select from pg_index i
          where i.indrelid = c.oid and i.indisvalid
            and (string_to_array(i.indkey::text, ' ')::int2[])[1:cardinality(k.conkey)] = k.conkey)
        """,
        f"{_TABLE} alter table public.planted add product_id uuid references public.products (id);",
        "planted.planted_product_id_fkey",
    ),
    Lint(
        "auth_users_exposed",
        f"""
        select distinct c.relname from {TABLES}
        join pg_rewrite w on w.ev_class = c.oid
        join pg_depend d on d.objid = w.oid and d.classid = 'pg_rewrite'::regclass
        where d.refobjid = 'auth.users'::regclass and {IS_READABLE} and (c.relkind = 'm' or not {IS_INVOKER})
        """,
        "create view public.planted as select id from auth.users; grant select on public.planted to anon;",
        "planted",
    ),
    Lint(
        "auth_rls_initplan",
        f"""
        select p.name from {POLICIES}
        where regexp_replace(p.condition, 'select (auth\\.\\w+\\(\\)|current_setting\\([^)]*\\))', '', 'g')
          ~ '(auth\\.(uid|jwt|role|email)\\(\\)|current_setting\\()'
        """,
        _policy("for select to anon using ((select auth.jwt() ->> 'aal') = 'aal2')"),
        "public.planted planted",
    ),
    Lint(
        "no_primary_key",
        f"""
        select c.relname from {TABLES}
        where c.relkind = 'r' and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
        """,
        "create table private.planted (id int);",
        "planted",
    ),
    Lint(
        "multiple_permissive_policies",
        f"""
        select p.tablename || ' ' || role || ' ' || verb from {POLICIES}
        cross join unnest(p.roles) role
        cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) verb
        where p.is_permissive and p.cmd in (verb, 'ALL') group by p.tablename, role, verb having count(*) > 1
        """,
        "create policy planted on public.swipes for select to anon using (false);",
        "swipes anon SELECT",
    ),
    Lint(
        "policy_exists_rls_disabled",
        f"select c.relname from {TABLES} where not c.relrowsecurity"
        " and exists (select from pg_policy p where p.polrelid = c.oid)",
        "alter table public.swipes disable row level security;",
        "swipes",
    ),
    Lint(
        "rls_enabled_no_policy",
        f"""
        select c.relname from {TABLES}
        where c.relkind in ('r', 'p') and c.relrowsecurity
          and not exists (select from pg_policy p where p.polrelid = c.oid)
        """,
        _TABLE,
        "planted",
    ),
    Lint(
        "duplicate_index",
        f"""
        select c.relname || ' ' || string_agg(x.relname, ' ' order by x.relname) from {TABLES}
        join pg_index i on i.indrelid = c.oid join pg_class x on x.oid = i.indexrelid
        group by c.oid, c.relname, replace(pg_get_indexdef(i.indexrelid), x.relname, '') having count(*) > 1
        """,
        "create index planted on public.products (brand_id);",
        "products planted products_brand_id_idx",
    ),
    Lint(
        "security_definer_view",
        f"select c.relname from {TABLES} where c.relkind = 'v' and {IS_READABLE} and not {IS_INVOKER}",
        "create view public.planted as table public.swipes; grant select on public.planted to authenticated;",
        "planted",
    ),
    Lint(
        "function_search_path_mutable",
        f"select p.proname from {FUNCTIONS}"
        " where not coalesce(p.proconfig, '{}') @> array['search_path=pg_catalog, pg_temp']",
        "create function private.planted() returns int language sql return 1;",
        "planted",
    ),
    Lint(
        "rls_disabled_in_public",
        f"select c.relname from {TABLES}"
        " where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relrowsecurity",
        "create table public.planted (id int primary key);",
        "planted",
    ),
    Lint(
        "extension_in_public",
        "select extname from pg_extension where extnamespace = 'public'::regnamespace",
        "update pg_extension set extnamespace = 'public'::regnamespace where extname = 'plpgsql';",
        "plpgsql",
    ),
    Lint(
        "rls_references_user_metadata",
        f"select p.name from {POLICIES} where p.condition ~ 'user_meta_?data'",
        _policy("for select to anon using ((select auth.jwt()) -> 'user_metadata' ->> 'role' = 'admin')"),
        "public.planted planted",
    ),
    Lint(
        "materialized_view_in_api",
        f"select c.relname from {TABLES} where c.relkind = 'm' and {IS_READABLE}",
        "create materialized view public.planted as table public.swipes; grant select on public.planted to anon;",
        "planted",
    ),
    Lint(
        "foreign_table_in_api",
        f"select c.relname from {TABLES} where c.relkind = 'f' and {IS_READABLE}",
        "create foreign data wrapper planted; create server planted foreign data wrapper planted;"
        " create foreign table public.planted (id int) server planted; grant select on public.planted to anon;",
        "planted",
    ),
    Lint(
        "unsupported_reg_types",
        f"""
        select c.relname || '.' || a.attname from {TABLES} join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relkind in ('r', 'p') and a.atttypid::regtype::text
          in ('regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper', 'regoperator', 'regproc',
            'regprocedure')
        """,
        "create table public.planted (id int primary key, kind regproc);",
        "planted.kind",
    ),
    Lint(
        "fkey_to_auth_unique",
        f"""
        select c.relname || '.' || k.conname from {TABLES}
        join pg_constraint k on k.conrelid = c.oid and k.contype = 'f'
        join pg_class t on t.oid = k.confrelid and t.relnamespace = 'auth'::regnamespace
        join pg_index i on i.indexrelid = k.conindid and i.indisunique and not i.indisprimary
        """,
        f"create table auth.planted (id int unique); {_TABLE}"
        " alter table public.planted add constraint planted_fkey foreign key (id) references auth.planted (id);",
        "planted.planted_fkey",
    ),
    Lint(
        "sensitive_columns_exposed",
        f"""
        select c.relname || '.' || a.attname from {TABLES} join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relkind in ('r', 'p', 'v', 'm') and not c.relrowsecurity and {IS_READABLE}
          and a.attname ~ '(passw|pwd|secret|token|api_?key|private_key|jwt|session_id|otp|recovery_code|ssn|card|iban)'
        """,
        "create table public.planted (id int primary key, api_key text); grant select on public.planted to anon;",
        "planted.api_key",
    ),
    Lint(
        "rls_policy_always_true",
        f"""
        select p.name from {POLICIES}
        where p.is_permissive and {FOR_PEOPLE} and p.cmd <> 'SELECT' and (
          p.cmd <> 'INSERT' and coalesce(p.qual, 'true') in ('true', '(1 = 1)')
          or p.cmd <> 'DELETE' and coalesce(p.with_check, p.qual, 'true') in ('true', '(1 = 1)'))
        """,
        _policy("for insert to authenticated with check (true)"),
        "public.planted planted",
    ),
    Lint(
        "rls_policy_null_auth_disjunct",
        f"select p.name from {POLICIES}"
        f" where {FOR_PEOPLE} and p.condition ~ 'auth\\.(uid|jwt|role)\\(\\)[^(]*\\) is null'",
        _policy("for select to anon using ((select auth.uid()) is null or id = 1)"),
        "public.planted planted",
    ),
    *(
        Lint(
            f"{role}_security_definer_function_executable",
            f"select n.nspname || '.' || p.proname from {FUNCTIONS}"
            f" where p.prosecdef and has_function_privilege('{role}', p.oid, 'execute')",
            "create function public.planted() returns int language sql security definer"
            " set search_path = pg_catalog, pg_temp return 1;"
            f" grant execute on function public.planted() to {role};",
            "public.planted",
        )
        for role in ("anon", "authenticated")
    ),
    Lint(
        "invalid_index",
        f"select x.relname from {TABLES} join pg_index i on i.indrelid = c.oid join pg_class x on x.oid = i.indexrelid"
        " where not i.indisvalid",
        "update pg_index set indisvalid = false where indexrelid = 'public.brands_name_key_idx'::regclass;",
        "brands_name_key_idx",
    ),
]

_CALLED = "schema private is not exposed; it acts for auth.uid() alone, and what it may write is in docs/sql-writes.md"
_ASKED = "schema private is not exposed; it answers of auth.uid() alone, or of the public catalogue"
EXCEPTIONS: dict[str, dict[str, str]] = {
    "anon_security_definer_function_executable": {
        "private.count_conversions": _ASKED,
        "private.create_affiliate_click": _CALLED,
        "private.current_experiments": "schema private is not exposed; experiments and their arms are of nobody",
        "private.create_gift_link_click": _CALLED,
        "private.dismiss_reason": _CALLED,
        "private.forget_withdrawn": _CALLED,
        "private.has_mfa": _ASKED,
        "private.hold_swipe": _CALLED,
        "private.mark_personality_due": _CALLED,
        "private.model_parameters": "schema private is not exposed; what a feed is ranked with is of nobody",
        "private.norms_of": "schema private is not exposed; norms are of five hundred people or of a simulation",
        "private.price_band": _ASKED,
        "private.search_query": _ASKED,
        "private.second_factors_of": _ASKED,
        "private.suggest_names": _ASKED,
        "private.suggest_products": _ASKED,
        "private.sync_signals": _CALLED,
    },
}
EXCEPTIONS["authenticated_security_definer_function_executable"] = {
    **EXCEPTIONS["anon_security_definer_function_executable"],
    "private.count_events": "schema private is not exposed; it refuses all but analysts and administrators",
    "private.everybodys_feedback": "schema private is not exposed; it refuses all but analysts and administrators",
    "private.count_impressions": "schema private is not exposed; it refuses all but analysts and administrators",
    **dict.fromkeys(
        ("private.ledger_balances", "private.open_questions", "private.reconciliation", "private.reported_sums"),
        "schema private is not exposed; it refuses all but analysts, finance and administrators",
    ),
    "private.person_of_click": "schema private is not exposed; it tells nothing but to finance and administrators",
    "private.refresh_product_features": "schema private is not exposed; it does nothing but for administrators",
    "private.revenue": "schema private is not exposed; it refuses all but analysts, finance and administrators",
    "private.rollup_counts": "schema private is not exposed; it refuses all but analysts, finance and administrators",
}
