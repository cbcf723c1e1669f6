"""Canaries: one row per person in every table that belongs to people, one in every table that belongs to nobody.

`ROWS` gives for each table the columns its insert has to name, as SQL; `CHANGES` what an update tries to set. Both are
filled in by `values()`: `{user}` is the person, `{product}` a product, `{key}` and `{number}` something of the row's
own, and the name of a table the id of that person's canary in it. The column of the owner is not among them: the
database fills it in for those who may insert.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

import asyncpg

from db.claims import Claims
from domain.ledger.booking import FIGURES

_NAMESPACE = UUID("6b1f0c52-8a0e-4a57-9f0e-0d5a2c9a7c11")


@dataclass(frozen=True)
class Caller:
    """Whom a statement runs as: a role (None: the log-in itself), what the token says, and the person behind it."""

    label: str
    role: str | None
    claims: str
    person: str | None = None


def person_id(name: str) -> UUID:
    return uuid5(_NAMESPACE, name)


def claims_of(name: str) -> Claims:
    """What the token of a person's account says."""
    key = person_id(name)
    return Claims("authenticated", key, raw=f'{{"sub":"{key}","role":"authenticated"}}')


def canary_id(table: str, name: str) -> UUID:
    return uuid5(_NAMESPACE, f"{table}/{name}")


def _claims(name: str, role: str, **more: Any) -> str:
    return json.dumps({"sub": str(person_id(name)), "role": role, **more})


PEOPLE = ("anna", "ben", "carol", "visitor")

LOG_IN = Caller("the log-in without a role", None, "")
NOBODY = Caller("anon without a session", "anon", '{"role":"anon"}')
VISITOR = Caller("an anonymous session", "anon", _claims("visitor", "anon", is_anonymous=True), "visitor")
BOLD_VISITOR = Caller(
    "an anonymous session that calls itself admin",
    "anon",
    _claims("visitor", "anon", is_anonymous=True, app_metadata={"role": "admin"}),
    "visitor",
)
ANNA = Caller("anna", "authenticated", _claims("anna", "authenticated"), "anna")
BEN = Caller("ben", "authenticated", _claims("ben", "authenticated"), "ben")
ANALYST = Caller(
    "an analyst", "authenticated", _claims("ben", "authenticated", app_metadata={"role": "analyst"}), "ben"
)
ADMIN = Caller(
    "an administrator", "authenticated", _claims("carol", "authenticated", app_metadata={"role": "admin"}), "carol"
)
FINANCE = Caller("finance", "authenticated", _claims("ben", "authenticated", app_metadata={"role": "finance"}), "ben")
SERVICE = Caller("service_role", "service_role", '{"role":"service_role"}')
NO_JSON = Caller("claims that are no JSON", "authenticated", "{sub:")
NO_UUID = Caller("a sub that is no uuid", "authenticated", '{"sub":"anna","role":"authenticated"}')
EMPTY = Caller("empty claims", "authenticated", "")
NO_OBJECT = Caller("claims that are a list", "authenticated", '["anna"]')
CALLED_SERVICE = Caller(
    "a person whose claims say service_role", "authenticated", _claims("ben", "service_role"), "ben"
)

PERSONAL = {  # table: the column of its owner
    "profiles": "id",
    "user_sessions": "user_id",
    "session_analytics": "user_id",
    "idempotency_keys": "user_id",
    "personality_profiles": "user_id",
    "personality_assessment_history": "user_id",
    "quiz_drafts": "user_id",
    "recommendations": "user_id",
    "recommendation_feedback": "user_id",
    "dismissed_reasons": "user_id",
    "personality_recommendations": "user_id",
    "swipes": "user_id",
    "product_signals": "user_id",
    "product_views": "user_id",
    "impressions": "user_id",
    "gift_links": "user_id",
    "affiliate_clicks": "user_id",
    "affiliate_redirects": "user_id",
    "recipients": "user_id",
    "occasions": "user_id",
    "experiment_exposures": "user_id",
    "session_merges": "user_id",
    "analytics_events": "user_id",
    "consents": "user_id",
    "privacy_requests": "user_id",
}
LEDGER = {"conversions"}  # names a person, but is not the person's: it outlives them

HAVE_NO_ID_TO_CHOOSE = {
    "analytics_events",
    "profiles",
    "product_signals",
    "product_views",
    "impressions",
    "idempotency_keys",
    "experiment_exposures",
    "session_merges",
    "quiz_drafts",
}

_A_PRODUCT = "'{product}'"
_A_NETWORK = "(select code from public.affiliate_networks order by code limit 1)"
_A_PAYMENT = "(select id from public.payments order by id limit 1)"
_A_GIFT_CATEGORY = "(select id from public.gift_categories order by slug limit 1)"
_A_TRAINED_MODEL = "(select max(version) from public.trained_models)"
ROWS: dict[str, dict[str, str]] = {
    "affiliate_networks": {"code": "'{key}'", "name": "'Canary'"},
    "audit_log": {"operation": "'insert'", "table_name": "'{key}'"},
    "brands": {"slug": "'{key}'", "name": "'Canary'"},
    "categories": {"slug": "'{key}'", "name": "'Canary'"},
    "currencies": {"code": "'X' || chr(65 + {number}) || 'Z'", "exponent": "2"},
    "network_link_rules": {
        "network": "'awin'",
        "position": "50 + {number}",
        "place": "'query'",
        "parameter": "'sub'",
        "max_length": "50",
        "characters": "'a-z0-9'",
    },
    "retailers": {"slug": "'{key}'", "name": "'Canary'"},
    "placements": {
        "retailer_id": "(select id from public.retailers order by slug limit 1)",
        "network": "'amazon'",
        "tracking_id": "'canary-{number}'",
        "name": "'canary {number}'",
    },
    "products": {
        "name": "'{key}'",
        "price_minor": "100",
        "currency": "'GBP'",
        "category_id": "(select id from public.categories order by slug limit 1)",
        "retailer_id": "(select id from public.retailers order by slug limit 1)",
        "external_id": "'{key}'",
        "affiliate_url": "'https://shop.example/{key}'",
    },
    "product_offers": {  # a trigger gives each product one: it is of a product whose own was deleted
        "id": "(select id from public.products where external_id = 'without-offer-{number}')",
        "product_id": _A_PRODUCT,
        "retailer_id": "(select id from public.retailers order by slug desc limit 1)",
        "price_minor": "100",
        "currency": "'GBP'",
        "affiliate_url": "'https://shop.example/{key}'",
    },
    "product_prices": {
        "product_id": _A_PRODUCT,
        "retailer_id": "(select id from public.retailers order by slug limit 1)",
        "price_minor": "100",
        "currency": "'GBP'",
    },
    "recommendation_models": {"parameters": "'{{}}'"},
    "product_features": {
        "model_version": "(select max(version) from public.recommendation_models)",
        "product_id": _A_PRODUCT,
        "popularity": "0.5",
        **dict.fromkeys(("adventurous", "intellectual", "practical", "creative", "social"), "0"),
    },
    "erasure_tombstones": {"subject_hash": "sha256('{key}')"},
    "model_cells": {
        "model_version": "(select max(version) from public.recommendation_models)",
        "cell": "{number}",
        "first_kind": "1",
        "last_kind": "1",
        "lowest": "'{{0,0,0,0,0}}'",
        "highest": "'{{0,0,0,0,0}}'",
        "liked": "0",
    },
    "model_kinds": {
        "model_version": "(select max(version) from public.recommendation_models)",
        "kind": "{number}",
        "adventurous": "0",
        "intellectual": "0",
        "practical": "0",
        "creative": "0",
        "social": "0",
        "numbers": "'{{1}}'",
    },
    "model_lists": {
        "model_version": "(select max(version) from public.recommendation_models)",
        "list": "{number}",
        "rank": "0",
        "number": "{number}",
    },
    "gift_categories": {"slug": "'{key}'", "name": "'Canary'"},
    "trained_models": {"people": "5", "events": "5", "products": "1", "parameters": "'{{}}'", "metrics": "'{{}}'"},
    "model_products": {
        "trained_version": _A_TRAINED_MODEL,
        "number": "{number}",
        **dict.fromkeys(("first_bias", "few_bias", "many_bias", "like_rate"), "0"),
    },
    "model_weights": {
        "trained_version": _A_TRAINED_MODEL,
        "kind": "'few'",
        "source": "{number}",
        "rank": "0",
        "target": "2",
        "weight": "0.5",
    },
    "gift_context_rules": {"kind": "'age'", "value": "'{key}'", "tag": "'canary'", "weight": "0.5"},
    "personality_gift_mappings": {
        "personality_type": "'creative'",
        "taxonomy_id": _A_GIFT_CATEGORY,
        "recommendation_weight": "0.5",
        "algorithm_version": "'{key}'",
    },
    "personality_tag_mappings": {"personality_type": "'creative'", "tag": "'{key}'", "weight": "0.5"},
    "gift_context_categories": {
        "kind": "'age'",
        "value": "'{key}'",
        "taxonomy_id": _A_GIFT_CATEGORY,
        "weight": "0.5",
    },
    "quiz_versions": {"version": "'{key}'", "min_answers": "10"},
    "quiz_traits": {"instrument": "'aclue-gifts'", "version": "'1.0'", "trait": "'{key}'", "position": "9 + {number}"},
    "quiz_questions": {
        "version": "'1.0'",
        "code": "'{key}'",
        "position": "90 + {number}",
        "trait": "'creative'",
        "is_reversed": "false",
    },
    "quiz_texts": {"version": "'1.0'", "locale": "'en'", "code": "'{key}'", "text": "'Canary?'"},
    "profiles": {"email": "'{key}@canary.example'", "display_name": "'{key}'"},
    "user_sessions": {"refresh_token_hash": "sha256('{key}')", "expires_at": "now() + interval '1 day'"},
    "session_analytics": {"session_id": "'{user_sessions}'"},
    "idempotency_keys": {
        "operation": "'canary'",
        "key": "'{key}'",
        "request_hash": "'\\x00'",
        "result_id": _A_PRODUCT,
    },
    "personality_profiles": {"primary_type": "'creative'", "personality_scores": "'{{}}'"},
    "personality_assessment_history": {
        "assessment_data": "'{{}}'",
        "personality_scores": "'{{}}'",
        "primary_type": "'creative'",
        "assessment_trigger": "'initial'",
        "questions_answered": "20",
    },
    "quiz_drafts": {
        "instrument": "'aclue-gifts'",
        "version": "'2.0'",
        "answers": "'{{\"{key}\": 3}}'",
        "answered_at": "'{{\"{key}\": 1}}'",
    },
    "recommendations": {
        "product_id": _A_PRODUCT,
        "recommendation_context": "'discover'",
        "model_version": "1",
        "position": "1",
        "propensity": "1",
        "score": "0.5",
        "generated_at": "now()",
    },
    "recommendation_feedback": {
        "recommendation_id": "'{recommendations}'",
        "product_id": "(select product_id from public.recommendations where id = '{recommendations}')",
        "feedback_type": "'helpful'",
    },
    "dismissed_reasons": {"tag": "'{key}'", "label": "'{key}'"},
    "personality_recommendations": {
        "product_id": _A_PRODUCT,
        "personality_profile_id": "'{personality_profiles}'",
        "personality_match_score": "0.5",
        "category_alignment_score": "0.5",
        "behavioral_prediction": "0.5",
        "combined_score": "0.5",
        "confidence_level": "0.5",
        "recommendation_context": "'discover'",
        "generated_at": "now()",
    },
    "swipes": {"client_swipe_id": "'{key}'", "product_id": _A_PRODUCT, "direction": "'right'"},
    "product_signals": {
        "product_id": _A_PRODUCT,
        "swipe_id": "'{swipes}'",
        "direction": "'right'",
        "preference_strength": "0.8",
        "swiped_at": "now()",
    },
    "product_views": {"id": "private.uuid_v7()", "product_id": _A_PRODUCT},
    "impressions": {
        "id": "private.uuid_v7()",
        "product_id": _A_PRODUCT,
        "recommendation_context": "'discover'",
        "model_version": "1",
        "arm": "0",
        "propensity": "1",
        "position": "1",
        "shown_at": "now()",
    },
    "gift_links": {"product_id": _A_PRODUCT, "message": "'{key}'"},
    "affiliate_clicks": {
        "product_id": _A_PRODUCT,
        "affiliate_url": "'https://shop.example/{key}'",
        "price_minor": "100",
        "currency": "'GBP'",
    },
    "affiliate_redirects": {"click_id": "'{affiliate_clicks}'"},
    "commission_rules": {
        "retailer_id": "(select id from public.retailers order by slug limit 1)",
        "rate": "0.05",
        "valid_from": "now() + interval '{number} days'",
    },
    "conversions": {
        "affiliate_network": _A_NETWORK,
        "id": "gen_random_uuid()",
        "reference": "'{key}'",
        "advertiser_id": "'1'",
        "status": "'pending'",
        "currency": "'GBP'",
        "sale_minor": "100",
        "tracked_minor": "5",
        **dict.fromkeys((f"{figure}_minor" for figure in (*FIGURES, "variance")), "0"),
        "ordered_at": "now()",
    },
    "conversion_reports": {
        "affiliate_network": _A_NETWORK,
        "reference": "'{key}'",
        "identity": "'{key}'",
        "kind": "'transaction'",
        "state": "'pending'",
        "advertiser_id": "'1'",
        "currency": "'GBP'",
        "amount_minor": "5",
        "sale_minor": "100",
        "ordered_at": "now()",
        "source": "'import'",
    },
    "conversion_clicks": {
        "affiliate_network": _A_NETWORK,
        "reference": "'{key}'",
        "click_id": "gen_random_uuid()",
        "clicked_at": "now()",
        "matched_by": "'click_id'",
    },
    "payments": {
        "affiliate_network": _A_NETWORK,
        "reference": "'{key}'",
        "advertiser_id": "'1'",
        "period_start": "'2026-07-01'",
        "period_end": "'2026-07-31'",
        "currency": "'GBP'",
        "amount_minor": "5",
        "paid_on": "'2026-08-20'",
    },
    "ledger_entries": {
        "transaction_id": "gen_random_uuid()",
        "payment_id": _A_PAYMENT,
        "account": "'received'",
        "amount_minor": "5",
        "currency": "'GBP'",
        "event_at": "now()",
    },
    "exchange_rates": {
        "rate_on": "'2026-07-31'",
        "currency": "'USD'",
        "reporting_currency": "'GBP'",
        "rate": "0.8",
        "source": "'{key}'",
    },
    "settlements": {
        "payment_id": "(select id from public.payments p where not exists"
        " (select from public.settlements s where s.payment_id = p.id) limit 1)",
        "due_minor": "5",
        "conversions": "1",
        "meets": "true",
    },
    "exceptions": {
        "id": "gen_random_uuid()",
        "kind": "'short_payment'",
        "payment_id": _A_PAYMENT,
        "detail": "'{key}'",
        "concerns_on": "'2026-07-31'",
    },
    "ledger_decisions": {
        "kind": "'decline'",
        "reason": "'{key}'",
        "exception_id": "(select id from public.exceptions order by id limit 1)",
    },
    "conversion_flags": {
        "id": "gen_random_uuid()",
        "conversion_id": "(select id from public.conversions order by id limit 1)",
        "kind": "'manual'",
        "detail": "'{key}'",
    },
    "advertisers": {
        "affiliate_network": _A_NETWORK,
        "advertiser_id": "'{key}'",
        "retailer_id": "(select id from public.retailers order by slug limit 1)",
    },
    "postback_senders": {
        "affiliate_network": _A_NETWORK,
        "name": "'{key}'",
        "secret_hash": "sha256('{key}')",
    },
    "postbacks": {
        "sender_id": "(select id from public.postback_senders order by id limit 1)",
        "content_hash": "sha256('{key}')",
        "content_type": "'{key}'",
    },
    "alerts": {
        "kind": "'overdue'",
        "affiliate_network": _A_NETWORK,
        "advertiser_id": "'{key}'",
        "month": "'2026-07-01'",
        "currency": "'GBP'",
        "amount_minor": "5",
        "conversions": "1",
    },
    "network_accounts": {"affiliate_network": _A_NETWORK, "name": "'{key}'", "publisher_id": "'1'"},
    "network_watermarks": {
        "affiliate_network": "(select affiliate_network from public.network_accounts order by name limit 1)",
        "account_name": "(select name from public.network_accounts order by name limit 1)",
        "date_type": "'{key}'",
        "read_until": "now()",
    },
    "network_pulls": {"affiliate_network": _A_NETWORK, "account_name": "'{key}'", "started_by": "'{key}'"},
    "recipients": {"name": "'{key}'"},
    "occasions": {"recipient_id": "'{recipients}'", "kind": "'birthday'", "occurs_on": "'2026-12-24'"},
    "experiments": {
        "key": "'{key}'",
        "description": "'Canary'",
    },
    "experiment_arms": {
        "experiment_id": "(select id from public.experiments order by id limit 1)",
        "name": "chr(97 + {number})",
        "share": "1",
    },
    "experiment_exposures": {
        "experiment_id": "(select id from public.experiments order by id limit 1)",
        "variant": "'a'",
    },
    "session_merges": {
        "session_profile_id": "gen_random_uuid()",
        "swipes": "1",
        "clicks": "0",
        "views": "0",
        "assessments": "0",
    },
    "analytics_events": {"id": "private.uuid_v7()", "event_name": "'canary'"},
    "import_runs": {"started_by": "'{key}'"},
    "product_origins": {
        "product_id": "'{product}'",
        "run_id": "(select id from public.import_runs order by number limit 1)",
    },
    "switches": {"name": "(array['imports', 'writes'])[1 + {number}]", "is_on": "true"},
    "system_logs": {"level": "'info'", "component": "'{key}'", "message": "'Canary'"},
    "consents": {"purpose": "'marketing'", "granted": "true", "policy_version": "'1'"},
    "privacy_requests": {"kind": "'export'"},
}
CHANGES = {
    "affiliate_networks": "name = 'changed'",
    "audit_log": "operation = 'delete'",
    "brands": "name = 'changed'",
    "categories": "name = 'changed'",
    "currencies": "exponent = 1",
    "network_link_rules": "parameter = 'changed'",
    "retailers": "name = 'changed'",
    "placements": "is_current = false",
    "products": "name = 'changed'",
    "product_offers": "in_stock = false",
    "product_prices": "price_minor = 1",
    "recommendation_models": "parameters = '{}'",
    "product_features": "popularity = 0.1",
    "erasure_tombstones": "erased_at = now()",
    "model_cells": "liked = 0.9",
    "model_kinds": "creative = 0.9",
    "model_lists": "rank = 9",
    "gift_categories": "name = 'changed'",
    "gift_context_categories": "weight = 0.1",
    "trained_models": "people = 6",
    "model_products": "like_rate = 0.1",
    "model_weights": "weight = 0.1",
    "gift_context_rules": "weight = 0.1",
    "personality_gift_mappings": "recommendation_weight = 0.1",
    "personality_tag_mappings": "weight = 0.1",
    "quiz_versions": "min_answers = 1",
    "quiz_traits": "min_answers = 1",
    "quiz_questions": "is_reversed = true",
    "quiz_texts": "text = 'changed'",
    "profiles": "display_name = 'changed'",
    "user_sessions": "user_agent = 'changed'",
    "session_analytics": "landing_page = 'changed'",
    "idempotency_keys": "operation = 'changed'",
    "personality_profiles": "version = 'changed'",
    "personality_assessment_history": "questions_answered = 1",
    "quiz_drafts": "version = '1.0'",
    "recommendations": "position = 9",
    "recommendation_feedback": "comment = 'changed'",
    "dismissed_reasons": "restored_at = clock_timestamp()",
    "personality_recommendations": "is_purchased = true",
    "swipes": "undone_at = now()",
    "product_signals": "preference_strength = 0.1",
    "product_views": "source_page = 'changed'",
    "impressions": "position = 9",
    "gift_links": "revoked_at = now()",
    "affiliate_clicks": "campaign = 'changed'",
    "affiliate_redirects": "device_class = 'bot'",
    "commission_rules": "rate = 0.1",
    "conversions": "variance_minor = 9",
    "conversion_reports": "amount_minor = 9",
    "conversion_clicks": "commission_rate = 0.9",
    "payments": "amount_minor = 9",
    "ledger_entries": "amount_minor = 9",
    "exchange_rates": "rate = 9",
    "settlements": "due_minor = 9",
    "exceptions": "detail = 'changed'",
    "ledger_decisions": "reason = 'changed'",
    "conversion_flags": "detail = 'changed'",
    "advertisers": "advertiser_id = 'changed'",
    "postback_senders": "received_bytes = 9",
    "postbacks": "error = 'changed'",
    "alerts": "conversions = 9",
    "network_accounts": "publisher_id = 'changed'",
    "network_watermarks": "read_until = now()",
    "network_pulls": "requests = 9",
    "recipients": "notes = 'changed'",
    "occasions": "name = 'changed'",
    "experiments": "description = 'changed'",
    "experiment_arms": "parameters = '{\"discover\": {}}'",
    "experiment_exposures": "exposed_at = now() - interval '1 day'",
    "session_merges": "swipes = 9",
    "analytics_events": "event_name = 'changed'",
    "import_runs": "started_by = 'changed'",
    "product_origins": "line = 9",
    "switches": "is_on = false",
    "system_logs": "message = 'changed'",
    "consents": "granted = false",
    "privacy_requests": "kind = 'erasure'",
}


def insert(
    table: str, name: str, *, with_owner: bool, planted: bool = False, changed: Mapping[str, str] | None = None
) -> str:
    """An insert of a row for this person; planted rows have an id that is known, others clash with none of them.
    `changed`: other values than those of ROWS, as SQL."""
    columns = dict(ROWS[table])
    if planted and table in PERSONAL and table not in HAVE_NO_ID_TO_CHOOSE:
        columns["id"] = "'{" + table + "}'"
    if planted and table == "products":
        columns["id"] = _A_PRODUCT
    if with_owner and table in PERSONAL:
        columns[PERSONAL[table]] = "'{user}'"
    product = canary_id("products", "planted" if planted else "another")
    known = {other: canary_id(other, name) for other in PERSONAL}
    key = f"{'canary' if planted else 'attempt'}-{name}"
    values = {
        column: text.format(user=person_id(name), product=product, key=key, number=int(not planted), **known)
        for column, text in columns.items()
    } | dict(changed or {})
    return f"insert into public.{table} ({', '.join(values)}) values ({', '.join(values.values())})"


async def plant(owner: asyncpg.Connection[Any]) -> None:
    """Fills every table, as the owner of the schema."""
    for table in ROWS:
        for name in PEOPLE if table in PERSONAL else ("shop",):
            statement = insert(table, name, with_owner=True, planted=True)
            if table == "ledger_entries":  # a transaction has to balance
                statement += ", (gen_random_uuid(), " + _A_PAYMENT + ", 'receivable', -5, 'GBP', now())"
                statement = statement.replace("gen_random_uuid()", f"'{UUID(int=7)}'")
            await owner.execute(statement)
        if table == "retailers":
            await owner.execute("insert into public.retailers (slug, name) values ('other-shop', 'Canary')")
        if table == "payments":
            await owner.execute(insert(table, "another", with_owner=True))
        if table == "products":
            await owner.execute(
                "insert into public.products (id, name, price_minor, currency, category_id, retailer_id, external_id,"
                " affiliate_url) select $1, 'another', price_minor, currency, category_id, retailer_id, 'another',"
                " affiliate_url from public.products limit 1",
                canary_id("products", "another"),
            )
            await owner.execute(
                "insert into public.products (name, price_minor, currency, category_id, retailer_id, external_id,"
                " affiliate_url) select 'without offer', price_minor, currency, category_id, retailer_id,"
                " 'without-offer-' || n, affiliate_url from public.products, generate_series(0, 1) n"
                " where name = 'another';"
                " delete from public.product_offers o using public.products p"
                " where p.id = o.id and p.name = 'without offer'"
            )


async def become(connection: asyncpg.Connection[Any], caller: Caller) -> None:
    """For the rest of the transaction. Role last: what stands before it runs as the log-in."""
    await connection.execute("select set_config('request.jwt.claims', $1, true)", caller.claims)
    await connection.execute("select set_config('role', $1, true)", caller.role or "none")
