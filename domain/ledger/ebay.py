"""eBay Partner Network: the transaction detail report (CSV), a row an update.

The present state is that of the latest update date of an EPN transaction. `Earnings` is what stands, `Delta Earnings`
the change. Spelling and order of the columns, the date format and the names of the states could not be verified.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain.ledger.reports import (
    BadRow,
    Reading,
    Report,
    Row,
    csv_rows,
    currency_of,
    identity,
    minor_of,
    read_rows,
    refs_of,
    require_time,
    text_of,
)
from domain.ledger.timelines import Source, State, Step, Timeline

_COLUMNS = ("Event Date", "Update Date", "EPN Transaction ID", "Status", "Campaign ID", "Earnings", "Currency")
_STATES: dict[str, State] = {
    "pending": "pending",
    "confirmed": "approved",
    "approved": "approved",
    "reversed": "declined",
    "declined": "declined",
}
_RANKS = {"pending": 0, "approved": 1, "declined": 2}


def read(text: str) -> Reading:
    """Reports of the rows."""
    return read_rows(csv_rows(text, _COLUMNS, skip_titles=True), _row)


def _row(row: Row) -> Report:
    currency = currency_of(row, "Currency")
    status = text_of(row, "Status").lower()
    if status not in _STATES:
        raise BadRow(f"Status: {status!r} is unknown")
    amount = minor_of(row, "Earnings", currency)
    change = minor_of(row, "Delta Earnings", currency, default=0)
    sold, sold_change = minor_of(row, "Sales", currency, default=0), minor_of(row, "Delta Sales", currency, default=0)
    updated_at = require_time(row, "Update Date")
    return Report(
        network="ebay",
        reference=text_of(row, "EPN Transaction ID"),
        identity=identity(updated_at, _STATES[status], amount, change, sold, sold_change, currency),
        kind="update",
        state=_STATES[status],
        advertiser_id=text_of(row, "Campaign ID"),
        currency=currency,
        amount_minor=amount,
        sale_minor=sold,
        stated_at=updated_at,
        ordered_at=require_time(row, "Event Date"),
        click_refs=refs_of(row, "Custom ID"),
        facts={"change_minor": change, "sale_change_minor": sold_change},
        raw=row,
    )


def timeline(reports: Sequence[Report]) -> Timeline:
    """The updates in order. Of the first one known, the amount before it is what stands less the change."""
    ordered = sorted(reports, key=lambda r: (r.stated_at or r.ordered_at, _RANKS[r.state], r.identity))
    steps: list[Step] = []
    before = 0
    for report in ordered:
        if report.state == "declined":
            amount = before if steps else max(0, report.amount_minor - int(report.facts["change_minor"]))
        else:
            before = amount = report.amount_minor
        state: State = report.state  # type: ignore[assignment]
        steps.append(Step(report.stated_at or report.ordered_at, state, amount, reports=(report.identity,)))
    first = ordered[0]
    is_declined = first.state == "declined"
    return Timeline(
        tuple(steps),
        first.sale_minor - int(first.facts["sale_change_minor"]) if is_declined else first.sale_minor,
        steps[0].amount_minor,
    )


SOURCE = Source("ebay", read, timeline)
