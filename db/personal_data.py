"""The tables with people's data: what an export contains, and what it leaves out for which reason.

A test fails if a table with a column for a person is in none of these lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_KEEPS_SAFE = "a secret that keeps the account safe; of no meaning to anybody else"
_OF_THE_SHOP = "what the shop pays us; it tells of the shop, not of the person"


@dataclass(frozen=True, slots=True)
class Personal:
    """A table with rows of people. `person` is the column that says whose; `left_out` gives a reason per column."""

    person: str = "user_id"
    left_out: Mapping[str, str] = field(default_factory=dict)


# Read under the person's own claims, so row level security excludes other people's rows.
READ_BY_PERSON: Mapping[str, Personal] = {
    "public.profiles": Personal("id"),
    "public.consents": Personal(),
    "public.privacy_requests": Personal(),
    "public.user_sessions": Personal(
        left_out={
            "refresh_token_hash": _KEEPS_SAFE,
            "branch_token_hashes": _KEEPS_SAFE,
            "rotated_token_hashes": _KEEPS_SAFE,
            "rotated_at": "when those tokens were exchanged, for some seconds after it; last_used_at says so as well",
            "networks": "keyed hashes of the network the session began in, which bound how much one network counts in"
            " popularity; of no meaning without the server's key",
        },
    ),
    "public.session_analytics": Personal(),
    "public.personality_profiles": Personal(),
    "public.personality_assessment_history": Personal(),
    "public.quiz_drafts": Personal(),
    "public.swipes": Personal(),
    "public.product_signals": Personal(),
    "public.product_views": Personal(),
    "public.impressions": Personal(),
    "public.user_preferences": Personal(),
    "public.recommendations": Personal(),
    "public.recommendation_feedback": Personal(),
    "public.dismissed_reasons": Personal(),
    "public.personality_recommendations": Personal(),
    "public.gift_links": Personal(),
    "public.recipients": Personal(),
    "public.occasions": Personal(),
    "public.experiment_exposures": Personal(),
    "public.analytics_events": Personal(),
    "public.session_merges": Personal(),
    "public.affiliate_clicks": Personal(
        left_out={
            "gift_link_user_id": "somebody else: who made the gift link",
            "commission_rate": _OF_THE_SHOP,
            "expected_commission_minor": _OF_THE_SHOP,
            "actual_commission_minor": _OF_THE_SHOP,
            "commission_rule_id": _OF_THE_SHOP,
            "commission_flat_minor": _OF_THE_SHOP,
            "commission_cap_minor": _OF_THE_SHOP,
        },
    ),
}

# People have no grant on these tables, but a right to their content.
READ_BY_SERVICE: Mapping[str, Personal] = {
    "public.affiliate_redirects": Personal(
        left_out={
            "visitor_hash": "of the visitor who followed the link, who is usually another person",
            "network_hash": "of the visitor who followed the link, who is usually another person",
            "visited_hour": "follows from redirected_at",
        },
    ),
    "public.conversions": Personal(
        left_out=dict.fromkeys(
            (
                "tracked_minor",
                "expected_minor",
                "pending_minor",
                "approved_minor",
                "declined_minor",
                "reversed_minor",
                "paid_minor",
                "clawback_minor",
                "variance_minor",
            ),
            _OF_THE_SHOP,
        ),
    ),
    "public.audit_log": Personal("person_id", left_out={"actor": "may be somebody else, such as an administrator"}),
}

# Read by private.export_log_in(), which lists their columns: they may be another service's.
LOG_IN: Mapping[str, Personal] = {
    "auth.users": Personal("id", left_out={"encrypted_password": _KEEPS_SAFE}),
    "auth.mfa_factors": Personal(left_out={"secret": _KEEPS_SAFE, "last_used_step": _KEEPS_SAFE}),
}

NOT_EXPORTED: Mapping[str, str] = {
    "public.idempotency_keys": "kept for a day against repeated requests; hashes, and ids that stand elsewhere",
    "private.one_time_tokens": "hashes of tokens that went out by mail; gone once used or expired",
    "private.outbox": "mails on their way, encrypted, to the address of the account; gone after 30 days",
    "public.ledger_entries": "its accounts are of money; the conversions that it refers to are exported",
    "public.conversion_origins": "a view of the clicks that sales came from; clicks and sales are exported",
    "private.personality_due": "a mark that the personality profile has to be rebuilt",
    "private.merged_rows": "which rows were of another product before two were merged; ids that stand elsewhere",
    "private.recovery_codes": _KEEPS_SAFE,
    "private.storage_use": "how many bytes were stored on the last two days, by hashes of people and networks",
}
