"""One planted fault per check of `aclue verify`: SQL that breaks a sound database, and what the check then says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """`sql` is run by the superuser; `undo` where it reaches past the database it is run in. `{owner}` is the owner."""

    sql: str
    says: str
    undo: str = ""


def setting(change: str) -> str:
    """Of the database that the statement is run in."""
    return f"do $$ begin execute format('alter database %I {change}', current_database()); end $$"


SLOW = """
    create function public.nap() returns boolean language sql volatile as $$
      select pg_sleep({seconds}) is not null $$;
    grant execute on function public.nap() to authenticated;
    create policy nap on public.products as restrictive for select to authenticated using ((select public.nap()))
"""
PERSON = "insert into public.profiles (id) values ('00000000-0000-7000-8000-000000000001')"
A_SWIPE = f"""
    {PERSON};
    insert into public.swipes (user_id, client_swipe_id, product_id, direction)
    select '00000000-0000-7000-8000-000000000001', 'one', id, 'up' from public.products limit 1
"""
FOR_EVERYBODY = "alter policy swipes_own_read on public.swipes using (true)"

FAULTS = {
    "server.version": Fault(
        "create schema shadow; create function shadow.current_setting(text) returns text language sql"
        " return case $1 when 'server_version_num' then '140005' else '14.5' end;"
        "grant usage on schema shadow to public; grant execute on function shadow.current_setting to public;"
        + setting("set search_path = shadow, pg_catalog, public"),
        "PostgreSQL 14.5",
    ),
    "server.plpgsql": Fault("drop extension plpgsql cascade", "is not installed"),
    "server.encoding": Fault(
        "update pg_database set encoding = pg_char_to_encoding('LATIN1') where datname = current_database()", "LATIN1"
    ),
    "server.time_zone": Fault(setting("set timezone = ''Europe/Paris''"), "Europe/Paris"),
    "server.writable": Fault(setting("set default_transaction_read_only = on"), "read_only is on"),
    "server.row_security": Fault(setting("set row_security = off"), "row_security is off"),
    "server.jit": Fault(setting("set jit = on"), "jit is on"),
    "server.ids": Fault(
        "create or replace function private.uuid_v7() returns uuid language sql return gen_random_uuid()", "makes"
    ),
    "capacity.pools_fit": Fault(
        setting("connection limit 5"), "the pools may open 35 connections, the server allows 5"
    ),
    "capacity.connections": Fault(setting("connection limit 3"), "of 3 connections of this database are in use"),
    "migrations.applied": Fault(
        "delete from private.applied_files where name ~ 'second_factors'", "second_factors.sql"
    ),
    "migrations.known": Fault(
        "insert into private.applied_files (name, checksum) values ('migrations/20991231000000_later.sql', '')", "later"
    ),
    "migrations.unchanged": Fault(
        "update private.applied_files set checksum = 'another' where name ~ '_people.sql'", "_people.sql"
    ),
    "migrations.repeatables": Fault(
        "update private.applied_files set checksum = 'another' where name = 'policies/swipes.sql'",
        "policies/swipes.sql",
    ),
    "reference.currencies": Fault(
        "update public.currencies set exponent = 3 where code = 'GBP'", "GBP has the exponent 3"
    ),
    "reference.affiliate_networks": Fault(
        "update public.affiliate_networks set name = '' where code = 'awin'",
        "north-shop is of a network without a name",
    ),
    "reference.quiz": Fault("update public.quiz_versions set is_current = false", "no version is current"),
    "reference.quiz_questions": Fault(
        "delete from public.quiz_questions where trait = 'social' and code <> 'soc-1'",
        "has 1 questions on being social",
    ),
    "reference.quiz_texts": Fault("delete from public.quiz_texts where code = 'answer-3'", "answer-3 of version"),
    "reference.quiz_norms": Fault(
        "delete from private.quiz_norms where trait = 'social'", "has no norms of being social"
    ),
    "reference.mappings": Fault(
        "delete from public.personality_gift_mappings where personality_type = 'creative'",
        "creative has no mapping to",
    ),
    "reference.gift_categories": Fault(
        "update public.gift_categories set parent_id = null; delete from public.gift_categories", "there are none"
    ),
    "reference.release": Fault(
        "update private.applied_files set checksum = 'another' where name = 'reference data'", "another release"
    ),
    "reference.products": Fault("update public.categories set taxonomy_id = null", "of 50 products"),
    "reference.gift_rules": Fault("delete from public.gift_context_rules where kind = 'age'", "known of any age"),
    "reference.categories": Fault("delete from public.categories where slug = 'uncategorised'", "no category uncat"),
    "reference.model": Fault("delete from public.recommendation_models", "there is no recommendation model"),
    "reference.model_features": Fault("delete from public.product_features", "knows no product"),
    "tables.of_the_documents": Fault("alter table public.product_views rename to looks", "public.product_views"),
    "tables.columns_of_the_documents": Fault(
        "alter table public.swipes rename column session_id to visit_id", "public.swipes.session_id"
    ),
    "tables.of_the_migrations": Fault("drop table private.auth_attempts", "private.auth_attempts"),
    "tables.enough": Fault(
        "do $$ declare t text; begin"
        " for t in select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
        "   and not relispartition and relname not in ('profiles', 'swipes')"
        " loop execute format('drop table public.%I cascade', t); end loop; end $$",
        "2 tables, expected 27 or more",
    ),
    "tables.one_owner": Fault("alter table public.brands owner to current_user", "public.brands belongs to "),
    "tables.logged": Fault(
        "alter table public.idempotency_keys set unlogged", "public.idempotency_keys would be empty"
    ),
    "tables.primary_keys": Fault(
        "alter table public.affiliate_redirects drop constraint affiliate_redirects_pkey", "public.affiliate_redirects"
    ),
    "tables.keyed_by_person": Fault(
        "create table public.notes (id uuid primary key, user_id uuid not null)", "the key of notes lacks user_id"
    ),
    "tables.found_by_person": Fault(
        "create table public.notes (id uuid, user_id uuid, primary key (id, user_id))", "no index of notes begins"
    ),
    "tables.timestamps": Fault("alter table public.brands add column seen timestamp", "public.brands.seen"),
    "tables.money": Fault("alter table public.brands add column fee_minor numeric(8, 2)", "fee_minor is numeric(8,2)"),
    "tables.swipe_directions": Fault(
        "alter type public.swipe_direction add value 'sideways'", "left, right, up, down, sideways"
    ),
    "tables.updated_at": Fault(
        "drop trigger brands_updated_at on public.brands", "brands has updated_at and no trigger"
    ),
    "tables.triggers": Fault("drop trigger aclue_profile_deleted on auth.users", "auth.users.aclue_profile_deleted"),
    "tables.triggers_enabled": Fault(
        "alter table public.brands disable trigger brands_updated_at", "brands_updated_at"
    ),
    "partitions.ahead": Fault(
        "do $$ declare t text; begin"
        " for t in select relname from pg_class where relispartition and relkind = 'r'"
        "   and relname ~ '^product_views_\\d'"
        " loop execute format('drop table public.%I', t); end loop; end $$",
        "product_views has none for 20",
    ),
    "partitions.default": Fault("drop table public.product_views_default", "product_views"),
    "partitions.default_is_empty": Fault(
        f"{PERSON}; insert into public.product_views (user_id, id, product_id)"
        " select '00000000-0000-7000-8000-000000000001', 'ffffffff-0000-7000-8000-000000000001', id"
        " from public.products limit 1",
        "public.product_views_default",
    ),
    "integrity.foreign_keys_indexed": Fault("drop index public.products_brand_id_idx", "products_brand_id_fkey"),
    "integrity.keys_stay_with_the_person": Fault(
        "alter table public.swipes add constraint swipes_id_key unique (id);"
        "alter table public.affiliate_redirects add column swipe_id uuid references public.swipes (id)",
        "without its user_id",
    ),
    "integrity.deletes_decided": Fault(
        "alter table public.brands add column maker_id uuid references public.brands (id)", "brands_maker_id_fkey"
    ),
    "integrity.people_can_go": Fault(
        "alter table public.brands add column founder uuid references public.profiles (id) on delete restrict",
        "brands_founder_fkey",
    ),
    "integrity.validated": Fault(
        "alter table public.brands add constraint brands_calm check (name <> upper(name)) not valid", "brands_calm"
    ),
    "integrity.constraints": Fault(
        "alter table public.swipes drop constraint swipes_client_swipe_id_length", "swipes_client_swipe_id_length"
    ),
    "integrity.constraints_named": Fault("alter table public.brands add check (name <> 'x')", "brands_name_check"),
    "indexes.there": Fault("drop index public.products_newest_idx", "public.products_newest_idx"),
    "indexes.valid": Fault(
        "update pg_index set indisvalid = false where indexrelid = 'public.brands_name_key_idx'::regclass",
        "brands_name_key_idx",
    ),
    "indexes.no_twins": Fault(
        "create index products_newest_again on public.products (created_at desc, id desc) where is_active",
        "products_newest_again and products_newest_idx do the same",
    ),
    "policies.row_level_security": Fault(
        "alter table public.product_views_default disable row level security", "public.product_views_default"
    ),
    "policies.every_table": Fault(
        "create table public.notes (id int); alter table public.notes enable row level security", "notes"
    ),
    "policies.there": Fault(
        "alter policy swipes_own_read on public.swipes to authenticated", "swipes_own_read on public.swipes is another"
    ),
    "policies.known": Fault(
        "create policy extra on public.brands for delete to service_role using (true)", "extra on public.brands"
    ),
    "policies.roles": Fault(
        "create policy loose on public.brands for select using (true)", "loose on public.brands is for everybody"
    ),
    "policies.verbs": Fault(
        "create policy whole on public.brands to authenticated using (true) with check (true)", "is for all verbs"
    ),
    "policies.new_rows": Fault(
        "create policy unseen on public.swipes for update to authenticated using (user_id = (select auth.uid()))",
        "unseen on public.swipes checks no new row",
    ),
    "policies.init_plans": Fault(
        "alter policy swipes_own_read on public.swipes using (user_id = auth.uid())",
        "swipes_own_read on public.swipes calls auth.uid() for every row",
    ),
    "policies.personal": Fault(FOR_EVERYBODY, "swipes_own_read on public.swipes lets everybody"),
    "grants.rows_only": Fault("grant truncate on public.swipes to service_role", "may truncate public.swipes"),
    "grants.public": Fault("grant select on public.brands to public", "public may select public.brands"),
    "grants.by_column": Fault("grant update on public.swipes to authenticated", "may update public.swipes"),
    "grants.owner_column": Fault("grant insert (user_id) on public.swipes to anon", "anon may insert swipes.user_id"),
    "grants.secrets": Fault("grant select on public.retailers to anon", "anon may select retailers.commission_rate"),
    "grants.values": Fault(
        "grant update (price_minor) on public.affiliate_clicks to anon", "may update affiliate_clicks.price_minor"
    ),
    "grants.new_values": Fault(
        "grant insert (price_minor) on public.affiliate_clicks to anon", "may insert affiliate_clicks.price_minor"
    ),
    "grants.partitions": Fault(
        "grant select on public.product_views_default to authenticated", "may select public.product_views_default"
    ),
    "grants.private": Fault(
        "grant select on private.auth_attempts to service_role", "service_role may select private.auth_attempts"
    ),
    "grants.there": Fault("revoke select on public.brands from anon", "anon may not select public.brands"),
    "grants.known": Fault("grant delete on public.brands to authenticated", "authenticated may delete public.brands"),
    "grants.schemas_usable": Fault("revoke usage on schema private from anon", "anon may not use the schema private"),
    "grants.nothing_new": Fault("grant create on schema public to authenticated", "authenticated may create things"),
    "grants.defaults": Fault(
        "alter default privileges for role {owner} in schema public grant select on tables to anon",
        "new tables will be granted to anon",
    ),
    "roles.login_powers": Fault(
        "alter role aclue_api createdb", "aclue_api may create databases", "alter role aclue_api nocreatedb"
    ),
    "roles.login_property": Fault(
        "create table public.mine (id int); alter table public.mine owner to aclue_api", "aclue_api owns table mine"
    ),
    "roles.login_disguises": Fault(
        "grant pg_read_all_data to aclue_api",
        "aclue_api may become pg_read_all_data",
        "revoke pg_read_all_data from aclue_api",
    ),
    "roles.login_can_serve": Fault(
        "set role {owner}; revoke anon from aclue_api; reset role",
        "permission denied to set role",
        "set role {owner}; grant anon to aclue_api; reset role",
    ),
    "roles.powers": Fault("alter role anon createdb", "anon may create databases", "alter role anon nocreatedb"),
    "roles.disguises": Fault(
        "grant service_role to authenticated",
        "authenticated has the rights of service_role",
        "revoke service_role from authenticated",
    ),
    "functions.there": Fault(
        "drop function public.get_user_analytics_summary(uuid, timestamptz)", "public.get_user_analytics_summary"
    ),
    "functions.callers": Fault(
        "grant execute on function private.refresh_model() to anon", "anon may call private.refresh_model"
    ),
    "functions.pinned": Fault("alter function private.refresh_model() reset search_path", "private.refresh_model()"),
    "functions.private": Fault(
        "create function public.peek() returns bigint language sql security definer"
        " set search_path = pg_catalog, pg_temp as 'select count(*) from public.swipes'",
        "peek()",
    ),
    "functions.not_public": Fault(
        "grant execute on function private.refresh_model() to public", "private.refresh_model()"
    ),
    "views.invoker": Fault("create view public.all_swipes as select * from public.swipes", "public.all_swipes"),
    "views.filtered": Fault(
        "create materialized view public.kept as select * from public.swipes; grant select on public.kept to anon",
        "anon may read public.kept",
    ),
    "people.strangers": Fault(f"{A_SWIPE}; {FOR_EVERYBODY}", "a stranger sees a row of public.swipes"),
    "people.bare_login": Fault("grant select on public.swipes to aclue_api", "the log-in itself reads public.swipes"),
    "people.account": Fault("drop policy swipes_own_update on public.swipes", "a swipe cannot be undone"),
    "people.anonymous_session": Fault(
        "alter policy swipes_own_insert on public.swipes to authenticated", "new row violates row-level security"
    ),
    "people.isolation": Fault(FOR_EVERYBODY, "another person sees a swipe"),
    "people.service_role": Fault(
        "revoke select on public.swipes from service_role", "permission denied for table swipes"
    ),
    "people.no_claims": Fault(FOR_EVERYBODY, "somebody without claims sees a swipe"),
    "people.malformed_claims": Fault(FOR_EVERYBODY, "see a swipe"),
    "people.forgery": Fault(
        "grant insert (user_id) on public.swipes to authenticated;"
        "alter policy swipes_own_insert on public.swipes with check (true)",
        "a swipe can be written for another",
    ),
    "people.history": Fault(
        "grant update (direction) on public.swipes to authenticated", "the direction of a swipe can be changed"
    ),
    "people.clicks": Fault(
        "update pg_proc set prosrc = replace(prosrc, 'o.price_minor,', '1,') where proname = 'insert_affiliate_click'",
        "does not have the prices of the catalogue",
    ),
    "people.catalogue": Fault(
        "create policy products_all on public.products for update to authenticated using (true) with check (true)",
        "a person changes products",
    ),
    "people.profile": Fault(
        "alter table public.profiles disable trigger profiles_updated_at", "updated at is not stamped"
    ),
    "people.views": Fault(
        "alter policy product_views_own_insert on public.product_views with check (user_id = (select auth.uid()))",
        "a view of long ago is taken",
    ),
    "people.preferences": Fault(
        "alter view public.user_preferences set (security_invoker = false)",
        "another person sees preferences",
    ),
    "people.sessions": Fault(
        "drop policy session_analytics_own_read on public.session_analytics", "one does not see ones own session"
    ),
    "people.personality": Fault(
        "alter policy personality_profiles_own_read on public.personality_profiles using (true)",
        "another person sees a personality",
    ),
    "people.summary": Fault(
        "update pg_proc set prosrc = replace(prosrc, 'count(*) as swipes', 'count(*) + 1 as swipes')"
        " where proname = 'get_user_analytics_summary'",
        "the summary counts wrong",
    ),
    "people.erasure": Fault("alter table public.swipes drop constraint swipes_user_id_fkey", "swipes keeps rows"),
    "performance.indexes_used": Fault(
        "drop index public.swipes_user_created_at_idx", "instead of swipes_user_created_at_idx"
    ),
    "performance.latency": Fault(SLOW.format(seconds=0.11), "newest_products takes 1"),
    "performance.row_security": Fault(SLOW.format(seconds=0.02), "ms to newest_products"),
    "performance.statistics": Fault(
        "create table public.bulk (id int, text text) with (autovacuum_enabled = false);"
        "analyze public.bulk; insert into public.bulk select i, repeat('x', 100) from generate_series(1, 20000) i",
        "pages and statistics of when it was far smaller",
    ),
    "performance.index_usage": Fault(
        "create table public.bulk (id int) with (autovacuum_enabled = false);"
        "insert into public.bulk select generate_series(1, 20000);"
        "do $$ begin for i in 1..1100 loop perform from public.bulk limit 1; end loop; end $$;"
        "select pg_stat_force_next_flush()",
        "public.bulk: 0 of 1100 scans used an index",
    ),
    "ledger.facts": Fault(
        "alter table public.payments disable trigger payments_kept;"
        "alter table public.conversion_reports enable trigger conversion_reports_not_emptied",
        "update of public.payments is refused by no trigger",
    ),
    "ledger.guard": Fault("drop trigger ledger_entries_balanced on public.ledger_entries", "is missing"),
    "ledger.functions": Fault(
        "create or replace function private.refuse_change() returns trigger language plpgsql as"
        " $$ begin return coalesce(new, old); end $$",
        "private.refuse_change() is not what the release installs",
    ),
    "ledger.balances": Fault(
        """
        alter table public.ledger_entries disable trigger ledger_entries_balanced;
        insert into public.payments (affiliate_network, reference, advertiser_id, period_start, period_end, currency,
          amount_minor, paid_on) values ('awin', 'P', '1', now(), now(), 'GBP', 5, now());
        insert into public.ledger_entries (transaction_id, payment_id, account, amount_minor, currency, event_at)
        select id, id, 'received', 5, 'GBP', now() from public.payments;
        alter table public.ledger_entries enable always trigger ledger_entries_balanced
        """,
        "is off by 5 minor units of GBP",
    ),
}
