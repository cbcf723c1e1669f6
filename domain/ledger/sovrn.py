"""Sovrn Commerce: the transactions of a day (JSON), each as it stands when the answer is made.

A transaction has no state and no currency. That a commission event is approved as of its commission date, that a later
`updateDate` with another amount changes it, and that amounts are in US dollars are assumptions. The zone of the times
is not documented: they are read as UTC, and no click is matched by them.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain.ledger.reports import (
    Reading,
    Report,
    Row,
    identity,
    json_rows,
    minor_of,
    read_rows,
    refs_of,
    require_time,
    text_of,
    time_of,
)
from domain.ledger.timelines import Source, Step, Timeline

CODE, CURRENCY = "sovrn", "USD"


def read(text: str) -> Reading:
    """Reports of the array `transactions`."""
    return read_rows(json_rows(text, "transactions"), _report)


def _report(row: Row) -> Report:
    earned_at = require_time(row, "commissionDate")
    stated_at = time_of(row, "updateDate", required=False) or earned_at
    amount = minor_of(row, "publisherRevenue", CURRENCY)
    sold = minor_of(row, "orderValue", CURRENCY, default=0)
    return Report(
        network=CODE,
        reference=text_of(row, "revenueId"),
        identity=identity(stated_at, amount, sold),
        kind="snapshot",
        state="approved",
        advertiser_id=text_of(row, "merchantGroupId"),
        currency=CURRENCY,
        amount_minor=amount,
        sale_minor=sold,
        stated_at=stated_at,
        ordered_at=earned_at,
        click_refs=refs_of(row, "cuid"),
        raw=row,
    )


def timeline(reports: Sequence[Report]) -> Timeline:
    """Approved as of the commission date, and changed by each later snapshot with another amount."""
    ordered = sorted(reports, key=lambda report: (report.stated_at or report.ordered_at, report.identity))
    first = ordered[0]
    times = [first.ordered_at, *(report.stated_at or report.ordered_at for report in ordered[1:])]
    steps = (
        Step(at, "approved", report.amount_minor, reports=(report.identity,))
        for at, report in zip(times, ordered, strict=True)
    )
    return Timeline(tuple(steps), first.sale_minor, first.amount_minor)


SOURCE = Source(CODE, read, timeline)
