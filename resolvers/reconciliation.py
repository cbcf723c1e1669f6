"""What was expected, reported, and paid."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

import asyncpg

from db.session import Session
from domain.analytics import FIGURES
from domain.ledger import booking
from domain.money import to_decimal
from resolvers.finance import month_of, require_proven_money_reader

SUMS = (*FIGURES, "variance")


async def of_month(session: Session, month: str | None, reporting_currency: str) -> dict[str, Any]:
    """`report` of a month such as 2026-07, or of all, for callers of the API. Raises Unauthenticated, Forbidden, or
    Invalid."""
    await require_proven_money_reader(session)
    first = None if month is None else month_of(month, ("month",))[0]
    return await report(session, first, reporting_currency)


async def report(session: Session, month: date | None, reporting_currency: str | None = None) -> dict[str, Any]:
    """The reconciliation of all months of orders, or of the one that begins on `month`.

    `currencies` maps each code to its sums, `by` has a row per network, shop (the slug; None: unknown), month and
    currency. Amounts are decimals as text, never summed across currencies. `exceptions` counts what is open,
    `unmatched` the conversions without a click or placement of ours. `overdue` lists what is pending for longer than
    its network usually takes, by network, advertiser, shop, month and currency (`days`: the age of the oldest). With a
    reporting currency, `reporting` has the figures in it, at the rates of the days of the orders; None where a rate is
    missing."""
    rows = await session.fetch("ledger.reconciliation", month=month)
    questions = await session.fetchrow("ledger.open_questions", month=month)
    assert questions is not None
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for name in SUMS:
            sums[row["currency"]][name] += row[name]
    found = {
        "currencies": {code: _decimals(sums[code], code) for code in sorted(sums)},
        "by": [
            {
                **{name: row[name] for name in ("network", "retailer", "month", "currency")},
                **_decimals(row, row["currency"]),
            }
            for row in rows
        ],
        "exceptions": questions["exceptions"],
        "unmatched": questions["unmatched"],
        "overdue": [
            {**dict(row), "amount": f"{to_decimal(row['amount'], row['currency']):f}"}
            for row in await session.fetch("alerts.overdue", month=month)
        ],
    }
    if reporting_currency is not None:
        found["reporting"] = await _reporting(session, month, reporting_currency)
    return found


async def _reporting(session: Session, month: date | None, currency: str) -> dict[str, str | None]:
    rows = await session.fetch("ledger.reported", currency=currency, month=month)
    balances = {row["account"]: row["amount_minor"] for row in rows}
    accounts = {"expected": "expected", **booking.FIGURES, "rounding": "rounding"}
    amounts = {name: balances.get(account, 0) for name, account in accounts.items()}
    decimals = {name: None if minor is None else f"{to_decimal(minor, currency):f}" for name, minor in amounts.items()}
    return {"currency": currency, **decimals}


def _decimals(row: Mapping[str, int] | asyncpg.Record, currency: str) -> dict[str, str]:
    return {name: f"{to_decimal(row[name], currency):f}" for name in SUMS}
