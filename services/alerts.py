"""Alerts about commissions, each said once: what is pending for too long, and payments that do not meet their rows."""

from __future__ import annotations

import structlog

from db.claims import SERVICE
from domain.money import to_decimal
from services.services import Services

log = structlog.get_logger("aclue.alerts")

TIMEOUT_MS = 60_000
_MESSAGES = {
    "overdue": "commissions are pending for longer than their network usually takes",
    "variance": "payments do not meet what they pay for",
}


async def update(services: Services) -> int:
    """Brings the alerts up to date, and notes new ones in the system log. Returns how many are new."""
    async with services.database.session(SERVICE, read_only=False, statement_timeout_ms=TIMEOUT_MS) as session:
        new = [row for row in await session.fetch("alerts.update") if row["is_new"]]
    for row in new:
        details = {
            "network": row["affiliate_network"],
            "advertiser": row["advertiser_id"],
            "month": row["month"],
            "amount": f"{to_decimal(row['amount_minor'], row['currency'])} {row['currency']}",
            "conversions": row["conversions"],
        }
        log.warning(_MESSAGES[row["kind"]], **details)
        services.system_log.note("warning", "ledger", _MESSAGES[row["kind"]], **details)
    return len(new)
