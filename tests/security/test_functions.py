"""Functions that people may call: called with somebody else's ids, they tell nothing of her and change nothing of hers.

A new function of the private schema that people may call is one more line in CALLS; a test fails until it stands.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.security.canaries import (
    ADMIN,
    ANALYST,
    ANNA,
    BEN,
    FINANCE,
    NOBODY,
    PERSONAL,
    SERVICE,
    VISITOR,
    Caller,
    become,
    canary_id,
    person_id,
)
from tests.security.test_grants import MAY_CALL, PUBLIC_FUNCTIONS
from tests.security.test_graphql_matrix import found_in

CALLS = {  # {anna}: her id; {product}, {link}, {click}: a product, her gift link and click
    "app_role": "",
    "avoided_categories": "'{anna}'",
    "band_alignments": "(select category_id from public.products limit 1), 1",
    "calculate_personality_product_match": """'{{"creative": 90}}', '["canary"]', '{{"creative": 1}}'""",
    "category_alignments": "(select category_id from public.products limit 1)",
    "category_subtree": "(select category_id from public.products limit 1)",
    "category_tree": "'canary-shop'",
    "count_conversions": "'{anna}', null",
    "count_events": "now() - interval '1 day', now() + interval '1 day'",
    "count_impressions": "now() - interval '1 day', now() + interval '1 day'",
    "rollup_counts": "'funnel', '', current_date, current_date, true",
    "revenue": "'{{}}', current_date, current_date, null, null, 'GBP'",
    "may_read_figures": "",
    "may_read_small_counts": "",
    "create_affiliate_click": "'{product}', null, null, '/', null",
    "create_gift_link_click": "'{link}', '{product}', null, null, '/', null",
    "current_experiments": "",
    "default_model_parameters": "",
    "dismiss_reason": "'tag', 'canary'",
    "dismissed_reasons": "'{anna}'",
    "everybodys_feedback": "null, null, null, null, 100",
    "facet": "'tag', 'canary'",
    "feedback_signals": "'{anna}', 'infinity'",
    "forget_withdrawn": "",
    "get_user_analytics_summary": "'{anna}'",
    "gift_mappings": "(select taxonomy_id from public.categories where taxonomy_id is not null limit 1)",
    "gift_subtree": "(select taxonomy_id from public.categories where taxonomy_id is not null limit 1)",
    "has_consent": "'{anna}', 'marketing'",
    "has_mfa": "'{anna}'",
    "hold_swipe": "'{anna}'",
    "is_aal2": "",
    "is_admin": "",
    "is_plain_json": """'{{"creative": 90}}'""",
    "ledger_balances": "array['network', 'retailer', 'month'], null, null, 'GBP', 1000",
    "leanings": """'{{"creative": 90}}', 0.5""",
    "mark_personality_due": "",
    "network_rules": "'awin'",
    "norms_of": "'aclue-gifts', '2.0'",
    "match_of": "array[0, 0, 0, 1, 0], array[0, 0, 0, 1, 0]",
    "match_terms": "array[0, 0, 0, 1, 0], array[0, 0, 0, 1, 0]",
    "model_parameters": "(select max(version) from public.recommendation_models), 1",
    "number_of": """'{{"creative": 90}}', 'creative', 0, 100""",
    "open_questions": "null",
    "person_of_click": "'{click}'",
    "occasion_relevances": "'birthday'",
    "product_facets": "(select category_id from public.products limit 1), null, array['canary']",
    "price_band": "(select category_id from public.products limit 1), 100, 'GBP'",
    "reconciliation": "null",
    "reported_sums": "'GBP', null",
    "refresh_product_features": "'{product}'",
    "search_fold": "'canary anna'",
    "search_lower": "'canary anna'",
    "search_query": "'canary anna'",
    "search_rank": "'canary'::tsvector, 'canary'::tsquery",
    "second_factors_of": "'{anna}'",
    "session_id": "",
    "signals": "'{anna}', 'infinity'",
    "suggest_names": "'tag', 'canary', 10",
    "suggest_products": "'canary', 10",
    "stated_affinities": "'{anna}'",
    "stated_currency": "'{anna}', 'GBP'",
    "stated_prices": "'{anna}', 'GBP'",
    "stated_texts": """'{{"tags": ["canary"]}}', 'tags'""",
    "sync_signals": "null",
    "trait_features": """'["canary"]', '{{"creative": 1}}'""",
    "uuid_v7": "",
    "uuid_v7_floor": "now()",
    "weighted_signals": "'{anna}', 'infinity', 30",
}
# With these Anna herself is told or changes something: so the others' silence means something.
TELL_ANNA = {
    "dismissed_reasons",
    "feedback_signals",
    "signals",
    "weighted_signals",
    "get_user_analytics_summary",
    "has_consent",
}
# Analysts are told everybody's feedback, by its own id and without the person.
TELLS_ANALYSTS = "everybodys_feedback"
# Whose click it is, to those who keep the books.
TELLS_BOOKKEEPERS = "person_of_click"
# Anybody with her link and a session may use it, which is counted in her row.
USES_HER_LINK = "create_gift_link_click"
OTHERS = [NOBODY, VISITOR, BEN, ANALYST, FINANCE, ADMIN]
ROWS_OF_ANNA = " union all ".join(
    f"(select '{table}', md5(coalesce(string_agg(to_jsonb(t)::text, ';' order by t.ctid), '')) from public.{table} t"
    f" where {column} = $1)"
    for table, column in PERSONAL.items()
)


def call(name: str) -> str:
    arguments = CALLS[name].format(
        anna=person_id("anna"),
        click=canary_id("affiliate_clicks", "anna"),
        link=canary_id("gift_links", "anna"),
        product=canary_id("products", "planted"),
    )
    return f"select * from {'public' if name in PUBLIC_FUNCTIONS else 'private'}.{name}({arguments})"


def test_every_function_that_people_may_call_has_a_line() -> None:
    assert set(CALLS) == MAY_CALL["anon"] | MAY_CALL["authenticated"] | PUBLIC_FUNCTIONS


@pytest.mark.parametrize("caller", OTHERS, ids=lambda caller: caller.label)
async def test_called_by_others_they_tell_nothing_of_anna_and_change_nothing_of_hers(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    told, changed = {}, []
    for name in CALLS:
        transaction = login.transaction()
        await transaction.start()
        await become(login, SERVICE)
        before = await login.fetch(ROWS_OF_ANNA, person_id("anna"))
        await become(login, caller)
        try:
            async with login.transaction():
                answer = str(await login.fetch(call(name)))
        except (asyncpg.InsufficientPrivilegeError, asyncpg.NotNullViolationError):
            answer = "refused"
        await become(login, SERVICE)
        if before != await login.fetch(ROWS_OF_ANNA, person_id("anna")):
            changed.append(name)
        await transaction.rollback()
        if "anna" in found_in(answer):
            told[name] = answer
    if caller in (ANALYST, ADMIN):
        assert str(person_id("anna")) not in told.pop(TELLS_ANALYSTS)
    if caller in (FINANCE, ADMIN):
        assert str(person_id("anna")) in told.pop(TELLS_BOOKKEEPERS)
    assert (told, changed) == ({}, [] if caller is NOBODY else [USES_HER_LINK])


@pytest.mark.parametrize("name", sorted(TELL_ANNA))
async def test_called_by_anna_they_tell_what_they_tell_nobody_else(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], name: str
) -> None:
    async def answer(caller: Caller) -> Any:
        async with login.transaction():
            await become(login, caller)
            return await login.fetch(call(name))

    hers = await answer(ANNA)
    for caller in OTHERS:
        assert await answer(caller) == await answer(NOBODY) != hers, caller.label


async def test_whether_somebody_has_a_second_factor_is_not_for_others_to_know(
    owner: asyncpg.Connection[Any], canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], dsns: Any
) -> None:
    superuser = await asyncpg.connect(dsns.superuser)
    await superuser.execute("insert into auth.users (id, email) values ($1, 'anna@factor.example')", person_id("anna"))
    await superuser.execute(
        "insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)"
        " values (gen_random_uuid(), $1, 'totp', 'verified', now(), now())",
        person_id("anna"),
    )
    await superuser.close()
    seen = {}
    for caller in (*OTHERS, ANNA, SERVICE):
        async with login.transaction():
            await become(login, caller)
            has = await login.fetchval("select private.has_mfa($1)", person_id("anna"))
            listed = await login.fetch("select * from private.second_factors_of($1)", person_id("anna"))
            seen[caller.label] = (has, len(listed))
    assert seen == {
        **{caller.label: (False, 0) for caller in OTHERS},
        **{caller.label: (True, 1) for caller in (ANNA, SERVICE)},
    }


TOO_LONG = "repeat('x', 201)"
HOSTILE_CALLS = (
    f"private.create_affiliate_click('{{product}}', null, null, {TOO_LONG}, null)",
    f"private.create_affiliate_click('{{product}}', null, null, null, {TOO_LONG})",
    "private.create_affiliate_click('{product}', '{nobody}', '{nobody}', null, null)",
    f"private.create_gift_link_click('{{link}}', '{{product}}', null, null, {TOO_LONG}, null)",
    f"private.create_gift_link_click('{{link}}', '{{product}}', null, null, null, {TOO_LONG})",
    "private.create_gift_link_click('{link}', '{product}', '{nobody}', '{nobody}', null, null)",
    "private.sync_signals({arguments})",
    "private.mark_personality_due()",
    "private.dismiss_reason('product', '{product}')",
    "private.dismiss_reason('product', 'nonsense')",
    "private.dismiss_reason('nonsense', null)",
    "private.forget_withdrawn()",
    "private.refresh_product_features('{product}')",
)


@pytest.mark.parametrize("caller", [*OTHERS, ANNA], ids=lambda caller: caller.label)
@pytest.mark.parametrize("statement", HOSTILE_CALLS)
async def test_an_error_shows_no_row(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller, statement: str
) -> None:
    """A constraint that fails by the owner's rights would show all of it, such as commissions and the link's maker."""
    call = statement.format(
        product=canary_id("products", "planted"),
        link=canary_id("gift_links", "anna"),
        nobody=person_id("nobody"),
        arguments=f"array['{canary_id('products', 'planted')}', '{person_id('nobody')}']::uuid[]",
    )
    told = ""
    try:
        async with login.transaction():
            await become(login, caller)
            await login.fetch(f"select {call}")
    except asyncpg.PostgresError as error:
        told = str(error.as_dict())
    assert "Failing row" not in told
    assert str(person_id("anna")) not in told or caller is ANNA
