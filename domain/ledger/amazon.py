"""Amazon Associates: the earnings report (CSV), rows without ids, clicks or orders.

A row is a conversion of its own, booked on the placement of its tracking id, approved when it was shipped. A row with
negative fees lowers what was approved in its own month. A file holds whole days, so the nth equal row of one file is
the nth equal row of another, and equal rows of one file are two sales. The header, the date format and the title line
could not be verified.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain.ledger.reports import (
    BadFile,
    Occurrences,
    Reading,
    Report,
    Row,
    csv_rows,
    identity,
    minor_of,
    read_rows,
    require_time,
    text_of,
)
from domain.ledger.timelines import Source, Step, Timeline

ADVERTISER = "amazon"
_CURRENCIES = {"$": "USD", "£": "GBP", "€": "EUR"}
_CONTENT = ("ASIN", "Seller", "Items Shipped", "Returns", "Device Type Group", "Direct/Indirect")


def read(text: str) -> Reading:
    """Reports of the rows; a title line may precede the header. The currency is that of the header's sign."""
    rows = csv_rows(text, ("ASIN", "Tracking ID", "Date Shipped", "Ad Fees*"), skip_titles=True)
    if not rows:
        return Reading(())
    fees = next(name for name in rows[0] if name.startswith("Ad Fees"))
    sign = fees.removeprefix("Ad Fees").strip("() ")
    currency = _CURRENCIES.get(sign)
    if currency is None:
        raise BadFile(f"the column {fees} has no sign of a known currency: ($), (£) or (€)")
    seen = Occurrences()
    return read_rows(rows, lambda row: _row(row, fees, sign, currency, seen))


def _row(row: Row, fees: str, sign: str, currency: str, seen: Occurrences) -> Report:
    amount = minor_of(row, fees, currency)
    sold = minor_of(row, f"Revenue({sign})", currency, default=0)
    price = minor_of(row, f"Price({sign})", currency, default=0)
    shipped_at = require_time(row, "Date Shipped")
    tracking_id, asin = text_of(row, "Tracking ID"), text_of(row, "ASIN")
    others = [text_of(row, name, required=False) for name in _CONTENT]
    content = identity(currency, shipped_at, tracking_id, amount, sold, price, *others)
    number = seen.number(content)
    return Report(
        network="amazon",
        reference=f"{shipped_at:%Y-%m-%d}:{asin[:100]}:{content}:{number}",
        identity=content,
        kind="row",
        state="reversed" if amount < 0 else "approved",
        advertiser_id=ADVERTISER,
        currency=currency,
        amount_minor=amount,
        sale_minor=sold,
        stated_at=shipped_at,
        ordered_at=shipped_at,
        tracking_id=tracking_id,
        raw=row,
    )


def timeline(reports: Sequence[Report]) -> Timeline:
    """One step: approved, by a negative amount if fees were taken back."""
    row = reports[0]
    step = Step(row.ordered_at, "approved", row.amount_minor, reports=(row.identity,))
    return Timeline((step,), row.sale_minor, row.amount_minor)


SOURCE = Source("amazon", read, timeline)
