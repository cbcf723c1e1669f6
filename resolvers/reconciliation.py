"""What was expected, reported, and paid."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

import asyncpg

from db.session import Session
from domain.ledger.booking import FIGURES
from domain.money import to_decimal

SUMS = ("expected", "tracked", *FIGURES, "variance")


async def report(session: Session, month: date | None) -> dict[str, Any]:
    """The reconciliation of all months of orders, or of the one that begins on `month`.

    `currencies` maps each code to its sums, `by` has a row per network, shop (the slug; None: unknown), month and
    currency. Amounts are decimals as text, never summed across currencies. `exceptions` counts what is open,
    `unmatched` the conversions without a click or placement of ours."""
    rows = await session.fetch("ledger.reconciliation", month=month)
    questions = await session.fetchrow("ledger.open_questions", month=month)
    assert questions is not None
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for name in SUMS:
            sums[row["currency"]][name] += row[name]
    return {
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
    }


def _decimals(row: Mapping[str, int] | asyncpg.Record, currency: str) -> dict[str, str]:
    return {name: f"{to_decimal(row[name], currency):f}" for name in SUMS}
