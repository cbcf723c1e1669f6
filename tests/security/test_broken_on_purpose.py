"""A database that was broken on purpose: the very tests that pass elsewhere must fail here.

Each fault is made by the owner in this test's own copy of the database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from tests.bases import Base
from tests.security import test_functions as functions
from tests.security import test_grants as grants
from tests.security import test_graphql_matrix as graphql
from tests.security import test_row_level_security as matrix
from tests.security.canaries import ANNA, BEN, VISITOR
from tests.security.test_graphql_matrix import Stage, database_template, stage

__all__ = ["database_template", "stage"]  # the fixtures

Check = Callable[[Any, Any, Base], Awaitable[None]]

FAULTS: dict[str, tuple[str, Check]] = {
    "a policy that lets everybody read": (
        "alter policy swipes_own_read on public.swipes using (true)",
        lambda owner, login, base: matrix.test_blind_statements_touch_what_the_matrix_says_and_nothing_else(
            owner, login, BEN
        ),
    ),
    "a policy that lets everybody read, told by naming rows": (
        "alter policy affiliate_clicks_own_read on public.affiliate_clicks using (true)",
        lambda owner, login, base: matrix.test_naming_somebody_elses_rows_does_not_reach_them(owner, login, VISITOR),
    ),
    "a policy that lets everybody update": (
        "alter policy profiles_own_update on public.profiles using (true) with check (true)",
        lambda owner, login, base: matrix.test_blind_statements_touch_what_the_matrix_says_and_nothing_else(
            owner, login, BEN
        ),
    ),
    "a policy more, for deleting": (
        "grant delete on public.swipes to authenticated;"
        "create policy more on public.swipes for delete to authenticated using (user_id = (select auth.uid()))",
        lambda owner, login, base: matrix.test_blind_statements_touch_what_the_matrix_says_and_nothing_else(
            owner, login, BEN
        ),
    ),
    "a policy that reads the claims of anon as nobody's": (
        "alter policy swipes_own_read on public.swipes"
        " using (user_id = (select auth.uid()) or (select auth.uid()) is null)",
        lambda owner, login, base: matrix.test_blind_statements_touch_what_the_matrix_says_and_nothing_else(
            owner, login, matrix.NOBODY
        ),
    ),
    "row security switched off": (
        "alter table public.product_signals disable row level security",
        lambda owner, login, base: (
            matrix.test_every_table_of_the_public_schema_has_row_security_and_stands_in_the_matrix(owner)
        ),
    ),
    "a policy without WITH CHECK": (
        "create policy unchecked on public.swipes for update to authenticated using (true)",
        lambda owner, login, base: matrix.test_policies_that_write_check_the_new_row(owner),
    ),
    "the owner's column granted": (
        "grant update (user_id) on public.recipients to authenticated",
        lambda owner, login, base: grants.test_nobody_names_the_owner_of_a_row(owner, login, ANNA),
    ),
    "a column of value granted": (
        "grant update (actual_commission_minor) on public.affiliate_clicks to authenticated;"
        "create policy paid on public.affiliate_clicks for update to authenticated using (true) with check (true)",
        lambda owner, login, base: grants.test_columns_of_value_are_not_for_people_to_write(owner, login, ANNA),
    ),
    "a secret column granted": (
        "grant select (refresh_token_hash) on public.user_sessions to authenticated",
        lambda owner, login, base: grants.test_commissions_and_hashes_are_not_for_people_to_read(owner, login, ANNA),
    ),
    "TRUNCATE granted, which row security does not see": (
        "grant truncate on public.swipes to anon",
        lambda owner, login, base: grants.test_no_role_of_the_api_may_truncate_refer_to_or_put_triggers_on_a_table(
            owner, base
        ),
    ),
    "a view with its owner's rights": (
        "create view public.all_swipes as table public.swipes",
        lambda owner, login, base: matrix.test_views_run_with_the_rights_of_who_reads_them(owner),
    ),
    "a function more": (
        "create function private.everything() returns setof public.swipes language sql security definer"
        " set search_path = pg_catalog, pg_temp as 'table public.swipes';"
        " grant execute on function private.everything() to anon",
        lambda owner, login, base: grants.test_only_listed_private_functions_may_be_called(owner, "anon"),
    ),
    "a function that asks for whomever it is told": (
        "alter function private.signals(uuid, timestamptz) security definer",
        lambda owner, login, base: functions.test_called_by_others_they_tell_nothing_of_anna_and_change_nothing_of_hers(
            owner, login, BEN
        ),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_in_the_database_is_caught(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], base: Base, fault: str
) -> None:
    breaking, check = FAULTS[fault]
    await check(canaries, login, base)
    await canaries.execute(breaking)
    with pytest.raises(AssertionError):
        await check(canaries, login, base)


async def test_a_policy_that_lets_everybody_read_is_caught_through_graphql(stage: Stage) -> None:
    await graphql.test_queries_answer_what_the_matrix_says(stage, "ben")
    await stage.shop.owner.execute("alter policy profiles_own_read on public.profiles using (true)")
    with pytest.raises(AssertionError, match="'node': 'hers'"):
        await graphql.test_queries_answer_what_the_matrix_says(stage, "ben")
