"""Tradedoubler: pages of transactions of the Publisher Management API (JSON), each as it stands when the page is made.

The amounts are in the currency that the report was asked for. The zone of the times is not documented: they are read as
UTC, and no click is matched by them. That `timeOfLastModified` moves when a transaction is paid is an assumption.
"""

from __future__ import annotations

from domain.ledger import generic
from domain.ledger.reports import (
    BadFile,
    BadRow,
    Reading,
    Report,
    Row,
    currency_of,
    identity,
    minor_of,
    parse_json,
    read_rows,
    refs_of,
    require_time,
    text_of,
    time_of,
)
from domain.ledger.timelines import Source

CODE = "tradedoubler"
_STATES = {"A": "approved", "P": "pending", "D": "declined"}


def read(text: str) -> Reading:
    """Reports of the items of a page."""
    document = parse_json(text)
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise BadFile("there is no array items")
    currency = document.get("reportCurrencyCode")
    if items and not isinstance(currency, str):
        raise BadFile("there is no reportCurrencyCode")
    return read_rows(({**row, "currency": currency} if isinstance(row, dict) else row for row in items), _report)


def _report(row: Row) -> Report:
    currency = currency_of(row, "currency")
    status = text_of(row, "status").upper()
    if status not in _STATES:
        raise BadRow(f"status: {status!r} is unknown")
    ordered_at = require_time(row, "timeOfTransaction")
    is_paid = status == "A" and row.get("paid") is True
    state = "paid" if is_paid else _STATES[status]
    changed_at = time_of(row, "timeOfLastModified", required=False)
    stated_at = None if state == "pending" else changed_at or ordered_at
    amount, sold = minor_of(row, "commission", currency), minor_of(row, "orderValue", currency, default=0)
    return Report(
        network=CODE,
        reference=text_of(row, "transactionId"),
        identity=identity(state, stated_at, amount, sold, currency),
        kind="snapshot",
        state=state,
        advertiser_id=text_of(row, "programId"),
        currency=currency,
        amount_minor=amount,
        sale_minor=sold,
        stated_at=stated_at,
        ordered_at=ordered_at,
        click_refs=refs_of(row, "epi", "epi2"),
        raw=row,
    )


SOURCE = Source(CODE, read, generic.timeline)
