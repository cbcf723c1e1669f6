"""What the API's roles were granted beside rows: columns, functions, and nothing that row level security cannot see."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.bases import Base
from tests.security.canaries import ADMIN, ANNA, LOG_IN, PERSONAL, SERVICE, VISITOR, Caller, become, person_id

API_ROLES = ("anon", "authenticated", "service_role")

EVERYBODY_MAY_CALL = {
    "app_role",
    "avoided_categories",
    "band_alignments",
    "category_alignments",
    "category_subtree",
    "category_tree",
    "count_conversions",
    "create_affiliate_click",
    "create_gift_link_click",
    "current_experiments",
    "default_model_parameters",
    "dismiss_reason",
    "dismissed_reasons",
    "facet",
    "feedback_signals",
    "forget_withdrawn",
    "gift_mappings",
    "gift_subtree",
    "has_consent",
    "has_mfa",
    "hold_swipe",
    "is_aal2",
    "is_admin",
    "is_plain_json",
    "leanings",
    "mark_personality_due",
    "match_of",
    "match_terms",
    "model_parameters",
    "network_rules",
    "norms_of",
    "number_of",
    "occasion_relevances",
    "price_band",
    "product_facets",
    "search_fold",
    "search_lower",
    "search_query",
    "search_rank",
    "second_factors_of",
    "session_id",
    "signals",
    "stated_affinities",
    "stated_currency",
    "stated_prices",
    "stated_texts",
    "suggest_names",
    "suggest_products",
    "sync_signals",
    "trait_features",
    "uuid_v7",
    "uuid_v7_floor",
    "weighted_signals",
}
MAY_CALL = {
    "anon": EVERYBODY_MAY_CALL,
    "authenticated": EVERYBODY_MAY_CALL
    | {
        "count_events",
        "count_impressions",
        "everybodys_feedback",
        "ledger_balances",
        "open_questions",
        "person_of_click",
        "reconciliation",
        "refresh_product_features",
        "reported_sums",
        "may_read_figures",
        "may_read_small_counts",
        "revenue",
        "rollup_counts",
    },
    "service_role": EVERYBODY_MAY_CALL
    | {
        "account",
        "account_app_metadata",
        "account_of_email",
        "accounts_are_ours",
        "add_storage_use",
        "applied_migrations",
        "change_role",
        "check_balances",
        "click_earnings",
        "is_placement",
        "attributed_conversions",
        "click_window_hours",
        "commission_terms",
        "device_of_click",
        "expected_commission",
        "last_followed",
        "clicked_listing",
        "match_conversion",
        "ledger_balances",
        "open_questions",
        "person_of_click",
        "reconciliation",
        "reported_entries",
        "reported_sums",
        "count_attempt",
        "count_events",
        "count_impressions",
        "may_read_figures",
        "may_read_small_counts",
        "note_all_rollup_days",
        "postpone_rollups",
        "refresh_rollup_month",
        "refresh_rollups",
        "revenue",
        "rollup_counts",
        "rollup_day_due",
        "rollup_days",
        "rollups_differ",
        "create_account",
        "default_partition_rows",
        "due_import_sources",
        "enrol_second_factor",
        "enter_account",
        "apply_sales",
        "ensure_partitions",
        "enqueue_job",
        "erase_person",
        "job_counts",
        "everybodys_feedback",
        "export_log_in",
        "finish_mail",
        "follow_affiliate_click",
        "forgive_attempt",
        "impression_outcomes",
        "is_one_time_token",
        "link_of_affiliate_click",
        "issue_one_time_token",
        "merge_session",
        "metrics",
        "postpone_personality",
        "purge_mail",
        "queue_mail",
        "record_affiliate_redirect",
        "route_affiliate_click",
        "substitute_affiliate_click",
        "refresh_model",
        "merge_two_products",
        "set_default_currency",
        "split_product",
        "store_recommendations",
        "refresh_product_features",
        "remove_second_factor",
        "replace_password_hash",
        "replace_recovery_codes",
        "request_reset",
        "second_factor",
        "set_password",
        "swiped_since",
        "take_mail",
        "take_reset_request",
        "training_signals",
        "quiz_standing",
        "trait_numbers",
        "update_personality_from_behaviour",
        "use_gift_link",
        "use_one_time_token",
        "use_recovery_code",
        "use_second_factor",
    },
}

PUBLIC_FUNCTIONS = {"calculate_personality_product_match", "get_user_analytics_summary"}

# column: what somebody would write there to gain by it
UNWRITABLE = {
    "profiles.id": "'{ben}'",
    "profiles.is_anonymous": "false",
    "profiles.email": "'ben@canary.example'",
    "profiles.email_verified_at": "now()",
    "profiles.created_at": "now()",
    "affiliate_clicks.price_minor": "1",
    "affiliate_clicks.commission_rate": "1",
    "affiliate_clicks.expected_commission_minor": "1000000",
    "affiliate_clicks.actual_commission_minor": "1000000",
    "affiliate_clicks.affiliate_url": "'https://thief.example'",
    "affiliate_clicks.gift_link_id": "'{ben}'",
    "gift_links.clicks": "0",
    "gift_links.expires_at": "'infinity'",
    "gift_links.max_uses": "null",
    "gift_links.product_id": "'{ben}'",
    "dismissed_reasons.dismissed_at": "'-infinity'",
    "dismissed_reasons.tag": "'other'",
    "user_sessions.refresh_token_hash": "sha256('known')",
    "user_sessions.expires_at": "'infinity'",
    "user_sessions.aal": "'aal2'",
    "user_sessions.amr": "'[]'",
    "user_sessions.revoked_at": "null",
    "user_sessions.created_at": "'-infinity'",
    "user_sessions.networks": "null",
    "swipes.created_at": "'-infinity'",
    "swipes.direction": "'up'",
    "swipes.id": "private.uuid_v7()",
    "personality_profiles.feature_vector": "'{{}}'",
    "personality_profiles.personality_scores": "'{{\"creative\": 100}}'",
    "personality_profiles.confidence_level": "1",
    "personality_profiles.last_assessment_at": "'infinity'",
    "analytics_events.created_at": "'-infinity'",
    "personality_assessment_history.assessment_method": "'hybrid'",
    "personality_assessment_history.personality_scores": "'[]'",
    "personality_recommendations.combined_score": "1",
    "personality_recommendations.is_purchased": "true",
    "personality_recommendations.interacted_at": "'infinity'",
    "recommendations.propensity": "1e-30",
    "recommendations.position": "-1",
    "swipes.is_for_somebody_else": "true",
    "recommendation_feedback.is_for_somebody_else": "true",
    "experiment_exposures.variant": "'b'",
    "consents.granted": "true",
    "consents.created_at": "'-infinity'",
    "idempotency_keys.result_id": "'{ben}'",
    "products.affiliate_url": "'https://thief.example'",
    "products.popularity": "1",
    "products.retailer_id": "null",
    "product_offers.affiliate_url": "'https://thief.example'",
    "product_offers.price_minor": "1",
    "product_prices.price_minor": "1",
    "retailers.commission_rate": "1",
}
UNREADABLE = (
    "affiliate_clicks.commission_rate",
    "affiliate_clicks.expected_commission_minor",
    "affiliate_clicks.actual_commission_minor",
    "conversions.click_id",
    "conversions.user_id",
    "affiliate_clicks.gift_link_user_id",
    "retailers.commission_rate",
    "user_sessions.refresh_token_hash",
    "user_sessions.branch_token_hashes",
    "user_sessions.rotated_token_hashes",
    "user_sessions.networks",
)


async def is_refused(login: asyncpg.Connection[Any], caller: Caller, statement: str) -> bool:
    """Whether the caller lacks the privilege; what the statement did is taken back."""
    transaction = login.transaction()
    await transaction.start()
    try:
        await become(login, caller)
        await login.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    finally:
        await transaction.rollback()
    return False


PEOPLE = pytest.mark.parametrize("caller", [VISITOR, ANNA, ADMIN], ids=lambda caller: caller.label)


@PEOPLE
async def test_nobody_names_the_owner_of_a_row(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    """Not even truthfully: the database fills it in from the token."""
    me = person_id(caller.person or "")
    inserts = [
        t
        for t in PERSONAL
        if not await is_refused(login, caller, f"insert into public.{t} ({PERSONAL[t]}) values ('{me}')")
    ]
    updates = [
        t for t in PERSONAL if not await is_refused(login, caller, f"update public.{t} set {PERSONAL[t]} = '{me}'")
    ]
    assert (inserts, updates) == ([], [])
    assert not await is_refused(login, caller, "update public.profiles set display_name = 'mine'")


@PEOPLE
async def test_columns_of_value_are_not_for_people_to_write(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    written = []
    for column, value in UNWRITABLE.items():
        table, _, name = column.partition(".")
        change = f"update public.{table} set {name} = {value.format(ben=person_id('ben'))}"
        if not await is_refused(login, caller, change):
            written.append(column)
    assert written == []
    assert not await is_refused(login, caller, "update public.swipes set undone_at = now()")


@PEOPLE
async def test_commissions_and_hashes_are_not_for_people_to_read(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    read = []
    for column in UNREADABLE:
        table, _, name = column.partition(".")
        if not await is_refused(login, caller, f"select {name} from public.{table}"):
            read.append(column)
        if not await is_refused(login, caller, f"select 1 from public.{table} where {name} is not null"):
            read.append(f"{column}, by a condition")
    assert read == []
    assert not await is_refused(login, caller, "select id, price_minor, affiliate_url from public.affiliate_clicks")
    assert not await is_refused(login, caller, "select id, user_agent, revoked_at from public.user_sessions")
    assert not await is_refused(login, SERVICE, "select commission_rate from public.retailers")


async def test_nobody_writes_signals_but_by_swiping(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    """Signals make a product's popularity, which everybody sees: they follow from swipes, whose strength is fixed."""
    assert await is_refused(login, ANNA, "update public.product_signals set preference_strength = 0.95")
    assert await is_refused(login, ANNA, "update public.product_signals set swiped_at = 'infinity'")
    assert await is_refused(login, ANNA, "delete from public.product_signals")
    assert await is_refused(login, ANNA, "update public.swipes set direction = 'up'")
    assert not await is_refused(login, ANNA, "select private.sync_signals(null)")


async def test_no_role_of_the_api_may_truncate_refer_to_or_put_triggers_on_a_table(
    owner: asyncpg.Connection[Any], base: Base
) -> None:
    granted = await owner.fetch(
        """
        select c.oid::regclass::text as "table", coalesce(r.rolname, 'PUBLIC') as role, a.privilege_type as privilege
        from pg_class c cross join lateral aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
        where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'auth'::regnamespace)
          and c.relkind in ('r', 'p', 'v', 'm') and a.grantee <> c.relowner
          and (c.relnamespace <> 'auth'::regnamespace or r.rolname is null or r.rolname <> all ($1::text[]))
        """,
        # Supabase's own grants in its own schema, to roles that the API cannot become.
        ["postgres", "dashboard_user"] if base.is_supabase else [],
    )
    assert {row["role"] for row in granted} == set(API_ROLES)
    allowed = {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert [tuple(row) for row in granted if row["privilege"] not in allowed] == []


async def test_new_tables_and_functions_are_granted_to_nobody(
    owner: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    await owner.execute("create table public.unlisted (id int); create function public.unlisted() returns int return 1")
    for caller in (LOG_IN, VISITOR, ANNA, SERVICE):
        assert await is_refused(login, caller, "table public.unlisted")
        assert await is_refused(login, caller, "select public.unlisted()")
    await owner.execute(
        "grant select on public.unlisted to anon; grant execute on function public.unlisted() to anon",
    )
    assert not await is_refused(login, VISITOR, "table public.unlisted")
    assert not await is_refused(login, VISITOR, "select public.unlisted()")


async def test_private_and_auth_tables_are_nobodys_to_touch(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    tables = [
        row[0]
        for row in await canaries.fetch(
            "select oid::regclass::text from pg_class where relkind in ('r', 'p')"
            " and relnamespace in ('private'::regnamespace, 'auth'::regnamespace)"
        )
    ]
    assert {"auth.users", "auth.mfa_factors", "private.auth_attempts", "private.search_words"} <= set(tables)
    assert {"private.one_time_tokens", "private.outbox", "private.recovery_codes"} <= set(tables)
    for table in tables:
        for caller in (LOG_IN, VISITOR, ANNA, ADMIN, SERVICE):
            for statement in ("table {}", "delete from {}", "truncate {} cascade", "insert into {} default values"):
                assert await is_refused(login, caller, statement.format(table)), (caller.label, statement, table)


@pytest.mark.parametrize("role", API_ROLES)
async def test_only_listed_private_functions_may_be_called(owner: asyncpg.Connection[Any], role: str) -> None:
    may_call = await owner.fetch(
        "select proname from pg_proc where pronamespace = 'private'::regnamespace"
        " and has_function_privilege($1, oid, 'execute')",
        role,
    )
    assert {row["proname"] for row in may_call} == MAY_CALL[role]


@pytest.mark.parametrize("role", API_ROLES)
async def test_only_listed_public_functions_may_be_called_and_with_the_callers_own_rights(
    owner: asyncpg.Connection[Any], role: str
) -> None:
    """On Supabase every function of this schema is a call away from the browser."""
    may_call = await owner.fetch(
        "select proname, prosecdef from pg_proc p where pronamespace = 'public'::regnamespace"
        " and has_function_privilege($1, oid, 'execute')"
        " and not exists (select from pg_depend where objid = p.oid and deptype = 'e')",  # of an extension
        role,
    )
    assert {row["proname"] for row in may_call} == PUBLIC_FUNCTIONS
    assert [row["proname"] for row in may_call if row["prosecdef"]] == []


async def test_functions_with_their_owners_rights_pin_their_search_path_and_are_not_public(
    owner: asyncpg.Connection[Any],
) -> None:
    definers = await owner.fetch(
        """
        select oid::regprocedure::text as name, has_function_privilege('public', oid, 'execute') as is_public,
          coalesce(array_to_string(proconfig, ';'), '') as configuration
        from pg_proc where prosecdef
          and pronamespace in ('public'::regnamespace, 'private'::regnamespace, 'auth'::regnamespace)
        """
    )
    assert len(definers) > 5
    assert [d["name"] for d in definers if d["is_public"]] == []
    assert [d["name"] for d in definers if "search_path=pg_catalog, pg_temp" not in d["configuration"]] == []


async def test_hashes_of_passwords_pass_only_through_service_role(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    look_up = "select * from private.account(gen_random_uuid())"
    for caller in (LOG_IN, VISITOR, ANNA, ADMIN):
        assert await is_refused(login, caller, look_up)
    assert not await is_refused(login, SERVICE, look_up)


async def test_the_log_in_owns_nothing_and_bypasses_nothing(owner: asyncpg.Connection[Any], base: Base) -> None:
    powers = ("rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolinherit", "rolreplication", "rolcanlogin")
    roles = await owner.fetch("select * from pg_roles where rolname = any($1)", [*API_ROLES, "aclue_api"])
    expected = {
        "anon": set[str](),
        "authenticated": set[str](),
        "service_role": set[str](),
        "aclue_api": {"rolcanlogin"},
    }
    if base.is_supabase:  # its own roles: service_role bypasses row security, and all three inherit (from nobody)
        expected |= {"anon": {"rolinherit"}, "authenticated": {"rolinherit"}}
        expected["service_role"] = {"rolinherit", "rolbypassrls"}
    assert {row["rolname"]: {power for power in powers if row[power]} for row in roles} == expected
    inherited = "select count(*) from pg_auth_members where member = any($1::text[]::regrole[])"
    assert await owner.fetchval(inherited, list(API_ROLES)) == 0
    owned = "select count(*) from pg_class where relowner in (select oid from pg_roles where rolname = any($1))"
    assert await owner.fetchval(owned, [*API_ROLES, "aclue_api"]) == 0
    assert await owner.fetchval(owned, [base.owner]) > 0
